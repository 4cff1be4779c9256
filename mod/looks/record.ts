/**
 * Records every look at the machine that a function takes. It stands between
 * the program and `Deno`: a call that it knows is noted with what it showed;
 * any other spoils the recording. So what is forgotten here costs time and never
 * makes a plan that rests on something nobody looks at again.
 *
 * @module
 */

import {
  describeLook,
  type Look,
  look,
  type LookName,
  type Noter,
  parseFile,
  type SeenFile,
  setNoter,
} from "../looks.ts";

/** Looks that are larger than this in all are not worth to be kept, in
 * characters. */
const CAP = 1 << 18;

/** Parts of `Deno` that say nothing about the machine which could change while
 * this program stays the same. */
const CONSTANT: ReadonlySet<string> = new Set([
  "build",
  "errors",
  "execPath",
  "mainModule",
  "version",
]);

/** What was recorded. */
export interface Recording<T> {
  value: T;
  /** undefined: something was looked at that has no name. */
  looks?: Look[];
  /** What that was. */
  spoiled?: string;
}

class Recorder implements Noter {
  readonly looks: Map<string, Look> = new Map();
  spoiled: string | undefined;
  /** Deno as it is; calls inside a look go there. */
  readonly #real = Deno;
  #paused = 0;
  #size = 0;

  spoil(what: string): void {
    this.spoiled ??= what;
  }

  note(name: LookName, argument: string, see: () => string): string {
    if (this.#paused > 0) return see();
    let value = "";
    let failure: unknown;
    this.#paused++;
    const seen = describeLook(() => {
      try {
        return value = see();
      } catch (error) {
        failure = error;
        throw error;
      }
    });
    this.#paused--;
    const key = `${name} ${argument}`;
    const before = this.looks.get(key);
    if (before === undefined) {
      this.looks.set(key, [name, argument, seen]);
      this.#size += key.length + seen.length;
      if (this.#size > CAP) this.spoil("too much");
    } else if (before[2] !== seen) this.spoil(`${key} changed`);
    if (failure !== undefined) throw failure;
    return value;
  }

  pause<T>(call: () => T): T {
    this.#paused++;
    try {
      return call();
    } finally {
      this.#paused--;
    }
  }

  /** What stands for `Deno` while this records. */
  get deno(): typeof Deno {
    // deno-lint-ignore no-this-alias -- the traps below have a this of their own
    const recorder = this;
    const path = (name: LookName) => (it: unknown) => {
      if (typeof it !== "string") this.spoil(`${name} of no path`);
      return look(name, String(it));
    };
    const plain = (name: LookName) => () => look(name);
    const number = (name: LookName) => () => Number(look(name));
    const file = (name: LookName) => (it: unknown) =>
      this.#file(parseFile(path(name)(it)));
    const known: Record<string, unknown> = {
      readTextFileSync: path("text"),
      readLinkSync: path("link"),
      realPathSync: path("real"),
      statSync: file("stat"),
      lstatSync: file("lstat"),
      cwd: plain("cwd"),
      uid: number("uid"),
      gid: number("gid"),
      umask: number("umask"),
      env: {
        get(name: string) {
          const seen = look("env", name);
          return seen === "" ? undefined : seen.slice(1);
        },
      },
    };
    const real = this.#real;
    return new Proxy({} as typeof Deno, {
      get(_, name) {
        const word = String(name);
        if (recorder.#paused === 0 && !CONSTANT.has(word)) {
          if (Object.hasOwn(known, word)) return known[word];
          recorder.spoil(`Deno.${word}`);
        }
        return Reflect.get(real, name);
      },
    });
  }

  /** A file with what was noted of it, and nothing else. */
  #file(seen: SeenFile): SeenFile {
    return new Proxy(seen, {
      get: (it, name) => {
        if (!Object.hasOwn(it, name)) this.spoil(`FileInfo.${String(name)}`);
        return Reflect.get(it, name);
      },
    });
  }
}

function replaceDeno(value: typeof Deno): void {
  Object.defineProperty(globalThis, "Deno", { value, configurable: true });
}

/**
 * Calls a function and records what it looks at. It must not wait for anything.
 *
 * @throws what the function throws
 */
export function record<T>(call: () => T): Recording<T> {
  const real = Deno;
  const recorder = new Recorder();
  try {
    setNoter(recorder);
    replaceDeno(recorder.deno);
    const value = call();
    const { spoiled, looks } = recorder;
    return spoiled === undefined
      ? { value, looks: [...looks.values()] }
      : { value, spoiled };
  } finally {
    replaceDeno(real);
    setNoter(undefined);
  }
}
