/** Tests of mod/cli/parse.ts: what a command line means, and what is said of
 * one that means nothing. */

import { assertEquals, assertThrows } from "@std/assert";
import { parseArgs } from "../mod/cli/parse.ts";
import { ContainerError } from "../mod/errors.ts";

/** The command line's words; a single "" for none. */
const split = (line: string) => line === "" ? [] : line.split(" ");

/** [command, friendly, global flags, flags, args] */
type Want = [
  string,
  boolean,
  Record<string, unknown>,
  Record<string, unknown>,
  string[],
];

const read: [string, Want][] = [
  ["", ["help", false, {}, {}, []]],
  ["--help", ["help", false, { help: true }, {}, []]],
  ["-h", ["help", false, { help: true }, {}, []]],
  ["--version", ["version", false, { version: true }, {}, []]],
  ["-v", ["version", false, { version: true }, {}, []]],
  ["run --version", ["version", false, { version: true }, {}, []]],
  ["run -r R --version", [
    "version",
    false,
    { version: true },
    { rootfs: "R" },
    [],
  ]],
  ["-r R --version", [
    "version",
    false,
    { version: true },
    { rootfs: "R" },
    [],
  ]],
  ["state --help", ["help", false, {}, { help: true }, ["state"]]],
  // podman asks so whether there is such a command.
  ["checkpoint --help", ["help", false, {}, {}, ["checkpoint"]]],
  ["restore --image-path X -h", ["help", false, {}, {}, ["restore"]]],
  ["run --rootfs R --help", ["help", false, {}, {
    rootfs: "R",
    help: true,
  }, ["run"]]],
  ["help kill", ["help", false, {}, {}, ["kill"]]],
  ["run --rootfs R --hostname h -- cmd -x", ["run", true, {}, {
    rootfs: "R",
    hostname: "h",
  }, ["cmd", "-x"]]],
  ["run -r R sh -c ls", ["run", true, {}, { rootfs: "R" }, ["sh", "-c", "ls"]]],
  ["run -r R cmd -- x", ["run", true, {}, { rootfs: "R" }, ["cmd", "--", "x"]]],
  ["run -r R -c prog -- -l /", ["run", true, {}, {
    rootfs: "R",
    command: "prog",
  }, ["-l", "/"]]],
  // No command word, a flag of run first.
  ["--rootfs DIR -c /bin/bash --hostname box", ["run", true, {}, {
    rootfs: "DIR",
    command: "/bin/bash",
    hostname: "box",
  }, []]],
  ["--rootfs R -c app run", ["run", true, {}, {
    rootfs: "R",
    command: "app",
  }, ["run"]]],
  ["--rootfs R -- run", ["run", true, {}, { rootfs: "R" }, ["run"]]],
  ["--root S --rootfs R --debug", ["run", true, { root: "S", debug: true }, {
    rootfs: "R",
  }, []]],
  ["-it -r R", ["run", true, {}, {
    interactive: true,
    tty: true,
    rootfs: "R",
  }, []]],
  ["-v ./a:/b -r R", ["run", true, {}, { volume: "./a:/b", rootfs: "R" }, []]],
  // Bundles of letters, and known names with one dash.
  ["run -r R -itu1000 sh", ["run", true, {}, {
    rootfs: "R",
    interactive: true,
    tty: true,
    user: "1000",
  }, ["sh"]]],
  ["run -r R -itu 1000 sh", ["run", true, {}, {
    rootfs: "R",
    interactive: true,
    tty: true,
    user: "1000",
  }, ["sh"]]],
  ["run -r=R -u=1000", ["run", true, {}, { rootfs: "R", user: "1000" }, []]],
  ["run -r R -t=false", ["run", true, {}, { rootfs: "R", tty: false }, []]],
  ["run -rootfs R -hostname=h", ["run", true, {}, {
    rootfs: "R",
    hostname: "h",
  }, []]],
  ["run -no-subreaper --bundle B ID", ["run", false, {}, {
    "no-subreaper": true,
    bundle: "B",
  }, ["ID"]]],
  ["run --id a -r R", ["run", true, {}, { name: "a", rootfs: "R" }, []]],
  ["run -r R --ephemeral cmd", ["run", true, {}, {
    rootfs: "R",
    ephemeral: true,
  }, ["cmd"]]],
  ["run -r R --ephemeral=/x", ["run", true, {}, {
    rootfs: "R",
    ephemeral: "/x",
  }, []]],
  ["run -r R --rm=false", ["run", true, {}, { rootfs: "R", rm: false }, []]],
  ["run -r R --memory-swap -1", ["run", true, {}, {
    rootfs: "R",
    "memory-swap": "-1",
  }, []]],
  ["run -r R --env A=b=c", [
    "run",
    true,
    {},
    { rootfs: "R", env: "A=b=c" },
    [],
  ]],
  // What engines send: go-runc, conmon, CRI-O, buildah.
  [
    "--root /run/x --log /l --log-format json --systemd-cgroup --rootless=true create --bundle B --pid-file P --console-socket S --no-pivot --no-new-keyring --preserve-fds 2 ID",
    ["create", false, {
      root: "/run/x",
      log: "/l",
      "log-format": "json",
      "systemd-cgroup": true,
      rootless: "true",
    }, {
      bundle: "B",
      "pid-file": "P",
      "console-socket": "S",
      "no-pivot": true,
      "no-new-keyring": true,
      "preserve-fds": "2",
    }, ["ID"]],
  ],
  ["create --bundle B --detach ID", ["create", false, {}, {
    bundle: "B",
    detach: true,
  }, ["ID"]]],
  ["start ID", ["start", false, {}, {}, ["ID"]]],
  ["kill --all ID 9", ["kill", false, {}, { all: true }, ["ID", "9"]]],
  ["kill -a ID SIGKILL", ["kill", false, {}, { all: true }, ["ID", "SIGKILL"]]],
  ["kill ID -9", ["kill", false, {}, {}, ["ID", "-9"]]],
  ["delete --force ID", ["delete", false, {}, { force: true }, ["ID"]]],
  ["delete ID --force", ["delete", false, {}, { force: true }, ["ID"]]],
  ["exec --process P --detach --pid-file F ID", ["exec", false, {}, {
    process: "P",
    detach: true,
    "pid-file": "F",
  }, ["ID"]]],
  ["exec -t -e A=1 ID sh -c x", ["exec", false, {}, { tty: true, env: "A=1" }, [
    "ID",
    "sh",
    "-c",
    "x",
  ]]],
  ["exec ID -- ls -l", ["exec", false, {}, {}, ["ID", "ls", "-l"]]],
  ["ps --format table ID -ef", ["ps", false, {}, { format: "table" }, [
    "ID",
    "-ef",
  ]]],
  ["list --format=json", ["list", false, {}, { format: "json" }, []]],
  ["events --interval=5s ID", ["events", false, {}, { interval: "5s" }, [
    "ID",
  ]]],
  ["events --stats ID", ["events", false, {}, { stats: true }, ["ID"]]],
  ["update --resources=- ID", ["update", false, {}, { resources: "-" }, [
    "ID",
  ]]],
  ["update --resources - ID", ["update", false, {}, { resources: "-" }, [
    "ID",
  ]]],
  ["--cgroup-manager disabled start ID", [
    "start",
    false,
    {
      "cgroup-manager": "disabled",
    },
    {},
    ["ID"],
  ]],
  ["run --bundle B --no-pivot --keep ID", ["run", false, {}, {
    bundle: "B",
    "no-pivot": true,
    keep: true,
  }, ["ID"]]],
  ["validate", ["validate", false, {}, {}, []]],
  ["-- start ID", ["start", false, {}, {}, ["ID"]]],
  ["state -- -id", ["state", false, {}, {}, ["-id"]]],
];

