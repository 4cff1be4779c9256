/**
 * Unmounts the root of a container in the caller's mount namespace by its note,
 * when nobody holds its descriptor any more. Apart from who makes it
 * (shared_root.ts): `delete` needs this alone.
 *
 * @module
 */

import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../../ffi/files.ts";
import { errnoOf, isGone, SyscallError } from "../../../ffi/errno.ts";
import { closeFd, cstring, trySyscall } from "../../../ffi/libc.ts";
import { detachMount, identifyMount, isMounted } from "../../../ffi/mount.ts";
import { ContainerError } from "../../errors.ts";
import { unescapeMountinfo } from "../../host.ts";
import { bootId } from "../../state.ts";
import type { NotedMount } from "../model.ts";

const O_PATH_NOFOLLOW = 0o12000000 |
  (Deno.build.arch === "aarch64" ? 0o100000 : 0o400000);
const EINVAL = 22;

/** Code of the error for a root that lies in another mount namespace. */
export const ELSEWHERE = "mount-elsewhere";

/** How many mounts may lie on each other on one root. */
const STACKED_MAX = 4096;

/** A mount, and where it is. */
export interface MountLine {
  id: number;
  parent: number;
  path: string;
}

/** The mounts that a process sees, by their ids; by default this one. */
export function readMounts(process = "self"): Map<number, MountLine> {
  const lines = readTextFileSync(`/proc/${process}/mountinfo`).split("\n");
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
export function listAncestors(
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

/** This process's mount namespace, as its link in /proc names it. */
export function ownNamespace(): string {
  return readLinkSync("/proc/self/ns/mnt");
}

/** Whether a note is of this boot and this mount namespace. */
export function isHere(mount: NotedMount): boolean {
  return mount.boot === bootId() && mount.namespace === ownNamespace();
}

/** Whether some process of the noted mount namespace still sees the mount. The
 * namespace's number alone says little: the next namespace that is made gets the
 * number of one that has gone. */
function isSeenElsewhere(mount: NotedMount): boolean {
  for (const { name } of readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (
        readLinkSync(`/proc/${name}/ns/mnt`) === mount.namespace &&
        readMounts(name).has(mount.id)
      ) return true;
    } catch (error) {
      // It has just gone (EINVAL: between the two), or is a kernel thread.
      if (
        isGone(error) ||
        error instanceof Deno.errors.PermissionDenied ||
        errnoOf(error) === "EINVAL"
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
    if (!isSeenElsewhere(mount)) return;
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
