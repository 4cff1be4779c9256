/**
 * A user's container that gives its cgroup, or files in it, to ids that are not
 * its user's: it is ended and removed all the same.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeUserRoom, NEEDS, type UserRoom } from "./user_room.ts";

const HIDES: [string, string][] = [
  [
    "how many live in it",
    "chown 1:1 $c/cgroup.events; chmod 0 $c/cgroup.events",
  ],
  ["its cgroup", "chown 1:1 $c; chmod 0 $c"],
  ["its cgroup from itself", "chmod 0 $c"],
];

async function hasStopped({ call, id }: UserRoom): Promise<void> {
  const read = async () => JSON.parse((await call("state", id)).stdout).status;
  assertEquals(await waitFor(read, (it) => it === "stopped"), "stopped");
}

for (const [what, hide] of HIDES) {
  testOn(
    NEEDS,
    `delete removes a container that hides ${what} and has ended`,
    async () => {
      await using room = makeUserRoom();
      room.write(`mkdir $c/n; ${hide}; echo ready`);
      await room.startUp();
      await hasStopped(room);
      await room.callQuiet("delete", room.id);
    },
  );

  testOn(
    NEEDS,
    `delete --force ends a container that hides ${what}`,
    async () => {
      await using room = makeUserRoom();
      room.write(`mkdir $c/n; sleep 1000 & ${hide}; echo ready`);
      await room.startUp();
      await hasStopped(room);
      const { code, stderr } = await room.call("delete", room.id);
      assertEquals(code, 1);
      assertMatch(stderr, /its first process has ended, but .* runs on/);
      await room.callQuiet("delete", "--force", room.id);
    },
  );
}
