/**
 * Submissions for the judge: "read two numbers, write their sum", as it should be
 * done, and in every other way.
 *
 *     deno run -A docs/examples/submissions.ts [COUNT [SECONDS]]
 *
 * has so many judged (500), each with so much CPU time (1), and says whether every
 * verdict was right.
 *
 * @module
 */

import { judgeAll, type Submission, type Verdict } from "./judge.ts";

const sh = (source: string) => ["sh", "-c", source];
const python = (source: string) => ["python3", "-c", source];
/** Calls the C library, and ends with 1 where the kernel refuses that. */
const call = (name: string, ...args: (number | string)[]) =>
  python(
    `import ctypes, sys
libc = ctypes.CDLL(None)
sys.exit(libc.${name}(${args.join(", ")}) == -1)`,
  );

const KINDS: Record<Verdict, readonly (readonly string[])[]> = {
  "right": [
    sh("read a b; echo $((a + b))"),
    sh("awk '{ print $1 + $2 }'"),
    python("print(sum(map(int, input().split())))"),
    // What it leaves running ends with it.
    sh("read a b; echo $((a + b)); sleep 1000 & setsid sleep 1000 &"),
    // It may end all that it sees, which is its own.
    sh("sleep 1000 & kill -9 -1; read a b; echo $((a + b))"),
    // Its /tmp is nobody else's.
    sh("read a b; test ! -e mine && echo $((a + b)) >mine && cat mine"),
  ],
  "wrong answer": [
    sh("read a b; echo $((a - b))"),
    sh("true"),
    sh("echo right"),
    python("print('\\x00')"),
  ],
  "runtime error": [
    sh("read a b; echo $((a + b)); exit 1"),
    sh("no-such-program"),
    python("print(1 / 0)"),
    python("import ctypes; ctypes.string_at(0)"),
    // Files, and the disk that they are on.
    sh("dd if=/dev/zero of=/tmp/full bs=1M"),
    sh("echo 3 >/usr/bin/answer"),
    sh("rm /etc/hostname"),
    sh("cat /etc/shadow"),
    sh("ls /root"),
    sh("mknod /tmp/disk b 8 0"),
    sh("mount -t tmpfs none /mnt"),
    sh("mount -o remount,rw /"),
    sh("chroot / id"),
    // The kernel.
    sh("echo b >/proc/sysrq-trigger"),
    sh("echo '|/tmp/core' >/proc/sys/kernel/core_pattern"),
    sh("echo 1 >/sys/kernel/mm/ksm/run"),
    sh("head -c1 /proc/kcore | grep ."),
    sh("date -s @0"),
    call("reboot", 0x1234567),
    call("sethostname", "b'mine'", 4),
    // Rights and limits.
    call("setuid", 0),
    sh("unshare -m id"),
    sh("unshare -Ur id"),
    call("unshare", "0x10000000"),
    sh("echo -1000 >/proc/self/oom_score_adj"),
    python("import resource as r; r.setrlimit(r.RLIMIT_CPU, (9, 9))"),
    // Other processes, and what the judge has open.
    sh("kill -9 -1"),
    call("ptrace", "16, 2, 0, 0"), // PTRACE_ATTACH
    python("import os; os.fstat(3)"),
    // The network.
    python("import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    python("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    python("import socket; socket.create_connection(('192.0.2.1', 80), 5)"),
  ],
  "time limit": [
    sh("while :; do :; done"),
    python("while True: pass"),
    sh("trap '' XCPU TERM; while :; do :; done"),
    sh("sleep 1000"),
    sh("exec >&- 2>&-; sleep 1000"),
    sh("cat; sleep 1000 & wait"),
  ],
  "memory limit": [
    sh("tail /dev/zero"),
    python("bytearray(1 << 30)"),
    python("a = [0]\nwhile True: a += a"),
    // Files in memory are its memory.
    sh("dd if=/dev/zero of=/dev/shm/full bs=1M count=256"),
  ],
  "process limit": [
    sh("while :; do sleep 1000 & done"),
    sh("bomb() { bomb | bomb; }; bomb"),
    python("import os\nwhile True: os.fork()"),
    python(
      "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    ),
  ],
  "output limit": [
    sh("yes"),
    sh("yes >&2"),
    python("while True: print('x' * 10000)"),
    sh("head -c 100000 /dev/zero"),
  ],
};

const ALL = Object.entries(KINDS).flatMap(([wanted, commands]) =>
  commands.map((command) => ({ command, wanted: wanted as Verdict }))
);

/** So many submissions, of all kinds in turn. */
export function makeSubmissions(
  count = ALL.length,
): { submission: Submission; wanted: Verdict }[] {
  return Array.from({ length: count }, (_, at) => {
    const { command, wanted } = ALL[at % ALL.length]!;
    return {
      submission: { command, input: `${at} 3\n`, answer: `${at + 3}` },
      wanted,
    };
  });
}

if (import.meta.main) {
  const all = makeSubmissions(Number(Deno.args[0] ?? 500));
  const began = performance.now();
  const verdicts = await judgeAll(
    all.map(({ submission }) => submission),
    Number(Deno.args[1] ?? 1),
  );
  const seconds = (performance.now() - began) / 1000;
  const groups = Object.groupBy(verdicts, (it) => it);
  for (const [verdict, { length }] of Object.entries(groups)) {
    console.log(verdict, length);
  }
  let wrong = 0;
  for (const [at, { submission, wanted }] of all.entries()) {
    if (verdicts[at] === wanted) continue;
    wrong++;
    console.log(`${verdicts[at]} and not ${wanted}:`, submission.command);
  }
  console.log(`${all.length} in ${seconds.toFixed(1)} s, ${wrong} wrong`);
  if (wrong > 0) Deno.exitCode = 1;
}
