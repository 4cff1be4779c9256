/**
 * What the process does that becomes criu for a restore: it joins the container's
 * cgroups, and puts the root file system where criu wants it, in a mount namespace
 * of its own. So nothing of it is ever seen on the host, and it all goes with criu.
 *
 * @module
 */

import {
  AT,
  CLONE,
  MOUNT_ATTR,
  MS,
  O,
  O_BY_ARCH,
  OPEN_TREE_CLONE,
  S_IF,
} from "../../../ffi/constants.ts";
import { statSync } from "../../../ffi/files.ts";
import { type Op, SYNC, TARGET } from "../../plan.ts";
import { planNoNewPrivileges } from "../../security.ts";
import { FD_TAG, type Prepared } from "../model.ts";

const DIRECTORY =
  O_BY_ARCH[Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"].DIRECTORY;
const from = "linux.namespaces";
/** Where the root file system is, on the stage. */
export const ROOT = "root";
/** Where what hides files is, on the stage. */
export const HIDING = "null";
/** Slot of the directory that criu works in, as it is on the host. */
export const WORK = "work:at";

/** Joins the cgroups and the class of service. */
function planJoins({ cgroup, resctrl }: Prepared): Op[] {
  const { tasks, v2 } = cgroup.joins;
  const files = [
    ...tasks,
    ...(v2 === undefined ? [] : [`${v2}/cgroup.procs`]),
    ...(resctrl?.tasks ?? []),
  ];
  const why = "have what is restored counted from the beginning";
  return [
    { do: "sync", id: SYNC.cgroups, why },
    ...files.flatMap((path, at): Op[] => [
      {
        do: "open",
        into: `tasks${at}`,
        at: "",
        path,
        flags: O.WRONLY,
        mode: 0,
        resolve: 0,
        why,
      },
      {
        do: "writeFd",
        slot: `tasks${at}`,
        data: new TextEncoder().encode("0"),
        why,
      },
    ]),
  ];
}

/** Takes a tree of the host by a descriptor. */
function take(slot: string, at: string, recursive: boolean): Op {
  return {
    do: "openTree",
    into: slot,
    at,
    path: "",
    flags: OPEN_TREE_CLONE | AT.EMPTY_PATH | (recursive ? AT.RECURSIVE : 0),
    why: "take what criu works on",
    from,
  };
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory;
  } catch {
    // The plan says what is wrong with it.
    return true;
  }
}

/** Makes the directories and files of the root file system that are mounted on,
 * as a new container does: it may be another copy than the old one's. */
function planTargets({ config }: Prepared): Op[] {
  const mounts = config.spec.mounts ?? [];
  const places = mounts.map((it) => it.destination);
  return mounts.filter(({ destination }) =>
    !places.some((it) => it !== "/" && destination.startsWith(`${it}/`))
  ).map(({ destination, source, options }): Op => {
    const binds = options?.some((it) => it === "bind" || it === "rbind");
    const file = binds && source !== undefined &&
      !isDirectory(
        source.startsWith("/") ? source : `${config.bundle}/${source}`,
      );
    return {
      do: "target",
      into: "target",
      at: "",
      below: "",
      root: ROOT,
      path: destination,
      kind: file ? TARGET.file : TARGET.directory,
      mode: file ? 0o644 : 0o755,
      why: "have a place for a mount",
      from: "mounts",
    };
  });
}

/**
 * Plans it.
 *
 * @param state the directory of the container's state, which the stage lies on
 */
export function planRestore(
  prepared: Prepared,
  state: string,
): Op[] {
  const { root } = prepared;
  const why = "keep what is prepared from the host";
  return [
    ...planJoins(prepared),
    take("work", WORK, false),
    { do: "unshare", flags: CLONE.NEWNS, why, from },
    {
      do: "mountSetattr",
      slot: "",
      path: "/",
      flags: AT.RECURSIVE,
      set: 0,
      clear: 0,
      propagation: MS.SLAVE,
      userns: "",
      why,
      from,
    },
    {
      do: "fsmount",
      into: "stage",
      fstype: "tmpfs",
      options: ["source=rustyrun", "mode=0700"],
      attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
      flags: 0,
      why: "have a stage for what criu works on",
      from,
    },
    {
      do: "open",
      into: "place",
      at: "",
      path: state,
      flags: O.PATH | DIRECTORY,
      mode: 0,
      resolve: 0,
      why: "find a place for the stage",
      from,
    },
    {
      do: "moveMount",
      tree: "stage",
      onto: "place",
      why: "attach the stage",
      from,
    },
    // criu mounts in its working directory, and may only in a mount namespace of
    // its own; it is given what this process says of it.
    {
      do: "stage",
      tree: "work",
      at: "stage",
      name: "work",
      why: "have a place for criu to work in",
      from,
    },
    {
      do: "mountSetattr",
      slot: "work",
      path: "",
      flags: 0,
      set: 0,
      clear: 0,
      propagation: MS.PRIVATE,
      userns: "",
      why,
      from,
    },
    {
      do: "sendFd",
      slot: "work",
      tag: FD_TAG.work,
      why: "let criu be told of it",
      from,
    },
    {
      do: "open",
      into: "null:at",
      at: "",
      path: "/dev/null",
      flags: O.PATH,
      mode: 0,
      resolve: 0,
      why: "have what hides files",
      from: "linux.maskedPaths",
    },
    // c:1:3
    {
      do: "verify",
      slot: "null:at",
      type: S_IF.CHR,
      rdev: 0x103,
      magic: 0,
      why: "have the null device",
      from: "linux.maskedPaths",
    },
    take(HIDING, "null:at", false),
    {
      do: "mountSetattr",
      slot: HIDING,
      path: "",
      flags: 0,
      set: MOUNT_ATTR.RDONLY,
      clear: 0,
      propagation: MS.PRIVATE,
      userns: "",
      why: "let nobody change the host's null device",
      from: "linux.maskedPaths",
    },
    {
      do: "stage",
      tree: HIDING,
      at: "stage",
      name: HIDING,
      why: "have what hides files where criu finds it",
      from: "linux.maskedPaths",
    },
    {
      do: "open",
      into: "root:at",
      at: "",
      path: root.path,
      flags: O.PATH | DIRECTORY,
      mode: 0,
      resolve: 0,
      why: "find the root file system",
      from: "root.path",
    },
    {
      do: "same",
      slot: "root:at",
      dev: root.dev,
      ino: root.ino,
      why: "have the one that was looked at",
      from: "root.path",
    },
    take(ROOT, "root:at", true),
    ...planTargets(prepared),
    {
      do: "stage",
      tree: ROOT,
      at: "stage",
      name: ROOT,
      why: "have the root file system where criu wants it: on a mount",
      from: "root.path",
    },
    { do: "umask", mask: 0o77, why: "let nobody read what criu writes" },
    // An image of criu before 3.18 does not hold it.
    ...planNoNewPrivileges(prepared.config),
  ];
}
