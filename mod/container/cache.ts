/**
 * Caches below the directory of all states, ROOT/.cache. ROOT belongs to the
 * caller alone, so that nobody else can put anything there.
 *
 * @module
 */

import { mkdirSync, renameSync, writeFileSync } from "../../ffi/files.ts";
import { checkStateRoot } from "../state/root.ts";

/**
 * Writes a file of a cache, whole or not at all. One that cannot be written is
 * no reason to fail: it is only a cache.
 *
 * @param dir directory below `root`: ".cache/seccomp"
 * @throws {ContainerError} when somebody else could write `root`
 */
export function writeCache(
  root: string,
  dir: string,
  name: string,
  bytes: Uint8Array,
): void {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    checkStateRoot(root);
    mkdirSync(`${root}/${dir}`, { recursive: true, mode: 0o700 });
    const temporary = `${root}/${dir}/.${name}.${Deno.pid}`;
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, `${root}/${dir}/${name}`);
  } catch (error) {
    // Where `root` itself cannot be, making the state says so.
    if (
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.AlreadyExists ||
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return;
    if (error instanceof Error && /os error (28|30)/.test(error.message)) {
      return;
    }
    throw error;
  }
}
