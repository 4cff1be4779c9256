/**
 * The lines of the README and of the main job, in one process: also run in the
 * guest (.ci/guest), on kernel 6.1 with cgroup v2.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeBox } from "../harness.ts";
import { type Need, testOn, type User } from "../needs.ts";

/** As root, as a user with a single id, and as one with a range of them. */
const CALLERS: { who: string; user: User | false; needs: Need[] }[] = [
  { who: "root", user: false, needs: ["helper", "busybox", "root"] },
  {
    who: "a user",
    user: "single",
    needs: ["helper", "busybox", "user", "userns"],
  },
  {
    who: "a user with subuids",
    user: "subuid",
    needs: ["helper", "busybox", "user", "subuid"],
  },
];

for (const { who, user, needs } of CALLERS) {
  const rows: [string, string[], { stdin?: string }, unknown][] = [
    [
      "gives the hostname",
      ["--hostname", "my-test-box", "--", "hostname"],
      {},
      { code: 0, signal: null, stdout: "my-test-box\n", stderr: "" },
    ],
    [
      "makes the command pid 1, alone",
      ["--", "sh", "-c", "echo $$; set -- /proc/[0-9]*; echo $#"],
      {},
      { code: 0, signal: null, stdout: "1\n1\n", stderr: "" },
    ],
    [
      "hands stdin on with -i",
      ["-i", "--", "cat"],
      { stdin: "hi\n" },
      { code: 0, signal: null, stdout: "hi\n", stderr: "" },
    ],
    [
      "gives the command's exit code",
      ["--", "sh", "-c", "echo out; echo err >&2; exit 7"],
      {},
      { code: 7, signal: null, stdout: "out\n", stderr: "err\n" },
    ],
    [
      "gives 143 for a command that --init saw die of SIGTERM",
      ["--init", "--", "sh", "-c", "kill -TERM $$"],
      {},
      { code: 143, signal: null, stdout: "", stderr: "" },
    ],
    [
      "opens nothing beside 0, 1, 2 and what ls opens",
      ["--", "ls", "/proc/self/fd"],
      {},
      { code: 0, signal: null, stdout: "0\n1\n2\n3\n", stderr: "" },
    ],
  ];
  for (const [name, args, options, want] of rows) {
    testOn(needs, `rustyrun run ${name}, as ${who}`, async () => {
      await using box = makeBox({ user });
      assertEquals(await box.run(args, options) as unknown, want);
    });
  }

  testOn(needs, `main.ts runs from its sources, as ${who}`, async () => {
    await using box = makeBox({ user, sources: true });
    assertEquals(
      await box.run(["-i", "--init", "--", "sh", "-c", "cat; exit 7"], {
        stdin: "hi\n",
      }),
      { code: 7, signal: null, stdout: "hi\n", stderr: "" },
    );
    const running = box.start(["--", "sh", "-c", "echo ready; sleep 1000"]);
    await running.waitFor("ready");
    running.kill("SIGKILL");
    assertEquals((await running.done).signal, "SIGKILL");
    const { code, stderr } = await box.run(["--", "nonesuch"]);
    assertEquals(code, 127);
    assertMatch(stderr, /"nonesuch"/);
  });

  testOn(
    needs,
    `rustyrun run names a command that is not there, as ${who}`,
    async () => {
      await using box = makeBox({ user });
      const { code, stdout, stderr } = await box.run(["--", "nonesuch"]);
      assertEquals([code, stdout], [127, ""]);
      assertMatch(stderr, /^rustyrun: Cannot .*"nonesuch".*\n {2}hint: .+\n$/);
    },
  );

  testOn(needs, `rustyrun run forwards SIGTERM, as ${who}`, async () => {
    await using box = makeBox({ user });
    const running = box.start([
      "--",
      "sh",
      "-c",
      'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done',
    ]);
    await running.waitFor("ready");
    running.kill("SIGTERM");
    assertEquals((await running.done).code, 9);
  });

  testOn(needs, `kill -9 of rustyrun leaves nothing, as ${who}`, async () => {
    await using box = makeBox({ user });
    const running = box.start([
      "--",
      "sh",
      "-c",
      "setsid sleep 1000 & echo ready; sleep 1000",
    ]);
    await running.waitFor("ready");
    running.kill("SIGKILL");
    assertEquals((await running.done).signal, "SIGKILL");
  });
}

testOn(
  ["helper", "busybox", "root"],
  "rustyrun run --memory kills what needs more, and says so",
  async () => {
    await using box = makeBox();
    const { code, stderr } = await box.run([
      "--memory",
      "32m",
      "--",
      "sh",
      "-c",
      "exec tail /dev/zero",
    ]);
    assertEquals(code, 137);
    assertStringIncludes(stderr, "32");
  },
);

testOn(
  ["helper", "busybox", "root"],
  "rustyrun run --pids-limit stops the 20th process",
  async () => {
    await using box = makeBox();
    const { code, stderr } = await box.run([
      "--pids-limit",
      "20",
      "--",
      "sh",
      "-c",
      "i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i + 1)); done; kill 0",
    ]);
    assertEquals(code === 0, false);
    assertStringIncludes(stderr, "can't fork");
  },
);

testOn(
  ["helper", "busybox", "root"],
  "the host's disk cannot be opened through a node that the container makes",
  async () => {
    await using box = makeBox();
    const { stdout } = await box.run([
      "--",
      "sh",
      "-c",
      "mknod /tmp/disk b 254 0 && cat /tmp/disk 2>&1 >/dev/null",
    ]);
    assertEquals(
      stdout,
      "cat: can't open '/tmp/disk': Operation not permitted\n",
    );
  },
);
