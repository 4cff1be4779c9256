/**
 * A bundle with a user namespace leaves mounts of the host locked.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { makeBox } from "../harness.ts";
import { asUser, findProgram, isFile, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";
import { NEEDS, plant } from "./attack.ts";
import {
  checkHeld,
  makeHost,
  POWER,
  SECRET,
  userEnv,
  writeBundle,
} from "./attack_mounts_room.ts";

testOn(
  NEEDS,
  "a bundle with a user namespace leaves what the host has mounted locked, as under runc",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const programs = [cliCommand()];
    const runc = findProgram("runc");
    if (runc !== undefined) programs.push([runc]);
    for (const program of programs) {
      await using host = makeHost();
      writeBundle(host.dir, box.rootfs, {});
      const got = await host.run([
        ...program,
        "run",
        "--bundle",
        `${host.dir}/bundle`,
        box.id,
      ]);
      checkHeld(got, "tried 3, tried 3, turned 2");
    }
  },
);

testOn(
  NEEDS,
  "a bundle that joins a user namespace leaves what the host has mounted locked",
  async () => {
    await using host = makeHost();
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const holder = new Deno.Command("unshare", {
      args: ["-U", "sh", "-c", "echo here; read go; echo there; read end"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    const writer = holder.stdin.getWriter();
    try {
      await reader.read();
      for (const map of ["uid_map", "gid_map"]) {
        Deno.writeTextFileSync(`/proc/${holder.pid}/${map}`, "0 100000 65536");
      }
      writeBundle(host.dir, box.rootfs, {
        path: `/proc/${holder.pid}/ns/user`,
      });
      const got = await host.run([
        ...cliCommand(),
        "run",
        "--bundle",
        `${host.dir}/bundle`,
        box.id,
      ]);
      checkHeld(got, "tried 3, tried 3, turned 2");
    } finally {
      await writer.close();
      await reader.cancel();
      await holder.status;
    }
  },
);

testOn(
  [...NEEDS, "user", "userns"],
  "run as a user leaves what the host has mounted locked",
  async () => {
    await using host = makeHost();
    await using box = makeBox({ user: true });
    plant(box.rootfs);
    const got = await host.run(
      asUser([
        ...cliCommand({ user: true }),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        ...POWER,
        "-v",
        `${host.dir}/own:/v`,
        "--",
        ...["payload", "mounts", "/v", "=/dev/null"],
      ]),
      { env: await userEnv() },
    );
    checkHeld(got, "tried 4, tried 4, turned 2");
  },
);

testOn(
  NEEDS,
  "a bundle with a user namespace: what later entries make read-only stays so",
  async () => {
    const places = ["/own", "/srv/above", "/again", "/below/sub", "/filled"];
    await using host = makeHost(
      `cd plain; mkdir -p .${places.join(" .")}; chmod -R a+rwX .`,
    );
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const volume = (destination: string, ...options: string[]) => ({
      destination,
      type: "bind",
      source: `${host.dir}/plain${destination}`,
      options: ["rbind", ...options],
    });
    writeBundle(host.dir, box.rootfs, {}, {
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        ...["/own", "/srv/above", "/again", "/below", "/filled"]
          .map((it) => volume(it, "rw")),
        volume("/again", "remount", "ro", "nosuid"),
        // Its place is made in the other first, which is not locked for that.
        { destination: "/filled/new", type: "tmpfs", source: "tmpfs" },
        volume("/filled", "remount", "ro"),
      ],
      linux: { readonlyPaths: ["/own", "/srv", "/below/sub"] },
      args: [
        ...["/bin/sh", "-c"],
        `for v in ${places.join(" ")}; do touch $v/a; done 2>&1
         for v in /srv ${places.join(" ")}; do
           mount -o remount,bind,rw $v; touch $v/b
           umount -l $v; mount -o remount,bind,rw $v; touch $v/b
         done 2>/dev/null; true`,
      ],
    });
    const got = await host.run([
      ...cliCommand(),
      ...["run", "--bundle", `${host.dir}/bundle`, box.id],
    ]);
    const refused = (it: string) => `touch: ${it}/a: Read-only file system\n`;
    assertEquals(got, {
      code: 0,
      signal: null,
      stdout: places.map(refused).join(""),
      stderr: "",
    });
    const isWritten = (it: string) => isFile(`${host.dir}/plain${it}/b`);
    assertEquals(places.filter(isWritten), ["/filled"]);
  },
);

testOn(
  NEEDS,
  "a bundle with a user namespace: masks and what is read-only in volumes stays, whatever is mounted or remounted there later",
  async () => {
    await using host = makeHost(
      `cd plain; mkdir -p masked/sub one above/sub within/in hosts/in; echo '${SECRET}' |
         tee masked/key >masked/sub/key; mount -t tmpfs in within/in
       mount -t tmpfs in hosts/in; chmod -R a+rwX .`,
    );
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const volume = (destination: string, source = destination) => ({
      destination,
      type: "bind",
      source: `${host.dir}/plain${source}`,
      options: ["rbind"],
    });
    const remount = (destination: string, option: string) => ({
      destination,
      type: "none",
      source: "none",
      options: ["remount", "bind", option],
    });
    writeBundle(host.dir, box.rootfs, {}, {
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        volume("/masked"),
        volume("/masked/sub"),
        remount("/masked", "nosuid"),
        remount("/masked/sub/.", "nosuid"),
        volume("/above"),
        volume("/above/sub", "/one"),
        volume("/hosts"),
        remount("/hosts/in", "nosuid"),
        volume("/within"),
        remount("/within/in", "ro"),
      ],
      linux: {
        maskedPaths: ["/masked/key", "/masked/sub/key"],
        readonlyPaths: ["/above", "/hosts"],
      },
      args: [
        ...["/bin/sh", "-c"],
        `cd /masked; umount -l key; umount -l key; umount -l sub/key
         umount -l sub/key; cat key sub/key 2>/dev/null
         for v in /above/sub /above /hosts/in /hosts /within/in; do
           mount -o remount,bind,rw $v; touch $v/b && echo "$v written"
           umount -l $v; mount -o remount,bind,rw $v; touch $v/b && echo "$v written"
         done; echo tried`,
      ],
    });
    const got = await host.run([
      ...cliCommand(),
      ...["run", "--bundle", `${host.dir}/bundle`, box.id],
    ]);
    assertEquals([got.code, got.stdout], [0, "tried\n"]);
  },
);
