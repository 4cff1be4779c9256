/**
 * A container that holds what enters it, and with that the worker that serves it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type CliResult, findLeaks, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { WarmRoom } from "../warm_room.ts";
import { countStopped, STOPPER } from "./stopper.ts";
import { ID, makeBundle } from "./warm_bundle.ts";

/** Workers at most: mod/cli/serve.ts. */
const MOST = 8;

testOn(
  ["root", "busybox"],
  "warm: as many execs as there are workers, held by their container, hold up nobody",
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open();
    using bundle = makeBundle(STOPPER);
    const words = ["create", "--bundle", bundle.dir, ID];
    assertEquals((await room.call(words)).code, 0);
    assertEquals((await room.call(["start", ID])).code, 0);
    const held: Promise<CliResult>[] = [];
    // While a worker is free, others are warm; without one this call fails.
    while ((await room.call(["state", ID])).code === 0) {
      assert(held.length < 3 * MOST, "execs are not held");
      const exec = room.start(["exec", ID, "true"]);
      let isOver = false;
      exec.done.then(() => isOver = true);
      const look = () => isOver ? 0 : countStopped(exec.pid);
      await waitFor(look, (it) => isOver || it > 0);
      if (!isOver) held.push(exec.done);
    }
    for (
      const words of [
        ["state", ID],
        ["update", "--pids-limit", "99", ID],
        ["kill", ID, "0"],
        ["delete", "--force", ID],
      ]
    ) {
      const { code, stderr } = await room.any(words);
      assertEquals([words[0], code, stderr], [words[0], 0, ""]);
    }
    for (const end of held) assert((await end).code > 0);
    // Those workers are free again.
    const isWarm = async () => (await room.call(["list"])).code === 0;
    assert(await waitFor(isWarm));
    assertEquals(await findLeaks(before), []);
  },
);
