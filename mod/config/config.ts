/**
 * Config: what every door (flags, config.json, library) comes down to, and
 * what the managers read. It is an OCI runtime-spec 1.3 configuration plus
 * the few things that the specification has no word for.
 *
 * @module
 */

import type { NamespaceType, Spec } from "./schema.ts";

export type { Spec } from "./schema.ts";

/** The upper layer of a throw-away root file system. */
export type Ephemeral =
  /** In memory, gone with the container's mount namespace. */
  | { kind: "memory" }
  /** In a fresh subdirectory of `dir`, removed when the container ends. */
  | { kind: "directory"; dir: string };

/** One validated container configuration. */
export interface Config {
  /** The container's id: [A-Za-z0-9_+.-]+, not "." or "..". */
  id: string;
  /** Absolute path of the bundle; in friendly mode the caller's directory. */
  bundle: string;
  /** Which directory that was when its config.json was read. */
  seenBundle?: { dev: bigint; ino: bigint };
  /** friendly: from flags (125/126/127 exit codes, docker's files in /etc);
   * oci: from a config.json (runc's codes, nothing the file does not say). */
  mode: "friendly" | "oci";
  /** The OCI configuration. Paths in it are as written; `rootfs` is resolved. */
  spec: Spec;
  /** Absolute path of the root file system on the host. */
  rootfs: string;
  /** What lay there when the flags were judged by it: stat(2). */
  seenRoot?: { dev: number; ino: number | null };
  /** Throw-away overlay over the root file system. */
  ephemeral?: Ephemeral;
  /** A file of ours in the container, in a tmpfs of its own: destination,
   * content, mode. Docker's /etc/hosts, /etc/hostname, /etc/resolv.conf. */
  files: { path: string; data: string; mode: number }[];
  /** Files of the root file system that get other contents, in its throw-away
   * layer: path, content. */
  overwrites: { path: string; data: string }[];
  /** Keep stdin open for the command (-i); else it reads /dev/null. */
  stdin: boolean;
  /** A process of ours as pid 1 that reaps and forwards signals (--init). */
  init: boolean;
  /** The library's: no command. The first process only reaps, in a cgroup v2 of
   * its own below the container's, and others are started beside it. */
  idle?: boolean;
  /** The library's: what it uses is counted where no limit asks for that. */
  counted?: boolean;
  /** chroot instead of pivot_root. */
  noPivot: boolean;
  /** Do not make a session keyring. */
  noNewKeyring: boolean;
  /** Descriptors 3 .. 3+n-1 of the caller go on into the container. */
  preserveFds: number;
  /** File to write the pid of the container's first process to. */
  pidFile?: string;
  /** AF_UNIX socket that receives the terminal's master (OCI). */
  consoleSocket?: string;
  /** AF_UNIX socket that receives the pidfd (OCI). */
  pidfdSocket?: string;
  /** User as typed (`-u`), when it is a name to be looked up in the rootfs:
   * "app", "app:staff". Numbers are in spec.process.user already. */
  userName?: string;
  /** Types of linux.namespaces whose path leads to the namespace that rustyrun
   * itself is in: what holds for one that is not listed holds for them. */
  ownNamespaces?: readonly NamespaceType[];
  /** How the ids of a user namespace are chosen, when the spec does not say
   * them: auto (root in the container is the caller or a range of
   * /etc/subuid), keep-id (the caller's own id inside), or nothing. */
  userns?: "auto" | "keep-id";
  /** Device paths of the host that `--device` named, to be looked at on the
   * host: [host path, container path, access]. */
  hostDevices: { host: string; container: string; access: string }[];
  /** `--security-opt seccomp=`: "unconfined", or the absolute path of a profile
   * in docker's format. Missing: the default profile in friendly mode, what
   * spec.linux.seccomp says in OCI mode. */
  seccompProfile?: string;
  /** Who makes the cgroups. auto: cgroupfs; in friendly mode, where a user asks
   * for a limit and has no cgroup, the user's systemd. */
  cgroupManager: "auto" | "cgroupfs" | "systemd" | "disabled";
  /** Config key ("linux.resources.memory.limit", "mounts[7]") -> the flag as
   * typed ("--memory 64m"). For --explain and for errors. */
  flags: Map<string, string>;
}
