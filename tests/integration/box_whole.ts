/**
 * Cases of box_program.ts: the library as a whole, and what it is not to be given.
 *
 * @module
 */

import { Sandbox, SandboxPool } from "../../mod/mod.ts";
import { base, codeOf, sh } from "./box_base.ts";

/** What a program without types may hand in. */
// deno-lint-ignore no-explicit-any -- it is to be of the wrong type
const wrong = (value: unknown): any => value;

/** By name. */
export const WHOLE: Record<string, () => Promise<unknown>> = {
  /** What the library was asked for first. */
  async whole() {
    await using box = await Sandbox.create({
      ...base(),
      rootfs: "/",
      ephemeral: true,
      memory: "256m",
      cpus: 0.5,
      pids: 64,
      network: "none",
    });
    await box.writeFile(
      "/rustyrun-whole/a.py",
      "import os, sys; print(input(), os.environ['A']); print(os.getcwd(), os.getuid(), file=sys.stderr)",
    );
    const run = box.spawn(["python3", "/rustyrun-whole/a.py"], {
      stdin: { text: "read\n" },
      env: { A: "b" },
      cwd: "/rustyrun-whole",
      user: 65534,
      timeout: 60_000,
      signal: new AbortController().signal,
      maxOutput: "1m",
    });
    const lines = [];
    for await (const line of run.stdout.lines()) lines.push(line);
    const { cpuMs, wallMs, peakBytes, stderrBytes: _, ...result } = await run;
    const { stdoutBytes: __, ...told } = result;
    const { stdout } = await box.output(["ls", "/rustyrun-whole"]);
    const one = await Sandbox.run({ ...base(), command: ["true"] });
    const used = [cpuMs, wallMs, peakBytes!].every((it) => it > 0);
    return [lines, told, used, stdout, one.code];
  },
  /** Who has left the command's process group and its session, too. */
  async tree() {
    await using box = await Sandbox.create(base());
    const line = sh("setsid sleep 1000 & echo begun; sleep 1000");
    const late = await box.output(line, { timeout: 500 });
    const { pids: first } = await box.stats();
    const controller = new AbortController();
    const run = box.spawn(line, { signal: controller.signal });
    await run.stdout.lines().next();
    controller.abort(new Error("enough"));
    return [
      late.timedOut,
      first,
      await codeOf(() => run),
      (await box.stats()).pids,
    ];
  },
  /** Each is an error of the one class, and the next call is served. */
  async refused() {
    await using box = await Sandbox.create(base());
    const calls: (() => unknown)[] = [
      () => box.spawn([]),
      () => box.spawn(wrong("ls")),
      () => box.spawn(["a\0b"]),
      () => box.output(["true"], { env: { A: "\0" } }),
      () => box.output(["true"], wrong({ env: { A: () => 1 } })),
      () => box.output(["true"], wrong({ memory: "1m" })),
      () => box.output(["true"], wrong({ timeout: "soon" })),
      () => box.output(["true"], { maxOutput: -1 }),
      () => box.output(["cat"], wrong({ stdin: "text" })),
      () => box.output(["cat"], wrong({ stdin: {} })),
      () => box.output(["cat"], wrong({ signal: {} })),
      () => box.readFile(wrong(5)),
      () => box.writeFile("/tmp/a", wrong({})),
      () => box.copyIn(wrong(5), "/tmp/a"),
      () => box.apply([wrong(5)]),
      () => Sandbox.run(wrong({ ...base(), command: 5 })),
      () => Sandbox.create(wrong({ ...base(), memory: () => 1 })),
      () => Sandbox.create(wrong({ ...base(), memory: 1n })),
      () => Sandbox.create(wrong({ ...base(), memory: Symbol("a") })),
      () => new SandboxPool(base(), 0),
      () => new SandboxPool(wrong(null)),
      () => Sandbox.create(wrong(null)),
      () => Sandbox.run(wrong(undefined)),
      () => Sandbox.explain(wrong(5)),
      () => box.output(["true"], wrong(null)),
      () => box.output(["true"], wrong(5)),
      () => box.apply(wrong("x")),
      () => box.readFile("/bin/busybox", wrong({ max: "x" })),
      () => box.spawn(["true"]).kill(wrong(9)),
      () =>
        box.output(["cat"], {
          stdin: wrong(ReadableStream.from(["text"])),
        }),
    ];
    const codes = new Set<string>();
    for (const call of calls) {
      codes.add(await codeOf(async () => await call()));
    }
    return [[...codes], (await box.output(["true"])).code];
  },
  /** Ends by an error that nobody catches, while something runs. */
  async crash() {
    const box = await Sandbox.create(base());
    const run = box.spawn(sh("echo begun; sleep 1000 & wait"));
    await run.stdout.lines().next();
    throw new Error("crashed");
  },
};
