/**
 * A pod as a kubelet has it made, with cgroupfs: what the OCI commands show with
 * rustyrun is what they show with runc.
 *
 * @module
 */

import { makeRootfs } from "../harness.ts";
import { testOn } from "../needs.ts";
import { compareCases, runCases } from "./cases.ts";
import { makeRoom } from "./room.ts";

/** Runs the cases in a room of their own. */
async function runPod(rootfs: string, runtime?: string): Promise<string> {
  await using room = await makeRoom("pod", { runtime });
  return await runCases(room, "pod", { BUSYBOX: rootfs });
}

testOn(
  ["root", "busybox", "jq", "runc"],
  "a pod by hand is the same with rustyrun as with runc",
  async (t) => {
    const rootfs = makeRootfs();
    try {
      const runc = await runPod(rootfs, "/usr/sbin/runc");
      await compareCases(t, runc, await runPod(rootfs));
    } finally {
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);
