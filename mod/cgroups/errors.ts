/**
 * How the kernel's refusals about cgroups are worded: one table by file and
 * errno.
 *
 * @module
 */

import { errnoOf } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import { type CgroupWrite, nameAsked } from "./model.ts";

export { errnoOf };

interface Hint {
  file?: RegExp;
  errno: string;
  code: string;
  hint: string;
}

const HINTS: Hint[] = [
  {
    file: /memsw/,
    errno: "ENOENT",
    code: "kernel-setting-missing",
    hint: "This kernel does not count swap: boot it with swapaccount=1",
  },
  {
    file: /weight/,
    errno: "ENOENT",
    code: "kernel-setting-missing",
    hint:
      "Disk weights need the BFQ scheduler (modprobe bfq) or, on cgroup v2, CONFIG_BLK_CGROUP_IOCOST",
  },
  {
    file: /weight/,
    errno: "EOPNOTSUPP",
    code: "kernel-setting-missing",
    hint:
      "A weight on one disk needs the BFQ scheduler there (/sys/block/DISK/queue/scheduler) or, on cgroup v2, iocost (io.cost.qos in the root cgroup)",
  },
  {
    file: /hugetlb/,
    errno: "ENOENT",
    code: "kernel-setting-missing",
    hint: "ls /sys/kernel/mm/hugepages shows the page sizes that there are",
  },
  {
    errno: "ENOENT",
    code: "kernel-setting-missing",
    hint: "This kernel has no such setting, or its controller is not enabled",
  },
  {
    file: /memory\.(limit_in_bytes|memsw)/,
    errno: "EBUSY",
    code: "limit-below-usage",
    hint: "The container uses more than that now",
  },
  {
    file: /memory\.(memsw|limit)/,
    errno: "EINVAL",
    code: "limit-refused",
    hint:
      "Memory and swap together may not be below memory alone: give both limits",
  },
  {
    file: /cpuset/,
    errno: "EINVAL",
    code: "limit-refused",
    hint:
      "Name only CPUs and memory nodes that exist, that the cgroup above has, and that none beside it keeps to itself (grep 1 ../*/cpuset.*_exclusive in it)",
  },
  {
    file: /cpuset/,
    errno: "ERANGE",
    code: "limit-refused",
    hint: "The machine has fewer CPUs or memory nodes",
  },
  {
    file: /cpuset/,
    errno: "EACCES",
    code: "limit-refused",
    hint: "Name only CPUs and memory nodes that the cgroup above has",
  },
  {
    file: /cpu\.(cfs|max)/,
    errno: "EINVAL",
    code: "limit-refused",
    hint:
      "A period is 1000 to 1000000 (microseconds), a quota at least 1000 and no more than the cgroup above has, a burst no more than the quota",
  },
  {
    file: /cpu\.rt_/,
    errno: "EINVAL",
    code: "limit-refused",
    hint: "The cgroup above must have as much real-time CPU time to give",
  },
  {
    file: /use_hierarchy/,
    errno: "EINVAL",
    code: "limit-refused",
    hint: "Since Linux 5.11 child cgroups are always counted too",
  },
  {
    file: /blkio|io\./,
    errno: "ENODEV",
    code: "device-missing",
    hint: "lsblk shows the numbers of the whole disks that there are",
  },
  {
    file: /devices\./,
    errno: "EPERM",
    code: "cgroup-not-writable",
    hint:
      "The cgroup above denies this device itself (a container?), or CAP_SYS_ADMIN is missing",
  },
  {
    errno: "EROFS",
    code: "cgroup-not-writable",
    hint:
      "The cgroup file system is mounted read-only: in a container, start that one with --privileged or --cgroupns private and a writable /sys/fs/cgroup",
  },
  {
    errno: "EACCES",
    code: "cgroup-not-writable",
    hint: "Run as root, or in a cgroup that is delegated to you",
  },
  {
    errno: "EPERM",
    code: "cgroup-not-writable",
    hint: "Run as root, or in a cgroup that is delegated to you",
  },
  {
    errno: "ENOSPC",
    code: "cgroup-refused",
    hint:
      "A cgroup above limits how many there may be (cgroup.max.descendants)",
  },
  {
    errno: "EAGAIN",
    code: "cgroup-refused",
    hint:
      "A cgroup above limits how many there may be (cgroup.max.descendants)",
  },
  {
    file: /subtree_control/,
    errno: "EBUSY",
    code: "cgroup-refused",
    hint:
      "A cgroup that holds processes cannot hand controllers to its children",
  },
  {
    errno: "EBUSY",
    code: "cgroup-refused",
    hint:
      "It is in use: by a process, by a cgroup below it, or by one that has it for itself (cpu_exclusive); or the machine has as many memory cgroups as the kernel has numbers for (65,535)",
  },
  {
    errno: "EOPNOTSUPP",
    code: "cgroup-refused",
    hint:
      "The cgroup above is threaded or of an invalid type: see its cgroup.type",
  },
  {
    errno: "EINVAL",
    code: "limit-refused",
    hint: "The kernel does not take this value",
  },
];

/** The error for a failed action on a cgroup file or directory.
 *
 * @param wanted what follows "Cannot ": 'make the cgroup "/x"' */
export function wordFailure(
  wanted: string,
  file: string,
  error: unknown,
): ContainerError {
  const errno = errnoOf(error);
  const row = HINTS.find((h) =>
    h.errno === errno && (h.file === undefined || h.file.test(file))
  );
  const why = errno === "" ? String((error as Error).message ?? error) : errno;
  return new ContainerError(`Cannot ${wanted}: ${why}`, {
    code: row?.code ?? "cgroup-failed",
    hint: row?.hint,
    cause: error,
  });
}

/** The error for a failed action on a file of a container's own cgroup, whose
 * rights the container may have given away; for others as
 * {@linkcode wordFailure}. */
export function wordTaken(
  wanted: string,
  file: string,
  error: unknown,
): ContainerError {
  const errno = errnoOf(error);
  if (errno !== "EACCES" && errno !== "EPERM") {
    return wordFailure(wanted, file, error);
  }
  return new ContainerError(`Cannot ${wanted}: ${errno}`, {
    code: "cgroup-hidden",
    hint:
      "The container may have taken that right away: rustyrun delete --force ends it all the same, and root may do it",
    cause: error,
  });
}

/** The error for what needs a cgroup, where the container has none. */
export function noCgroup(wanted: string): ContainerError {
  return new ContainerError(`Cannot ${wanted}: it has no cgroup`, {
    code: "cgroup-missing",
    hint:
      "A container made with --cgroup-manager disabled has none, nor has that of a user without a delegated cgroup",
  });
}

/** The error for a limit that the kernel did not take. */
export function wordWrite(
  write: CgroupWrite,
  flags: ReadonlyMap<string, string>,
  error: unknown,
): ContainerError {
  const asked = nameAsked(flags, write.from, undefined);
  return wordFailure(
    `apply ${asked}: write "${write.value}" to "${write.file}"`,
    write.file,
    error,
  );
}
