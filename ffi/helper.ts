/**
 * Finds the helper and the front, two files: beside the bundle's chunks, inside
 * the executable, else where `deno task build` left them, in dist/ of the clone.
 *
 * @module
 */

import { errnoOf } from "./errno.ts";
import { statSync } from "./files.ts";
import { type LoadPacked, PACKED } from "./packed.ts";

/** The helper, or the front, cannot be had, or must not be used. */
export class HelperError extends Error {
  override name = "HelperError";
  /** What is wrong with it. */
  readonly reason: "missing" | "writable" | "changed";
  /** The file or directory in question; "" where it is no file. */
  readonly path: string;

  constructor(message: string, reason: HelperError["reason"], path: string) {
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

/** Who may write a file or directory, root aside. */
function writersOf({ uid, gid, mode }: Deno.FileInfo): string[] {
  const bits = mode ?? 0;
  return [
    ...(uid === 0 ? [] : [`user ${uid}`]),
    // A sticky directory such as /tmp protects the entries, not the absence of
    // them: whoever may add a file may add the one that we look for.
    ...(bits & 0o002
      ? ["everybody"]
      : bits & 0o020 && gid !== 0
      ? [`group ${gid}`]
      : []),
  ];
}

/** undefined for what is not there, or cannot be looked at. */
function find(path: string): Deno.FileInfo | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (errnoOf(error) === "") throw error;
    return undefined;
  }
}

/**
 * Throws when somebody could change what root is about to use and could not
 * change the program itself. Whoever owns a clone, and has root run it, is root
 * anyway. Does nothing for a caller who is not root.
 *
 * @param program path of a file of the program; undefined: not known, only
 * root may write
 * @throws {HelperError} with the reason "writable"
 */
export function refuseWritable(
  path: string,
  program: string | undefined,
): void {
  if (Deno.uid() !== 0) return;
  const info = find(path);
  if (info === undefined) return;
  const own = program === undefined ? undefined : find(program);
  const known = own === undefined ? [] : writersOf(own);
  const who = writersOf(info).find((it) => !known.includes(it));
  if (who === undefined || !mapsEveryId()) return;
  throw new HelperError(
    `Cannot use "${path}" as root: ${who} may write it`,
    "writable",
    path,
  );
}

/**
 * The directory in which `deno run` keeps compiled sources and the bytecode of
 * what it ran. It reads them before our first line, without a check of what they
 * hold.
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

/** Where this file lies in a clone. */
const SOURCE = "/ffi/helper.ts";

/**
 * Where both are, and what of the program is written by whoever may write there:
 * beside a bundle's chunk that is the directory itself, since the program
 * lies in it.
 *
 * @returns undefined for a module that was loaded from the network: it has no
 * file
 */
function findPlace(): { dir: string; program: string } | undefined {
  const file = import.meta.filename;
  if (file === undefined) return undefined;
  // Cutting strings is cheaper than a URL.
  if (file.endsWith(SOURCE)) {
    return { dir: `${file.slice(0, -SOURCE.length)}/dist`, program: file };
  }
  const dir = file.slice(0, file.lastIndexOf("/"));
  return { dir, program: dir };
}

/** What a package carried. */
let unpacked: Uint8Array<ArrayBuffer> | undefined;

function decode(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // No helper has the hash of nothing.
    return new Uint8Array(0);
  }
}

/**
 * Gets the helper that a package carries, for {@linkcode loadHelper}, and checks
 * it by its hash: what was cut or changed on its way is not run. In a clone and
 * in the bundle there is nothing to get.
 *
 * @param load loads its module
 * @throws {HelperError} with the reason "missing" when that cannot be loaded,
 * "changed" when it is another helper
 */
export async function unpackHelper(
  load: LoadPacked | undefined = PACKED[Deno.build.arch],
): Promise<void> {
  if (load === undefined) return;
  const { HELPER } = await load().catch((cause: Error) => {
    throw new HelperError(
      `Cannot load the helper that the package carries: ${cause.message}`,
      "missing",
      "",
    );
  });
  const bytes = decode(HELPER.base64);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  if (new Uint8Array(digest).toHex() !== HELPER.sha256) {
    throw new HelperError(
      "Cannot use the helper that the package carries: it is not the one that was packed",
      "changed",
      "",
    );
  }
  unpacked = bytes;
}

/**
 * Reads the helper for this machine.
 *
 * @returns the bytes of a static ELF executable
 * @throws {HelperError} when there is none, or when root's could be written by
 * somebody else
 */
export function loadHelper(): Uint8Array<ArrayBuffer> {
  return unpacked ?? loadFile("helper");
}

/**
 * Reads the front for this machine, as an installation has it. The package carries
 * none: it has no `serve` either.
 *
 * @returns the bytes of a static ELF executable
 * @throws {HelperError} as {@linkcode loadHelper}
 */
export function loadFront(): Uint8Array<ArrayBuffer> {
  return loadFile("front");
}

function loadFile(what: "helper" | "front"): Uint8Array<ArrayBuffer> {
  const place = findPlace();
  if (place === undefined) {
    throw new HelperError(
      `Cannot find the ${what}: these sources come from the network and carry none`,
      "missing",
      "",
    );
  }
  const path = `${place.dir}/rustyrun-${what}-${Deno.build.arch}`;
  try {
    const bytes = Deno.readFileSync(path);
    if (!Deno.build.standalone) {
      refuseWritable(place.dir, place.program);
      refuseWritable(path, place.program);
    }
    return bytes;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new HelperError(
      `Cannot find the ${what}: "${path}" does not exist`,
      "missing",
      path,
    );
  }
}
