/**
 * The commands about bundles and about rustyrun itself as a runtime: spec,
 * validate, features.
 *
 * @module
 */

import { writeTextFileSync } from "../../ffi/files.ts";
import { defaultSpec } from "../config/default_spec.ts";
import { flagOn, flagValue, resolvePath } from "../config/flags/use.ts";
import { inspectSpec } from "../config/load.ts";
import { ContainerError, describeFileError } from "../errors.ts";
import { describeFeatures } from "../features.ts";
import { gatherFacts } from "../host.ts";
import type { Call } from "./call.ts";
import { printStdout, toPlain } from "./report.ts";
import { fail } from "./fail.ts";

/** `rustyrun spec`: writes a config.json to begin with. */
export function spec(call: Call): number {
  const bundle = flagValue(call.flags, "bundle") || ".";
  const file = flagValue(call.flags, "config");
  const path = file === undefined
    ? `${resolvePath(call.caller.directory, bundle)}/config.json`
    : resolvePath(call.caller.directory, file);
  const text = JSON.stringify(
    defaultSpec({
      rootless: flagOn(call.flags, "rootless"),
      uid: call.caller.uid,
      gid: call.caller.gid,
    }),
    null,
    "\t",
  );
  try {
    writeTextFileSync(path, text + "\n", { createNew: true, mode: 0o644 });
  } catch (cause) {
    const exists = cause instanceof Deno.errors.AlreadyExists;
    throw new ContainerError(
      `Cannot write "${path}": ${
        exists
          ? `File ${path} exists. Remove it first`
          : describeFileError(cause)
      }`,
      {
        code: exists ? "config-exists" : "config-unwritable",
        hint: exists
          ? "It is not overwritten: it may be the only copy"
          : "Name a directory that you may write: --bundle DIR",
        cause,
      },
    );
  }
  return 0;
}

/** `rustyrun validate`: says everything that is wrong with a config.json. */
export function validate(call: Call): number {
  const [word] = call.args;
  const other = call.flags.get("config") ?? call.flags.get("bundle");
  if (word !== undefined && other !== undefined) {
    throw fail(
      `${other[0]!.typed} and "${word}" exclude each other`,
      "Name one configuration: rustyrun validate FILE",
      1,
    );
  }
  const file = word ?? flagValue(call.flags, "config");
  const bundle = flagValue(call.flags, "bundle") || ".";
  const { path, problems, complete } = inspectSpec(
    file === undefined ? resolvePath(call.caller.directory, bundle) : bundle,
    file === undefined ? undefined : resolvePath(call.caller.directory, file),
    { mapsLater: call.caller.uid !== 0 },
  );
  if (flagOn(call.flags, "json")) {
    printStdout(
      call,
      JSON.stringify({
        path,
        valid: problems.length === 0,
        complete,
        problems,
      }) + "\n",
    );
  } else if (problems.length === 0) {
    printStdout(call, `${toPlain(path)}: valid\n`);
  } else {
    for (const it of problems) {
      printStdout(
        call,
        `${toPlain(path)}: ${it.path && `${toPlain(it.path)} `}${
          toPlain(it.message)
        }\n  clause:  ${it.clause}\n  instead: ${toPlain(it.instead)}\n`,
      );
    }
    if (!complete) {
      printStdout(
        call,
        `${
          toPlain(path)
        }: then run this again: what may rest on these properties comes after them\n`,
      );
    }
  }
  return problems.length === 0 ? 0 : 1;
}

/** `rustyrun features`. */
export function features(call: Call): number {
  printStdout(
    call,
    JSON.stringify(describeFeatures(gatherFacts(call.caller)), null, 4) + "\n",
  );
  return 0;
}
