/**
 * A replayed start that is killed: nothing is left, whatever had been done by
 * then.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { SLOW, takeSnapshot } from "../harness.ts";
import { testInRoom } from "./replay_room.ts";

testInRoom(
  "SIGKILL of a replayed start at any moment leaves nothing",
  async (room, image) => {
    image.script("[ ! -e /stay ] || exec sleep 1000");
    const words = ["run", "--memory", "64m", "--rootfs", image.rootfs];
    words.push("--name", image.id, "--", "sh", "/script");
    const before = takeSnapshot();
    await room.keep(words);
    assertEquals((await room.run(words)).ordinary, 0);
    Deno.writeTextFileSync(`${image.rootfs}/stay`, "");
    for (let round = 0; round < 20; round++) {
      const running = room.start(words);
      await new Promise((resolve) =>
        setTimeout(resolve, (20 + 2 * round) * SLOW)
      );
      running.kill("SIGKILL");
      assertEquals((await running.done).signal, "SIGKILL");
      const left = await room.findRest(before, image.id);
      assertEquals(left, [], `after ${20 + 2 * round} ms`);
    }
    Deno.removeSync(`${image.rootfs}/stay`);
    const { code, stderr } = await room.run(words);
    assertEquals([code, stderr], [0, ""]);
  },
);

/** System calls of a replayed start, and at which of them it is killed. One
 * that is not reached kills nobody, and the test does that. */
const STEPS: [string, number[]][] = [
  ["mkdir,mkdirat", [1, 2, 3, 6, 9]],
  ["memfd_create", [1, 2, 3]],
  ["recvmsg", [1, 2, 3]],
  ["rename,renameat", [1]],
  ["execve", [2]],
];

for (const [calls, times] of STEPS) {
  testInRoom(
    `SIGKILL of a replayed start as it calls ${calls} leaves nothing`,
    async (room, image) => {
      image.script("[ ! -e /stay ] || exec sleep 1000");
      const words = image.words();
      const before = takeSnapshot();
      await room.keep(words);
      Deno.writeTextFileSync(`${image.rootfs}/stay`, "");
      for (const when of times) {
        const running = room.start(words, {
          first: `set -- strace -D -o /dev/null -e trace=${calls} ` +
            `-e inject=${calls}:signal=KILL:when=${when} "$@"`,
        });
        const late = setTimeout(() => {
          try {
            running.kill("SIGKILL");
          } catch {
            // It was killed just now, and its container holds the pipes.
          }
        }, 700 * SLOW);
        assertEquals((await running.done).signal, "SIGKILL");
        clearTimeout(late);
        const left = await room.findRest(before, image.id);
        assertEquals(left, [], `${calls} ${when}`);
      }
      Deno.removeSync(`${image.rootfs}/stay`);
      const { code, stderr } = await room.run(words);
      assertEquals([code, stderr], [0, ""]);
    },
    ["strace"],
  );
}
