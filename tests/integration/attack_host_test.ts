/**
 * Other users of the host against a rustyrun that is not theirs: directories
 * and names that they made first, and secrets that they could read.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeBox, runCli, start } from "../harness.ts";
import { asUser, findPython, testOn, USERS } from "../needs.ts";
import { makeTarget, NEEDS, payloadPath, plant } from "./attack.ts";

const STRANGER = USERS.single;

/** A directory of the host's for a test; others may reach it. */
function makeDir(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-test-host-" });
  Deno.chmodSync(path, 0o755);
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** What a stranger does to where states are kept, and what is said of it. */
const ROOTS: [string, (root: string) => void, string][] = [
  ["is a stranger's", (root) => {
    Deno.mkdirSync(root, { mode: 0o700 });
    Deno.chownSync(root, STRANGER, STRANGER);
  }, `it belongs to user ${STRANGER}`],
  ["is everybody's", (root) => {
    Deno.mkdirSync(root);
    Deno.chmodSync(root, 0o1777);
  }, "everybody may write it"],
  ["is a group's", (root) => {
    Deno.mkdirSync(root);
    Deno.chownSync(root, 0, STRANGER);
    Deno.chmodSync(root, 0o770);
  }, `group ${STRANGER} may write it`],
  ["is a stranger's link", (root) => {
    Deno.mkdirSync(`${root}.own`, { mode: 0o700 });
    Deno.symlinkSync(`${root}.own`, root);
    new Deno.Command("chown", { args: ["-h", `${STRANGER}`, root] })
      .outputSync();
  }, `it is a symbolic link of user ${STRANGER}`],
];

for (const [what, attack, why] of ROOTS) {
  testOn(NEEDS, `rustyrun keeps no state where --root ${what}`, async () => {
    using dir = makeDir();
    await using box = makeBox();
    const root = `${dir.path}/root`;
    attack(root);
    const message =
      `rustyrun: Cannot keep the container's state in "${root}": ${why}\n`;
    for (
      const words of [
        ["run", "--rootfs", box.rootfs, "--", "true"],
        ["exec", "x", "true"],
        ["state", "x"],
        ["delete", "--force", "x"],
        ["kill", "x"],
      ]
    ) {
      const { code, stderr } = await runCli(["--root", root, ...words]);
      assertEquals(code > 0, true, words[0]);
      assertStringIncludes(stderr, message, words[0]);
    }
    const left = [...Deno.readDirSync(root)].map((it) => it.name)
      .filter((it) => it === ".cache" || it === "x");
    assertEquals(left, []);
  });
}

testOn(
  [...NEEDS, "user"],
  "run() of a user keeps no state in a /tmp/rustyrun-UID that another made",
  async () => {
    const root = `/tmp/rustyrun-${USERS.robbed}`;
    await using box = makeBox({ user: "robbed" });
    // An earlier run of this test may have made its own.
    const aside = `${root}.aside`;
    const had = rename(root, aside);
    try {
      Deno.mkdirSync(root);
      Deno.chownSync(root, 12345, 12345);
      const { code, stderr } = await box.run(["--", "true"]);
      assertEquals(code, 125);
      assertStringIncludes(
        stderr,
        `rustyrun: Cannot keep the container's state in "${root}": `,
      );
    } finally {
      Deno.removeSync(root, { recursive: true });
      if (had) rename(aside, root);
    }
  },
);

/** @returns false when there is nothing of that name */
function rename(from: string, to: string): boolean {
  try {
    Deno.renameSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

testOn(
  NEEDS,
  "rustyrun removes nothing in --root that it has not made",
  async () => {
    using dir = makeDir();
    await using box = makeBox();
    const root = dir.path;
    Deno.mkdirSync(`${root}/Documents`, { mode: 0o700 });
    Deno.writeTextFileSync(`${root}/Documents/thesis`, "precious");
    Deno.mkdirSync(`${root}/empty`, { mode: 0o755 });
    // A create that was killed: that goes.
    Deno.mkdirSync(`${root}/rubbish`, { mode: 0o700 });
    Deno.writeTextFileSync(`${root}/rubbish/leftovers.json`, "");
    const run = (...words: string[]) =>
      runCli(["--root", root, "run", "--rootfs", box.rootfs, ...words]);
    assertEquals((await run("--", "true")).code, 0);
    const taken = await run("--name", "Documents", "--", "true");
    assertEquals(taken.code, 125);
    assertStringIncludes(
      taken.stderr,
      `rustyrun: Cannot create "Documents": "${root}/Documents" exists and is not rustyrun's\n`,
    );
    await runCli(["--root", root, "delete", "--force", "Documents"]);
    assertEquals(
      Deno.readTextFileSync(`${root}/Documents/thesis`),
      "precious",
    );
    assertEquals(
      [...Deno.readDirSync(root)].map((it) => it.name)
        .filter((it) => it !== ".cache").sort(),
      ["Documents", "empty"],
    );
  },
);

testOn(
  NEEDS,
  "run --pid-file writes through no link that a stranger has put there",
  async () => {
    using target = makeTarget();
    using dir = makeDir();
    await using box = makeBox();
    for (const name of ["pid", "pid.new"]) {
      Deno.symlinkSync(`${target.dir}/null`, `${dir.path}/${name}`);
    }
    const { code } = await box.run([
      "--pid-file",
      `${dir.path}/pid`,
      "--",
      "true",
    ]);
    assertEquals(code, 0);
    target.check();
    assertEquals(Deno.lstatSync(`${dir.path}/pid`).isFile, true);
  },
);

testOn(
  [...NEEDS, "python3"],
  "run --ephemeral=DIR follows no link that DIR's owner puts there",
  async () => {
    using target = makeTarget();
    using dir = makeDir();
    await using box = makeBox();
    plant(box.rootfs, 100000);
    Deno.chownSync(dir.path, STRANGER, STRANGER);
    // Whatever appears becomes a link, as fast as it can.
    const swap = start(asUser([
      findPython(),
      "-c",
      `
import os, sys, time
dir, to, end = sys.argv[1], sys.argv[2], time.monotonic() + 600
n = 0
print("up", flush=True)
while time.monotonic() < end and not os.path.exists(dir + "/stop"):
    for name in os.listdir(dir):
        if not name.startswith("rustyrun-"): continue
        try:
            os.rename(dir + "/" + name, dir + "/old%d" % n)
            os.symlink(to, dir + "/" + name)
            n += 1
        except OSError: pass
print("swapped", n)
`,
      dir.path,
      target.dir,
    ]));
    await swap.waitFor("up\n");
    // As often as it takes until one was attacked.
    const isSwapped = () => rename(`${dir.path}/old0`, `${dir.path}/old0`);
    for (let n = 0; n < 6 || n < 200 && !isSwapped(); n++) {
      await box.run([
        "--userns",
        "0:100000:65536",
        `--ephemeral=${dir.path}`,
        "--",
        "true",
      ]);
      target.check();
    }
    Deno.writeTextFileSync(`${dir.path}/stop`, "");
    const { stdout } = await swap.done;
    // Else nothing was attacked.
    assertEquals(/swapped [1-9]/.test(stdout), true, stdout);
  },
);

testOn(
  NEEDS,
  "run() shows a stranger no variable of the container's",
  async () => {
    await using box = makeBox();
    const secret = "hunter2-hunter2";
    const running = box.start([
      "-e",
      "TOKEN",
      "--",
      "sh",
      "-c",
      "echo up; exec sleep 1000",
    ], {
      env: { TOKEN: secret },
    });
    await running.waitFor("up\n");
    const script =
      `for p in /proc/[0-9]*; do cat $p/cmdline $p/environ; done 2>/dev/null | tr '\\0' '\\n'; ` +
      `find /run/rustyrun -type f -exec cat {} + 2>/dev/null; true`;
    const seen = start(asUser(["sh", "-c", script]));
    const { stdout } = await seen.done;
    assertEquals(stdout.includes(secret), false);
    running.kill("SIGKILL");
    assertEquals((await running.done).signal, "SIGKILL");
  },
);

testOn(
  NEEDS,
  "the helper of a running container cannot be written (CVE-2019-5736)",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo up; exec sleep 1000"]);
    await running.waitFor("up\n");
    // The keeper is the helper: even root may not open it for writing.
    const exe = `/proc/${running.pid}/exe`;
    assertStringIncludes(Deno.readLinkSync(exe), "memfd:rustyrun-helper");
    let error = "";
    try {
      Deno.openSync(exe, { write: true }).close();
    } catch (thrown) {
      error = String(thrown);
    }
    // ETXTBSY while it runs; its seals forbid it afterwards as well.
    assertStringIncludes(error, "os error 26");
    running.kill("SIGKILL");
    assertEquals((await running.done).signal, "SIGKILL");
  },
);

testOn(
  [...NEEDS, "user"],
  "run() of a user takes none of the caller's groups to use",
  async () => {
    await using box = makeBox({ user: "single" });
    plant(box.rootfs);
    const { stdout } = await box.run([
      "--",
      "sh",
      "-c",
      "cat /proc/self/setgroups; grep Groups /proc/self/status; payload surface",
    ]);
    assertEquals(stdout, "deny\nGroups:\t \ntried the surface\n");
    assertEquals(Deno.statSync(payloadPath(box.rootfs)).isFile, true);
  },
);

for (const way of [[], ["--userns", "0:100000:65536"]]) {
  testOn(
    [...NEEDS, "python3"],
    `run ${way.join(" ")} --rootfs / --read-only reaches no daemon of the host`,
    async () => {
      const path = `/run/rustyrun-test-${Deno.pid}.sock`;
      const listener = Deno.listen({ transport: "unix", path });
      const accepted = listener.accept().then(() => "reached", () => "");
      try {
        Deno.chmodSync(path, 0o777);
        const { code, stdout } = await runCli([
          "run",
          ...way,
          "--read-only",
          "--rootfs",
          "/",
          "--",
          "sh",
          "-c",
          `ls -A /run; ${findPython()} -c 'import socket; ` +
          `socket.socket(socket.AF_UNIX).connect("${path}")' 2>&1 | tail -1`,
        ]);
        assertEquals(code, 0);
        assertEquals(
          stdout,
          "FileNotFoundError: [Errno 2] No such file or directory\n",
        );
      } finally {
        listener.close();
      }
      assertEquals(await accepted, "");
    },
  );
}
