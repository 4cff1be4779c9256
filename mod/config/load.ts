/**
 * Loads what a caller wrote in JSON: a bundle's config.json, the process of
 * `exec --process`, the resources of `update --resources`. Parsed, checked,
 * ruled: what comes out can be trusted to be what its type says.
 *
 * @module
 */

import { O, O_BY_ARCH } from "../../ffi/constants.ts";
import { readTextUpToSync, statSync } from "../../ffi/files.ts";
import { openFd } from "../../ffi/libc.ts";
import {
  ContainerError,
  type ContainerErrorOptions,
  describeFileError,
  hintLink,
} from "../errors.ts";
import { checkProcess, checkResources, checkSpec } from "./check.ts";
import { spellPageSizes } from "./page_size.ts";
import { parseConfigJson } from "./json.ts";
import type { Problem } from "./problem.ts";
import {
  processProblems,
  resourcesProblems,
  specProblems,
  type SpecProblemsOptions,
} from "./rules.ts";
import type { Process, Resources, Spec } from "./schema.ts";
import { soundPartProblems } from "./sound_part.ts";

/** A configuration that cannot be used, with all that is wrong with it. The
 * message has the first problem. */
export class ConfigError extends ContainerError {
  override name = "ConfigError";
  /** All problems, the first one included; never empty. */
  readonly problems: readonly Problem[];

  constructor(
    message: string,
    problems: readonly Problem[],
    options: ContainerErrorOptions,
  ) {
    super(message, options);
    this.problems = problems;
  }

  /** The object that `--json` prints. */
  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), problems: this.problems };
  }
}

/** A configuration and what is wrong with it. */
export interface Inspection {
  /** The path that was read. */
  path: string;
  /** The parsed text: a `Spec` only when there is no problem. */
  value: unknown;
  /** All problems found. */
  problems: Problem[];
  /** Whether no rule was left out: those about what has a wrong shape are. */
  complete: boolean;
}

/** How a bundle's configuration is read. */
export interface LoadOptions extends SpecProblemsOptions {
  /** A path to the bundle's directory as it was opened: what lies at its own
   * may be another one by now. */
  opened?: string;
}

/** execve(2) takes 6 MiB of arguments and variables; the rest is far less. */
const MOST_BYTES = 64 << 20;

/** Reads a whole text file of at most 64 MiB.
 *
 * @param path what errors call it
 * @param hint what to do where there is none
 * @param file another path to the same file
 * @throws {ContainerError} "config-unreadable"
 */
export function readText(path: string, hint: string, file = path): string {
  let text: string | undefined;
  try {
    text = readTextUpToSync(file, MOST_BYTES);
  } catch (error) {
    throw new ContainerError(
      `Cannot read "${path}": ${describeFileError(error)}`,
      {
        code: "config-unreadable",
        hint: error instanceof Deno.errors.NotFound
          ? hint
          : "Name a file that you may read",
        cause: error,
      },
    );
  }
  if (text !== undefined) return text;
  throw new ContainerError(`Cannot read "${path}": it has more than 64 MiB`, {
    code: "config-unreadable",
    hint: "Name the file that you mean; a device may have no end",
  });
}

/** Returns the path of the configuration of a bundle. */
function configPathOf(bundle: string, configPath?: string): string {
  return configPath ?? (bundle.endsWith("/") ? bundle : bundle + "/") +
      "config.json";
}

/** Throws for the first of some problems. */
function refuse(name: string, problems: readonly Problem[]): never {
  const [first] = problems;
  if (first === undefined) throw new RangeError("Cannot refuse: no problem");
  const more = problems.length - 1;
  const what = first.path === "" ? "" : `${first.path} `;
  throw new ConfigError(
    `Cannot use "${name}": ${what}${first.message}`,
    problems,
    {
      code: "config-invalid",
      hint: first.instead.slice(0, 1).toUpperCase() + first.instead.slice(1) +
        (more === 0 ? "" : ` (and ${more} more: rustyrun validate lists them)`),
    },
  );
}

/**
 * Reads a bundle's configuration and says all that is wrong with it:
 * `rustyrun validate`.
 *
 * @throws {ContainerError} when it cannot be read ("bundle-missing",
 * "config-unreadable") or is not JSON ("json-invalid")
 */
