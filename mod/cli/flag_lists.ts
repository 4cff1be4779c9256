/**
 * The flags of the commands that have many: `run`, `create`, `exec`, `update`.
 * The table of all commands is flags.ts.
 *
 * @module
 */

import { flag, group, type Row } from "./flag_row.ts";

const DIR = { complete: "dir" } as const;
const FILE = { complete: "file" } as const;
const HIDDEN = { hidden: true } as const;

const PID_FILE = () =>
  flag("--pid-file FILE", "Write the pid of the first process to FILE", FILE);
const CONSOLE_SOCKET = () =>
  flag(
    "--console-socket PATH",
    "Send the terminal's master to this AF_UNIX socket",
    FILE,
  );
const PIDFD_SOCKET = () =>
  flag(
    "--pidfd-socket PATH",
    "Send a pidfd of the process to this AF_UNIX socket",
    FILE,
  );
const PRESERVE_FDS = () =>
  flag("--preserve-fds N", "Pass descriptors 3 to 2+N on to the container");
export const DETACH = () =>
  flag("-d, --detach", "Return once the process has started");
export const BUNDLE = () =>
  flag("-b, --bundle DIR", "The bundle: a directory (the current one)", DIR);
export const CONFIG = () =>
  flag("-f, --config FILE", "Configuration (config.json in the bundle)", FILE);
const EXPLAIN = () =>
  flag("--explain", "Print the plan, step by step, with reasons; run nothing");
export const JSON_OUT = (what: string) => flag("--json", what);
export const FORMAT = () =>
  flag("-f, --format table|json", "Output format (table)");

/** Returns the flags that `run` and `create` have in common. */
export function launchFlags(): Row[] {
  return [
    PID_FILE(),
    CONSOLE_SOCKET(),
    PIDFD_SOCKET(),
    PRESERVE_FDS(),
    flag("--no-pivot", "chroot instead of pivot_root (rootfs on a ramdisk)"),
    flag("--no-new-keyring", "Stay in the caller's session keyring"),
    EXPLAIN(),
    JSON_OUT("Print the plan, result or error as JSON"),
    flag("--verbose", "Print the causes and stack traces of an error"),
  ];
}

