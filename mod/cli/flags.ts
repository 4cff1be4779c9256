/**
 * The one table of commands and flags. Parsing, `--help`, the shell
 * completions and the man page are all made from it. mod/cli/flag_row.ts says
 * how a row is read.
 *
 * @module
 */

import { type Command, flag, group, type Row } from "./flag_row.ts";

export type { Command, Completion, Flag, Row } from "./flag_row.ts";

const DIR = { complete: "dir" } as const;
const FILE = { complete: "file" } as const;
const HIDDEN = { hidden: true } as const;

/** Returns the flags that stand before the command. */
export function globalFlags(): Row[] {
  return [
    flag("--root DIR", "Directory of the containers' state", DIR),
    flag("--log FILE", "Write errors to FILE as well", FILE),
    flag("--log-format text|json", "Format of the log file (text)"),
    flag(
      "--log-level error|warning|info|debug",
      "Least level to say or log (warning)",
    ),
    flag("--debug", "The same as --log-level debug"),
    flag("--verbose", "Say what was tried, on standard error"),
    flag(
      "--cgroup-manager cgroupfs|systemd|disabled",
      "Who makes the cgroups (cgroupfs)",
    ),
    flag("--systemd-cgroup", "The same as --cgroup-manager systemd"),
    flag(
      "--rootless true|false|auto",
      "Go on where cgroups may not be written (auto)",
    ),
    flag("--detached-fd N", "Of run --detach, to itself", HIDDEN),
    flag("--criu PATH", "Accepted for old callers; without effect", HIDDEN),
    flag("-h, --help", "Show help, also after a command"),
    flag("-v, --version", "Show the version"),
  ];
}

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
const DETACH = () =>
  flag("-d, --detach", "Return when the process has started");
const BUNDLE = () =>
  flag("-b, --bundle DIR", "The bundle: a directory (the current one)", DIR);
const CONFIG = () =>
  flag("-f, --config FILE", "Configuration (config.json in the bundle)", FILE);
const EXPLAIN = () =>
  flag("--explain", "Print the plan, step by step with its why; run nothing");
const JSON_OUT = (what: string) => flag("--json", what);
const FORMAT = () => flag("-f, --format table|json", "Output format (table)");

/** Returns the flags that `run` and `create` have in common. */
function launchFlags(): Row[] {
  return [
    PID_FILE(),
    CONSOLE_SOCKET(),
    PIDFD_SOCKET(),
    PRESERVE_FDS(),
    flag("--no-pivot", "chroot in place of pivot_root (rootfs on a ramdisk)"),
    flag("--no-new-keyring", "Stay in the caller's session keyring"),
    EXPLAIN(),
    JSON_OUT("Print the plan, result or error as JSON"),
    flag("--verbose", "Say what was tried, on standard error"),
  ];
}

/** Returns the flags of `run`. */
function runFlags(): Row[] {
  return [
    ...group({ group: "Root file system", form: "friendly" }, [
      flag("-r, --rootfs DIR", "Root file system: a directory", DIR),
      flag(
        "--ephemeral[=DIR]",
        "Throw every change away; keep them in memory, or in DIR, until then",
        DIR,
      ),
      flag("--read-only", "Mount the root file system read-only"),
      flag(
        "--show-home",
        "With --rootfs /: do not hide homes (volumes show a part of them)",
      ),
      flag("-v, --volume SRC:DST[:OPTIONS]...", "Show SRC of the host at DST"),
      flag(
        "--mount type=bind|tmpfs,src=SRC,dst=DST[,OPTIONS]...",
        "The same in words, also for tmpfs",
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
      flag("--init", "Run a small init that reaps and forwards signals"),
      flag("--ulimit NAME=SOFT[:HARD]...", "Limit of the process: nofile=1024"),
    ]),
    ...group({ group: "Limits", form: "friendly" }, [
      flag("-m, --memory SIZE", "Most memory: 64m, 1g"),
      flag("--memory-swap SIZE", "Most memory and swap together; -1: no limit"),
      flag("--cpus N", "Most CPU time: 0.5 is half of one CPU"),
      flag("--cpu-shares N", "Weight against other containers: 2 to 262144"),
      flag("--cpuset-cpus LIST", "CPUs to run on: 0-2,4"),
      flag("--pids-limit N", "Most processes and threads; -1: no limit"),
    ]),
    ...group({ group: "Isolation", form: "friendly" }, [
      flag("--hostname NAME", "Host name (rustyrun-container)"),
      flag("--network none|host", "Own empty network, or the host's (none)"),
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
        "Remove the container when it ends (the default without --detach)",
      ),
    ]),
    ...group({ group: "Container" }, [
      flag(
        "-d, --detach",
        "Print the id when it runs, and return; its output goes nowhere. rustyrun wait and delete are for later",
      ),
      flag("--keep", "Keep the container's state when it ends"),
    ]),
    ...group({ group: "Output and callers" }, [
      ...launchFlags(),
      flag("--no-subreaper", "Do not adopt orphans while running"),
    ]),
    ...group({ group: "OCI bundle", form: "oci" }, [BUNDLE(), CONFIG()]),
  ];
}

