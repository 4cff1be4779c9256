/**
 * Command lines that are read.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { parseArgs } from "../mod/cli/parse.ts";

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
  ["checkpoint --help", ["help", false, {}, { help: true }, ["checkpoint"]]],
  ["restore --image-path X -h", ["help", false, {}, {
    "image-path": "X",
    help: true,
  }, ["restore"]]],
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
  // runc takes them behind the id, too.
  ["create ID --bundle B", ["create", false, {}, { bundle: "B" }, ["ID"]]],
  ["run ID -b B", ["run", false, {}, { bundle: "B" }, ["ID"]]],
  ["run -d ID --bundle=B --pid-file P --keep", ["run", false, {}, {
    detach: true,
    bundle: "B",
    "pid-file": "P",
    keep: true,
  }, ["ID"]]],
  ["run ID --help", ["help", false, {}, { help: true }, ["run"]]],
  ["run -r R ID -b B", ["run", true, {}, { rootfs: "R" }, [
    "ID",
    "-b",
    "B",
  ]]],
  ["create --bundle B --detach ID", ["create", false, {}, {
    bundle: "B",
    detach: true,
  }, ["ID"]]],
  ["start ID", ["start", false, {}, {}, ["ID"]]],
  ["kill --all ID 9", ["kill", false, {}, { all: true }, ["ID", "9"]]],
  ["kill -a ID SIGKILL", ["kill", false, {}, { all: true }, ["ID", "SIGKILL"]]],
  ["kill ID --all", ["kill", false, {}, { all: true }, ["ID"]]],
  ["kill ID -a", ["kill", false, {}, { all: true }, ["ID"]]],
  ["kill ID KILL --all", ["kill", false, {}, { all: true }, ["ID", "KILL"]]],
  ["kill ID -- -9", ["kill", false, {}, {}, ["ID", "-9"]]],
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
