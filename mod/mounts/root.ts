/**
 * The container's root: the tree of the root file system, the throw-away
 * overlay over it, and the way into it.
 *
 * The root is attached over its own directory, so that hooks which mount there
 * before pivot_root(2) reach the container; a kernel before 6.15 mounts nothing
 * onto a tree that is not attached.
 *
 * @module
 */

import {
  MAGIC,
  MOUNT_ATTR,
  MS,
  O,
  RESOLVE,
  S_IF,
} from "../../ffi/constants.ts";
import { hasUserNamespace, namespaceUse } from "../config/namespaces.ts";
import type { Op } from "../plan.ts";
import { setAttr } from "./attributes.ts";
import {
  checkWhole,
  cloneRoot,
  type MountContext,
  takeTree,
} from "./context.ts";
import { planLayers } from "./overlay.ts";
import { splitPath } from "./path.ts";
import { hide, LAYERS, openPlace } from "./place.ts";
import { hostPropagation, propagationOf } from "./propagation.ts";

const encoder = new TextEncoder();

/** Whether anything is written into /proc: sysctls, labels. */
function needsProc({ config }: MountContext): boolean {
  const { apparmorProfile, selinuxLabel } = config.spec.process ?? {};
  return Boolean(apparmorProfile || selinuxLabel) ||
    Object.keys(config.spec.linux?.sysctl ?? {}).length > 0;
}

/**
 * Slot "proc": a procfs that nothing of the container's can lie in front of
 * (CVE-2019-16884, CVE-2025-52881); none where nothing needs it, since whoever
 * may trace the process can take it while it is open. In a user namespace the kernel may refuse
 * a new one; the host's, opened before anything of the container's, will do.
 */
export function planProc(context: MountContext): Op[] {
  if (!needsProc(context)) return [];
  if (!context.userns) {
    return [{
      do: "fsmount",
      into: "proc",
      fstype: "proc",
      options: [],
      attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
      flags: 0,
      why: "hold a private procfs for all writes into /proc",
    }];
  }
  context.sources.push(
    {
      do: "open",
      into: "proc",
      at: "",
      path: "/proc",
      flags: O.PATH | context.flags.DIRECTORY,
      mode: 0,
      resolve: 0,
      why: "hold the host's procfs for all writes into /proc",
    },
    {
      do: "verify",
      slot: "proc",
      type: S_IF.DIR,
      rdev: 0,
      magic: MAGIC.PROC,
      why: "make sure that /proc is a procfs",
    },
  );
  return [];
}

/** Slot "root", attached. `below` is what must lie under it, hidden, because
 * it has to be attached somewhere to be cloned from. */
export function planRoot(
  context: MountContext,
  below: readonly string[],
): Op[] {
  const { config } = context;
  const place = context.staged
    // Over the stage: this process stands on it.
    ? "."
    : config.rootfs !== "/"
    ? config.rootfs
    // --no-pivot moves the root to "/" later: it cannot be there already.
    : config.noPivot
    ? LAYERS
    : "/";
  const made: Op[] = [];
  let after: Op[] = [];
  if (config.ephemeral === undefined) {
    checkWhole(
      context,
      config.rootfs,
      `use "${config.rootfs}" as the root file system`,
      "root.path",
    );
    takeTree(context, "root", ...cloneRoot(context, "root", true, ""));
    const closed = context.unruled ? { set: MOUNT_ATTR.NODEV } : {};
    if (context.unruled && context.staged) {
      // Before it is locked.
      context.sources.push(setAttr("root", { recursive: true, ...closed }, {
        why: "open no device in the root file system: there are no rules",
        from: "root.path",
      }));
    }
    made.push(
      setAttr("root", {
        recursive: true,
        propagation: hostPropagation(context),
        ...closed,
      }, {
        why: context.unruled
          ? "keep mounts in the root file system from the host, and open no device in it"
          : "keep mounts in the root file system from the host",
        from: "linux.rootfsPropagation",
      }),
    );
    if (config.spec.root.readonly) {
      // On the host already: then it is locked.
      (context.staged ? context.sources : made).push(
        ...planRootReadonly(context),
      );
    }
  } else {
    const layers = planLayers(context);
    made.push(...layers.made);
    after = layers.after;
  }
  // Nothing but the root itself may lie on "/": the old root takes along, and
  // hides under, what does when pivot_root(2) moves it onto the new one, so that
  // umount2(2) would let go of that and leave the host's root reachable as "/..".
  if (place === "/" && below.length > 0) {
    made.push(...openPlace(context, LAYERS), ...below.map(hide));
  }
  made.push(...openPlace(context, place));
  if (place !== "/") {
    // At LAYERS they are already.
    const layers = config.ephemeral === undefined || place === LAYERS
      ? []
      : ["layers"];
    made.push(...[...layers, ...below].map(hide));
  }
  made.push({
    do: "moveMount",
    tree: "root",
    onto: "target",
    why: "attach the root",
    from: "root.path",
  });
  return [...made, ...after, ...planOverwrites(context)];
}

