/**
 * File systems that show what is the kernel's own, and hold no files of a
 * system.
 *
 * @module
 */

import { MAGIC } from "../../ffi/constants.ts";

/** By their names in mountinfo, proc_pid_mountinfo(5): what statfs(2) says of
 * their type. */
export const KERNEL_OWN: ReadonlyMap<string, number> = new Map([
  ["proc", MAGIC.PROC],
  ["sysfs", MAGIC.SYSFS],
  ["cgroup", MAGIC.CGROUP],
  ["cgroup2", MAGIC.CGROUP2],
  ["resctrl", MAGIC.RDTGROUP],
  ["devpts", MAGIC.DEVPTS],
  ["nsfs", MAGIC.NSFS],
  ["debugfs", MAGIC.DEBUGFS],
  ["tracefs", MAGIC.TRACEFS],
  ["securityfs", MAGIC.SECURITYFS],
  ["pstore", MAGIC.PSTOREFS],
  ["efivarfs", MAGIC.EFIVARFS],
  ["bpf", MAGIC.BPF_FS],
]);
