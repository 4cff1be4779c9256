/**
 * A hostile program in a container: against the kernel's surface, against who
 * joins it (exec), against the runtime that waits in it, and through a
 * directory that it shares with the next container.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  cliCommand,
  makeBox,
  runCli,
  runToEnd,
  SLOW,
  start,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeTarget, NEEDS, payloadPath, plant } from "./attack.ts";
import { makeCaller, readStatus } from "./caller.ts";
import { waitFor } from "../wait.ts";

const MAPPED = ["--userns", "0:100000:65536"];

/** Who must own the root file system, so that its mount points can be made. */
function ownerFor(way: readonly string[]): number {
  return way.includes("--userns") ? 100000 : 0;
}

for (
  const way of [
    [],
    ["--no-pivot"],
    MAPPED,
    ["--ephemeral"],
    ["--read-only"],
    ["--network", "host"],
    ["-u", "1000"],
  ]
) {
  testOn(
    NEEDS,
    `run ${way.join(" ")} leaves no hole in the surface`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs, ownerFor(way));
      const { stdout, stderr } = await box.run([
        ...way,
        "--",
        "payload",
        "surface",
      ]);
      assertEquals(
        stdout.split("\n").filter((it) => it.startsWith("FELL")),
        [],
      );
      assertStringIncludes(stdout, "tried the surface\n");
      assertEquals(stderr, "");
    },
  );
}

/** A container whose first process runs until it is told. */
async function withExec(
  way: readonly string[],
  command: readonly string[],
  act: (
    exec: (...words: string[]) => ReturnType<typeof runCli>,
    rootfs: string,
  ) => Promise<void>,
): Promise<string> {
  await using box = makeBox();
  plant(box.rootfs, ownerFor(way));
  Deno.chmodSync(`${box.rootfs}/tmp`, 0o1777);
  const running = box.start([
    ...way,
    "--",
    "sh",
    "-c",
    `echo up; ${command.join(" ")}`,
  ]);
  await running.waitFor("up\n");
  try {
    await act((...words) => {
      // Flags of exec stand before the id.
      const flags = words[0] === "-u" ? words.splice(0, 2) : [];
      return runCli(["exec", ...flags, box.id, ...words]);
    }, box.rootfs);
  } finally {
    Deno.writeTextFileSync(`${box.rootfs}/tmp/stop`, "");
  }
  return (await running.done).stdout;
}

for (const way of [[], MAPPED]) {
  testOn(
    NEEDS,
    `exec, ${way.join(" ")}, is as confined as the first process`,
    async () => {
      await withExec(
        way,
        ["while [ ! -e /tmp/stop ]; do sleep 0.1; done"],
        async (exec) => {
          const keys =
            "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters):";
          const status = (
            pid: string,
          ) => ["sh", "-c", `grep -E '${keys}' /proc/${pid}/status`];
          const [first, own] = [
            await exec(...status("1")),
            await exec(...status("self")),
          ];
          assertEquals(own.stdout, first.stdout);
          assertMatch(own.stdout, /Seccomp:\t2\n/);
          assertMatch(own.stdout, /CapInh:\t0{16}\n/);
          const { stdout } = await exec("payload", "surface");
          assertEquals(stdout, "tried the surface\n");
        },
      );
    },
  );
}

for (
  const way of [
    [],
    // All capabilities, but of its own user namespace.
    [...MAPPED, "--cap-add", "ALL", "--security-opt", "seccomp=unconfined"],
  ]
) {
  testOn(
    NEEDS,
    `exec ${
      way.join(" ")
    } shows a hostile container nothing while it joins (CVE-2016-9962)`,
    async () => {
      const stdout = await withExec(
        way,
        ["payload", "scan", "600"],
        async (exec, rootfs) => {
          // As often as it takes until one was seen.
          const isSeen = () =>
            [...Deno.readDirSync(`${rootfs}/tmp`)].some((it) =>
              it.name === "seen"
            );
          for (let n = 0; n < 8 || n < 200 && !isSeen(); n++) {
            const { code, stderr } = await exec("true");
            assertEquals({ code, stderr }, { code: 0, stderr: "" });
          }
        },
      );
      // "some": the attack saw a process on its way in, so it could have failed.
      assertEquals(stdout, "up\nsaw some\n");
    },
  );
}

testOn(NEEDS, "exec -t opens no terminal but the container's own", async () => {
  const way = [
    "--cap-add",
    "SYS_ADMIN",
    "--security-opt",
    "seccomp=unconfined",
  ];
  const attack =
    "mount -o bind /dev/zero /dev/pts/ptmx; while [ ! -e /tmp/stop ]; do sleep 0.1; done";
  await using box = makeBox();
  const running = box.start([
    ...way,
    "--",
    "sh",
    "-c",
    `${attack} & echo up; wait`,
  ]);
  await running.waitFor("up\n");
  const listener = Deno.makeTempDirSync({ prefix: "rustyrun-test-console-" });
  try {
    // The mount may come a moment after "up".
    const words = ["exec", box.id, "stat", "-c", "%t:%T", "/dev/pts/ptmx"];
    const { stdout } = await waitFor(
      () => runCli(words),
      (it) => it.stdout === "1:5\n",
    );
    assertEquals(stdout, "1:5\n");
    const { code, stderr } = await runToEnd([
      ...cliCommand(),
      "exec",
      "-t",
      "-d",
      "--console-socket",
      `${listener}/none`,
      box.id,
      "true",
    ]);
    assertEquals(code, 255);
    assertStringIncludes(stderr, "open ptmx: EXDEV");
  } finally {
    Deno.writeTextFileSync(`${box.rootfs}/tmp/stop`, "");
    Deno.removeSync(listener, { recursive: true });
    await running.done;
  }
});

