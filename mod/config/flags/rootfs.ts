/**
 * The root file system: `--rootfs` and `--ephemeral`.
 *
 * @module
 */

import type { Ephemeral } from "../config.ts";
import { ContainerError, hintLink } from "../../errors.ts";
import { flagOn, type Flags, flagValue, resolvePath } from "./use.ts";
import { explainFileError, type FlagsHost } from "./host.ts";
import { isHostRoot } from "./secrets.ts";

/** Returns the absolute path of the root file system, and what lies there.
 *
 * @throws {ContainerError} when it is no directory, or the host's own and could
 * be written to
 */
export function readRootfs(flags: Flags, host: FlagsHost) {
  const given = flagValue(flags, "rootfs") ?? "";
  const wanted = `Cannot use the root file system "${given}"`;
  const hint =
    "Give a directory that holds a root file system, such as an unpacked image";
  if (given === "") {
    throw new ContainerError(`${wanted}: no directory is given`, {
      code: "rootfs-missing",
      hint,
    });
  }
  const rootfs = resolvePath(host.cwd, given);
  let found;
  try {
    found = host.stat(rootfs);
  } catch (error) {
    throw new ContainerError(`${wanted}: ${explainFileError(error)}`, {
      code: error instanceof Deno.errors.NotFound
        ? "rootfs-missing"
        : "rootfs-unusable",
      hint: error instanceof Deno.errors.PermissionDenied
        ? "Give a directory that you can reach, or run rustyrun as a user who can"
        : hintLink(rootfs, error, host.isLink) ?? hint,
      cause: error,
    });
  }
  if (!found.isDirectory) {
    throw new ContainerError(`${wanted}: it is not a directory`, {
      code: "rootfs-not-directory",
      hint: /\.(tar|tgz|gz|xz|zst|img|iso|squashfs)$/.test(given)
        ? "Unpack it into a directory first and give that"
        : hint,
    });
  }
  if (!flags.has("ephemeral") && !flagOn(flags, "read-only")) {
    if (isHostRoot(found, host)) {
      throw new ContainerError(
        `${wanted}: the container would write to this machine's own files`,
        {
          code: "rootfs-is-host",
          hint:
            "Add --ephemeral to throw every change away, or --read-only to allow none",
        },
      );
    }
  }
  return { rootfs, found };
}

/** Returns where the changes of a throw-away root file system are kept.
 *
 * @throws {ContainerError} when the directory for them cannot be used
 */
export function readEphemeral(
  flags: Flags,
  host: FlagsHost,
): Ephemeral | undefined {
  const last = flags.get("ephemeral")?.at(-1);
  if (last === undefined) return undefined;
  if (typeof last.value !== "string") return { kind: "memory" };
  const dir = resolvePath(host.cwd, last.value);
  let why = last.value === "" ? "no directory is given" : "";
  let hint =
    "Give a directory that exists, or --ephemeral alone to keep them in memory";
  let cause: unknown;
  if (!why) {
    try {
      if (host.stat(dir).isDirectory) return { kind: "directory", dir };
      why = "it is not a directory";
    } catch (error) {
      why = explainFileError(error);
      cause = error;
      hint = hintLink(dir, error, host.isLink) ?? hint;
    }
  }
  throw new ContainerError(
    `Cannot keep the changes in "${last.value}" (${last.typed}): ${why}`,
    { code: "ephemeral-unusable", hint, cause },
  );
}
