/**
 * What `checkpoint` and `restore` are asked for.
 *
 * @module
 */

import { ContainerError } from "../../errors.ts";
import type { Facts } from "../../host.ts";
import type { CGROUPS_MODE, Field } from "./wire.ts";
import { OPTION } from "./wire.ts";

/** What both have: names of criu's options. */
export interface CriuOptions {
  /** Absolute path of the image's directory. */
  imagePath: string;
  /** Absolute path for logs; the image's when absent. */
  workPath?: string;
  tcpEstablished: boolean;
  extUnixSk: boolean;
  shellJob: boolean;
  lazyPages: boolean;
  fileLocks: boolean;
  autoDedup: boolean;
  /** CLONE_NEW* of namespaces that are left empty. */
  emptyNs: number;
  cgroupsMode?: keyof typeof CGROUPS_MODE;
}

/** criu's log level: all but its debug lines would leave out what it was at when
 * it failed. */
const LOG_LEVEL = 4;

/** The fields that a dump and a restore have in common. */
export function commonFields(options: CriuOptions, log: string): Field[] {
  return [
    [OPTION.logLevel, LOG_LEVEL],
    [OPTION.logFile, log],
    [OPTION.notifyScripts, true],
    [OPTION.tcpEstablished, options.tcpEstablished],
    [OPTION.extUnixSk, options.extUnixSk],
    [OPTION.shellJob, options.shellJob],
    [OPTION.lazyPages, options.lazyPages],
    [OPTION.fileLocks, options.fileLocks],
    [OPTION.autoDedup, options.autoDedup],
    [OPTION.emptyNs, options.emptyNs],
    [OPTION.orphanPtsMaster, true],
    [OPTION.manageCgroups, true],
  ];
}

/**
 * Checks that the caller can checkpoint and restore at all.
 *
 * @throws {ContainerError} for anybody but root of the machine
 */
export function needRoot(
  { uid, inUserns }: Pick<Facts, "uid" | "inUserns">,
  what: "checkpoint" | "restore",
): void {
  if (uid === 0 && !inUserns) return;
  throw new ContainerError(`Cannot ${what}: criu needs root`, {
    code: "not-root",
    hint: "Call rustyrun as root, outside of any user namespace",
    exitCode: 1,
  });
}
