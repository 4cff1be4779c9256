/**
 * What criu mounts of the host: opened before, given by its path, and compared
 * afterwards with what lies in the container. criu goes by paths, which others
 * may change meanwhile, and takes a mount's propagation from what the path is on.
 *
 * @module
 */

import {
  CLONE,
  MOUNT_ATTR,
  O,
  O_BY_ARCH,
  RESOLVE,
} from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { readLinkSync } from "../../../ffi/files.ts";
import {
  identifyFile,
  isSameFile,
  type SeenFile,
} from "../../../ffi/identity.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import { tryOpenAt2 } from "../../../ffi/rootfs.ts";
import { ContainerError } from "../../errors.ts";
import { setAttr } from "../../mounts/attributes.ts";
import type { Op } from "../../plan.ts";
import { runPlan } from "../../process.ts";
import type { Place } from "../model.ts";
import type { Attributes, Source } from "./external.ts";

const { DIRECTORY, NOFOLLOW } =
  O_BY_ARCH[Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"];
const NO_LINKS = RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;

/** A source in hand. */
export interface OpenSource {
  /** Its place in the container. */
  place: string;
  /** Its path on the host, without links. */
  path: string;
  attributes: Attributes;
  /** To be closed: so long no other file has its number. */
  fd: number;
  seen: SeenFile;
}

function cannotOpen(place: string, path: string, cause: SyscallError) {
  return new ContainerError(
    `Cannot restore the mount at "${place}" of "${path}": ${cause.message}`,
    {
      code: "mount-source",
      hint: "What config.json mounts must be there",
      exitCode: 1,
      cause,
    },
  );
}

function openSource(
  place: string,
  { path, below, hides, attributes }: Source,
  hiding: string,
): OpenSource {
  let fd = -1;
  try {
    fd = openFd(path, O.PATH);
    if (below !== undefined) {
      // The image says which of the mounts in there is meant: no link counts.
      const found = tryOpenAt2(
        fd,
        below,
        O.PATH | NOFOLLOW,
        RESOLVE.BENEATH | NO_LINKS,
      );
      closeFd(fd);
      fd = found;
      if (fd < 0) throw new SyscallError("openat2", -fd);
    }
    return {
      place,
      path: hides ? hiding : readLinkSync(`/proc/self/fd/${fd}`),
      attributes,
      fd,
      seen: identifyFile(fd),
    };
  } catch (cause) {
    if (fd >= 0) closeFd(fd);
    if (!(cause instanceof SyscallError)) throw cause;
    throw cannotOpen(place, below ? `${path}/${below}` : path, cause);
  }
}

/**
 * Opens what goes to the places of an image.
 *
 * @param hiding path of a read-only mount of the null device: criu makes a mount
 * of it, and does not make every one read-only
 * @throws {ContainerError} when one is not there
 */
export function openSources(
  places: readonly string[],
  sources: readonly Source[],
  hiding: string,
): OpenSource[] {
  const opened: OpenSource[] = [];
  try {
    places.forEach((it, at) =>
      opened.push(openSource(it, sources[at]!, hiding))
    );
    return opened;
  } catch (error) {
    closeSources(opened);
    throw error;
  }
}

/** Closes them. */
export function closeSources(opened: readonly OpenSource[]): void {
  for (const { fd } of opened) closeFd(fd);
}

/** Plans it: in the mount namespace of slot "container", whose root is its own. */
function planAttributes(
  opened: readonly OpenSource[],
  readonlyRoot: boolean,
): Op[] {
  const open = { do: "open", into: "mount", at: "", mode: 0 } as const;
  const root = {
    why: "make the root file system read-only, which criu does not",
    from: "root.readonly",
  };
  const note = {
    why: "give what is mounted of the host the flags of config.json",
    from: "mounts",
  };
  return [
    { do: "setns", slot: "container", type: CLONE.NEWNS, ...note },
    ...(readonlyRoot
      ? [
        { ...open, path: "/", flags: O.PATH, resolve: 0, ...root },
        setAttr("mount", { set: MOUNT_ATTR.RDONLY, clear: 0 }, root),
      ]
      : []),
    ...opened.flatMap(({ place, seen: { dev, ino }, attributes }): Op[] => [
      {
        ...open,
        path: place,
        flags: O.PATH | NOFOLLOW,
        resolve: NO_LINKS,
        ...note,
      },
      { do: "same", slot: "mount", dev, ino, ...note },
      setAttr("mount", { ...attributes }, note),
    ]),
  ];
}

/**
 * Gives the mounts of a restored container, which has not run yet, the flags that
 * config.json names. criu 3.17 takes them from the image, and of two mounts of
 * one file system only for the first (do_bind_mount_v2()).
 *
 * @param pidfd its first process
 * @param readonlyRoot its root file system is to be read-only
 * @throws {OperationError} when something else lies there
 */
export function giveAttributes(
  pidfd: number,
  opened: readonly OpenSource[],
  readonlyRoot: boolean,
  { root, outlet }: Place,
): void {
  const named = opened.filter(({ attributes: { set, clear } }) => set || clear);
  if (named.length === 0 && !readonlyRoot) return;
  const ops = planAttributes(named, readonlyRoot);
  runPlan({}, ops, root, [["container", pidfd]], outlet);
}

/**
 * Finds a place of a restored container where something else lies than what was
 * opened for it.
 *
 * @param pid its first process
 * @returns undefined when all is as it was meant
 * @throws {SyscallError} when the process is gone
 */
export function findOther(
  pid: number,
  opened: readonly OpenSource[],
): string | undefined {
  const root = openFd(`/proc/${pid}/root`, O.PATH | DIRECTORY);
  try {
    return opened.find(({ place, seen }) => {
      const fd = tryOpenAt2(
        root,
        place.slice(1),
        O.PATH | NOFOLLOW,
        RESOLVE.IN_ROOT | NO_LINKS,
      );
      if (fd < 0) return true;
      try {
        return !isSameFile(identifyFile(fd), seen);
      } finally {
        closeFd(fd);
      }
    })?.place;
  } finally {
    closeFd(root);
  }
}
