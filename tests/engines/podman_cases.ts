/**
 * podman as root with cgroupfs: what it shows with rustyrun is what it shows with
 * runc.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { CASES, compareCases } from "./cases.ts";
import { IMAGE } from "./image.ts";
import { makeRoom } from "./room.ts";

/** Seconds for all cases. */
const LONG = 1200;

/** Runs the cases in a room of their own. */
async function runCases(runtime?: string): Promise<string> {
  await using room = await makeRoom("podmans", { runtime });
  const scratch = `${room.dir}/scratch`;
  const podman =
    `--root ${room.dir}/storage --runroot /run/storage --tmpdir /run/libpod --storage-driver vfs`;
  const loaded = await room.run([
    "sh",
    "-c",
    `mkdir ${scratch}; podman ${podman} load -q -i ${room.image}`,
  ]);
  assertEquals(loaded.code, 0, loaded.stderr);
  const { code, stdout, stderr } = await room.run(
    ["bash", "-c", '. "$CASES/lib.sh"; . "$CASES/$ENGINE.sh"'],
    {
      seconds: LONG,
      env: {
        CASES,
        IMAGE,
        ENGINE: "podman",
        RUNTIME: room.runtime,
        SCRATCH: scratch,
        MANAGER: "cgroupfs",
        PODMAN: podman,
        PARENT: `--cgroup-parent=/${room.name}`,
        PODPARENT: `--cgroup-parent=/${room.name}`,
        ROOM: room.name,
        ROW: Deno.env.get("RUSTYRUN_ROW") ?? "20",
        ONCE: "20",
      },
    },
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

testOn(
  ["root", "busybox", "python3", "podman", "runc"],
  "podman shows the same with rustyrun as with runc",
  async (t) => {
    const runc = await runCases("/usr/sbin/runc");
    await compareCases(t, runc, await runCases());
  },
);
