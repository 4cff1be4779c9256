/**
 * One call of a front, from its first packet to its exit code.
 *
 * @module
 */

import { statSync } from "../../ffi/files.ts";
import { errnoOf } from "../../ffi/errno.ts";
import { cstring, syscall, trySyscall } from "../../ffi/libc.ts";
import { Identity } from "./equal.ts";
import { CallerGone } from "../outlet.ts";
import { type Asked, Front, GoCold } from "./front.ts";

/** What the full program would do for a call. */
export interface Program {
  /** Whether the engine serves these words, where it is now; without an effect. */
  isWarm(words: readonly string[]): boolean;
  /**
   * Runs a call.
   *
   * @returns its exit code
   * @throws {GoCold} before anything has an effect
   * @throws {CallerGone} when the front has ended; everything is undone
   */
  run(front: Front, asked: Asked): Promise<number>;
}

/** This process, as it is between two calls. */
export interface Self {
  identity: Identity;
  /** The command line of the full program. */
  program: readonly string[];
  /** Its file, when this process started. */
  file: string;
}

/** Which file a path leads to, and its content's age; "" for none. */
export function identifyFile(path: string): string {
  try {
    const { dev, ino, size, mtime, ctime } = statSync(path);
    return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join(" ");
  } catch (error) {
    if (errnoOf(error) === "") throw error;
    return "";
  }
}

/** What this process is. */
export function describeSelf(program: readonly string[]): Self {
  return {
    identity: new Identity(),
    program,
    file: identifyFile(program.at(-1)!),
  };
}

/** Whether the full program is still the one that this process has started as:
 * another one may have been installed. */
export function isCurrent(self: Self): boolean {
  return identifyFile(self.program.at(-1)!) === self.file;
}

/** Whether a front means this very program, by its words. No path of a front's
 * is looked at: what it leads to may never answer. */
function meansUs(program: readonly string[], self: Self): boolean {
  return program.length === self.program.length &&
    program.every((it, i) => it === self.program[i]) && isCurrent(self);
}

/** Why an equal is told to go its own way; undefined for one that is served. */
function judge(
  asked: Asked | undefined,
  self: Self,
  program: Program,
): string | undefined {
  if (asked === undefined) return "it does not say what it wants";
  if (!meansUs(asked.strings.program, self)) return "another program";
  // May this process be where it is? Its directory may be closed to us.
  if (trySyscall("fchdir", asked.directory) < 0) return "its directory";
  if (!program.isWarm(asked.strings.words)) return "not served";
  return undefined;
}

/**
 * Serves one call, and leaves nothing of it in this process.
 *
 * @param socket the connection; closed here
 * @returns why it was not served: the front is cold, or has gone; undefined when
 * it was
 */
export async function serveCall(
  socket: number,
  self: Self,
  program: Program,
): Promise<string | undefined> {
  using front = new Front(socket);
  try {
    // Nothing of anybody else's is received: even to close a descriptor may take
    // for ever.
    if (!self.identity.isOf(front.pid)) {
      front.say("cold");
      return "no equal";
    }
    const asked = front.hear();
    const why = judge(asked, self, program);
    if (why !== undefined || asked === undefined) {
      front.say("cold");
      return why;
    }
    if (!front.take()) return "it has not waited";
    Deno.umask(asked.request.umask);
    try {
      const code = await program.run(front, asked);
      if (!front.isOver) front.exit(code);
      return undefined;
    } catch (error) {
      if (!(error instanceof GoCold)) throw error;
      front.goCold();
      return error.message;
    }
  } catch (error) {
    if (!(error instanceof CallerGone)) throw error;
    return error.message;
  } finally {
    beNobodys();
  }
}

/** As a worker is between two calls, so that it keeps no caller's directory busy;
 * each call brings its own. */
export function beNobodys(): void {
  syscall("chdir", cstring("/"));
  Deno.umask(0o077);
}
