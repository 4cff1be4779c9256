/**
 * Whole lives through `checkpoint` and `restore`, with a real criu. For the guest
 * (.ci/guest): many cases in few containers, for each call is slow there.
 *
 * @module
 */

import {
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import {
  type Caller,
  type CallOptions,
  makeCaller,
  makeSpec,
  QUIET,
  readStatus,
  type Spec,
} from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3", "criu"] as const;

/** Counts through a pipe of its own into a tmpfs, and tries what its filter
 * forbids. */
const COUNTER = [
  "i=0",
  "echo kept > /tmp/kept",
  "while :; do i=$((i+1)); echo $i; mkdir /tmp/bad 2>/dev/null; sleep 0.05; done | while read n; do echo $n > /tmp/n; done",
].join("; ");

const CAPS = ["CAP_MKNOD", "CAP_KILL"];

/** A counter with all that must outlast a restore. */
function counterSpec(volume: string): Spec {
  return {
    process: {
      args: ["sh", "-c", COUNTER],
      noNewPrivileges: true,
      capabilities: { bounding: CAPS, effective: CAPS, permitted: CAPS },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["mode=755"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666"],
      },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      { destination: "/vol", source: volume, options: ["rbind", "ro"] },
      // criu sets the attributes of the first of a file system's mounts alone.
      {
        destination: "/more",
        source: volume,
        options: ["bind", "ro", "nosuid", "nodev", "noexec"],
      },
    ],
    linux: {
      maskedPaths: ["/proc/kcore", "/proc/timer_list", "/proc/acpi"],
      readonlyPaths: ["/proc/sys"],
      resources: { memory: { limit: 64 << 20 }, pids: { limit: 33 } },
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
      },
    },
  };
}

/** What the counter has come to; 0 before it has begun. Its tmpfs is read from
 * outside: a call would take seconds in the guest. */