/** Returns the flags of `exec`. */
function execFlags(): Row[] {
  return [
    flag("-p, --process FILE", "Process to run: an OCI process object", FILE),
    flag("-w, --cwd, --workdir DIR", "Working directory in the container"),
    flag("-e, --env NAME[=VALUE]...", "Set a variable, or pass the caller's"),
    flag("-i, --interactive", "Keep standard input open (it always is)"),
    flag("-t, --tty", "Give the command a terminal"),
    flag("-u, --user USER[:GROUP]", "User, by number or name"),
    flag("-g, --additional-gids GID...", "A further group, by number"),
    flag("-c, --cap CAP...", "Add a capability"),
    flag("--no-new-privs", "Set no_new_privs"),
    flag("--apparmor PROFILE", "AppArmor profile"),
    flag("--process-label LABEL", "SELinux label"),
    flag("--cgroup PATH...", "Sub-cgroup to run in: [CONTROLLER,..:]PATH"),
    flag("--ignore-paused", "Go on in a paused container"),
    DETACH(),
    PID_FILE(),
    CONSOLE_SOCKET(),
    PIDFD_SOCKET(),
    PRESERVE_FDS(),
  ];
}

/** Returns the flags of `update`. */
function updateFlags(): Row[] {
  return [
    flag("-r, --resources FILE", "Read the limits from FILE; -: stdin", FILE),
    flag("--blkio-weight N", "Block I/O weight: 10 to 1000"),
    flag("--cpu-period USEC", "CFS period"),
    flag("--cpu-quota USEC", "CFS quota in a period"),
    flag("--cpu-burst USEC", "CFS burst"),
    flag("--cpu-idle N", "Run only when nothing else does: 1; 0: not"),
    flag("--cpu-share, --cpu-shares N", "Weight against other containers"),
    flag("--cpu-rt-period USEC", "Real-time period"),
    flag("--cpu-rt-runtime USEC", "Real-time quota in a period"),
    flag("--cpuset-cpus LIST", "CPUs to run on"),
    flag("--cpuset-mems LIST", "Memory nodes to use"),
    flag("-m, --memory SIZE", "Most memory"),
    flag("--memory-reservation SIZE", "Memory kept under pressure"),
    flag("--memory-swap SIZE", "Most memory and swap together; -1: no limit"),
    flag("--pids-limit N", "Most processes and threads; -1: no limit"),
    flag("--l3-cache-schema TEXT", "Intel RDT L3 cache schema"),
    flag("--mem-bw-schema TEXT", "Intel RDT memory bandwidth schema"),
    flag("--kernel-memory SIZE", "Accepted; without effect", HIDDEN),
    flag("--kernel-memory-tcp SIZE", "Accepted; without effect", HIDDEN),
  ];
}

const REGEX = () => flag("-r, --regex", "The id is a regular expression");
const ID: Pick<Command, "usage" | "args" | "stops" | "complete"> = {
  usage: "ID",
  args: [1, 1],
  stops: false,
  complete: "container",
};
const NONE = { usage: "", args: [0, 0], stops: false } as const;

