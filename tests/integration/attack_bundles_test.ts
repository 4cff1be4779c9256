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
