/**
 * What the library's callers give and get. Each option has the meaning of the flag
 * of `rustyrun run` that flags.ts names beside it.
 *
 * @module
 */

/** A size in bytes, or as a flag has it: `"64m"`, `"1g"`. */
export type Size = number | string;

/** What a container is made of: the options of {@linkcode Sandbox.create} and
 * {@linkcode Sandbox.run}, each of the same meaning as the flag of `rustyrun run`
 * that has its name. */
export interface SandboxOptions {
  /** Root file system: a directory (`--rootfs`). "/" is this machine's own; it
   * wants `ephemeral` or `readOnly`. */
  rootfs: string;
  /** Throw all changes away: in memory, or kept in this directory until the end
   * (`--ephemeral`). */
  ephemeral?: boolean | string;
  /** The root file system cannot be written to (`--read-only`). */
  readOnly?: boolean;
  /** With `rootfs: "/"`: do not hide homes (`--show-home`). */
  showHome?: boolean;
  /** `"SRC:DST[:OPTIONS]"`: show a file or directory of the host
   * (`--volume`). */
  volumes?: readonly string[];
  /** `"type=bind,src=SRC,dst=DST"`: the long form (`--mount`). */
  mounts?: readonly string[];
  /** `"DST[:OPTIONS]"`: empty file systems in memory (`--tmpfs`). */
  tmpfs?: readonly string[];
  /** Variables (`--env`); `undefined` passes on what this process was started with,
   * if it was (not what `Deno.env.set()` has made of it). */
  env?: Readonly<Record<string, string | undefined>>;
  /** Files of variables (`--env-file`). */
  envFiles?: readonly string[];
  /** Working directory in the container (`--workdir`). */
  cwd?: string;
  /** User: `1000`, `"1000:1000"`, `"app"` (`--user`). */
  user?: string | number;
  /** A pid 1 that reaps and passes signals on (`--init`): for
   * {@linkcode Sandbox.run}; a sandbox that lasts always has one. */
  init?: boolean;
  /** Limits of processes (`--ulimit`): `{ nofile: 64, cpu: "1:2" }`. */
  ulimits?: Readonly<Record<string, string | number>>;
  /** Memory (`--memory`). */
  memory?: Size;
  /** Memory and swap together (`--memory-swap`); -1: no limit. */
  memorySwap?: Size;
  /** CPUs: 0.5 is half of one (`--cpus`). */
  cpus?: number;
  /** Weight against other containers (`--cpu-shares`). */
  cpuShares?: number;
  /** CPUs to run on: `"0-2,4"` (`--cpuset-cpus`). */
  cpusetCpus?: string;
  /** Processes and threads (`--pids-limit`); -1: no limit. A sandbox's own pid 1
   * is one of them. */
  pids?: number;
  /** Host name (`--hostname`). */
  hostname?: string;
  /** An empty network (the default), or the host's (`--network`). */
  network?: "none" | "host";
  /** User ids: `"host"`, `"auto"`, `"keep-id"` or `"C:H:N"` (`--userns`). */
  userns?: string;
  /** Capabilities to add (`--cap-add`). */
  capAdd?: readonly string[];
  /** Capabilities to drop (`--cap-drop`). */
  capDrop?: readonly string[];
  /** `"seccomp=FILE|unconfined"`, ... (`--security-opt`). */
  securityOpt?: readonly string[];
  /** Devices of the host: `"PATH[:DST[:rwm]]"` (`--device`). */
  devices?: readonly string[];
  /** Kernel parameters of the container (`--sysctl`). */
  sysctls?: Readonly<Record<string, string | number>>;
  /** The container's id (`--name`): `rustyrun list` shows it. */
  name?: string;
  /** chroot in place of pivot_root (`--no-pivot`). */
  noPivot?: boolean;
  /** Stay in this process's session keyring (`--no-new-keyring`). */
  noNewKeyring?: boolean;
  /** Directory of the containers' states (`rustyrun --root`). */
  stateDir?: string;
  /** How cgroups are made (`rustyrun --cgroup-manager`); `"disabled"`: no limits
   * and no device rules (docs/using.md, "Devices"). */
  cgroupManager?: "cgroupfs" | "systemd" | "disabled";
}

