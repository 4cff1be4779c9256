/**
 * The root of a container in the caller's mount namespace, on the host's side:
 * it is made here, detached, so that there is a descriptor and a note of it
 * before it can be seen anywhere. unmount.ts unmounts it by that note when nobody
 * holds the descriptor any more.
 *
 * @module
 */

import { SyscallError } from "../../../ffi/errno.ts";
import { closeFd, openFd, syscall } from "../../../ffi/libc.ts";
import { copyTree, identifyMount } from "../../../ffi/mount.ts";
import { identifyFile, isSameFile } from "../../../ffi/identity.ts";
import { sharesMounts } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { bootId, listIds, readLeftovers, writeLeftovers } from "../../state.ts";
import type { StateDir } from "../../state.ts";
import { rootReplaced } from "./rootfs.ts";
import { isHere, listAncestors, ownNamespace, readMounts } from "./unmount.ts";
import type { Noted, Place, Prepared, SharedRoot } from "../model.ts";

const O_PATH = 0o10000000;
const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const LOCK_EX = 2;

/** Two containers on one directory would lie on each other, and what is below
 * the first one's root would go with it.
 *
 * @throws {ContainerError} when another one has it */
function checkFree(path: string, place: number, root: string): void {
  const mounts = readMounts();
  const above = listAncestors(mounts, identifyMount(place).id);
  for (const id of listIds(root)) {
    const noted = readLeftovers({ path: `${root}/${id}`, fd: -1 });
    const theirs = (noted as Noted | undefined)?.mount;
    if (theirs === undefined || !isHere(theirs)) continue;
    if (!above.some((it) => it.id === theirs.id && it.path === theirs.path)) {
      continue;
    }
    throw new ContainerError(
      `Cannot use "${path}" as the root file system: the container "${id}" has its mounts there, in this mount namespace`,
      {
        code: "rootfs-busy",
        hint:
          `Remove it first (rustyrun delete ${id}), or add {"type":"mount"} to linux.namespaces`,
      },
    );
  }
}

function openRoot(path: string): number {
  try {
    return openFd(path, O_PATH | O_DIRECTORY);
  } catch (cause) {
    throw cannotTake(path, cause);
  }
}

function cannotTake(path: string, cause: unknown): unknown {
  if (!(cause instanceof SyscallError)) return cause;
  return new ContainerError(
    `Cannot take the root file system "${path}": ${cause.message}`,
    {
      code: "rootfs",
      hint: "rustyrun doctor shows what is missing here",
      cause,
    },
  );
}

/**
 * Takes the root in hand, when the container shares its caller's mount
 * namespace, and notes it in ROOT/ID before anything can see it. Also where it
 * fails, {@linkcode closeSharedRoot} is to follow.
 *
 * @throws {ContainerError} when another container has the directory, or the
 * kernel does not copy the tree
 */
export function holdSharedRoot(
  prepared: Prepared,
  noted: Noted,
  dir: StateDir,
  { root }: Pick<Place, "root">,
): void {
  const { config } = prepared;
  if (!sharesMounts(config)) return;
  const held: SharedRoot = { tree: -1, place: -1, lock: -1 };
  prepared.sharedRoot = held;
  held.lock = openFd(root, O_DIRECTORY);
  syscall("flock", held.lock, LOCK_EX);
  held.place = openRoot(config.rootfs);
  if (!isSameFile(identifyFile(held.place), prepared.root)) {
    throw rootReplaced(config);
  }
  checkFree(config.rootfs, held.place, root);
  try {
    held.tree = copyTree(held.place);
  } catch (cause) {
    throw cannotTake(config.rootfs, cause);
  }
  noted.mount = {
    ...identifyMount(held.tree),
    path: prepared.root.path,
    namespace: ownNamespace(),
    boot: bootId(),
  };
  writeLeftovers(dir, noted);
}

/** The slots that a plan with such a root inherits. */
export function sharedSlots({ sharedRoot }: Prepared): [string, number][] {
  return sharedRoot === undefined
    ? []
    : [["root", sharedRoot.tree], ["place", sharedRoot.place]];
}

/** The root is attached: the next container may look. */
export function releaseSharedLock({ sharedRoot }: Prepared): void {
  if (sharedRoot === undefined || sharedRoot.lock < 0) return;
  closeFd(sharedRoot.lock);
  sharedRoot.lock = -1;
}

/** Closes what this process has of it; the mount stays where it is attached. */
export function closeSharedRoot({ sharedRoot }: Prepared): void {
  if (sharedRoot === undefined) return;
  const { tree, place, lock } = sharedRoot;
  for (const fd of [tree, place, lock]) if (fd >= 0) closeFd(fd);
}
