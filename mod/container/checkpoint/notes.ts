/**
 * What rustyrun keeps in an image beside criu's files.
 *
 * @module
 */

/** The file rustyrun.json of an image. */
export interface Notes {
  version: 1;
  /** Places of mounts of the host, by the number of their key. */
  external: string[];
  /** Its first standard streams that were pipes: descriptor and criu's key. */
  pipes: { fd: number; key: string }[];
}

function isPlace(it: unknown): it is string {
  return typeof it === "string" && it.startsWith("/") && it.length < 4096 &&
    !it.split("/").some((part) => part === ".." || part === ".");
}

function isPipe(it: unknown): it is Notes["pipes"][number] {
  if (typeof it !== "object" || it === null) return false;
  const { fd, key } = it as Record<string, unknown>;
  return (fd === 0 || fd === 1 || fd === 2) && typeof key === "string" &&
    /^pipe:\[\d{1,20}\]$/.test(key);
}

/** Reads notes, which may be anybody's.
 *
 * @returns undefined when they are none */
export function checkedJson(text: string): Notes | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { version, external, pipes } = value as Record<string, unknown>;
  const good = version === 1 && Array.isArray(external) &&
    Array.isArray(pipes) && external.every(isPlace) && pipes.every(isPipe) &&
    new Set(external).size === external.length;
  return good ? { version: 1, external, pipes } : undefined;
}
