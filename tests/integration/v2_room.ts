/**
 * A bundle whose cgroup lies below one of the test's own, on a machine with cgroup
 * v2. Its calls are made in this process: each start of Deno's is slow in the guest.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findLeaks, makeRootfs, takeSnapshot } from "../harness.ts";
import { waitFor } from "../wait.ts";
import { reapChild } from "../../ffi/children.ts";
import { closeFd, syscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { makeSpec, type Spec } from "./caller.ts";
import { callHere, type Said } from "./systemd_room.ts";

export const CGROUPS = "/sys/fs/cgroup";

/** One test's container. */
export interface V2Room extends AsyncDisposable {
  id: string;
  bundle: string;
  rootfs: string;
  /** The cgroup above the container's; not there until the test makes it. */
  outer: string;
  /** The container's. */
  dir: string;
  /** Writes config.json anew. */
  write(over: Spec): void;
  /** A command, with --root. */
  call(...words: string[]): Promise<Said>;
  /** The same for one that must say nothing. */
  quiet(...words: string[]): Promise<void>;
  /** create and start.
   *
   * @returns the first process */
  start(over?: Spec): Promise<number>;
  /** delete --force; nothing of it may be left. */
  end(): Promise<void>;
  /** Asserts that it cannot be made, and that nothing is left then.
   *
   * @returns what create says */
  refuse(over: Spec): Promise<string>;
  /** What a shell prints in the container. */
  exec(script: string, ...flags: string[]): Promise<string>;
  /** A file of the container's cgroup. */
  read(file: string): string;
}

/** Whether there is such a file or directory. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The status of the container; undefined where there is none. */
export async function statusOf(room: V2Room): Promise<string | undefined> {
  const { code, stdout } = await room.call("state", room.id);
  return code === 0 ? JSON.parse(stdout).status : undefined;
}

function removeCgroups(dir: string): void {
  if (!isThere(dir)) return;
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    if (isDirectory) removeCgroups(`${dir}/${name}`);
  }
  Deno.removeSync(dir);
}

let rooms = 0;

/** Makes a bundle; disposal fails when anything is left. */
export function makeV2Room(over: Spec = {}): V2Room {
  const id = `rrv2-${Deno.pid}-${++rooms}`;
  const before = takeSnapshot();
  const bundle = Deno.makeTempDirSync({ prefix: "rustyrun-test-v2-" });
  const rootfs = `${bundle}/rootfs`;
  Deno.renameSync(makeRootfs(), rootfs);
  const outer = `${CGROUPS}/${id}`;
  const room: V2Room = {
    id,
    bundle,
    rootfs,
    outer,
    dir: `${outer}/c`,
    write(over) {
      const linux = { cgroupsPath: `/${id}/c`, ...over.linux };
      Deno.writeTextFileSync(
        `${bundle}/config.json`,
        JSON.stringify(makeSpec(id, { ...over, linux })),
      );
    },
    call: (...words) => callHere(["--root", `${bundle}/states`, ...words]),
    async quiet(...words) {
      const quiet = { code: 0, stdout: "", stderr: "" };
      assertEquals(await room.call(...words), quiet);
    },
    async start(over) {
      if (over !== undefined) room.write(over);
      const file = `${bundle}/pid`;
      await room.quiet("create", "-b", bundle, "--pid-file", file, id);
      await room.quiet("start", id);
      return Number(Deno.readTextFileSync(file));
    },
    async end() {
      await room.quiet("delete", "--force", id);
      assertEquals(isThere(room.dir), false);
    },
    async refuse(over) {
      room.write(over);
      const { code, stderr } = await room.call("create", "-b", bundle, id);
      assertEquals(
        [code, isThere(room.dir), await statusOf(room)],
        [1, false, undefined],
        stderr,
      );
      return stderr;
    },
    async exec(script, ...flags) {
      const line = `{ ${script}; } >/part 2>&1; mv /part /said`;
      const file = `${bundle}/exec.pid`;
      const words = ["--pid-file", file, id, "sh", "-c", line];
      await room.quiet("exec", "--detach", ...flags, ...words);
      const said = `${rootfs}/said`;
      const text = await waitFor(() => Deno.readTextFileSync(said));
      Deno.removeSync(said);
      // Until this process, which made the call, has reaped it, its pid namespace
      // does not end.
      const pidfd = syscall(
        "pidfd_open",
        Number(Deno.readTextFileSync(file)),
        0,
      );
      pollFds([pidfd]);
      reapChild(pidfd);
      closeFd(pidfd);
      return text.trim();
    },
    read: (file) => Deno.readTextFileSync(`${room.dir}/${file}`).trim(),
    async [Symbol.asyncDispose]() {
      await room.call("delete", "--force", id);
      removeCgroups(outer);
      const left = await findLeaks(before, id);
      Deno.removeSync(bundle, { recursive: true });
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
  room.write(over);
  return room;
}
