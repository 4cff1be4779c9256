/** What needs a cgroup says so where the container has none. */

import { assertEquals } from "@std/assert";
import { makeBox, runCli, start } from "../harness.ts";
import { cliCommand } from "../program.ts";
import { testOn } from "../needs.ts";

/** Commands, and what they cannot do then. */
const WANTED: [string[], string][] = [
  [["events", "--stats"], "count what the container uses"],
  [["events"], "count what the container uses"],
  [["ps"], "list the container's processes"],
  [["pause"], "pause the container"],
  [
    ["exec", "--cgroup", "/sub"],
    'run a process in the container\'s cgroup "/sub" (--cgroup)',
  ],
];

const NO_CGROUP = (wanted: string) =>
  `rustyrun: Cannot ${wanted}: it has no cgroup
  hint: A container made with --cgroup-manager disabled has none, nor has that of a user without a delegated cgroup
`;

testOn(
  ["root", "helper", "busybox"],
  "without a cgroup nothing is counted nor joined, and no zeros are printed",
  async () => {
    await using box = makeBox();
    const running = start([
      ...cliCommand(),
      "--cgroup-manager",
      "disabled",
      ...["run", "--rootfs", box.rootfs, "--name", box.id, "--"],
      ...["sh", "-c", "echo up; exec sleep 1000"],
    ]);
    using _ = { [Symbol.dispose]: () => running.kill("SIGKILL") };
    await running.waitFor("up");
    for (const [words, wanted] of WANTED) {
      const isExec = words[0] === "exec";
      const line = [...words, box.id, ...isExec ? ["true"] : []];
      const { code, stdout, stderr } = await runCli(line);
      assertEquals(
        [code, stdout, stderr],
        [isExec ? 255 : 1, "", NO_CGROUP(wanted)],
      );
    }
  },
);
