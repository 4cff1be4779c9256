/**
 * A directory of states, and what a container of it has.
 *
 * @module
 */

import { closeFd } from "../ffi/libc.ts";
import {
  bootId,
  claimState,
  readProcess,
  type State,
  type StateDir,
} from "../mod/state.ts";

export const STATE: State = {
  version: 1,
  id: "box",
  ociVersion: "1.3.0",
  pid: Deno.pid,
  startTime: readProcess(Deno.pid)!.startTime,
  bootId: bootId(),
  bundle: "/bundle",
  rootfs: "/bundle/rootfs",
  created: "2026-01-02T03:04:05.678Z",
  owner: "root",
  foreground: false,
  waits: true,
  sharesPids: false,
  cgroup: { dirs: [] },
  hasPoststop: false,
  hasPoststart: false,
};

/** A root for states; its descriptors are closed at the end. */
export function makeRoot() {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-state-" });
  const open: number[] = [];
  return {
    path,
    claim(id = "box") {
      // What holds the lock here never lets go of it.
      const dir = claimState(path, id, 20);
      open.push(dir.fd);
      return dir;
    },
    /** Ends the claim as a SIGKILL does: nothing is removed. */
    die(dir: StateDir) {
      closeFd(dir.fd);
    },
    names: (id = "box") =>
      [...Deno.readDirSync(`${path}/${id}`)].map((it) => it.name).sort(),
    [Symbol.dispose]() {
      for (const fd of open) closeFd(fd);
      Deno.removeSync(path, { recursive: true });
    },
  };
}
