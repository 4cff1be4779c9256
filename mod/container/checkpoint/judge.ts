/**
 * Whether what criu has restored is the container that config.json describes: an
 * image is what somebody has given us, and says itself what its processes are.
 *
 * @module
 */

import { isGone } from "../../../ffi/errno.ts";
import { CAPS } from "../../../ffi/names.ts";
import { identifyFile, isSameFile } from "../../../ffi/identity.ts";
import {
  existsSync,
  readDirSync,
  readLinkSync,
  readTextFileSync,
  statSync,
} from "../../../ffi/files.ts";
import { readPids } from "../../cgroups/control.ts";
import type { Config } from "../../config/config.ts";
import { formatIdMap, namespaceUse } from "../../config/namespaces.ts";
import type { NamespaceType } from "../../config/schema.ts";
import { ContainerError } from "../../errors.ts";
import type { Prepared } from "../model.ts";
import {
  findSource,
  type MountLine,
  parseMounts,
  placesOf,
} from "./external.ts";
import { findOther, type OpenSource } from "./sources.ts";

/** Names in /proc/PID/ns. */
const NAMESPACES: Record<string, string> = {
  cgroup: "cgroup",
  ipc: "ipc",
  mount: "mnt",
  network: "net",
  pid: "pid",
  user: "user",
  uts: "uts",
};

/** What is looked at of a thread: fields of its status in /proc. */
export interface Held {
  zombie: boolean;
  /** Capabilities: bounding, permitted, effective, inheritable, ambient. */
  caps: readonly bigint[];
  noNewPrivs: boolean;
  filtered: boolean;
}

/** Reads those fields. */
export function parseHeld(status: string): Held {
  const fields = new Map(
    status.split("\n").map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }),
  );
  const number = (name: string) => BigInt(`0x${fields.get(name) ?? "0"}`);
  return {
    zombie: fields.get("State")?.startsWith("Z") ?? false,
    caps: ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"].map(number),
    noNewPrivs: fields.get("NoNewPrivs") === "1",
    filtered: fields.get("Seccomp") === "2",
  };
}

/** A process and all below it. */
function listTree(first: number): number[] {
  const found = [first];
  for (const pid of found) {
    let threads: string;
    try {
      threads = readTextFileSync(`/proc/${pid}/task/${pid}/children`);
    } catch (error) {
      // It has just ended.
      if (isGone(error)) continue;
      throw error;
    }
    found.push(...threads.trim().split(" ").filter(Boolean).map(Number));
  }
  return found;
}

function refused(what: string): ContainerError {
  return new ContainerError(
    `Cannot restore the container: what the image holds ${what}`,
    {
      code: "image-refused",
      hint:
        "The image is of a container with another configuration, or was changed",
      exitCode: 1,
    },
  );
}

/**
 * Compares what processes hold with what their configuration lets them have.
 *
 * @param filter whether there is to be a seccomp filter
 * @returns what is wrong; undefined for nothing
 */
export function judgeHeld(
  held: readonly Held[],
  { spec }: Pick<Config, "spec">,
  filter: boolean,
): string | undefined {
  const bounding = spec.process?.capabilities?.bounding ?? [];
  let allowed = 0n;
  for (const name of bounding) {
    const number = CAPS.get(name);
    if (number !== undefined) allowed |= 1n << BigInt(number);
  }
  for (const it of held.filter(({ zombie }) => !zombie)) {
    if (it.caps.some((set) => (set & ~allowed) !== 0n)) {
      return "has capabilities that config.json does not give";
    }
    if (spec.process?.noNewPrivileges && !it.noNewPrivs) {
      return "lacks no_new_privs";
    }
    if (filter && !it.filtered) return "lacks its seccomp filter";
  }
  return undefined;
}

/** What mounts are compared with. */
export interface Known {
  /** Whether a path of /proc or /sys is there on this kernel. */
  exists(path: string): boolean;
  /** The place inside that a destination leads to. */
  resolve(path: string): string;
  /** Places of what was mounted of the host's, which is compared as such. */
  sources: readonly string[];
}

/** What the runtime itself mounts in /dev. */
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "console"]
  .map((it) => `/dev/${it}`);

/** A mount where the configuration has none. */
function findForeign(
  mounts: readonly MountLine[],
  config: Pick<Config, "spec" | "bundle">,
  { resolve }: Known,
): MountLine | undefined {
  const { mounts: wanted = [], linux } = config.spec;
  const places = placesOf(config, resolve);
  const known = new Set([
    ...["/", ...DEVICES],
    ...[...wanted.map((it) => it.destination), ...linux?.readonlyPaths ?? []]
      .map(resolve),
  ]);
  // Each hierarchy of v1 has a directory in there.
  const groups = wanted.filter(({ type }) => type === "cgroup")
    .map(({ destination }) => `${resolve(destination)}/`);
  return mounts.find(({ path }) =>
    !known.has(path) && !groups.some((it) => path.startsWith(it)) &&
    findSource(path, places) === undefined
  );
}

/**
 * Compares a container's mounts with what its configuration has and hides. One
 * that may mount may have others.
 *
 * @returns what is wrong; undefined for nothing
 */
