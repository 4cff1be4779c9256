/**
 * Containers without a mount namespace of their own, in a room of the test's:
 * they see the caller's mounts, and the caller's mounts are afterwards, however
 * it ends, to the letter what they were.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { start } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";
import { makeRoom, type Room } from "./mount_room.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** A config.json's changes: the caller's namespaces, but for those named. */
function over(script: string, more: Spec = {}): Spec {
  const { linux, process, namespaces = [], ...rest } = more;
  return {
    process: { args: ["sh", "-c", script], ...process },
    ...rest,
    linux: {
      namespaces: namespaces.map((type: string) => ({ type })),
      ...linux,
    },
  };
}

const CAPABLE = {
  capabilities: Object.fromEntries(
    ["bounding", "effective", "permitted"].map((
      it,
    ) => [it, ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE"]]),
  ),
};

/** A box, and how to call rustyrun for it in a room. */
function callIn(room: Room, box: CrashBox) {
  const line = (...words: string[]) => room.enter(box.argv(...words));
  const call = (...words: string[]) => box.runApart(line(...words));
  return {
    line,
    call,
    async quiet(...words: string[]) {
      const { code, stdout, stderr } = await call(...words);
      assertEquals([words[0], code, stdout, stderr], [words[0], 0, "", ""]);
    },
    sh: (script: string) => box.runApart(room.enter(["sh", "-c", script])),
    create: (id = box.name) =>
      call("create", "--bundle", id === box.name ? box.bundle : id, id),
  };
}

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

async function waitStopped(
  call: ReturnType<typeof callIn>["call"],
  id: string,
): Promise<void> {
  const { stdout } = await waitFor(
    () => call("state", id),
    (it) => it.stdout.includes('"stopped"'),
  );
  assertStringIncludes(stdout, '"stopped"');
}

const atRootfs = (box: CrashBox) => (line: string) =>
  line.includes(` ${box.dir}/rootfs`);

testOn(
  NEEDS,
  "run() makes its mounts in the caller's mount namespace, and takes them all back",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over(
      `readlink /proc/self/ns/mnt; touch /file || echo read-only
       echo x >/proc/sys/kernel/hostname || echo hidden
       cat /proc/keys; ls -A /proc/fs; cut -d' ' -f5 /proc/self/mountinfo
       read line; echo "got $line"`,
      {
        root: { path: "../rootfs", readonly: true },
        linux: {
          maskedPaths: ["/proc/keys", "/proc/fs"],
          readonlyPaths: ["/proc/sys"],
        },
      },
    ));
    const running = start(
      callIn(room, box).line("run", "--bundle", box.bundle, box.name),
      { stdin: "" },
    );
    await running.waitFor("/dev/pts\n");
    const own = room.added().filter(atRootfs(box));
    assertEquals(
      own.filter((it) => it.startsWith("room:")).map((it) =>
        it.split(" ").slice(5, 6).concat(
          / (shared:|master:)/.exec(it)?.[1] ?? "",
        ).join("").replace(`${box.dir}/rootfs`, "@")
      ),
      [
        "@",
        "@/proc",
        "@/dev",
        "@/dev/pts",
        "@/proc/sys",
        "@/proc/keys",
        "@/proc/fs",
      ],
    );
    // A peer sees what is mounted on a shared mount, and no more.
    assertEquals(own.filter((it) => it.startsWith("peer:")).length, 1);
    assertEquals(room.added().length, own.length);
    await running.write("me\n");
    const { code, stdout } = await running.done;
    assertEquals([code, stdout], [
      0,
      `${Deno.readLinkSync(`/proc/${room.pid}/ns/mnt`)}
read-only
hidden
/
/proc
/dev
/dev/pts
/proc/sys
/proc/keys
/proc/fs
got me
`,
    ]);
    assertEquals(await room.findChanges(), []);
  },
);

