/**
 * Annotations that name properties of the container's unit,
 * "org.systemd.property.TimeoutStopUSec": "uint64 5000000". A value is written in
 * the text format of GVariant (GLib Reference, "GVariant Text Format"), as runc
 * and crun read it.
 *
 * @module
 */

import { firstType } from "../../../ffi/sd_bus.ts";
import { ContainerError } from "../../errors.ts";
import type { UnitProperty, UnitValue } from "../model.ts";

const PREFIX = "org.systemd.property.";

/** Types by the words that stand before a value. */
const WORDS: Record<string, string> = {
  boolean: "b",
  byte: "y",
  int16: "n",
  uint16: "q",
  int32: "i",
  uint32: "u",
  handle: "h",
  int64: "x",
  uint64: "t",
  double: "d",
  string: "s",
  objectpath: "o",
  signature: "g",
};

/** Least and most of each kind of whole number. */
const RANGES: Record<string, [bigint, bigint]> = {
  y: [0n, 255n],
  n: [-(1n << 15n), (1n << 15n) - 1n],
  q: [0n, (1n << 16n) - 1n],
  i: [-(1n << 31n), (1n << 31n) - 1n],
  u: [0n, (1n << 32n) - 1n],
  x: [-(1n << 63n), (1n << 63n) - 1n],
  t: [0n, (1n << 64n) - 1n],
};

/** What is wrong with a text. */
class Unreadable extends Error {}

type Typed = Pick<UnitProperty, "signature" | "value">;

/** Reads one value. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Typed {
    const value = this.#value(undefined);
    this.#blanks();
    if (this.#at < this.#text.length) {
      throw new Unreadable(`"${this.#text.slice(this.#at)}" is left over`);
    }
    return value;
  }

  #blanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  /** Takes what a pattern, which is sticky, finds here. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #value(type: string | undefined): Typed {
    this.#blanks();
    const next = this.#text[this.#at];
    if (next === undefined) throw new Unreadable("there is no value");
    if (next === "'" || next === '"') return this.#string(type, next);
    if (next === "[") return this.#array(type);
    if (next === "(") return this.#tuple(type);
    if (next === "@") {
      this.#at++;
      const asked = this.#take(/a*(?:[bynqiuxtdsogv]|\([a-z()]*\))/y);
      if (asked === undefined) throw new Unreadable("no type follows @");
      return this.#value(asked);
    }
    const word = this.#take(/[A-Za-z][A-Za-z0-9]*/y);
    if (word === "true" || word === "false") {
      return fit("b", type, word === "true");
    }
    if (word !== undefined) {
      const named = WORDS[word];
      if (named === undefined) throw new Unreadable(`"${word}" is no value`);
      return this.#value(named);
    }
    return this.#number(type);
  }

  #string(type: string | undefined, quote: string): Typed {
    let text = "";
    for (this.#at++; this.#text[this.#at] !== quote; this.#at++) {
      let letter = this.#text[this.#at];
      if (letter === undefined) throw new Unreadable(`a ${quote} is missing`);
      if (letter === "\\") {
        letter = this.#text[++this.#at] ?? "";
        if (letter === "u" || letter === "U") {
          const size = letter === "u" ? 4 : 8;
          const digits = this.#text.slice(this.#at + 1, this.#at + 1 + size);
          const point = parseInt(digits, 16);
          if (!/^[0-9a-fA-F]+$/.test(digits) || !(point <= 0x10ffff)) {
            throw new Unreadable(`"\\${letter}${digits}" is no character`);
          }
          letter = String.fromCodePoint(point);
          this.#at += size;
        } else letter = ESCAPES[letter] ?? letter;
      }
      text += letter;
    }
    this.#at++;
    if (type !== undefined && !"sog".includes(type)) {
      throw new Unreadable(`"${text}" is a text`);
    }
    return { signature: type ?? "s", value: text };
  }

  #array(type: string | undefined): Typed {
    this.#at++;
    if (type !== undefined && !type.startsWith("a")) {
      throw new Unreadable("it is a list");
    }
    let inner = type?.slice(1);
    const values: UnitValue[] = [];
    for (;;) {
      this.#blanks();
      if (this.#text[this.#at] === "]") break;
      if (values.length > 0) this.#comma("]");
      const one = this.#value(inner);
      inner ??= one.signature;
      values.push(one.value);
    }
    this.#at++;
    if (inner === undefined) {
      throw new Unreadable("an empty list needs its type: @as []");
    }
    return { signature: `a${inner}`, value: values };
  }

  #tuple(type: string | undefined): Typed {
    this.#at++;
    if (type !== undefined && !type.startsWith("(")) {
      throw new Unreadable("it has members");
    }
    let types = type?.slice(1, -1);
    const members: Typed[] = [];
    for (;;) {
      this.#blanks();
      if (this.#text[this.#at] === ")") break;
      if (members.length > 0) {
        this.#comma(")");
        this.#blanks();
        if (this.#text[this.#at] === ")") break;
      }
      const wanted = types === undefined || types === ""
        ? undefined
        : firstType(types);
      types = types?.slice(wanted?.length ?? 0);
      members.push(this.#value(wanted));
    }
    this.#at++;
    const signature = `(${members.map((it) => it.signature).join("")})`;
    if (type !== undefined && type !== signature) {
      throw new Unreadable(`it is of type ${signature}, and not ${type}`);
    }
    return { signature, value: members.map((it) => it.value) };
  }

  #comma(end: string): void {
    if (this.#text[this.#at] !== ",") {
      throw new Unreadable(`a "," or "${end}" is missing`);
    }
    this.#at++;
  }

  #number(type: string | undefined): Typed {
    const text = this.#take(
      /[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?)/y,
    ) ?? "";
    const isWhole = /^[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text);
    if (type === "d" || (type === undefined && !isWhole)) {
      if (!/[0-9]/.test(text)) throw new Unreadable("there is no value");
      return fit("d", type, Number(text));
    }
    const kind = type ?? "i";
    const range = RANGES[kind];
    if (!isWhole || range === undefined) {
      throw new Unreadable(`"${text}" is not of type ${kind}`);
    }
    const digits = text.replace(/^[-+]/, "");
    const size = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits);
    const value = text.startsWith("-") ? -size : size;
    if (value < range[0] || value > range[1]) {
      throw new Unreadable(`${text} is out of range for type ${kind}`);
    }
    const isSafe = value <= BigInt(Number.MAX_SAFE_INTEGER) &&
      value >= BigInt(Number.MIN_SAFE_INTEGER);
    return { signature: kind, value: isSafe ? Number(value) : value };
  }
}