/** Other contents for files of the root, in its throw-away layer. A file keeps
 * its owner and mode, and nothing of what it held is copied there. Where the
 * container's user namespace does not map the caller's root, nobody in it can
 * read them, nor write them. */
function planOverwrites(context: MountContext): Op[] {
  const { linux } = context.config.spec;
  if (
    hasUserNamespace(context.config) &&
    !linux?.uidMappings?.some((it) => it.hostID === 0)
  ) return [];
  return context.config.overwrites.flatMap(({ path, data }): Op[] => {
    const note = { why: `hide what "${path}" holds`, from: "ephemeral" };
    return [{
      do: "open",
      into: "secret",
      at: "root",
      path: path.slice(1),
      flags: O.WRONLY | O.TRUNC | context.flags.NOFOLLOW,
      mode: 0,
      resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
      ...note,
    }, {
      do: "writeFd",
      slot: "secret",
      data: encoder.encode(data),
      ...note,
    }];
  });
}

/** What is mounted below the root file system is read-only as it is: under
 * `--rootfs / --read-only` that is /home and its like. The root itself follows
 * once all mounts have their place, which may have to be made; but nothing is
 * made in the host's own. */
function planRootReadonly({ config, host, staged }: MountContext): Op[] {
  const recursive = config.mode === "friendly";
  // The machine's root has device nodes wherever somebody made a chroot.
  const set = MOUNT_ATTR.RDONLY |
    (recursive && config.rootfs === "/" ? MOUNT_ATTR.NODEV : 0);
  const note = {
    why: "make what is mounted below the root read-only",
    from: "root.readonly",
  };
  if (staged && host.isHostRoot) {
    return [
      setAttr("root", { recursive, set }, {
        ...note,
        why: "make the root read-only, for good",
      }),
    ];
  }
  if (!recursive) return [];
  return [
    setAttr("root", { recursive, set }, note),
    // What the host made read-only stays so where it is going to be locked.
    ...staged && host.rootReadonly
      ? []
      : [setAttr("root", { clear: MOUNT_ATTR.RDONLY }, {
        ...note,
        why: "leave the root itself writable until all has its place",
      })],
  ];
}

/** The host's tree stays behind the root: at least without a procfs or a sysfs.
 * With a user namespace they are locked, and stay. */
function planChroot({ config, flags, host }: MountContext): Op[] {
  const from = "noPivot";
  const enter: Op = {
    do: "chroot",
    root: "root",
    why: "make it the root by chroot",
    from,
  };
  const behind = host.behind ?? [];
  if (behind.length === 0 || namespaceUse(config, "mount") !== "new") {
    return [enter];
  }
  return [
    {
      do: "open",
      into: "top",
      at: "",
      path: "/",
      flags: O.PATH | flags.DIRECTORY,
      mode: 0,
      resolve: 0,
      why: "hold the host's root, which will lie behind",
      from,
    },
    enter,
    ...behind.map((path): Op => {
      const { parent, name } = splitPath(path);
      return {
        do: "unmount",
        root: "top",
        path: parent,
        name,
        why: `leave no "${path}" of the host's behind it`,
        from,
      };
    }),
    { do: "fchdir", slot: "root", why: "stand in the root again", from },
  ];
}

/** The way into the root, and what its mount is to the container. */
export function planEntry(context: MountContext): Op[] {
  const { config } = context;
  const ops: Op[] = config.noPivot ? planChroot(context) : [{
    do: "pivot",
    root: "root",
    why: "make it the root, and let go of the host's",
    from: "root.path",
  }];
  const asked = propagationOf(context);
  // The root is a slave or private as it is; said again to all that is below it,
  // it would take back what a volume asks for.
  if (
    asked !== undefined && asked[0] !== MS.SLAVE && asked[0] !== MS.PRIVATE
  ) {
    ops.push(
      setAttr("root", { propagation: asked[0], recursive: asked[1] }, {
        why: "set the propagation of the root",
        from: "linux.rootfsPropagation",
      }),
    );
  }
  return ops;
}
