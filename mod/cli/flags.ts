/**
 * The one table of commands and flags. Parsing, `--help`, the shell
 * completions and the man page are all made from it. mod/cli/flag_row.ts says
 * how a row is read.
 *
 * @module
 */

import {
  BUNDLE,
  checkpointFlags,
  CONFIG,
  DETACH,
  execFlags,
  FORMAT,
  JSON_OUT,
  launchFlags,
  restoreFlags,
  runFlags,
  updateFlags,
} from "./flag_lists.ts";
import { type Command, flag, group, type Row } from "./flag_row.ts";

export type { Command, Completion, Flag, Row } from "./flag_row.ts";

const DIR = { complete: "dir" } as const;
const FILE = { complete: "file" } as const;
const HIDDEN = { hidden: true } as const;

/** Returns the flags that stand before the command. */
export function globalFlags(): Row[] {
  return [
    flag("--root DIR", "Directory for the containers' state", DIR),
    flag("--log FILE", "Write errors to FILE as well", FILE),
    flag("--log-format text|json", "Format of the log file (text)"),
    flag(
      "--log-level error|warning|info|debug",
      "Lowest level to print or log (warning)",
    ),
    flag("--debug", "The same as --log-level debug"),
    flag(
      "--verbose",
      "Print the causes and stack traces of an error; serve: tell of each call",
    ),
    flag(
      "--cgroup-manager cgroupfs|systemd|disabled",
      "Who makes the cgroups (cgroupfs; for a user's limits, where needed, systemd); disabled: no limits, no device rules",
    ),
    flag("--systemd-cgroup", "The same as --cgroup-manager systemd"),
    flag(
      "--rootless true|false|auto",
      "Continue if cgroups cannot be written (auto)",
    ),
    flag("--detached-fd N", "Of run --detach, to itself", HIDDEN),
    flag("--criu PATH", "Accepted for old callers; without effect", HIDDEN),
    flag("-h, --help", "Show help, also after a command"),
    flag("-v, --version", "Show the version"),
  ];
}

const REGEX = () => flag("-r, --regex", "The id is a regular expression");
const ID: Pick<Command, "usage" | "args" | "stops" | "complete"> = {
  usage: "ID",
  args: [1, 1],
  stops: false,
  complete: "container",
};
const SOCKET = () =>
  flag("--socket PATH", "Where serve listens (.serve beside the states)", FILE);
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
    note:
      "With --detach the command keeps the caller's standard output, as with runc: redirect it where something reads that to its end, as $(...) does.",
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
    name: "sweep",
    summary: "Remove containers whose keepers were killed (for run)",
    ...ID,
    usage: "ID...",
    args: [1, Infinity],
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
    summary: "Freeze every process of a container",
    ...ID,
    flags: () => [],
  },
  {
    name: "resume",
    summary: "Thaw a paused container",
    ...ID,
    flags: () => [],
  },
  {
    name: "checkpoint",
    summary: "Write a running container to disk, by criu",
    note:
      "It ends by that, and is deleted, unless --leave-running says otherwise. Where it fails, the container runs on.",
    ...ID,
    flags: checkpointFlags,
  },
  {
    name: "restore",
    summary: "Make a container of what checkpoint has written",
    note:
      "The bundle must be as the container's was. What an image holds beyond its config.json is refused.",
    ...ID,
    flags: restoreFlags,
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
      "This is what docker stats shows, for one container. Unlike docker events, it does not report when containers start and end.",
    ...ID,
    flags: () => [
      flag("--interval DURATION", "Time between statistics (5s)"),
      flag("--stats", "Print them once, and exit"),
    ],
  },
  {
    name: "spec",
    summary: "Write a config.json to start from",
    ...NONE,
    flags: () => [
      BUNDLE(),
      CONFIG(),
      flag("--rootless", "One that does not need root"),
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
    summary: "Report every problem of a config.json",
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
      flag("--verbose", "Print the causes and stack traces of an error"),
    ],
  },
  {
    name: "serve",
    summary: "Keep rustyrun warm for the calls of its front",
    note:
      "It starts as many processes as there are calls at once, serves nobody but the user who runs it, and ends when nobody calls. rustyrun front FILE writes what calls it.",
    ...NONE,
    flags: () => [
      SOCKET(),
      flag(
        "--idle DURATION",
        "End after that time without a call (10m); 0: never",
      ),
      flag("--units DIR", "Write systemd's units to DIR, and exit", DIR),
      flag("--worker", "Of serve, to itself", HIDDEN),
    ],
  },
  {
    name: "front",
    summary: "Write a small rustyrun that has serve do the work",
    note:
      "Without rustyrun serve it runs this very rustyrun, and is as fast as that.",
    usage: "FILE",
    args: [1, 1],
    stops: false,
    complete: "file",
    flags: () => [SOCKET()],
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
