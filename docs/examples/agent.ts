/**
 * A sandbox for the code that an AI agent writes. It sees this machine's programs
 * and none of its homes, has no network, keeps its files from call to call, and
 * changes nothing of the machine.
 *
 *     deno run -A docs/examples/agent.ts
 *
 * @module
 */

import { type RunResult, Sandbox } from "@rustyrun/rustyrun";

/** What the code may use. Who is not root and has no cgroup of their own leaves
 * out memory, cpus and pids: they need one. */
const LIMITS = { memory: "256m", cpus: 1, pids: 64 };
const SECONDS = 10;

const LANGUAGES = {
  python: { file: "main.py", program: "python3" },
  shell: { file: "main.sh", program: "sh" },
};

/** A place where an agent's code runs. */
export class Workbench implements AsyncDisposable {
  readonly #box: Sandbox;

  private constructor(box: Sandbox) {
    this.#box = box;
  }

  /** @param rootfs a root file system; absent: this machine's */
  static async open(rootfs = "/"): Promise<Workbench> {
    const box = await Sandbox.create({
      name: `agent-${crypto.randomUUID()}`,
      rootfs,
      ephemeral: true,
      tmpfs: ["/work:size=64m,mode=1777"],
      cwd: "/work",
      env: { PYTHONUNBUFFERED: "1" },
      user: 1000,
      capDrop: ["ALL"],
      ...LIMITS,
    });
    return new Workbench(box);
  }

  /**
   * Runs code.
   *
   * @param hear gets each line of its output when it comes
   * @returns what to tell the model: how it ended, and why
   */
  async run(
    language: keyof typeof LANGUAGES,
    code: string,
    hear: (line: string) => void,
  ): Promise<string> {
    const { file, program } = LANGUAGES[language];
    await this.#box.writeFile(`/work/${file}`, code);
    const run = this.#box.spawn([program, file], {
      timeout: SECONDS * 1000,
      maxOutput: "256k",
    });
    for await (const line of run.stdout.lines()) hear(line);
    // Standard error, which nobody has read, is in the result.
    return explain(await run);
  }

  /** Reads a file that the code has written. */
  read(path: string): Promise<string> {
    return this.#box.readTextFile(path, { max: 1 << 20 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#box.close();
  }
}

/** Says how code ended, in words that a model can act on. */
function explain({ limit, signal, code, stderr }: RunResult): string {
  switch (limit) {
    case "memory":
      return `Stopped: it needs more than ${LIMITS.memory} of memory.`;
    case "pids":
      return `Stopped: it starts more than ${LIMITS.pids} processes.`;
    case "cpu":
    case "time":
      return `Stopped: it was not done after ${SECONDS} seconds.`;
    case "output":
      return "Stopped: it writes more than 256 KiB.";
  }
  const end = signal === null ? `Exit code ${code}.` : `Ended by ${signal}.`;
  return stderr === "" ? end : `${end}\n${stderr.trimEnd()}`;
}

if (import.meta.main) {
  await using bench = await Workbench.open();
  const say = (line: string) => console.log(`  ${line}`);

  // What a model might ask for, one call after the other.
  console.log(
    await bench.run(
      "python",
      `
import json
for n in range(3):
    print("step", n)
json.dump({"answer": 6 * 7}, open("result.json", "w"))
`,
      say,
    ),
  );
  console.log("result:", JSON.parse(await bench.read("/work/result.json")));
  console.log(await bench.run("shell", "ls; rm /bin/sh", say));
  console.log(await bench.run("python", "print(1 / 0)", say));
  console.log(await bench.run("python", "bytearray(1 << 30)", say));
  console.log(await bench.run("shell", "while :; do sleep 99 & done", say));
  console.log(await bench.run("shell", "yes >&2", say));
}
