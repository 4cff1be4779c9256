/**
 * Calls that the warm engine serves: the same as in a process of their own, and
 * nothing of one call is left for the next.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  cliCommand,
  findLeaks,
  findLeaksBeside,
  makeRootfs,
  takeSnapshot,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { WarmRoom } from "../warm_room.ts";

/** The container of this file's tests. */
const ID = `rrwarm-${Deno.pid}`;

/** A bundle whose process runs this line. */
function makeBundle(line: string, change: Record<string, unknown> = {}) {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-warm-bundle-" });
  const rootfs = makeRootfs();
  const spec = {
    ociVersion: "1.2.0",
    root: { path: rootfs },
    hostname: "warm",
    process: {
      cwd: "/",
      args: ["sh", "-c", line],
      env: ["PATH=/bin"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"]
        .map((type) => ({ type })),
    },
    ...change,
  };
  Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(spec));
  return {
    dir,
    [Symbol.dispose]() {
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    },
  };
}

const FINE = { code: 0, signal: null, stdout: "", stderr: "" };

/** What a worker is between two calls. */
function describeWorker(pid: number): string {
  const of = (name: string) => `/proc/${pid}/${name}`;
  const fds = [...Deno.readDirSync(of("fd"))].map(({ name }) =>
    `${name} ${Deno.readLinkSync(of(`fd/${name}`))}`
  ).sort();
  const status = Deno.readTextFileSync(of("status"));
  return [
    ...fds,
    Deno.readLinkSync(of("cwd")),
    /^Umask:.*$/m.exec(status)?.[0],
    /^Sig(?:Blk|Ign|Cgt):.*$/gm.exec(status)?.join(),
    Deno.readTextFileSync(of(`task/${pid}/children`)),
  ].join("\n");
}

testOn(
  ["root", "busybox"],
  "warm: a container's whole life, as an engine has it",
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open();
    using bundle = makeBundle("sleep 1000");
    const [pidFile, log] = [`${room.dir}/pid`, `${room.dir}/log`];
    assertEquals(
      await room.call([
        "--log",
        log,
        "create",
        "--bundle",
        bundle.dir,
        "--pid-file",
        pidFile,
        ID,
      ]),
      FINE,
    );
    assertEquals(Deno.readTextFileSync(log), "");
    const pid = Number(Deno.readTextFileSync(pidFile));
    const created = JSON.parse((await room.call(["state", ID])).stdout);
    assertEquals([created.status, created.pid], ["created", pid]);
    assertEquals(await room.call(["start", ID]), FINE);
    assertEquals(
      await room.call([
        "exec",
        ID,
        "sh",
        "-c",
        "echo hi; echo ho >&2; exit 7",
      ]),
      {
        code: 7,
        signal: null,
        stdout: "hi\n",
        stderr: "ho\n",
      },
    );
    assertEquals(
      (await room.call([
        "exec",
        "--env",
        "A=b",
        "--cwd",
        "/tmp",
        ID,
        "sh",
        "-c",
        "echo $A $PWD",
      ])).stdout,
      "b /tmp\n",
    );
    assertEquals(await room.call(["pause", ID]), FINE);
    assertEquals(
      JSON.parse((await room.call(["state", ID])).stdout).status,
      "paused",
    );
    assertEquals(await room.call(["resume", ID]), FINE);
    const [warm, cold] = await Promise.all([
      room.call(["list"]),
      room.cold(["list"]),
    ]);
    assertEquals(warm, cold);
    assertStringIncludes(warm.stdout, "running");
    assertEquals(await room.call(["kill", ID, "KILL"]), FINE);
    assertEquals(await room.call(["delete", "--force", ID]), FINE);
    assertEquals(await findLeaks(before, ID), []);
  },
);

testOn(
  ["root", "busybox"],
  "warm: run, by its bundle and by flags; its container is the caller's child",
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open();
    using bundle = makeBundle("echo out; cat; echo err >&2; exit 3");
    assertEquals(
      await room.call(["run", "--bundle", bundle.dir, ID], { stdin: "in\n" }),
      { code: 3, signal: null, stdout: "out\nin\n", stderr: "err\n" },
    );
    using staying = makeBundle("sleep 1000");
    assertEquals(
      await room.call(["run", "--detach", "--bundle", staying.dir, ID]),
      FINE,
    );
    const { stdout } = await room.call(["state", ID]);
    assertEquals(JSON.parse(stdout).status, "running");
    assertEquals(await room.call(["delete", "--force", ID]), FINE);
    const rootfs = makeRootfs();
    const words = [
      "run",
      "--rootfs",
      rootfs,
      "--env",
      "HERE",
      "--",
      "sh",
      "-c",
      "echo $HERE; hostname",
    ];
    const options = { env: { HERE: "here" } };
    assertEquals(
      await room.call(words, options),
      await room.cold(words, options),
    );
    for (
      const bound of [
        ["--timeout", "300ms", "--", "sleep", "600"],
        ["--max-output", "10", "--", "yes"],
        ["--max-output", "10", "--", "echo", "out"],
      ]
    ) {
      const words = ["run", "--rootfs", rootfs, ...bound];
      assertEquals(await room.call(words), await room.cold(words));
    }
    assertEquals(
      await room.call(["run", "--rootfs", rootfs, "--", "nothing"]),
      await room.cold(["run", "--rootfs", rootfs, "--", "nothing"]),
    );
    Deno.removeSync(rootfs, { recursive: true });
    assertEquals(await findLeaks(before, ID), []);
  },
);