for (const [line, want] of read) {
  Deno.test(`parseArgs() reads: ${line}`, () => {
    const parsed = parseArgs(split(line));
    const last = (flags: typeof parsed.flags) =>
      Object.fromEntries(
        [...flags].map(([name, uses]) => [name, uses.at(-1)!.value]),
      );
    assertEquals(
      [
        parsed.command,
        parsed.friendly,
        last(parsed.global),
        last(parsed.flags),
        [...parsed.args],
      ],
      want,
    );
  });
}

Deno.test("parseArgs() keeps each use of a flag, as typed", () => {
  const { flags } = parseArgs(
    split("run -r R -e A=1 --env=B=2 -m64m -it --memory-swap -1 x"),
  );
  assertEquals([...flags], [
    ["rootfs", [{ value: "R", typed: "-r R" }]],
    ["env", [
      { value: "A=1", typed: "-e A=1" },
      { value: "B=2", typed: "--env=B=2" },
    ]],
    ["memory", [{ value: "64m", typed: "-m64m" }]],
    ["interactive", [{ value: true, typed: "-it" }]],
    ["tty", [{ value: true, typed: "-it" }]],
    ["memory-swap", [{ value: "-1", typed: "--memory-swap -1" }]],
  ]);
});

const HELP = "rustyrun run --help lists the flags";
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
    `Write the signal after the id: rustyrun kill ID ${signal}`,
    1,
    "unknown-flag",
  ]),
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
    '"run" requires exactly 1 argument(s)',
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
    '"run" requires exactly 1 argument(s)',
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
  ["--gpus all", "unknown flag: --gpus", GPUS, 125, "unknown-flag"],
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
  [
    "run -r R -h foo",
    '-h is help, and "foo" stands behind it',
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
    125,
    "unknown-flag",
  ],
  [
    "--verison",
    "unknown flag: --verison",
    "The nearest one is --version",
    125,
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
    "checkpoint box",
    'rustyrun has no "checkpoint"',
    "Checkpoint and restore are not supported",
    1,
    "unsupported",
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
    const error = assertThrows(() => parseArgs(split(line)), ContainerError);
    assertEquals(
      [error.message, error.hint, error.exitCode, error.code],
      [`Cannot read the command line: ${why}`, hint, exitCode, code],
    );
  });
}
