/**
 * Mounts of containers without a mount namespace of their own that were killed,
 * failed or moved: what takes them back.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { start } from "../harness.ts";
import { testOn } from "../needs.ts";
import { findWarden, readProcessState, waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";
import { makeRoom, type Room } from "./mount_room.ts";
import {
  atRootfs,
  callIn,
  hook,
  NEEDS,
  over,
  waitStopped,
} from "./shared_mounts_room.ts";

/** Puts the root file system into a directory that can be moved, which a mount
 * point cannot, and makes a bundle for it. */
async function addDeep(
  box: CrashBox,
  sh: ReturnType<typeof callIn>["sh"],
  spec: Spec,
) {
  const rootfs = `${box.dir}/deep/rootfs`;
  await sh(`mkdir ${box.dir}/deep && mv ${box.dir}/rootfs ${rootfs}`);
  const id = `${box.name}-deep`;
  const { linux, ...rest } = spec;
  const bundle = box.addBundle(id, {
    ...rest,
    root: { path: rootfs },
    linux: { ...linux, cgroupsPath: `/${id}` },
  });
  return { id, bundle, rootfs };
}

/** A container in the foreground whose command has said "ready". */
async function runReady(room: Room, box: CrashBox) {
  const running = start(
    callIn(room, box).line("run", "--bundle", box.bundle, box.name),
  );
  await running.waitFor("ready");
  return running;
}

testOn(NEEDS, "kill -9 of the foreground process leaves no mount", async () => {
  await using room = await makeRoom();
  await using box = makeCrashBox(over("echo ready; sleep 1000"));
  const running = await runReady(room, box);
  running.kill("SIGKILL");
  await running.done;
  assertEquals(await room.findChanges(), []);
  assertEquals(await box.findRest(), []);
});

testOn(
  NEEDS,
  "the next run takes back the mounts of one whose keeper and warden were killed",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("echo ready; sleep 1000"));
    const { call } = callIn(room, box);
    const running = await runReady(room, box);
    // It must not see to anything when the warden has gone.
    running.kill("SIGSTOP");
    const state = (pid: number) => () => readProcessState(pid);
    assertEquals(await waitFor(state(running.pid), (it) => it === "T"), "T");
    const warden = findWarden(running.pid)!;
    Deno.kill(warden, "SIGKILL");
    assertEquals(await waitFor(state(warden), (it) => it === "Z"), "Z");
    running.kill("SIGKILL");
    const gone = await waitFor(state(running.pid), (it) => /^Z?$/.test(it));
    assertMatch(gone, /^Z?$/);
    // From another mount namespace it is not seen to, and does not disturb.
    const elsewhere = box.addBundle(`${box.name}-host`, {
      process: { args: ["true"] },
      linux: {
        namespaces: [{ type: "mount" }],
        cgroupsPath: `/${box.name}-host`,
      },
    });
    const { code, stderr } = await box.call(
      "run",
      "--bundle",
      elsewhere,
      `${box.name}-host`,
    );
    assertEquals([code, stderr], [0, ""]);
    assert(room.added().some(atRootfs(box)), "they are there until then");
    const next = await call("run", "--bundle", elsewhere, `${box.name}-next`);
    assertEquals([next.code, next.stderr], [0, ""]);
    assertEquals(await room.findChanges(), []);
    await running.done;
  },
);

for (
  const [what, more, script, error] of [
    ["a missing command", { process: { args: ["/no/such"] } }, "", "/no/such"],
    [
      "a mount that fails behind others",
      {
        mounts: [
          { destination: "/proc", type: "proc", source: "proc" },
          { destination: "/etc/passwd", type: "tmpfs", source: "tmpfs" },
        ],
      },
      "true",
      "/etc/passwd",
    ],
    [
      "a hook that fails",
      { hooks: { createRuntime: hook("exit 3") } },
      "true",
      "createRuntime",
    ],
    [
      "a hook that fails inside",
      { hooks: { createContainer: hook("exit 3") } },
      "true",
      "createContainer",
    ],
  ] as const
) {
  for (const command of ["create", "run"]) {
    testOn(
      NEEDS,
      `${command} that fails leaves no mount: ${what}`,
      async () => {
        await using room = await makeRoom();
        await using box = makeCrashBox(over(script, { ...more }));
        const { call } = callIn(room, box);
        const { code, stderr } = await call(
          command,
          "--bundle",
          box.bundle,
          box.name,
        );
        assert(code !== 0);
        assertStringIncludes(stderr, error);
        assertEquals(await room.findChanges(), []);
        assertEquals(await box.findRest(), []);
      },
    );
  }
}

