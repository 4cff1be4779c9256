/**
 * A front or a worker that is killed at any step leaves nothing.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { findLeaks, findLeaksBeside, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { WarmRoom } from "../warm_room.ts";
import { ID, makeBundle } from "./warm_bundle.ts";

/** Kills `victim` at each step of a call until one comes to its end. */
async function killAtEachStep(
  room: WarmRoom,
  victim: "front" | "worker",
  words: readonly string[],
  { prepare, judge }: {
    prepare?: () => Promise<unknown>;
    judge: (
      ended: { code: number; stderr: string },
      step: number,
    ) => Promise<unknown>;
  },
): Promise<number> {
  for (let step = 0;; step++) {
    await prepare?.();
    const ended = await room.relay(words, { victim, step });
    await judge(ended, step);
    if (ended.steps <= step) return step;
  }
}

for (const victim of ["front", "worker"] as const) {
  testOn(
    ["root", "busybox"],
    `warm: a ${victim} that is killed at any step of create, start, delete, run or exec leaves nothing`,
    async () => {
      await using room = await WarmRoom.open();
      using bundle = makeBundle("sleep 1000");
      using short = makeBundle("echo >/ran");
      const before = takeSnapshot();
      /** Whether a command has left its file, which goes. */
      const hasRun = ({ rootfs }: { rootfs: string }) => {
        try {
          Deno.removeSync(`${rootfs}/ran`);
          return true;
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
          return false;
        }
      };
      const statusOf = async () => {
        const { code, stdout } = await room.cold(["state", ID]);
        return code === 0 ? JSON.parse(stdout).status : "none";
      };
      /** @param truth what is so where the call says that it has done its work */
      const check = (truth: () => Promise<boolean>) =>
      async (
        { code, stderr }: { code: number; stderr: string },
        step: number,
      ) => {
        const what = `step ${step}: ${code} ${stderr}`;
        // Killed, or cold since nothing had begun, or told once; or it was done.
        assert([0, 1, 125, 137, 255].includes(code), what);
        assert(stderr.split("rustyrun: Cannot").length <= 2, what);
        if (code === 0) assert(await truth(), `${what}: it was not done`);
        assertEquals(
          (await room.cold(["delete", "--force", ID])).code,
          0,
          what,
        );
        assertEquals(await findLeaks(before, ID), [], what);
      };
      const create = ["create", "--bundle", bundle.dir, ID];
      const is = (status: string) =>
        check(async () => await statusOf() === status);
      assert(
        await killAtEachStep(room, victim, create, { judge: is("created") }) >
          4,
      );
      const prepare = () => room.cold(create);
      for (
        const [words, status] of [
          [["start", ID], "running"],
          [["delete", "--force", ID], "none"],
        ] as const
      ) {
        assert(
          await killAtEachStep(room, victim, words, {
            prepare,
            judge: is(status),
          }) > 0,
        );
      }
      const run = ["run", "--bundle", short.dir, ID];
      const judge = check(async () =>
        hasRun(short) && await statusOf() === "none"
      );
      assert(await killAtEachStep(room, victim, run, { judge }) > 4);
      await room.cold(create);
      await room.cold(["start", ID]);
      const started = takeSnapshot();
      const isContainer = (clause: string) => clause.endsWith("(sleep)");
      const exec = ["exec", ID, "touch", "/ran"];
      const steps = await killAtEachStep(room, victim, exec, {
        judge: async ({ code, stderr }, step) => {
          const what = `step ${step}: ${code} ${stderr}`;
          assert([0, 1, 137, 255].includes(code), what);
          const ran = hasRun(bundle);
          if (code === 0) assert(ran, `${what}: it was not done`);
          assertEquals(
            JSON.parse((await room.cold(["state", ID])).stdout).status,
            "running",
            what,
          );
          const left = await findLeaksBeside(isContainer, started, ID);
          assertEquals(left.filter((it) => !isContainer(it)), [], what);
        },
      });
      assert(steps > 4);
      assertEquals((await room.cold(["delete", "--force", ID])).code, 0);
      assertEquals(await findLeaks(before, ID), []);
    },
  );
}
