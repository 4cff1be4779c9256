/**
 * A user's container that gives its cgroup, or files in it, to ids that are not
 * its user's, or hides in a user namespace of its own: it is ended and removed all the same.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn, USERS } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { killKeepers } from "./rubbish_room.ts";
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

testOn(
  NEEDS,
  "what cannot be done to a container that hides its cgroup says why",
  async () => {
    await using room = makeUserRoom();
    const { id } = room;
    room.write("chown 1:1 $c; chmod 0 $c; echo ready; exec sleep 1000");
    await room.startUp();
    for (
      const [words, code] of [
        [["pause", id], 1],
        [["exec", id, "true"], 255],
        [["kill", "--all", id, "TERM"], 1],
      ] as const
    ) {
      const ended = await room.call(...words);
      assertEquals([words, ended.code], [words, code]);
      assertMatch(ended.stderr, /hint: The container may have taken that/);
    }
    await room.callQuiet("delete", "--force", id);
  },
);

const LISTS = "cgroup.kill cgroup.freeze cgroup.procs cgroup.threads";

testOn(
  NEEDS,
  "what hides from the end of a run dies, also where the first process has entered another user namespace",
  async () => {
    await using room = makeUserRoom();
    room.write(
      `setsid sleep 1000 >/dev/null 2>&1 & cd $c; chown 1:1 ${LISTS}; chmod 0 ${LISTS}; exec unshare -U true`,
    );
    const { done } = room.start("run", "--bundle", room.bundle, room.id);
    assertEquals(await done, {
      code: 0,
      signal: null,
      stdout: "",
      stderr: "",
    });
    assertEquals([room.listIds(), room.findCgroups()], [[], []]);
  },
);

testOn(
  NEEDS,
  "and files of other ids go",
  async () => {
    await using room = makeUserRoom();
    const layers = `${room.dir}/layers`;
    Deno.mkdirSync(layers, { mode: 0o700 });
    Deno.chownSync(layers, USERS.subuid, USERS.subuid);
    const { done } = room.start(
      ...["run", "--rootfs", room.rootfs, "--name", room.id],
      ...[`--ephemeral=${layers}`, "--security-opt", "seccomp=unconfined"],
      ...["--", "sh", "-c"],
      "mkdir -p /d/e; chown -R 5:5 /d; chmod -R 700 /d; exec unshare -U true",
    );
    assertEquals(await done, {
      code: 0,
      signal: null,
      stdout: "",
      stderr: "",
    });
    assertEquals([...Deno.readDirSync(layers)], []);
  },
);

const LEFT: [string, string][] = [
  [
    "whom a container hides",
    `setsid sleep 1000 >/dev/null 2>&1 & cd $c; chown 1:1 ${LISTS}; chmod 0 ${LISTS}`,
  ],
  [
    "many cgroups of other ids",
    "cd $c; n=$(seq 700); mkdir $n; for it in $n; do echo $it/in; done | xargs mkdir; chown -R 1:1 $n; chmod 700 $n",
  ],
];

for (const [what, script] of LEFT) {
  testOn(NEEDS, `one sweep is enough for ${what}`, async () => {
    await using room = makeUserRoom();
    room.write(`${script}; echo ready; exec sleep 1000`);
    const running = room.start("run", "--bundle", room.bundle, room.id);
    await running.waitFor("ready");
    await killKeepers(running);
    const words = ["run", "--rootfs", room.rootfs, "--", "true"];
    await room.callQuiet(...words);
    const left = () => [...room.listIds(), ...room.findCgroups()];
    assertEquals(await waitFor(left, (it) => it.length === 0), []);
    await running.done;
  });
}
