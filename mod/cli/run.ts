/**
 * `rustyrun run`.
 *
 * @module
 */

import {
  lstatSync,
  openSync,
  readDirSync,
  readTextFileSync,
  statSync,
} from "../../ffi/files.ts";
import type { Caller } from "../caller.ts";
import type { Config } from "../config/config.ts";
import { flagOn, flagValue } from "../config/flags/use.ts";
import { configFromBundle } from "../config/from_bundle.ts";
import { configFromFlags, type FlagsHost } from "../config/from_flags.ts";
import { runForeground } from "../container/foreground.ts";
import { createAndStart } from "../container/detached.ts";
import { checkTerminal } from "../container/properties/handover.ts";
import { ContainerError } from "../errors.ts";
import { gatherFacts } from "../host.ts";
import { selfCommand } from "../program.ts";
import { type Call, refuseSharedCache, wordsOf } from "./call.ts";
import { runDetached } from "./detach.ts";
import { imageMeant } from "./elsewhere.ts";
import { load } from "./load.ts";
import { printStdout, warnTo } from "./report.ts";

function byName(environment: Caller["environment"]): FlagsHost["env"] {
  return Object.fromEntries(
    environment.map((it) => {
      const at = it.indexOf("=");
      return [it.slice(0, at), it.slice(at + 1)];
    }),
  );
}

/** The current directory; "/" where it was deleted. */
function directoryOrTop({ directory }: Caller): string {
  try {
    return directory();
  } catch (error) {
    if (error instanceof ContainerError) return "/";
    throw error;
  }
}

/** The caller's surroundings. */
function flagsHost({ root, caller }: Call): FlagsHost {
  const isTerminal = (fd: number) => caller.streams[fd] === "terminal";
  return {
    states: root.startsWith("/") ? root : `${caller.directory()}/${root}`,
    env: byName(caller.environment),
    cwd: caller.directory,
    bundle: directoryOrTop(caller),
    uid: caller.uid,
    gid: caller.gid,
    isTerminal: {
      get stdin() {
        return isTerminal(0);
      },
      get stdout() {
        return isTerminal(1);
      },
      get stderr() {
        return isTerminal(2);
      },
    },
    readTextFile: readTextFileSync,
    list: listDirectory,
    mayRead,
    stat: statSync,
  };
}

function listDirectory(path: string): ReturnType<FlagsHost["list"]> {
  try {
    return readDirSync(path).map(({ name }) => {
      const { isDirectory, isFile, mode, size } = lstatSync(
        `${path}/${name}`,
      );
      const kind = isDirectory ? "directory" : isFile ? "file" : "other";
      return { name, kind, mode: mode ?? 0, size };
    });
  } catch (error) {
    if (
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotFound
    ) return [];
    throw error;
  }
}

function mayRead(path: string): boolean {
  try {
    openSync(path).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** The configuration that a command line describes. */
function readConfig(call: Call): Config {
  if (call.friendly) {
    const host = flagsHost(call);
    // What only tells needs no terminal.
    return configFromFlags(
      call,
      flagOn(call.flags, "explain")
        ? { ...host, isTerminal: { stdin: true, stdout: true, stderr: true } }
        : host,
    );
  }
  try {
    return configFromBundle(call, call.caller);
  } catch (error) {
    const here = !call.flags.has("bundle") && !call.flags.has("config");
    const missing = error instanceof ContainerError &&
      error.code === "config-unreadable" &&
      error.cause instanceof Deno.errors.NotFound;
    if (!here || !missing) throw error;
    throw imageMeant(call.args[0]!, error);
  }
}

/** Runs a container in the foreground, or explains it. */
export async function run(call: Call): Promise<number> {
  const detach = flagOn(call.flags, "detach");
  const fd = flagValue(call.global, "detached-fd");
  // To whoever takes the terminal, we are the runtime that leaves it alone.
  const kept = call.friendly && detach &&
    flagValue(call.flags, "console-socket") === undefined;
  if (kept && fd === undefined && !flagOn(call.flags, "explain")) {
    return runDetached(call);
  }
  const config = readConfig(call);
  const facts = gatherFacts(call.caller);
  if (flagOn(call.flags, "explain")) {
    const { explain } = await load<typeof import("./rare.ts")>("rare");
    return explain(config, facts, call);
  }
  refuseSharedCache();
  checkTerminal(config, { caller: call.caller, detached: detach });
  // Docker's way. To an engine, which has chosen the id, nothing is said.
  const answer = call.reporting.json
    ? JSON.stringify({ id: config.id }) + "\n"
    : `${config.id}\n`;
  if (detach && !kept) {
    createAndStart(config, facts, call, warnTo(call));
    if (call.friendly) printStdout(call, answer);
    return 0;
  }
  const words = wordsOf(call, config.id);
  const remove = call.flags.get("rm")?.at(-1)?.value ?? !detach;
  return runForeground(config, facts, {
    place: call,
    words,
    keep: flagOn(call.flags, "keep") || remove === false,
    ...(fd === undefined ? {} : { detached: { fd: Number(fd), text: answer } }),
    warn: warnTo(call),
    get poststop() {
      return selfCommand(["--root", call.root, "poststop", config.id]);
    },
  });
}
