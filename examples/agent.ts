/**
 * A sandbox for the code that an AI agent writes: it keeps its files from call to
 * call, sees this machine's programs, and changes nothing of it.
 *
 *     deno run -A examples/agent.ts
 *
 * @module
 */

import { Sandbox } from "@rustyrun/rustyrun";

/** How a language's programs are named and run. */
const LANGUAGES: Record<string, { file: string; command: string[] }> = {
  python: { file: "main.py", command: ["python3", "/work/main.py"] },
  shell: { file: "main.sh", command: ["sh", "/work/main.sh"] },
};

/** A place where an agent's code runs. */
export class Workbench implements AsyncDisposable {
  readonly #box: Sandbox;

  private constructor(box: Sandbox) {
    this.#box = box;
  }

  static async open(rootfs = "/"): Promise<Workbench> {
    return new Workbench(
      await Sandbox.create({
        rootfs,
        ephemeral: true,
        tmpfs: ["/work:size=64m"],
        cwd: "/work",
        network: "none",
        capDrop: ["ALL"],
      }),
    );
  }

  /** Runs code; gives what a model is told: its output, and how it ended. */
  async run(language: string, code: string): Promise<string> {
    const known = LANGUAGES[language];
    if (known === undefined) return `There is no ${language} here.`;
    await this.#box.writeFile(`/work/${known.file}`, code);
    const result = await this.#box.output(known.command, {
      timeout: 10_000,
      maxOutput: "256k",
    });
    const end = result.limit !== null
      ? `It was ended by its limit: ${result.limit}.`
      : `It ended with ${result.code}.`;
    return [result.stdout, result.stderr, end]
      .filter((it) => it !== "").join("\n");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#box.close();
  }
}

if (import.meta.main) {
  await using bench = await Workbench.open();
  // What a model might ask for, one call after the other.
  console.log(await bench.run("shell", "echo 42 >answer; hostname"));
  console.log(await bench.run("shell", "cat answer; rm -rf / 2>/dev/null"));
  console.log(await bench.run("shell", "while :; do echo more; done"));
}
