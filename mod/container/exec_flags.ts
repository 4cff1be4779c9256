/**
 * The process that `exec` runs, from its flags: what they change of the
 * container's own.
 *
 * @module
 */

import type { Caller } from "../caller.ts";
import {
  flagOn,
  type Flags,
  flagUses,
  flagValue,
  refuse,
} from "../config/flags/use.ts";
import { readUser } from "../config/flags/users.ts";
import type { Process } from "../config/schema.ts";
import type { ExecContainer } from "./exec.ts";

/** What of a call is read here. */
export interface ExecWords {
  flags: Flags;
  /** The command and its words. */
  args: readonly string[];
  caller: Pick<Caller, "environment">;
}

const ID_MAX = 4294967294;

/** A further group: decimal digits and nothing else (CVE-2026-30892). */
function parseGroup(text: string, typed: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= ID_MAX) return Number(text);
  throw refuse(
    typed,
    `"${text}" is not a number of a group`,
    "user",
    "Write its number: 1000",
  );
}

/** The variables of --env: NAME alone is the caller's, as under docker; one that
 * the caller has not is left out. */
function listVariables(call: ExecWords): string[] {
  return flagUses(call.flags, "env").flatMap(({ value, typed }) => {
    const at = value.indexOf("=");
    if (at > 0) return [value];
    if (at === 0 || value === "") {
      throw refuse(
        typed,
        `"${value}" has no name`,
        "env",
        "Write NAME=VALUE, or NAME to pass the caller's on",
      );
    }
    return call.caller.environment.filter((it) => it.startsWith(`${value}=`));
  });
}

/** Gives the process the user of --user. Under docker, and so in a container of
 * the friendly form, root gets all that the container may have and others
 * nothing; under runc the capabilities stay as they are. */
function applyUser(
  process: Process,
  call: ExecWords,
  container: ExecContainer,
): void {
  const given = readUser(call.flags);
  if (given === undefined) return;
  const own = process.user ?? { uid: 0, gid: 0 };
  const runc = container.mode === "oci" && typeof given === "object";
  const { additionalGids, uid, gid } = typeof given === "string"
    ? container.findUser(given)
    : {
      additionalGids: runc ? own.additionalGids : undefined,
      uid: given.uid,
      gid: flagValue(call.flags, "user")?.includes(":") || !runc
        ? given.gid
        : own.gid ?? 0,
    };
  process.user = { ...own, uid, gid, additionalGids: additionalGids ?? [] };
  // HOME is that user's own.
  process.env = process.env?.filter((it) => !it.startsWith("HOME=")) ?? [];
  if (container.mode === "oci" || process.capabilities === undefined) return;
  const bounding = process.capabilities.bounding ?? [];
  process.capabilities = uid === 0
    ? { bounding, effective: bounding, permitted: bounding }
    : { bounding };
}

/**
 * The process that the flags and words of exec describe.
 *
 * @param own the container's
 * @throws {ContainerError} for a value that cannot be
 */
export function changeProcess(
  call: ExecWords,
  own: Process,
  container: ExecContainer,
): Process {
  const { flags } = call;
  const process: Process = { ...own, args: [...call.args] };
  process.terminal = flagOn(flags, "tty");
  const cwd = flagValue(flags, "cwd");
  if (cwd !== undefined) process.cwd = cwd;
  process.env = [...own.env ?? []];
  applyUser(process, call, container);
  process.env.push(...listVariables(call));
  const groups = flagUses(flags, "additional-gids");
  if (groups.length > 0) {
    process.user = {
      uid: 0,
      gid: 0,
      ...process.user,
      additionalGids: [
        ...process.user?.additionalGids ?? [],
        ...groups.map((it) => parseGroup(it.value, it.typed)),
      ],
    };
  }
  addCapabilities(process, flagUses(flags, "cap").map((it) => it.value));
  if (flagOn(flags, "no-new-privs")) process.noNewPrivileges = true;
  const profile = flagValue(flags, "apparmor");
  if (profile !== undefined) process.apparmorProfile = profile;
  const label = flagValue(flags, "process-label");
  if (label !== undefined) process.selinuxLabel = label;
  return process;
}

/** --cap adds to bounding, effective and permitted; to ambient only where
 * inheritable is there too (CVE-2022-29162). */
function addCapabilities(process: Process, names: readonly string[]): void {
  if (names.length === 0) return;
  const sets = { ...process.capabilities };
  const add = (set: "bounding" | "effective" | "permitted" | "ambient") => {
    sets[set] = [...new Set([...sets[set] ?? [], ...names])];
  };
  add("bounding");
  add("effective");
  add("permitted");
  if (sets.inheritable !== undefined) add("ambient");
  process.capabilities = sets;
}
