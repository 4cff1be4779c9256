/**
 * Why something cannot be mounted.
 *
 * @module
 */

import { AT } from "../../ffi/constants.ts";
import { errnoName } from "../../ffi/errno.ts";
import { statSync } from "../../ffi/files.ts";
import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";
import type { Row } from "./rows.ts";
import { type Failure, quote, sourceOf, wantedOf } from "./wanted.ts";

/** Making a file system: what its type and its options have to do with it. */
function wordFsmount(
  { op }: Failure,
  name: string,
  facts: Facts,
): Row | undefined {
  if (op.do !== "fsmount") return undefined;
  if (op.fstype === "overlay") {
    return {
      code: "overlay",
      hint: facts.uid !== 0
        ? "A user namespace's overlay needs a kernel >= 5.11, and >= 6.6 for an upper layer in memory: --ephemeral=DIR names a directory for it"
        : name === "ENODEV"
        ? "This kernel has no overlay: modprobe overlay, or leave --ephemeral out"
        : "The root file system is itself an overlay (inside Docker?): --ephemeral=DIR with a DIR on another file system, or a volume",
    };
  }
  if ((op.fstype === "proc" || op.fstype === "sysfs") && name === "EPERM") {
    return {
      code: "masked-proc",
      hint: `/${
        op.fstype === "proc" ? "proc" : "sys"
      } is partly masked here (a container?): rustyrun doctor shows what to change`,
    };
  }
  if (name === "EINVAL") {
    return {
      code: "mount-options",
      hint:
        `The file system ${op.fstype} does not take one of the options, or not that value`,
    };
  }
  if (name === "EBUSY" && op.fstype === "cgroup") {
    return {
      code: "cgroup-hierarchy",
      hint:
        "The controller is in use in another hierarchy: /proc/self/cgroup shows which there are",
    };
  }
  return undefined;
}

/** Attributes of a mount that cannot be set. */
function wordAttributes({ op }: Failure, name: string): Row | undefined {
  if (op.do !== "mountSetattr") return undefined;
  if (op.userns !== "" && (name === "EINVAL" || name === "EPERM")) {
    return {
      code: "mount-idmap",
      hint:
        "This kernel cannot map the ids of that file system, or they are mapped already: leave idmap out, or use another file system",
    };
  }
  if (name === "EPERM" || name === "EACCES") {
    return {
      code: "mount-locked",
      hint:
        "In a user namespace what the host has mounted read-only, nosuid, nodev or noexec must stay so",
    };
  }
  return undefined;
}

/** What open_tree(2) does not take. */
function wordTree(
  { op }: Failure,
  name: string,
  { it, config, facts }: { it: string; config: Config; facts: Facts },
): Row | undefined {
  if (op.do !== "openTree") return undefined;
  const inUserns = namespaceUse(config, "user") !== "inherit" || facts.inUserns;
  switch (name) {
    case "ENOENT":
      return {
        code: "mount-source",
        message: `${it}: the source does not exist: no such file or directory`,
        hint: "Create it first, or correct the path",
      };
    case "EACCES":
      return {
        code: "mount-source",
        hint: "A directory above it does not let this user in",
      };
    case "EINVAL":
      if (
        !inUserns || (Number(op.flags) & AT.RECURSIVE) !== 0 ||
        !/^(mounts|root\.path)/.test(op.from ?? "")
      ) {
        return {
          code: "mount-unbindable",
          hint:
            "The mount that it lies on is unbindable: findmnt -o TARGET,PROPAGATION shows it, mount --make-private changes it",
        };
      }
      return {
        code: "mount-uncovers",
        message:
          `${it}: the host has mounted something in it, and a container with a user namespace is not to see what that covers`,
        hint: op.from?.startsWith("mounts")
          ? 'Take it along: "rbind" in place of "bind", and no bind-recursive=disabled'
          : "Unmount it, or leave --ephemeral out",
      };
    default:
      return undefined;
  }
}

/** Whether the caller may not enter a directory, and so nothing in it. */
function isClosed(directory: string): boolean {
  try {
    statSync(`${directory}/.`);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied;
  }
}

/** What making a directory says where others rename things meanwhile. */
const REPLACED: readonly string[] = ["EEXIST", "ENOENT", "ESTALE"];

