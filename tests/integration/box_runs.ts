/**
 * Cases of box_program.ts: one command each, or one thing that is asked of a run.
 *
 * @module
 */

import {
  Sandbox,
  type SandboxOptions,
  SandboxPool,
  type SpawnOptions,
} from "../../mod/mod.ts";
import { base, brief, codeOf, lengthOf, rootfs, sh } from "./box_base.ts";

/** The exit code of a command in a sandbox that a pool has kept ready. */
async function takeOne(options: SandboxOptions): Promise<number> {
  await using pool = new SandboxPool(options, 1);
  await using box = await pool.take();
  return (await box.output(sh("exit 4"))).code;
}

/** By name. */
export const RUNS: Record<string, () => Promise<unknown>> = {
  async one() {
    return brief(
      await Sandbox.run({
        ...base(),
        command: sh("echo out; echo err >&2; exit 3"),
      }),
    );
  },
  async inputs() {
    const run = (stdin: Parameters<typeof Sandbox.run>[0]["stdin"]) =>
      Sandbox.run({ ...base(), command: ["cat"], stdin: stdin! });
    const bytes = new Uint8Array([0, 255, 10]);
    return [
      (await run({ text: "text" })).stdout,
      [...(await run(bytes)).stdoutBytes],
      (await run(ReadableStream.from([bytes, bytes]))).stdoutBytes.length,
      (await run("null")).stdout,
    ];
  },
  /** Before there is a process: the end of its input, what is no bytes, and a
   * signal. Without them each of these would wait for ever. */
  async early() {
    await using box = await Sandbox.create({ ...base(), init: true });
    const words: SpawnOptions = { stdin: "piped", timeout: 20_000 };
    const aborted = box.spawn(["cat"], words);
    await aborted.stdin.abort("enough");
    const texts = box.spawn(["cat"], words);
    const writer = texts.stdin.getWriter();
    writer.closed.catch(() => {});
    const wrong = await codeOf(() =>
      writer.write("text" as never as Uint8Array)
    );
    const ended = box.spawn(["sleep", "1000"], { timeout: 20_000 });
    ended.kill("TERM");
    return [
      (await aborted).timedOut,
      wrong,
      (await texts).timedOut,
      (await ended).signal,
    ];
  },
  /** What is written crosses to a thread in one piece. */
  async large() {
    await using box = await Sandbox.create({ ...base(), tmpfs: ["/work"] });
    const bytes = new Uint8Array(30 << 20).fill(7);
    await box.writeFile("/work/a", bytes.subarray(1));
    const back = await box.readFile("/work/a");
    return [back.length, back.every((it) => it === 7)];
  },
  /** An input that never ends, one that fails, and a kill before it runs. */
  async inputEnds() {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array([65, 66])),
      cancel() {
        cancelled = true;
      },
    });
    const head = await Sandbox.run({
      ...base(),
      command: ["head", "-c", "1"],
      stdin: endless,
    });
    const failing = new ReadableStream<Uint8Array>({
      start: (controller) => controller.error(new Error("no more")),
    });
    const failed = await codeOf(() =>
      Sandbox.run({ ...base(), command: ["cat"], stdin: failing })
    );
    const early = Sandbox.run({ ...base(), command: ["sleep", "1000"] });
    early.kill();
    return [head.stdout, cancelled, failed, (await early).signal];
  },
  async piped() {
    const run = Sandbox.run({ ...base(), command: ["cat"], stdin: "piped" });
    const writer = run.stdin.getWriter();
    await writer.write(new TextEncoder().encode("a\nb"));
    const lines = run.stdout.lines();
    const first = await lines.next();
    await writer.write(new TextEncoder().encode("c\r\nd"));
    await writer.close();
    const rest = [];
    for await (const line of lines) rest.push(line);
    const { code, stdout } = await run;
    return [first.value, rest, code, stdout];
  },
  /** More than pipes hold, both ways, with a reader of one alone. */
  async much() {
    const size = 3 << 20;
    const run = Sandbox.run({
      ...base(),
      command: sh("tee /dev/stderr"),
      stdin: new Uint8Array(size),
    });
    const out = await lengthOf(run.stdout);
    const { stderrBytes } = await run;
    return [out === size, stderrBytes.length === size];
  },
  /** Nobody reads: the program waits, and goes on when somebody does. */
  async backpressure() {
    await using box = await Sandbox.create({ ...base(), tmpfs: ["/tmp"] });
    const run = box.spawn(sh("head -c 4000000 /dev/zero; echo >/tmp/done"));
    const reader = run.stdout.getReader();
    const first = (await reader.read()).value!.length;
    const early = (await box.output(["ls", "/tmp/done"])).code;
    reader.releaseLock();
    const rest = await lengthOf(run.stdout);
    await run;
    const late = (await box.output(["ls", "/tmp/done"])).code;
    return [early === 0, first + rest, late];
  },
  async missing() {
    return [
      await codeOf(() => Sandbox.run({ ...base(), command: ["/no/such"] })),
      await codeOf(() =>
        Sandbox.run({ ...base(), rootfs: "/no/such", command: ["sh"] })
      ),
    ];
  },
  /** What Deno prints of an error that nobody catches, and how one is caught. */
  async caught() {
    let done = false;
    const error = await Sandbox.run({
      ...base(),
      rootfs: "/no/such",
      command: ["sh"],
    }).catch((it) => it).finally(() => done = true);
    const { stack = "" } = error as Error;
    return [
      stack.includes("\n  hint: Give a directory"),
      /^ +at .*box_runs\.ts:\d+/m.exec(stack)?.index ===
        stack.indexOf("\n    at ") + 1,
      done,
    ];
  },
  /** Errors speak of options. */
  async worded() {
    const hintOf = (options: Partial<SandboxOptions>) =>
      Sandbox.create({ ...base(), ...options }).then(
        (box) => box.close().then(() => "no error"),
        (error) => `${error.message} | ${error.hint}`,
      );
    return [
      await hintOf({ rootfs: "/" }),
      await hintOf({ memorySwap: "1g" }),
    ];
  },
  async timeout() {
    const { code, signal, limit, timedOut } = await Sandbox.run({
      ...base(),
      command: sh("sleep 1000 & sleep 1000"),
      timeout: 300,
    });
    return [code, signal, limit, timedOut];
  },
  async abort() {
    const ended = new AbortController();
    const run = Sandbox.run({
      ...base(),
      command: sh("echo begun; sleep 1000"),
      signal: ended.signal,
    });
    await run.stdout.lines().next();
    ended.abort(new Error("enough"));
    const early = new AbortController();
    early.abort(new Error("too early"));
    return [
      await codeOf(() => run),
      await codeOf(() =>
        Sandbox.run({ ...base(), command: ["sh"], signal: early.signal })
      ),
    ];
  },
  async output() {
    const { stdoutBytes, limit, truncated, signal } = await Sandbox.run({
      ...base(),
      command: ["yes"],
      maxOutput: "4k",
    });
    return [stdoutBytes.length, limit, truncated, signal];
  },
  async flood() {
    const { stdoutBytes, limit } = await Sandbox.run({
      ...base(),
      command: ["yes"],
    });
    return [stdoutBytes.length, limit];
  },
  /** pid 1 drops the signal of the soft limit. */
  async cpu() {
    const loop = sh("while :; do :; done");
    await using box = await Sandbox.create({
      ...base(),
      ulimits: { cpu: "1:5" },
    });
    const runs = await Promise.all([
      Sandbox.run({ ...base(), command: loop, ulimits: { cpu: 1 } }),
      box.output(loop),
    ]);
    return runs.map(({ limit, signal }) => [limit, signal]);
  },
  async memory() {
    const run = await Sandbox.run({
      ...base(),
      command: ["tail", "/dev/zero"],
      memory: "16m",
      memorySwap: "16m",
    });
    return [run.limit, run.signal, run.peakBytes! > 8 << 20];
  },
  async pids() {
    const run = await Sandbox.run({
      ...base(),
      command: sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; exit 1"),
      pids: 5,
    });
    return [run.limit, run.timedOut];
  },
  /** Links that commands have made, to a file of root's in a volume. */
  async links() {
    const volume = Deno.makeTempDirSync({ prefix: "rustyrun-test-links-" });
    const secret = `${volume}/secret`;
    try {
      Deno.chmodSync(volume, 0o777);
      Deno.writeTextFileSync(secret, "secret", { mode: 0o600 });
      const found: unknown[] = [];
      for (const user of [undefined, "1234:1234"]) {
        await using box = await Sandbox.create({
          ...base(),
          volumes: [`${volume}:/v`],
          tmpfs: ["/tmp:mode=1777"],
          ...user === undefined ? {} : { user },
        });
        const link = sh("ln -s /v/secret /tmp/out");
        await box.output(link, user === undefined ? { user: "1234:1234" } : {});
        found.push(
          await codeOf(() => box.readTextFile("/tmp/out")),
          await codeOf(() => box.writeFile("/tmp/out", "written")),
          await codeOf(() => box.readTextFile("/v/secret")),
        );
      }
      return [...found, Deno.readTextFileSync(secret)];
    } finally {
      Deno.removeSync(volume, { recursive: true });
    }
  },
  /** The same by a volume under another name. */
  async moved() {
    const volume = Deno.makeTempDirSync({ prefix: "rustyrun-test-moved-" });
    const secret = `${volume}/secret`;
    const image = Deno.makeTempDirSync({ prefix: "rustyrun-test-moved-" });
    try {
      Deno.writeTextFileSync(secret, "secret", { mode: 0o600 });
      const copied = await new Deno.Command("cp", {
        args: ["-a", `${rootfs}/.`, image],
      }).output();
      if (!copied.success) throw new Error("cp");
      for (const it of ["data/out", "work/out"]) {
        Deno.mkdirSync(`${image}/${it}`, { recursive: true });
      }
      const chown = ["-R", "100000:100000", image];
      await new Deno.Command("chown", { args: chown }).output();
      await using box = await Sandbox.create({
        ...base(),
        rootfs: image,
        volumes: [`${volume}:/data/out`],
        tmpfs: ["/work/out"],
        userns: "0:100000:65536",
      });
      await box.writeFile("/work/out/own", "own");
      // Where its tmpfs was.
      const moving = await box.output(sh("mv /work /old; mv /data /work"));
      // What is the sandbox's own goes by the program's rights.
      await box.writeFile("/work/own", "own", { mode: 0o600 });
      await box.writeFile("/work/deep/made", "");
      return [
        moving.stderr,
        await codeOf(() => box.readTextFile("/work/out/secret")),
        await codeOf(() => box.writeFile("/work/out/new", "written")),
        await codeOf(() => box.copyOut("/work", `${volume}/copy`)),
        Deno.readTextFileSync(secret),
        await box.readTextFile("/old/out/own"),
        (await box.list("/work/deep")).map((it) => it.name),
      ];
    } finally {
      Deno.removeSync(volume, { recursive: true });
      Deno.removeSync(image, { recursive: true });
    }
  },
  /** The same by a mount. */
  async mounted() {
    const volume = Deno.makeTempDirSync({ prefix: "rustyrun-test-mounted-" });
    const secret = `${volume}/closed/secret`;
    try {
      Deno.chmodSync(volume, 0o755);
      Deno.mkdirSync(`${volume}/closed`, { mode: 0o700 });
      Deno.writeTextFileSync(secret, "secret", { mode: 0o600 });
      await using box = await Sandbox.create({
        ...base(),
        volumes: [`${volume}:/v`],
        tmpfs: ["/tmp"],
        userns: "0:100000:65536",
        capAdd: ["SYS_ADMIN"],
      });
      await box.writeFile("/tmp/own", "own");
      const mounting = await box.output(sh("mount --bind /v/closed /tmp"));
      return [
        mounting.stderr,
        await codeOf(() => box.readTextFile("/tmp/secret")),
        await codeOf(() => box.writeFile("/tmp/secret", "written")),
        Deno.readTextFileSync(secret),
      ];
    } finally {
      Deno.removeSync(volume, { recursive: true });
    }
  },
  /** One command each whose cgroup is systemd's, which takes it away at once. */
  async units() {
    const run = (...words: string[]) =>
      Sandbox.run({
        ...base(),
        command: words,
        stdin: { text: "in" },
        memory: "24m",
        pids: 8,
        timeout: 30_000,
      });
    const fine = await run("sh", "-c", "sleep 1000 & cat; exit 3");
    const hog = await run("tail", "/dev/zero");
    return [
      [fine.code, fine.limit, fine.stdout, fine.peakBytes! > 0],
      [hog.code, hog.limit, hog.peakBytes! > 8 << 20],
      await codeOf(() => run("/no/such")),
      await takeOne({ rootfs, memory: "24m" }),
    ];
  },
  async counted() {
    const { cpuMs, peakBytes, wallMs } = await Sandbox.run({
      ...base(),
      command: sh("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"),
    });
    return [cpuMs! > 0, peakBytes! > 0, wallMs > 0];
  },
};
