/**
 * Reads JSON as a configuration needs it: integers beyond 2^53 exact, and an
 * error that says the line, the column and what to change.
 *
 * @module
 */

import { isNoBytes } from "../../ffi/bytes.ts";
import { ContainerError } from "../errors.ts";

/** Cheap look for a number of 16 or more digits or with an exponent. It sees
 * them in strings too: a container id has "3e5" in it more often than not. */
const SUSPECT = /\d(?:[\d.]{15}|[eE][-+\d])/;
/** The same outside of strings, or nearly so. */
const NUMBER_BEYOND = /(?:^|[:[,\s])-?\d(?:[\d.]{15}|[\d.]*[eE])/;

/** Returns whether plain JSON.parse does for a text: the reviver would make
 * the hot path several times slower. */
function isPlain(text: string): boolean {
  return !(SUSPECT.test(text) && NUMBER_BEYOND.test(text)) &&
    !(text.includes("null") && /[:,[\s]null\b/.test(text)) &&
    !text.includes("__proto__");
}

/** Most digits worth the arithmetic: 2^64 has 20. */
const DIGITS_MAX = 40;

/** Returns the exact integer that a JSON number denotes, or undefined. */
function readInteger(source: string): bigint | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source);
  if (!match) return undefined;
  const fraction = match[3] ?? "";
  const digits = match[2]! + fraction;
  const shift = Number(match[4] ?? 0) - fraction.length;
  if (Math.abs(shift) > DIGITS_MAX || digits.length > DIGITS_MAX) {
    return undefined;
  }
  let value: bigint;
  if (shift >= 0) {
    value = BigInt(digits + "0".repeat(shift));
  } else {
    const kept = digits.slice(0, shift);
    if (/[1-9]/.test(digits.slice(shift))) return undefined;
    value = BigInt(kept === "" ? "0" : kept);
  }
  return match[1] === "-" ? -value : value;
}

/** What JSON.parse hands to a reviver beside key and value. */
interface Context {
  source?: string;
}

/** Keeps integers exact; drops null properties, which mean "not set" to the
 * programs that write configurations, and "__proto__". */
function revive(
  this: unknown,
  key: string,
  value: unknown,
  context?: Context,
): unknown {
  if (typeof value === "number") {
    const source = context?.source ?? "";
    if (Number.isSafeInteger(value) && !source.includes(".")) return value;
    const exact = readInteger(source);
    // A fraction must not round to an integer; an unsafe number is refused by
    // check.ts wherever it stands.
    if (exact === undefined) {
      return Number.isSafeInteger(value) ? Number.NaN : value;
    }
    const number = Number(exact);
    return Number.isSafeInteger(number) ? number : exact;
  }
  if (value === null && !Array.isArray(this)) return undefined;
  return key === "__proto__" ? undefined : value;
}

/**
 * Parses the text of a configuration.
 *
 * Integers that a number cannot hold exactly become bigints; 1e3 and 1.0 are
 * the integers 1000 and 1; of a key that comes twice the last one counts; a
 * property that is null is left out; the escape of half a surrogate pair is the
 * byte that it stands for (ffi/bytes.ts).
 *
 * @param name what to call the text in an error: its path
 * @throws {ContainerError} "json-invalid" when the text is not JSON, or no UTF-8
 */
export function parseConfigJson(text: string, name = "config.json"): unknown {
  if (!text.isWellFormed()) throw explainByte(text, name);
  if (isDeep(text)) throw tooDeep(name);
  let value: unknown;
  try {
    value = isPlain(text) ? JSON.parse(text) : JSON.parse(text, revive);
  } catch (error) {
    throw explainSyntax(text, name, error);
  }
  if (SURROGATE.test(text)) refuseHalves(value, name);
  return value;
}

/** More levels than any configuration has, and fewer than what walks one can
 * take. */
const DEPTH_MAX = 500;

/** Whether brackets are nested deeper than that. */
function isDeep(text: string): boolean {
  // Most texts do not even have so many.
  if (text.split("[").length + text.split("{").length <= DEPTH_MAX) {
    return false;
  }
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') inString = !inString;
    else if (inString) at += char === "\\" ? 1 : 0;
    else if (char === "]" || char === "}") depth--;
    else if ((char === "[" || char === "{") && ++depth > DEPTH_MAX) return true;
  }
  return false;
}

function tooDeep(name: string): ContainerError {
  return new ContainerError(`Cannot parse "${name}": it is nested too deep`, {
    code: "json-invalid",
    hint: "A configuration is fewer than ten levels deep",
  });
}

/** The escape of a part of a surrogate pair. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

/** Refuses text that cannot reach the kernel. */
function refuseHalves(value: unknown, name: string): void {
  if (typeof value === "string") {
    if (!isNoBytes(value)) return;
    throw new ContainerError(
      `Cannot use "${name}": ${
        JSON.stringify(value)
      } holds half of a surrogate pair`,
      {
        code: "json-invalid",
        hint: "Write the whole character; \\udc80 to \\udcff are single bytes",
      },
    );
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    refuseHalves(key, name);
    refuseHalves(inner, name);
  }
}

/** Says where a text is no UTF-8. */
function explainByte(text: string, name: string): ContainerError {
  const at = text.search(/[\udc80-\udcff]/u);
  const before = text.slice(0, at);
  const byte = (text.charCodeAt(at) - 0xdc00).toString(16);
  return new ContainerError(
    `Cannot parse "${name}": line ${before.split("\n").length}, column ${
      at - before.lastIndexOf("\n")
    }: the byte 0x${byte} is no UTF-8`,
    {
      code: "json-invalid",
      hint: `JSON is UTF-8: write such a byte as \\udc${byte}`,
    },
  );
}

