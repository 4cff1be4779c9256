/**
 * A container with a user namespace bares nothing that the host has mounted over.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeBox } from "../harness.ts";
import { asUser, findProgram, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";
import { NEEDS, plant } from "./attack.ts";
import {
  makeHost,
  SECRET,
  userEnv,
  USERNS,
  writeBundle,
} from "./attack_mounts_room.ts";

/** Runs a command line where all mounts are shared, as systemd makes those of a
 * host, and fails when it leaves other mounts than there were. */
const SHARED = `mount --make-rshared /; exec 3</proc/self/mountinfo 4>&1
seen() { grep -o '^.* - ' /proc/self/mountinfo; }
before=$(seen); "$@" >&4 || exit; [ "$before" = "$(seen)" ] || echo OTHER MOUNTS`;

for (
  const [name, ...words] of [
    ["--rootfs / --read-only", "--rootfs", "/", "--read-only"],
    ["--rootfs / --ephemeral", "--rootfs", "/", "--ephemeral"],
    ["--rootfs ROOT", "--rootfs", "ROOT"],
    ["--bundle", "--bundle", "BUNDLE"],
  ] as const
) {
  testOn(
    [...NEEDS, "tmpfs-xattr"],
    `run ${name} with a user namespace mounts nothing on a host whose mounts are shared`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs, 100000);
      await using host = makeHost(
        `mkdir -p ${box.rootfs}/w; touch ${box.rootfs}/w/x
         mount -t tmpfs dev ${box.rootfs}/dev; mkdir ${box.rootfs}/dev/in
         mount -t tmpfs below ${box.rootfs}/dev/in`,
      );
      const isBundle = words[0] === "--bundle";
      if (isBundle) {
        writeBundle(host.dir, box.rootfs, {}, {
          mounts: [
            { destination: "/dev", type: "tmpfs", options: ["mode=755"] },
            ...[["/v", `${host.dir}/own`], ["/w", `${box.rootfs}/w`]].map(
              ([destination, source]) => ({
                destination,
                type: "bind",
                source,
                options: ["rbind"],
              }),
            ),
          ],
          args: ["/bin/busybox", "echo", "here"],
          linux: {
            maskedPaths: ["/etc/passwd", "/v/in/over", "/w/x"],
            readonlyPaths: ["/etc", "/v/in", "/w"],
          },
        });
      }
      const got = await host.run([
        ...["sh", "-ec", SHARED, "sh", ...cliCommand(), "run"],
        ...words.map((it) =>
          it === "ROOT"
            ? box.rootfs
            : it === "BUNDLE"
            ? `${host.dir}/bundle`
            : it
        ),
        ...(isBundle
          ? [box.id]
          : ["--name", box.id, ...USERNS, "--", "echo", "here"]),
      ]);
      assertEquals([got.code, got.stdout, got.stderr], [0, "here\n", ""]);
    },
  );
}

/** In a root file system: a directory and a file that the host has mounted
 * over, root's alone. */
const VEILED =
  `chown 0:0 .; mkdir -p -m 755 deep deep/in; echo '${SECRET}' >deep/in/secret
echo '${SECRET}' >deep/file; mount -t tmpfs in deep/in
mount -t tmpfs -o mode=750 in deep/in; mount --bind etc/passwd deep/file
mkdir -p -m 755 over/under; echo '${SECRET}' >over/under/secret
mount -t tmpfs under over/under; mount -t tmpfs over over`;

for (const where of ["--ephemeral", "--ephemeral=DIR"]) {
  testOn(
    [...NEEDS, "tmpfs-xattr"],
    `run ${where} with a user namespace shows nothing that the host has mounted over`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs, 100000);
      await using host = makeHost(`cd ${box.rootfs}; ${VEILED}`);
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--rootfs", box.rootfs, "--name", box.id, ...USERNS],
        where.replace("DIR", `${host.dir}/plain`),
        ...["--", "sh", "-c"],
        "stat -c '%a %n' deep deep/in; cat deep/file; ls deep; find / -xdev -name secret",
      ]);
      assertEquals(got, {
        code: 0,
        signal: null,
        stdout: "755 deep\n750 deep/in\nfile\nin\n",
        stderr: "",
      });
    },
  );
}

for (
  const [change, said] of [
    ["chown 100000 .", 'in "ROOT", which belongs to the user 100000'],
    ["chown 100000 deep", 'in "ROOT/deep", which belongs to the user 100000'],
    ["chmod 775 deep", 'in "ROOT/deep", in which others than root may write'],
    ["chmod 1777 .", 'in "ROOT", in which others than root may write'],
  ] as const
) {
  testOn(
    [...NEEDS, "tmpfs-xattr"],
    `run --ephemeral with a user namespace, and the host has mounted something in it: ${change} is refused`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs, 100000);
      await using host = makeHost(`cd ${box.rootfs}; ${VEILED}; ${change}`);
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--rootfs", box.rootfs, "--name", box.id, ...USERNS],
        ...["--ephemeral", "--", "find", "/", "-xdev", "-name", "secret"],
      ]);
      assertEquals([got.code, got.stdout], [125, ""]);
      assertStringIncludes(got.stderr, said.replace("ROOT", box.rootfs));
    },
  );
}

