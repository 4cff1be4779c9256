/**
 * The sound part of a configuration: what is left of one whose shape is wrong
 * when the values of the wrong shape are taken out. The rules are asked of
 * it, so that `validate` says all problems at once.
 *
 * @module
 */

import { checkSpec } from "./check.ts";
import { joinPath, type Problem } from "./problem.ts";
import { specProblems, type SpecProblemsOptions } from "./rules.ts";
import type { Spec } from "./schema.ts";

type Key = string | number;
type Holder = Record<Key, unknown>;

/** What stands for a required value, where no rule minds: without it, all that
 * is beside it would be lost. */
function standInFor(path: string): unknown {
  switch (path) {
    case "ociVersion":
      return "1.3.0";
    case "root":
      return { path: "/" };
    case "root.path":
    case "process.cwd":
      return "/";
    case "linux.seccomp.defaultAction":
      return "SCMP_ACT_TRACE";
    default:
      return undefined;
  }
}

/** Whether the properties of an object have little to do with each other. */
function isLoose(path: string): boolean {
  return /^(|process|hooks|annotations|linux(\.(resources|sysctl))?)$/.test(
    path,
  );
}

/** Whether rules look there for the namespaces of a container. */
function isOfNamespaces(path: string): boolean {
  return /^linux(\.namespaces|\.uidMappings|\.gidMappings|$)/.test(path);
}

/** Splits a path as joinPath() makes it. */
function splitPath(path: string): Key[] {
  const keys: Key[] = [];
  const parts = /\.?([A-Za-z_]\w*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g;
  for (const [, name, index, text] of path.matchAll(parts)) {
    keys.push(
      name ?? (index === undefined ? JSON.parse(text!) : Number(index)),
    );
  }
  return keys;
}

/** Whether `path` is `start`, or inside of it. */
function isInside(path: string, start: string): boolean {
  return path === start || start === "" ||
    path.startsWith(`${start}.`) || path.startsWith(`${start}[`);
}

/** A configuration that loses what is wrong. */
class SoundPart {
  readonly #document: { it: unknown };
  /** Of a list that has lost entries: what was the place of each. */
  readonly #places = new Map<unknown, number[]>();
  /** Paths of what was taken out, in the whole document. */
  readonly lost: string[] = [];

  constructor(value: unknown) {
    this.#document = { it: value };
  }

  get value(): unknown {
    return this.#document.it;
  }

  /** The path in the whole document of what has `keys` here. */
  restorePath(keys: readonly Key[]): string {
    let path = "";
    let at = this.value;
    for (const key of keys) {
      path = joinPath(
        path,
        typeof key === "number" ? this.#places.get(at)?.[key] ?? key : key,
      );
      at = (at as Holder | undefined)?.[key];
    }
    return path;
  }

  /** Takes out what has problems; returns false when nothing would be left. */
  drop(problems: readonly Problem[]): boolean {
    const out = new Map<Holder, Set<Key>>();
    for (const { path } of problems) {
      const keys = splitPath(path);
      const last = keys.pop();
      if (last === undefined) return false;
      const way: Holder[] = [this.#document as Holder, this.value as Holder];
      for (const key of keys) way.push(way.at(-1)![key] as Holder);
      let holder = way.pop()!;
      let key = last;
      if (holder[key] === undefined) {
        const standIn = standInFor(path);
        if (standIn !== undefined) {
          holder[key] = standIn;
          continue;
        }
        const parent = keys.pop();
        if (parent === undefined) return false;
        holder = way.pop()!;
        key = parent;
      }
      this.lost.push(this.restorePath([...keys, key]));
      out.set(holder, (out.get(holder) ?? new Set()).add(key));
    }
    for (const [holder, keys] of out) {
      if (!Array.isArray(holder)) {
        for (const key of keys) delete holder[key];
        continue;
      }
      const places = this.#places.get(holder) ?? [...holder.keys()];
      const kept = [...holder.keys()].filter((at) => !keys.has(at));
      this.#places.set(holder, kept.map((at) => places[at]!));
      holder.splice(0, holder.length, ...kept.map((at) => holder[at]));
    }
    return true;
  }

  /** Whether a problem may be there only because something was taken out. */
  isDoubtful({ path, message }: Problem): boolean {
    return this.lost.some((lost) => {
      if (isInside(path, lost) || isInside(lost, path)) return true;
      if (/namespace/.test(message) && isOfNamespaces(lost)) return true;
      const holder = lost.replace(/(\.?\w+|\[[^\]]*\])$/, "");
      // Entries of a list are told apart, but for the numbers in a message.
      return lost.endsWith("]")
        ? message.includes(`${holder}[`)
        : !isLoose(holder) && isInside(path, holder);
    });
  }
}

/**
 * Asks the rules about what is sound in a configuration whose shape is wrong.
 *
 * @param value a value that checkSpec() has problems with; it is taken apart
 * @param problems those problems
 * @returns the further problems, and whether no rule was left out: one that
 * may speak of what was taken out says nothing
 */
export function soundPartProblems(
  value: unknown,
  problems: readonly Problem[],
  options: SpecProblemsOptions,
): { problems: Problem[]; complete: boolean } {
  const part = new SoundPart(value);
  for (let wrong = problems; wrong.length > 0; wrong = checkSpec(part.value)) {
    if (!part.drop(wrong)) return { problems: [], complete: false };
  }
  const found = specProblems(part.value as Spec, options)
    .map((it) => ({ ...it, path: part.restorePath(splitPath(it.path)) }));
  const sure = found.filter((it) => !part.isDoubtful(it));
  return { problems: sure, complete: sure.length === found.length };
}
