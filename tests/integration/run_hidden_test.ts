/**
 * A caller whose /proc is not whole: another container runtime, or somebody with
 * mount(8), has put something over it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, makeRootfs } from "../harness.ts";
import { testOn } from "../needs.ts";
import { apart } from "../program.ts";

const decoder = new TextDecoder();

/** Runs the command line under test with `script` done before, in a mount
 * namespace of its own. */
function runBehind(script: string, args: readonly string[]) {
  const { code, stderr } = new Deno.Command("unshare", {
    args: [
      "-m",
      "sh",
      "-c",
      `${script} && exec "$@"`,
      "sh",
      ...apart(cliCommand()),
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).outputSync();
  return { code, stderr: decoder.decode(stderr) };
}

testOn(
  ["helper", "busybox", "root"],
  "run says that /proc/sys is hidden",
  () => {
    const rootfs = makeRootfs();
    try {
      const args = [
        "run",
        "--rootfs",
        rootfs,
        "--sysctl",
        "net.ipv4.tcp_sack=1",
      ];
      assertEquals(
        runBehind("mount -t tmpfs tmpfs /proc/sys", [...args, "--", "true"]),
        {
          code: 125,
          stderr:
            `rustyrun: Cannot read "/proc/sys/kernel/osrelease": no such file or directory
  hint: /proc is not mounted, or something is mounted over /proc/sys (a container?): findmnt -R /proc shows what
`,
        },
      );
    } finally {
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);

testOn(["helper", "root"], "state says that /proc/sys is hidden", () => {
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-hidden-" });
  try {
    Deno.mkdirSync(`${root}/box`, { mode: 0o700 });
    Deno.writeTextFileSync(
      `${root}/box/state.json`,
      '{"id":"box","pid":1,"startTime":"1","bootId":"x","cgroup":{"dirs":[]}}',
    );
    assertEquals(
      runBehind("mount -t tmpfs tmpfs /proc/sys", [
        "--root",
        root,
        "state",
        "box",
      ]),
      {
        code: 1,
        stderr:
          `rustyrun: Cannot read "/proc/sys/kernel/random/boot_id": no such file or directory
  hint: /proc is not mounted, or something is mounted over /proc/sys (a container?): findmnt -R /proc shows what
`,
      },
    );
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
