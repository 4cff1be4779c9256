/**
 * A limit that leaves no room for the start itself.
 *
 * @module
 */

import { errnoName } from "../../ffi/errno.ts";
import type { Config } from "../config/config.ts";
import { findOrigin } from "../config/flags/use.ts";
import type { Row } from "./rows.ts";
import type { Failure } from "./wanted.ts";

/** Where a limit comes from and what it is: the flag as typed, else the key of
 * the configuration with its value. */
function nameLimit(config: Config, key: string, value: unknown): string {
  return findOrigin(config.flags, key) ?? `${key}: ${value}`;
}

/** The first of these resource limits (setrlimit(2)) that the process has. */
function findRlimit(config: Config, ...types: string[]): string | undefined {
  const limits = config.spec.process?.rlimits ?? [];
  const at = limits.findIndex((it) => types.includes(it.type));
  return at < 0 ? undefined : nameLimit(
    config,
    `process.rlimits[${at}]`,
    `${limits[at]!.type} ${limits[at]!.soft}`,
  );
}

/** Words the failed fork of --init; `undefined` where no limit is the reason. */
export function wordInit({ errno }: Failure, config: Config): Row | undefined {
  if (errnoName(errno) !== "EAGAIN") return undefined;
  const pids = config.spec.linux?.resources?.pids?.limit;
  const by = pids !== undefined && Number(pids) === 1
    ? nameLimit(config, "linux.resources.pids.limit", pids)
    : findRlimit(config, "RLIMIT_NPROC");
  return {
    code: "process-limit",
    message: `Cannot start the command under --init: ${
      by === undefined ? "the limit of processes" : `the limit ${by}`
    } leaves no room for it`,
    hint: by === undefined
      ? "The user (ulimit -u) or a cgroup above the container's (pids.max) has as many processes as it may"
      : "--init is a process of its own, and the command another: give room for both, or leave --init out",
  };
}

/** Words the helper's own lack of memory; `undefined` where no limit of the
 * process is the reason. */
export function wordRoom({ errno }: Failure, config: Config): Row | undefined {
  if (errnoName(errno) !== "ENOMEM") return undefined;
  const by = findRlimit(config, "RLIMIT_AS", "RLIMIT_DATA");
  return by === undefined ? undefined : {
    code: "memory-limit",
    message:
      `Cannot start the container: the limit ${by} leaves no memory to start a program`,
    hint: "It is in bytes, and a program needs some megabytes",
  };
}

/** What a helper's death by that signal has to do with a limit. */
export function findDeath(config: Config, signal: number): string | undefined {
  // SIGKILL, SIGXCPU
  if (signal !== 9 && signal !== 24) return undefined;
  const by = findRlimit(config, "RLIMIT_CPU");
  return by === undefined
    ? undefined
    : `The limit ${by} is in seconds of processor time, and may leave too little to start a program`;
}