function count(pid: number): number {
  try {
    return Number(Deno.readTextFileSync(`/proc/${pid}/root/tmp/n`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Waits until it goes on. */
async function goesOn(pid: number, from = count(pid)): Promise<void> {
  const now = await waitFor(() => count(pid), (it) => it > from);
  assertGreater(now, from);
}

const cgroupMounts = () =>
  Deno.readTextFileSync("/proc/self/mounts").split("\n")
    .filter((it) => it.includes(" cgroup"));

/** Calls it with pipes that the container inherits, and shows why it fails. */
async function hold(
  caller: Caller,
  words: string[],
  options: CallOptions = {},
): Promise<void> {
  const { code } = await caller.hold(words, options);
  assertEquals(code, 0, code === 0 ? "" : Deno.readTextFileSync(caller.log));
}

/** Asserts what the configuration of the counter promises. */
async function assertBounded(caller: Caller, pid: number): Promise<void> {
  assertEquals(readStatus(pid, "Seccomp"), "2");
  assertEquals(readStatus(pid, "NoNewPrivs"), "1");
  assertEquals(readStatus(pid, "CapBnd"), "0000000008000020");
  assertStringIncludes(
    Deno.readTextFileSync(`/proc/${pid}/cgroup`),
    `/${caller.id}\n`,
  );
  const { stdout, code } = await caller.callBare([
    "exec",
    caller.id,
    "sh",
    "-c",
    [
      "cat /tmp/kept /vol/file",
      "touch /vol/new; touch /more/new",
      "test -e /tmp/bad || echo no mkdir",
      "mknod /tmp/disk b 254 0",
      "cat /tmp/disk",
      "head -c1 /proc/kcore | wc -c",
      "(: > /proc/sys/kernel/hostname) || true",
    ].join("; ") + " 2>&1",
  ], { merged: true });
  assertEquals(code, 0, stdout);
  for (
    const line of [
      "kept",
      "of the host",
      "no mkdir",
      "can't open '/tmp/disk': Operation not permitted",
      "Read-only file system",
    ]
  ) assertStringIncludes(stdout, line);
  assertEquals(
    [...Deno.readDirSync(`${caller.dir}/volume`)].map((it) => it.name),
    ["file"],
  );
  const limits = await caller.callBare(["events", "--stats", caller.id]);
  const { data } = JSON.parse(limits.stdout);
  assertEquals(data.memory.usage.limit, 64 << 20);
  assertEquals(data.pids.limit, 33);
}

testOn(
  NEEDS,
  "a counter goes on after a restore, with its limits, filter, mounts and pipes",
  async (t) => {
    await using caller = makeCaller();
    const { id, bundle, dir, call, callBare } = caller;
    Deno.mkdirSync(`${dir}/volume`);
    Deno.writeTextFileSync(`${dir}/volume/file`, "of the host\n");
    const spec = makeSpec(id, counterSpec(`${dir}/volume`));
    caller.write(spec);
    const mounts = cgroupMounts();
    const file = `${dir}/pid`;
    const made = ["create", "--bundle", bundle, "--pid-file", file, id];
    await hold(caller, made);
    const early = await callBare(["checkpoint", id]);
    assertStringIncludes(
      early.stderr,
      "cannot be checkpointed in created state",
    );
    assertEquals(await call(["start", id]), QUIET);
    const first = Number(Deno.readTextFileSync(file));
    await goesOn(first, 3);
    const image = `${dir}/image`;

    await t.step("it runs on, where that is asked for", async () => {
      assertEquals(
        await call([
          "checkpoint",
          "--leave-running",
          ...["--image-path", `${dir}/running`],
          id,
        ]),
        QUIET,
      );
      await goesOn(first);
    });

    await t.step(
      "its memory is written before, and then what has changed",
      async () => {
        const pre = ["--pre-dump", "--image-path", `${dir}/before`];
        assertEquals(await call(["checkpoint", ...pre, id]), QUIET);
        await goesOn(first);
        const last = ["--parent-path", "../before", "--image-path", image];
        assertEquals(await call(["checkpoint", ...last, id]), QUIET);
        assertEquals((await call(["state", id])).code, 1);
      },
    );

    const args = ["--bundle", bundle, "--image-path", image];
    const refused = async (words: string) => {
      const { code, stderr } = await callBare([
        "restore",
        "--detach",
        ...args,
        id,
      ]);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, words);
      assertEquals((await call(["state", id])).code, 1);
      assertEquals(
        [...Deno.readDirSync(caller.root)].filter((it) => it.name === id),
        [],
      );
    };

    await t.step(
      "what does not fit its config.json is refused, and nothing is left",
      async () => {
        const notes = `${image}/rustyrun.json`;
        const text = Deno.readTextFileSync(notes);
        const { external } = JSON.parse(text);
        assertEquals(external.includes("/vol"), true);
        Deno.writeTextFileSync(notes, text.replace('"/vol"', '"/etc"'));
        await refused("nothing there");
        Deno.writeTextFileSync(notes, text.replace('"/vol"', '"/vol","/etc"'));
        await refused('"/etc"');
        Deno.writeTextFileSync(notes, text);
        // criu restores all of it: what it has restored is judged.
        caller.write({
          ...spec,
          process: {
            ...spec["process"],
            capabilities: { bounding: ["CAP_KILL"] },
          },
        });
        await refused("capabilities that config.json does not give");
        caller.write(spec);
        Deno.symlinkSync("/etc/passwd", `${image}/core-9.img`);
        await refused('"core-9.img"');
        Deno.removeSync(`${image}/core-9.img`);
      },
    );

    await t.step("it is restored", async () => {
      const words = ["restore", "--detach", "--pid-file", file, ...args, id];
      await hold(caller, words);
      const pid = Number(Deno.readTextFileSync(file));
      const state = await caller.state();
      assertEquals([state["status"], state["pid"]], ["running", pid]);
      // It is a child of whoever has called, as with runc.
      assertEquals(readStatus(pid, "PPid"), String(caller.pid));
      const now = count(pid);
      assertGreater(now, 3);
      await goesOn(pid, now);
      await assertBounded(caller, pid);
      assertEquals(cgroupMounts(), mounts);
      assertEquals(await call(["pause", id]), QUIET);
      assertEquals((await caller.state())["status"], "paused");
      assertEquals(await call(["resume", id]), QUIET);
      assertEquals(await call(["kill", id, "KILL"]), QUIET);
      await caller.waitFor("stopped");
      assertEquals(await call(["delete", id]), QUIET);
    });
  },
);

testOn(NEEDS, "a terminal goes on at another console socket", async () => {
  await using caller = makeCaller({
    process: {
      terminal: true,
      args: ["sh", "-c", "while read line; do echo got $line; done"],
    },
  });
  const { id, bundle, dir, call, ask } = caller;
  const socket = `${dir}/console`;
  const console = ["--bundle", bundle, "--console-socket", socket];
  await ask({ do: "listen", path: socket });
  assertEquals(await call(["create", ...console, id]), QUIET);
  await ask({ do: "accept", path: socket });
  assertEquals(await call(["start", id]), QUIET);
  await ask({ do: "write", stream: "console", text: "one\n" });
  const first = await ask({ do: "read", stream: "console", until: "got one" });
  assertStringIncludes(first.text, "got one");
  const image = ["--image-path", `${dir}/image`];
  assertEquals(await call(["checkpoint", ...image, id]), QUIET);
  Deno.removeSync(socket);
  await ask({ do: "listen", path: socket });
  const words = ["restore", "--detach", ...console, ...image, id];
  assertEquals(await call(words), QUIET);
  await ask({ do: "accept", path: socket });
  await ask({ do: "write", stream: "console", text: "two\n" });
  const second = await ask({ do: "read", stream: "console", until: "got two" });
  assertStringIncludes(second.text, "got two");
});

testOn(
  NEEDS,
  "a failed dump leaves the container running and thawed",
  async () => {
    await using caller = makeCaller({
      mounts: makeSpec("").mounts.concat([
        { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      ]),
      process: { args: ["sh", "-c", COUNTER] },
    });
    const { id, bundle, dir, call, callBare } = caller;
    // What is open of the host's has no path in the container.
    const file = `${dir}/pid`;
    const open = [
      "--preserve-fds",
      "1",
      "--bundle",
      bundle,
      "--pid-file",
      file,
    ];
    Deno.writeTextFileSync(`${dir}/open`, "");
    await hold(caller, ["create", ...open, id], { fds: [`${dir}/open`] });
    assertEquals(await call(["start", id]), QUIET);
    const pid = Number(Deno.readTextFileSync(file));
    await goesOn(pid, 3);
    const image = ["--image-path", `${dir}/image`];
    const { code, stderr } = await callBare(["checkpoint", ...image, id]);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /Cannot checkpoint ".*": criu failed: Can't lookup mount/,
    );
    assertEquals((await caller.state())["status"], "running");
    await goesOn(pid);
  },
);