for (
  const [volume, said] of [
    [
      "ROOT:/v",
      'in "ROOT", which belongs to root, as whom the container writes in its volume "/v"',
    ],
    ["ROOT/var:/v", 'in "ROOT", which belongs to root, as whom'],
    ["ROOT:/v:ro", undefined],
    ["ROOT/etc/passwd:/v", undefined],
  ] as const
) {
  testOn(
    [...NEEDS, "tmpfs-xattr"],
    `run --ephemeral with a user namespace that maps root to root and -v ${volume} shows nothing that the host has mounted over`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs);
      await using host = makeHost(`cd ${box.rootfs}; ${VEILED}`);
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--rootfs", box.rootfs, "--name", box.id, "--ephemeral"],
        ...["--userns", "0:0:65536", "-v", volume.replace("ROOT", box.rootfs)],
        ...["--", "sh", "-c"],
        "mv /v/deep /v/bared 2>/dev/null; find / -xdev -name secret",
      ]);
      assertEquals([got.code, got.stdout], [said === undefined ? 0 : 125, ""]);
      assertStringIncludes(
        got.stderr,
        said?.replace("ROOT", box.rootfs) ?? "",
      );
    },
  );
}

/** What the host has besides: the same, covered by a mount of each kind. */
const COVERED =
  `mkdir -p -m 755 bare/in unbindable/in; for it in bare unbindable; do
  echo '${SECRET}' >$it/in/secret; mount -t tmpfs $it $it/in; done
mount --make-unbindable unbindable/in`;

for (
  const [volume, said] of [
    ["-v DIR/bare:/v:bind", "the host has mounted something in it"],
    [
      "--mount type=bind,src=DIR/bare,dst=/v,bind-recursive=disabled",
      "the host has mounted something in it",
    ],
    ["-v DIR/own:/v:bind,ro", "the host has mounted something in it"],
    ["-v DIR/unbindable:/v", "is an unbindable mount"],
    ["-v DIR/unbindable:/v:bind", "is an unbindable mount"],
    ["-v DIR/bare:/v", undefined],
    ["-v DIR/plain:/v:bind", undefined],
  ] as const
) {
  testOn(
    NEEDS,
    `run ${volume} with a user namespace bares nothing that the host has mounted over`,
    async () => {
      await using box = makeBox();
      plant(box.rootfs, 100000);
      await using host = makeHost(COVERED);
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--rootfs", box.rootfs, "--name", box.id],
        ...["--userns", "0:100000:65536"],
        ...volume.replace("DIR", host.dir).split(" "),
        ...["--", "find", "/v", "-name", "secret"],
      ]);
      assertEquals(got.stdout, "");
      assertEquals(got.code, said === undefined ? 0 : 125);
      assertStringIncludes(got.stderr, said ?? "");
    },
  );
}

testOn(
  NEEDS,
  "run with a user namespace takes no root file system with an unbindable mount in it",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    await using host = makeHost(
      `mkdir ${box.rootfs}/in; echo '${SECRET}' >${box.rootfs}/in/secret
       mount -t tmpfs in ${box.rootfs}/in; mount --make-unbindable ${box.rootfs}/in`,
    );
    const got = await host.run([
      ...cliCommand(),
      ...["run", "--rootfs", box.rootfs, "--name", box.id],
      ...["--userns", "0:100000:65536", "--", "cat", "/in/secret"],
    ]);
    assertEquals([got.code, got.stdout], [125, ""]);
    assertStringIncludes(got.stderr, "is an unbindable mount");
  },
);

testOn(
  NEEDS,
  "a bundle's bind bares nothing that the host has mounted over, as under runc",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const programs = [cliCommand()];
    const runc = findProgram("runc");
    if (runc !== undefined) programs.push([runc]);
    for (const program of programs) {
      for (const source of ["bare", "plain"]) {
        await using host = makeHost(COVERED);
        writeBundle(host.dir, box.rootfs, {}, {
          source: `${host.dir}/${source}`,
          options: ["bind"],
          args: ["/bin/busybox", "find", "/v", "-name", "secret"],
        });
        const got = await host.run([
          ...program,
          ...["run", "--bundle", `${host.dir}/bundle`, box.id],
        ]);
        assertEquals([got.code, got.stdout], [source === "bare" ? 1 : 0, ""]);
        assertStringIncludes(got.stderr, source === "bare" ? "mount" : "");
      }
    }
  },
);

testOn(
  [...NEEDS, "user", "userns", "tmpfs-xattr"],
  "run as a user bares nothing that the host has mounted over",
  async () => {
    await using host = makeHost(COVERED);
    await using box = makeBox({ user: true });
    plant(box.rootfs);
    for (const ways of [["-v", `${host.dir}/bare:/v:bind`], ["--ephemeral"]]) {
      const covered =
        `mkdir -p ${box.rootfs}/mnt; mount -t tmpfs in ${box.rootfs}/mnt; exec "$@"`;
      const got = await host.run(
        [
          ...["sh", "-ec", covered, "sh"],
          ...asUser([
            ...cliCommand({ user: true }),
            ...["run", "--rootfs", box.rootfs, "--name", box.id, ...ways],
            ...["--", "find", "/v", "-name", "secret"],
          ]),
        ],
        { env: await userEnv() },
      );
      assertEquals([got.code, got.stdout], [125, ""]);
      assertStringIncludes(
        got.stderr,
        "the host has mounted something in it",
      );
    }
  },
);