for (const namespaces of [[], ["pid", "ipc", "uts", "network", "cgroup"]]) {
  const which = namespaces.length === 0 ? "no namespace" : "all others";
  testOn(
    NEEDS,
    `create, start, exec, kill and delete leave no mount (${which} of its own)`,
    async () => {
      await using room = await makeRoom();
      await using box = makeCrashBox(over("sleep 1000", { namespaces }));
      const { call, quiet, create } = callIn(room, box);
      assertEquals((await create()).stderr, "");
      const made = room.added().filter(atRootfs(box)).length;
      assert(made >= 4, "the mounts are there");
      await quiet("start", box.name);
      const inside = await call(
        "exec",
        box.name,
        "sh",
        "-c",
        "ls -d /this; pwd; readlink /proc/self/ns/mnt; ls /bin/busybox",
      );
      assertEquals(
        inside.stdout,
        [
          "/",
          Deno.readLinkSync(`/proc/${room.pid}/ns/mnt`),
          "/bin/busybox\n",
        ].join("\n"),
      );
      // From outside of the mount namespace, too.
      const outside = await box.call(
        "exec",
        box.name,
        "readlink",
        "/proc/self/ns/mnt",
      );
      assertEquals(
        outside.stdout,
        `${Deno.readLinkSync(`/proc/${room.pid}/ns/mnt`)}\n`,
      );
      await quiet("kill", box.name, "KILL");
      await waitStopped(call, box.name);
      // They are there until it is deleted, as with runc.
      assertEquals(room.added().filter(atRootfs(box)).length, made);
      await quiet("delete", box.name);
      assertEquals(await room.findChanges(), []);
    },
  );
}

testOn(
  NEEDS,
  "delete leaves no mount of a container that only was created",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("true"));
    const { create, quiet } = callIn(room, box);
    assertEquals((await create()).code, 0);
    await quiet("delete", box.name);
    assertEquals(await room.findChanges(), []);
  },
);

testOn(
  NEEDS,
  "delete --force leaves no mount of a container that runs",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("sleep 1000"));
    const { call, quiet } = callIn(room, box);
    const { code } = await call(
      "run",
      "--detach",
      "--bundle",
      box.bundle,
      box.name,
    );
    assertEquals(code, 0);
    await quiet("delete", "--force", box.name);
    assertEquals(await room.findChanges(), []);
  },
);

testOn(
  NEEDS,
  "run --keep takes its mounts back at the end, and delete finds none",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("true"));
    const { call, quiet } = callIn(room, box);
    const { code } = await call(
      "run",
      "--keep",
      "--bundle",
      box.bundle,
      box.name,
    );
    assertEquals(code, 0);
    assertEquals(await room.findChanges(), []);
    await quiet("delete", box.name);
  },
);

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

/** The warden that a process has. */
function findWarden(parent: number): number {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (stat.includes("(rustyrun-warden)") && Number(ppid) === parent) {
        return Number(name);
      }
    } catch {
      // It has just gone.
    }
  }
  throw new Error(`Process ${parent} has no warden`);
}

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
    const warden = findWarden(running.pid);
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

const hook = (script: string) => [{
  path: "/bin/sh",
  args: ["sh", "-c", script],
}];

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
  "run() takes back what the container mounted on and below its own root",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over(
      `mount -t tmpfs a /tmp && mkdir /tmp/x && mount -t tmpfs b /tmp/x &&
     mount -o bind /bin /sys && mount -t tmpfs c / && mount -t tmpfs d / &&
     mount --make-shared /tmp && echo mounted`,
      { process: CAPABLE },
    ));
    const { call, quiet, create } = callIn(room, box);
    const { stdout, stderr } = await call(
      "run",
      "--bundle",
      box.bundle,
      box.name,
    );
    assertEquals([stdout, stderr], ["mounted\n", ""]);
    assertEquals(await room.findChanges(), []);
    assertEquals((await create()).code, 0);
    await quiet("start", box.name);
    await waitStopped(call, box.name);
    assert(room.added().filter(atRootfs(box)).length > 8, "they are there");
    await quiet("delete", box.name);
    assertEquals(await room.findChanges(), []);
  },
);

