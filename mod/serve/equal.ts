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

/** Lines of /proc/PID/status, proc_pid_status(5). */
const FIELDS = [
  "Uid",
  "Gid",
  "Groups",
  "CapInh",
  "CapPrm",
  "CapEff",
  "CapBnd",
  "CapAmb",
  "NoNewPrivs",
  "Seccomp",
  "Seccomp_filters",
] as const;

/** Security modules say different errors where they have nothing to say. */
function readLabel(path: string): string {
  try {
    return readTextFileSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "") throw error;
    return errno;
  }
}

/**
 * What a process is: ids, groups, capabilities, filters, namespaces, root
 * directory, labels.
 *
 * @param proc "/proc/self", or "/proc/PID"
 * @returns a text that is the same for an equal; undefined when it is gone, or
 * may not be looked at
 */
export function readIdentity(proc: string): string | undefined {
  try {
    const status = `\n${readTextFileSync(`${proc}/status`)}`;
    const lines = FIELDS.map((name) => {
      const at = status.indexOf(`\n${name}:`);
      return at < 0 ? "" : status.slice(at, status.indexOf("\n", at + 1));
    });
    const spaces = readDirSync(`${proc}/ns`).map(({ name }) => name).sort()
      .map((name) => readLinkSync(`${proc}/ns/${name}`));
    return [
      ...lines,
      ...spaces,
      // As seen from ours: "/" for the same one alone.
      readLinkSync(`${proc}/root`),
      readLabel(`${proc}/attr/current`),
      readLabel(`${proc}/attr/apparmor/current`),
    ].join("\n");
  } catch (error) {
    if (errnoOf(error) === "") throw error;
    return undefined;
  }
}
