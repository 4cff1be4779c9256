/**
 * Loads all of rustyrun but what main.ts itself needs. In the bundle that is a
 * packed text: Deno keeps compiled code only of files, so it is written to one
 * beside Deno's own caches, once for each build.
 *
 * @module
 */

import { denoCacheDir } from "../../ffi/helper.ts";
import { BUILD } from "../container/replay.ts";

/** Property of globalThis, in a bundle: an object with the packed text (base64
 * of brotli), `packed`. */
export const PACKED = "__rustyrun_packed__";

type Main = (argv: readonly string[]) => Promise<number>;

const global = globalThis as Record<string, unknown>;

/** Deno 2.9 has it, its types do not. */
const BROTLI = "brotli" as CompressionFormat;

async function unpack(packed: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([Uint8Array.fromBase64(packed)]).stream()
    .pipeThrough(new DecompressionStream(BROTLI));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Where the text is kept: beside what Deno compiles; under an engine that sets
 * no HOME, with the states. undefined where neither has a place. */
function placeOf(build: string): { dir: string; file: string } | undefined {
  const env = (name: string) => Deno.env.get(name);
  const run = Deno.uid() === 0 ? "/run" : env("XDG_RUNTIME_DIR");
  const cache = denoCacheDir(env) ?? (run && `${run}/rustyrun/.cache`);
  if (!cache) return undefined;
  const dir = `${cache}/rustyrun`;
  return { dir, file: `${dir}/${build}.js` };
}

/** Whether nobody but this user and root could have put anything at a path, as
 * far as it exists: the directories above it count, unless they are sticky. */
function isOurs(path: string): boolean {
  if (!path.startsWith("/")) return false;
  // In a user namespace root is somebody else's: who owns "/".
  const owners = [0, Deno.uid(), Deno.lstatSync("/").uid];
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(at);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    if (!owners.includes(info.uid)) return false;
    // Whose a link is, that one could lead elsewhere.
    if (info.isSymlink && (at === path || !isOurs(Deno.realPathSync(at)))) {
      return false;
    }
    const mode = info.isSymlink ? 0 : info.mode ?? 0;
    const others = info.gid === Deno.gid() ? 0o002 : 0o022;
    if (mode & others && (at === path || !(mode & 0o1000))) return false;
  }
  return true;
}

/** Whether it is there, and is ours. */
function isKept({ file }: { file: string }): boolean {
  try {
    return Deno.lstatSync(file).isFile && isOurs(file);
  } catch {
    return false;
  }
}

const MONTH_MS = 30 * 24 * 3600 * 1000;

/** Removes builds that nobody has written lately. */
function prune(dir: string): void {
  for (const { name } of Deno.readDirSync(dir)) {
    const path = `${dir}/${name}`;
    const age = Date.now() - (Deno.lstatSync(path).mtime?.getTime() ?? 0);
    if (age > MONTH_MS) Deno.removeSync(path);
  }
}

/** Writes the text, whole or not at all.
 *
 * @returns false where that cannot be: the text is loaded from memory then */
function keep(
  { dir, file }: { dir: string; file: string },
  text: Uint8Array,
): boolean {
  try {
    if (!isOurs(dir)) return false;
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    // Somebody else may have been faster with it in a directory for all.
    if (!isOurs(dir)) return false;
    prune(dir);
    const temporary = `${file}.${Deno.pid}`;
    Deno.writeFileSync(temporary, text, { mode: 0o600 });
    Deno.renameSync(temporary, file);
    return isKept({ file });
  } catch {
    return false;
  }
}

/** Loads rustyrun's main function. */
export async function loadMain(): Promise<Main> {
  const build = global[BUILD] as string | undefined;
  const packed = global[PACKED] as { packed: string } | undefined;
  if (packed === undefined || build === undefined) {
    return (await import("./main.ts")).main;
  }
  const place = placeOf(build);
  if (place === undefined || !isKept(place)) {
    const text = await unpack(packed.packed);
    if (place === undefined || !keep(place, text)) {
      const url = `data:text/javascript;base64,${text.toBase64()}`;
      return (await import(url)).main;
    }
  }
  // What encodeURI leaves, a file may have in its name.
  const path = encodeURI(place.file).replace(/[?#]/g, encodeURIComponent);
  return (await import(`file://${path}`)).main;
}