for (const command of ["create", "run"]) {
  testOn(
    NEEDS,
    `delete --force takes back the mounts of a ${command} that was killed`,
    async () => {
      await using room = await makeRoom();
      await using box = makeCrashBox();
      const { call, quiet, sh } = callIn(room, box);
      const spec = over("true", {
        hooks: { createRuntime: hook("kill -9 $PPID; sleep 0.3") },
      });
      const { id, bundle } = await addDeep(box, sh, spec);
      await call(command, "--bundle", bundle, id);
      if (command === "create") {
        assert(
          room.added().some((it) => it.includes(box.dir)),
          "they are made",
        );
        const { stderr } = await sh(`mv ${box.dir}/deep ${box.dir}/else`);
        assertEquals(stderr, "");
      }
      await quiet("delete", "--force", id);
      assertEquals(await room.findChanges(), []);
    },
  );
}

testOn(
  NEEDS,
  "delete finds the mounts of a bundle that was moved",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox();
    const { call, quiet, sh } = callIn(room, box);
    const { id, bundle } = await addDeep(box, sh, over("true"));
    assertEquals((await call("create", "--bundle", bundle, id)).code, 0);
    assertEquals((await sh(`mv ${box.dir}/deep ${box.dir}/else`)).stderr, "");
    await quiet("delete", id);
    assertEquals(await room.findChanges(), []);
  },
);

testOn(
  NEEDS,
  "delete leaves alone what came after mounts that somebody has unmounted",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("true"));
    const { call, quiet, create, sh } = callIn(room, box);
    assertEquals((await create()).code, 0);
    await quiet("kill", box.name, "KILL");
    await waitStopped(call, box.name);
    const count = room.added().filter(atRootfs(box)).length;
    const other = `${box.dir}/other`;
    // Ids of mounts are used again: one of these has that of the root.
    const { stderr } = await sh(
      `umount -Rl ${box.dir}/rootfs && mkdir ${other} &&
      for i in $(seq ${count + 2}); do mount -t tmpfs stranger ${other}; done`,
    );
    assertEquals(stderr, "");
    const before = room.mounts();
    await quiet("delete", box.name);
    assertEquals(await room.findChanges(before), []);
    await sh(`for i in $(seq ${count + 2}); do umount ${other}; done`);
  },
);

testOn(
  NEEDS,
  "delete says that another mount hides the container's, and removes them when it has gone",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("true"));
    const { call, quiet, sh } = callIn(room, box);
    const { id, bundle, rootfs } = await addDeep(box, sh, over("true"));
    assertEquals((await call("create", "--bundle", bundle, id)).stderr, "");
    await sh(`mount -t tmpfs cover ${box.dir}/deep`);
    const hidden = await call("delete", id);
    assertEquals(hidden.code, 1);
    assertStringIncludes(
      hidden.stderr,
      `Cannot unmount the container's root file system "${rootfs}": another mount hides it`,
    );
    await sh(`umount ${box.dir}/deep`);
    await quiet("delete", id);
    assertEquals(await room.findChanges(), []);
  },
);

testOn(
  NEEDS,
  "delete from another mount namespace says where the mounts are, and works from there",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("true"));
    const { quiet, create } = callIn(room, box);
    assertEquals((await create()).code, 0);
    const { code, stderr } = await box.call("delete", box.name);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `Cannot unmount the container's root file system "${box.dir}/rootfs": it is mounted in another mount namespace, ${
        Deno.readLinkSync(`/proc/${room.pid}/ns/mnt`)
      }`,
    );
    await quiet("delete", box.name);
    assertEquals(await room.findChanges(), []);
  },
);

/** Creates a container in a mount namespace that ends with it. */
async function createInGone(box: CrashBox): Promise<void> {
  await using room = await makeRoom();
  const line = room.enter([
    "unshare",
    "-m",
    ...box.argv("create", "--bundle", box.bundle, box.name),
  ]);
  assertEquals((await box.runApart(line)).code, 0);
}

testOn(
  NEEDS,
  "delete works from anywhere when the mount namespace has gone",
  async () => {
    await using box = makeCrashBox(over("sleep 1000"));
    await createInGone(box);
    await box.callQuiet("delete", "--force", box.name);
  },
);

testOn(NEEDS, "also where its number is another's now", async () => {
  await using box = makeCrashBox(over("sleep 1000"));
  await createInGone(box);
  await using other = await makeRoom();
  const file = `${box.root}/${box.name}/leftovers.json`;
  const left = Deno.readTextFileSync(file);
  const number = Deno.readLinkSync(`/proc/${other.pid}/ns/mnt`);
  Deno.writeTextFileSync(file, left.replace(/mnt:\[\d+\]/, number));
  assertNotEquals(Deno.readTextFileSync(file), left);
  await box.callQuiet("delete", "--force", box.name);
});
