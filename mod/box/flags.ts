/**
 * The options as flags: one table says which flag of `rustyrun run`, or `exec`, an
 * option stands for, and so the library and the command line are read by the same
 * code.
 *
 * @module
 */

import { findNearest } from "../config/flags/nearest.ts";
import type { FlagUse } from "../config/flags/use.ts";
import { ContainerError } from "../errors.ts";
import type { SandboxOptions, SpawnOptions, WatchOptions } from "./options.ts";

/** How an option's value becomes uses of a flag. */
type Kind =
  /** A text, or a number. */
  | "text"
  /** On or off. */
  | "switch"
  /** On, off, or a text. */
  | "optional"
  /** Texts, each a use. */
  | "list"
  /** NAME=VALUE, each a use; a value that is undefined: NAME alone. */
  | "pairs";

/** An option that stands for a flag. */
export interface Row {
  flag: string;
  kind: Kind;
  /** It stands before the command on a command line. */
  global?: true;
  /** The only values allowed. */
  choices?: readonly string[];
}

/** The options of a sandbox. */
export const SANDBOX_FLAGS: Readonly<Record<keyof SandboxOptions, Row>> = {
  rootfs: { flag: "rootfs", kind: "text" },
  ephemeral: { flag: "ephemeral", kind: "optional" },
  readOnly: { flag: "read-only", kind: "switch" },
  showHome: { flag: "show-home", kind: "switch" },
  volumes: { flag: "volume", kind: "list" },
  mounts: { flag: "mount", kind: "list" },
  tmpfs: { flag: "tmpfs", kind: "list" },
  env: { flag: "env", kind: "pairs" },
  envFiles: { flag: "env-file", kind: "list" },
  cwd: { flag: "workdir", kind: "text" },
  user: { flag: "user", kind: "text" },
  init: { flag: "init", kind: "switch" },
  ulimits: { flag: "ulimit", kind: "pairs" },
  memory: { flag: "memory", kind: "text" },
  memorySwap: { flag: "memory-swap", kind: "text" },
  cpus: { flag: "cpus", kind: "text" },
  cpuShares: { flag: "cpu-shares", kind: "text" },
  cpusetCpus: { flag: "cpuset-cpus", kind: "text" },
  pids: { flag: "pids-limit", kind: "text" },
  hostname: { flag: "hostname", kind: "text" },
  network: { flag: "network", kind: "text", choices: ["none", "host"] },
  userns: { flag: "userns", kind: "text" },
  capAdd: { flag: "cap-add", kind: "list" },
  capDrop: { flag: "cap-drop", kind: "list" },
  securityOpt: { flag: "security-opt", kind: "list" },
  devices: { flag: "device", kind: "list" },
  sysctls: { flag: "sysctl", kind: "pairs" },
  name: { flag: "name", kind: "text" },
  noPivot: { flag: "no-pivot", kind: "switch" },
  noNewKeyring: { flag: "no-new-keyring", kind: "switch" },
  stateDir: { flag: "root", kind: "text", global: true },
  cgroupManager: {
    flag: "cgroup-manager",
    kind: "text",
    global: true,
    choices: ["cgroupfs", "systemd", "disabled"],
  },
};

/** The options of a process in a sandbox. */
export const SPAWN_FLAGS: Readonly<
  Record<Exclude<keyof SpawnOptions, keyof WatchOptions>, Row>
> = {
  env: { flag: "env", kind: "pairs" },
  cwd: { flag: "cwd", kind: "text" },
  user: { flag: "user", kind: "text" },
};

/** Options that no flag stands for: the library itself sees to them. */
export const WATCH_OPTIONS: Readonly<Record<keyof WatchOptions, true>> = {
  stdin: true,
  timeout: true,
  signal: true,
  maxOutput: true,
};

/** Flags as the parser would have read them. */
export type Uses = Map<string, FlagUse[]>;

/** A value as it is written; a text for what JSON has no form of. */
function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  // NaN, too.
  if (typeof value === "number") return String(value);
  return JSON.stringify(value) ?? String(value);
}

