/**
 * Containers without a mount namespace of their own: their mounts are made among
 * the caller's, and all taken back.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { start } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeCrashBox } from "./crash_box.ts";
import { makeRoom } from "./mount_room.ts";
import {
  atRootfs,
  callIn,
  hook,
  NEEDS,
  over,
  waitStopped,
} from "./shared_mounts_room.ts";

const CAPABLE = {
  capabilities: Object.fromEntries(
    ["bounding", "effective", "permitted"].map((
      it,
    ) => [it, ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE"]]),
  ),
};

testOn(
  NEEDS,
  "run() makes its mounts in the caller's mount namespace, and takes them all back",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox(over(
      `readlink /proc/self/ns/mnt; touch /file || echo read-only
       echo x >/proc/sys/kernel/hostname || echo hidden
       cat /proc/keys; ls -A /proc/fs; cut -d' ' -f5 /proc/self/mountinfo | sort
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
    await running.waitFor("/proc/sys\n");
    const own = room.added().filter(atRootfs(box));
    assertEquals(
      own.filter((it) => it.startsWith("room:")).map((it) =>
        it.split(" ").slice(5, 6).concat(
          / (shared:|master:)/.exec(it)?.[1] ?? "",
        ).join("").replace(`${box.dir}/rootfs`, "@")
      ).sort(),
      // By their age since 6.8: before 6.15 a mask's is that of what it is made of.
      [
        "@",
        "@/dev",
        "@/dev/pts",
        "@/proc",
        "@/proc/fs",
        "@/proc/keys",
        "@/proc/sys",
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
/dev
/dev/pts
/proc
/proc/fs
/proc/keys
/proc/sys
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