const COMMANDS: readonly Command[] = [
  {
    name: "run",
    summary: "Run a command in a new container",
    usage: "",
    args: [0, Infinity],
    stops: true,
    flags: runFlags,
  },
  {
    name: "create",
    summary: "Make a container from an OCI bundle; start runs its process",
    ...ID,
    stops: true,
    flags: () => [
      BUNDLE(),
      CONFIG(),
      ...group(HIDDEN, [DETACH()]),
      ...launchFlags(),
    ],
  },
  {
    name: "start",
    summary: "Run the process of a created container",
    ...ID,
    flags: () => [],
  },
  {
    name: "state",
    summary: "Print the state of a container",
    ...ID,
    flags: () => [],
  },
  {
    name: "kill",
    summary: "Send a signal (SIGTERM) to a container",
    note:
      "Without a signal it sends SIGTERM; docker kill sends SIGKILL. It returns at once; docker stop waits. To end a container for sure: rustyrun kill ID KILL.",
    ...ID,
    usage: "ID [SIGNAL]",
    args: [1, 2],
    stops: true,
    flags: () => [
      flag("-a, --all", "Send it to every process of the container"),
      REGEX(),
    ],
  },
  {
    name: "wait",
    summary: "Wait until a container ends, and print its exit code",
    ...ID,
    flags: () => [],
  },
  {
    name: "delete",
    summary: "Remove a container that has stopped",
    ...ID,
    flags: () => [
      flag("-f, --force", "Kill it first; no error when there is none"),
      REGEX(),
    ],
  },
  {
    name: "exec",
    summary: "Run another process in a container",
    ...ID,
    usage: "ID [COMMAND ARGS...]",
    args: [1, Infinity],
    stops: true,
    flags: execFlags,
  },
  {
    name: "poststop",
    summary: "Run a container's poststop hooks (for the keeper)",
    ...ID,
    flags: () => [],
    hidden: true,
  },
  {
    name: "list",
    summary: "List the containers",
    ...NONE,
    flags: () => [FORMAT(), flag("-q, --quiet", "Print only the ids")],
  },
  {
    name: "ps",
    summary: "List the processes of a container",
    ...ID,
    usage: "ID [PS-ARGS...]",
    args: [1, Infinity],
    stops: true,
    flags: () => [FORMAT()],
  },
  {
    name: "pause",
    summary: "Stop every process of a container for a while",
    ...ID,
    flags: () => [],
  },
  {
    name: "resume",
    summary: "Let a paused container go on",
    ...ID,
    flags: () => [],
  },
  {
    name: "update",
    summary: "Change the limits of a container",
    ...ID,
    flags: updateFlags,
  },
  {
    name: "events",
    summary: "Print statistics and out-of-memory events as JSON lines",
    note:
      "This is what docker stats shows, for one container. It does not tell when containers start and end, as docker events does.",
    ...ID,
    flags: () => [
      flag("--interval DURATION", "Time between statistics (5s)"),
      flag("--stats", "Print them once and end"),
    ],
  },
  {
    name: "spec",
    summary: "Write a config.json to start from",
    ...NONE,
    flags: () => [
      BUNDLE(),
      CONFIG(),
      flag("--rootless", "One that needs no root"),
    ],
  },
  {
    name: "features",
    summary: "Print what this runtime can do, as JSON",
    ...NONE,
    flags: () => [],
  },
  {
    name: "validate",
    summary: "Name every problem of a config.json",
    usage: "[FILE]",
    args: [0, 1],
    stops: false,
    complete: "file",
    flags: () => [BUNDLE(), CONFIG(), JSON_OUT("Print them as JSON")],
  },
  {
    name: "doctor",
    summary: "Try what this machine allows, and say what would help",
    ...NONE,
    flags: () => [
      JSON_OUT("Print the findings as JSON"),
      flag("--verbose", "Say what was tried"),
    ],
  },
  {
    name: "completions",
    summary: "Print completions for a shell",
    usage: "SHELL",
    args: [1, 1],
    stops: false,
    complete: ["bash", "zsh", "fish"],
    flags: () => [],
  },
  { name: "man", summary: "Print the manual page", ...NONE, flags: () => [] },
  {
    name: "help",
    summary: "Show help for a command",
    usage: "[COMMAND]",
    args: [0, 1],
    stops: false,
    flags: () => [],
  },
];

/** Commands of runc that rustyrun does not have: asking is a clear error. */
export const UNSUPPORTED: readonly string[] = ["checkpoint", "restore"];

/** Returns every command, in the order of help. */
export function listCommands(): readonly Command[] {
  return COMMANDS;
}

/** Returns the command of that name. */
export function findCommand(name: string): Command | undefined {
  return COMMANDS.find((c) => c.name === name);
}

/** Returns how a command is written: "rustyrun kill [FLAGS] ID [SIGNAL]". */
export function formatUsage({ name, flags, usage }: Command): string {
  const shown = flags().length ? " [FLAGS]" : "";
  return `rustyrun ${name}${shown} ${usage}`.trimEnd();
}
