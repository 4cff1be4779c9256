/**
 * An outlet whose descriptors have other numbers than this process's own, as
 * those of a front have: what takes a number that was not lent, or lends one
 * twice, fails. A program, too: rustyrun with that outlet.
 *
 * @module
 */

import {
  closeFd,
  execProgram,
  spawnProgram,
  syscall,
  waitProcess,
} from "../ffi/libc.ts";
import { readCaller } from "../mod/caller.ts";
import { main } from "../mod/cli/main.ts";
import { type Outlet, ownOutlet } from "../mod/outlet.ts";

/** Where the numbers begin: far from those that are opened in order. */
const FIRST = 300;
const F_DUPFD_CLOEXEC = 1030;

/** @param lent the numbers that are lent right now */
export function makeLentOutlet(lent: Set<number> = new Set()): Outlet {
  /** Starts a program by lent numbers, which are gone afterwards. */
  const use = <T>(
    start: typeof spawnProgram | typeof execProgram,
    ...[program, argv, fds]: Parameters<Outlet["spawn"]>
  ): T => {
    for (const fd of [program, ...fds]) {
      if (!lent.has(fd)) throw new Error(`${fd} is not lent`);
    }
    try {
      return start(`/proc/self/fd/${program}`, argv, [], fds) as T;
    } finally {
      for (const fd of lent) closeFd(fd);
      lent.clear();
    }
  };
  return {
    ...ownOutlet,
    lend: (fds) =>
      fds.map((fd) => {
        const number = syscall("fcntl", fd, F_DUPFD_CLOEXEC, FIRST);
        lent.add(number);
        return number;
      }),
    spawn: (...all) => use(spawnProgram, ...all),
    wait: waitProcess,
    become: (...all) => use(execProgram, ...all),
  };
}

if (import.meta.main) {
  main({ caller: readCaller(), outlet: makeLentOutlet() }).then(Deno.exit);
}