const ESCAPES: Record<string, string> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function fit(own: string, type: string | undefined, value: UnitValue): Typed {
  if (type !== undefined && type !== own) {
    throw new Unreadable(`${value} is not of type ${type}`);
  }
  return { signature: own, value };
}

/** systemd's D-Bus has microseconds for what its files have in seconds. */
function toMicroseconds({ signature, value }: Typed): Typed {
  if (!"ynqiuxtd".includes(signature)) {
    throw new Unreadable("it is not a number of seconds");
  }
  const micro = signature === "d"
    ? BigInt(Math.trunc(Number(value) * 1e6))
    : BigInt(value as number | bigint) * 1_000_000n;
  if (micro < 0n || micro > RANGES.t![1]) {
    throw new Unreadable(`${value} seconds are out of range`);
  }
  return {
    signature: "t",
    value: micro <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(micro) : micro,
  };
}

/**
 * The properties that annotations name, in the order of their names.
 *
 * @throws {ContainerError} for a name or a value that is none
 */
export function readAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
): UnitProperty[] {
  const properties: UnitProperty[] = [];
  for (const key of Object.keys(annotations ?? {}).sort()) {
    if (!key.startsWith(PREFIX)) continue;
    const text = annotations![key]!;
    let name = key.slice(PREFIX.length);
    const from = `annotations.${key}`;
    const refuse = (why: string): never => {
      throw new ContainerError(
        `Cannot use the annotation "${key}" with the value "${text}": ${why}`,
        {
          code: "systemd-property",
          hint:
            "Write the name as systemd's D-Bus has it and the value as GVariant text: 'text', 15, uint64 5000000, true, ['a', 'b']",
        },
      );
    };
    if (!/^[A-Za-z]{3,}$/.test(name)) {
      refuse("a property's name has three letters or more, and nothing else");
    }
    let typed: Typed;
    try {
      typed = new Reader(text).whole();
      if (/[a-z]Sec$/.test(name)) {
        typed = toMicroseconds(typed);
        name = `${name.slice(0, -"Sec".length)}USec`;
      }
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      return refuse(error.message);
    }
    properties.push({ name, ...typed, from });
  }
  return properties;
}
