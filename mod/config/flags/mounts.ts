/**
 * What is mounted besides the defaults: `--volume`, `--mount`, `--tmpfs`.
 *
 * @module
 */

import type { Mount } from "../schema.ts";
import { cleanPath, type Flags, flagUses, refuse, resolvePath } from "./use.ts";
import { explainFileError, type FlagsHost } from "./host.ts";
import { findNearest } from "./nearest.ts";
import { ContainerError, hintLink } from "../../errors.ts";

/** A mount and the flag that asked for it. */
export interface FlagMount {
  mount: Mount;
  typed: string;
}

const ATTRIBUTES = ["suid", "dev", "exec", "diratime", "relatime"];
const TIMES = ["atime", "noatime", "strictatime", "nostrictatime"];
const PROPAGATIONS = ["private", "shared", "slave", "unbindable"]
  .flatMap((p) => [p, `r${p}`]);
/** Options of a bind mount that the specification names. */
const BIND_OPTIONS: readonly string[] = [
  "ro",
  "rw",
  ...[...ATTRIBUTES, "symfollow"].flatMap((a) => [a, `no${a}`]),
  ...TIMES,
  ...PROPAGATIONS,
  "bind",
  "rbind",
  ...["ro", "suid", "nosuid", "dev", "nodev", "exec", "noexec"]
    .map((a) => `r${a}`),
];
/** Options of a tmpfs without a value, and those with one (tmpfs(5)). */
const TMPFS_OPTIONS: readonly string[] = [
  "ro",
  "rw",
  ...ATTRIBUTES.flatMap((a) => [a, `no${a}`]),
  ...TIMES,
  ...PROPAGATIONS,
];
const TMPFS_VALUES: Record<string, RegExp> = {
  size: /^\d+[kmg%]?$/i,
  mode: /^[0-7]{1,4}$/,
  uid: /^\d{1,10}$/,
  gid: /^\d{1,10}$/,
  nr_inodes: /^\d+[kmg]?$/i,
  nr_blocks: /^\d+[kmg]?$/i,
};

/** Returns the destination, cleaned. */
function readDestination(path: string, typed: string): string {
  if (!path.startsWith("/")) {
    throw refuse(
      typed,
      `"${path}" is not an absolute path`,
      "destination",
      "Where it appears in the container is written from the root: /data",
    );
  }
  const clean = cleanPath(path);
  if (clean === "/") {
    throw refuse(
      typed,
      "it would hide the root file system",
      "destination",
      "Give the directory itself as --rootfs",
    );
  }
  return clean;
}

/** What to do for a source that is not there; a name with an extension is
 * hardly one of a directory. */
function hintMissing(path: string): string {
  return /[^/]\.[a-z]\w*$/i.test(path)
    ? "Name one that exists: rustyrun makes no files or directories on the host"
    : `Make it first (mkdir -p ${path}): rustyrun makes no directories on the host`;
}

/** Returns a source as an absolute path, after a look at it. */
function readSource(path: string, typed: string, host: FlagsHost): string {
  const source = resolvePath(host.cwd, path);
  try {
    host.stat(source);
  } catch (error) {
    throw new ContainerError(
      `Cannot mount "${path}" (${typed}): ${explainFileError(error)}`,
      {
        code: error instanceof Deno.errors.NotFound
          ? "volume-source-missing"
          : "volume-source-unusable",
        hint: hintLink(source, error, host.isLink) ??
          (error instanceof Deno.errors.NotFound
            ? hintMissing(path)
            : "Give a file or directory that you can reach"),
        cause: error,
      },
    );
  }
  return source;
}

/**
 * Returns a bind mount's options in full. Like docker since 25, read-only means
 * all that is mounted below as well.
 */
