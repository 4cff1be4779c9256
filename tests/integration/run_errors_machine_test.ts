/**
 * What run says where the machine, or a container around it, forbids something.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliOptions,
  type CliResult,
  makeBox,
  runToEnd,
} from "../harness.ts";
import { type Need, testOn, USERS } from "../needs.ts";
import { apart } from "../program.ts";
import { expectError, ROOT } from "./run_errors_room.ts";

const USER: Need[] = [...ROOT, "user", "userns"];

/** Runs a shell script with the words of a run in "$@". */
async function runIn(
  box: Box,
  script: string,
  args: string[],
  options: CliOptions = {},
) {
  return await runToEnd(
    [
      "sh",
      "-ec",
      script,
      "sh",
      ...apart(cliCommand(options)),
      "run",
      "--rootfs",
      box.rootfs,
      "--name",
      box.id,
      ...args,
    ],
    options,
  );
}

testOn(
  USER,
  "run names the sysctl that forbids user namespaces",
  async () => {
    await using box = makeBox({ user: true });
    // In a user namespace of its own: the machine's sysctl stays as it is.
    const got = await runIn(
      box,
      `exec unshare -U --map-user=1000 --map-group=1000 --keep-caps sh -ec '
         echo 0 >/proc/sys/user/max_user_namespaces
         exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' sh "$@"`,
      ["--", "echo", "never"],
      { user: true },
    );
    expectError(got, {
      code: 125,
      message:
        "Cannot make a user namespace (linux.namespaces[0]): unshare: ENOSPC (no space left on device)",
      hint:
        "The sysctl user.max_user_namespaces=0 forbids user namespaces: raise it, or run as root",
    }, box.rootfs);
  },
);

/** The same where the kernel has given no words of its own: 6.1 writes these into
 * its log. */
function withoutWords(got: CliResult, words: string): CliResult {
  return { ...got, stderr: got.stderr.replace(words, "fsopen") };
}

testOn(
  USER,
  "run says that /proc is masked where it runs",
  async () => {
    await using box = makeBox({ user: true });
    const got = await runIn(
      box,
      `exec unshare -Urmpf --mount-proc sh -ec '
         mount -t tmpfs none /proc/irq; exec "$@"' sh "$@"`,
      ["--userns", "0:0:1", "--", "echo", "never"],
      { user: true },
    );
    expectError(withoutWords(got, "VFS: Mount too revealing"), {
      code: 125,
      message:
        'Cannot mount proc on "/proc" (mounts[0]): fsopen: EPERM (operation not permitted)',
      hint:
        "/proc is partly masked here (a container?): rustyrun doctor shows what to change",
    }, box.rootfs);
  },
);

testOn(USER, "run works in the user namespace of unshare -r", async () => {
  await using box = makeBox({ user: true });
  const { code, stdout, stderr } = await runIn(
    box,
    `exec unshare -Urm "$@"`,
    ["--", "id", "-u"],
    { user: true },
  );
  assertEquals([code, stdout, stderr], [0, "0\n", ""]);
});

testOn(ROOT, "run says that cgroups cannot be written", async () => {
  await using box = makeBox();
  const got = await runIn(
    box,
    `exec unshare -m sh -ec '
       for m in $(grep -o " /sys/fs/cgroup[^ ]*" /proc/self/mountinfo); do
         mount -o remount,ro,bind $m
       done; exec "$@"' sh "$@"`,
    ["--memory", "64m", "--", "echo", "never"],
  );
  assertEquals([got.code, got.stdout], [125, ""]);
  assertMatch(
    got.stderr,
    /^rustyrun: Cannot make the cgroup "\/sys\/fs\/cgroup\/[^"]+": EROFS\n {2}hint: The cgroup file system is mounted read-only: in a container, start that one with --privileged or --cgroupns private and a writable \/sys\/fs\/cgroup\n$/,
  );
});

testOn(
  [...ROOT, "tmpfs-xattr"],
  "run inside rustyrun says what the outer one forbids",
  async () => {
    await using box = makeBox({ user: true });
    const options = { user: true };
    const [deno, ...words] = cliCommand(options);
    const inner = [
      deno!,
      ...words,
      "run",
      "--rootfs",
      box.rootfs,
      "--",
      "true",
    ];
    const got = await runToEnd([
      ...cliCommand(options),
      "run",
      "--rootfs",
      "/",
      "--ephemeral",
      "--userns",
      `0:${USERS.single}:1`,
      // What the tests use is there.
      "-v",
      "/tmp:/tmp",
      "-e",
      "DENO_DIR",
      "--name",
      box.id,
      "--",
      ...inner,
    ], options);
    expectError(got, {
      code: 125,
      message:
        "Cannot leave a process that cleans up if this one is killed: clone3: ENOSYS (function not implemented)",
      hint:
        "A seccomp filter forbids it (a container?): start that one with --security-opt seccomp=unconfined",
    }, box.rootfs);
  },
);

testOn(ROOT, "run says that an overlay cannot lie on an overlay", async () => {
  await using box = makeBox();
  const got = await runIn(
    box,
    `exec unshare -m sh -ec '
       cd ${box.rootfs}/tmp; mount -t tmpfs none .; cd $PWD; mkdir l u w m
       mount -t overlay -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w none m
       mkdir m/d; exec "$@" --ephemeral=$PWD/m/d' sh "$@"`,
    [],
  );
  const words = "overlay: filesystem on /proc/upper not supported as upperdir";
  expectError(withoutWords(got, words), {
    code: 125,
    message:
      "Cannot mount overlay to lay a throw-away layer over the root file system (--ephemeral=ROOTFS/tmp/m/d): fsopen: EINVAL (invalid argument)",
    hint:
      "The root file system is itself an overlay (inside Docker?): --ephemeral=DIR with a DIR on another file system, or a volume",
  }, box.rootfs);
});
