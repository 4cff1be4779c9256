/**
 * What a failed operation means to the person who asked for it: from (operation,
 * errno) to message, hint and exit code. The rows are in mod/failure/.
 *
 * @module
 */

import { errnoName } from "../ffi/errno.ts";
import { isLinkInRoot } from "../ffi/rootfs.ts";
import type { Config } from "./config/config.ts";
import { ContainerError } from "./errors.ts";
import { wordCommand } from "./failure/command.ts";
import { findDeath, wordInit, wordRoom } from "./failure/limits.ts";
import { wordMount } from "./failure/mounts.ts";
import {
  readSysctl,
  type Sysctls,
  wordConfined,
  wordJoin,
  wordNamespace,
} from "./failure/namespaces.ts";
import {
  findRow,
  type Row,
  wordHook,
  wordVerify,
  wordWrite,
} from "./failure/rows.ts";
import {
  type Failure,
  kernelWords,
  quote,
  sourceOf,
  wantedOf,
} from "./failure/wanted.ts";
import type { Facts } from "./host.ts";
import { HelperDied, OperationError } from "./process.ts";
import { IN_FLIGHT } from "./process/errors.ts";

export type { Failure };

/** A working directory that chdir(2) refuses, or that is not in the root. */
function wordDirectory({ op, errno, text }: Failure): Row {
  const path = op.do === "chdir" ? op.path : "";
  const name = errnoName(errno);
  if (name === "ENOENT" && text.startsWith("the directory")) {
    return {
      code: "cwd-outside",
      message: `Cannot use ${
        quote(path)
      } as the working directory: it is outside the root file system`,
      hint: "Name a directory inside the root file system",
    };
  }
  return {
    code: "cwd",
    hint: name === "EACCES"
      ? "The container's user may not enter it"
      : name === "ELOOP"
      ? "A symbolic link on the way leads in a circle, or is one of procfs"
      // It is made where it is missing.
      : name === "ENOENT" && op.do === "chdir" && Number(op.create) & 1
      ? "It is a symbolic link, or lies behind one, that leads nowhere inside the root file system"
      : name === "EROFS"
      ? "It is missing and the root file system is read-only: name one that is there"
      : "Name a directory inside the root file system",
  };
}

/** A device where something is already. None is made behind a link. */
function wordDevice(failure: Failure, config: Config): Row {
  const row = findRow(failure);
  const at = /^linux\.devices\[(\d+)\]/.exec(failure.op.from ?? "")?.[1];
  const path = config.spec.linux?.devices?.[Number(at)]?.path;
  return errnoName(failure.errno) === "EEXIST" && path !== undefined &&
      isLinkInRoot(config.rootfs, path.replace(/\/+$/, ""))
    ? {
      ...row,
      hint: "A symbolic link is there already: a device replaces none",
    }
    : row;
}

function findWords(
  failure: Failure,
  config: Config,
  facts: Facts,
  sysctl: Sysctls,
): Row {
  const { op } = failure;
  const isForMount = /^(mounts|files)\b/.test(op.from ?? "");
  switch (op.do) {
    case "findExec":
    case "exec":
      return wordCommand(failure, config);
    case "unshare":
    case "fork":
    case "warden":
      return wordNamespace(failure, facts, sysctl);
    case "setns":
      return wordJoin(failure, config, facts);
    case "fsmount":
    case "cover":
    case "moveMount":
    case "openTree":
    case "target":
    case "mountSetattr":
    case "reconfigure":
    case "mask":
    case "readonly":
      return wordMount(failure, config, facts);
    case "mkdir":
    case "mkdirOwn":
      return wordMount(failure, config, facts);
    case "open":
      return op.into.startsWith("ns.")
        ? wordJoin(failure, config, facts)
        : isForMount
        ? wordMount(failure, config, facts)
        : op.into === "root.dir"
        ? {
          code: "replaced",
          hint:
            "Something put a link, or nothing, in its way meanwhile: try again",
        }
        : findRow(failure);
    case "same":
      return op.slot.startsWith("ns.")
        ? wordJoin(failure, config, facts)
        : findRow(failure);
    case "verify":
      return op.slot.startsWith("ns.")
        ? wordJoin(failure, config, facts)
        : wordVerify(failure, config);
    case "write":
      return wordWrite(failure);
    case "chdir":
      return wordDirectory(failure);
    case "mknod":
      return wordDevice(failure, config);
    case "spawn":
      return wordHook(failure, config);
    case "init":
      return wordInit(failure, config) ?? findRow(failure);
    case "closeFds":
      return wordRoom(failure, config) ?? findRow(failure);
    default:
      return findRow(failure);
  }
}

/**
 * Words a failed operation.
 *
 * @param sysctl reads this machine's settings, which say what blocks user
 * namespaces
 */
export function wordFailure(
  failure: Failure,
  config: Config,
  facts: Facts,
  cause?: unknown,
  sysctl: Sysctls = readSysctl,
): ContainerError {
  const it = wordConfined(failure, config, facts, sysctl) ??
    findWords(failure, config, facts, sysctl);
  const message = it.message ??
    `Cannot ${wantedOf(failure.op, config)}${sourceOf(failure.op, config)}: ${
      kernelWords(failure)
    }`;
  const name = errnoName(failure.errno);
  return new ContainerError(message, {
    code: name === "ETOOMANYREFS" ? "helper-start" : it.code,
    // The container's own limit is set later, from outside.
    hint: name === "EMFILE"
      ? "The caller's limit of open files is reached: ulimit -n raises it"
      : name === "ETOOMANYREFS"
      ? IN_FLIGHT
      : it.hint,
    exitCode: it.exitCode,
    cause,
  });
}

/** Words whatever running a plan has thrown; other errors pass through. */
export function wordPlanError(
  error: unknown,
  config: Config,
  facts: Facts,
  oomKilled = false,
): unknown {
  if (error instanceof OperationError) {
    const worded = wordFailure(error, config, facts, error);
    worded.suppressed.push(...error.suppressed);
    return worded;
  }
  if (error instanceof HelperDied) {
    const worded = new ContainerError(
      oomKilled
        ? "Cannot start the container: its memory limit killed it before the command ran"
        : error.signal === 0
        ? "Cannot start the container: the helper ended without a reason"
        : `Cannot start the container: signal ${error.signal} killed the helper`,
      {
        code: oomKilled ? "memory-limit" : "helper-died",
        hint: oomKilled
          ? "Give it more: --memory"
          : findDeath(config, error.signal) ??
            "The kernel's log (dmesg) may say more",
        cause: error,
      },
    );
    worded.suppressed.push(...error.suppressed);
    return worded;
  }
  return error;
}
