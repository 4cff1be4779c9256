/**
 * A process's environment.
 *
 * @module
 */

/** An environment in which each name stands once, with its last value, as runc
 * makes it. */
export function keepLast(env: readonly string[]): string[] {
  // A hook may have a word without "=", which is passed on as it is.
  const name = (it: string) => it.split("=", 1)[0]!;
  const last = new Map(env.map((it, at) => [name(it), at]));
  return env.filter((it, at) => last.get(name(it)) === at);
}
