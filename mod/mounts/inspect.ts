/**
 * What planning the mounts needs to know of the host: types of bind sources,
 * devices, the place of the root file system. Only this file of the manager
 * looks at the machine, so that all others can be tested with any.
 *
 * @module
 */

import { S_IF } from "../../ffi/constants.ts";
import { SyscallError } from "../../ffi/errno.ts";
import {
  existsSync,
  isLink,
  lstatSync,
  readDirSync,
  readLinkSync,
  statSync,
} from "../../ffi/files.ts";
import {
  type FileId,
  identifyFile,
  isSameFile,
  type MountedFile,
  type SeenFile,
} from "../../ffi/identity.ts";
import type { Config } from "../config/config.ts";
import type { Device } from "../config/schema.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import { placeOfStage } from "./stage.ts";
import { type Facts, takesEarly } from "../host.ts";
import { findOwned, hasId } from "../host/owners.ts";
import {
  findForbidden,
  findUnbindable,
  listMounts,
  lookAtRoot,
  type RootDirectory,
} from "./host_mounts.ts";

import { findBrought } from "./brought.ts";
import { isStaged } from "./context.ts";
import { refuseExposed, type Volume } from "./exposed.ts";
import { findBehind, findKernelOwn } from "./kernel_own.ts";
import type { HostEntry, MountHost, SourceType } from "./model.ts";
import { listBound } from "./devices.ts";
import { absolutePath, isUnder, joinPath } from "./path.ts";
import { findWritable, lookAtVeils } from "./opaque.ts";
import { parseMountOptions } from "./options.ts";
import { placeOfRoot } from "./place.ts";
import { findHidden, findLack, findPresent, lookAtGroups } from "./sources.ts";

/** Most overlays that a root may be put together from. */
const OVERLAYS_MAX = 128;

/**
 * Looks at the host for what {@linkcode planMounts} needs.
 *
 * @param known what others have found or chosen
 * @throws {ContainerError} when a device of `--device` is not there or is none
 */
export function inspectMounts(
  config: Config,
  facts: Facts,
  known: Pick<MountHost, "cgroups" | "upper" | "state"> & {
    /** The directory of the root file system. */
    root: RootDirectory;
  },
): MountHost {
  const { root, ...rest } = known;
  const sources = new Map<number, SourceType>();
  const seen = new Map<string, FileId>([["root", root]]);
  const uppers = config.ephemeral?.kind === "directory"
    ? lookAtUpper(config.ephemeral.dir)
    : undefined;
  if (uppers !== undefined) seen.set("uppers", uppers);
  const volumes: Volume[] = [];
  const brought = new Map<number, string>();
  const unmet = new Map<number, string>();
  const paths: string[] = [];
  const files: [string, MountedFile][] = [];
  const groupsOf = lookAtGroups(facts.proc);
  for (const [at, mount] of (config.spec.mounts ?? []).entries()) {
    const options = parseMountOptions(mount.options ?? []);
    if (!options.bind) continue;
    const source = absolutePath(config.bundle, mount.source ?? "");
    const place = findBrought(config, at, source);
    if (place !== undefined) {
      const file = place.host === undefined
        ? undefined
        : lookAtSource(place.host);
      brought.set(at, place.path);
      sources.set(at, typeof file === "object" ? typeOf(file) : "directory");
      if (typeof file === "object") {
        volumes.push({ mount, path: place.host!, seen: file });
      }
      continue;
    }
    const file = lookAtSource(source);
    sources.set(at, typeof file === "string" ? file : typeOf(file));
    if (typeof file !== "string") {
      seen.set(`mount.${at}`, file);
      files.push([source, file]);
      volumes.push({ mount, path: source, seen: file });
    }
    paths.push(source);
    const lack = config.mode === "friendly"
      ? findLack(source, options.propagation, groupsOf)
      : undefined;
    if (lack !== undefined) unmet.set(at, lack);
  }
  refuseExposed(
    config,
    uppers,
    volumes.filter(({ seen }) => typeOf(seen) === "directory"),
    facts.proc,
  );
  const devices = config.hostDevices.map(lookUpDevice);
  const unprivileged = (facts.caps & (1n << 21n)) === 0n || facts.inUserns;
  const staged = isStaged(config, facts);
  const look = staged ? lookAtRoot(root, facts) : NO_LOCKS;
  const showsMounts = config.mode === "friendly" &&
    config.ephemeral === undefined && takesEarly(facts);
  return {
    ...rest,
    rootPath: root.path,
    ...look,
    ...(config.ephemeral === undefined
      ? {}
      : { forbidden: findForbidden(root, facts.proc) }),
    behind: config.noPivot ? findBehind(facts.proc) : [],
    kernelOwn: showsMounts ? findKernelOwn(root, facts.proc) : [],
    veils: config.ephemeral === undefined ||
        !hasUserNamespace(config) && !facts.inUserns
      ? []
      : lookAtVeils(root.path, {
        mounted: look.below,
        covered: isSameFile(root, identifyFile("/")) ? listCovered(config) : [],
      }, findWritable(config, sources)),
    sources,
    brought,
    ...(staged ? { present: findPresent(config, brought) } : {}),
    seen,
    unmet,
    unbindable: hasUserNamespace(config)
      ? findUnbindable(
        [...files, ["/sys", identifyFile("/sys")], [config.rootfs, root]],
        facts,
      )
      : new Map(),
    modes: hasUserNamespace(config) || facts.inUserns
      ? lookAtModes(config.spec.linux?.devices ?? [])
      : new Map(),
    devices,
    owned: hasUserNamespace(config) || facts.inUserns
      ? findOwned(listBound(config, devices), config, facts)
      : new Set(),
    hidden: findHidden(
      staged ? placeOfStage(config, rest.state) : placeOfRoot(config),
      [...paths, ...config.hostDevices.map((it) => it.host)],
    ),
    kcore: existsSync("/proc/kcore"),
    ...(facts.inUserns && !hasUserNamespace(config) &&
        !hasId(`${facts.proc}/gid_map`, TTY)
      ? { ttyGroupUnmapped: true }
      : {}),
    ...(unprivileged && config.rootfs === "/" && config.ephemeral !== undefined
      ? { top: listTop(config, facts.proc) }
      : {}),
  };
}

