/**
 * The mounts manager: the container's root, its file systems, devices and
 * terminal, and what is hidden or read-only in it, as operations.
 *
 * @module
 */

import { toBytes } from "../ffi/bytes.ts";
import { MOUNT_ATTR, S_IF } from "../ffi/constants.ts";
import type { Config } from "./config/config.ts";
import {
  hasUserNamespace,
  namespaceUse,
  sharesMounts,
} from "./config/namespaces.ts";
import { checkReach } from "./config/reach.ts";
import { ContainerError } from "./errors.ts";
import type { Facts } from "./host.ts";
import { planConsole } from "./mounts/console.ts";
import {
  cloneTree,
  createContext,
  type MountContext,
} from "./mounts/context.ts";
import { planDevices, planNull } from "./mounts/devices.ts";
import { planFileSystems } from "./mounts/filesystems.ts";
import { coverBare } from "./mounts/kernel_own.ts";
import type { MountHost } from "./mounts/model.ts";
import { eachPath } from "./mounts/path.ts";
import { planStage, planUnstage } from "./mounts/stage.ts";
import { setAttr } from "./mounts/attributes.ts";
import { planPropagation } from "./mounts/propagation.ts";
import { planEntry, planProc, planRoot } from "./mounts/root.ts";
import {
  checkShared,
  planSharedEntry,
  planSharedRoot,
} from "./mounts/shared.ts";
import { findPlace, findTarget } from "./mounts/target.ts";
import { type Op, type Phased, TARGET } from "./plan.ts";

export { TERMINAL_TAG } from "./mounts/console.ts";
export { inspectMounts } from "./mounts/inspect.ts";
export type { MountHost } from "./mounts/model.ts";
export { knownMountOptions } from "./mounts/options.ts";
export { ownerOfUpper } from "./mounts/overlay.ts";

/**
 * Plans everything about mounts: mount_namespaces(7), open_tree(2),
 * fsopen(2), move_mount(2), pivot_root(2).
 *
 * @param host what {@linkcode inspectMounts} found
 * @throws {ContainerError} when a property cannot be applied as it stands
 */
export function planMounts(
  config: Config,
  facts: Facts,
  host: MountHost,
): Phased {
  const { spec } = config;
  checkConfig(config, facts);
  const shared = sharesMounts(config);
  const context = createContext(config, facts, host);
  const proc = planProc(context);
  const bare = context.staged ? [] : coverBare(context, "empty");
  const hides = bare.length + (spec.linux?.maskedPaths ?? []).length > 0;
  if (hides) planNull(context);
  const hidden = config.files.length > 0 ? ["files"] : [];
  const root = shared ? planSharedRoot() : planRoot(context, hidden);
  const fileSystems = planFileSystems(context);
  const files = planFiles(context);
  const masked = planMasked(context);
  const devices = planDevices(context);
  const console = planConsole(context);
  const rootReadonly = [...context.readonly];
  if (spec.root.readonly) {
    rootReadonly.push(setAttr("root", { set: MOUNT_ATTR.RDONLY }, {
      why: "make the root read-only",
      from: "root.readonly",
    }));
  }
  const stage = planStage(context);
  return {
    sources: context.sources,
    stage,
    root: [
      ...planUnstage(context),
      ...proc,
      ...(shared ? [] : planPropagation(context)),
      ...context.late,
      ...hides ? [EMPTY] : [],
      ...files.made,
      ...root,
      ...bare,
    ],
    mounts: [...fileSystems, ...files.mounts],
    devices,
    console,
    pivot: shared ? planSharedEntry(context) : planEntry(context),
    readonly: planReadonly(context),
    masked,
    rootReadonly,
  };
}

