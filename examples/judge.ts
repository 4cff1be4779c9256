/**
 * A judge: runs submissions that nobody trusts, and says what is wrong with each.
 *
 *     deno run -A examples/judge.ts ROOTFS
 *
 * The submissions are shell for a busybox root file system; another language is
 * another root file system and another command.
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
  source: string;
  /** What it reads. */
  input: string;
  /** What it should write. */
  answer: string;
}

/** Runs a submission in a container of its own, from which nothing leads out: no
 * network, no rights, a root file system that it cannot write to. */
export async function judge(
  rootfs: string,
  { source, input, answer }: Submission,
): Promise<Verdict> {
  const result = await Sandbox.run({
    rootfs,
    readOnly: true,
    tmpfs: ["/tmp:size=4m"],
    user: 65534,
    capDrop: ["ALL"],
    memory: "16m",
    memorySwap: "16m",
    pids: 16,
    // CPU time: how busy the machine is does not change a verdict.
    ulimits: { cpu: 1 },
    timeout: 60_000,
    maxOutput: "64k",
    command: ["sh", "-c", source],
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

/** Sum of two numbers: as it should be done, and otherwise. */
const SOURCES: [string, Verdict][] = [
  ["read a b; echo $((a + b))", "right"],
  ["read a b; expr $a + $b", "right"],
  ["awk '{ print $1 + $2 }'", "right"],
  ["read a b; echo $((a - b))", "wrong answer"],
  ["true", "wrong answer"],
  ["read a b; echo $((a + b)); exit 1", "runtime error"],
  ["no-such-program", "runtime error"],
  ["kill -SEGV $$; exit 1", "runtime error"],
  ["tail /dev/zero", "memory limit"],
  ["yes", "output limit"],
  ["bomb() { bomb | bomb; }; bomb", "process limit"],
  // Ways out.
  ["mount -t proc proc /tmp", "runtime error"],
  ["mknod /tmp/disk b 8 0", "runtime error"],
  ["chroot /proc/1/root/.. sh -c 'echo 3'", "runtime error"],
  ["echo b >/proc/sysrq-trigger", "runtime error"],
  ["echo 3 >/etc/answer", "runtime error"],
  ["wget -qO- http://1.1.1.1/", "runtime error"],
  ["reboot -f", "runtime error"],
  ["unshare -U true && nsenter -t 1 -m true", "runtime error"],
  ["while :; do :; done", "time limit"],
];

/** So many submissions, of every kind. */
export function makeSubmissions(
  count: number,
): { submission: Submission; wanted: Verdict }[] {
  return Array.from({ length: count }, (_, at) => {
    const [source, wanted] = SOURCES[at % SOURCES.length]!;
    return {
      submission: { source, input: `${at} 3\n`, answer: `${at + 3}` },
      wanted,
    };
  });
}

if (import.meta.main) {
  const [rootfs = "", count = "500"] = Deno.args;
  const all = makeSubmissions(Number(count));
  // All at once: the library runs as many as the machine has room for.
  const verdicts = await Promise.all(
    all.map(({ submission }) => judge(rootfs, submission)),
  );
  const counts = new Map<string, number>();
  for (const it of verdicts) counts.set(it, (counts.get(it) ?? 0) + 1);
  for (const [verdict, n] of [...counts].sort()) console.log(n, verdict);
  const wrong = all.filter(({ wanted }, at) => verdicts[at] !== wanted);
  console.log(wrong.length === 0 ? "every verdict is right" : wrong);
}
