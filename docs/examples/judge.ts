/**
 * A judge: runs programs that nobody trusts, a few at once, and says what is wrong
 * with each.
 *
 *     deno run -A docs/examples/judge.ts
 *
 * judges a few; submissions.ts gives it 500.
 *
 * @module
 */

import { type RunResult, Sandbox } from "@rustyrun/rustyrun";

/** What a judge says. */
export type Verdict =
  | "right"
  | "wrong answer"
  | "runtime error"
  | "time limit"
  | "memory limit"
  | "process limit"
  | "output limit";

/** A program that somebody has sent in. */
export interface Submission {
  /** What it is run with, and its text. */
  command: readonly string[];
  /** What it reads. */
  input: string;
  /** What it should write. */
  answer: string;
}

/**
 * Runs a submission in a container of its own, from which nothing leads out: no
 * network, no rights, nothing that it can write to but 4 MB of /tmp. It sees this
 * machine's programs; a judge that has its own takes them as `rootfs`.
 *
 * @param seconds of CPU time that it may take: how busy the machine is does not
 * change a verdict
 */
export async function judge(
  { command, input, answer }: Submission,
  seconds: number,
): Promise<Verdict> {
  const result = await Sandbox.run({
    name: `judge-${crypto.randomUUID()}`,
    rootfs: "/",
    readOnly: true,
    tmpfs: ["/tmp:size=4m"],
    cwd: "/tmp",
    user: "65534:65534",
    capDrop: ["ALL"],
    memory: "64m",
    memorySwap: "64m",
    pids: 16,
    ulimits: { cpu: seconds, core: 0 },
    // For who sleeps, or starts ever more processes.
    timeout: 10_000 * seconds,
    maxOutput: "64k",
    command,
    stdin: { text: input },
  });
  return verdictOf(result, answer);
}

function verdictOf(
  { limit, success, stdout }: RunResult,
  answer: string,
): Verdict {
  switch (limit) {
    case "memory":
      return "memory limit";
    case "pids":
      return "process limit";
    case "cpu":
    case "time":
      return "time limit";
    case "output":
      return "output limit";
  }
  if (!success) return "runtime error";
  return stdout.trim() === answer ? "right" : "wrong answer";
}

/** Judges all of them, so many at once; the verdicts are in their order. */
export async function judgeAll(
  submissions: readonly Submission[],
  seconds = 1,
  atOnce = 4 * navigator.hardwareConcurrency,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  // Each takes the next one that nobody has taken.
  const rest = submissions.entries();
  const work = async () => {
    for (const [at, it] of rest) verdicts[at] = await judge(it, seconds);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return verdicts;
}

/** What "read two numbers, write their sum" may get. */
const SHOWN: Record<string, string> = {
  "a sum": "read a b; echo $((a + b))",
  "a difference": "read a b; echo $((a - b))",
  "no program": "no-such-program",
  "an endless loop": "while :; do :; done",
  "a fork bomb": "bomb() { bomb | bomb; }; bomb",
  "a memory hog": "tail /dev/zero",
  "an output flood": "yes",
};

if (import.meta.main) {
  const verdicts = await judgeAll(
    Object.values(SHOWN).map((line) => ({
      command: ["sh", "-c", line],
      input: "2 3\n",
      answer: "5",
    })),
    Number(Deno.args[0] ?? 1),
  );
  for (const [at, name] of Object.keys(SHOWN).entries()) {
    console.log(`${name.padEnd(16)} ${verdicts[at]}`);
  }
}