export function inspectSpec(
  bundle: string,
  configPath?: string,
  options: LoadOptions = {},
  hint = "Write one with rustyrun spec",
): Inspection {
  const path = configPathOf(bundle, configPath);
  let text: string;
  try {
    text = readText(
      path,
      hint,
      options.opened === undefined || configPath !== undefined
        ? path
        : configPathOf(options.opened),
    );
  } catch (error) {
    checkBundle(bundle);
    throw error;
  }
  const value = parseConfigJson(text, path);
  spellPageSizes((value as Partial<Spec> | null)?.linux?.resources);
  const problems = checkSpec(value);
  if (problems.length === 0) {
    problems.push(...specProblems(value as Spec, options));
    return { path, value, problems, complete: true };
  }
  const more = soundPartProblems(
    parseConfigJson(text, path),
    problems,
    options,
  );
  problems.push(...more.problems);
  return { path, value, problems, complete: more.complete };
}

/**
 * Opens a bundle's directory.
 *
 * @returns a descriptor to reach it by, O_PATH
 * @throws {ContainerError} "bundle-missing" when there is none
 */
export function openBundle(bundle: string): number {
  try {
    return openFd(bundle, O.PATH | O_BY_ARCH[Deno.build.arch].DIRECTORY);
  } catch (error) {
    checkBundle(bundle);
    throw error;
  }
}

/** Throws when the bundle itself is the reason. */
function checkBundle(bundle: string): void {
  try {
    if (statSync(bundle).isDirectory) return;
  } catch (error) {
    throw new ContainerError(
      `Cannot open the bundle "${bundle}": ${describeFileError(error)}`,
      {
        code: "bundle-missing",
        hint: hintLink(bundle, error) ??
          "A bundle is a directory with a config.json: --bundle DIR",
        cause: error,
      },
    );
  }
  throw new ContainerError(
    `Cannot open the bundle "${bundle}": not a directory`,
    {
      code: "bundle-missing",
      hint: "A bundle is a directory with a config.json: --bundle DIR",
    },
  );
}

/**
 * Loads the configuration of a bundle.
 *
 * A relative destination of a mount comes out below "/", as config.md#mounts
 * wants; all else is as written.
 *
 * @param bundle the bundle's directory
 * @param configPath the configuration, when it is not the bundle's config.json
 * @throws {ContainerError} when it cannot be read ("bundle-missing",
 * "config-unreadable") or is not JSON ("json-invalid")
 * @throws {ConfigError} "config-invalid" when something in it is wrong
 */
export function loadSpec(
  bundle: string,
  configPath?: string,
  options: LoadOptions = {},
): Spec {
  const { path, value, problems } = inspectSpec(
    bundle,
    configPath,
    options,
    "Write one with rustyrun spec, or run a command without: rustyrun run --rootfs DIR COMMAND",
  );
  if (problems.length > 0) refuse(path, problems);
  const spec = value as Spec;
  for (const mount of spec.mounts ?? []) {
    if (mount.destination[0] !== "/") {
      mount.destination = `/${mount.destination}`;
    }
  }
  return spec;
}

/**
 * Loads the process of `exec --process FILE`.
 *
 * @throws {ContainerError} as {@linkcode loadSpec} does
 */
export function loadProcess(path: string): Process {
  const text = readText(path, "Write a process as in config.md#process there");
  const value = parseConfigJson(text, path);
  const problems = checkProcess(value);
  if (problems.length === 0) {
    problems.push(...processProblems(value as Process));
  }
  if (problems.length > 0) refuse(path, problems);
  return value as Process;
}

/**
 * Takes the resources of `update --resources FILE` from their text, which
 * may have come from stdin.
 *
 * @param name what to call the text in an error: its path, or "stdin"
 * @throws {ContainerError} as {@linkcode loadSpec} does
 */
export function parseResources(text: string, name: string): Resources {
  const value = parseConfigJson(text, name);
  spellPageSizes(value);
  const problems = checkResources(value);
  if (problems.length === 0) {
    problems.push(...resourcesProblems(value as Resources, { update: true }));
  }
  if (problems.length > 0) refuse(name, problems);
  return value as Resources;
}