/** Calls that fail, or only tell: the same words, warm and cold. */
const TELLING: readonly (readonly string[])[] = [
  ["--version"],
  ["features"],
  ["state", "nobody"],
  ["start", "nobody"],
  ["kill", "nobody", "SIGNONE"],
  ["kill", "nobody"],
  ["delete", "nobody"],
  ["delete", "--force", "nobody"],
  ["exec", "nobody", "true"],
  ["exec", "nobody"],
  ["pause", "nobody"],
  ["resume", "nobody"],
  ["update", "--memory", "64m", "nobody"],
  ["list", "--format", "json"],
  ["create", "--bundle", "/nowhere", ID],
  ["create", "--bundle", "/", ID],
  ["run", "--bundle", "/nowhere", ID],
  ["run", "--rootfs", "/nowhere", "--", "true"],
  ["run", "--rootfs", "/", "--memory", "odd", "--", "true"],
  ["run", "--json", "--rootfs", "/nowhere", "--", "true"],
  ["--log", "/nowhere/log", "state", "nobody"],
];

testOn(
  ["root", "helper"],
  "warm: what fails or only tells is word for word the same",
  async () => {
    await using room = await WarmRoom.open();
    Deno.mkdirSync(room.root);
    for (const words of TELLING) {
      assertEquals(
        await room.call(words),
        await room.cold(words),
        words.join(" "),
      );
    }
  },
);

testOn(
  ["root", "helper"],
  "warm: output that nobody takes is the same error",
  async () => {
    await using room = await WarmRoom.open();
    const line = 'exec "$@" >/dev/full';
    const run = (program: readonly string[]) =>
      new Deno.Command("/bin/sh", {
        args: ["-c", line, "sh", ...program, "features"],
        stderr: "piped",
      }).output();
    const warm = await run([room.front]);
    const cold = await run(cliCommand());
    assertEquals(warm.code, cold.code);
    assertEquals(
      new TextDecoder().decode(warm.stderr),
      new TextDecoder().decode(cold.stderr),
    );
  },
);

testOn(
  ["root", "busybox"],
  "warm: nothing of a call is left in the worker, whatever it was",
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open();
    using bundle = makeBundle("sleep 1000");
    using broken = makeBundle("true", { root: { path: "/nowhere" } });
    using late = makeBundle("true", {
      process: { cwd: "/", args: ["/nothing"] },
    });
    const calls: (readonly string[])[] = [
      ["create", "--bundle", bundle.dir, ID],
      ["create", "--bundle", bundle.dir, ID],
      ["create", "--bundle", broken.dir, "b"],
      ["create", "--bundle", late.dir, "b"],
      ["run", "--bundle", late.dir, "b"],
      ["run", "--bundle", broken.dir, "b"],
      ["state", ID],
      ["exec", ID, "true"],
      ["start", ID],
      ["start", ID],
      ["exec", ID, "true"],
      ["exec", ID, "/nothing"],
      ["exec", "--user", "nobody-there", ID, "true"],
      ["exec", "--detach", ID, "true"],
      ["exec", "--detach", ID, "/nothing"],
      ["exec", "--pid-file", "/nowhere/pid", ID, "true"],
      ["exec", "--console-socket", "/nowhere/tty", "-t", "-d", ID, "true"],
      ["pause", ID],
      ["exec", ID, "true"],
      ["resume", ID],
      ["update", "--pids-limit", "100", ID],
      ["update", "--memory", "1", ID],
      ["list"],
      ["delete", ID],
      ["kill", ID, "KILL"],
      ["delete", "--force", ID],
      ["delete", ID],
      ["run", "--bundle", bundle.dir, "--pid-file", "/nowhere/pid", "c"],
      ["run", "--rootfs", "/", "--read-only", "--", "true"],
      ["run", "--rootfs", "/", "--ephemeral", "--", "/nothing"],
      ...TELLING,
    ];
    const workers = room.workers();
    const fresh = workers.map(describeWorker);
    for (const words of calls) {
      await room.call(words, { cwd: "/usr" });
      // The front ends a little before its call.
      const now = await waitFor(
        () => workers.map(describeWorker),
        (it) => it.join() === fresh.join(),
      );
      assertEquals(now, fresh, words.join(" "));
      assertEquals(room.workers(), workers, words.join(" "));
    }
    assertEquals(await findLeaks(before, ID), []);
  },
);

