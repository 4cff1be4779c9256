/**
 * Mounts of a container that are of the host: criu leaves them out of an image,
 * and is told at the restore what to put there. Pure, but for the looks that are
 * handed in.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { ContainerError } from "../../errors.ts";
import { unescapeMountinfo } from "../../host.ts";
import { parseMountOptions } from "../../mounts/options.ts";

/** A line of mountinfo; proc_pid_mountinfo(5). */
export interface MountLine {
  id: number;
  device: string;
  /** What of its file system is mounted. */
  root: string;
  path: string;
  options: readonly string[];
  type: string;
}

/** The lines of a mountinfo. */
export function parseMounts(text: string): MountLine[] {
  return text.split("\n").map((it) => it.split(" ")).filter((it) =>
    it.length > 8
  ).map((words) => ({
    id: Number(words[0]),
    device: words[2]!,
    root: unescapeMountinfo(words[3]!),
    path: unescapeMountinfo(words[4]!),
    options: words[5]!.split(","),
    type: words[words.indexOf("-") + 1]!,
  }));
}

/** File systems of the kernel, which criu mounts anew. */
const KERNELS = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"];

/**
 * Lists the places of a container where something of the host is mounted: what
 * is on a file system that the host has mounted, too.
 *
 * @param inside the container's mounts, as it sees them
 * @param outside the host's
 * @param binds places where config.json binds something, as they are inside
 * @returns their paths in the container, in the order of the mounts
 */
export function listExternal(
  inside: readonly MountLine[],
  outside: readonly MountLine[],
  binds: ReadonlySet<string>,
): string[] {
  const devices = new Set(outside.map((it) => it.device));
  const found = inside.filter((it) =>
    it.path !== "/" &&
    (binds.has(it.path) ||
      !KERNELS.includes(it.type) && devices.has(it.device))
  );
  return [...new Set(found.map((it) => it.path))];
}

/** Name of the external mount at that place of a list: a counter of ours. An
 * image can so name nothing that is not in the configuration. */
export function keyOf(at: number): string {
  return `m${at}`;
}

/** Attributes of a mount to set and to clear: MOUNT_ATTR_*. */
export interface Attributes {
  set: number;
  clear: number;
}

/** What is mounted at a place: a path of the host; and one below it, where a
 * whole tree is bound. */
export interface Source {
  path: string;
  below?: string;
  attributes: Attributes;
  /** It hides a file: the host's null device, which nobody may change by it. */
  hides?: boolean;
}

/** The destination of a mount whose ids are mapped; undefined where there is
 * none. criu has no word for that: they would be others after a restore. */
export function findIdmapped(
  { spec }: Pick<Config, "spec">,
): string | undefined {
  return spec.mounts?.find((it) =>
    it.uidMappings?.length ||
    parseMountOptions(it.options ?? []).idmap !== undefined
  )?.destination;
}

/** What the configuration mounts, and where that is inside. */
export interface Places {
  /** Place inside -> the source on the host, and whether it is a whole tree. */
  binds: ReadonlyMap<string, {
    source: string;
    recursive: boolean;
    /** Its own. */
    attributes: Attributes;
    /** Of what is mounted below it. */
    below: Attributes;
  }>;
  masked: readonly string[];
  devices: readonly string[];
}

const NOTHING: Attributes = { set: 0, clear: 0 };

/**
 * Collects what a configuration mounts of the host.
 *
 * @param resolve the place inside that a destination leads to
 */
export function placesOf(
  { spec, bundle }: Pick<Config, "spec" | "bundle">,
  resolve: (path: string) => string,
): Places {
  const binds: Map<string, NonNullable<ReturnType<Places["binds"]["get"]>>> =
    new Map();
  for (const mount of spec.mounts ?? []) {
    const options = parseMountOptions(mount.options ?? []);
    if (!options.bind || mount.source === undefined) continue;
    const { set, clear, recursiveSet, recursiveClear } = options;
    const source = mount.source.startsWith("/")
      ? mount.source
      : `${bundle}/${mount.source}`;
    binds.set(resolve(mount.destination), {
      source,
      recursive: options.recursiveBind,
      // What is said of the mount alone goes over what is said of the tree.
      attributes: {
        set: recursiveSet & ~clear | set,
        clear: recursiveClear | clear,
      },
      below: { set: recursiveSet, clear: recursiveClear },
    });
  }
  return {
    binds,
    masked: spec.linux?.maskedPaths ?? [],
    devices: (spec.linux?.devices ?? []).map((it) => it.path),
  };
}

/**
 * Finds what the configuration has at a place.
 *
 * @returns undefined where it has nothing: then nothing may be mounted there
 */
export function findSource(
  place: string,
  { binds, masked, devices }: Places,
): Source | undefined {
  const own = binds.get(place);
  if (own !== undefined) {
    return { path: own.source, attributes: own.attributes };
  }
  if (masked.includes(place)) {
    return { path: "/dev/null", hides: true, attributes: NOTHING };
  }
  if (devices.includes(place)) return { path: place, attributes: NOTHING };
  const above =
    [...binds].filter(([at, { recursive }]) =>
      recursive && place.startsWith(`${at}/`)
    ).sort(([a], [b]) => b.length - a.length)[0];
  if (above === undefined) return undefined;
  return {
    path: above[1].source,
    below: place.slice(above[0].length + 1),
    attributes: above[1].below,
  };
}

/**
 * Finds what goes to each place of an image that was outside of it.
 *
 * @param places what the image says: nothing of it is believed but which of the
 * configuration's own mounts is meant
 * @throws {ContainerError} when image and configuration do not fit
 */
export function matchSources(
  places: readonly string[],
  config: Places,
): Source[] {
  const missing = [...config.binds.keys()].find((it) => !places.includes(it));
  if (missing !== undefined) {
    throw mismatch(
      `config.json mounts "${missing}", and the image has nothing there`,
    );
  }
  return places.map((place) => {
    const source = findSource(place, config);
    if (source !== undefined) return source;
    throw mismatch(
      `the image has a mount of the host at "${place}", and config.json has none`,
    );
  });
}

function mismatch(what: string): ContainerError {
  return new ContainerError(`Cannot restore the container: ${what}`, {
    code: "image-mismatch",
    hint: "The bundle must be as the container's was when it was checkpointed",
    exitCode: 1,
  });
}