function bindOptions(given: string[], typed: string): string[] {
  const out: string[] = [];
  for (const option of given) {
    if (option === "z" || option === "Z") {
      throw refuse(
        typed,
        `rustyrun does not relabel (option "${option}")`,
        "volume-option",
        "Leave it out, or label the files yourself with chcon",
      );
    }
    if (!BIND_OPTIONS.includes(option)) {
      const nearest = findNearest(option, BIND_OPTIONS);
      throw refuse(
        typed,
        `there is no option "${option}"`,
        "volume-option",
        nearest === undefined
          ? `The usual ones are: ro, noexec, nosuid, nodev, rslave`
          : `The nearest one is "${nearest}"`,
      );
    }
    out.push(option);
  }
  if (out.includes("ro") && out.includes("rw")) {
    throw refuse(
      typed,
      "ro and rw exclude each other",
      "volume-option",
      "Leave one of them out",
    );
  }
  const recursive = !out.includes("bind");
  const rest = out.filter((o) => o !== "bind" && o !== "rbind" && o !== "rw")
    .map((o) => o === "ro" && recursive ? "rro" : o);
  return [
    recursive ? "rbind" : "bind",
    ...(rest.some((o) => PROPAGATIONS.includes(o)) ? [] : ["rprivate"]),
    ...rest,
  ];
}

/** Reads SRC:DST[:OPTIONS]. */
function readVolume(text: string, typed: string, host: FlagsHost): Mount {
  const parts = text.split(":");
  const [source, destination, options] = parts;
  if (
    parts.length < 2 || parts.length > 3 || !source || !destination ||
    options === ""
  ) {
    throw refuse(
      typed,
      "it is not SRC:DST or SRC:DST:OPTIONS",
      "volume",
      parts.length > 3
        ? "A path with a colon can be written with --mount type=bind,src=SRC,dst=DST"
        : "Write for example --volume ./data:/data:ro",
    );
  }
  if (!/^(\/|\.\.?(\/|$))/.test(source)) {
    throw refuse(
      typed,
      `"${source}" is not a path`,
      "volume",
      source.startsWith("~/")
        ? `The shell has not expanded the "~": write "$HOME${source.slice(1)}"`
        : `Write ./${source} for what is in this directory: rustyrun has no named volumes`,
    );
  }
  const to = readDestination(destination, typed);
  const list = bindOptions(
    options === undefined ? [] : options.split(","),
    typed,
  );
  return {
    destination: to,
    type: "bind",
    source: readSource(source, typed, host),
    options: list,
  };
}

/** Returns a tmpfs with docker's options before those given. */
function tmpfsMount(
  destination: string,
  given: string[],
  typed: string,
): Mount {
  const options = ["nosuid", "nodev", "noexec"];
  for (const option of given) {
    const [name, value] = option.split(/=(.*)/s);
    const pattern = Object.hasOwn(TMPFS_VALUES, name!)
      ? TMPFS_VALUES[name!]
      : undefined;
    if (value === undefined ? !TMPFS_OPTIONS.includes(option) : !pattern) {
      const nearest = findNearest(name!, [
        ...TMPFS_OPTIONS,
        ...Object.keys(TMPFS_VALUES),
      ]);
      throw refuse(
        typed,
        `there is no option "${option}"`,
        "tmpfs-option",
        nearest === undefined
          ? "The usual ones are: size=64m, mode=1777, exec, ro"
          : `The nearest one is "${nearest}"`,
      );
    }
    if (value !== undefined && !pattern!.test(value)) {
      throw refuse(
        typed,
        `"${value}" is no value for "${name}"`,
        "tmpfs-option",
        name === "mode"
          ? "Write it as for chmod: 1777"
          : "Write a whole number; for a size with a unit: 64m",
      );
    }
    const opposite = option.startsWith("no") ? option.slice(2) : `no${option}`;
    const at = options.indexOf(opposite);
    if (at >= 0) options.splice(at, 1);
    if (!options.includes(option)) options.push(option);
  }
  return { destination, type: "tmpfs", source: "tmpfs", options };
}

/** Reads DST[:OPTIONS]. */
function readTmpfs(text: string, typed: string): Mount {
  const [path, options] = text.split(/:(.*)/s);
  return tmpfsMount(
    readDestination(path!, typed),
    options ? options.split(",") : [],
    typed,
  );
}

const MOUNT_KEYS: readonly string[] = [
  "type",
  "source",
  "src",
  "destination",
  "dst",
  "target",
  "readonly",
  "ro",
  "bind-propagation",
  "bind-recursive",
  "tmpfs-size",
  "tmpfs-mode",
];