testOn(
  ["root", "helper"],
  "warm: what needs a process of its own has one",
  async () => {
    await using room = await WarmRoom.open();
    const hooks = { poststop: [{ path: "/bin/true" }] };
    using bundle = makeBundle("true", { hooks });
    const fifo = `${room.dir}/fifo`;
    Deno.mkdirSync(fifo);
    new Deno.Command("mkfifo", { args: [`${fifo}/config.json`] }).outputSync();
    const cold: (readonly string[])[] = [
      ["create", "--bundle", fifo, ID],
      ["create", "--config", `${fifo}/config.json`, ID],
      ["run", "--bundle", fifo, ID],
      ["exec", "--process", `${fifo}/config.json`, ID],
      ["update", "--resources", `${fifo}/config.json`, ID],
      ["doctor"],
      ["help"],
      ["spec"],
      ["events", ID],
      ["ps", ID],
      ["wait", ID],
      ["update", "--resources", "-", ID],
      ["update", "--resources", "/dev/stdin", ID],
      ["exec", "--ignore-paused", ID, "true"],
      ["exec", "--process", "/proc/self/fd/5", ID],
      ["run", "--explain", "--rootfs", "/", "--", "true"],
      ["run", "--detach", "--rootfs", "/", "--", "true"],
      ["run", "--result-fd", "9", "--rootfs", "/", "--", "true"],
      ["run", "--bundle", bundle.dir, ID],
      ["create", "--bundle", bundle.dir, ID],
      ["nonsense"],
      ["list", "--format", "odd"],
    ];
    for (const words of cold) {
      const { code, stderr } = await room.call(words);
      assert(code !== 0, words.join(" "));
      assertStringIncludes(stderr, "V8 did not recognize", words.join(" "));
    }
  },
);

/** Kills `victim` at each step of a call until one comes to its end. */
async function killAtEachStep(
  room: WarmRoom,
  victim: "front" | "worker",
  words: readonly string[],
  { prepare, judge }: {
    prepare?: () => Promise<unknown>;
    judge: (
      ended: { code: number; stderr: string },
      step: number,
    ) => Promise<unknown>;
  },
): Promise<number> {
  for (let step = 0;; step++) {
    await prepare?.();
    const ended = await room.relay(words, { victim, step });
    await judge(ended, step);
    if (ended.steps <= step) return step;
  }
}

for (const victim of ["front", "worker"] as const) {
  testOn(
    ["root", "busybox"],
    `warm: a ${victim} that is killed at any step of create, start, delete, run or exec leaves nothing`,
    async () => {
      await using room = await WarmRoom.open();
      using bundle = makeBundle("sleep 1000");
      using short = makeBundle("exit 0");
      const before = takeSnapshot();
      const check = async (
        { code, stderr }: { code: number; stderr: string },
        step: number,
      ) => {
        const what = `step ${step}: ${code} ${stderr}`;
        // Killed, or cold since nothing had begun, or told once; or it was done.
        assert([0, 1, 125, 137, 255].includes(code), what);
        assert(stderr.split("rustyrun: Cannot").length <= 2, what);
        assertEquals(
          (await room.cold(["delete", "--force", ID])).code,
          0,
          what,
        );
        assertEquals(await findLeaks(before, ID), [], what);
      };
      const create = ["create", "--bundle", bundle.dir, ID];
      assert(await killAtEachStep(room, victim, create, { judge: check }) > 4);
      const prepare = () => room.cold(create);
      for (const words of [["start", ID], ["delete", "--force", ID]]) {
        assert(
          await killAtEachStep(room, victim, words, { prepare, judge: check }) >
            0,
        );
      }
      const run = ["run", "--bundle", short.dir, ID];
      assert(await killAtEachStep(room, victim, run, { judge: check }) > 4);
      await room.cold(create);
      await room.cold(["start", ID]);
      const started = takeSnapshot();
      const isContainer = (clause: string) => clause.endsWith("(sleep)");
      const exec = ["exec", ID, "true"];
      const steps = await killAtEachStep(room, victim, exec, {
        judge: async ({ code, stderr }, step) => {
          const what = `step ${step}: ${code} ${stderr}`;
          assert([0, 1, 137, 255].includes(code), what);
          assertEquals(
            JSON.parse((await room.cold(["state", ID])).stdout).status,
            "running",
            what,
          );
          const left = await findLeaksBeside(isContainer, started, ID);
          assertEquals(left.filter((it) => !isContainer(it)), [], what);
        },
      });
      assert(steps > 4);
      assertEquals((await room.cold(["delete", "--force", ID])).code, 0);
      assertEquals(await findLeaks(before, ID), []);
    },
  );
}
