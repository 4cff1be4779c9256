/**
 * What lies behind a root that was made by chroot is of no use to the container.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { makeSpec } from "./caller.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** The kernel allows a whole procfs where there is one already. */
const NEST =
  'unshare -Urmpf sh -c "mount -t proc none /tmp && echo whole" 2>/dev/null; pwd; ls -d /proc/self/comm';
const HERE = "/\n/proc/self/comm\n";

/** Whether the machine has its own still. */
function lookAtHost() {
  assertEquals(Deno.readTextFileSync("/proc/self/comm"), "deno\n");
  Deno.statSync("/sys/kernel");
}

for (
  const flags of [
    [],
    ["--ephemeral"],
    ["--read-only"],
    ["--rootfs", "/", "--read-only"],
  ]
) {
  testOn(
    NEEDS,
    `run --no-pivot ${
      flags.join(" ")
    } leaves no procfs behind that a nested user namespace may have whole`,
    async () => {
      await using box = makeBox();
      const rootfs = flags[0] === "--rootfs" ? [] : ["--rootfs", box.rootfs];
      assertEquals(
        await runToEnd([
          ...cliCommand(),
          ...["run", "--no-pivot", ...rootfs, ...flags, "--name", box.id],
          ...["--security-opt", "seccomp=unconfined", "--tmpfs", "/tmp"],
          ...["--", "sh", "-c", NEST],
        ]),
        { code: 0, signal: null, stdout: HERE, stderr: "" },
      );
      lookAtHost();
    },
  );
}

testOn(
  NEEDS,
  "a bundle that runs with --no-pivot leaves no procfs behind either",
  async () => {
    await using box = makeBox();
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-pivot-" });
    try {
      const spec = makeSpec(box.id, {
        process: { args: ["sh", "-c", NEST] },
        root: { path: box.rootfs },
        linux: { maskedPaths: ["/proc/keys"] },
      });
      Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(spec));
      assertEquals(
        await runToEnd([
          ...cliCommand(),
          ...["run", "--no-pivot", "--bundle", dir, box.id],
        ]),
        { code: 0, signal: null, stdout: HERE, stderr: "" },
      );
      lookAtHost();
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

for (const userns of [[], ["--userns", "0:100000:65536"]]) {
  testOn(
    NEEDS,
    `run --no-pivot ${
      userns.join(" ")
    } refuses a container that could unmount its own root`,
    async () => {
      await using box = makeBox();
      const { code, stdout, stderr } = await runToEnd([
        ...cliCommand(),
        ...["run", "--no-pivot", "--rootfs", box.rootfs, ...userns],
        ...["--cap-add", "SYS_ADMIN", "--", "echo", "here"],
      ]);
      assertEquals([code, stdout], [125, ""]);
      assertEquals(
        stderr.split("\n")[0],
        "rustyrun: Cannot use chroot for a container with CAP_SYS_ADMIN (--no-pivot): it would unmount its own root, and see the host's",
      );
    },
  );
}
