/**
 * Compares what the runtimes did with one bundle, and looks each difference
 * up in expected.json.
 *
 * @module
 */

import type { RuntimeName } from "../conformance/runtimes.ts";
import type { Facts } from "./normalise.ts";

/** An accepted difference. */
export interface Expected {
  /** Name of the case, `*` for any run of characters. */
  case: string;
  /** Path of the fact, `*` likewise. */
  path: string;
  /** Whose value rustyrun must have. `either`: one of the peers'; `neither`:
   * its own, which is `value` where that is given. */
  follow: "runc" | "crun" | "either" | "neither";
  /** What rustyrun must show, for `neither`. */
  value?: string;
  /** Why, with the clause of the specification where there is one. */
  reason: string;
}

/** One fact on which the runtimes do not agree. */
export interface Difference {
  case: string;
  path: string;
  values: Partial<Record<RuntimeName, string>>;
  /** The entry that explains it. */
  expected?: Expected;
  /** Whether it is explained, and rustyrun has the value it should have. */
  accepted: boolean;
}

/** Whether a text matches a pattern in which `*` stands for anything. */
export function matchGlob(pattern: string, text: string): boolean {
  const escaped = pattern.split("*").map((part) =>
    part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  );
  return new RegExp(`^${escaped.join("[^]*")}$`).test(text);
}

function isAccepted(
  expected: Expected,
  values: Partial<Record<RuntimeName, string>>,
): boolean {
  const ours = values.rustyrun;
  if (ours === undefined) return true;
  switch (expected.follow) {
    case "runc":
    case "crun":
      return values[expected.follow] === undefined ||
        ours === values[expected.follow];
    case "either":
      return ours === values.runc || ours === values.crun;
    case "neither":
      return expected.value === undefined ||
        matchGlob(expected.value, ours);
  }
}

/**
 * Compares one bundle's facts.
 *
 * When the outcomes differ, that is the one difference: everything else
 * follows from it.
 */
export function compareFacts(
  name: string,
  facts: ReadonlyMap<RuntimeName, Facts>,
  expected: readonly Expected[],
  used: Set<Expected>,
): Difference[] {
  const outcomes = new Set([...facts.values()].map((f) => f.get("outcome")));
  const paths = new Set<string>();
  for (const list of facts.values()) {
    for (const path of list.keys()) paths.add(path);
  }
  const found: Difference[] = [];
  for (const path of [...paths].sort()) {
    if (outcomes.size > 1 && path !== "outcome" && path !== "left") continue;
    const values: Partial<Record<RuntimeName, string>> = {};
    for (const [runtime, list] of facts) {
      values[runtime] = list.get(path) ?? "(absent)";
    }
    if (new Set(Object.values(values)).size < 2) continue;
    const entry = expected.find((e) =>
      matchGlob(e.case, name) && matchGlob(e.path, path) &&
      isAccepted(e, values)
    );
    if (entry !== undefined) used.add(entry);
    found.push({
      case: name,
      path,
      values,
      ...(entry === undefined ? {} : { expected: entry }),
      accepted: entry !== undefined,
    });
  }
  return found;
}