/** The error for an option that cannot be used as it is. */
export function invalidOption(
  name: string,
  value: unknown,
  why: string,
  hint: string,
): ContainerError {
  return new ContainerError(
    `Cannot use the option ${name}: ${show(value)} ${why}`,
    { code: "invalid-option", hint },
  );
}

/** The error for a name that is no option.
 *
 * @param whose what takes the options: "sandbox" or "command"
 * @param names those that there are */
export function unknownOption(
  name: string,
  value: unknown,
  whose: string,
  names: readonly string[],
): ContainerError {
  const nearest = findNearest(name, names);
  return new ContainerError(
    `Cannot use ${name}: ${show(value)}: there is no option "${name}"`,
    {
      code: "invalid-option",
      hint: nearest !== undefined
        ? `The nearest one is ${nearest}`
        : `A ${whose}'s options are: ${names.join(", ")}`,
    },
  );
}

/** Refuses what is no set of options.
 *
 * @throws {ContainerError} `invalid-option` */
export function checkOptions(options: unknown): void {
  if (
    typeof options === "object" && options !== null && !Array.isArray(options)
  ) return;
  throw new ContainerError(
    `Cannot use ${show(options)} as options: it is not an object`,
    { code: "invalid-option", hint: 'Give one such as { rootfs: "/" }' },
  );
}

/** Refuses what no text that the kernel is given can hold.
 *
 * @throws {ContainerError} `invalid-option` */
export function refuseNul(name: string, text: string): void {
  if (!text.includes("\0")) return;
  throw invalidOption(
    name,
    text,
    "holds a NUL",
    "Leave it out: for the kernel a text ends there",
  );
}

const isText = (it: unknown): it is string | number =>
  typeof it === "string" || typeof it === "number" && !Number.isNaN(it);

function readRow(name: string, value: unknown, row: Row): FlagUse[] {
  const { kind, choices } = row;
  if (choices !== undefined && !choices.includes(String(value))) {
    throw invalidOption(
      name,
      value,
      "is not one of its values",
      `The values are: ${choices.join(", ")}`,
    );
  }
  const use = (it: string | boolean): FlagUse => {
    if (typeof it === "string") refuseNul(name, it);
    return { value: it, typed: `${name}: ${JSON.stringify(it)}` };
  };
  if (
    typeof value === "boolean" && (kind === "switch" || kind === "optional")
  ) {
    return value || kind === "switch" ? [use(value)] : [];
  }
  if (isText(value) && (kind === "text" || kind === "optional")) {
    return [use(String(value))];
  }
  if (kind === "list" && Array.isArray(value) && value.every(isText)) {
    return value.map((it) => use(String(it)));
  }
  if (
    kind === "pairs" && typeof value === "object" && value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((it) => it === undefined || isText(it))
  ) {
    return Object.entries(value).map(([key, it]) => {
      if (key === "" || key.includes("=")) {
        throw invalidOption(
          name,
          key,
          "is no name",
          "A name is not empty and holds no equals sign",
        );
      }
      return use(it === undefined ? key : `${key}=${it}`);
    });
  }
  const wanted = {
    text: "a text or a number",
    switch: "true or false",
    optional: "true, false or a text",
    list: "an array of texts",
    pairs: 'an object such as { NAME: "value" }',
  };
  throw invalidOption(
    name,
    value,
    `is not ${wanted[kind]}`,
    "See docs/library.md for what each option takes",
  );
}

/**
 * Reads options as flags.
 *
 * @param table which flag each option stands for
 * @throws {ContainerError} `invalid-option` for a value of another type, and for a
 * name that is no option
 */
export function readOptions(
  options: Readonly<Record<string, unknown>>,
  table: Readonly<Record<string, Row>>,
): { global: Uses; flags: Uses } {
  const global: Uses = new Map();
  const flags: Uses = new Map();
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined) {
      throw unknownOption(name, value, "sandbox", Object.keys(table));
    }
    const uses = readRow(name, value, row);
    // No use of a flag is no flag, to who asks whether it was given.
    if (uses.length > 0) (row.global ? global : flags).set(row.flag, uses);
  }
  return { global, flags };
}
