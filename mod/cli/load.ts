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

/** Whether it is there, and nobody but this user and root could have written
 * it. */
function isKept({ dir, file }: { dir: string; file: string }): boolean {
  try {
    for (const path of [dir, file]) {
      const { uid, mode } = Deno.lstatSync(path);
      if (uid !== 0 && uid !== Deno.uid()) return false;
      if ((mode ?? 0) & 0o022) return false;
    }
    return true;
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
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    prune(dir);
    const temporary = `${file}.${Deno.pid}`;
    Deno.writeFileSync(temporary, text, { mode: 0o600 });
    Deno.renameSync(temporary, file);
    return isKept({ dir, file });
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
  return (await import(`file://${encodeURI(place.file)}`)).main;
}
