/**
 * podman as root with cgroupfs: what it shows with rustyrun is what it shows with
 * runc.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { compareCases, runCases } from "./cases.ts";
import { IMAGE } from "./image.ts";
import { makeRoom } from "./room.ts";

/** Runs the cases in a room of their own. */
async function runPodman(runtime?: string): Promise<string> {
  await using room = await makeRoom("podmans", { runtime });
  const podman =
    `--root ${room.dir}/storage --runroot /run/storage --tmpdir /run/libpod --storage-driver vfs`;
  const loaded = await room.run([
    "sh",
    "-c",
    `podman ${podman} load -q -i ${room.image}`,
  ]);
  assertEquals(loaded.code, 0, loaded.stderr);
  return await runCases(room, "podman", {
    IMAGE,
    PODMAN: podman,
    PARENT: `--cgroup-parent=/${room.name}`,
    PODPARENT: `--cgroup-parent=/${room.name}`,
    ROW: Deno.env.get("RUSTYRUN_ROW") ?? "20",
    ONCE: "20",
  });
}

testOn(
  ["root", "busybox", "python3", "podman", "runc"],
  "podman shows the same with rustyrun as with runc",
  async (t) => {
    const runc = await runPodman("/usr/sbin/runc");
    await compareCases(t, runc, await runPodman());
  },
);