testOn(
  NEEDS,
  "run() leaves what is mounted below its volumes, and the volumes' own peers",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox();
    const { call, quiet, sh } = callIn(room, box);
    const volume = `${box.dir}/volume`;
    await sh(
      `mkdir ${volume} && mount -t tmpfs v ${volume} && mkdir ${volume}/sub &&
    mount -t tmpfs w ${volume}/sub && touch ${volume}/sub/file`,
    );
    const before = room.mounts();
    const spec = over(
      "ls /v/sub /tmp/sub; test -d /host/proc && ls -d /host$0",
      {
        mounts: [
          { destination: "/proc", type: "proc", source: "proc" },
          { destination: "/dev", type: "tmpfs", source: "tmpfs" },
          {
            destination: "/v",
            type: "bind",
            source: volume,
            options: ["rbind"],
          },
          {
            destination: "/host",
            type: "bind",
            source: "/",
            options: ["rbind"],
          },
        ],
      },
    );
    spec["process"].args.push(volume);
    const bundle = box.addBundle(`${box.name}-v`, {
      ...spec,
      linux: { ...spec["linux"], cgroupsPath: `/${box.name}-v` },
      // What a hook binds is in the peer group of what it is from.
      hooks: {
        createRuntime: hook(`mount --rbind ${volume} ${box.dir}/rootfs/tmp`),
      },
    });
    const { stdout, stderr } = await call(
      "run",
      "--bundle",
      bundle,
      `${box.name}-v`,
    );
    assertEquals([stdout, stderr], [
      `/tmp/sub:\nfile\n\n/v/sub:\nfile\n/host${volume}\n`,
      "",
    ]);
    assertEquals(await room.findChanges(before), []);
    assertEquals(
      (await call("create", "--bundle", bundle, `${box.name}-v`)).code,
      0,
    );
    await quiet("delete", "--force", `${box.name}-v`);
    assertEquals(await room.findChanges(before), []);
    assertEquals((await sh(`umount ${volume}/sub ${volume}`)).stderr, "");
  },
);

testOn(NEEDS, "run() puts its root on one that is mounted itself", async () => {
  await using room = await makeRoom();
  await using box = makeCrashBox(over("ls /mark"));
  const { call, sh } = callIn(room, box);
  const rootfs = `${box.dir}/rootfs`;
  await sh(`touch ${rootfs}/mark; mount --bind ${rootfs} ${rootfs}`);
  const before = room.mounts();
  const { stdout } = await call("run", "--bundle", box.bundle, box.name);
  assertEquals(stdout, "/mark\n");
  assertEquals(await room.findChanges(before), []);
  assertEquals((await sh(`umount ${rootfs}`)).stderr, "");
});

testOn(
  NEEDS,
  "create refuses a root file system that another container has its mounts on",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over("sleep 1000"));
    const { call, quiet, create } = callIn(room, box);
    assertEquals((await create()).code, 0);
    const other = box.addBundle(`${box.name}-2`, over("true"));
    const made = room.mounts();
    for (const command of ["create", "run"]) {
      const { code, stderr } = await call(
        command,
        "--bundle",
        other,
        `${box.name}-2`,
      );
      assertEquals(code, 1);
      assertStringIncludes(
        stderr,
        `Cannot use "${box.dir}/rootfs" as the root file system: the container "${box.name}" has its mounts there, in this mount namespace`,
      );
    }
    assertEquals(await room.findChanges(made), []);
    await quiet("delete", box.name);
    const last = await call("run", "--bundle", other, `${box.name}-2`);
    assertEquals([last.stderr, last.code], ["", 0]);
  },
);

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

testOn(
  NEEDS,
  "delete works from anywhere when the mount namespace has gone",
  async () => {
    await using box = makeCrashBox(over("sleep 1000"));
    {
      await using room = await makeRoom();
      const line = room.enter([
        "unshare",
        "-m",
        ...box.argv("create", "--bundle", box.bundle, box.name),
      ]);
      assertEquals((await box.runApart(line)).code, 0);
    }
    await box.callQuiet("delete", "--force", box.name);
  },
);
