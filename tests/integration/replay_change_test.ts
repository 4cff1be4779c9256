/**
 * What changes between two starts of the same command line: the next one shows
 * how it is now, and not how it was when it was kept.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import {
  type Image,
  type Outcome,
  type ReplayRoom,
  type RoomOptions,
  testInRoom,
} from "./replay_room.ts";
import { waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";

/** One change. */
interface Row {
  name: string;
  /** config.json, laid over a plain one; or flags of the friendly form. */
  over?: (image: Image) => Spec;
  flags?: (image: Image) => string[];
  script: string;
  options?: (image: Image) => RoomOptions;
  /** What was there before it was kept. */
  before?: (image: Image) => void;
  first: string;
  change?: (image: Image, room: ReplayRoom) => RoomOptions | void;
  then: string | Partial<Outcome> | ((image: Image) => Partial<Outcome>);
  /** Nothing that a plan rests on: it may be replayed. */
  replayed?: true;
}

const write = (path: string, text: string) => ({ rootfs }: Image) =>
  Deno.writeTextFileSync(`${rootfs}${path}`, text);
const configure = (over: Spec) => (image: Image) => image.configure(over);
const volume = (image: Image): Spec => ({
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    {
      destination: "/data",
      type: "bind",
      source: `${image.bundle}/data`,
      options: ["bind", "ro"],
    },
  ],
});
/** A filter that has mkdir do this. */
function writeFilter(bundle: string, action: string): void {
  const names = ["mkdir", "mkdirat"];
  const filter = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: action === "SCMP_ACT_ALLOW" ? [] : [{ names, action }],
  };
  Deno.writeTextFileSync(`${bundle}/filter`, JSON.stringify(filter));
}

const USERS = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n";

