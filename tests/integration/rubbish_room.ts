/**
 * What the rubbish tests share: containers with a --root and an upper layer of
 * their own, whose keepers and wardens are killed, and what only a stranger to
 * path names can remove.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  type CliResult,
  findLeaks,
  makeRootfs,
  type Running,
  runToEnd,
  start,
  takeSnapshot,
} from "../harness.ts";
import { findPython, probe, type User, USERS } from "../needs.ts";
import { findWarden, nameOf, readProcessState, waitFor } from "../wait.ts";

/** A place for containers; its disposal fails when anything is left. */
export interface RubbishRoom extends AsyncDisposable {
  id: string;
  dir: string;
  root: string;
  /** Where upper layers go. */
  uppers: string;
  call(...words: string[]): Promise<CliResult>;
  /** `rustyrun run --rootfs ROOTFS` and these words. */
  run(...words: string[]): Promise<CliResult>;
  /** A container of {@linkcode RubbishRoom.id} with an upper layer, once it
   * runs. */
  start(script: string, ...flags: string[]): Promise<Running>;
  /** Its upper layer on the host. */
  upper(): string;
  /** What `uppers` holds. */
  listUppers(): string[];
  listIds(): string[];
}

let rooms = 0;

/** Makes a room.
 *
 * @param wrap stands before each command line: a shell with other limits
 * @param flags of rustyrun itself
 * @param user calls rustyrun, and owns what is in the room */
export function makeRubbishRoom(
  { wrap = [], flags = [], user }: {
    wrap?: readonly string[];
    flags?: readonly string[];
    user?: User;
  } = {},
): RubbishRoom {
  const id = `rrrubbish-${Deno.pid}-${++rooms}`;
  const before = takeSnapshot();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-rubbish-" });
  const root = `${dir}/root`;
  // In memory: a journal makes every one of many directories cost a wait.
  const uppers = Deno.makeTempDirSync({
    dir: "/dev/shm",
    prefix: "rustyrun-test-uppers-",
  });
  Deno.mkdirSync(root, { mode: 0o700 });
  const rootfs = `${dir}/rootfs`;
  Deno.renameSync(makeRootfs(), rootfs);
  const options = user === undefined ? {} : { user };
  if (user !== undefined) {
    Deno.chmodSync(dir, 0o755);
    const owner = `${USERS[user]}:${USERS[user]}`;
    probe("chown", "-R", owner, root, uppers, rootfs);
  }
  const argv = (...words: string[]) => [
    ...wrap,
    ...cliCommand(options),
    "--root",
    root,
    ...flags,
    ...words,
  ];
  const listUppers = () => [...Deno.readDirSync(uppers)].map((it) => it.name);
  // By the same name in a private directory.
  const layer = () => {
    const [name] = listUppers();
    return `${uppers}/${name}/${name}`;
  };
  const listIds = () =>
    [...Deno.readDirSync(root)].map((it) => it.name)
      .filter((it) => it !== ".cache");
  const call = (...words: string[]) => runToEnd(argv(...words), options);
  return {
    id,
    dir,
    root,
    uppers,
    call,
    run: (...words) => call("run", "--rootfs", rootfs, ...words),
    async start(script, ...flags) {
      const running = start(
        argv(
          "run",
          "--rootfs",
          rootfs,
          "--name",
          id,
          `--ephemeral=${uppers}`,
          ...flags,
          "--",
          "sh",
          "-c",
          `echo ready; ${script}`,
        ),
        options,
      );
      await running.waitFor("ready");
      await waitFor(() => nameOf(running.pid) === "rustyrun");
      return running;
    },
    upper: () => `${layer()}/upper`,
    listUppers,
    listIds,
    async [Symbol.asyncDispose]() {
      const left = [
        ...await findLeaks(before, id, dir, uppers),
        ...listIds().map((it) => `state ${it}`),
        ...listUppers().map((it) => `upper ${it}`),
      ];
      for (const it of listIds()) await call("delete", "--force", it);
      probe("rm", "-rf", dir, uppers);
      assertEquals(left, [], "left behind");
    },
  };
}

/** Kills a container's keeper and warden; stopped, the warden cannot act
 * between the two signals. */
export async function killKeepers(running: Running): Promise<void> {
  const warden = (await waitFor(() => findWarden(running.pid)))!;
  Deno.kill(warden, "SIGSTOP");
  await waitFor(() => readProcessState(warden) === "T");
  running.kill("SIGKILL");
  Deno.kill(warden, "SIGKILL");
  // Until then they have the lock of the state.
  for (const pid of [warden, running.pid]) {
    await waitFor(() => /^[ZX]?$/.test(readProcessState(pid)));
  }
}

const NEST = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir(sys.argv[3])
    os.chdir(sys.argv[3])
for pair in sys.argv[4:]:
    name, _, text = pair.partition("=")
    with open(name, "w") as file:
        file.write(text)
`;

/** Makes directories in each other, and writes files in the innermost:
 * "name=text". */
export function nest(
  dir: string,
  depth: number,
  name: string,
  ...files: string[]
): void {
  const { code, stderr } = new Deno.Command(findPython(), {
    args: ["-c", NEST, dir, `${depth}`, name, ...files],
  }).outputSync();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** The container's cgroups on this machine, the topmost in each hierarchy. */
export function findCgroups(id: string): string[] {
  const all = [...takeSnapshot().cgroups].filter((it) => it.includes(id));
  return all.filter((it) => !all.some((above) => it.startsWith(`${above}/`)))
    .sort();
}

/** The pids in a cgroup. */
export function listPids(cgroup: string): number[] {
  return Deno.readTextFileSync(`${cgroup}/cgroup.procs`).trim().split("\n")
    .filter((it) => it !== "").map(Number);
}
