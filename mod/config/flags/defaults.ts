/**
 * What a container of the friendly form has without being asked: Docker's
 * defaults (moby: daemon/pkg/oci/defaults.go, caps/defaults.go).
 *
 * @module
 */

import type { Mount } from "../schema.ts";
import type { FlagsHost } from "./host.ts";

/** The search path of the command. */
export const DEFAULT_PATH =
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The host name in the container. */
export const DEFAULT_HOSTNAME = "rustyrun-container";

/** The 14 capabilities of a container, without CAP_. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
];

/** Paths that read as empty in the container. */
export const MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

const CPUS = "/sys/devices/system/cpu";

/** Counters of how hot each CPU became, from which one can tell what others
 * compute; where there are any, every CPU has them. */
export function listThrottles({ list }: Pick<FlagsHost, "list">): string[] {
  const name = "thermal_throttle";
  if (!list(`${CPUS}/cpu0`).some((it) => it.name === name)) return [];
  return list(CPUS).filter((it) => /^cpu\d+$/.test(it.name))
    .map((it) => `${CPUS}/${it.name}/${name}`);
}

/** Paths that are read-only in the container. */
export const READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/**
 * Returns the file systems of every container, in mounting order.
 *
 * @param bindSys show the host's /sys in place of a new sysfs, which the kernel
 * refuses to a user namespace that does not own the network namespace
 */
export function listDefaultMounts(bindSys: boolean): Mount[] {
  const locked = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: locked },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        "gid=5",
        // The machine has some 3,000 for all containers: kernel.pty.max.
        "max=1024",
      ],
    },
    bindSys
      ? {
        destination: "/sys",
        type: "none",
        source: "/sys",
        options: ["rbind", "rro", ...locked],
      }
      : {
        destination: "/sys",
        type: "sysfs",
        source: "sysfs",
        options: [...locked, "ro"],
      },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["ro", ...locked],
    },
    {
      destination: "/dev/mqueue",
      type: "mqueue",
      source: "mqueue",
      options: locked,
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...locked, "mode=1777", "size=65536k"],
    },
  ];
}