/** Making a directory of our own where others may write. */
function wordOwn({ op }: Failure, name: string, it: string): Row | undefined {
  if (op.do !== "mkdirOwn") return undefined;
  if (REPLACED.includes(name)) {
    return {
      code: "replaced",
      message: `${it}: ${quote(op.name)} has not stayed what was made`,
      hint:
        "Who else may write that directory has put something in its place: give one that is yours alone",
    };
  }
  if (name === "EACCES" || name === "EPERM") {
    return {
      code: "ephemeral-unusable",
      hint:
        "Give a directory that you may write, or --ephemeral alone to keep the changes in memory",
    };
  }
  return undefined;
}

/** Words an operation that mounts, or that finds or makes the place for it. */
export function wordMount(
  failure: Failure,
  config: Config,
  facts: Facts,
): Row {
  const { op } = failure;
  const name = errnoName(failure.errno);
  const it = `Cannot ${wantedOf(op, config)}${sourceOf(op, config)}`;
  // tmpfs says ENOSPC for want of room: a file of ours in one of 0 bytes.
  const makes = op.do === "mkdir" || op.do === "mkdirOwn" || op.do === "target";
  if (name === "ENOSPC" && !makes) {
    return {
      code: "mount-limit",
      message: `${it}: there may be no more mounts`,
      hint:
        "The sysctls fs.mount-max and user.max_mnt_namespaces are the limits",
    };
  }
  const special = wordTree(failure, name, { it, config, facts }) ??
    wordOwn(failure, name, it) ??
    wordFsmount(failure, name, facts) ??
    wordAttributes(failure, name);
  if (special !== undefined) return special;
  const isPlace = op.do === "target" || op.do === "mkdir" || op.do === "open";
  switch (name) {
    case "EPERM":
    case "EACCES":
      if (isPlace && name === "EACCES" && isClosed(config.rootfs)) {
        return {
          code: "rootfs-denied",
          message: `Cannot use the root file system ${
            quote(config.rootfs)
          }: user ${facts.uid} may not enter it`,
          hint: "Give a directory of your own, such as a copy of it",
        };
      }
      if (isPlace) {
        return namespaceUse(config, "user") === "inherit"
          ? {
            code: "mount-point-denied",
            hint:
              "Make the mount point first, as who owns the root file system",
          }
          : {
            code: "mount-point-denied",
            hint:
              "It is missing, and what it belongs in is not of an id that the user namespace maps: make it first, or chown the root file system",
          };
      }
      return {
        code: "mount-denied",
        hint: facts.uid === 0 && !facts.inUserns
          ? "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what"
          : "In a user namespace the kernel allows only some file systems, and locks what the host has mounted",
      };
    case "EROFS":
      return op.from === "ephemeral"
        ? {
          code: "ephemeral-readonly",
          hint:
            "Its file system is mounted read-only: name another directory, or leave =DIR out",
        }
        : {
          code: "mount-readonly",
          hint:
            "The mount point does not exist and the root file system is read-only: make it there, or use --ephemeral",
        };
    case "ENOENT":
      // In proc, sysfs and a directory that was removed nothing can be made.
      if (!isPlace) return { code: "mount" };
      return {
        code: "mount-point",
        hint:
          "It is missing, and the root file system is one in which no directory can be made: name another one",
      };
    case "ENODEV":
      return {
        code: "filesystem-unknown",
        hint:
          "This kernel does not know that file system: see /proc/filesystems",
      };
    case "ELOOP":
      return {
        code: "mount-point",
        hint:
          "A symbolic link is in the way: none is followed for /proc and /sys, in a circle, or out of procfs",
      };
    case "ENOTDIR":
    case "EISDIR":
    case "EEXIST":
      return {
        code: "mount-point",
        hint:
          "The mount point in the root file system is of another kind than what is mounted on it",
      };
    case "ESTALE":
      return {
        code: "replaced",
        hint:
          "It lies in another mount of the container, but its path leads elsewhere: a link or a later mount is in the way, or somebody renames in the root file system",
      };
    case "EINVAL":
      return {
        code: "mount-invalid",
        hint: op.do === "moveMount"
          ? "The kernel cannot mount that there: a namespace in itself, or below a mount that is shared with the host"
          : "The kernel does not take these options together: see mount_setattr(2)",
      };
    case "ENOSPC":
    case "EDQUOT":
      return {
        code: "mount-point-space",
        hint: "There is no room left where it would be made: df shows where",
      };
    case "ENAMETOOLONG":
      return {
        code: "path-too-long",
        hint: "A name has at most 255 bytes, an option 4095, and a path 4095",
      };
    case "ENOSYS":
      return {
        code: "mount-api",
        hint:
          "The kernel is older than 5.15, or a seccomp filter forbids it (a container?): rustyrun doctor shows which",
      };
    default:
      return { code: "mount" };
  }
}
