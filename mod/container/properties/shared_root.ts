/**
 * The root of a container in the caller's mount namespace, on the host's side:
 * it is made here, detached, so that there is a descriptor and a note of it
 * before it can be seen anywhere; and here it is unmounted by that note when
 * nobody holds the descriptor any more.
 *
 * @module
 */

import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../../ffi/files.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import {
  closeFd,
  cstring,
  openFd,
  syscall,
  trySyscall,
} from "../../../ffi/libc.ts";
import {
  copyTree,
  detachMount,
  identifyMount,
  isMounted,
} from "../../../ffi/mount.ts";
import { identifyFile, isSameFile } from "../../../ffi/identity.ts";
import { sharesMounts } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { unescapeMountinfo } from "../../host.ts";
import { bootId, listIds, readLeftovers, writeLeftovers } from "../../state.ts";
import type { StateDir } from "../../state.ts";
import { rootReplaced } from "./rootfs.ts";
import type {
  Noted,
  NotedMount,
  Place,
  Prepared,
  SharedRoot,
} from "../model.ts";

const O_PATH = 0o10000000;
const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_PATH_NOFOLLOW = O_PATH | 0o2000000 |
  (Deno.build.arch === "aarch64" ? 0o100000 : 0o400000);
const LOCK_EX = 2;
const EINVAL = 22;
/** How many mounts may lie on each other on one root. */
const STACKED_MAX = 4096;

/** Code of the error for a root that lies in another mount namespace. */
export const ELSEWHERE = "mount-elsewhere";

interface MountLine {
  id: number;
  parent: number;
  path: string;
}

function readMounts(): Map<number, MountLine> {
  const lines = readTextFileSync("/proc/self/mountinfo").split("\n");
  return new Map(
    lines.filter((it) => it !== "").map((line) => {
      const [id, parent, , , path = ""] = line.split(" ");
      const mount = {
        id: Number(id),
        parent: Number(parent),
        path: unescapeMountinfo(path),
      };
      return [mount.id, mount];
    }),
  );
}

/** A mount and all that it lies in or on, from the inside out. */
function listAncestors(
  mounts: ReadonlyMap<number, MountLine>,
  id: number,
): MountLine[] {
  const found: MountLine[] = [];
  for (
    let at = mounts.get(id);
    at !== undefined && !found.includes(at);
    at = mounts.get(at.parent)
  ) found.push(at);
  return found;
}

function ownNamespace(): string {
  return readLinkSync("/proc/self/ns/mnt");
}

/** Whether a note is of this boot and this mount namespace. */
function isHere(mount: NotedMount): boolean {
  return mount.boot === bootId() && mount.namespace === ownNamespace();
}

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

/** Whether some process is in a mount namespace. */
function isInhabited(namespace: string): boolean {
  for (const { name } of readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readLinkSync(`/proc/${name}/ns/mnt`) === namespace) return true;
    } catch (error) {
      // It has just gone, or is a kernel thread.
      if (
        error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied
      ) continue;
      throw error;
    }
  }
  return false;
}

function cannotUnmount(mount: NotedMount, why: string): ContainerError {
  return new ContainerError(
    `Cannot unmount the container's root file system "${mount.path}": ${why}`,
    {
      code: "mount-left",
      hint:
        "findmnt shows what is there: unmount that, then delete the container again",
    },
  );
}

/** Whether the mount behind a descriptor is the noted one, not another with
 * the id of one that is gone: before 6.8, whether it shows the same directory,
 * wherever that has been moved to. */
function isNoted(fd: number, mount: NotedMount): boolean {
  const now = identifyMount(fd);
  if (now.id !== mount.id) return false;
  return mount.unique === undefined
    ? now.file === mount.file
    : now.unique === mount.unique;
}

/** Unmounts what is topmost where the noted mount is: itself, or what somebody
 * has mounted on it.
 *
 * @returns false when the mount of that id is another one
 * @throws {ContainerError} when it is ours and cannot be unmounted */
function detachTop(
  mount: NotedMount,
  own: MountLine,
  mounts: ReadonlyMap<number, MountLine>,
): boolean {
  // Without an id of this boot only its place tells of one that is not seen.
  const isOurs = mount.unique !== undefined || own.path === mount.path;
  const fd = trySyscall("openat", -100, cstring(own.path), O_PATH_NOFOLLOW);
  try {
    const top = fd < 0 ? NaN : identifyMount(fd).id;
    if (top === mount.id) {
      if (!isNoted(fd, mount)) return false;
    } else if (!isOurs) {
      return false;
    } else if (!listAncestors(mounts, top).some((it) => it.id === mount.id)) {
      throw cannotUnmount(mount, "another mount hides it");
    }
    const done = detachMount(fd);
    // EINVAL: somebody else was faster.
    if (done < 0 && done !== -EINVAL) {
      throw cannotUnmount(mount, new SyscallError("umount2", -done).message);
    }
    return true;
  } finally {
    if (fd >= 0) closeFd(fd);
  }
}

/**
 * Unmounts a container's root, and all that is mounted below or on it, by its
 * note; what is gone already is fine.
 *
 * @throws {ContainerError} when it is there and cannot be unmounted from here
 */
export function unmountShared(mount: NotedMount): void {
  if (mount.boot !== bootId()) return;
  if (mount.namespace !== ownNamespace()) {
    // A mount namespace goes with its last process, and its mounts with it.
    if (!isInhabited(mount.namespace)) return;
    throw new ContainerError(
      `Cannot unmount the container's root file system "${mount.path}": it is mounted in another mount namespace, ${mount.namespace}`,
      {
        code: ELSEWHERE,
        hint:
          "Delete the container from there: lsns -t mnt names a process for nsenter -m -t PID",
      },
    );
  }
  for (let tries = 0; tries < STACKED_MAX; tries++) {
    if (mount.unique !== undefined && !isMounted(mount.unique)) return;
    const mounts = readMounts();
    const own = mounts.get(mount.id);
    if (own === undefined || !detachTop(mount, own, mounts)) return;
  }
  throw cannotUnmount(mount, "what is mounted on it does not end");
}
