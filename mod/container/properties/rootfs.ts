/**
 * The root file system's directory: opened once, and judged by that; the child
 * stage takes no other one.
 *
 * @module
 */

import { O, O_BY_ARCH, RESOLVE } from "../../../ffi/constants.ts";
import { readLinkSync, statSync } from "../../../ffi/files.ts";
import {
  identifyFile,
  isSameFile,
  readFsType,
  type SeenFile,
} from "../../../ffi/identity.ts";
import { closeFd, cstring, trySyscall } from "../../../ffi/libc.ts";
import { identifyMount } from "../../../ffi/mount.ts";
import type { Config } from "../../config/config.ts";
import { ContainerError } from "../../errors.ts";
import { KERNEL_OWN } from "../../host/kernel_own.ts";
import type { SeenRoot } from "../model.ts";

const AT_FDCWD = -100;
const EACCES = -13, ENOTDIR = -20, ELOOP = -40;

/** Opens a directory; returns a descriptor, or minus an errno. */
function open(at: number, path: string, resolve: number) {
  const { DIRECTORY } = O_BY_ARCH[Deno.build.arch];
  const how = new BigUint64Array([
    BigInt(O.PATH | O.CLOEXEC | DIRECTORY),
    0n,
    BigInt(resolve),
  ]);
  return trySyscall(
    "openat2",
    at,
    cstring(path),
    new Uint8Array(how.buffer),
    24,
  );
}

/** A bundle is somebody else's directory, whose links could lead anywhere: no
 * path that it names has one, wherever it lies. What --rootfs names is the
 * caller's own word. */
function openRootfs(config: Config): number {
  const { bundle, mode, rootfs, seenBundle } = config;
  if (mode === "friendly") return open(AT_FDCWD, rootfs, 0);
  const resolve = RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;
  if (!rootfs.startsWith(`${bundle}/`)) {
    return open(AT_FDCWD, rootfs, resolve);
  }
  const base = open(AT_FDCWD, bundle, 0);
  if (base < 0) return base;
  try {
    if (
      seenBundle !== undefined && !isSameFile(identifyFile(base), seenBundle)
    ) {
      throw new ContainerError(
        `Cannot use the bundle "${bundle}": it is another directory than the one whose config.json was read`,
        REPLACED,
      );
    }
    return open(base, rootfs.slice(bundle.length + 1), resolve);
  } finally {
    closeFd(base);
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Throws for what no container can have as its root: missing mount points
 * would be made there, where a new directory is no mere one, or cannot be. /dev is a tmpfs by its type, so it goes by identity. */
function refuseKernelOwn(config: Config, fd: number, seen: SeenFile): void {
  const magic = readFsType(fd);
  const [type] = [...KERNEL_OWN].find(([, it]) => it === magic) ?? [];
  if (type === undefined && !isSameFile(seen, identifyFile("/dev"))) return;
  throw cannotUse(
    config,
    type === undefined
      ? "it is this machine's /dev"
      : `it is the kernel's own (${
        type === "proc" ? "procfs" : type
      }), and no files of a system`,
    "rootfs-kernel",
    "Give a directory that holds a root file system, such as an unpacked image",
  );
}

function cannotUse(
  config: Config,
  why: string,
  code: string,
  hint: string,
): ContainerError {
  const { rootfs } = config;
  const shown = config.flags.get("root.path") ?? `root.path "${rootfs}"`;
  return new ContainerError(
    `Cannot use "${rootfs}" as the root file system (${shown}): ${why}`,
    { code, hint },
  );
}

function refuse(config: Config, errno: number): ContainerError {
  const { rootfs } = config;
  const cannot = (why: string, code: string, hint: string) =>
    cannotUse(config, why, code, hint);
  if (errno === ELOOP) {
    return cannot(
      "it is a symbolic link, or lies behind one",
      "rootfs-link",
      "A link in a bundle could lead anywhere on the host: name the directory itself",
    );
  }
  if (errno === ENOTDIR) {
    return cannot(
      "not a directory",
      "rootfs-not-directory",
      isFile(rootfs)
        ? `Unpack it first: mkdir root && tar -C root -xf ${rootfs}`
        : "Name a directory",
    );
  }
  return errno === EACCES
    ? cannot(
      "permission denied",
      "rootfs-denied",
      "A directory above it does not let this user in",
    )
    : cannot(
      "no such file or directory",
      "rootfs-missing",
      "Name a directory that holds one, such as an unpacked image or what debootstrap makes",
    );
}

const REPLACED = {
  code: "replaced",
  hint: "Something put it there meanwhile: try again",
} as const;

/** Says that something else lies there than when it was looked at. */
export function rootReplaced(config: Config): ContainerError {
  return new ContainerError(
    `Cannot use "${config.rootfs}" as the root file system: it is another directory than when it was looked at`,
    REPLACED,
  );
}

/**
 * Opens the root file system's directory and looks at it.
 *
 * @param look what else is to be read there: it gets a path to what was opened
 * @throws {ContainerError} when it is missing, is no directory, is a symbolic
 * link of a bundle, or is not what the flags were judged by
 */
export function seeRootfs(
  config: Config,
  look: (directory: string) => void,
): SeenRoot {
  const fd = openRootfs(config);
  if (fd < 0) throw refuse(config, fd);
  try {
    const seen = identifyFile(fd);
    const { seenRoot } = config;
    if (
      seenRoot !== undefined &&
      (BigInt(seenRoot.dev) !== seen.dev ||
        seenRoot.ino !== Number(seen.ino))
    ) throw rootReplaced(config);
    refuseKernelOwn(config, fd, seen);
    const directory = `/proc/self/fd/${fd}`;
    look(directory);
    return {
      ...seen,
      path: readLinkSync(directory),
      mount: identifyMount(fd).id,
    };
  } finally {
    closeFd(fd);
  }
}
