/**
 * `--rootfs /`: what the machine keeps to itself is not to be seen.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type CliOptions,
  findLeaks,
  runCli,
  takeSnapshot,
} from "../harness.ts";
import { type Need, testOn } from "../needs.ts";

const NEEDS: Need[] = ["helper", "root"];
let runs = 0;

/** Runs a script on the machine's own root file system. */
async function runOnHost(
  script: string,
  flags: readonly string[],
  options: CliOptions = {},
) {
  const id = `rrtest-secrets-${Deno.pid}-${++runs}`;
  const before = takeSnapshot();
  const words = ["run", "--rootfs", "/", "--name", id, ...flags];
  const got = await runCli([...words, "--", "sh", "-ec", script], options);
  assertEquals(await findLeaks(before, id), []);
  return [got.code, got.stdout, got.stderr];
}

/** Each file of /etc that others may not read, by what a container has. */
const CONTENTS = `
find /etc -xdev -type f ! -perm -004 ! -name '*shadow*' -size +0 -exec echo readable {} ';'
for file in /etc/shadow /etc/gshadow /etc/shadow- /etc/gshadow-; do
  [ ! -e $file ] || awk -F: -v f=$file '$2 != "*" { print "password", f, $1 }' $file
done`;

for (const flags of [["--ephemeral"], ["--read-only"]]) {
  const how = `--rootfs / ${flags}`;

  testOn(NEEDS, `${how} shows no secret of /etc, as root`, async () => {
    const accounts = Deno.readTextFileSync("/etc/shadow").split("\n").length;
    assertEquals(
      await runOnHost(
        `${CONTENTS}
         grep -c : /etc/shadow; stat -c '%u %a' /etc/shadow`,
        flags,
      ),
      [0, `${accounts - 1}\n0 640\n`, ""],
    );
  });

  testOn(NEEDS, `${how} shows no home and no /tmp`, async () => {
    const file = Deno.makeTempFileSync({
      prefix: "rrtest-secret-",
      dir: "/tmp",
    });
    const home = Deno.makeTempFileSync({
      prefix: ".rrtest-secret-",
      dir: "/root",
    });
    try {
      assertEquals(
        await runOnHost("ls -A /root /home /tmp /var/tmp", flags),
        [0, "/home:\n\n/root:\n\n/tmp:\n\n/var/tmp:\n", ""],
      );
      const name = home.slice("/root/".length);
      assertEquals(
        await runOnHost(`ls -A /root | grep ${name}`, [
          ...flags,
          "--show-home",
        ]),
        [0, `${name}\n`, ""],
      );
      assertEquals(
        await runOnHost("ls -A /root; cat /root/here", [
          ...flags,
          "-v",
          `${home}:/root/here`,
        ]),
        [0, "here\n", ""],
      );
    } finally {
      Deno.removeSync(file);
      Deno.removeSync(home);
    }
  });
}

testOn(
  [...NEEDS, "user", "userns", "tmpfs-xattr"],
  "--rootfs / --ephemeral shows a user no home of its own",
  async () => {
    const home = Deno.makeTempDirSync({ prefix: "rrtest-home-", dir: "/opt" });
    try {
      Deno.writeTextFileSync(`${home}/key`, "secret");
      Deno.chmodSync(home, 0o755);
      assertEquals(
        await runOnHost(`ls -A ${home} /home; touch ${home}/new`, [
          "--ephemeral",
        ], { user: true, env: { HOME: home } }),
        [0, `/home:\n\n${home}:\n`, ""],
      );
    } finally {
      Deno.removeSync(home, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "accounts can be made and changed under --rootfs / --ephemeral",
  async () => {
    const [code, stdout, stderr] = await runOnHost(
      `useradd -m rr-new; echo rr-new:pass | chpasswd
       awk -F: '/^rr-new:/ { print (length($2) > 20) }' /etc/shadow; ls -d /home/rr-new`,
      ["--ephemeral"],
    );
    assertEquals([code, stdout, stderr], [0, "1\n/home/rr-new\n", ""]);
  },
);

testOn(
  [...NEEDS, "tmpfs-xattr"],
  "a user namespace that maps root to root shows no secret either",
  async () => {
    assertEquals(
      await runOnHost(CONTENTS, ["--ephemeral", "--userns", "0:0:65536"]),
      [0, "", ""],
    );
    assertEquals(
      await runOnHost("cat /etc/shadow 2>&1 || true", [
        "--ephemeral",
        "--userns",
        "0:100000:65536",
      ]),
      [0, "cat: /etc/shadow: Permission denied\n", ""],
    );
  },
);

testOn(
  NEEDS,
  "a command in a hidden directory says how to show it",
  async () => {
    const [code, , stderr] = await runOnHost("exec /tmp/here/a", [
      "--ephemeral",
      "-c",
      "/tmp/here/a",
    ]);
    assertEquals([code, String(stderr).split("\n")[1]], [
      127,
      '  hint: "/tmp" is an empty directory in the container: show its files with -v /tmp:/tmp:ro',
    ]);
  },
);

for (const flags of [["--ephemeral"], ["--read-only"]]) {
  testOn(
    NEEDS,
    `--rootfs / ${flags} shows no variable of another container`,
    async () => {
      const root = Deno.makeTempDirSync({
        prefix: "rrtest-states-",
        dir: "/opt",
      });
      const id = `rrtest-secrets-${Deno.pid}-${++runs}`;
      const global = ["--root", root];
      try {
        const line = ["run", "--rootfs", "/", "--name", id, "-d", ...flags];
        const held = ["-e", "TOKEN=hunter2", "--", "sleep", "1000"];
        const { code } = await runCli([...global, ...line, ...held]);
        assertEquals(code, 0);
        const { stdout } = await runCli([
          ...global,
          ...["run", "--rootfs", "/", ...flags, "--"],
          ...["grep", "-rs", "hunter2", "/run", root],
        ]);
        assertEquals(stdout, "");
      } finally {
        await runCli([...global, "delete", "--force", id]);
        Deno.removeSync(root, { recursive: true });
      }
    },
  );
}
