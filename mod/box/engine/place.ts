/**
 * Where the library's containers live, for whom, and what they are children of:
 * this very program.
 *
 * @module
 */

import { keepChildren } from "../../../ffi/children.ts";
import { spawnProgram } from "../../../ffi/libc.ts";
import { type Caller, readCaller, type StreamKind } from "../../caller.ts";
import { type Flags, flagValue, resolvePath } from "../../config/flags/use.ts";
import type { Place } from "../../container/model.ts";
import { type Outlet, ownOutlet } from "../../outlet.ts";
import { claimSharedRoot, ownRoot } from "../../state/place.ts";

/** What becomes 0, 1 and 2 of a process. */
export type Streams = readonly [stdin: number, stdout: number, stderr: number];

/** Can be read once the program has given up the call that this thread does. */
let end: number | undefined;

/** Does a call of the program's.
 *
 * @param abort can be read once the program has given it up; -1: it cannot be */
export function callWithEnd<T>(abort: number, call: () => T): T {
  end = abort < 0 ? undefined : abort;
  try {
    return call();
  } finally {
    end = undefined;
  }
}

/** This program as the outside of its call. */
export const callOutlet = (): Outlet =>
  end === undefined ? ownOutlet : { ...ownOutlet, end };

/** This program as a caller: but for its standard streams, which are no
 * container's, and sockets that a service manager has passed to it. */
function libraryCaller(kind: StreamKind): Caller {
  const own = readCaller();
  return Object.create(own, {
    words: { value: [] },
    streams: { value: [kind, kind, kind] },
    environment: {
      get: () => own.environment.filter((it) => !/^(LISTEN|NOTIFY)_/.test(it)),
    },
  });
}

/**
 * Returns the place of containers, or of a process in one.
 *
 * @param global the flags before the command: `root`
 * @param streams what becomes 0, 1 and 2; absent: the null device
 * @throws {ContainerError} when the states' directory is not this user's alone
 */
export function libraryPlace(global: Flags, streams?: Streams): Place {
  const caller = libraryCaller(streams === undefined ? "null" : "other");
  const given = flagValue(global, "root");
  const root = given === undefined
    ? ownRoot(caller)
    : resolvePath(caller.directory, given);
  if (given === undefined && root.startsWith("/tmp/")) {
    claimSharedRoot(root, caller.uid);
  }
  return {
    root,
    caller,
    outlet: {
      ...callOutlet(),
      // A library prints nothing.
      write() {},
      spawn(program, argv, fds) {
        keepChildren();
        const path = `/proc/self/fd/${program}`;
        return spawnProgram(path, argv, [], fds, streams);
      },
    },
  };
}

/** The place of a container that is there. */
export function placeOf(box: { root: string }, streams?: Streams): Place {
  const root = [{ value: box.root, typed: "" }];
  return libraryPlace(new Map([["root", root]]), streams);
}
