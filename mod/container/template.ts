/**
 * Bytes with holes: what is the same in every start of a container, and where
 * the things stand that are not (its id, descriptors, pids).
 *
 * @module
 */

/** A text with holes, as it is kept in a file. */
export interface Template {
  /** base64 */
  bytes: string;
  /** Where each hole is filled in: offsets in bytes, by the hole's name. */
  holes: Record<string, number[]>;
}

/** What goes into the holes: as many bytes as stood there. */
export type Filling = Readonly<Record<string, Uint8Array>>;

/** A number as the plan holds it: 4 bytes for a descriptor, 8 for an argument. */
export function toBytes(value: number, size: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, value, true);
  if (size === 8) view.setInt32(4, value >> 31, true);
  return bytes;
}

/** Makes a template of bytes in which marks stand where the holes are to be. */
export function makeTemplate(bytes: Uint8Array, marks: Filling): Template {
  const holes: Template["holes"] = {};
  for (const [name, mark] of Object.entries(marks)) {
    const found: number[] = [];
    for (let at = 0; at + mark.length <= bytes.length; at++) {
      if (mark.every((byte, i) => bytes[at + i] === byte)) found.push(at);
    }
    if (found.length > 0) holes[name] = found;
  }
  return { bytes: bytes.toBase64(), holes };
}

/** Fills the holes of a template. */
export function fillTemplate(
  template: Template,
  filling: Filling,
): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.fromBase64(template.bytes);
  for (const name in template.holes) {
    for (const at of template.holes[name]!) bytes.set(filling[name]!, at);
  }
  return bytes;
}
