/**
 * Containers of a user whose cgroup the user's own systemd makes: run in the guest
 * (.ci/guest), which has such a user.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  cliCommand,
  type CliResult,
  findLeaks,
  makeRootfs,
  ROOT,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { findSystemdUser, testOn } from "../needs.ts";
import { makeSpec } from "./caller.ts";
import { show, waitForNone } from "./systemd_room.ts";

const NEEDS = ["root", "helper", "busybox", "systemd-user"] as const;

const LIMITS = { memory: { limit: 32 << 20 }, pids: { limit: 44 } };

/** A user's directory with a root file system and a bundle in it, and its calls:
 * from outside of the user's systemd, as after a login. */
interface UserRoom extends AsyncDisposable {
  id: string;
  bundle: string;
  rootfs: string;
  /** Starts a command line as that user. */
  user: string[];
  /** Where the user's units lie. */
  manager: string;
  call(words: readonly string[], env?: string[]): Promise<CliResult>;
}

/** The units of friendly containers that the user's systemd has. */
async function listUnits({ user }: UserRoom): Promise<string> {
  const { stdout } = await runToEnd([
    ...[...user, "systemctl", "--user", "list-units", "--all"],
    ...["--no-legend", "rustyrun-*"],
  ]);
  return stdout;
}

let rooms = 0;

async function makeUserRoom(): Promise<UserRoom> {
  const { uid, runtime } = findSystemdUser()!;
  const id = `rruser-${Deno.pid}-${++rooms}`;
  const before = takeSnapshot();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-user-" });
  const bundle = `${dir}/bundle`;
  Deno.mkdirSync(bundle);
  const rootfs = `${bundle}/rootfs`;
  Deno.renameSync(makeRootfs(), rootfs);
  const map = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  const spec = makeSpec(id, {
    linux: {
      cgroupsPath: `user.slice:rr:${id}`,
      resources: LIMITS,
      uidMappings: map(uid),
      gidMappings: map(uid),
      namespaces: ["pid", "mount", "ipc", "uts", "user", "cgroup"]
        .map((type) => ({ type })),
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
    ],
  });
  Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
  await runToEnd(["chown", "-R", `${uid}:${uid}`, dir]);
  const as = (...env: string[]) => [
    ...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
    ...["--inh-caps=-all", "--", "env", "-i", `HOME=${dir}`],
    ...[`DENO_DIR=${dir}/deno`, "NO_COLOR=1"],
    ...[`PATH=${Deno.env.get("PATH")}`, ...env],
  ];
  const user = as(`XDG_RUNTIME_DIR=${runtime}`);
  const root = ["--root", `${dir}/states`];
  return {
    id,
    bundle,
    rootfs,
    user,
    manager: `/user.slice/user-${uid}.slice/user@${uid}.service`,
    call: (words, env) =>
      runToEnd([
        ...env === undefined ? user : as(...env),
        ...cliCommand(),
        ...root,
        ...words,
      ]),
    async [Symbol.asyncDispose]() {
      await runToEnd([
        ...[...user, ...cliCommand(), ...root, "delete", "--force", id],
      ]);
      const left = await findLeaks(before, id);
      Deno.removeSync(dir, { recursive: true });
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
}

testOn(
  NEEDS,
  "systemd: a user's run with a limit has a cgroup of the user's systemd, and needs no flag",
  async () => {
    await using room = await makeUserRoom();
    const run = (...words: string[]) =>
      room.call(["run", "--rootfs", room.rootfs, "--name", room.id, ...words]);
    const { code, stdout, stderr } = await run(
      ...["--memory", "32m", "--pids-limit", "44", "--", "sh", "-c"],
      "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 3",
    );
    assertEquals([code, stdout], [3, `${32 << 20}\n44\n`], stderr);
    const hog = await run("--memory", "32m", "--", "tail", "/dev/zero");
    assertEquals(hog, {
      code: 137,
      signal: null,
      stdout: "",
      stderr:
        `rustyrun: The container was killed: it used more than its memory limit of ${
          32 << 20
        } bytes (--memory 32m)\n  hint: Give it more, or make it use less\n`,
    });
    assertEquals(await listUnits(room), "");
  },
);

testOn(
  NEEDS,
  "systemd: the library says which limit a command has met, though its unit goes at once",
  async () => {
    await using room = await makeUserRoom();
    const { code, stdout, stderr } = await runToEnd([
      ...[...room.user, Deno.execPath(), "run", "-A", "--no-check"],
      ...["--cached-only", `${ROOT}/tests/integration/box_program.ts`],
      ...[room.rootfs, room.id, "units", "poolLimits"],
    ], { cwd: ROOT });
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), {
      units: [
        [3, null, "in", true],
        [137, "memory", true],
        "command-not-found",
        4,
      ],
      poolLimits: ["memory", true, "pids"],
    });
    assertEquals(await listUnits(room), "");
  },
);

