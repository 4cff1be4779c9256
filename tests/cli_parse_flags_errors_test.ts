/**
 * Command lines that are refused: their flags.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { refuse } from "./cli_words.ts";

/** The command line's words; a single "" for none. */
const split = (line: string) => line === "" ? [] : line.split(" ");

const HELP = "rustyrun run --help lists the flags";

/** [line, message after "Cannot read the command line: ", hint, exit code] */
const refused: [string, string, string, number, string?][] = [
  [
    "run -r R -h foo",
    '-h is help, and "foo" follows it',
    "A host name is --hostname foo",
    125,
  ],
  [
    "run --rootfs R --cpu 1",
    'unknown flag of "run": --cpu',
    "The nearest one is --cpus",
    125,
    "unknown-flag",
  ],
  [
    "run --hostname h x",
    "--hostname h needs --rootfs",
    "rustyrun knows no images yet: unpack it into a directory, then rustyrun run --rootfs DIR",
    125,
  ],
  [
    "run --rootfs R --bundle B",
    "--bundle B and --rootfs exclude each other",
    "Give --rootfs DIR and a command, or --bundle DIR and an ID",
    125,
  ],
  [
    "run ls --rootfs R",
    '"run" requires exactly 1 argument(s)',
    "Write the flags before the command: rustyrun run --rootfs DIR COMMAND",
    125,
  ],
  [
    "run --rootfs R -d --rm --console-socket S",
    "--rm and -d exclude each other",
    "Leave one of them out: rustyrun delete ID removes a container that has ended",
    125,
  ],
  [
    "run --rootfs R --rm --keep",
    "--rm and --keep exclude each other",
    "Leave one of them out: rustyrun delete ID removes a container that has ended",
    125,
  ],
  [
    "run --rootfs R --hostname",
    "flag needs an argument: --hostname",
    "Write --hostname NAME",
    125,
  ],
  ["run -r", "flag needs an argument: -r", "Write -r DIR", 125],
  [
    "--log",
    "flag needs an argument: --log",
    "Write --log FILE",
    1,
  ],
  [
    "run --rootfs R --hostnmae x",
    'unknown flag of "run": --hostnmae',
    "The nearest one is --hostname",
    125,
    "unknown-flag",
  ],
  [
    "run --rootfs R --mem=1g",
    'unknown flag of "run": --mem',
    "The nearest one is --memory",
    125,
    "unknown-flag",
  ],
  [
    "--roofs R",
    "unknown flag: --roofs",
    "The nearest one is --rootfs",
    1,
    "unknown-flag",
  ],
  [
    "--verison",
    "unknown flag: --verison",
    "The nearest one is --version",
    1,
    "unknown-flag",
  ],
  [
    "run --rootfs R --qwertyuiop",
    'unknown flag of "run": --qwertyuiop',
    HELP,
    125,
    "unknown-flag",
  ],
  [
    "run -r R --privileged",
    'unknown flag of "run": --privileged',
    "There is no --privileged: name what is needed with --cap-add, --device and --security-opt",
    125,
    "unknown-flag",
  ],
  ["run -r R -ix", 'unknown flag of "run": -ix', HELP, 125, "unknown-flag"],
  [
    "run -r R -c ls -l",
    'unknown flag of "run": -l',
    "Write -- before the command's own words when they begin with a dash",
    125,
    "unknown-flag",
  ],
  [
    "state --root /x ID",
    'unknown flag of "state": --root',
    '--root is a global flag: write it before "state"',
    1,
    "unknown-flag",
  ],
  [
    "run -r R --network bridge",
    'invalid value "bridge" for --network',
    "The values are: none, host",
    125,
  ],
  [
    "--log-format xml start ID",
    'invalid value "xml" for --log-format',
    "The values are: text, json",
    1,
  ],
  [
    "run -r R --rm=maybe",
    'invalid boolean value "maybe" for --rm',
    "Write --rm, --rm=true or --rm=false",
    125,
  ],
  [
    "stat x",
    'unknown command "stat"',
    'The nearest one is "state"',
    1,
    "unknown-command",
  ],
  [
    "./rootfs",
    'unknown command "./rootfs"',
    "To run a command in a root file system, write rustyrun run --rootfs DIR COMMAND; rustyrun --help lists the rest",
    1,
    "unknown-command",
  ],
  [
    "version",
    'unknown command "version"',
    "Write rustyrun --version",
    1,
    "unknown-command",
  ],
  [
    "rm x",
    'unknown command "rm"',
    "Write rustyrun delete ID, or rustyrun delete -f ID if it is running",
    1,
    "unknown-command",
  ],
  [
    "hostname",
    'unknown command "hostname"',
    "To run a command in a root file system, write rustyrun run --rootfs DIR COMMAND; rustyrun --help lists the rest",
    1,
    "unknown-command",
  ],
  [
    "help stat",
    'unknown command "stat"',
    'The nearest one is "state"',
    1,
    "unknown-command",
  ],
  [
    "--hostname h run --rootfs R",
    '--hostname h stands before "run"',
    "Write the flags of a command after it: rustyrun run ...",
    125,
  ],
  [
    "--rootfs R run ls",
    '--rootfs R stands before "run"',
    "Write the flags of a command after it: rustyrun run ...",
    125,
  ],
];

for (const [line, why, hint, exitCode, code = "usage"] of refused) {
  Deno.test(`parseArgs() refuses: ${line}`, () => {
    const error = refuse(split(line));
    assertEquals(
      [error.message, error.hint, error.exitCode, error.code],
      [`Cannot read the command line: ${why}`, hint, exitCode, code],
    );
  });
}
