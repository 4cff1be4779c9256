/**
 * What was kept of a start and is damaged: the ordinary way is gone, and it is
 * kept anew.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { testInRoom } from "./replay_room.ts";

for (
  const [name, change] of [
    ["is cut off", (text) => text.slice(0, -40)],
    ["is no JSON", () => "{"],
    ["is an empty object", () => "{}"],
    ["has no plan", (text) => text.replace('"child"', '"chill"')],
    ["has no base64", (text) => text.replace(/("bytes":")..../g, "$1~~~~")],
    [
      "has holes behind its end",
      (text) =>
        text.replace(/("(?:id|token|pid|channel)":\[)\d+/g, "$199999999"),
    ],
    ["has another's words", (text) => text.replace('"run"', '"ran"')],
    [
      "is of another build",
      (text) => text.replace(/("build":")[0-9a-f]{4}/, "$10000"),
    ],
  ] as [string, (text: string) => string][]
) {
  testInRoom(
    `run goes the ordinary way where what was kept ${name}`,
    async (room, image) => {
      image.script("echo fine");
      await room.keep(image.words());
      room.edit([image.bundle], change);
      const { code, stdout, stderr, ordinary } = await room.run(
        image.words(),
      );
      assertEquals([code, stdout, stderr], [0, "fine\n", ""]);
      assertEquals(ordinary, 1);
      // It is kept once more.
      const again = await room.run(image.words());
      assertEquals([again.stdout, again.ordinary], ["fine\n", 0]);
    },
  );
}
