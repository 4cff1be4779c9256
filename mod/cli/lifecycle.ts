/**
 * The commands that look at containers or hold them: state, wait, list, ps, pause,
 * resume.
 *
 * @module
 */

import "./common.ts";
import { statSync } from "../../ffi/files.ts";
import { checkThere, freezeCgroups, thawCgroups } from "../cgroups/control.ts";
import { flagOn, flagValue } from "../config/flags/use.ts";
import { listPids } from "../container/kill.ts";
import {
  describeState,
  findState,
  listStates,
  statusOf,
} from "../container/status.ts";
import { waitContainer } from "../container/wait.ts";
import { ContainerError, describeFileError, hintLink } from "../errors.ts";
import { findThread } from "../state.ts";
import type { Call } from "./call.ts";
import { printJson, printStdout, toPlain } from "./report.ts";

/** `rustyrun state ID`. */
export function state(call: Call): number {
  const found = findState(call.root, call.args[0]!);
  printJson(call, JSON.stringify(describeState(call.root, found), null, 2));
  return 0;
}

/** `rustyrun wait ID`. */
export function wait(call: Call): number {
  printStdout(call, `${waitContainer(call.root, call.args[0]!)}\n`);
  return 0;
}

/** A table as runc prints it: columns of at least 12, three blanks between. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, at) =>
    Math.max(9, ...rows.map((row) => row[at]!.length)) + 3
  );
  return rows.map((row) =>
    row.map((cell, at) =>
      at === row.length - 1 ? cell : cell.padEnd(widths[at]!)
    ).join("") + "\n"
  ).join("");
}

function checkFormat(call: Call): string {
  const format = flagValue(call.flags, "format") ?? "table";
  if (format === "table" || format === "json") return format;
  throw new ContainerError(
    `Cannot print in the format "${format}": invalid format option`,
    { code: "format", hint: "Use table or json" },
  );
}

/** Throws for a directory that the caller names and that is not there: it is
 * misspelt, or nothing was made in it yet. As in runc. */
function checkRoot(root: string): void {
  try {
    statSync(root);
  } catch (cause) {
    throw new ContainerError(
      `Cannot list the containers of "${root}": ${describeFileError(cause)}`,
      {
        code: "root-missing",
        hint: hintLink(root, cause) ??
          "Look at --root: the first container makes the directory",
        cause,
      },
    );
  }
}

/** `rustyrun list`. */
export function list(call: Call): number {
  const format = checkFormat(call);
  if (call.global.has("root")) checkRoot(call.root);
  const found = listStates(call.root)
    .map((it) => describeState(call.root, it));
  if (flagOn(call.flags, "quiet")) {
    printStdout(call, found.map((it) => `${it.id}\n`).join(""));
    return 0;
  }
  if (format === "json") {
    printJson(call, found.length === 0 ? "null" : JSON.stringify(found));
    return 0;
  }
  const keys = ["id", "pid", "status", "bundle", "created", "owner"];
  printStdout(
    call,
    formatTable([
      keys.map((it) => it.toUpperCase()),
      ...found.map((it) => keys.map((key) => toPlain(String(it[key])))),
    ]),
  );
  return 0;
}

/** `rustyrun ps ID [PS-ARGS]`. */
export function ps(call: Call): number {
  const [id, ...words] = call.args;
  const format = checkFormat(call);
  const found = findState(call.root, id!);
  const pids = listPids(call.root, found);
  if (format === "json") {
    printStdout(call, JSON.stringify(pids) + "\n");
    return 0;
  }
  const args = words.length > 0 ? words : ["-ef"];
  let output: string;
  try {
    const { stdout, stderr, success } = new Deno.Command("ps", { args })
      .outputSync();
    output = new TextDecoder().decode(stdout);
    if (!success) {
      // Its usage follows.
      throw new Error(new TextDecoder().decode(stderr).trim().split("\n")[0]);
    }
  } catch (cause) {
    throw new ContainerError(
      `Cannot run ps ${args.join(" ")}: ${
        cause instanceof Error ? cause.message : cause
      }`,
      { code: "ps", hint: "--format json needs no ps program", cause },
    );
  }
  const [head = "", ...lines] = output.trimEnd().split("\n");
  const at = head.trim().split(/\s+/).indexOf("PID");
  if (at < 0) {
    throw new ContainerError(
      "Cannot read what ps prints: it has no PID column",
      {
        code: "ps",
        hint: "Let the format have one: ps ID -o pid,args",
      },
    );
  }
  const wanted = new Set(pids.map(String));
  const mine = lines.filter((it) => wanted.has(it.trim().split(/\s+/)[at]!));
  printStdout(call, [head, ...mine].join("\n") + "\n");
  return 0;
}

/** `rustyrun pause ID`. */
export function pause(call: Call): number {
  const found = findState(call.root, call.args[0]!);
  const status = statusOf(call.root, found);
  if (status !== "running" && status !== "created") {
    throw new ContainerError(
      `Cannot pause "${found.id}": container not running: ${status}`,
      {
        code: "not-running",
        hint: `rustyrun state ${found.id} shows how it is`,
      },
    );
  }
  checkThere(found.cgroup.dirs, "pause the container");
  const first = findThread(found.pid);
  const { proc } = call.caller;
  freezeCgroups(
    found.cgroup.dirs,
    first === undefined ? undefined : { process: first, proc },
  );
  return 0;
}

/** `rustyrun resume ID`. */
export function resume(call: Call): number {
  const found = findState(call.root, call.args[0]!);
  const status = statusOf(call.root, found);
  if (status !== "paused") {
    throw new ContainerError(
      `Cannot resume "${found.id}": container not paused: ${status}`,
      {
        code: "not-paused",
        hint: `rustyrun state ${found.id} shows how it is`,
      },
    );
  }
  thawCgroups(found.cgroup.dirs);
  return 0;
}
