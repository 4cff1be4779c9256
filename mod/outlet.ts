/**
 * What a command does to the outside of its own process, as one value: it prints,
 * starts the helper, which is then a child of the caller's, and goes on as the
 * keeper. In a process of its own it does so itself; for the warm engine the front
 * does it, and a library prints nothing.
 *
 * @module
 */

import { keepChildren } from "../ffi/children.ts";
import { writeAtOnce } from "../ffi/at_once.ts";
import { execProgram, spawnProgram, waitProcess } from "../ffi/libc.ts";
import { pollFds, POLLIN, POLLOUT } from "../ffi/poll.ts";

/** Why a call goes no further here: nobody is told of it. */
export class CallLeft extends Error {
  override name = "CallLeft";
}

/** The caller has ended, or has given the call up; what was made for it is
 * undone. */
export class CallerGone extends CallLeft {
  override name = "CallerGone";
}

/** The outside of a command. */
export interface Outlet {
  /** A descriptor that can be read once the caller has ended, or has given the
   * call up: who waits for the child stage waits for that, too. Absent where this
   * process alone is the caller. */
  readonly end?: number;
  /**
   * Says, before anything has an effect, that the call needs a process of its own:
   * it runs programs of others, or may wait for long.
   *
   * @throws {CallLeft} where it has none, and so is to be made in one
   */
  needProcess?(why: string): void;
  /** Writes all of it to standard output (1) or error (2).
   *
   * @throws when nobody reads it any more */
  write(stream: 1 | 2, bytes: Uint8Array): void;
  /** Writes to a descriptor that the caller has handed on, without waiting for
   * whoever reads it: all of it, or what there is room for. */
  writeTo(fd: number, bytes: Uint8Array): void;
  /** Reads standard input to its end. */
  readInput(): Uint8Array;
  /**
   * Gives descriptors of this process to who spawns.
   *
   * @returns their numbers there: what {@linkcode Outlet.spawn},
   * {@linkcode Outlet.become} and the plans of both take. A number is good for
   * one of these calls, which closes it there, also where it fails
   */
  lend(fds: readonly number[]): number[];
  /**
   * Starts a program without an environment, with the caller's standard streams;
   * posix_spawn(3).
   *
   * @param program number of its file
   * @param fds numbers that go along
   * @returns its pid
   * @throws {SyscallError}
   */
  spawn(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): number;
  /**
   * As {@linkcode Outlet.spawn}, without waiting until it has started. Absent where
   * that is no wait.
   *
   * @returns gives its pid, or throws what spawn() would
   */
  spawnSoon?(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): () => number;
  /** Waits for what was spawned, or what that made its sibling; waitpid(2).
   *
   * @returns its wait status; undefined when it is no child any more, or `hang`
   * is false and it still runs
   * @throws {SyscallError} */
  wait(pid: number, hang?: boolean): number | undefined;
  /**
   * Goes on as another program, same pid; execve(2) with the arguments of
   * {@linkcode Outlet.spawn}.
   *
   * @returns for a front alone: the exit code of the call, which is the front's
   * own by then
   * @throws {SyscallError} when it fails
   */
  become(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): number;
}

const pathOf = (program: number) => `/proc/self/fd/${program}`;

/** Reads or writes a standard stream, and waits for it. Whoever has the same open
 * file, as a container has, may have set O_NONBLOCK on it; open(2). */
function waitOn<T>(fd: 0 | 1 | 2, act: () => T): T {
  for (;;) {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      pollFds([fd], -1, fd === 0 ? POLLIN : POLLOUT);
    }
  }
}

/** This process does it itself. */
export const ownOutlet: Outlet = {
  write(stream, bytes) {
    const out = stream === 1 ? Deno.stdout : Deno.stderr;
    for (let at = 0; at < bytes.length;) {
      at += waitOn(stream, () => out.writeSync(bytes.subarray(at)));
    }
  },
  writeTo: writeAtOnce,
  readInput() {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      const buffer = new Uint8Array(65536);
      const n = waitOn(0, () => Deno.stdin.readSync(buffer));
      if (n === null) break;
      chunks.push(buffer.subarray(0, n));
      size += n;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  },
  lend: (fds) => [...fds],
  spawn(program, argv, fds) {
    keepChildren();
    return spawnProgram(pathOf(program), argv, [], fds);
  },
  wait: waitProcess,
  become: (program, argv, fds) => execProgram(pathOf(program), argv, [], fds),
};
