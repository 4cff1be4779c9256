/**
 * A machine with systemd and cgroup v2 after containers have run there: what it
 * hands down is as before, and the limits of a unit hold for what is started in
 * it. Run in the guest (.ci/guest).
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { cliCommand, makeRootfs, runToEnd, SLOW } from "../harness.ts";
import { findSystemdUser, testOn } from "../needs.ts";
import { run } from "../program.ts";
import { makeScopeRoom } from "./systemd_room.ts";

const NEEDS = ["root", "helper", "busybox", "systemd"] as const;

/** What is mounted on a path, as a process sees it. */
const readMount = (pid: number | "self", path: string) =>
  Deno.readTextFileSync(`/proc/${pid}/mounts`).split("\n")
    .filter((line) => line.split(" ")[1] === path);

const CGROUPS = "/sys/fs/cgroup";

testOn(
  NEEDS,
  "a cgroup mount without a cgroup namespace shows the host's cgroups, and changes no option of theirs",
  async () => {
    const before = readMount("self", CGROUPS);
    assertStringIncludes(before.join(), "nsdelegate,memory_recursiveprot");
    await using room = makeScopeRoom({
      mounts: ["cgroup", "cgroup2"].map((type, at) => ({
        destination: `/cgroups${at}`,
        type,
        source: type,
        options: ["nosuid", "noexec", "nodev", at === 0 ? "ro" : "rw"],
      })),
    });
    await room.start();
    const { pid } = JSON.parse((await room.call("state", room.id)).stdout);
    const shown = [0, 1].map((it) => readMount(pid, `/cgroups${it}`));
    assertEquals(
      shown.map((it) => it.map((line) => line.split(" ").slice(2))),
      ["ro", "rw"].map((it) => [[
        "cgroup2",
        `${it},nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot`,
        "0",
        "0",
      ]]),
    );
    assertEquals(
      Deno.readTextFileSync(
        `/proc/${pid}/root/cgroups0${
          room.dir.slice(CGROUPS.length)
        }/cgroup.procs`,
      ),
      `${pid}\n`,
    );
    assertEquals(readMount("self", CGROUPS), before);
  },
);

/** Runs `run` in a unit with these properties. */
async function runIn(
  properties: readonly string[],
  words: readonly string[],
  { before = [], user }: {
    before?: readonly string[];
    user?: { uid: number; runtime: string };
  } = {},
) {
  const rootfs = makeRootfs();
  const home = Deno.makeTempDirSync({ prefix: "rustyrun-test-unit-" });
  try {
    if (user) run("chown", "-R", `${user.uid}:${user.uid}`, home, rootfs);
    const line = [
      "systemd-run",
      ...user ? ["--user", "--scope"] : ["--wait", "--pipe"],
      "--quiet",
      ...properties.map((it) => `--property=${it}`),
      ...user ? [] : [`--setenv=HOME=${home}`, "--setenv=NO_COLOR=1"],
      ...before,
      ...[...cliCommand(), "--root", `${home}/states`, "run"],
      ...["--rootfs", rootfs, ...words],
    ];
    // How long systemd-run waits for systemd, in seconds.
    const env = { SYSTEMD_BUS_TIMEOUT: `${25 * SLOW}` };
    if (user === undefined) return await runToEnd(line, { env });
    return await runToEnd([
      ...["setpriv", `--reuid=${user.uid}`, `--regid=${user.uid}`],
      ...["--clear-groups", "--inh-caps=-all", "--", "env", "-i"],
      ...[`HOME=${home}`, `XDG_RUNTIME_DIR=${user.runtime}`, "NO_COLOR=1"],
      ...[`PATH=${Deno.env.get("PATH")}`, ...line],
    ]);
  } finally {
    for (const dir of [rootfs, home]) Deno.removeSync(dir, { recursive: true });
  }
}

const REFUSED = /within the limits of the caller's own cgroup .*memory.max is /;

testOn(
  NEEDS,
  "a limit in a unit that has limits does not take the container out of it",
  async () => {
    const limits = ["MemoryMax=64M", "MemorySwapMax=0"];
    const hog = ["--memory", "512m", "--", "tail", "/dev/zero"];
    const refused = await runIn(limits, hog);
    assertEquals([refused.code, REFUSED.test(refused.stderr)], [125, true]);
    // As the hint says.
    const move =
      'own=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir "$own/init"; echo 0 >"$own/init/cgroup.procs"; exec "$@"';
    const before = ["sh", "-c", move, "sh"];
    const { code, stderr } = await runIn(
      [...limits, "Delegate=yes"],
      hog,
      { before },
    );
    assertEquals(code, 137, stderr);
    // What every unit has.
    const bound = await runIn(["TasksMax=300"], [
      ...["--memory", "32m", "--", "sh", "-c"],
      "cd /sys/fs/cgroup; cat memory.max pids.max",
    ]);
    assertEquals([bound.stdout, bound.code], [`${32 << 20}\n300\n`, 0]);
  },
);

testOn(
  [...NEEDS, "systemd-user"],
  "nor does a user's own systemd",
  async () => {
    const user = findSystemdUser()!;
    const { code, stderr } = await runIn(
      ["MemoryMax=64M"],
      ["--memory", "512m", "--", "true"],
      { user },
    );
    assertEquals([code, REFUSED.test(stderr)], [125, true], stderr);
  },
);
