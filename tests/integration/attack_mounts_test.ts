/**
 * A container with a user namespace can take nothing away that hides or locks the
 * root file system.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { findLeaks, makeBox, takeSnapshot } from "../harness.ts";
import { asUser, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";
import { NEEDS, payloadPath, plant } from "./attack.ts";
import {
  checkHeld,
  makeHost,
  POWER,
  SECRET,
  userEnv,
  USERNS,
  writeBundle,
} from "./attack_mounts_room.ts";

for (const way of [[], ["--read-only"], ["--ephemeral"]]) {
  testOn(
    way[0] === "--ephemeral" ? [...NEEDS, "tmpfs-xattr"] : NEEDS,
    `run ${
      way.join(" ")
    } with a user namespace leaves what the host has mounted locked`,
    async () => {
      await using host = makeHost();
      await using box = makeBox();
      plant(box.rootfs, 100000);
      const got = await host.run([
        ...cliCommand(),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        ...USERNS,
        ...way,
        "-v",
        `${host.dir}/own:/v`,
        "-v",
        `${host.dir}/plain:/ro:ro`,
        "--",
        ...["payload", "mounts", "/v", "/ro", "=/dev/null"],
      ]);
      checkHeld(got, "tried 5, tried 5, turned 2");
    },
  );
}

testOn(
  NEEDS,
  "run with a user namespace locks the root file system, and what is mounted in it",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    Deno.mkdirSync(`${box.rootfs}/in`);
    Deno.writeTextFileSync(`${box.rootfs}/in/secret`, SECRET);
    await using host = makeHost(
      `mount --bind ${box.rootfs} ${box.rootfs}; mount -t tmpfs in ${box.rootfs}/in
       mount -o remount,bind,ro ${box.rootfs}/in
       mount -o remount,bind,nosuid,nodev ${box.rootfs}`,
    );
    const got = await host.run([
      ...cliCommand(),
      "run",
      "--rootfs",
      box.rootfs,
      "--name",
      box.id,
      ...USERNS,
      "--",
      ...["payload", "mounts", "=/", "=/in"],
    ]);
    checkHeld(got, "tried 2, tried 2");
    const bared = await host.run([
      ...cliCommand(),
      "run",
      "--rootfs",
      box.rootfs,
      "--name",
      box.id,
      ...USERNS,
      "--",
      ...["payload", "bare", "/in"],
    ]);
    checkHeld(bared, "bared /in");
  },
);

testOn(
  NEEDS,
  "run --read-only with a user namespace leaves a root file system locked whose mount has the path of one that it hides",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    await using host = makeHost(
      `mkdir -p over/root; mount --bind ${box.rootfs} over/root
       mount -t tmpfs over over; cp -a ${box.rootfs} over/root; cd over/root
       touch etc/hosts etc/hostname etc/resolv.conf; cd ../..
       mount -o remount,bind,ro over`,
    );
    const got = await host.run([
      ...cliCommand(),
      ...["run", "--read-only", "--rootfs", `${host.dir}/over/root`],
      ...["--name", box.id, ...USERNS, "--", "sh", "-c"],
      "mount -o remount,bind,rw / 2>/dev/null; touch /new",
    ]);
    assertEquals([got.code, got.stderr], [
      1,
      "touch: /new: Read-only file system\n",
    ]);
  },
);

testOn(
  NEEDS,
  "run --rootfs / --read-only with a user namespace can be stripped of nothing",
  async () => {
    const before = takeSnapshot();
    const id = `rrtest-locks-${Deno.pid}`;
    await using host = makeHost();
    await using box = makeBox();
    plant(box.rootfs);
    Deno.copyFileSync(payloadPath(box.rootfs), `${host.dir}/payload`);
    const got = await host.run([
      ...cliCommand(),
      "run",
      "--rootfs",
      "/",
      "--read-only",
      "--name",
      id,
      "--userns",
      "0:0:65536",
      ...POWER,
      "-v",
      `${host.dir}:/mnt`,
      "--",
      ...["sh", "-ec"],
      "/mnt/payload mounts =/ =/mnt/own; /mnt/payload bare /proc /dev /sys /run /root /tmp /etc/shadow; sed 's/^/FELL /' /etc/shadow",
    ]);
    checkHeld(got, "bared /tmp, bared /etc/shadow");
    assertEquals(await findLeaks(before, id), []);
  },
);

/** The host's own root has a directory with a secret, and a copy of a root file
 * system's programs to look for it. It lies in /media, where no clone is, as it may
 * be in /srv: .ci/guest has it there. */
function hostRoot(rootfs: string): string {
  return `mount -t tmpfs -o mode=755 media /media; mkdir -p /media/x/y /media/bin
chmod 1755 /media/x; chmod 711 /media/x/y; cp ${rootfs}/bin/payload /media/bin
echo '${SECRET}' >/media/x/secret; echo '${SECRET}' >/media/x/y/secret`;
}

