/**
 * The flags that every way to start a process has: `run` of either form,
 * `create` and `exec`.
 *
 * @module
 */

import type { Config } from "../config.ts";
import { parseInteger } from "./numbers.ts";
import {
  type Directory,
  flagOn,
  type Flags,
  flagTyped,
  flagValue,
  refuse,
  resolvePath,
} from "./use.ts";

/** What a configuration is made of, of a command line. */
export interface FlagsInput {
  /** Flags before the command. */
  global: Flags;
  flags: Flags;
  /** The command and its words. */
  args: readonly string[];
}

/** The part of a configuration that both forms of `run`, and `create`, take
 * from flags. */
export type LaunchOptions = Pick<
  Config,
  | "noPivot"
  | "noNewKeyring"
  | "preserveFds"
  | "pidFile"
  | "consoleSocket"
  | "pidfdSocket"
  | "cgroupManager"
>;

/**
 * Returns what the flags say that `run --rootfs`, `run --bundle` and `create`
 * have in common.
 *
 * @throws {ContainerError} for `--preserve-fds` that is no number
 */
export function readLaunchOptions(
  { global, flags }: Pick<FlagsInput, "global" | "flags">,
  cwd: Directory,
): LaunchOptions {
  const options: LaunchOptions = {
    noPivot: flagOn(flags, "no-pivot"),
    noNewKeyring: flagOn(flags, "no-new-keyring"),
    preserveFds: 0,
    cgroupManager: flagOn(global, "systemd-cgroup")
      ? "systemd"
      : (flagValue(global, "cgroup-manager") ??
        "auto") as Config["cgroupManager"],
  };
  const fds = flagValue(flags, "preserve-fds");
  if (fds !== undefined) {
    const count = parseInteger(fds, 0, 65536);
    if (count === undefined) {
      throw refuse(
        flagTyped(flags, "preserve-fds"),
        `"${fds}" is not a number of descriptors`,
        "preserve-fds",
        "Write a whole number: 1 passes descriptor 3 on",
      );
    }
    options.preserveFds = count;
  }
  const pidFile = flagValue(flags, "pid-file");
  const consoleSocket = flagValue(flags, "console-socket");
  const pidfdSocket = flagValue(flags, "pidfd-socket");
  if (pidFile) options.pidFile = resolvePath(cwd, pidFile);
  if (consoleSocket) options.consoleSocket = resolvePath(cwd, consoleSocket);
  if (pidfdSocket) options.pidfdSocket = resolvePath(cwd, pidfdSocket);
  return options;
}