const ROWS: Row[] = [
  {
    name: "args of config.json",
    script: "echo one",
    first: "one\n",
    change: configure({ process: { args: ["echo", "two"] } }),
    then: "two\n",
  },
  {
    name: "hostname of config.json",
    over: () => ({ hostname: "first" }),
    script: "hostname",
    first: "first\n",
    change: configure({ hostname: "other" }),
    then: "other\n",
  },
  {
    name: "env of config.json",
    over: () => ({ process: { env: ["PATH=/bin", "A=one"] } }),
    script: "echo $A",
    first: "one\n",
    change: configure({ process: { env: ["PATH=/bin", "A=two"] } }),
    then: "two\n",
  },
  {
    name: "config.json that is gone",
    script: "echo one",
    first: "one\n",
    change: ({ bundle }) => Deno.removeSync(`${bundle}/config.json`),
    then: { code: 1, stdout: "" },
  },
  {
    name: "HOME in /etc/passwd",
    script: "echo $HOME",
    first: "/root\n",
    change: write("/etc/passwd", "root:x:0:0:root:/else:/bin/sh\n"),
    then: "/else\n",
  },
  {
    name: "/etc/passwd that is gone",
    script: "echo $HOME",
    first: "/root\n",
    change: ({ rootfs }) => Deno.removeSync(`${rootfs}/etc/passwd`),
    then: "/\n",
  },
  {
    name: "the number of a user by name",
    flags: () => ["-u", "app"],
    script: "id -u",
    first: "1000\n",
    change: write("/etc/passwd", USERS.replace("1000:1000", "1001:1001")),
    then: "1001\n",
  },
  {
    name: "the groups of a user by name",
    flags: () => ["-u", "app"],
    script: "id -G",
    first: "1000 50\n",
    change: write("/etc/group", "root:x:0:\napp:x:1000:\nstaff:x:51:app\n"),
    then: "1000 51\n",
  },
  {
    name: "a bind source that became a file",
    over: volume,
    before: ({ bundle }) => Deno.mkdirSync(`${bundle}/data`),
    script: "stat -c %F /data",
    first: "directory\n",
    change({ bundle, rootfs }) {
      Deno.removeSync(`${bundle}/data`);
      Deno.removeSync(`${rootfs}/data`);
      Deno.writeTextFileSync(`${bundle}/data`, "text");
    },
    then: "regular file\n",
  },
  {
    name: "a bind source of another directory by a link",
    over: volume,
    before({ bundle }) {
      for (const name of ["one", "two"]) {
        Deno.mkdirSync(`${bundle}/${name}`);
        Deno.writeTextFileSync(`${bundle}/${name}/name`, name);
      }
      Deno.symlinkSync("one", `${bundle}/data`);
    },
    script: "cat /data/name; echo",
    first: "one\n",
    change({ bundle }) {
      Deno.removeSync(`${bundle}/data`);
      Deno.symlinkSync("two", `${bundle}/data`);
    },
    then: "two\n",
  },
  {
    name: "what is in a bind source",
    over: volume,
    before({ bundle }) {
      Deno.mkdirSync(`${bundle}/data`);
      Deno.writeTextFileSync(`${bundle}/data/a`, "one\n");
    },
    script: "cat /data/a",
    first: "one\n",
    change: ({ bundle }) => Deno.writeTextFileSync(`${bundle}/data/a`, "two\n"),
    then: "two\n",
    replayed: true,
  },
  {
    name: "a directory of -v by a relative path",
    flags: () => ["-v", "./data:/data"],
    options: ({ bundle }) => ({ cwd: `${bundle}/one` }),
    before({ bundle }) {
      for (const name of ["one", "two"]) {
        Deno.mkdirSync(`${bundle}/${name}/data`, { recursive: true });
        Deno.writeTextFileSync(`${bundle}/${name}/data/name`, name);
      }
    },
    script: "cat /data/name; echo",
    first: "one\n",
    change: ({ bundle }) => ({ cwd: `${bundle}/two` }),
    then: "two\n",
  },
  {
    name: "a variable that -e passes on",
    flags: () => ["-e", "RRTEST"],
    options: () => ({ env: { RRTEST: "one" } }),
    script: "echo $RRTEST",
    first: "one\n",
    change: () => ({ env: { RRTEST: "two" } }),
    then: "two\n",
  },
  {
    name: "a variable that -e passes on and that is not set now",
    flags: () => ["-e", "RRTEST"],
    options: () => ({ env: { RRTEST: "one" } }),
    script: "echo ${RRTEST-none}",
    first: "one\n",
    change: () => ({ env: {} }),
    then: "none\n",
  },
  {
    name: "a file of --env-file",
    flags: ({ bundle }) => ["--env-file", `${bundle}/env`],
    before: ({ bundle }) => Deno.writeTextFileSync(`${bundle}/env`, "A=one\n"),
    script: "echo $A",
    first: "one\n",
    change: ({ bundle }) => Deno.writeTextFileSync(`${bundle}/env`, "A=two\n"),
    then: "two\n",
  },
  {
    name: "a filter of --security-opt seccomp=FILE",
    flags: ({ bundle }) => ["--security-opt", `seccomp=${bundle}/filter`],
    before: ({ bundle }) => writeFilter(bundle, "SCMP_ACT_ALLOW"),
    script: "mkdir /a && rmdir /a && echo made || echo refused",
    first: "made\n",
    change: ({ bundle }) => writeFilter(bundle, "SCMP_ACT_ERRNO"),
    then: {
      stdout: "refused\n",
      stderr: "mkdir: can't create directory '/a': Operation not permitted\n",
    },
  },
  {
    name: "stdin that was the null device",
    script: "cat; echo end",
    first: "end\n",
    change: () => ({ stdin: "text\n" }),
    then: "text\nend\n",
  },
  {
    name: "stdin that becomes the null device",
    script: "cat; echo end",
    options: () => ({ stdin: "text\n" }),
    first: "text\nend\n",
    change: () => ({}),
    then: "end\n",
  },
  {
    name: "the caller's umask",
    script: "umask",
    first: "0022\n",
    options: () => ({ first: "umask 022" }),
    change: () => ({ first: "umask 077" }),
    then: "0077\n",
  },
  {
    name: "the caller's limit of open files",
    options: () => ({ parent: "ulimit -S -n 777" }),
    script: "ulimit -n",
    first: "777\n",
    change: () => ({ parent: "ulimit -S -n 555" }),
    then: "555\n",
  },
  {
    name: "the caller's hard limit of open files",
    options: () => ({ first: "ulimit -n 777" }),
    script: "ulimit -H -n",
    first: "777\n",
    change: () => ({ first: "ulimit -n 555" }),
    then: "555\n",
  },
  {
    name: "another limit of the caller's",
    options: () => ({ first: "ulimit -S -c 5" }),
    script: "ulimit -S -c",
    first: "10\n",
    change: () => ({ first: "ulimit -S -c 10" }),
    then: "20\n",
    replayed: true,
  },
  {
    name: "the program that became a script without #!",
    over: () => ({ process: { args: ["/prog"] } }),
    script: "",
    before({ rootfs }) {
      Deno.writeTextFileSync(`${rootfs}/prog`, "#!/bin/sh\necho one\n");
      Deno.chmodSync(`${rootfs}/prog`, 0o755);
    },
    first: "one\n",
    change: write("/prog", "echo two\n"),
    then: { code: 1, stdout: "" },
  },
  {
    name: "the program that is gone",
    over: () => ({ process: { args: ["/prog"] } }),
    script: "",
    before({ rootfs }) {
      Deno.writeTextFileSync(`${rootfs}/prog`, "#!/bin/sh\necho one\n");
      Deno.chmodSync(`${rootfs}/prog`, 0o755);
    },
    first: "one\n",
    change: ({ rootfs }) => Deno.removeSync(`${rootfs}/prog`),
    then: { code: 1, stdout: "" },
  },
  {
    name: "the program that may not be executed",
    over: () => ({ process: { args: ["/prog"] } }),
    script: "",
    before({ rootfs }) {
      Deno.writeTextFileSync(`${rootfs}/prog`, "#!/bin/sh\necho one\n");
      Deno.chmodSync(`${rootfs}/prog`, 0o755);
    },
    first: "one\n",
    change: ({ rootfs }) => Deno.chmodSync(`${rootfs}/prog`, 0o644),
    then: { code: 1, stdout: "" },
  },
  {
    name: "the root file system that is gone",
    script: "echo one",
    first: "one\n",
    change: ({ rootfs }) => Deno.removeSync(rootfs, { recursive: true }),
    then: ({ rootfs }) => ({
      code: 1,
      stdout: "",
      stderr:
        `rustyrun: Cannot use "${rootfs}" as the root file system (root.path "${rootfs}"): no such file or directory\n` +
        "  hint: Name a directory that holds one, such as an unpacked image or what debootstrap makes\n",
    }),
  },
  {
    name: "the script itself",
    script: "echo one",
    first: "one\n",
    change: (image) => image.script("echo two"),
    then: "two\n",
    replayed: true,
  },
];

