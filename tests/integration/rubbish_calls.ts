/**
 * How tests of rubbish have it removed, and what that is to say.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Need } from "../needs.ts";
import { waitFor } from "../wait.ts";
import type { RubbishRoom } from "./rubbish_room.ts";

export const NEEDS: Need[] = ["root", "helper", "busybox", "python3"];

export const DEPTH = 30_000;

export const QUIET = { code: 0, signal: null, stderr: "" };

/** Another container runs as if there was none before it, and removes it. */
export async function sweep(room: RubbishRoom): Promise<void> {
  const next = await room.run(
    "--name",
    `${room.id}-next`,
    "--",
    "echo",
    "next",
  );
  assertEquals(next, { ...QUIET, stdout: "next\n" });
  // What is much goes on behind it.
  assertEquals(await waitFor(() => room.listIds(), isEmpty), []);
}

/** Other containers run until nothing is left to remove: on a slow machine one
 * removes a part. */
export async function sweepAll(room: RubbishRoom): Promise<void> {
  await waitFor(async () => {
    if (room.listIds().length > 0) await room.run("--", "true");
    return room.listIds();
  }, isEmpty);
  assertEquals([room.listIds(), room.listUppers()], [[], []]);
}

export const isEmpty = (them: readonly unknown[]) => them.length === 0;

export async function deleteByForce(room: RubbishRoom): Promise<void> {
  const result = await room.call("delete", "--force", room.id);
  assertEquals(result, { ...QUIET, stdout: "" });
}
