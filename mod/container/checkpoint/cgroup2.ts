/**
 * criu mounts cgroup2 for a container, and the kernel takes the options of that
 * mount for the whole machine's: those that are not named are lost
 * (cgroup2_parse_param() and apply_cgroup_root_flags() in the kernel). They are
 * given back. Meanwhile the directory is locked (flock(2)): who would begin in the
 * midst of that would take what is left for what was there.
 *
 * @module
 */

import { O } from "../../../ffi/constants.ts";
import { closeFd, cstring, trySyscall } from "../../../ffi/libc.ts";
import { pollFds } from "../../../ffi/poll.ts";
import { runPlan } from "../../process.ts";
import { readTextFileSync } from "../../../ffi/files.ts";
import { unescapeMountinfo } from "../../host.ts";
import type { Place } from "../model.ts";

/** Where cgroup2 is mounted, and the options of its file system. */
interface Cgroup2 {
  path: string;
  options: string[];
}

/** Options that every file system has. */
const COMMON = ["rw", "ro"];

/** Reads them of a mountinfo; undefined where there is no cgroup2. */
export function readCgroup2(mountinfo: string): Cgroup2 | undefined {
  for (const line of mountinfo.split("\n")) {
    const words = line.split(" ");
    const at = words.indexOf("-");
    if (at < 0 || words[at + 1] !== "cgroup2") continue;
    return {
      path: unescapeMountinfo(words[4]!),
      options: (words[at + 3] ?? "").split(",").filter((it) =>
        it !== "" && !COMMON.includes(it)
      ),
    };
  }
}

const LOCK_EX = 2, LOCK_NB = 4;
/** How long another checkpoint is waited for, in milliseconds, counted by pauses.
 * One whose memory somebody fetches later (`--lazy-pages`) may take for ever, and
 * anybody may lock a directory. */
const PATIENCE_MS = 2000;
const TICK_MS = 5;

/** Calls `act` when nobody else calls criu, or after {@linkcode PATIENCE_MS}. */
function locking<T>(path: string, act: () => T): T {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(path),
    O.RDONLY | O.CLOEXEC,
    0,
  );
  // Something lies over it.
  if (fd < 0) return act();
  try {
    for (let left = PATIENCE_MS; left > 0; left -= TICK_MS) {
      if (trySyscall("flock", fd, LOCK_EX | LOCK_NB) === 0) break;
      pollFds([], TICK_MS);
    }
    return act();
  } finally {
    closeFd(fd);
  }
}

/** Gives a mounted cgroup2 these options, and no others. */
function giveOptions(
  { path, options }: Cgroup2,
  { root, outlet }: Place,
): void {
  const why = "give cgroup2 the options that it had";
  runPlan(
    {},
    [
      {
        do: "open",
        into: "cgroup2",
        at: "",
        path,
        flags: O.PATH,
        mode: 0,
        resolve: 0,
        why,
      },
      { do: "reconfigure", slot: "cgroup2", options, why },
    ],
    root,
    [],
    outlet,
  );
}

/**
 * Calls criu, and gives the machine's cgroup2 back what it has lost by that.
 *
 * @returns what `act` does
 */
export function keepingCgroup2<T>(place: Place, act: () => T): T {
  const { proc } = place.caller;
  const read = () => readCgroup2(readTextFileSync(`${proc}/mountinfo`));
  const found = read();
  if (found === undefined) return act();
  return locking(found.path, () => {
    const before = read() ?? found;
    try {
      return act();
    } finally {
      const after = read();
      if (before.options.some((it) => !after?.options.includes(it))) {
        giveOptions(before, place);
      }
    }
  });
}
