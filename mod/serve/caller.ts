/**
 * The caller that a front stands for.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import { type Caller, readDirectory } from "../caller.ts";
import { statusOfEquals } from "./equal.ts";
import type { Asked, Front } from "./front.ts";

/** ppid of proc_pid_stat(5). */
function readParent(proc: string): number {
  const stat = readTextFileSync(`${proc}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/**
 * What a front knows of itself, and /proc of it; this process is where the front
 * is, and its equal.
 */
export function makeFrontCaller(
  { pid }: Pick<Front, "pid">,
  { request, strings }: Asked,
): Caller {
  const proc = `/proc/${pid}`;
  return {
    words: strings.words,
    environment: strings.variables.filter((it) => it.indexOf("=") > 0),
    directory: readDirectory,
    proc,
    pid,
    get parent() {
      return readParent(proc);
    },
    get uid() {
      return statusOfEquals().uid;
    },
    get gid() {
      return statusOfEquals().gid;
    },
    get caps() {
      return statusOfEquals().caps;
    },
    umask: request.umask,
    fileLimit: request.files,
    streams: request.streams,
    isTerminal: (fd) => request.streams[fd] === "terminal",
    inherited: request.inherited,
  };
}
