/**
 * The command's environment: `--env` and `--env-file`.
 *
 * @module
 */

import { type Flags, flagUses, refuse, resolvePath } from "./use.ts";
import { explainFileError, type FlagsHost } from "./host.ts";
import { ContainerError } from "../../errors.ts";

/** A variable: its value and the flag that it came from, if any. */
export interface Variable {
  value: string;
  typed?: string;
}

/**
 * Adds `--env-file` and then `--env` to `variables`. A bare NAME takes the
 * caller's value; where the caller has none, the variable is not set.
 *
 * @throws {ContainerError} for a line or a flag that is no variable
 */
export function readEnvironment(
  flags: Flags,
  host: FlagsHost,
  variables: Map<string, Variable>,
): void {
  const ours = (name: string) =>
    Object.hasOwn(host.env, name) ? host.env[name] : undefined;
  const set = (name: string, value: string | undefined, typed: string) => {
    if (value === undefined) variables.delete(name);
    else variables.set(name, { value, typed });
  };
  for (const { value: path, typed } of flagUses(flags, "env-file")) {
    for (const [name, value] of readEnvFile(path, host)) {
      set(name, value ?? ours(name), typed);
    }
  }
  for (const { value: text, typed } of flagUses(flags, "env")) {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    if (name === "") {
      throw refuse(
        typed,
        "the variable has no name",
        "env",
        "Write --env NAME=VALUE, or --env NAME to pass the caller's",
      );
    }
    set(name, equals < 0 ? ours(name) : text.slice(equals + 1), typed);
  }
}

/** Returns the lines of an env file in docker's format: NAME=VALUE with the
 * value as it stands, quotes included; NAME alone; "#" begins a comment. */
function* readEnvFile(
  path: string,
  host: FlagsHost,
): Generator<[string, string | undefined]> {
  let text;
  try {
    text = host.readTextFile(resolvePath(host.cwd, path));
  } catch (error) {
    throw new ContainerError(
      `Cannot read the env file "${path}": ${explainFileError(error)}`,
      {
        code: "env-file-unreadable",
        hint: "Give a file with one NAME=VALUE on a line",
        cause: error,
      },
    );
  }
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  for (const [index, raw] of lines.entries()) {
    const line = raw.replace(/\r$/, "").trimStart();
    if (line === "" || line[0] === "#") continue;
    const equals = line.indexOf("=");
    const name = equals < 0 ? line : line.slice(0, equals);
    const why = name === ""
      ? "the variable has no name"
      : /\s/.test(name)
      ? `there is a space in the name "${name}"`
      : line.includes("\0")
      ? "there is a NUL in it"
      : undefined;
    if (why) {
      throw new ContainerError(
        `Cannot read the env file "${path}": line ${index + 1}: ${why}`,
        {
          code: "env-file-line",
          hint: "Write one NAME=VALUE on a line, without export and spaces",
        },
      );
    }
    yield [name, equals < 0 ? undefined : line.slice(equals + 1)];
  }
}