/** uid and gid of `exec -u`, and what is none: CVE-2026-30892. */
const USERS: [string, string | undefined][] = [
  ["1", "1:0"],
  ["1:2", "1:2"],
  ["4294967294", "4294967294:0"],
  ["4294967295", undefined],
  ["4294967296", undefined],
  [":2", undefined],
  ["1:", undefined],
  ["-1", undefined],
  ["0x1", undefined],
  ["1.0", undefined],
  ["1e3", undefined],
  ["", undefined],
  [" 1", undefined],
  ["1:2:3", undefined],
];

testOn(
  NEEDS,
  "exec -u takes numbers, whole, or nothing (CVE-2026-30892)",
  async () => {
    await withExec(
      [],
      ["while [ ! -e /tmp/stop ]; do sleep 0.1; done"],
      async (exec) => {
        const got: typeof USERS = [];
        for (const [user] of USERS) {
          const { code, stdout } = await exec(
            "-u",
            user,
            "sh",
            "-c",
            "grep -E '^(Uid|Gid)' /proc/self/status | awk '{ printf s $2; s = \":\" }'",
          );
          got.push([user, code === 0 ? stdout.trim() : undefined]);
        }
        assertEquals(got, USERS);
      },
    );
  },
);

testOn(
  [...NEEDS, "python3"],
  "create() holds no directory of the host's while it waits",
  async () => {
    await using caller = makeCaller();
    const { code } = await caller.hold([
      "create",
      "--bundle",
      caller.bundle,
      caller.id,
    ]);
    assertEquals(code, 0);
    const { pid } = await caller.state();
    const want = [`${caller.root}/${caller.id}/exec.fifo`];
    const fds = await waitFor(
      () =>
        [...Deno.readDirSync(`/proc/${pid}/fd`)]
          .filter(({ name }) => Number(name) > 2)
          .map(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`))
          .sort(),
      (them) => them.length <= want.length,
    );
    assertEquals(fds, want);
    assertEquals(Deno.readTextFileSync(`/proc/${pid}/environ`), "");
    assertEquals(readStatus(pid, "CapInh"), "0".repeat(16));
    const { stdout } = await caller.call([
      "exec",
      caller.id,
      "sh",
      "-c",
      "cat /proc/1/environ; readlink /proc/1/exe; ls /proc/1/root/; readlink /proc/1/fd/*; true",
    ]);
    assertEquals(stdout, "");
  },
);

testOn(
  NEEDS,
  "run() keeps the caller's terminal from a command without -t (CVE-2017-5226)",
  async () => {
    await using box = makeBox();
    plant(box.rootfs);
    const { stdout } = await box.run([
      "--security-opt",
      "seccomp=unconfined",
      "-i",
      "--",
      "payload",
      "tty",
    ]);
    assertEquals(stdout, "tried the terminal\n");
  },
);

testOn(
  NEEDS,
  "run() leaves the host alone while a volume is swapped under it (CVE-2021-30465, CVE-2024-45310)",
  async () => {
    using target = makeTarget();
    await using box = makeBox();
    plant(box.rootfs);
    const volume = Deno.makeTempDirSync({ prefix: "rustyrun-test-volume-" });
    try {
      Deno.mkdirSync(`${volume}/a/x`, { recursive: true });
      Deno.symlinkSync(`/${target.climb}`, `${volume}/b`);
      const swap = start([
        payloadPath(box.rootfs),
        "swap",
        `${volume}/a`,
        `${volume}/b`,
        `${volume}/stop`,
      ]);
      const ways: ((n: number) => string[])[] = [
        () => ["-v", `${box.rootfs}/etc:/vol/a/x:ro`],
        (n) => ["-v", `${box.rootfs}/etc:/vol/a/new${n}/deep`],
        (n) => ["-w", `/vol/a/cwd${n}/deep`],
        (n) => ["--no-pivot", "--tmpfs", `/vol/a/tmp${n}/deep`],
        (n) => ["--ephemeral", "-v", `${box.rootfs}/etc:/vol/a/up${n}`],
      ];
      const end = performance.now() + 30_000 * SLOW;
      let worked = 0;
      const goesOn = (n: number) =>
        n < 60 && performance.now() < end || n < 200 && worked === 0;
      for (let n = 0; goesOn(n); n++) {
        const { code } = await box.run([
          "-v",
          `${volume}:/vol`,
          ...ways[n % ways.length]!(n),
          "--",
          "true",
        ]);
        worked += code === 0 ? 1 : 0;
        target.check();
      }
      Deno.writeTextFileSync(`${volume}/stop`, "");
      assertEquals((await swap.done).stdout, "swapped often\n");
      assert(worked > 0, "no run worked: nothing was tried");
    } finally {
      Deno.removeSync(volume, { recursive: true });
    }
  },
);

testOn(NEEDS, "run() lets no mount of a container out", async () => {
  for (const mode of ["private", "shared", "slave", "rshared"]) {
    await using caller = makeCaller({
      process: {
        args: ["mount", "-t", "tmpfs", "rrleak", "/tmp"],
        capabilities: Object.fromEntries(
          ["bounding", "effective", "permitted"].map((
            it,
          ) => [it, ["CAP_SYS_ADMIN"]]),
        ),
      },
      linux: { rootfsPropagation: mode },
    });
    const { code } = await caller.call([
      "run",
      "--bundle",
      caller.bundle,
      caller.id,
    ]);
    assertEquals(code, 0, mode);
    const mounts = Deno.readTextFileSync("/proc/self/mountinfo");
    assertEquals(mounts.includes("rrleak"), false, mode);
  }
});
