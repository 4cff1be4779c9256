/**
 * Command lines that are refused: their words, and what docker and podman have.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { refuse } from "./cli_words.ts";

/** The command line's words; a single "" for none. */
const split = (line: string) => line === "" ? [] : line.split(" ");

const GPUS =
  "Show a GPU by its devices: --device /dev/dri, and its libraries with --volume";

const IMAGES =
  "rustyrun knows no images yet: unpack one into a directory, then rustyrun run --rootfs DIR";

const REGISTRIES =
  "rustyrun has no images or registries: a root file system is a directory";

/** [line, message after "Cannot read the command line: ", hint, exit code] */
const refused: [string, string, string, number, string?][] = [
  [
    "state",
    '"state" requires exactly 1 argument(s)',
    "Write rustyrun state ID",
    1,
  ],
  [
    "run --rootfs -- sh",
    'flag needs an argument: --rootfs, and "--" follows it',
    "Write --rootfs DIR",
    125,
  ],
  [
    "state a b",
    '"state" requires exactly 1 argument(s)',
    "One id at a time: rustyrun state ID",
    1,
  ],
  [
    "delete a b",
    '"delete" requires exactly 1 argument(s)',
    "One id at a time: rustyrun delete [FLAGS] ID",
    1,
  ],
  ...["9", "KILL", "SIGTERM"].map((
    signal,
  ): [string, string, string, number, string] => [
    `kill -${signal} ID`,
    `unknown flag of "kill": -${signal}`,
    `Write the signal after the id, without the dash: rustyrun kill ID ${signal}`,
    1,
    "unknown-flag",
  ]),
  [
    "kill ID -9",
    'unknown flag of "kill": -9',
    "Write the signal after the id, without the dash: rustyrun kill ID 9",
    1,
    "unknown-flag",
  ],
  [
    "kill -x ID",
    'unknown flag of "kill": -x',
    "rustyrun kill --help lists the flags",
    1,
    "unknown-flag",
  ],
  [
    "run --image alpine sh",
    'unknown flag of "run": --image',
    IMAGES,
    125,
    "unknown-flag",
  ],
  [
    "kill",
    '"kill" requires a minimum of 1 argument(s)',
    "Write rustyrun kill [FLAGS] ID [SIGNAL]",
    1,
  ],
  [
    "kill a b c",
    '"kill" requires a maximum of 2 argument(s)',
    "Write rustyrun kill [FLAGS] ID [SIGNAL]",
    1,
  ],
  [
    "list x",
    '"list" requires exactly 0 argument(s)',
    "Write rustyrun list [FLAGS]",
    1,
  ],
  [
    "run",
    '"run" requires exactly 1 argument(s)',
    "Give --rootfs DIR for a command in a root file system, or --bundle DIR ID for an OCI bundle",
    125,
  ],
  [
    "run alpine sh",
    '"alpine" stands alone: a root file system must follow --rootfs',
    "rustyrun knows no images yet: unpack it into a directory, then rustyrun run --rootfs DIR sh",
    125,
  ],
  [
    "run -it --rm alpine sh -c true",
    "-it needs --rootfs",
    "rustyrun knows no images yet: unpack it into a directory, then rustyrun run --rootfs DIR sh -c true",
    125,
  ],
  [
    "run alpine sh -f x",
    '"alpine" stands alone: a root file system must follow --rootfs',
    "rustyrun knows no images yet: unpack it into a directory, then rustyrun run --rootfs DIR sh -f x",
    125,
  ],
  [
    "run --bundle B x sh",
    '"run" requires exactly 1 argument(s)',
    "An OCI bundle takes only an ID: config.json says what runs",
    1,
  ],
  [
    "run --bundle B --env A=b x",
    "--env A=b needs --rootfs",
    "config.json says it for an OCI bundle",
    1,
  ],
  [
    "run --bundle B --gpus all x",
    'unknown flag of "run": --gpus',
    GPUS,
    1,
    "unknown-flag",
  ],
  [
    "run --gpus all alpine",
    'unknown flag of "run": --gpus',
    GPUS,
    125,
    "unknown-flag",
  ],
  ["--gpus all", "unknown flag: --gpus", GPUS, 1, "unknown-flag"],
  ["--gpus all run alpine", "unknown flag: --gpus", GPUS, 1, "unknown-flag"],
  ["--gpus all -r R sh", "unknown flag: --gpus", GPUS, 125, "unknown-flag"],
  ["--root", "flag needs an argument: --root", "Write --root DIR", 1],
  [
    "create run --bogus --rootfs",
    'unknown flag of "create": --bogus',
    "rustyrun create --help lists the flags",
    1,
    "unknown-flag",
  ],
  [
    "run tmp sh",
    '"tmp" stands alone: a root file system must follow --rootfs',
    "Write --rootfs before it: rustyrun run --rootfs tmp sh",
    125,
  ],
  [
    "run -it ./tmp/ sh -c 'x'",
    "-it needs --rootfs",
    "Write --rootfs before it: rustyrun run --rootfs ./tmp/ sh -c ...",
    125,
  ],
  [
    "run -r R --dns 1.1.1.1",
    'unknown flag of "run": --dns',
    "Names are resolved by the container's own file: -v FILE:/etc/resolv.conf:ro",
    125,
    "unknown-flag",
  ],
  [
    "run -r R --restart=always",
    'unknown flag of "run": --restart',
    "There are no restart policies: systemd or a loop can do that",
    125,
    "unknown-flag",
  ],
  [
    "run -d -p8080:80 alpine",
    'unknown flag of "run": -p8080:80',
    "There are no published ports: --network host shares the host's network",
    125,
    "unknown-flag",
  ],
  [
    "create --name x alpine",
    'unknown flag of "create": --name',
    "create makes a container from an OCI bundle; from flags: rustyrun run -d --rootfs DIR",
    1,
    "unknown-flag",
  ],
  [
    "ps",
    '"ps" requires a minimum of 1 argument(s)',
    "rustyrun list shows the containers, stopped ones too; rustyrun ps ID shows processes",
    1,
  ],
  [
    "ps -a",
    'unknown flag of "ps": -a',
    "rustyrun list shows the containers, stopped ones too",
    1,
    "unknown-flag",
  ],
  ...([
    ["rmi x", IMAGES],
    ["login", REGISTRIES],
    ["push x", REGISTRIES],
    ["commit x", REGISTRIES],
    [
      "volume ls",
      "There are no named volumes: -v ./DIR:/DIR shows a directory of the host",
    ],
    ["ls", "Write rustyrun list"],
    [
      "logs x",
      "With -d the output is not kept: let the command write to a file on a volume; without -d it goes where rustyrun's goes",
    ],
    ["stats x", "Write rustyrun events ID, or rustyrun events --stats ID once"],
    [
      "stop x",
      "Write rustyrun kill ID, or rustyrun kill ID KILL; then rustyrun wait ID and rustyrun delete ID",
    ],
    [
      "rm -f x",
      "Write rustyrun delete ID, or rustyrun delete -f ID if it is running",
    ],
    [
      "restart x",
      "There are no restarts: kill it, wait for it, and run it again; systemd or a loop can do that",
    ],
    ["kil x", 'The nearest one is "kill"'],
    // What is a command in a container is no slip of the fingers.
    [
      "sed x",
      "To run a command in a root file system, write rustyrun run --rootfs DIR COMMAND; rustyrun --help lists the rest",
    ],
  ].map(([line, hint]): [string, string, string, number, string] => [
    line!,
    `unknown command "${line!.split(" ")[0]}"`,
    hint!,
    1,
    "unknown-command",
  ])),
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
