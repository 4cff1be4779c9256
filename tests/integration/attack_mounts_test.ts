/**
 * A hostile program with CAP_SYS_ADMIN in its user namespace against what the
 * host has mounted: nothing that is read-only, nosuid, nodev or noexec there
 * becomes something else, nothing that covers something is taken away. runc,
 * where it is there, is asked the same.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type CliOptions,
  type CliResult,
  findLeaks,
  makeBox,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { asUser, findProgram, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";
import { NEEDS, payloadPath, plant } from "./attack.ts";
import { makeSpec, type Spec } from "./caller.ts";

const MAP = [{ containerID: 0, hostID: 100000, size: 65536 }];
const SECRET = "what the host has covered";

/** What the host has: `$1/own` forbids all and covers two things, `$1/plain`
 * forbids nothing. */
const HOST = `
cd "$1"; mkdir -p own plain; mount -t tmpfs own own; cd own; mkdir in; touch file
echo '${SECRET}' >in/secret; mount -t tmpfs below in; echo over >in/over
echo '${SECRET}' >file; mount --bind in/over file
chmod -R a+rwX . in ../plain
cd ..; mount -o remount,bind,ro,nosuid,nodev,noexec,noatime own
mount -o remount,bind,nosuid own/in
[ -z "$2" ] || sh -ec "$2"; shift 2; exec "$@"`;

interface Host extends AsyncDisposable {
  dir: string;
  /** Runs a command line where the host has all that. */
  run(argv: readonly string[], options?: CliOptions): Promise<CliResult>;
}

/** @param more what else the host mounts, as a shell script in its directory */
function makeHost(more = ""): Host {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-locks-" });
  Deno.chmodSync(dir, 0o755);
  const apart = ["unshare", "-m", "--propagation", "private", "sh", "-ec"];
  return {
    dir,
    run: (argv, options) =>
      runToEnd([...apart, HOST, "sh", dir, more, ...argv], options),
    [Symbol.asyncDispose]: async () => {
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** HOME and DENO_DIR of the tests' user. */
async function userEnv(): Promise<Record<string, string>> {
  const { stdout } = await runToEnd(["env"], { user: true });
  return Object.fromEntries(
    stdout.trim().split("\n").map((it) => it.split(/=(.*)/s).slice(0, 2)),
  );
}

/** What must come out: every mount tried and nothing fallen. */
function checkHeld(got: CliResult, tried: string): void {
  assertEquals([got.code, got.stderr], [0, ""]);
  const lines = got.stdout.trim().split("\n");
  assertEquals(lines.filter((it) => it.startsWith("FELL")), []);
  assertStringIncludes(lines.join(", "), tried);
}

const POWER = [
  "--cap-add",
  "SYS_ADMIN",
  "--security-opt",
  "seccomp=unconfined",
];
const USERNS = ["--userns", "0:100000:65536", ...POWER];

for (const way of [[], ["--no-pivot"], ["--read-only"], ["--ephemeral"]]) {
  testOn(
    NEEDS,
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
 * system's programs to look for it. */
function hostRoot(rootfs: string): string {
  return `mount -t tmpfs -o mode=755 srv /srv; mkdir -p /srv/x/y /srv/bin
chmod 1755 /srv/x; chmod 711 /srv/x/y; cp ${rootfs}/bin/payload /srv/bin
echo '${SECRET}' >/srv/x/secret; echo '${SECRET}' >/srv/x/y/secret`;
}

for (
  const [name, mounts] of [
    ["a tmpfs without a mode", ["--tmpfs", "/srv/x"]],
    ["a tmpfs with one", ["--tmpfs", "/srv/x:mode=1755"]],
    ["a tmpfs over another", ["--tmpfs", "/srv/x/y", "--tmpfs", "/srv/x"]],
    ["one in another", ["--tmpfs", "/srv/x", "--tmpfs", "/srv/x/y"]],
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
        `stat -c %a /srv/x; for it in 1 2 3; do umount -l /srv/x; done 2>&1
         find /srv -name secret`,
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
      const order of [["/srv/x/y", "/srv/x"], ["/srv/x", "/srv/x/y"], [
        "/srv/x/f",
        "/srv/x",
      ]]
    ) {
      await using box = makeBox();
      plant(box.rootfs);
      await using host = makeHost(hostRoot(box.rootfs));
      writeBundle(host.dir, "/", {}, {
        mounts: ["/dev", ...order].map((destination) =>
          destination === "/srv/x/f"
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
          `umount -l /srv/x && ls /srv/x && find /srv -name secret`,
        ],
      });
      const got = await host.run([
        ...cliCommand(),
        ...["run", "--bundle", `${host.dir}/bundle`, box.id],
      ]);
      const below = order[0] === "/srv/x" ? "" : `${order[0]!.slice(7)}\n`;
      assertEquals([got.code, got.stdout, got.stderr], [0, below, ""]);
    }
  },
);

for (const who of ["root", "a user"]) {
  testOn(
    [...NEEDS, "user", "userns"],
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
    NEEDS,
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
    NEEDS,
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
    NEEDS,
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
    NEEDS,
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
  [...NEEDS, "user", "userns"],
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

/** A bundle whose container runs the hostile program against /v. */
function writeBundle(
  dir: string,
  rootfs: string,
  user: Spec,
  {
    source = `${dir}/own`,
    options = ["rbind"],
    args = ["/bin/payload", "mounts", "/v"],
    mounts = [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/v", type: "bind", source, options },
    ] as Spec[],
    linux = {} as Spec,
  } = {},
): void {
  const spec = makeSpec("locks", {
    process: {
      args,
      capabilities: Object.fromEntries(
        ["bounding", "effective", "permitted"].map((it) => [it, [
          "CAP_SYS_ADMIN",
          "CAP_SYS_CHROOT",
        ]]),
      ),
    },
  });
  spec["root"] = { path: rootfs, readonly: rootfs === "/" };
  spec["mounts"] = mounts;
  spec["linux"] = {
    ...linux,
    namespaces: [{ type: "mount" }, { type: "pid" }, { type: "user", ...user }],
    ...(user["path"] ? {} : { uidMappings: MAP, gidMappings: MAP }),
  };
  Deno.mkdirSync(`${dir}/bundle`, { recursive: true });
  Deno.writeTextFileSync(`${dir}/bundle/config.json`, JSON.stringify(spec));
}

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
