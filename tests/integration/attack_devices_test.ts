/**
 * A hostile program at the host's null device and its like, by whatever way it
 * gets a descriptor or a name of one: it changes mode, owner, times, attributes
 * and flags, and the host's nodes must be as they were. They are a test's own, in
 * a mount namespace of its own.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  makeBox,
  ROOT,
  runToEnd,
  withTerminal,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { NEEDS, plant } from "./attack.ts";
import { makeCaller, makeSpec } from "./caller.ts";

/** Minor numbers of major 1, and what a program reads and writes there. */
const DEVICES: Record<string, [minor: number, read: number, write: number]> = {
  null: [3, 0, 1],
  zero: [5, 1, 1],
  full: [7, 1, -1],
  random: [8, 1, 1],
  urandom: [9, 1, 1],
};
/** What else there is of the host's in a container, by name. */
const PATHS = ["/dev/null", "/dev/zero", "/proc/keys", "/proc/timer_list"];
const DEVICES_PAYLOAD = ["payload", "devices"];

const CAPS = ["CHOWN", "FOWNER", "DAC_OVERRIDE", "MKNOD"]
  .map((it) => `CAP_${it}`);

/** A mount namespace whose devices are its own. */
interface Room extends AsyncDisposable {
  /** Another name of its null device. */
  other: string;
  /** A command line that runs `argv` there, with a device as 0, 1 and 2. */
  enter(argv: readonly string[], device?: string): string[];
  /** What everybody sees of the devices. */
  look(): unknown;
}

