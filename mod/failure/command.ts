/**
 * Why the command cannot be run: 127 and 126 as a shell and docker have them,
 * with the words that engines look for ("executable file not found in $PATH",
 * "no such file or directory", "permission denied").
 *
 * @module
 */

import { describeErrno, errnoName } from "../../ffi/errno.ts";
import { isLinkInRoot } from "../../ffi/rootfs.ts";
import type { Config } from "../config/config.ts";
import { findFormat } from "./format.ts";
import type { Row } from "./rows.ts";
import type { Failure } from "./wanted.ts";

function pathOf(config: Config): string {
  const entry = config.spec.process?.env?.findLast((it) =>
    it.startsWith("PATH=")
  );
  return entry?.slice(5) ?? "";
}

/** What to do about a path that lies in an empty directory of the container's. */
function coveredBy(config: Config, path: string): string | undefined {
  if (config.mode !== "friendly") return undefined;
  const destination = config.spec.mounts?.find((it) =>
    it.type === "tmpfs" && path.startsWith(`${it.destination}/`)
  )?.destination;
  return destination === undefined
    ? undefined
    : `"${destination}" is an empty directory in the container: show its files with -v ${destination}:${destination}:ro`;
}

/** Whether a command that was not found is a link, as far as the host sees. */
function leadsNowhere(config: Config, command: string): boolean {
  return command.startsWith("/") && isLinkInRoot(config.rootfs, command);
}

/** Words a command that was not found, or that execve(2) refused. */
export function wordCommand(failure: Failure, config: Config): Row {
  const { op, errno, text } = failure;
  const command = config.spec.process?.args?.[0] ?? "";
  const shown = JSON.stringify(command);
  const name = errnoName(errno);
  switch (name) {
    case "ENOENT":
      if (op.do === "exec") {
        return {
          code: "interpreter-missing",
          message:
            `Cannot run the command: exec: "${text}": no such file or directory: its interpreter is missing`,
          hint:
            "A script needs the program of its #! line, a dynamic program its ld.so, inside the root file system",
          exitCode: 127,
        };
      }
      return {
        code: "command-not-found",
        message: command.includes("/")
          ? `Cannot run the command: exec: ${shown}: stat ${command}: no such file or directory`
          : `Cannot run the command: exec: ${shown}: executable file not found in $PATH`,
        hint: coveredBy(config, command) ??
          (/\s/.test(command)
            ? "This is the name of one program, and is not split: give its arguments as separate words"
            : leadsNowhere(config, command)
            ? "It is a symbolic link, and what it leads to is not inside the root file system"
            : command.includes("/")
            ? "The path is one inside the root file system" +
              (config.mode === "friendly"
                ? "; -v .:/src -w /src shows this directory there"
                : "")
            : `Searched in PATH=${pathOf(config)} inside the root file system`),
        exitCode: 127,
      };
    case "ENOTDIR":
      return {
        code: "command-not-found",
        message:
          `Cannot run the command: exec: ${shown}: stat ${command}: not a directory`,
        hint: "A part of the path is a file, inside the root file system",
        exitCode: 127,
      };
    case "EACCES":
    case "EPERM":
      return {
        code: "command-not-executable",
        message:
          `Cannot run the command: exec: ${shown}: permission denied: "${text}" is not an executable file for this user`,
        hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
        exitCode: 126,
      };
    case "EISDIR":
      return {
        code: "command-is-directory",
        message:
          `Cannot run the command: exec: ${shown}: is a directory: permission denied`,
        hint: "Name a program in it",
        exitCode: 126,
      };
    case "ENOEXEC": {
      const format = findFormat(config, failure.candidates ?? [text]);
      return {
        code: "command-format",
        message:
          `Cannot run the command: exec: "${text}": exec format error: permission denied${
            format === undefined ? "" : `: ${format.what}`
          }`,
        hint: format?.hint ??
          "It is built for another architecture, or a script without a #! line",
        exitCode: 126,
      };
    }
    case "ETXTBSY":
      return {
        code: "command-busy",
        message:
          `Cannot run the command: exec: "${text}": text file busy: permission denied`,
        hint: "Somebody has it open for writing",
        exitCode: 126,
      };
    default:
      return {
        code: "command",
        message: `Cannot run the command: exec: "${text}": ${
          describeErrno(errno)
        }`,
        hint: HINTS[name],
        exitCode: 126,
      };
  }
}

const HINTS: Record<string, string> = {
  E2BIG:
    "The arguments and the environment are larger than the kernel takes: a quarter of the stack limit (ulimit -s), and 128 KiB for one",
  ENOMEM: "The memory limit leaves no room for the program: --memory",
  ELIBBAD: "The interpreter that the program names is not a program",
  ELOOP: "Its symbolic links lead in a circle, or its #! lines",
  ENAMETOOLONG: "A name has at most 255 bytes, a path 4095",
  EINVAL: "The program names more than one interpreter",
  EIO: "The program cannot be read: the kernel's log (dmesg) may say more",
};
