/**
 * The terminal: a pseudoterminal of the container's own devpts, its peer on
 * /dev/console and as standard input, output and error; the host gets the
 * master.
 *
 * @module
 */

import { MAGIC, O, RESOLVE, S_IF } from "../../ffi/constants.ts";
import { ContainerError } from "../errors.ts";
import { type Op, TARGET } from "../plan.ts";
import { cloneTree, type MountContext } from "./context.ts";
import { joinPath } from "./path.ts";
import { findTarget } from "./target.ts";

/** Tag of the packet that carries the terminal's master to the host. */
export const TERMINAL_TAG = 1;

/** Nobody but the owner changes: chown(2). */
const KEEP = -1;

/**
 * Plans the terminal, when the process has one.
 *
 * @throws {ContainerError} when nothing provides /dev/pts
 */
export function planConsole(context: MountContext): Op[] {
  const { process } = context.config.spec;
  if (!process?.terminal) return [];
  const from = "process.terminal";
  const ops: Op[] = [];
  const mounts = context.config.spec.mounts ?? [];
  const at = (path: string) =>
    mounts.filter((it) => joinPath("/", it.destination) === path).at(-1);
  let devpts = context.devpts;
  if (devpts === "") {
    if (at("/dev/pts") === undefined && at("/dev") === undefined) {
      throw new ContainerError(
        "Cannot give the process a terminal: no devpts is mounted on /dev/pts (process.terminal)",
        {
          code: "devpts-missing",
          hint:
            'Add {"destination":"/dev/pts","type":"devpts","options":["newinstance","ptmxmode=0666"]} to mounts',
        },
      );
    }
    devpts = "devpts";
    ops.push(findTarget(context, "/dev/pts", {
      into: devpts,
      kind: TARGET.any,
      why: "find the container's devpts",
      from,
    }));
  }
  ops.push(
    {
      do: "verify",
      slot: devpts,
      type: S_IF.DIR,
      rdev: 0,
      magic: MAGIC.DEVPTS,
      why: "make sure that it is a devpts",
      from,
    },
    {
      do: "pty",
      master: "master",
      peer: "peer",
      devpts,
      rows: process.consoleSize?.height ?? 0,
      cols: process.consoleSize?.width ?? 0,
      why: "open a terminal of the container's own",
      from,
    },
  );
  const uid = process.user?.uid ?? 0;
  if (uid !== 0) {
    ops.push({
      do: "chown",
      slot: "peer",
      uid,
      gid: KEEP,
      why: "give the terminal to the container's user",
      from,
    });
  }
  ops.push(...planDevice(context, at("/dev")?.type === "tmpfs"));
  ops.push(
    {
      do: "sendFd",
      slot: "master",
      tag: TERMINAL_TAG,
      why: "hand the terminal's other end to the host",
      from,
    },
    {
      do: "ctty",
      slot: "peer",
      why: "make it the controlling terminal",
      from,
    },
  );
  for (const fd of [0, 1, 2]) {
    ops.push({
      do: "dup",
      slot: "peer",
      fd,
      why: `make it descriptor ${fd}`,
      from,
    });
  }
  return ops;
}

/** /dev/console. In a fresh /dev no link is in the way; in another one it is
 * followed within the root (CVE-2025-52565). */
function planDevice(context: MountContext, fresh: boolean): Op[] {
  const from = "process.terminal";
  const place: Op[] = fresh
    ? [
      {
        do: "file",
        at: "dev",
        name: "console",
        mode: 0o600,
        data: new Uint8Array(),
        why: "make the place of /dev/console",
        from,
      },
      {
        do: "open",
        into: "target",
        at: "dev",
        path: "console",
        flags: O.PATH | context.flags.NOFOLLOW,
        mode: 0,
        resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS,
        why: "find the place of /dev/console",
        from,
      },
    ]
    : [findTarget(context, "/dev/console", {
      kind: TARGET.file,
      mode: 0o600,
      why: "find the place of /dev/console",
      from,
    })];
  return [
    cloneTree("console", "peer", "", false, {
      why: "take the terminal's end of the container",
      from,
    }),
    ...place,
    {
      do: "moveMount",
      tree: "console",
      onto: "target",
      why: "mount it on /dev/console",
      from,
    },
  ];
}