/** How a sandbox is made. */
export interface CreateOptions extends SandboxOptions {
  /** Gives the making up. */
  signal?: AbortSignal;
}

/** What a process reads: nothing (the default), a text, bytes, a stream, or what
 * is written to {@linkcode Run.stdin}. */
export type Input =
  | "piped"
  | "null"
  | Uint8Array<ArrayBuffer>
  | { text: string }
  | ReadableStream<Uint8Array>;

/** How a process is watched. */
export interface WatchOptions {
  /** What it reads. */
  stdin?: Input;
  /** Milliseconds after which all of it is killed. */
  timeout?: number;
  /** Kills all of it; the run rejects with the signal's reason. */
  signal?: AbortSignal;
  /** How much it may write to both outputs together before it is killed. Without
   * one what nobody reads is collected up to 16 MiB, and what is read as a stream
   * has no end. */
  maxOutput?: Size;
}

/** How a process is run in a sandbox. */
export interface SpawnOptions extends WatchOptions {
  /** Variables beside the sandbox's own (`exec --env`). */
  env?: Readonly<Record<string, string | undefined>>;
  /** Working directory in the container (`exec --workdir`). */
  cwd?: string;
  /** Another user (`exec --user`). */
  user?: string | number;
}

/** A container for one command. */
export interface RunOptions extends SandboxOptions, WatchOptions {
  /** The command and its words. */
  command: readonly string[];
}

/** Which limit ended a process. */
export type Limit = "memory" | "pids" | "cpu" | "time" | "output";

/** How a process ended, and what it used. */
export interface RunResult {
  /** Its exit code; 128 and the signal's number where a signal ended it. 124 where
   * its time was over, as timeout(1) has it, and 137 where it wrote too much. */
  readonly code: number;
  /** The signal that ended it: `"SIGKILL"`. */
  readonly signal: string | null;
  /** It ended with 0. */
  readonly success: boolean;
  /** What it wrote and nobody read as a stream, as text. */
  readonly stdout: string;
  /** The same of standard error. */
  readonly stderr: string;
  /** The same as bytes. */
  readonly stdoutBytes: Uint8Array<ArrayBuffer>;
  /** The same of standard error. */
  readonly stderrBytes: Uint8Array<ArrayBuffer>;
  /**
   * The limit that ended it; null where none did, or the kernel cannot tell.
   * `memory`: the OOM killer took a process of it; `pids`: a fork was refused;
   * `cpu`: its limit of CPU time (`ulimits`); each only where it did not end
   * with 0. Where memory or pids had been met before the time was over, that is
   * named, and `timedOut` is true.
   */
  readonly limit: Limit | null;
  /** Its time was over. */
  readonly timedOut: boolean;
  /** It wrote more than it may, and what is here is not all. */
  readonly truncated: boolean;
  /** CPU time of all of its processes, in milliseconds; without a cgroup its own,
   * and that of those which it has waited for. A whole number. */
  readonly cpuMs: number;
  /** Milliseconds from its start to its end, a whole number. */
  readonly wallMs: number;
  /** Most memory that it had, in bytes; null without a memory cgroup. */
  readonly peakBytes: number | null;
}

/** What a sandbox uses now. null: the kernel does not count it here. */
export interface SandboxStats {
  /** Bytes of memory. */
  readonly memoryBytes: number | null;
  /** The most it had. */
  readonly peakBytes: number | null;
  /** Its limit. */
  readonly memoryLimit: number | null;
  /** CPU time in milliseconds. */
  readonly cpuMs: number | null;
  /** Processes and threads. */
  readonly pids: number | null;
  /** Its limit of them. */
  readonly pidsLimit: number | null;
}