export function judgeMounts(
  mounts: readonly MountLine[],
  config: Pick<Config, "spec" | "bundle">,
  known: Known,
): string | undefined {
  const { spec } = config;
  const { exists, resolve } = known;
  const at = new Map(mounts.map((it) => [it.path, it]));
  const bounding = spec.process?.capabilities?.bounding ?? [];
  const other = bounding.includes("CAP_SYS_ADMIN")
    ? undefined
    : findForeign(mounts, config, known);
  if (other !== undefined) {
    return `has a mount at "${other.path}", and config.json has none`;
  }
  const isKernels = (path: string) => /^\/(?:proc|sys)\//.test(path);
  for (const path of spec.linux?.maskedPaths ?? []) {
    const mask = at.get(path);
    if (mask === undefined && isKernels(path) && exists(path)) {
      return `does not mask "${path}"`;
    }
    if (mask !== undefined && !mask.options.includes("ro")) {
      return `may write what masks "${path}"`;
    }
    // What is masked would itself do for that, bound over itself.
    if (
      mask !== undefined && mask.type !== "tmpfs" &&
      !known.sources.includes(path)
    ) return `shows something at "${path}", which is masked`;
  }
  for (const path of spec.linux?.readonlyPaths ?? []) {
    const readonly = at.get(path)?.options.includes("ro") ?? false;
    if (isKernels(path) && exists(path) && !readonly) {
      return `may write "${path}"`;
    }
  }
  if (spec.root?.readonly && !at.get("/")?.options.includes("ro")) {
    return "may write its root file system";
  }
  for (const { destination, options } of spec.mounts ?? []) {
    const mount = at.get(resolve(destination));
    if (mount === undefined) return `has no mount at "${destination}"`;
    for (const flag of ["ro", "nosuid", "nodev", "noexec"]) {
      if (options?.includes(flag) && !mount.options.includes(flag)) {
        return `has "${destination}" mounted without ${flag}`;
      }
    }
  }
  return undefined;
}

/** The lines of a uid_map or gid_map, user_namespaces(7), in one order. */
function sortMap(text: string): string {
  return text.split("\n").map((it) => it.trim().split(/\s+/).join(" "))
    .filter((it) => it !== "").sort().join(", ");
}

/** Whether a thread is in the namespaces that it is to be in.
 *
 * @param thread its directory in /proc */
function judgeNamespaces(
  thread: string,
  config: Config,
  own: string,
): string | undefined {
  const { linux } = config.spec;
  for (const [type, name] of Object.entries(NAMESPACES)) {
    const use = namespaceUse(config, type as NamespaceType);
    if (use === "inherit") continue;
    const has = readLinkSync(`${thread}/ns/${name}`);
    if (has === readLinkSync(`${own}/ns/${name}`)) {
      return `is in the host's ${type} namespace`;
    }
    const path = linux?.namespaces?.find((it) => it.type === type)?.path;
    if (use === "joined" && has !== `${name}:[${statSync(path!).ino}]`) {
      return `is in another ${type} namespace than "${path}"`;
    }
  }
  if (namespaceUse(config, "user") !== "new") return undefined;
  for (const kind of ["uid", "gid"] as const) {
    const wanted = formatIdMap(linux?.[`${kind}Mappings`] ?? []);
    const has = readTextFileSync(`${thread}/${kind}_map`);
    if (sortMap(has) !== sortMap(wanted)) {
      return `has other ids: its ${kind}_map is ${sortMap(has)}`;
    }
  }
  return undefined;
}

/**
 * Judges where the restored processes are: namespaces, root, cgroups, mounts.
 *
 * @throws {ContainerError} when they are not where config.json wants them
 */
export function judgePlace(
  pid: number,
  { config, cgroup, root }: Prepared,
  { own, sources, resolve }: {
    /** Where /proc shows this process. */
    own: string;
    sources: readonly OpenSource[];
    /** The place inside that a destination leads to. */
    resolve: (path: string) => string;
  },
): void {
  const tree = listTree(pid);
  for (const dir of cgroup.dirs) {
    const inside = new Set(readPids([dir]));
    if (tree.some((it) => !inside.has(it))) {
      throw refused(`is outside of its cgroup "${dir.path}"`);
    }
  }
  if (!isSameFile(identifyFile(`/proc/${pid}/root`), root)) {
    throw refused("has another root file system");
  }
  const wrong = judgeNamespaces(`/proc/${pid}`, config, own) ??
    judgeMounts(
      parseMounts(readTextFileSync(`/proc/${pid}/mountinfo`)),
      config,
      {
        exists: existsSync,
        resolve,
        sources: sources.map(({ place }) => place),
      },
    );
  if (wrong !== undefined) throw refused(wrong);
  const other = findOther(pid, sources);
  if (other !== undefined) {
    throw refused(`has something else mounted at "${other}"`);
  }
}

/**
 * Judges what the restored processes may do.
 *
 * @param label the security module's profile that is asked for
 * @throws {ContainerError} when it is more than config.json lets them
 */
export function judgeRights(
  pid: number,
  { config, filter }: Prepared,
  own: string,
  label: string | undefined,
): void {
  const threads = listTree(pid).flatMap((it) =>
    readDirSync(`/proc/${it}/task`).map(({ name }) =>
      `/proc/${it}/task/${name}`
    )
  );
  for (const it of threads) {
    const held = parseHeld(readTextFileSync(`${it}/status`));
    if (held.zombie) continue;
    const wrong = judgeHeld([held], config, filter !== undefined) ??
      judgeNamespaces(it, config, own);
    if (wrong !== undefined) throw refused(wrong);
    const wanted = label ?? config.spec.process?.apparmorProfile ??
      config.spec.process?.selinuxLabel;
    if (!wanted) continue;
    const has = readTextFileSync(`${it}/attr/current`)
      .replace(/[\0\n]/g, "").replace(/ \(\w+\)$/, "");
    if (has !== wanted) throw refused(`is not confined by "${wanted}"`);
  }
}
