/**
 * The warm engine does what a cold start does, and keeps nothing of a call.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  cliCommand,
  type CliResult,
  findLeaks,
  makeRootfs,
  takeSnapshot,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { describeWorker, WarmRoom } from "../warm_room.ts";
import { ID, makeBundle } from "./warm_bundle.ts";

const FINE = { code: 0, signal: null, stdout: "", stderr: "" };

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

/** What a command can see of how it was started. */
const LOOK =
  "env; pwd; umask; id; ulimit -a; ls /proc/self/fd; cut -d' ' -f5,6 /proc/self/mountinfo; grep -E '^(Sig[BIC]|Cap|Sec|NoNew)' /proc/self/status";

/** Calls whose answers are always the same: by flags and by a bundle, with a filter
 * and without, good and bad.
 *
 * @param dir of a bundle whose command is {@linkcode LOOK}
 * @param id of a container that runs */
function listSteady(dir: string, rootfs: string, id: string) {
  return [
    ["run", "--bundle", dir, `${ID}-look`],
    ["run", "--rootfs", rootfs, "--hostname", "h", "--", "sh", "-c", LOOK],
    ["exec", id, "sh", "-c", LOOK],
    ["state", id],
    ["features"],
    ["update", "--memory", "odd", id],
    ["run", "--rootfs", "/", "--memory", "odd", "--", "true"],
    ["create", "--bundle", "/nowhere", ID],
  ] as const;
}

testOn(
  ["root", "busybox"],
  "warm: nothing of a call is left in the worker, whatever it was, and the next answers are the first ones",
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open();
    using looking = makeBundle(LOOK);
    using steady = makeBundle("sleep 1000");
    const other = `${ID}-steady`;
    // In a process of its own: the first call that the engine serves is asked.
    const made = ["run", "--detach", "--bundle", steady.dir, other];
    assertEquals((await room.cold(made)).code, 0);
    const workers = room.workers();
    const fresh = workers.map(describeWorker);
    const call = async (words: readonly string[]) => {
      // One that comes before a worker is free again may be cold, and fails here
      // before it has done anything.
      const answer = await waitFor(
        () => room.call(words, { cwd: "/usr" }),
        ({ stderr }) => !stderr.includes("V8 did not recognize"),
      );
      // The front ends a little before its call.
      const now = await waitFor(
        () => workers.map(describeWorker),
        (it) => it.join() === fresh.join(),
      );
      assertEquals(now, fresh, words.join(" "));
      // There may be another one, for a call that had to wait.
      const same = room.workers().slice(0, workers.length);
      assertEquals(same, workers, words.join(" "));
      return answer;
    };
    const ask = async () => {
      const answers: Record<string, CliResult> = {};
      for (const words of listSteady(looking.dir, steady.rootfs, other)) {
        answers[words.join(" ")] = await call(words);
      }
      return answers;
    };
    const first = await ask();
    assertEquals(
      Object.values(first).map(({ code }) => code === 0),
      [true, true, true, true, true, false, false, false],
      JSON.stringify(first),
    );
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
    for (const words of calls) {
      await call(words);
      assertEquals(await ask(), first, words.join(" "));
    }
    assertEquals((await room.cold(["delete", "--force", other])).code, 0);
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
      ["run", "--rootfs", "/proc/self/cwd", "--", "true"],
      ["run", "--volume=/dev/fd/5:/a", "--rootfs", "/", "--", "true"],
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
    // What the command names is inside.
    const inside = ["run", "--rootfs", bundle.rootfs, "ls", "/proc/self/root"];
    assertEquals((await room.call(inside)).code, 0);
  },
);