/** Returns the flags of `run`. */
export function runFlags(): Row[] {
  return [
    ...group({ group: "Root file system", form: "friendly" }, [
      flag("-r, --rootfs DIR", "Root file system: a directory", DIR),
      flag(
        "--ephemeral[=DIR]",
        "Discard all changes at the end; kept in memory, or in DIR",
        DIR,
      ),
      flag("--read-only", "Mount the root file system read-only"),
      flag(
        "--show-home",
        "With --rootfs /: do not hide homes (a volume shows a part of them)",
      ),
      flag("-v, --volume SRC:DST[:OPTIONS]...", "Show the host's SRC at DST"),
      flag(
        "--mount type=bind|tmpfs,src=SRC,dst=DST[,OPTIONS]...",
        "The long form of --volume, also for tmpfs",
      ),
      flag("--tmpfs DST[:OPTIONS]...", "An empty file system in memory at DST"),
    ]),
    ...group({ group: "Command", form: "friendly" }, [
      flag("-c, --command PROG", "Program to run (/bin/sh)"),
      flag("-e, --env NAME[=VALUE]...", "Set a variable, or pass the caller's"),
      flag("--env-file FILE...", "Read variables from FILE", FILE),
      flag("-w, --workdir DIR", "Working directory in the container (/)"),
      flag("-u, --user USER[:GROUP]", "User, by number or name (0)"),
      flag("-i, --interactive", "Keep standard input open"),
      flag("-t, --tty", "Give the command a terminal"),
      flag("--init", "Start a small init that reaps and forwards signals"),
      flag("--ulimit NAME=SOFT[:HARD]...", "Process limit: nofile=1024"),
    ]),
    ...group({ group: "Limits", form: "friendly" }, [
      flag("-m, --memory SIZE", "Memory limit: 64m, 1g"),
      flag("--memory-swap SIZE", "Limit of memory plus swap; -1: no limit"),
      flag("--cpus N", "CPU limit: 0.5 is half of one CPU"),
      flag("--cpu-shares N", "Weight against other containers: 2 to 262144"),
      flag("--cpuset-cpus LIST", "CPUs to run on: 0-2,4"),
      flag("--pids-limit N", "Limit of processes and threads; -1: no limit"),
    ]),
    ...group({ group: "Limits" }, [
      flag(
        "--timeout DURATION",
        "Kill the container when its command has run for that long, and exit 124: 500ms, 30s, 5m",
      ),
      flag(
        "--max-output SIZE",
        "Kill the container when it has written more, standard output and error together, and exit 137",
      ),
    ]),
    ...group({ group: "Isolation", form: "friendly" }, [
      flag("--hostname NAME", "Host name (rustyrun-container)"),
      flag("--network none|host", "An empty network, or the host's (none)"),
      flag("--userns MODE", "User ids: host, auto, keep-id or C:H:N", {
        complete: ["host", "auto", "keep-id"],
      }),
      flag("--cap-add CAP...", "Add a capability; ALL for all"),
      flag("--cap-drop CAP...", "Drop a capability; ALL for all"),
      flag(
        "--security-opt OPTION...",
        "seccomp=FILE|unconfined, no-new-privileges=true|false, ...",
        {
          complete: [
            "seccomp=unconfined",
            "no-new-privileges=false",
            "systempaths=unconfined",
            "apparmor=unconfined",
          ],
        },
      ),
      flag(
        "--device PATH[:DST[:rwm]]...",
        "Show a device of the host, or all in a directory",
        FILE,
      ),
      flag("--sysctl NAME=VALUE...", "Set a kernel parameter of the container"),
    ]),
    ...group({ group: "Container", form: "friendly" }, [
      flag("--name, --id NAME", "The container's id (rr- and 12 hex digits)"),
      flag(
        "--rm",
        "Remove the container when it ends, with its exit code (the default without --detach)",
      ),
    ]),
    ...group({ group: "Container" }, [
      flag(
        "-d, --detach",
        "Print the id once the container is running, and return; its output is not kept. See rustyrun wait and delete",
      ),
      flag("--keep", "Keep the container's state when it ends"),
    ]),
    ...group({ group: "Output and callers" }, [
      ...launchFlags(),
      flag(
        "--result-fd N",
        "Write how it ended, or the error, to descriptor N as one JSON object",
      ),
      flag("--no-subreaper", "Do not adopt orphans while running"),
    ]),
    ...group({ group: "OCI bundle", form: "oci" }, [BUNDLE(), CONFIG()]),
  ];
}

/** Returns the flags of `exec`. */
export function execFlags(): Row[] {
  return [
    flag("-p, --process FILE", "Process to run: an OCI process object", FILE),
    flag("-w, --cwd, --workdir DIR", "Working directory in the container"),
    flag("-e, --env NAME[=VALUE]...", "Set a variable, or pass the caller's"),
    flag("-i, --interactive", "Keep standard input open (it always is)"),
    flag("-t, --tty", "Give the command a terminal"),
    flag("-u, --user USER[:GROUP]", "User, by number or name"),
    flag("-g, --additional-gids GID...", "An additional group, by number"),
    flag("-c, --cap CAP...", "Add a capability"),
    flag("--no-new-privs", "Set no_new_privs"),
    flag("--apparmor PROFILE", "AppArmor profile"),
    flag("--process-label LABEL", "SELinux label"),
    flag("--cgroup PATH...", "Sub-cgroup to run in: [CONTROLLER,..:]PATH"),
    flag("--ignore-paused", "Run it even in a paused container"),
    DETACH(),
    PID_FILE(),
    CONSOLE_SOCKET(),
    PIDFD_SOCKET(),
    PRESERVE_FDS(),
  ];
}