async function makeRoom(): Promise<Room> {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-devices-" });
  const names = Object.entries(DEVICES);
  const child = new Deno.Command("unshare", {
    args: [
      ...["--mount", "--propagation", "private", "sh", "-c"],
      [
        "set -e",
        `mount -t tmpfs -o mode=755 devices ${dir}`,
        ...names.map(([it, [minor]]) =>
          `mknod -m 666 ${dir}/${it} c 1 ${minor}; mount --bind ${dir}/${it} /dev/${it}`
        ),
        "echo ready; exec cat",
      ].join("\n"),
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  if ((await reader.read()).done) throw new Error("Cannot make a room");
  return {
    other: `${dir}/null`,
    enter: (argv, device) => [
      ...["nsenter", "--mount", `--target=${child.pid}`, "--"],
      ...device === undefined ? argv : [
        "sh",
        "-c",
        `exec "$@" <${device} >${device} 2>${device}`,
        "sh",
        ...argv,
      ],
    ],
    look: () =>
      names.map(([it]) => {
        const path = `/proc/${child.pid}/root/dev/${it}`;
        const { mode, uid, gid, rdev, mtime, ctime } = Deno.statSync(path);
        return { it, mode, uid, gid, rdev, mtime, ctime };
      }),
    async [Symbol.asyncDispose]() {
      await reader.cancel();
      await child.stdin.close();
      await child.status;
      Deno.removeSync(dir);
    },
  };
}

/** What the hostile program says of its streams, once it has done its work. */
async function readSaid(rootfs: string): Promise<string[]> {
  const said = await waitFor(() => Deno.readTextFileSync(`${rootfs}/said`));
  Deno.removeSync(`${rootfs}/said`);
  return said.trimEnd().split("\n");
}

/** Streams that are all one device, with its usual name. */
function saysDevice(name: string): string[] {
  const [minor, read, write] = DEVICES[name]!;
  return [0, 1, 2].map((fd) =>
    `${fd} 20000 1:${minor} /dev/${name} reads ${read} writes ${write}`
  );
}

const FLAGS: readonly (readonly string[])[] = [
  [],
  ["-i"],
  ["--init"],
  ["--no-pivot"],
  ["--ephemeral"],
  ["--userns", "0:0:65536"],
  // The command is root by number, and may change what it has mounted.
  ["--userns", "0:0:65536", "--cap-add", "SYS_ADMIN"],
];

for (const flags of FLAGS) {
  testOn(
    NEEDS,
    `run ${flags.join(" ")} leaves the host's devices as they are`,
    async () => {
      await using room = await makeRoom();
      await using box = makeBox();
      plant(box.rootfs);
      const before = room.look();
      const words = ["run", "--rootfs", box.rootfs, "--name", box.id];
      const kept = flags.includes("--ephemeral")
        ? [`--volume=${box.rootfs}:/out`]
        : [];
      const line = kept.length > 0
        ? ["sh", "-c", `payload devices ${PATHS.join(" ")}; cp /said /out/said`]
        : [...DEVICES_PAYLOAD, ...PATHS];
      const { code, stderr } = await runToEnd(
        room.enter(
          [...cliCommand(), ...words, ...flags, ...kept, "--", ...line],
          "/dev/null",
        ),
      );
      assertEquals(room.look(), before);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(await readSaid(box.rootfs), saysDevice("null"));
    },
  );
}

testOn(NEEDS, "run -d leaves the host's devices as they are", async () => {
  await using room = await makeRoom();
  await using box = makeBox();
  plant(box.rootfs);
  const before = room.look();
  const words = ["run", "-d", "--rootfs", box.rootfs, "--name", box.id];
  const run = (...args: string[]) =>
    runToEnd(room.enter([...cliCommand(), ...args]));
  const started = await run(
    ...words,
    ...["--", "sh", "-c", `payload devices ${PATHS.join(" ")}; sleep 1000`],
  );
  const said = await readSaid(box.rootfs);
  await run("delete", "-f", box.id);
  assertEquals(started.stderr, "");
  assertEquals(room.look(), before);
  assertEquals(said, saysDevice("null"));
});

/** Bundles whose first process has a /dev made for it, one of the image's, and
 * the host's. */
const DEVS: Record<string, unknown[]> = {
  "a /dev of its own": makeSpec("x")["mounts"],
  "the image's /dev": [{ destination: "/proc", type: "proc", source: "proc" }],
  "an empty directory on /dev": [
    { destination: "/proc", type: "proc", source: "proc" },
    {
      destination: "/dev",
      type: "bind",
      source: "/var/empty",
      options: ["bind"],
    },
  ],
};

for (const [what, mounts] of Object.entries(DEVS)) {
  for (const name of ["other", ...Object.keys(DEVICES)]) {
    // The others are for the streams alone.
    const all = name === "null";
    testOn(
      [...NEEDS, "python3"],
      `create, start, exec and exec -d of a bundle with ${what} leave the host's ${name} device as it is`,
      async () => {
        await using room = await makeRoom();
        await using caller = makeCaller();
        const empty = `${caller.dir}/empty`;
        Deno.mkdirSync(empty);
        const { id } = caller;
        const spec = makeSpec(id, {
          process: {
            args: ["sh", "-c", "payload devices; exec sleep 1000"],
            capabilities: { bounding: CAPS, effective: CAPS, permitted: CAPS },
          },
          // deno-lint-ignore no-explicit-any -- a config.json's
          mounts: (mounts as any[]).map((it) =>
            it.source === "/var/empty" ? { ...it, source: empty } : it
          ),
        });
        caller.write(spec);
        plant(caller.rootfs);
        const device = name === "other" ? room.other : `/dev/${name}`;
        const says = saysDevice(name === "other" ? "null" : name);
        const before = room.look();
        const call = async (...words: string[]) => {
          const { code } = await runToEnd(
            room.enter(
              [...cliCommand(), "--root", caller.root, ...words],
              device,
            ),
          );
          assertEquals(code, 0, words.join(" "));
        };
        await call("create", "--bundle", caller.bundle, id);
        await call("start", id);
        const seen = [await readSaid(caller.rootfs)];
        const exec = async (...flags: string[]) => {
          await call("exec", ...flags, id, ...DEVICES_PAYLOAD);
          seen.push(await readSaid(caller.rootfs));
        };
        await exec();
        await exec("-d");
        if (all) {
          await call("exec", id, "sh", "-c", "rm -f /dev/null /dev/zero");
          await exec();
          await exec("-d");
          // A device that is another, and one that leads out.
          await call("exec", id, "sh", "-c", "mknod /dev/null c 1 5");
          await exec();
          await call("exec", id, "sh", "-c", "ln -sf /proc/1/fd/0 /dev/null");
          await exec();
        }
        await call("delete", "-f", id);
        assertEquals(room.look(), before);
        assertEquals(seen, seen.map(() => says));
      },
    );
  }
}

testOn(
  [...NEEDS, "script"],
  "run -t leaves the host's devices as they are",
  async () => {
    await using room = await makeRoom();
    await using box = makeBox();
    plant(box.rootfs);
    const before = room.look();
    const words = ["run", "--rootfs", box.rootfs, "--name", box.id];
    const { code } = await runToEnd(
      room.enter(withTerminal([
        ...cliCommand(),
        ...words,
        "-t",
        "--",
        ...DEVICES_PAYLOAD,
        ...PATHS,
      ])),
      { stdin: "" },
    );
    assertEquals(code, 0);
    assertEquals(room.look(), before);
  },
);

testOn(
  NEEDS,
  "a sandbox's commands get no device of the host's",
  async () => {
    await using room = await makeRoom();
    await using box = makeBox();
    plant(box.rootfs);
    const before = room.look();
    const file = `${ROOT}/tests/integration/box_program.ts`;
    const { code, stdout, stderr } = await runToEnd(
      room.enter([
        ...[Deno.execPath(), "run", "-A", "--no-check", file],
        ...[box.rootfs, box.id, "devices"],
      ]),
      { cwd: ROOT },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    // Pipes, all of them.
    const lines = [0, 1, 2].map((fd) => `${fd} 10000 0:0  reads -2 writes -2`);
    assertEquals(JSON.parse(stdout), { devices: [lines, lines, lines, lines] });
    assertEquals(room.look(), before);
  },
);
