/**
 * The library: mod/mod.ts, used by programs (box_program.ts) that root, and users,
 * run.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Box, makeBox, ROOT, start } from "../harness.ts";
import { type Need, testOn, type User } from "../needs.ts";
import { findPlaces, otherUser } from "../program.ts";

const FINE = { limit: null, timedOut: false, truncated: false };

/** What each case gives; those of the second list need cgroups. */
const CASES: Record<string, unknown> = {
  one: { code: 3, signal: null, stdout: "out\n", stderr: "err\n", ...FINE },
  inputs: ["text", [0, 255, 10], 6, ""],
  inputEnds: ["A", true, "Error: no more", "SIGKILL"],
  piped: ["a", ["bc", "d"], 0, ""],
  much: [true, true],
  backpressure: [false, 4000000, 0],
  missing: ["command-not-found", "rootfs-missing"],
  caught: [true, true, true],
  worded: [
    `Cannot use the root file system "/": the container would write to this machine's own files | Add \`ephemeral\` to throw every change away, or \`readOnly\` to allow none`,
    'Cannot use `memorySwap: "1g"`: it needs `memory` | Give `memory` as well: `memorySwap` is memory and swap together',
  ],
  timeout: [124, "SIGKILL", "time", true],
  abort: ["Error: enough", "Error: too early"],
  output: [4096, "output", true, "SIGKILL"],
  flood: [16 << 20, "output"],
  lasting: {
    host: "rustyrun-container\n",
    kept: 0,
    all: "0 1 2 3 4 5 6 7 8 9 10 11",
    cwd: "/tmp\n",
    env: "b\n",
    pids: "2\n",
  },
  files: {
    code: 5,
    stdout: "in /work/a/b.sh\n",
    five: "12345",
    out: "echo in $0\nexit 5\n",
    list: ["c directory", "five file"],
    inside: true,
    missing: "file-missing",
    large: "file-too-large",
    device: "file-kind",
  },
  poolRuns: {
    each: ["first 3 e", "second 3 e"],
    other: "0 /tmp 9 2",
    input: "in",
    more: "0 1 2 3 4 5",
    refused: ["command-not-found", "invalid-option", "cwd"],
    ended: ["time", "SIGKILL", "Error: enough"],
    closed: ["SIGKILL", "pool-closed", []],
  },
  poolStates: [1, 0, 0],
  pool: ["", "", "", "", 0, "on\n", "pool-closed", "rootfs-missing"],
  changes: [
    [],
    [
      "made /d",
      "removed /etc/group",
      "made /etc/made",
      "changed /etc/passwd",
      "made /tmp/a",
    ],
    "new\n",
    false,
    false,
    "file-missing",
  ],
  killed: ["SIGTERM", "SIGKILL"],
  closed: ["SIGKILL", "SIGKILL", "sandbox-closed"],
  gone: ["SIGKILL", "sandbox-closed", "sandbox-closed"],
  wardenless: [1, "SIGKILL"],
  refused: [["invalid-option"], 0],
  early: [false, "invalid-option", false, "SIGTERM"],
  large: [(30 << 20) - 1, true],
  free: true,
  many: true,
};
const COUNTED: Record<string, unknown> = {
  cpu: [["cpu", "SIGKILL"], ["cpu", "SIGXCPU"]],
  memory: ["memory", "SIGKILL", true],
  pids: ["pids", false],
  counted: [true, true, true],
  users: ["1000\n", "hi\n"],
  background: 1,
  limits: ["memory", "pids", null, "time"],
  poolUsers: ["1000 /", "1001 /", "0 /root"],
  poolLimits: ["memory", true, "pids"],
  poolWaits: [["/dev/null", "socket"], "64", "0", true],
  paused: [
    "paused",
    'Cannot run a process in "ID": cannot exec in a paused container',
    "resume() lets it go on",
    0,
  ],
  stats: [64 << 20, 9, 1, true],
  events: ["oom", "memory", "SIGKILL"],
  tree: [true, 1, "Error: enough", 1],
  explained: true,
  crowd: [true, true],
};