/** Returns the flags of `update`. */
export function updateFlags(): Row[] {
  return [
    flag(
      "-r, --resources FILE",
      "Read the limits from FILE; -: standard input",
      FILE,
    ),
    flag("--blkio-weight N", "Block I/O weight: 10 to 1000"),
    flag("--cpus N", "CPU limit: 0.5 is half of one CPU"),
    flag("--cpu-period USEC", "CFS period"),
    flag("--cpu-quota USEC", "CFS quota in a period"),
    flag("--cpu-burst USEC", "CFS burst"),
    flag("--cpu-idle N", "Run only when nothing else does (1), or not (0)"),
    flag("--cpu-share, --cpu-shares N", "Weight against other containers"),
    flag("--cpu-rt-period USEC", "Real-time period"),
    flag("--cpu-rt-runtime USEC", "Real-time quota in a period"),
    flag("--cpuset-cpus LIST", "CPUs to run on"),
    flag("--cpuset-mems LIST", "Memory nodes to use"),
    flag("-m, --memory SIZE", "Memory limit"),
    flag("--memory-reservation SIZE", "Memory kept under pressure"),
    flag("--memory-swap SIZE", "Limit of memory plus swap; -1: no limit"),
    flag("--pids-limit N", "Limit of processes and threads; -1: no limit"),
    flag("--l3-cache-schema TEXT", "Intel RDT L3 cache schema"),
    flag("--mem-bw-schema TEXT", "Intel RDT memory bandwidth schema"),
    flag("--kernel-memory SIZE", "Accepted; without effect", HIDDEN),
    flag("--kernel-memory-tcp SIZE", "Accepted; without effect", HIDDEN),
  ];
}

/** Returns the flags that `checkpoint` and `restore` have in common. */
function criuFlags(): Row[] {
  return [
    flag("--image-path DIR", "Directory of the image (checkpoint)", DIR),
    flag("--work-path DIR", "Directory for criu's log (the image's)", DIR),
    flag("--tcp-established", "Keep TCP connections that are open"),
    flag("--ext-unix-sk", "Allow Unix sockets that lead out of the container"),
    flag("--shell-job", "Allow a terminal or session of the caller's"),
    flag("--lazy-pages", "Move memory when it is needed, by userfaultfd(2)"),
    flag("--file-locks", "Keep locks on files"),
    flag(
      "--manage-cgroups-mode soft|full|strict|ignore",
      "What criu does about cgroups in the container's (soft)",
    ),
    flag("--empty-ns network...", "Leave that namespace empty"),
    flag("--auto-dedup", "Keep no page that a later image has, too"),
  ];
}

/** Returns the flags of `checkpoint`. */
export function checkpointFlags(): Row[] {
  return [
    ...criuFlags(),
    flag(
      "--parent-path ../NAME",
      "Write only what has changed since that image, which is beside this one",
    ),
    flag("--leave-running", "Let the container go on"),
    flag("--pre-dump", "Write the memory alone, and let the container go on"),
    flag("--page-server ADDRESS:PORT", "Send the memory to a page server"),
    flag(
      "--status-fd N",
      "Write one byte to descriptor N when lazy pages can be fetched",
    ),
  ];
}

/** Returns the flags of `restore`. */
export function restoreFlags(): Row[] {
  return [
    BUNDLE(),
    DETACH(),
    PID_FILE(),
    CONSOLE_SOCKET(),
    ...criuFlags(),
    flag(
      "--lsm-profile TYPE:NAME",
      "Another profile for its processes: apparmor:NAME, selinux:LABEL",
    ),
    flag("--lsm-mount-context CONTEXT", "Another SELinux context of mounts"),
    flag("--no-pivot", "Accepted for callers of runc: criu does as it must"),
    flag("--no-subreaper", "Do not adopt orphans while running"),
  ];
}
