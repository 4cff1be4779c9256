/**
 * What a container with mounts of its own does to a host whose mounts are
 * shared: nothing.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeRoom } from "./mount_room.ts";

for (
  const [kind, flags, place] of [
    ["its own device", [], "/dev/zero"],
    ["a bound device of the host", ["--userns", "0:100000:65536"], "/dev/zero"],
    ["a mask", [], "/proc/keys"],
    ["a mask in a user namespace", [
      "--userns",
      "0:100000:65536",
    ], "/proc/keys"],
  ] as const
) {
  testOn(
    ["root", "helper", "busybox"],
    `run() keeps from the host what the container mounts on ${kind}`,
    async () => {
      await using room = await makeRoom();
      await using box = makeBox();
      new Deno.Command("chown", { args: ["-R", "100000:100000", box.rootfs] })
        .outputSync();
      Deno.writeTextFileSync(`${box.rootfs}/evil`, "evil");
      const { code, stdout, stderr } = await runToEnd(room.enter([
        ...cliCommand(),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        ...flags,
        "--cap-add",
        "SYS_ADMIN",
        "--security-opt",
        "seccomp=unconfined",
        "--",
        "sh",
        "-c",
        `mount -o bind /evil ${place} && cat ${place}`,
      ]));
      assertEquals([stdout, stderr, code], ["evil", "", 0]);
      assertEquals(await room.findChanges(), []);
    },
  );
}
