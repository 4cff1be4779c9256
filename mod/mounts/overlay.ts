/**
 * The throw-away layer over the root file system.
 *
 * For a caller in a user namespace the host's own root is a case of its own:
 * there the kernel refuses "/" as a lower layer, because mounts below
 * it are locked. So the root is a tmpfs with one overlay for each directory
 * that has no mount below it; what is mounted on the host shows as an empty
 * directory, as it does under one overlay over "/".
 *
 * @module
 */

import { MOUNT_ATTR, MS, O } from "../../ffi/constants.ts";
import type { IdMapping } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { type Facts, takesEarly } from "../host.ts";
import { type Op, TARGET } from "../plan.ts";
import {
  addSource,
  checkSeen,
  cloneRoot,
  cloneTree,
  type MountContext,
  takeAlone,
  takeTree,
} from "./context.ts";
import type { HostEntry } from "./model.ts";
import { planVeils } from "./opaque.ts";
import { splitPath } from "./path.ts";
import { setAttr } from "./attributes.ts";
import { hide, LAYERS, openPlace, placeIn } from "./place.ts";

const from = "ephemeral";

/** Where an overlay keeps what it notes of its files. The upper layer says by
 * itself what has changed, whatever the module's parameters are: nothing in it
 * stands for another place of the lower one. With userxattr it always does. */
function attributesOf({ userns }: MountContext): string[] {
  return userns ? ["userxattr"] : ["redirect_dir=nofollow", "metacopy=off"];
}

/** The overlay is a mount of its own, and forbids what its lower layer's does. */
function forbiddenOf({ host, unruled }: MountContext): number {
  return (host.forbidden ?? 0) | (unruled ? MOUNT_ATTR.NODEV : 0);
}

/** The overlay's layers, and slot "root": the overlay. */
export function planLayers(context: MountContext): { made: Op[]; after: Op[] } {
  const { config, facts, host } = context;
  const { ephemeral } = config;
  const made: Op[] = [];
  if (ephemeral?.kind === "directory") {
    if (host.upper !== undefined) planUpper(context, host.upper);
    takeTree(
      context,
      "layers",
      cloneTree(
        "layers",
        host.upper === undefined ? "" : "upper",
        host.upper === undefined ? ephemeral.dir : "",
        false,
        { why: "take the directory for what the container writes", from },
      ),
      ...host.upper !== undefined ? [] : checkSeen(context, "layers", {
        why: "keep the changes in the directory that was looked at",
        from,
      }, "uppers"),
    );
    if (host.upper !== undefined) {
      addSource(context, {
        do: "close",
        slot: "upper",
        why: "hold no more of the host than that",
        from,
      });
    }
    made.push(
      setAttr("layers", { propagation: MS.PRIVATE }, {
        why: "keep the layers from the host",
        from,
      }),
    );
  } else {
    made.push({
      do: "fsmount",
      into: "layers",
      fstype: "tmpfs",
      options: ["mode=0755"],
      attr: 0,
      flags: 0,
      why: "keep what the container writes in memory",
      from,
    });
  }
  const { major, minor } = facts.kernel;
  const userXattr = major > 6 || (major === 6 && minor >= 6);
  if (context.userns && ephemeral?.kind !== "directory" && !userXattr) {
    throw new ContainerError(
      `Cannot put a throw-away layer in memory in a user namespace: tmpfs has no user attributes before kernel 6.6 (this is ${facts.kernel.release})`,
      {
        code: "overlay-tmpfs-xattr",
        hint: "Give a directory of your own: --ephemeral=DIR",
      },
    );
  }
  const names = ["upper", "work"];
  if (host.top === undefined) names.push("lower");
  for (const name of names) {
    made.push({
      do: "mkdir",
      at: "layers",
      name,
      mode: 0o755,
      why: `make the overlay's ${name} directory`,
      from,
    });
  }
  made.push(
    ...openPlace(context, LAYERS),
    hide("layers"),
  );
  if (host.top !== undefined) return planDirectories(context, host.top, made);
  made.push(...planVeils(context, "upper", "/"));
  takeAlone(
    context,
    "lower",
    {
      why: "take the root file system alone as the lower layer",
      from: "root.path",
    },
    ...cloneRoot(context, "lower", context.staged, " as the lower layer"),
  );
  made.push(
    setAttr("lower", { propagation: MS.PRIVATE }, {
      why: "keep the lower layer from the host",
      from,
    }),
    {
      do: "target",
      into: "target",
      ...placeIn("layers", "/lower"),
      kind: 0,
      mode: 0,
      why: "find the place of the lower layer",
      from,
    },
    {
      do: "moveMount",
      tree: "lower",
      onto: "target",
      why: "attach the lower layer",
      from,
    },
    {
      do: "fsmount",
      into: "root",
      fstype: "overlay",
      options: [
        "source=overlay",
        `lowerdir=${LAYERS}/lower`,
        `upperdir=${LAYERS}/upper`,
        `workdir=${LAYERS}/work`,
        ...attributesOf(context),
      ],
      attr: forbiddenOf(context),
      flags: 0,
      why: "lay a throw-away layer over the root file system",
      from,
    },
  );
  return { made, after: [] };
}

/**
 * Adds to `made` what makes slot "root"; `after` comes once that is attached.
 *
 * @throws {ContainerError} when a directory has a name that an overlay's
 * options cannot hold
 */