/** Reads type=bind|tmpfs,src=SRC,dst=DST,... */
function readMount(text: string, typed: string, host: FlagsHost): Mount {
  const keys = new Map<string, string>();
  const options: string[] = [];
  for (const field of text.split(",")) {
    const [key, value] = field.split(/=(.*)/s) as [string, string?];
    if (MOUNT_KEYS.includes(key)) {
      const name = { src: "source", dst: "destination", target: "destination" }[
        key
      ] ?? (key === "ro" ? "readonly" : key);
      keys.set(name, value ?? "true");
    } else options.push(field);
  }
  const type = keys.get("type");
  if (type !== "bind" && type !== "tmpfs") {
    throw refuse(
      typed,
      type === undefined ? "it has no type" : `there is no type "${type}"`,
      "mount",
      "Write type=bind for a path of the host, type=tmpfs for memory",
    );
  }
  const to = keys.get("destination");
  if (to === undefined) {
    throw refuse(typed, "it has no dst", "mount", "Add dst=PATH");
  }
  const destination = readDestination(to, typed);
  const readonly = keys.get("readonly");
  if (readonly !== undefined && readonly !== "false") {
    if (!/^(true|1)$/.test(readonly)) {
      throw refuse(
        typed,
        `"${readonly}" is no value for "readonly"`,
        "mount",
        "Write readonly, readonly=true or readonly=false",
      );
    }
    options.push("ro");
  }
  if (type === "tmpfs") {
    for (const key of ["source", "bind-propagation", "bind-recursive"]) {
      if (keys.has(key)) {
        throw refuse(
          typed,
          `a tmpfs has no "${key}"`,
          "mount",
          "Leave it out, or write type=bind",
        );
      }
    }
    const size = keys.get("tmpfs-size");
    const mode = keys.get("tmpfs-mode");
    if (size !== undefined) options.push(`size=${size}`);
    if (mode !== undefined) options.push(`mode=${mode}`);
    return tmpfsMount(destination, options, typed);
  }
  const from = keys.get("source");
  if (!from) throw refuse(typed, "it has no src", "mount", "Add src=PATH");
  for (const key of ["tmpfs-size", "tmpfs-mode"]) {
    if (keys.has(key)) {
      throw refuse(
        typed,
        `a bind mount has no "${key}"`,
        "mount",
        "Leave it out, or write type=tmpfs",
      );
    }
  }
  options.push(...readBindWords(keys, typed));
  return {
    destination,
    type: "bind",
    options: bindOptions(options, typed),
    source: readSource(from, typed, host),
  };
}

/** Returns the options that bind-propagation and bind-recursive stand for. */
function readBindWords(keys: Map<string, string>, typed: string): string[] {
  const options: string[] = [];
  const propagation = keys.get("bind-propagation");
  if (propagation !== undefined) {
    if (!PROPAGATIONS.includes(propagation)) {
      throw refuse(
        typed,
        `there is no propagation "${propagation}"`,
        "mount",
        `They are: ${PROPAGATIONS.join(", ")}`,
      );
    }
    options.push(propagation);
  }
  const recursive = keys.get("bind-recursive");
  if (recursive === "disabled") options.push("bind");
  else if (recursive !== undefined && recursive !== "enabled") {
    throw refuse(
      typed,
      `"${recursive}" is no value for "bind-recursive"`,
      "mount",
      "Write enabled or disabled",
    );
  }
  return options;
}

/**
 * Returns the mounts that flags ask for, those nearer to the root first, so
 * that /a is there when /a/b is mounted.
 *
 * @throws {ContainerError} for a flag that makes no sense, a missing source,
 * and two mounts at one place
 */
export function readMounts(flags: Flags, host: FlagsHost): FlagMount[] {
  const found: FlagMount[] = [];
  if (!["volume", "mount", "tmpfs"].some((f) => flags.has(f))) return found;
  for (const { value, typed } of flagUses(flags, "volume")) {
    found.push({ mount: readVolume(value, typed, host), typed });
  }
  for (const { value, typed } of flagUses(flags, "mount")) {
    found.push({ mount: readMount(value, typed, host), typed });
  }
  for (const { value, typed } of flagUses(flags, "tmpfs")) {
    found.push({ mount: readTmpfs(value, typed), typed });
  }
  const at = new Map<string, string>();
  for (const { mount, typed } of found) {
    const other = at.get(mount.destination);
    if (other !== undefined) {
      throw refuse(
        typed,
        `"${other}" has the same destination`,
        "mount",
        "Leave one of them out",
      );
    }
    at.set(mount.destination, typed);
  }
  const depth = (m: FlagMount) => m.mount.destination.split("/").length;
  return found.sort((a, b) => depth(a) - depth(b));
}
