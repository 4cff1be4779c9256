/**
 * Numbers as people type them, read strictly: sizes, counts, CPU lists.
 *
 * @module
 */

const UNITS: Record<string, number> = {
  "": 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** Returns the bytes that "64m", "1.5g", "512KiB" or "4096" mean (units are
 * powers of 1024, as with docker), undefined for anything else or for more
 * than 2^53. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (!match) return undefined;
  const [, number, unit] = match;
  // "1.5" bytes are nothing.
  if (unit === "" && number!.includes(".")) return undefined;
  const bytes = Math.floor(Number(number) * UNITS[unit!.toLowerCase()]!);
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : undefined;
}

/** Returns the milliseconds of one of Go's durations: "5s", "500ms", "1m30s";
 * undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const units: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  if (!/^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (
    const [, value, , unit] of text.matchAll(/(\d+(\.\d+)?)(ns|us|ms|s|m|h)/g)
  ) {
    sum += Number(value) * units[unit!]!;
  }
  return sum;
}

/** Returns a whole decimal number between `least` and `most`, undefined for
 * anything else: no sign but for a negative number, no leading zero, no space,
 * no exponent. */
export function parseInteger(
  text: string,
  least: number,
  most: number,
): number | undefined {
  if (!/^(0|-?[1-9]\d{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** Returns whether `text` is a list of CPUs in the kernel's format, "0-3,8"
 * (cpuset(7)). */
export function isCpuList(text: string): boolean {
  return text.split(",").every((part) => {
    const match = /^(0|[1-9]\d{0,4})(?:-(0|[1-9]\d{0,4}))?$/.exec(part);
    return match !== null &&
      (match[2] === undefined || Number(match[1]) <= Number(match[2]));
  });
}