function program(box: Box, names: string[], user: User | false) {
  const other = otherUser(user);
  const deno = other ? findPlaces(other).deno : Deno.execPath();
  const file = `${ROOT}/tests/integration/box_program.ts`;
  return start(
    [deno, "run", "-A", "--no-check", file, box.rootfs, box.id, ...names],
    { user, cwd: ROOT },
  );
}

async function runCases(
  box: Box,
  cases: Record<string, unknown>,
  user: User | false,
): Promise<void> {
  const { code, stdout, stderr } = await program(box, Object.keys(cases), user)
    .done;
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(JSON.parse(stdout), cases);
}

const USERS: [string, User | false, Need[]][] = [
  ["root", false, ["helper", "busybox", "root"]],
  ["a user", "single", ["helper", "busybox", "user", "userns"]],
];

for (const [who, user, needs] of USERS) {
  testOn(needs, `the library does for ${who} what it says`, async () => {
    await using box = makeBox({ user });
    await runCases(box, CASES, user);
  });

  testOn(needs, `kill -9 of ${who}'s program leaves nothing`, async () => {
    await using box = makeBox({ user });
    const running = program(box, ["victim"], user);
    await running.waitFor("ready");
    running.kill("SIGKILL");
    await running.done;
  });

  testOn(needs, `${who}'s program that crashes leaves nothing`, async () => {
    await using box = makeBox({ user });
    const { code, stderr } = await program(box, ["crash"], user).done;
    assertEquals([code, stderr.includes("Error: crashed")], [1, true], stderr);
  });

  testOn(
    needs,
    `${who}'s program that forgets a sandbox ends, and leaves nothing`,
    async () => {
      await using box = makeBox({ user });
      await runCases(box, { careless: 0 }, user);
    },
  );
}

testOn(
  ["helper", "busybox", "root"],
  "a sandbox that stops what enters it holds up no other, and can be closed",
  async () => {
    await using box = makeBox();
    await runCases(box, {
      stoppedMany: [`${"on\n".repeat(6)}/\n`, ["SIGKILL"], 30, 0],
      stoppedStart: [
        "SIGKILL",
        "killed",
        "Error: enough",
        [true, 124, ""],
        ["1", true],
        0,
      ],
      stoppedPaused: [],
      stoppedMaking: ["Error: enough"],
    }, false);
  },
);

testOn(
  ["helper", "busybox", "root"],
  "a link or a mount that a command makes leads to nothing that it may not use itself",
  async () => {
    await using box = makeBox();
    const none = ["file-access", "file-access", "file-access"];
    await runCases(box, {
      links: [...none, ...none, "secret"],
      moved: ["", ...none, "secret", "own", ["made"]],
      mounted: ["", "file-access", "file-access", "secret"],
    }, false);
  },
);

testOn(
  ["helper", "busybox", "root", "python3"],
  "a program goes on when a tracer keeps what has ended in its sandbox",
  async () => {
    await using box = makeBox();
    const traced = ["attached", "SIGKILL", true];
    await runCases(box, { traced }, false);
  },
);

testOn(
  ["helper", "busybox", "root", "python3"],
  "a sandbox ends whose command has given its children to the program",
  async () => {
    await using box = makeBox();
    await runCases(box, { given: [0, ""] }, false);
  },
);

testOn(
  ["helper", "busybox", "root"],
  "the library counts and limits, each run by itself",
  async () => {
    await using box = makeBox();
    await runCases(box, COUNTED, false);
  },
);

testOn(
  ["helper", "busybox", "root", "python3"],
  "the library does what it was asked for, in one program",
  async () => {
    await using box = makeBox();
    await runCases(box, {
      whole: [
        ["read b"],
        {
          code: 0,
          signal: null,
          success: true,
          ...FINE,
          stdout: "",
          stderr: "/rustyrun-whole 65534\n",
        },
        true,
        "a.py\n",
        0,
      ],
    }, false);
  },
);