for (const row of ROWS) {
  testInRoom(`run shows what has changed: ${row.name}`, async (room, image) => {
    image.script(row.script);
    row.before?.(image);
    if (row.over) image.configure(row.over(image));
    const words = row.flags === undefined ? image.words() : [
      "run",
      "--rootfs",
      image.rootfs,
      ...row.flags(image),
      "--",
      "sh",
      "/script",
    ];
    const options = row.options?.(image) ?? {};
    const { stdout, stderr } = await room.keep(words, options);
    assertEquals([stdout, stderr], [row.first, ""]);
    const again = await room.run(words, options);
    assertEquals([again.stdout, again.ordinary], [row.first, 0]);
    const other = row.change?.(image, room) ?? options;
    const then = await room.run(words, other);
    const want = typeof row.then === "function" ? row.then(image) : row.then;
    assertEquals(
      then,
      typeof want === "string"
        ? { ...then, code: 0, stdout: want, stderr: "" }
        : { ...then, ...want },
    );
    assertEquals(then.ordinary, row.replayed ? 0 : 1);
    // What it says where nothing is kept: with --root.
    const plain = await room.run(["--root", room.other, ...words], other);
    assertEquals(plain, { ...then, ordinary: 1 });
  });
}

testInRoom(
  "run shows what has changed: the caller's cgroup",
  async (room, image) => {
    const dir = `/sys/fs/cgroup/pids/rustyrun-test-${image.id}`;
    const words = ["run", "-i", "--pids-limit", "50", "-r", image.rootfs];
    words.push("--name", image.id, "--", "sh", "-c", "echo ready; read x");
    await room.keep(words);
    assertEquals((await room.run(words)).ordinary, 0);
    Deno.mkdirSync(dir);
    try {
      const running = room.start(words, {
        first: `echo $$ >${dir}/cgroup.procs`,
        stdin: "",
      });
      await running.waitFor("ready");
      const names = [...Deno.readDirSync(dir)].filter((it) => it.isDirectory)
        .map((it) => it.name);
      assertMatch(names.join(" "), new RegExp(`^rustyrun-${image.id}-\\w+$`));
      await running.closeStdin();
      const { stdout, stderr } = await running.done;
      assertEquals([stdout, stderr], ["ready\n", ""]);
    } finally {
      // The warden, which is in it as well, may end a moment later.
      await waitFor(() => Deno.removeSync(dir), () => true);
    }
  },
  ["cgroup-v1"],
);