const NO_LOCKS = {
  below: [],
  unsure: false,
  isHostRoot: false,
  rootReadonly: false,
};
const S_IFMT = 0o170000;
const EACCES = 13;
/** The group of terminals. */
const TTY = 5;

function lookAtModes(devices: readonly Device[]): Map<string, number> {
  const modes = new Map<string, number>();
  for (const { path, fileMode } of devices) {
    if (fileMode === undefined) continue;
    const source = joinPath("/", path);
    try {
      modes.set(source, (statSync(source).mode ?? 0) & 0o7777);
    } catch {
      // What is missing, or hidden, is refused when it is taken.
    }
  }
  return modes;
}

function lookAtSource(
  path: string,
): MountedFile | "missing" | "link" | "denied" {
  try {
    return identifyFile(path);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === EACCES) return "denied";
    return isLink(path) ? "link" : "missing";
  }
}

/** The directory that changes are kept in: it was there a moment ago. */
function lookAtUpper(path: string): SeenFile {
  try {
    return identifyFile(path);
  } catch (cause) {
    throw new ContainerError(
      `Cannot keep the changes in "${path}": ${
        cause instanceof Error ? cause.message : cause
      }`,
      {
        code: "ephemeral-unusable",
        hint:
          "Give a directory that exists, or --ephemeral alone to keep them in memory",
        cause,
      },
    );
  }
}

function typeOf({ mode }: SeenFile): "directory" | "file" {
  return (mode & S_IFMT) === S_IF.DIR ? "directory" : "file";
}

/** The device behind a path. */
function lookUpDevice(
  entry: { host: string; container: string; access: string },
): Device & { source: string } {
  let info: Deno.FileInfo;
  try {
    info = statSync(entry.host);
  } catch (cause) {
    throw new ContainerError(
      `Cannot pass the device "${entry.host}": no such file or directory`,
      {
        code: "device-missing",
        hint: "Name a device that is there on the host",
        cause,
      },
    );
  }
  if (!info.isCharDevice && !info.isBlockDevice) {
    throw new ContainerError(
      `Cannot pass the device "${entry.host}": it is not a device`,
      {
        code: "device-type",
        hint: `Use --volume ${entry.host} for a file or directory`,
      },
    );
  }
  return toDevice(info, entry.host, entry.container);
}

function toDevice(
  info: Deno.FileInfo,
  source: string,
  path: string,
): Device & { source: string } {
  const rdev = BigInt(info.rdev ?? 0);
  return {
    type: info.isBlockDevice ? "b" : "c",
    path,
    source,
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)),
    fileMode: (info.mode ?? 0) & 0o777,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
  };
}

/** What is going to be listed: mount points, and what the container covers. */
interface Listing {
  points: ReadonlySet<string>;
  covered: readonly string[];
  overlays: number;
}

/** What the container covers, and wants no copy of: nothing there is taken. */
function listCovered({ spec }: Config): string[] {
  return (spec.mounts ?? []).filter(({ options = [] }) => {
    const { remount, copyUp } = parseMountOptions(options);
    return !remount && !copyUp;
  }).map((it) => joinPath("/", it.destination));
}

function listTop(config: Config, proc: string): HostEntry[] {
  const covered = listCovered(config);
  // Of what is covered nothing is taken; but no overlay may lie above it.
  const points = listMounts(proc).map(({ path }) =>
    covered.find((it) => isUnder(path, it)) ?? path
  );
  return listDirectory("/", {
    points: new Set(points),
    covered,
    overlays: 0,
  });
}

/** What is found, or nothing where it has just gone, or where the caller may not
 * look: the container would see nothing there either. */
function lookAt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

function listDirectory(
  directory: string,
  listing: Listing,
): HostEntry[] {
  const { points, covered } = listing;
  const entries: HostEntry[] = [];
  const names = (lookAt(() => readDirSync(directory)) ?? [])
    .map((it) => it.name).sort();
  for (const name of names) {
    const path = directory === "/" ? `/${name}` : `${directory}/${name}`;
    const info = lookAt(() => lstatSync(path));
    if (info === undefined) continue;
    const mode = (info.mode ?? 0o755) & 0o7777;
    if (info.isSymlink) {
      const link = lookAt(() => readLinkSync(path));
      if (link === undefined) continue;
      entries.push({ path, type: "symlink", link, mode, mountPoint: false });
    } else if (info.isDirectory) {
      const mountPoint = points.has(path) || covered.includes(path);
      const split = !mountPoint &&
        [...points].some((it) => it.startsWith(`${path}/`));
      if (!mountPoint && !split && ++listing.overlays > OVERLAYS_MAX) {
        throw new ContainerError(
          `Cannot put a root together from the host's: it would take more than ${OVERLAYS_MAX} overlays, for so much is mounted below "/"`,
          {
            code: "overlay-count",
            hint: "Run it as root, or use a root file system of its own",
          },
        );
      }
      entries.push({
        path,
        type: "directory",
        mode,
        mountPoint,
        ...(split ? { entries: listDirectory(path, listing) } : {}),
      });
    } else if (info.isFile) {
      entries.push({ path, type: "file", mode, mountPoint: points.has(path) });
    }
  }
  return entries;
}
