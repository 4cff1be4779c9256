/**
 * A caller that does not reap what it has exec'd: pid 1 of the container, once
 * killed, stays until somebody does. Nobody else waits for that.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { SLOW } from "../harness.ts";
import { testOn } from "../needs.ts";
import { type Caller, makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** Starts a container with a second process, whose parent does not wait.
 *
 * @returns waits for it at last */
async function startBoth(caller: Caller): Promise<() => Promise<void>> {
  const { id, bundle, dir } = caller;
  await caller.hold(["create", "--bundle", bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  const file = `${dir}/second.pid`;
  const second = ["exec", "--detach", "--pid-file", file, id, "sleep", "1000"];
  assertEquals((await caller.hold(second)).code, 0);
  const pid = Number(Deno.readTextFileSync(file));
  return async () =>
    assertEquals(await caller.ask({ do: "reap", pid }), { code: -9 });
}

testOn(NEEDS, "delete --force waits for no zombie of an exec", async () => {
  const times: number[] = [];
  // It would give up after 10 s. A machine that stands still may take as long,
  // but not again and again.
  while (times.length < 4 && !times.some((took) => took < 5000 * SLOW)) {
    await using caller = makeCaller();
    const reap = await startBoth(caller);
    const start = performance.now();
    assertEquals(await caller.call(["delete", "--force", caller.id]), QUIET);
    times.push(performance.now() - start);
    await reap();
  }
  assert(times.some((took) => took < 5000 * SLOW), `${times} ms`);
});

testOn(
  NEEDS,
  "a container whose pid 1 waits for zombies has stopped",
  async () => {
    await using caller = makeCaller();
    const reap = await startBoth(caller);
    assertEquals(await caller.call(["kill", caller.id, "KILL"]), QUIET);
    await caller.waitFor("stopped");
    assertEquals(await caller.call(["delete", caller.id]), QUIET);
    await reap();
  },
);
