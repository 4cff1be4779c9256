/**
 * Real programs: the machine's own root file system under a throw-away
 * overlay, and a Debian that debootstrap made.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  findLeaks,
  runCli,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";

const BASE: Need[] = ["helper"];
const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: [...BASE, "root"] },
  {
    who: "a user with one id",
    options: { user: "single" },
    needs: [...BASE, "user", "userns", "tmpfs-xattr"],
  },
  {
    who: "a user with subordinate ids",
    options: { user: "subuid" },
    needs: [...BASE, "user", "userns", "subuid", "tmpfs-xattr"],
  },
];

let runs = 0;

/** Runs a shell script under `--rootfs / --ephemeral`; nothing may be left. */
async function runEphemeral(
  script: string,
  options: CliOptions,
  ...flags: string[]
) {
  const id = `rrtest-own-${Deno.pid}-${++runs}`;
  const before = takeSnapshot();
  const words = ["run", "--rootfs", "/", "--ephemeral", "--name", id];
  const got = await runCli([...words, ...flags, "--", "sh", "-ec", script], {
    timeout: 600,
    ...options,
  });
  assertEquals(await findLeaks(before, id), []);
  return got;
}

/** Others write there all the time. */
const BUSY = ["/tmp", "/run", "/dev", "/proc", "/sys", "/root", "/var/tmp"];

/** Accounts: whoever adds a user writes them, with their copies and locks. */
const ACCOUNTS =
  /^\/etc\/(\.pwd\.lock|(passwd|group|g?shadow|sub[ug]id)\W?.*)$/;

/** What of the host a run could have changed: the names of each directory, and
 * what each file is. The times of a directory tell of whoever makes a file in
 * it for a moment: other tests do, in /var/tmp. */
function lookAtHost(...dirs: string[]): string[] {
  return dirs.flatMap((dir) =>
    [...Deno.readDirSync(dir)].flatMap(({ name }) => {
      const path = `${dir === "/" ? "" : dir}/${name}`;
      if (BUSY.includes(path) || ACCOUNTS.test(path)) return [];
      const { mtime, size, mode, ino, isDirectory } = Deno.lstatSync(path);
      if (isDirectory) return `${path} ${ino} ${mode}`;
      return `${path} ${ino} ${mode} ${mtime?.getTime()} ${size}`;
    }).sort()
  );
}

const C_PROGRAM = `#include <stdio.h>
#include <unistd.h>
int main(void) { printf("pid %d uid %d\\n", getpid(), getuid()); return 7; }`;

for (const { who, options, needs } of CALLERS) {
  testOn(
    [...needs, "python3"],
    `python3 works under --rootfs / --ephemeral, as ${who}`,
    async () => {
      const { code, stdout, stderr } = await runEphemeral(
        `exec ${findPython()} -c '
import os, sys, subprocess, multiprocessing, socket, ssl, json
print(os.getpid(), os.getuid(), socket.gethostname())
print(subprocess.run(["echo", "sub"], capture_output=True, text=True).stdout.strip())
with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))
'`,
        options,
      );
      assertEquals(
        [code, stdout, stderr],
        [0, "1 0 rustyrun-container\nsub\n[1, 2]\n", ""],
      );
    },
  );

  testOn(
    [...needs, "gcc"],
    `gcc compiles and runs a program under --rootfs / --ephemeral, as ${who}`,
    async () => {
      const { code, stdout, stderr } = await runEphemeral(
        `cd /tmp; mkdir rr-gcc; cd rr-gcc; printf '%s' '${C_PROGRAM}' >a.c
         gcc -O2 -o a a.c; exec ./a`,
        options,
      );
      assertEquals([code, stdout, stderr], [7, "pid 1 uid 0\n", ""]);
    },
  );

  testOn(
    needs,
    `tar reads a tree and writes it elsewhere under --rootfs / --ephemeral, as ${who}`,
    async () => {
      const { code, stdout, stderr } = await runEphemeral(
        `mkdir /tmp/rr-tar; tar -C / -cf /tmp/rr-tar/t.tar usr/include usr/share/doc
         cd /tmp/rr-tar; tar --no-same-owner -xf t.tar; cd usr; find include | sort | md5sum >../1
         cd /usr; find include | sort | md5sum >/tmp/rr-tar/2
         cmp /tmp/rr-tar/1 /tmp/rr-tar/2 && echo same`,
        options,
      );
      assertEquals([code, stdout, stderr], [0, "same\n", ""]);
    },
  );

  testOn(
    needs,
    `what is written or removed under --rootfs / --ephemeral never reaches the host, as ${who}`,
    async () => {
      const dirs = ["/", "/etc", "/usr", "/usr/bin", "/opt", "/srv", "/var"];
      const before = lookAtHost(...dirs);
      const { code, stdout, stderr } = await runEphemeral(
        options.user
          ? `echo mine >/etc/rr-new; mkdir /rr-dir; cat /etc/rr-new; ls -d /rr-dir
             rm /usr/bin/find 2>&1`
          : `echo mine >/etc/rr-new; rm /etc/debian_version /usr/bin/find; mkdir /rr-dir
             echo changed >>/usr/bin/env; mv /usr/bin/sort /usr/bin/rr-sort
             cat /etc/rr-new; ls -d /rr-dir /usr/bin/rr-sort; [ ! -e /usr/bin/find ]
             tail -c 8 /usr/bin/env`,
        options,
      );
      assertEquals(lookAtHost(...dirs), before);
      assertEquals(
        [code, stdout, stderr],
        options.user
          // What root owns outside is of no id that the user namespace maps.
          ? [
            1,
            "mine\n/rr-dir\nrm: cannot remove '/usr/bin/find': Permission denied\n",
            "",
          ]
          : [0, "mine\n/rr-dir\n/usr/bin/rr-sort\nchanged\n", ""],
      );
    },
  );
}

