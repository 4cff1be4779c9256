/**
 * Finds the bytes of the helper: inside the bundle or the executable, else the
 * file that `deno task build` left in dist/.
 *
 * @module
 */

/** The bundle's first line (scripts/bundle.ts) sets this property of globalThis
 * to the helpers it carries: base64 by architecture. */
export const EMBEDDED = "__rustyrun_helpers__";

/** The helper cannot be had, or must not be used. */
export class HelperError extends Error {
  override name = "HelperError";
  /** What is wrong with it. */
  readonly reason: "missing" | "writable";
  /** The file or directory in question. */
  readonly path: string;

  constructor(message: string, reason: "missing" | "writable", path: string) {
    super(message);
    this.reason = reason;
    this.path = path;
  }
}

/** False for root of a user namespace, who is some user outside and sees the
 * owners of other ids as 65534. */
function mapsEveryId(): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(
    Deno.readTextFileSync("/proc/self/uid_map"),
  );
}

/**
 * Throws when somebody other than root could change what root is about to
 * run: `path` has another owner, or its group or others may write it. A path
 * that does not exist passes. Does nothing for a caller who is not root.
 *
 * @throws {HelperError} with the reason "writable"
 */
export function refuseWritable(path: string): void {
  if (Deno.uid() !== 0) return;
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const mode = info.mode ?? 0;
  // A sticky directory such as /tmp protects the entries, not the absence of
  // them: whoever may add a file may add the one that we look for.
  const who = info.uid !== 0
    ? `user ${info.uid}`
    : mode & 0o002
    ? "everybody"
    : mode & 0o020 && info.gid !== 0
    ? `group ${info.gid}`
    : undefined;
  if (who === undefined || !mapsEveryId()) return;
  throw new HelperError(
    `Cannot use "${path}" as root: ${who} may write it`,
    "writable",
    path,
  );
}

/**
 * The directory in which `deno run` keeps compiled sources and the bytecode of
 * what it ran, which it reads without a check of what they hold: a root caller
 * gives it to {@linkcode refuseWritable}.
 *
 * @param env reads a variable of the environment
 * @returns undefined for an executable's own code, which is not cached, and
 * where no variable says the place
 */
export function denoCacheDir(
  env: (name: string) => string | undefined,
): string | undefined {
  if (Deno.build.standalone) return undefined;
  const dir = env("DENO_DIR");
  if (dir) return dir;
  const cache = env("XDG_CACHE_HOME");
  if (cache) return `${cache}/deno`;
  const home = env("HOME");
  return home ? `${home}/.cache/deno` : undefined;
}

function embedded(): Record<string, string> | undefined {
  return (globalThis as Record<string, unknown>)[EMBEDDED] as
    | Record<string, string>
    | undefined;
}

/**
 * Reads the helper for this machine.
 *
 * @returns the bytes of a static ELF executable
 * @throws {HelperError} when there is none, or when root's could be written by
 * somebody else
 */
export function loadHelper(): Uint8Array<ArrayBuffer> {
  const { arch } = Deno.build;
  const inside = embedded();
  if (inside !== undefined) {
    const text = inside[arch];
    if (text === undefined) {
      throw new HelperError(
        `Cannot find the helper: this bundle has none for ${arch}`,
        "missing",
        "",
      );
    }
    return Uint8Array.fromBase64(text);
  }
  // This file is ROOT/ffi/helper.ts; cutting strings is cheaper than a URL.
  // A module that was loaded from the network has no directory.
  const here = import.meta.dirname ?? "";
  const dir = `${here.slice(0, here.lastIndexOf("/"))}/dist`;
  const path = `${dir}/rustyrun-helper-${arch}`;
  try {
    const bytes = Deno.readFileSync(path);
    refuseWritable(dir);
    refuseWritable(path);
    return bytes;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new HelperError(
      `Cannot find the helper: "${path}" does not exist`,
      "missing",
      path,
    );
  }
}
