/**
 * Text that can carry any bytes. To the kernel, arguments, variables and paths
 * are bytes, nearly always UTF-8. A byte that is no part of UTF-8 is a lone
 * surrogate here, U+DC80 to U+DCFF, as in Python's "surrogateescape" (PEP 383):
 * so it goes through strings, JSON and comparisons unharmed, and never stands
 * for an ASCII character.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A lone surrogate that stands for no byte. */
const NO_BYTE = /[\ud800-\udbff]|[\udc00-\udc7f\udd00-\udfff]/u;

/** Whether a text holds half a surrogate pair that stands for no byte: nothing
 * that a caller wrote, only an escape in JSON. */
export function isNoBytes(text: string): boolean {
  return !text.isWellFormed() && NO_BYTE.test(text);
}

/**
 * The bytes of a text.
 *
 * @throws {TypeError} when it holds half a surrogate pair that is no byte
 */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  if (text.isWellFormed()) return encoder.encode(text);
  if (NO_BYTE.test(text)) {
    throw new TypeError(
      `Cannot pass ${
        JSON.stringify(text)
      } to the kernel: it holds half a surrogate pair`,
    );
  }
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  // By u a pair is one character, and a lone surrogate is one of its own.
  for (const part of text.split(/([\udc80-\udcff])/u)) {
    if (part.isWellFormed()) {
      at += encoder.encodeInto(part, bytes.subarray(at)).written;
    } else bytes[at++] = part.charCodeAt(0) - 0xdc00;
  }
  return bytes.slice(0, at);
}

/** Least and most of the second byte after some first ones, RFC 3629: no longer
 * form than needed, no surrogate, nothing beyond U+10FFFF. */
const SECOND: Record<number, [number, number]> = {
  0xe0: [0xa0, 0xbf],
  0xed: [0x80, 0x9f],
  0xf0: [0x90, 0xbf],
  0xf4: [0x80, 0x8f],
};

/** How many bytes at `at` are one character of UTF-8: 0 for none. */
function characterAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  let [least, most] = SECOND[first] ?? [0x80, 0xbf];
  for (let i = 1; i < size; i++) {
    const byte = bytes[at + i] ?? 0;
    if (byte < least || byte > most) return 0;
    [least, most] = [0x80, 0xbf];
  }
  return size;
}

/** The text of some bytes: {@linkcode toBytes} gives the same bytes again. */
export function fromBytes(bytes: Uint8Array): string {
  const text = decoder.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  const parts: string[] = [];
  for (let at = 0, from = 0; at <= bytes.length;) {
    const size = at < bytes.length ? characterAt(bytes, at) : 0;
    if (size > 0) {
      at += size;
      continue;
    }
    parts.push(decoder.decode(bytes.subarray(from, at)));
    if (at < bytes.length) parts.push(String.fromCharCode(0xdc00 + bytes[at]!));
    from = ++at;
  }
  return parts.join("");
}