for (const { who, options, needs } of CALLERS.slice(1)) {
  testOn(
    needs,
    `a file of an id that is not mapped cannot be read or changed, as ${who}`,
    async () => {
      const { code, stdout } = await runEphemeral(
        `cat /etc/shadow 2>&1 || true; chown 1 /etc/passwd 2>&1 || true
         head -c 4 /etc/passwd; echo`,
        options,
      );
      assertEquals(code, 0);
      // EROFS where something is mounted below the host's /etc, so that it is
      // shown as it is; else an overlay has the file: EINVAL where the id is not
      // mapped, EPERM where it is and the file's owner is not.
      assertMatch(
        stdout,
        /^cat: \/etc\/shadow: Permission denied\nchown: changing ownership of '\/etc\/passwd': (Read-only file system|Invalid argument|Operation not permitted)\nroot\n$/,
      );
    },
  );
}

testOn(
  ["root", "helper"],
  "--ephemeral=DIR keeps what is written in DIR, and removes it",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rrtest-upper-" });
    try {
      const id = `rrtest-upper-${Deno.pid}`;
      const { code, stdout, stderr } = await runCli([
        "run",
        "--rootfs",
        "/",
        `--ephemeral=${dir}`,
        "--name",
        id,
        "--",
        "sh",
        "-ec",
        "head -c 3000000 /dev/zero >/opt/rr-big; stat -c %s /opt/rr-big",
      ]);
      assertEquals([code, stdout, stderr], [0, "3000000\n", ""]);
      assertEquals([...Deno.readDirSync(dir)], []);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

/** Makes a package that apt can install from a file: nothing is downloaded. */
const MAKE_DEB = `
  mkdir -p /tmp/rr-deb/DEBIAN /tmp/rr-deb/usr/bin; cd /tmp
  printf 'Package: rr-hello\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: T <t@example.org>\\nDescription: a test\\n' >rr-deb/DEBIAN/control
  printf '#!/bin/sh\\nadduser --system --no-create-home rr-hello >/dev/null 2>&1 || true\\necho configured >/etc/rr-hello\\n' >rr-deb/DEBIAN/postinst
  printf '#!/bin/sh\\necho hello\\n' >rr-deb/usr/bin/rr-hello
  chmod 755 rr-deb/DEBIAN/postinst rr-deb/usr/bin/rr-hello
  dpkg-deb --build --root-owner-group rr-deb rr-hello.deb >/dev/null`;

testOn(
  ["root", "helper", "apt"],
  "apt-get installs a package under --rootfs / --ephemeral",
  async () => {
    const dirs = ["/var/lib/dpkg", "/var/lib/dpkg/info", "/usr/bin", "/etc"];
    const before = lookAtHost(...dirs);
    const { code, stdout, stderr } = await runEphemeral(
      `${MAKE_DEB}
       apt-get -qq -o Debug::NoLocking=1 install -y --no-install-recommends ./rr-hello.deb >/tmp/log 2>&1 || cat /tmp/log
       rr-hello; cat /etc/rr-hello; dpkg-query -W -f '\${Status}\\n' rr-hello`,
      {},
    );
    assertEquals(
      [code, stdout, stderr],
      [0, "hello\nconfigured\ninstall ok installed\n", ""],
    );
    assertEquals(lookAtHost(...dirs), before);
    const accounts = Deno.readTextFileSync("/etc/passwd");
    assert(!accounts.includes("rr-hello"), accounts);
  },
);

testOn(
  ["root", "helper", "debian-root"],
  "a debootstrapped Debian works",
  async () => {
    const root = Deno.env.get("RUSTYRUN_DEBIAN")!;
    const id = `rrtest-debian-${Deno.pid}`;
    const before = takeSnapshot();
    const { code, stdout, stderr } = await runCli([
      "run",
      "--rootfs",
      root,
      "--ephemeral",
      "--name",
      id,
      "--",
      "sh",
      "-ec",
      "dpkg --print-architecture; perl -e 'print 6*7, qq(\\n)'; dpkg --audit; apt-get --version >/dev/null; cat /etc/hostname",
    ]);
    assertEquals(
      [code, stdout, stderr],
      [0, `${debianArch()}\n42\nrustyrun-container\n`, ""],
    );
    assertEquals(await findLeaks(before, id), []);
  },
);

function debianArch(): string {
  return Deno.build.arch === "x86_64" ? "amd64" : "arm64";
}

testOn(
  ["root", "helper"],
  "two containers over one root file system do not see each other's changes",
  async () => {
    const words = [...cliCommand(), "run", "--rootfs", "/", "--ephemeral"];
    const [a, b] = await Promise.all(["a", "b"].map((name) =>
      runToEnd([
        ...words,
        "--name",
        `rrtest-two-${name}-${Deno.pid}`,
        "--",
        "sh",
        "-c",
        `echo ${name} >>/etc/rr-two; cat /etc/rr-two`,
      ])
    ));
    assertEquals([a?.stdout, b?.stdout], ["a\n", "b\n"]);
  },
);
