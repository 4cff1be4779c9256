/**
 * Containers whose cgroup systemd makes, when rustyrun is killed: no unit stays, and
 * none stays failed. Run in the guest (.ci/guest).
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { sweep } from "../../mod/container/delete.ts";
import { ownOutlet } from "../../mod/outlet.ts";
import { start } from "../harness.ts";
import { testOn } from "../needs.ts";
import { findWarden, nameOf, readProcessState, waitFor } from "../wait.ts";
import { makeScopeRoom, show, waitForNone } from "./systemd_room.ts";

const NEEDS = ["root", "helper", "busybox", "systemd"] as const;

testOn(
  NEEDS,
  "systemd: a container in the foreground has its unit, which goes with it, also by SIGKILL",
  async () => {
    await using room = makeScopeRoom();
    const { id, unit } = room;
    const words = ["--systemd-cgroup", "run", "-b", room.bundle, id];
    const status = async () => (await show(unit, ["ActiveState"])).ActiveState;
    let running = start(room.line(...words));
    assertEquals(await waitFor(status, (it) => it === "active"), "active");
    // The warden is outside.
    const warden = await waitFor(() => findWarden(running.pid));
    assertEquals(
      Deno.readTextFileSync(`/proc/${warden}/cgroup`).includes(unit),
      false,
    );
    await waitFor(async () => {
      const { stdout } = await room.call("state", id);
      return JSON.parse(stdout).status === "running";
    });
    running.kill("SIGKILL");
    await running.done;
    await waitForNone(unit);
    await waitFor(async () => (await room.call("list", "-q")).stdout === "");
    // Both killed: the next run sweeps.
    running = start(room.line(...words));
    // Before that its first process ends with who starts it.
    const command = async () => {
      const { stdout } = await room.call("state", id);
      return nameOf(JSON.parse(stdout).pid);
    };
    assertEquals(await waitFor(command, (it) => it === "sleep"), "sleep");
    Deno.kill(findWarden(running.pid)!, "SIGKILL");
    running.kill("SIGKILL");
    // Its output is still the container's: it does not end.
    await waitFor(() => "XZ".includes(readProcessState(running.pid)));
    assertEquals(await status(), "active");
    const warnings: string[] = [];
    sweep(
      { root: room.root, caller: readCaller(), outlet: ownOutlet },
      (it) => warnings.push(it),
      "another",
    );
    assertEquals(warnings, []);
    await running.done;
    await waitForNone(unit);
    await waitFor(async () => (await room.call("list", "-q")).stdout === "");
  },
);

testOn(
  NEEDS,
  "systemd: what is killed in the middle of a create is found by its leftovers",
  async () => {
    await using room = makeScopeRoom();
    const { id, unit } = room;
    // A hook that outlives its runtime, with nothing of the test's open.
    const file = `${room.bundle}/hook`;
    const script = `echo $$ >${file}; exec sleep 1000 >/dev/null 2>&1`;
    const hook = { path: "/bin/sh", args: ["sh", "-c", script] };
    room.write({ hooks: { createRuntime: [hook] } });
    const words = ["--systemd-cgroup", "create", "-b", room.bundle, id];
    const running = start(room.line(...words));
    const left = () =>
      Deno.readTextFileSync(`${room.root}/${id}/leftovers.json`);
    const noted = JSON.parse(await waitFor(left));
    assertEquals(noted.unit.name, unit);
    const pid = await waitFor(() => Number(Deno.readTextFileSync(file)));
    try {
      const { ActiveState } = await show(unit, ["ActiveState"]);
      assertEquals(ActiveState, "active");
      running.kill("SIGKILL");
      await waitFor(() => "XZ".includes(readProcessState(running.pid)));
    } finally {
      Deno.kill(pid, "SIGKILL");
    }
    await running.done;
    await room.quiet("delete", "--force", id);
    await waitForNone(unit);
  },
);
