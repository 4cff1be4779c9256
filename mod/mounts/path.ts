/**
 * Paths as text: made absolute and clean without a look at any file system.
 * What the kernel makes of them is settled by openat2(2) in the child stage.
 *
 * @module
 */

/** Returns a path as it is when absolute, else below `base`. ".." stays: only
 * the kernel knows what it means after a symbolic link. */
export function absolutePath(base: string, path: string): string {
  return path.startsWith("/") ? path : `${base === "/" ? "" : base}/${path}`;
}

/** Returns an absolute path without ".", ".." and doubled slashes; a relative
 * one is taken from `base`. */
export function joinPath(base: string, path: string): string {
  const parts: string[] = [];
  for (
    const part of (path.startsWith("/") ? path : `${base}/${path}`).split("/")
  ) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** The paths of a list with their places in it, each but once: "/etc/" is "/etc". */
export function eachPath(
  paths: readonly string[] | null | undefined,
): [string, number][] {
  const seen = new Set<string>();
  return (paths ?? []).flatMap((path, at): [string, number][] => {
    const clean = joinPath("/", path);
    if (seen.has(clean)) return [];
    seen.add(clean);
    return [[path, at]];
  });
}

/** Splits "/dev/net/tun" into "/dev/net" and "tun". */
export function splitPath(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf("/");
  return { parent: path.slice(0, slash) || "/", name: path.slice(slash + 1) };
}

/** The directories above a path, nearest first, without "/". */
export function listAbove(path: string): string[] {
  const found: string[] = [];
  for (
    let { parent } = splitPath(path);
    parent !== "/";
    parent = splitPath(parent).parent
  ) found.push(parent);
  return found;
}

/** Whether a path is another one or lies under it. */
export function isUnder(path: string, directory: string): boolean {
  return directory === "/" || path === directory ||
    path.startsWith(`${directory}/`);
}