for (
  const [name, mounts] of [
    ["a tmpfs without a mode", ["--tmpfs", "/media/x"]],
    ["a tmpfs with one", ["--tmpfs", "/media/x:mode=1755"]],
    ["a tmpfs over another", ["--tmpfs", "/media/x/y", "--tmpfs", "/media/x"]],
    ["one in another", ["--tmpfs", "/media/x", "--tmpfs", "/media/x/y"]],
  ] as const
) {
  testOn(
    NEEDS,
    `run --rootfs / --read-only with a user namespace: ${name} can be unmounted, and bares nothing`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs);
      await using host = makeHost(hostRoot(box.rootfs));
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--rootfs", "/", "--read-only", "--name", box.id],
        ...[...USERNS, ...mounts, "--", "sh", "-c"],
        `stat -c %a /media/x; for it in 1 2 3; do umount -l /media/x; done 2>&1
         find /media -name secret`,
      ]);
      assertEquals([got.code, got.stdout.split("\n")[0]], [0, "1755"]);
      // Unmounted until that is refused.
      assertStringIncludes(got.stdout, "umount: ");
      assertEquals(got.stdout.includes("secret"), false, got.stdout);
    },
  );
}

testOn(
  NEEDS,
  "run --rootfs / --read-only with a user namespace: a tmpfs in place of what is hidden anyway hides the host's",
  async () => {
    await using box = makeBox();
    plant(box.rootfs);
    await using host = makeHost(
      `mount -t tmpfs -o mode=1775 vartmp /var/tmp; echo '${SECRET}' >/var/tmp/secret`,
    );
    const got = await host.run([
      ...cliCommand(),
      ...["run", "--rootfs", "/", "--read-only", "--name", box.id],
      ...[...USERNS, "--tmpfs", "/var/tmp", "--", "sh", "-c"],
      "stat -c %a /var/tmp; umount /var/tmp && ls -A /var/tmp",
    ]);
    assertEquals(got, { code: 0, signal: null, stdout: "1775\n", stderr: "" });
  },
);

testOn(
  NEEDS,
  "a bundle on the host's root with a user namespace: mounts in any order bare nothing",
  async () => {
    for (
      const order of [["/media/x/y", "/media/x"], ["/media/x", "/media/x/y"], [
        "/media/x/f",
        "/media/x",
      ]]
    ) {
      await using box = makeBox();
      plant(box.rootfs);
      await using host = makeHost(hostRoot(box.rootfs));
      writeBundle(host.dir, "/", {}, {
        mounts: ["/dev", ...order].map((destination) =>
          destination === "/media/x/f"
            ? {
              destination,
              type: "bind",
              source: `${box.rootfs}/bin/payload`,
              options: ["bind"],
            }
            : { destination, type: "tmpfs", options: ["mode=700"] }
        ),
        args: [
          ...["/bin/sh", "-c"],
          `umount -l /media/x && ls /media/x && find /media -name secret`,
        ],
      });
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--bundle", `${host.dir}/bundle`, box.id],
      ]);
      const below = order[0] === "/media/x"
        ? ""
        : `${order[0]!.slice("/media/x/".length)}\n`;
      assertEquals([got.code, got.stdout, got.stderr], [0, below, ""]);
    }
  },
);

for (const who of ["root", "a user"]) {
  testOn(
    [...NEEDS, "user", "userns", "tmpfs-xattr"],
    `run --rootfs / --ephemeral as ${who} with a user namespace can be stripped of nothing`,
    async () => {
      const before = takeSnapshot();
      const id = `rrtest-locks-${Deno.pid}`;
      await using host = makeHost();
      await using box = makeBox();
      plant(box.rootfs);
      Deno.copyFileSync(payloadPath(box.rootfs), `${host.dir}/payload`);
      const user = who !== "root";
      const line = [
        ...cliCommand({ user }),
        ...["run", "--rootfs", "/", "--ephemeral", "--name", id],
        ...(user ? [] : ["--userns", "0:0:65536"]),
        ...POWER,
        ...["-v", `${host.dir}:/mnt:ro`, "--", "/mnt/payload", "bare"],
        ...["/proc", "/dev", "/sys", "/root", "/home", "/tmp", "/var/tmp"],
      ];
      const got = user
        ? await host.run(asUser(line), { env: await userEnv() })
        : await host.run(line);
      checkHeld(got, "bared /tmp, bared /var/tmp");
      assertEquals(await findLeaks(before, id), []);
    },
  );
}

for (const way of [[], ["--ephemeral"], ["--ephemeral=DIR"]]) {
  for (const users of [[], ["--userns", "0:100000:65536"]]) {
    testOn(
      [...NEEDS, "tmpfs-xattr"],
      `run ${
        [...way, ...users].join(" ")
      } keeps nosuid, nodev and noexec of the root file system's mount`,
      async () => {
        await using box = makeBox();
        plant(box.rootfs, users.length > 0 ? 100000 : 0);
        const run = async (flags: string, command: string) => {
          await using host = makeHost(
            `cd ${box.rootfs}; mknod zero c 1 5; mount --bind . .
             mount -o remount,bind,${flags} ${box.rootfs}`,
          );
          const got = await host.run([
            ...cliCommand(),
            ...["run", "--rootfs", box.rootfs, "--name", box.id, ...users],
            ...way.map((it) => it.replace("DIR", `${host.dir}/plain`)),
            ...["--", "sh", "-c", command],
          ]);
          Deno.removeSync(`${box.rootfs}/zero`);
          return got;
        };
        const { stdout } = await run(
          "nosuid,nodev",
          `awk '$5 == "/" { print $6 }' /proc/self/mountinfo
           head -c 3 /zero 2>/dev/null | wc -c`,
        );
        const [line = "", read] = stdout.trimEnd().split("\n");
        assertEquals([/nosuid,nodev/.test(line), read], [true, "0"]);
        assertEquals((await run("noexec", "echo executed")).stdout, "");
      },
    );
  }
}
