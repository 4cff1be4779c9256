/**
 * Files of cgroups that a user's container may have taken its owner's rights away
 * in: the owner gives them back.
 *
 * @module
 */

import {
  chmodSync,
  readTextFileSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { errnoOf } from "./errors.ts";

/** Does something with a file of a cgroup; a user's container may have taken its
 * owner's rights away, in the cgroup as well. */
function asOwner<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (errnoOf(error) !== "EACCES") throw error;
    giveRights(path);
    return act();
  }
}

function giveRights(path: string): void {
  try {
    chmodSync(path, 0o644);
  } catch (error) {
    if (errnoOf(error) !== "EACCES") throw error;
    chmodSync(path.slice(0, path.lastIndexOf("/")), 0o755);
    chmodSync(path, 0o644);
  }
}

/** Reads a file of a container's cgroup. */
export const readOwn = (path: string): string =>
  asOwner(path, () => readTextFileSync(path));

/** Writes a file of a container's cgroup, which must be there. */
export const writeOwn = (path: string, text: string): void =>
  asOwner(path, () => writeTextFileSync(path, text, { create: false }));
