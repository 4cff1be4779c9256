/**
 * `rustyrun exec`.
 *
 * @module
 */

import {
  flagOn,
  flagTyped,
  flagUses,
  flagValue,
  refuse,
  resolvePath,
} from "../config/flags/use.ts";
import { readLaunchOptions } from "../config/from_flags.ts";
import { loadProcess } from "../config/load.ts";
import type { Process } from "../config/schema.ts";
import { type ExecOptions, execProcess } from "../container/exec.ts";
import { ContainerError } from "../errors.ts";
import { gatherFacts } from "../host.ts";
import type { Call } from "./main.ts";
import { warnTo } from "./report.ts";
import { placeOf, refuseSharedCache, wordsOf } from "./run.ts";

const ID_MAX = 4294967294;

/** One id: decimal digits and nothing else (CVE-2026-30892). */
function parseId(text: string, typed: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= ID_MAX) return Number(text);
  throw refuse(
    typed,
    `"${text}" is not a number of a user or group`,
    "user",
    "Write UID or UID:GID, by number: 1000:1000",
  );
}

/** The process that the flags and words of exec describe. */
function changeProcess(call: Call, own: Process): Process {
  const { flags } = call;
  const process: Process = { ...own, args: [...call.args.slice(1)] };
  process.terminal = flagOn(flags, "tty");
  const cwd = flagValue(flags, "cwd");
  if (cwd !== undefined) process.cwd = cwd;
  const added = flagUses(flags, "env");
  for (const { value, typed } of added) {
    if (value.indexOf("=") > 0) continue;
    throw refuse(
      typed,
      `"${value}" is not NAME=VALUE`,
      "env",
      "Write NAME=VALUE: the container does not get the caller's variables",
    );
  }
  process.env = [...own.env ?? [], ...added.map((it) => it.value)];
  const user = flagValue(flags, "user");
  if (user !== undefined) {
    const typed = flagTyped(flags, "user");
    const colon = user.indexOf(":");
    const uid = colon < 0 ? user : user.slice(0, colon);
    const gid = colon < 0 ? undefined : user.slice(colon + 1);
    // HOME is that user's own.
    process.env = process.env.filter((it) => !it.startsWith("HOME="));
    process.user = {
      ...own.user,
      uid: parseId(uid, typed),
      gid: gid === undefined ? own.user?.gid ?? 0 : parseId(gid, typed),
    };
  }
  const groups = flagUses(flags, "additional-gids");
  if (groups.length > 0) {
    process.user = {
      uid: 0,
      gid: 0,
      ...process.user,
      additionalGids: [
        ...own.user?.additionalGids ?? [],
        ...groups.map((it) => parseId(it.value, it.typed)),
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

function readOptions(call: Call): ExecOptions {
  const { flags } = call;
  const file = flagValue(flags, "process");
  const cwd = Deno.cwd();
  if (file === undefined && call.args.length < 2) {
    throw new ContainerError(
      "Cannot run a process: process args cannot be empty",
      { code: "command-empty", hint: "Write rustyrun exec ID COMMAND ARGS..." },
    );
  }
  const launch = readLaunchOptions(call, cwd);
  const given = file === undefined
    ? undefined
    : loadProcess(resolvePath(cwd, file));
  return {
    process: (own) => {
      if (given === undefined) return changeProcess(call, own);
      const process = { ...given };
      if (flagOn(flags, "tty")) process.terminal = true;
      return process;
    },
    detach: flagOn(flags, "detach"),
    ignorePaused: flagOn(flags, "ignore-paused"),
    cgroups: flagUses(flags, "cgroup").map((it) => it.value),
    preserveFds: launch.preserveFds,
    ...(launch.pidFile === undefined ? {} : { pidFile: launch.pidFile }),
    ...(launch.consoleSocket === undefined
      ? {}
      : { consoleSocket: launch.consoleSocket }),
    ...(launch.pidfdSocket === undefined
      ? {}
      : { pidfdSocket: launch.pidfdSocket }),
  };
}

/** Runs a process in a container; returns 0 when detached. */
export function run(call: Call): number {
  refuseSharedCache();
  const id = call.args[0]!;
  return execProcess(
    id,
    readOptions(call),
    gatherFacts(),
    placeOf(call),
    wordsOf(call, id),
    warnTo(call),
  );
}