function planDirectories(
  context: MountContext,
  top: readonly HostEntry[],
  made: Op[],
): { made: Op[]; after: Op[] } {
  const after: Op[] = [];
  let count = 0;
  const walk = (entry: HostEntry) => {
    if (entry.type === "symlink") planLink(entry, after);
    else if (entry.type === "file") planFile(context, entry, count++, after);
    else if (entry.mountPoint || entry.entries !== undefined) {
      after.push(makeTarget(entry, TARGET.directory));
      entry.entries?.forEach(walk);
    } else {
      planOverlay(context, entry, count++, made, after);
    }
  };
  top.forEach(walk);
  made.push({
    do: "fsmount",
    into: "root",
    fstype: "tmpfs",
    options: ["source=rootfs", "mode=0755"],
    attr: 0,
    flags: 0,
    why: "make the root that the host's directories are put into",
    from,
  });
  return { made, after };
}

function makeTarget(entry: HostEntry, kind: number): Op {
  return {
    do: "target",
    into: "target",
    ...placeIn("root", entry.path),
    kind,
    mode: entry.mode,
    why: `find the place of "${entry.path}"`,
    from,
  };
}

function planLink(entry: HostEntry, after: Op[]): void {
  const { parent, name } = splitPath(entry.path);
  after.push({
    do: "target",
    into: "target",
    ...placeIn("root", parent),
    kind: TARGET.directory,
    mode: 0o755,
    why: `find the place of "${entry.path}"`,
    from,
  }, {
    do: "symlink",
    at: "target",
    name,
    target: entry.link ?? "",
    why: `make the symbolic link "${entry.path}"`,
    from,
  });
}

/** A file beside mount points: there is no overlay of a single file. */
function planFile(
  context: MountContext,
  entry: HostEntry,
  count: number,
  after: Op[],
): void {
  const slot = `file.${count}`;
  takeTree(
    context,
    slot,
    cloneTree(slot, "", entry.path, false, {
      why: `take the file "${entry.path}"`,
      from,
    }),
  );
  after.push(
    setAttr(slot, { set: MOUNT_ATTR.RDONLY, propagation: MS.PRIVATE }, {
      why: "leave the host's file as it is",
      from,
    }),
    makeTarget(entry, TARGET.file),
    {
      do: "moveMount",
      tree: slot,
      onto: "target",
      why: `mount the host's "${entry.path}" read-only`,
      from,
    },
  );
}

function planOverlay(
  context: MountContext,
  entry: HostEntry,
  count: number,
  made: Op[],
  after: Op[],
): void {
  if (/[,:\\]/.test(entry.path)) {
    throw new ContainerError(
      `Cannot lay an overlay over "${entry.path}": the name holds a comma, a colon or a backslash`,
      { code: "overlay-name", hint: "Run it as root, or rename the directory" },
    );
  }
  for (const layer of ["upper", "work"]) {
    made.push({
      do: "target",
      into: "target",
      ...placeIn("layers", `/${layer}/${count}`),
      kind: TARGET.directory,
      mode: entry.mode,
      why: `make the ${layer} directory for "${entry.path}"`,
      from,
    });
  }
  made.push(...planVeils(context, `upper/${count}`, entry.path));
  const slot = `overlay.${count}`;
  made.push({
    do: "fsmount",
    into: slot,
    fstype: "overlay",
    options: [
      "source=overlay",
      `lowerdir=${entry.path}`,
      `upperdir=${LAYERS}/upper/${count}`,
      `workdir=${LAYERS}/work/${count}`,
      ...attributesOf(context),
    ],
    attr: forbiddenOf(context),
    flags: 0,
    why: `lay a throw-away layer over "${entry.path}"`,
    from,
  });
  after.push(makeTarget(entry, TARGET.directory), {
    do: "moveMount",
    tree: slot,
    onto: "target",
    why: `attach "${entry.path}"`,
    from,
  });
}

/** The host's id behind id 0 of the container. */
export function hostRoot(
  maps: readonly IdMapping[] | undefined,
): number | undefined {
  return maps?.find((it) => it.containerID === 0)?.hostID;
}

/** Whose the private directory around the upper layer will be: without rights
 * over the host it is made by root of the new user namespace. */
export function ownerOfUpper(
  facts: Facts,
  maps: readonly IdMapping[] | undefined,
): number {
  return takesEarly(facts) ? facts.uid : hostRoot(maps) ?? facts.uid;
}

/**
 * Makes the fresh directory for the upper layer, with the host's rights, for
 * the container's root user.
 *
 * Others may write where it is made, and rename what they like to its name. So
 * it lies, by the same name, in a private directory, into which nobody else can
 * put that name. Whichever directory of ours that is in the end: what is made,
 * handed over and emptied by that name in it is what this container has made.
 */
function planUpper(context: MountContext, path: string): void {
  const at = path.lastIndexOf("/");
  const name = path.slice(at + 1);
  const why = "make a directory for what the container writes";
  addSource(
    context,
    {
      do: "open",
      into: "uppers",
      at: "",
      path: path.slice(0, at) || "/",
      flags: O.PATH | context.flags.DIRECTORY,
      mode: 0,
      resolve: 0,
      why,
      from,
    },
    ...checkSeen(context, "uppers", {
      why: "keep the changes in the directory that was looked at",
      from,
    }),
    { do: "mkdirOwn", into: "private", at: "uppers", name, why, from },
    { do: "mkdirOwn", into: "upper", at: "private", name, why, from },
    ...["uppers", "private"].map((slot): Op => ({
      do: "close",
      slot,
      why: "hold no more of the host than that",
      from,
    })),
  );
  const linux = context.config.spec.linux;
  const uid = hostRoot(linux?.uidMappings);
  const gid = hostRoot(linux?.gidMappings);
  const { facts } = context;
  if (uid === undefined || gid === undefined || facts.uid !== 0) return;
  addSource(context, {
    do: "chown",
    slot: "upper",
    uid,
    gid,
    why: "give it to the container's root user",
    from,
  });
}
