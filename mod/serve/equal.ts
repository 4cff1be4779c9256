/**
 * Whom the warm engine serves: only who is, to the kernel, what it is itself.
 * What it does for a front, the front could do as well, and nothing else.
 *
 * @module
 */

import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../ffi/files.ts";
import { errnoOf } from "../../ffi/errno.ts";
import { readStatus, type Status } from "../caller/status.ts";

/** Lines of /proc/PID/status, proc_pid_status(5). */
const FIELDS = [
  "Uid",
  "Gid",
  "CapInh",
  "CapPrm",
  "CapEff",
  "CapBnd",
  "CapAmb",
  "NoNewPrivs",
] as const;

/** Seccomp in strict mode, or with filters: what they are is not told. */
const FILTERED = /^Seccomp:\t[^0]/m;

/** Labels of security modules; those of none that is on cannot be read. */
const LABELS = ["attr/current", "attr/apparmor/current"];

function tryRead(path: string): string | undefined {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (errnoOf(error) === "") throw error;
    return undefined;
  }
}

let own: Pick<Status, "uid" | "gid" | "caps"> | undefined;

/** Ids and capabilities of every equal: this process's own, which never changes
 * them. */
export function statusOfEquals(): Pick<Status, "uid" | "gid" | "caps"> {
  return own ??= readStatus("/proc/self");
}

/** The supplementary groups, in order, without the one that the process has anyway:
 * a login gives root its own group 0 as such, and systemd gives a service none. */
function otherGroups(gid: string, groups: string): string[] {
  const [own, ...more] = gid.split(/\s+/).slice(2);
  const isOwn = (it: string) => it === own && more.every((gid) => gid === own);
  return groups.split(/\s+/).slice(2).filter((it) => it !== "" && !isOwn(it));
}

/** What this process is to the kernel: ids, groups, capabilities, namespaces,
 * root directory, labels. Who has a seccomp filter is nobody's equal. */
export class Identity {
  readonly #spaces = readDirSync("/proc/self/ns").map(({ name }) => name);
  readonly #labels = LABELS.filter((it) =>
    tryRead(`/proc/self/${it}`) !== undefined
  );
  readonly #own = this.#describe("/proc/self");

  /** Whether another process is the same.
   *
   * @returns false for one that is gone, or may not be looked at */
  isOf(pid: number): boolean {
    try {
      return this.#own !== undefined &&
        this.#describe(`/proc/${pid}`) === this.#own;
    } catch (error) {
      if (errnoOf(error) === "") throw error;
      return false;
    }
  }

  /** @returns undefined for a process with a seccomp filter */
  #describe(proc: string): string | undefined {
    const status = `\n${readTextFileSync(`${proc}/status`)}`;
    if (FILTERED.test(status)) return undefined;
    const line = (name: string) => {
      const at = status.indexOf(`\n${name}:`);
      return at < 0 ? "" : status.slice(at, status.indexOf("\n", at + 1));
    };
    return [
      ...FIELDS.map(line),
      ...otherGroups(line("Gid"), line("Groups")),
      ...this.#spaces.map((it) => readLinkSync(`${proc}/ns/${it}`)),
      // As seen from ours: "/" for the same one alone.
      readLinkSync(`${proc}/root`),
      ...this.#labels.map((it) => readTextFileSync(`${proc}/${it}`)),
    ].join("\n");
  }
}
