/**
 * The configuration that `rustyrun spec` writes: the same container as that
 * of `runc spec`, a shell with three capabilities on a read-only root.
 *
 * @module
 */

import type { Mount, Namespace, NamespaceType, Spec } from "./schema.ts";

/** What {@linkcode defaultSpec} makes. */
export interface DefaultSpecOptions {
  /** For a caller that is not root: a user namespace, the caller's ids mapped
   * to root, no network namespace and no resources. */
  rootless?: boolean;
  /** The caller's ids for the mappings of `rootless`. Default: 0. */
  uid?: number;
  gid?: number;
}

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** Returns a mount whose source is named like a device. */
function makeMount(
  destination: string,
  type: string,
  source: string,
  ...options: string[]
): Mount {
  return options.length === 0
    ? { destination, type, source }
    : { destination, type, source, options };
}

/** Returns a fresh configuration; its root file system is "rootfs" in the
 * bundle. */
export function defaultSpec(options: DefaultSpecOptions = {}): Spec {
  const { rootless = false, uid = 0, gid = 0 } = options;
  const quiet = ["nosuid", "noexec", "nodev"];
  const types: NamespaceType[] = rootless
    ? ["pid", "ipc", "uts", "mount", "cgroup", "user"]
    : ["pid", "network", "ipc", "uts", "mount", "cgroup"];
  return {
    ociVersion: "1.3.0",
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM=xterm",
      ],
      cwd: "/",
      capabilities: {
        bounding: [...CAPABILITIES],
        effective: [...CAPABILITIES],
        permitted: [...CAPABILITIES],
      },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "rustyrun",
    mounts: [
      makeMount("/proc", "proc", "proc"),
      makeMount(
        "/dev",
        "tmpfs",
        "tmpfs",
        "nosuid",
        "strictatime",
        "mode=755",
        "size=65536k",
      ),
      makeMount(
        "/dev/pts",
        "devpts",
        "devpts",
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        ...(rootless ? [] : ["gid=5"]),
      ),
      makeMount(
        "/dev/shm",
        "tmpfs",
        "shm",
        ...quiet,
        "mode=1777",
        "size=65536k",
      ),
      makeMount("/dev/mqueue", "mqueue", "mqueue", ...quiet),
      rootless
        ? makeMount("/sys", "none", "/sys", "rbind", ...quiet, "ro")
        : makeMount("/sys", "sysfs", "sysfs", ...quiet, "ro"),
      makeMount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        ...quiet,
        "relatime",
        "ro",
      ),
    ],
    linux: {
      ...(rootless
        ? {
          uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
          gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
        }
        : { resources: { devices: [{ allow: false, access: "rwm" }] } }),
      namespaces: types.map((type): Namespace => ({ type })),
      maskedPaths: [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
      ],
      readonlyPaths: [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
      ],
    },
  };
}