/** Where and why a text is not JSON. */
interface Fault {
  at: number;
  wanted: string;
  hint: string;
}

const HINT = "JSON is described in RFC 8259";
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[\w.$+-]+/y;
const SPACE = /[ \t\r\n]*/y;

/** A value was wanted at `at`: says what stands there instead. */
function faultAtValue(text: string, at: number, wanted: string): Fault {
  const char = text[at];
  WORD.lastIndex = at;
  const word = WORD.exec(text)?.[0] ?? "";
  let hint = HINT;
  if (/^\s*[^\s"'\ufeff]$/.test(text.slice(0, at + 1)) && word === "") {
    hint = "This is no JSON: is it the file that you meant?";
  } else if (char === undefined) hint = "The file ends too early: is it whole?";
  else if (char === "'") hint = 'JSON wants double quotes: "..."';
  else if (char === "/" || char === "#") hint = "JSON has no comments";
  else if (char === "]" || char === "}") {
    hint = "Remove the comma before the closing bracket";
  } else if (char === "\ufeff") hint = "Remove the byte order mark";
  else if (/^[+-]?(?:NaN|Infinity)/i.test(word)) {
    hint = "JSON has no such number";
  } else if (/^(?:True|False|None)$/.test(word)) {
    hint = "Write true, false or null in small letters";
  } else if (/^0[xX]?\d/.test(word)) {
    hint = "Write the number in decimal, without leading zeros";
  } else if (/^[+.]/.test(word)) hint = "Start the number with a digit";
  else if (word !== "") hint = "Put double quotes around text";
  return { at, wanted, hint };
}

/** Finds the first fault of a text that JSON.parse refused. */
function findFault(text: string): Fault {
  const closers: string[] = [];
  let at = 0;
  const space = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const readString = (): Fault | undefined => {
    const start = at++;
    for (; text[at] !== '"'; at++) {
      const char = text[at];
      if (char === undefined || char === "\n") {
        return {
          at: start,
          wanted: "a string that ends on its line",
          hint: "Close the string with a double quote",
        };
      }
      if (char < " ") {
        return { at, wanted: "no control character in a string", hint: HINT };
      }
      if (
        char === "\\" && !/^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/.test(
          text.slice(at, at + 6),
        )
      ) {
        return {
          at,
          wanted: "a known escape",
          hint: "Write a backslash as \\\\",
        };
      }
      if (char === "\\") at++;
    }
    at++;
  };
  const readKey = (wanted: string): Fault | undefined => {
    if (text[at] !== '"') return faultAtValue(text, at, wanted);
    const fault = readString();
    if (fault) return fault;
    space();
    if (text[at] !== ":") {
      return { at, wanted: 'a ":" after the name', hint: HINT };
    }
    at++;
    space();
  };
  for (;;) {
    space();
    const char = text[at];
    let open = false;
    if (char === "{" || char === "[") {
      at++;
      space();
      const closer = char === "{" ? "}" : "]";
      if (text[at] === closer) {
        at++;
      } else {
        closers.push(closer);
        const fault = char === "{" ? readKey('a name or "}"') : undefined;
        if (fault) return fault;
        open = true;
      }
    } else if (char === '"') {
      const fault = readString();
      if (fault) return fault;
    } else {
      NUMBER.lastIndex = at;
      WORD.lastIndex = at;
      const number = NUMBER.exec(text)?.[0] ?? "";
      const word = WORD.exec(text)?.[0] ?? "";
      if (word !== number && !/^(?:true|false|null)$/.test(word)) {
        return faultAtValue(text, at, "a value");
      }
      if (word === "") return faultAtValue(text, at, "a value");
      at += word.length;
    }
    while (!open) {
      space();
      const closer = closers.at(-1);
      if (closer === undefined) {
        return { at, wanted: "the end of the file", hint: HINT };
      }
      const next = text[at];
      if (next === closer) {
        at++;
        closers.pop();
        continue;
      }
      if (next !== ",") {
        return next === undefined || next === "/" || next === "#"
          ? faultAtValue(text, at, `a comma or "${closer}"`)
          : {
            at,
            wanted: `a comma or "${closer}"`,
            hint: "Put a comma between two entries",
          };
      }
      at++;
      space();
      const fault = closer === "}" ? readKey("a name") : undefined;
      if (fault) return fault;
      open = true;
    }
  }
}

/** Longest piece of the offending line that an error shows. */
const SHOWN = 40;

function explainSyntax(
  text: string,
  name: string,
  cause: unknown,
): ContainerError {
  if (text.trim() === "") {
    return new ContainerError(`Cannot parse "${name}": the file is empty`, {
      code: "json-invalid",
      hint: "Write a configuration with rustyrun spec",
      cause,
    });
  }
  const { at, wanted, hint } = findFault(text);
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - before.lastIndexOf("\n");
  const rest = text.slice(at, at + SHOWN).split("\n")[0]!.trimEnd();
  const found = rest === ""
    ? (at >= text.length ? "the end of the file" : "the end of the line")
    : JSON.stringify(rest);
  return new ContainerError(
    `Cannot parse "${name}": line ${line}, column ${column}: ` +
      `expected ${wanted}: found ${found}`,
    { code: "json-invalid", hint, cause },
  );
}
