/**
 * Where the states are, for whom nobody says it.
 *
 * @module
 */

import { lstatSync, mkdirSync } from "../../ffi/files.ts";
import { type Caller, findVariable } from "../caller.ts";
import { ContainerError } from "../errors.ts";
import { outerRoot } from "../host.ts";
import { cannotKeep } from "./words.ts";

/** Where state is kept when --root does not say it: /run/rustyrun for root,
 * else below XDG_RUNTIME_DIR; without one, below /tmp.
 *
 * @param uid as it is outside of any user namespace: its root may not write
 * /run, which is the host's */
export function defaultRoot(uid: number, runtimeDir: string | undefined) {
  if (uid === 0) return "/run/rustyrun";
  return runtimeDir ? `${runtimeDir}/rustyrun` : `/tmp/rustyrun-${uid}`;
}

/** The same for a caller. */
export function ownRoot(caller: Caller): string {
  const uid = caller.uid || outerRoot(caller.proc);
  return defaultRoot(
    uid,
    uid === 0 ? undefined : findVariable(caller.environment, "XDG_RUNTIME_DIR"),
  );
}

/**
 * Makes a directory below /tmp, where others may have made one of that name
 * before: what stands in it says what is to be killed and removed.
 *
 * @throws {ContainerError} when it is not this user's alone
 */
export function claimSharedRoot(path: string, uid: number): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw cannotKeep(path, error);
    }
  }
  const info = lstatSync(path);
  const why = info.uid !== uid
    ? `it belongs to user ${info.uid}`
    : !info.isDirectory
    ? "it is no directory"
    : (info.mode ?? 0) & 0o022
    ? "others may write it"
    : undefined;
  if (why === undefined) return;
  throw new ContainerError(
    `Cannot keep the container's state in "${path}": ${why}`,
    {
      code: "state-directory",
      hint:
        "Set XDG_RUNTIME_DIR, or name a directory of your own: rustyrun --root DIR",
    },
  );
}
