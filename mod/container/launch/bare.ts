/**
 * A directory that is no root file system: told before mount points are made in
 * it.
 *
 * @module
 */

import { O } from "../../../ffi/constants.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import { findInRoot } from "../../../ffi/rootfs.ts";
import type { Config } from "../../config/config.ts";
import { ContainerError } from "../../errors.ts";
import { isUnder, joinPath } from "../../mounts/path.ts";

const ENOENT = -2;

/** Whether one is there, or nobody can tell. */
function hasOne(rootfs: string, paths: readonly string[]): boolean {
  const root = openFd(rootfs, O.PATH);
  try {
    return paths.some((path) => {
      const found = findInRoot(root, path);
      if (found >= 0) closeFd(found);
      return found !== ENOENT;
    });
  } finally {
    closeFd(root);
  }
}

/**
 * Looks whether a program of that name can be anywhere in the container.
 *
 * @throws {ContainerError} with exit code 127 where the root file system has none of
 * the directories of PATH, and no mount may bring one
 */
export function refuseBare(config: Config, rootfs: string): void {
  const { spec: { process, mounts = [] } } = config;
  const [command = "/"] = process?.args ?? [];
  if (config.mode !== "friendly" || command.includes("/")) return;
  const entries = process?.env?.findLast((it) => it.startsWith("PATH="))
    ?.slice(5).split(":") ?? [];
  // One that is relative is looked for in the working directory.
  if (!entries.every((it) => it.startsWith("/"))) return;
  const paths = entries.map((it) => joinPath("/", it));
  const places = mounts.map((it) => joinPath("/", it.destination));
  const isBrought = (path: string) =>
    places.some((it) => isUnder(path, it) || isUnder(it, path));
  if (
    paths.length === 0 || paths.some(isBrought) || hasOne(rootfs, paths)
  ) return;
  throw new ContainerError(
    `Cannot run the command: exec: ${
      JSON.stringify(command)
    }: executable file not found in $PATH: "${config.rootfs}" has none of its directories (${
      paths.join(", ")
    })`,
    {
      code: "command-not-found",
      hint:
        `Give an unpacked image; a program of this machine runs on a directory of yours by rustyrun run --rootfs / --ephemeral -v DIR:/src -w /src -- ${command}`,
      exitCode: 127,
    },
  );
}
