/**
 * The pipes between a process in a container and this program.
 *
 * @module
 */

import { closeFd } from "../../../ffi/libc.ts";
import { givePipe, makePipe } from "../../../ffi/pipe.ts";
import type { Config } from "../../config/config.ts";
import type { IdMapping } from "../../config/schema.ts";
import type { Streams } from "./place.ts";

/** An id of the container on the host. */
export function toHost(
  maps: readonly IdMapping[] | undefined,
  id: number,
): number | undefined {
  if (maps === undefined || maps.length === 0) return id;
  const map = maps.find((it) =>
    id >= it.containerID && id < it.containerID + it.size
  );
  return map && map.hostID + id - map.containerID;
}

/** The pipes of a process: its ends and ours. */
export class Pipes {
  readonly theirs: Streams;
  readonly ours: Streams;

  /** @param input whether somebody writes what it reads */
  constructor(input: boolean) {
    const [in0, in1] = makePipe("write");
    const [out0, out1] = makePipe("read");
    const [err0, err1] = makePipe("read");
    this.theirs = [in0, out1, err1];
    // Without a writer it is at its end: nothing of the host's is handed in.
    if (!input) closeFd(in1);
    this.ours = [input ? in1 : -1, out0, err0];
  }

  /** Gives them to the process's user, who may open them by name then. */
  give(config: Config): void {
    const { process, linux } = config.spec;
    const uid = toHost(linux?.uidMappings, process?.user?.uid ?? 0);
    if (uid !== undefined) this.giveTo(uid);
  }

  /** @param uid on the host */
  giveTo(uid: number): void {
    for (const fd of this.theirs) givePipe(fd, uid);
  }

  closeTheirs(): void {
    for (const fd of this.theirs) closeFd(fd);
  }

  closeOurs(): void {
    for (const fd of this.ours) if (fd >= 0) closeFd(fd);
  }
}
