/**
 * What is said where the disk does not take, or give up, what is kept there.
 *
 * @module
 */

import { errnoOf } from "../../ffi/errno.ts";
import { ContainerError, describeFileError } from "../errors.ts";

/** Errors of a file system, whatever the file: no fault of rustyrun's. */
const HINTS: Record<string, string> = {
  ENOSPC:
    "Its file system is full (df and df -i show which): make room there, or keep states elsewhere with --root DIR",
  EDQUOT:
    "The quota of this user is used up: make room, or keep states elsewhere with --root DIR",
  EROFS:
    "Its file system is mounted read-only: remount it, or keep states elsewhere with --root DIR",
  EIO: "The disk fails: the kernel's log (dmesg) may say more",
  EAGAIN: "A process has a lease on a file there: lslocks shows which",
};

/** The error for a directory that does not take a state. */
export function cannotKeep(path: string, cause: unknown): ContainerError {
  return new ContainerError(
    `Cannot keep the container's state in "${path}": ${
      describeFileError(cause)
    }`,
    {
      code: "state-directory",
      hint: HINTS[errnoOf(cause)] ??
        "Name a directory that you may write: rustyrun --root DIR",
      cause,
    },
  );
}

function worded<T>(
  act: () => T,
  codes: readonly string[],
  word: (cause: unknown) => ContainerError,
): T {
  try {
    return act();
  } catch (cause) {
    throw codes.includes(errnoOf(cause)) ? word(cause) : cause;
  }
}

/** Writes below `path`; what the disk has against it is said in words, and
 * other errors pass. */
export function keeping<T>(path: string, act: () => T): T {
  return worded(act, Object.keys(HINTS), (cause) => cannotKeep(path, cause));
}

/** The error for a state that stays.
 *
 * @param errno why, by name
 * @param words the same in words */
export function cannotRemove(
  path: string,
  errno: string,
  words: string,
  cause?: unknown,
): ContainerError {
  const hint = HINTS[errno]?.split(/[,:] /)[0];
  return new ContainerError(
    `Cannot remove the container's state in "${path}": ${words}`,
    {
      code: "state-directory",
      hint: hint && `${hint}: see to it, and delete the container again`,
      cause,
    },
  );
}

/** Removes `path`, or what is below it; the same. */
export function removing<T>(path: string, act: () => T): T {
  return worded(
    act,
    Object.keys(HINTS),
    (cause) =>
      cannotRemove(path, errnoOf(cause), describeFileError(cause), cause),
  );
}

/** Saves what was changed of a container; the change itself holds already. */
export function saving<T>(id: string, act: () => T): T {
  return worded(act, Object.keys(HINTS), (cause) =>
    new ContainerError(
      `Cannot save what was changed of "${id}": ${describeFileError(cause)}`,
      {
        code: "state-directory",
        hint: `The change holds, but the next one will not know of it. ${
          HINTS[errnoOf(cause)]
        }`,
        cause,
      },
    ));
}

/** Reads below `path`, which may be another user's. EAGAIN: somebody has a lease
 * on a file there, F_SETLEASE in fcntl(2), and does not give it up. */
export function reading<T>(path: string, act: () => T): T {
  return worded(
    act,
    ["EACCES", "EPERM", "EIO", "EAGAIN"],
    (cause) =>
      new ContainerError(
        `Cannot look for containers in "${path}": ${describeFileError(cause)}`,
        {
          code: "state-directory",
          hint: HINTS[errnoOf(cause)] ??
            "It is another user's: call rustyrun as that user, or name a directory of your own: rustyrun --root DIR",
          cause,
        },
      ),
  );
}