function checkConfig(config: Config, facts: Facts): void {
  checkReach(config, facts, "give the container");
  if (sharesMounts(config)) checkShared(config, facts);
  if (
    hasUserNamespace(config) && namespaceUse(config, "mount") === "joined"
  ) {
    throw new ContainerError(
      "Cannot bring what is the host's into a mount namespace that is joined, with a user namespace: it would not be locked there, so that the container could undo what the host has mounted read-only, or over something else (linux.namespaces)",
      {
        code: "mount-namespace-joined",
        hint: 'Give it a mount namespace of its own: {"type":"mount"}',
      },
    );
  }
  const { bounding, permitted, effective } =
    config.spec.process?.capabilities ??
      {};
  const all = [bounding, permitted, effective].flatMap((it) => it ?? []);
  if (
    config.noPivot && config.mode === "friendly" &&
    all.includes("CAP_SYS_ADMIN")
  ) {
    throw new ContainerError(
      "Cannot use chroot for a container with CAP_SYS_ADMIN (--no-pivot): it would unmount its own root, and see the host's",
      {
        code: "no-pivot-sys-admin",
        hint: "Leave --no-pivot out, or the capability",
      },
    );
  }
  if (config.spec.linux?.mountLabel && !facts.selinux) {
    throw new ContainerError(
      `Cannot label the mounts "${config.spec.linux.mountLabel}": SELinux is off on this host (linux.mountLabel)`,
      { code: "selinux-off", hint: "Remove linux.mountLabel" },
    );
  }
}

function checkPath(path: string, key: string): void {
  if (path.startsWith("/")) return;
  throw new ContainerError(
    `Cannot restrict "${path}": the path must be absolute (${key})`,
    { code: "path-relative", hint: `Write "/${path}"` },
  );
}

/** What hides a directory; the null device hides a file. */
const EMPTY: Op = {
  do: "fsmount",
  into: "empty",
  fstype: "tmpfs",
  options: ["source=tmpfs", "mode=0755", "nr_blocks=1", "nr_inodes=1"],
  attr: MOUNT_ATTR.RDONLY,
  flags: 0,
  why: "make an empty directory for what is masked",
  from: "linux.maskedPaths",
};

function planMasked(context: MountContext): Op[] {
  const paths = eachPath(context.config.spec.linux?.maskedPaths);
  return paths.map(([path, at]): Op => {
    const from = `linux.maskedPaths[${at}]`;
    checkPath(path, from);
    return {
      do: "mask",
      ...findPlace(context, path),
      file: "null",
      dir: "empty",
      why: `hide "${path}"`,
      from,
    };
  });
}

function planReadonly(context: MountContext): Op[] {
  const paths = eachPath(context.config.spec.linux?.readonlyPaths);
  return paths.map(([path, at]) => {
    const from = `linux.readonlyPaths[${at}]`;
    checkPath(path, from);
    return {
      do: "readonly",
      ...findPlace(context, path),
      why: `make "${path}" read-only`,
      from,
    };
  });
}

/** Files of ours: in one tmpfs that lies hidden under the root, each bound to
 * its place from there. */
function planFiles(context: MountContext): { made: Op[]; mounts: Op[] } {
  const { files } = context.config;
  if (files.length === 0) return { made: [], mounts: [] };
  const made: Op[] = [{
    do: "fsmount",
    into: "files",
    fstype: "tmpfs",
    options: ["source=rustyrun", "mode=0755"],
    attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
    flags: 0,
    why: "hold the files that rustyrun writes for the container",
    from: "files",
  }];
  const mounts: Op[] = [];
  for (const [at, file] of files.entries()) {
    const from = `files[${at}]`;
    made.push({
      do: "file",
      at: "files",
      name: String(at),
      mode: file.mode | S_IF.REG,
      data: toBytes(file.data),
      why: `write "${file.path}"`,
      from,
    });
    mounts.push(
      // The tmpfs is attached by then: before 6.15 only such a tree is cloned.
      cloneTree("mount", "files", String(at), false, {
        why: `take "${file.path}"`,
        from,
      }),
      findTarget(context, file.path, {
        kind: TARGET.file,
        mode: 0o644,
        from,
      }),
      {
        do: "moveMount",
        tree: "mount",
        onto: "target",
        why: `mount it on "${file.path}"`,
        from,
      },
    );
  }
  return { made, mounts };
}