testOn(
  NEEDS,
  "systemd: a user's OCI container: create, exec from a login, update, delete",
  async () => {
    await using room = await makeUserRoom();
    const { id, bundle, user, manager, call } = room;
    const unit = `rr-${id}.scope`;
    const quiet = async (...words: string[]) => {
      // A container would hold the pipes of its create.
      const { code, stderr } = await call(words);
      assertEquals([code, stderr], [0, ""], words.join(" "));
    };
    const create = `"$@" </dev/null >/dev/null 2>${bundle}/said`;
    const { code } = await runToEnd([
      ...[...user, "sh", "-c", create, "sh", ...cliCommand()],
      ...["--root", `${bundle.slice(0, -"/bundle".length)}/states`],
      ...["--systemd-cgroup", "create", "-b", bundle, id],
    ]);
    assertEquals([code, Deno.readTextFileSync(`${bundle}/said`)], [0, ""]);
    const names = ["ControlGroup", "MemoryMax", "TasksMax"];
    assertEquals(await show(unit, names, user), {
      ControlGroup: `${manager}/user.slice/${unit}`,
      MemoryMax: `${32 << 20}`,
      TasksMax: "44",
    });
    const dir = `/sys/fs/cgroup${manager}/user.slice/${unit}`;
    const read = (file: string) =>
      Deno.readTextFileSync(`${dir}/${file}`).trim();
    assertEquals([read("memory.max"), read("pids.max")], [
      `${32 << 20}`,
      "44",
    ]);
    await quiet("start", id);
    const { stdout, stderr } = await call(
      ["exec", id, "cat", "/proc/self/cgroup"],
    );
    assertEquals([stdout, stderr], ["0::/\n", ""]);
    await quiet("update", "--pids-limit", "33", id);
    assertEquals(read("pids.max"), "33");
    assertEquals((await show(unit, ["TasksMax"], user)).TasksMax, "33");
    await quiet("delete", "--force", id);
    await waitForNone(unit, user);
  },
);

testOn(
  NEEDS,
  "systemd: a user who cannot reach systemd is told how to",
  async () => {
    await using room = await makeUserRoom();
    const words = ["--systemd-cgroup", "create", "-b", room.bundle, room.id];
    for (
      const [env, why] of [
        [[], "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"],
        [
          ["XDG_RUNTIME_DIR=/nowhere"],
          "nobody answers at unix:path=/nowhere/bus",
        ],
      ] as [string[], string][]
    ) {
      const { code, stderr } = await room.call(words, env);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `Cannot reach the user's systemd`);
      assertStringIncludes(stderr, why);
      assertStringIncludes(stderr, "loginctl enable-linger");
    }
    // Without a manager that anybody has asked for, the hint is of cgroups.
    const run = ["run", "--rootfs", room.rootfs, "--memory", "32m", "--", "id"];
    const { code, stderr } = await room.call(run, ["XDG_RUNTIME_DIR=/nowhere"]);
    assertEquals(code, 125);
    assertStringIncludes(stderr, "is not delegated");
  },
);
