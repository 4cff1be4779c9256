/**
 * A user with subordinate ids and a delegated cgroup (v2), and a bundle whose
 * container may write its own cgroup: it may give what is in there to ids that
 * are not its user's.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  findLeaks,
  makeRootfs,
  type Running,
  runToEnd,
  start,
  takeSnapshot,
} from "../harness.ts";
import { asUser, isFile, type Need, probe, USERS } from "../needs.ts";
import { findPlaces } from "../program.ts";
import { waitFor } from "../wait.ts";

export const NEEDS: Need[] = ["root", "helper", "busybox", "subuid", "cgroup2"];

const MOUNT = isFile("/sys/fs/cgroup/cgroup.controllers")
  ? "/sys/fs/cgroup"
  : "/sys/fs/cgroup/unified";

/** How a command ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** A user's place for containers; its disposal fails when anything is left. */
export interface UserRoom extends AsyncDisposable {
  id: string;
  dir: string;
  rootfs: string;
  bundle: string;
  /** The cgroup that the user has. */
  cgroup: string;
  /** Makes the container's process this script, in which $c is its cgroup.
   *
   * @param over more of config.json's linux, and of its process */
  write(script: string, over?: { linux?: object; process?: object }): void;
  /** Calls rustyrun as the user. */
  call(...words: string[]): Promise<Ended>;
  /** Fails unless the command exits 0 and says nothing. */
  callQuiet(...words: string[]): Promise<void>;
  /** Starts a command of rustyrun's as the user. */
  start(...words: string[]): Running;
  /** Creates and starts the container, and waits until it says "ready". */
  startUp(): Promise<void>;
  listIds(): string[];
  /** The cgroups of containers that are there, by their names. */
  findCgroups(): string[];
}

const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL"]
  .map((it) => `CAP_${it}`);

function makeConfig(
  rootfs: string,
  script: string,
  { linux = {}, process = {} }: { linux?: object; process?: object },
): object {
  const bind = { type: "bind", source: "/proc", options: ["rbind", "ro"] };
  return {
    ociVersion: "1.0.2",
    root: { path: rootfs },
    process: {
      cwd: "/",
      args: ["sh", "-c", `c=/tmp/c; ${script}`],
      env: ["PATH=/bin:/usr/bin"],
      user: { uid: 0, gid: 0 },
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      },
      ...process,
    },
    mounts: [
      { destination: "/proc", ...bind },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      { destination: "/tmp/c", type: "cgroup2", source: "cgroup2" },
    ],
    linux: {
      namespaces: ["mount", "ipc", "uts", "user", "cgroup"]
        .map((type) => ({ type })),
      ...linux,
    },
  };
}

let rooms = 0;

/** Makes a room.
 *
 * @param wrap stands before each command line */
export function makeUserRoom(
  { wrap = [] }: { wrap?: readonly string[] } = {},
): UserRoom {
  const id = `rruser-${Deno.pid}-${++rooms}`;
  const before = takeSnapshot();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-user-" });
  const top = `${MOUNT}/${id}-top`, cgroup = `${top}/own`;
  const [root, bundle, rootfs] = ["root", "bundle", "rootfs"]
    .map((it) => `${dir}/${it}`) as [string, string, string];
  Deno.chmodSync(dir, 0o755);
  for (const it of [root, bundle]) Deno.mkdirSync(it, { mode: 0o700 });
  Deno.renameSync(makeRootfs(), rootfs);
  Deno.mkdirSync(cgroup, { recursive: true });
  const owner = `${USERS.subuid}:${USERS.subuid}`;
  probe("chown", "-R", owner, top, root, bundle, rootfs);
  const { home, cache } = findPlaces("subuid");
  const env = { HOME: home, DENO_DIR: cache };
  const argv = (...words: string[]) => [
    ...wrap,
    "sh",
    "-c",
    'echo 0 >"$0/cgroup.procs" && exec "$@"',
    cgroup,
    ...asUser(
      [...cliCommand({ user: "subuid" }), "--root", root, ...words],
      "subuid",
    ),
  ];
  let calls = 0;
  const call: UserRoom["call"] = async (...words) => {
    // A container inherits these: a pipe would have no end before it has.
    const file = `${dir}/output-${++calls}`;
    const { code } = await runToEnd([
      "sh",
      "-c",
      'exec "$@" >"$0.out" 2>"$0.err"',
      file,
      ...argv(...words),
    ], { env });
    const read = (it: string) => Deno.readTextFileSync(`${file}.${it}`);
    return { code, stdout: read("out"), stderr: read("err") };
  };
  const callQuiet: UserRoom["callQuiet"] = async (...words) =>
    assertEquals(
      { words, ...await call(...words) },
      { words, code: 0, stdout: "", stderr: "" },
    );
  const listIds = () =>
    [...Deno.readDirSync(root)].map((it) => it.name)
      .filter((it) => it !== ".cache");
  return {
    id,
    dir,
    rootfs,
    bundle,
    cgroup,
    write: (script, over = {}) =>
      Deno.writeTextFileSync(
        `${bundle}/config.json`,
        JSON.stringify(makeConfig(rootfs, script, over)),
      ),
    call,
    callQuiet,
    start: (...words) => start(argv(...words), { env }),
    async startUp() {
      await callQuiet("create", "--bundle", bundle, id);
      const file = `${dir}/output-${calls}.out`;
      await callQuiet("start", id);
      const said = () => Deno.readTextFileSync(file);
      assertEquals(await waitFor(said, (it) => it !== ""), "ready\n");
    },
    listIds,
    findCgroups: () =>
      [...Deno.readDirSync(cgroup)].filter((it) => it.isDirectory)
        .map((it) => it.name),
    async [Symbol.asyncDispose]() {
      const left = listIds().map((it) => `state ${it}`);
      for (const it of listIds()) await call("delete", "--force", it);
      probe("rmdir", cgroup, top);
      left.push(...await findLeaks(before, id, dir));
      probe("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";");
      Deno.removeSync(dir, { recursive: true });
      assertEquals(left, [], "left behind");
    },
  };
}
