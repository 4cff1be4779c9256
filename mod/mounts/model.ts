/**
 * What the mounts manager knows of the host when it plans: found by inspect.ts,
 * or made up by a test.
 *
 * @module
 */

import type { FileId } from "../../ffi/identity.ts";
import type { Device } from "../config/schema.ts";

/** A directory or file of the upper layer. */
export interface Veil {
  /** Its place in the root file system: "/var/tmp". */
  path: string;
  mode: number;
  /** "way" leads to something that is hidden. */
  kind: "way" | "directory" | "file";
}

/** Type of a bind mount's source; the last three make planning fail. */
export type SourceType = "directory" | "file" | "missing" | "link" | "denied";

/** One entry of a directory of the host, for the root that is put together
 * from one overlay per directory. */
export interface HostEntry {
  /** Absolute path on the host: "/usr". */
  path: string;
  type: "directory" | "file" | "symlink";
  /** Where a symbolic link points. */
  link?: string;
  mode: number;
  /** Something is mounted here, which an overlay would not cross; or the
   * container has something of its own here. */
  mountPoint: boolean;
  /** Entries, where a mount further below forbids one overlay for all of it. */
  entries?: HostEntry[];
}

/** An unbindable mount of the host's in a tree. */
export interface Unbindable {
  path: string;
  /** Others may rename what leads to it: it may be in there. */
  unsure: boolean;
}

/** What `inspectMounts()` found. */
export interface MountHost {
  /** Type of the source of `mounts[i]`, for bind mounts. */
  sources: ReadonlyMap<number, SourceType>;
  /** Sources that an earlier mount of the list brings, by index in `mounts`: where
   * they are in the container. */
  brought?: ReadonlyMap<number, string>;
  /** Entries of `mounts`, by index, whose place in a volume or in the root file
   * system is there already; of those that remount, only what the host has mounted
   * there. Known where something has to be locked. */
  present?: ReadonlySet<number>;
  /** What was looked at and is going to be opened again, by the slot that it
   * goes into: the child stage takes no other file than that. */
  seen: ReadonlyMap<string, FileId>;
  /** Volumes of flags, by index in `mounts`, whose source's mount is not what
   * their propagation needs: "shared", or "shared or a slave". */
  unmet?: ReadonlyMap<number, string>;
  /** By paths of the host: what is mounted in there and would be missing in a
   * copy, so that what it covers would lie bare. Known for a user namespace. */
  unbindable?: ReadonlyMap<string, Unbindable>;
  /** Modes of the host's devices by their paths, where a configuration asks for
   * one of a device that it shall see itself. */
  modes: ReadonlyMap<string, number>;
  /** The host's devices, by path, whose owner is somebody in the container's user
   * namespace, who could change their mode and owner. */
  owned: ReadonlySet<string>;
  /** Devices of `--device`, looked up, each with its path on the host. */
  devices: readonly (Device & { source: string })[];
  /** Sources that are taken before the root, or the stage, lies on its directory:
   * those below that are not to be found any more then, and those that hold it
   * would have it in them. */
  hidden: ReadonlySet<string>;
  /** The root file system's directory: its path without links. */
  rootPath: string;
  /** Directory of the container's state: nothing in it is looked for while the
   * root is made. */
  state: string;
  /** There may be more: others than root and the caller may rename a directory
   * above the root file system. */
  unsure: boolean;
  /** The root file system is the host's own root. */
  isHostRoot: boolean;
  /** The root file system's mount is read-only on the host. */
  rootReadonly: boolean;
  /** Attributes of the root file system's mount that a layer over it is to have as
   * well. */
  forbidden?: number;
  /** What is mounted in the root file system, as the container's root sees it:
   * "/proc". The three are known where something has to be locked. */
  below: readonly string[];
  /** Mounts of the kernel's own file systems in the root file system, by the
   * container's paths, with what statfs(2) says of their type. */
  kernelOwn?: readonly { path: string; magic: number }[];
  /** Where the host has a procfs or a sysfs, which stays behind a chroot; known
   * with --no-pivot. */
  behind?: readonly string[];
  /** What an overlay over the root file system is not to show. */
  veils: readonly Veil[];
  /** /proc/kcore exists: /dev/core is made. */
  kcore: boolean;
  /** The caller is in a user namespace that does not map group 5 (tty), and
   * the container stays in it. */
  ttyGroupUnmapped?: boolean;
  /** Top of the host, for an unprivileged `--rootfs / --ephemeral`. */
  top?: readonly HostEntry[];
  /** Fresh directory for the upper layer of a throw-away root; absent: the
   * configuration's own. */
  upper?: string;
  /** Directory of the container's cgroup under a hierarchy's mount point:
   * "/sys/fs/cgroup/memory" -> "/sys/fs/cgroup/memory/box". From the cgroups
   * manager; a hierarchy that is not named shows the caller's own cgroup. */
  cgroups: ReadonlyMap<string, string>;
}
