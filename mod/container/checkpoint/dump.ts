/**
 * `checkpoint`: a running container as an image on disk.
 *
 * @module
 */

import { readLinkSync, readTextFileSync } from "../../../ffi/files.ts";
import { closeFd } from "../../../ffi/libc.ts";
import { identifyFile } from "../../../ffi/identity.ts";
import { thawCgroups } from "../../cgroups/control.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import type { Facts } from "../../host.ts";
import { lockState, type State } from "../../state.ts";
import { loadSaved } from "../kept/saved.ts";
import type { Place, Saved } from "../model.ts";
import { findState, statusOf } from "../status.ts";
import { keepingCgroup2 } from "./cgroup2.ts";
import { askCriu, checkCriu, endCriu, findCriu, startCriu } from "./criu.ts";
import {
  findIdmapped,
  keyOf,
  listExternal,
  parseMounts,
  placesOf,
} from "./external.ts";
import {
  checkParent,
  type ImageDirectory,
  openImage,
  readReason,
  writeNotes,
} from "./images.ts";
import { commonFields, type CriuOptions, needRoot } from "./model.ts";
import type { Notes } from "./notes.ts";
import { resolverOf } from "./places.ts";
import { CGROUPS_MODE, type Field, OPTION, REQUEST } from "./wire.ts";

/** What `checkpoint` is asked for. */
export interface DumpOptions extends CriuOptions {
  /** Directory of an earlier image, from this one. */
  parentPath?: string;
  leaveRunning: boolean;
  preDump: boolean;
  pageServer?: { address: string; port: number };
  /** Gets one byte of 0 when lazy pages can be fetched. */
  statusFd?: number;
}

const LOG = "dump.log";

function cannot(id: string, why: string, hint: string): ContainerError {
  return new ContainerError(`Cannot checkpoint "${id}": ${why}`, {
    code: "checkpoint",
    hint,
    exitCode: 1,
  });
}

function checkDumpable(
  root: string,
  state: State,
  { config }: Saved,
  { cgroupsMode, leaveRunning, preDump }: DumpOptions,
): void {
  const status = statusOf(root, state);
  if (status === "created" || status === "stopped") {
    throw cannot(
      state.id,
      `container cannot be checkpointed in ${status} state`,
      "Only what runs can be checkpointed",
    );
  }
  if (config.mode !== "oci") {
    throw cannot(
      state.id,
      "it was made from flags, and restore takes a bundle",
      "Make it from a bundle; rustyrun spec writes the config.json of one",
    );
  }
  const mapped = findIdmapped(config);
  if (mapped !== undefined) {
    throw cannot(
      state.id,
      `criu does not keep the ids that the mount at "${mapped}" maps`,
      "Leave idmap and uidMappings out of that mount",
    );
  }
  // criu puts all it restores into the host's cgroup namespace then: who has
  // ended for that image would have ended for nothing.
  if (
    cgroupsMode === "ignore" && !leaveRunning && !preDump &&
    namespaceUse(config, "cgroup") !== "inherit"
  ) {
    throw cannot(
      state.id,
      "with --manage-cgroups-mode ignore its cgroup namespace is not in the image, so that nothing could restore it",
      "Leave --manage-cgroups-mode out, or name soft; with --leave-running the container at least runs on",
    );
  }
}

/** Standard streams that are pipes: whoever restores gives others for them. */
function listPipes(pid: number): Notes["pipes"] {
  const pipes: Notes["pipes"] = [];
  for (const fd of [0, 1, 2]) {
    let key: string;
    try {
      key = readLinkSync(`/proc/${pid}/fd/${fd}`);
    } catch (error) {
      // It has closed it.
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    const isNew = !pipes.some((it) => it.key === key);
    if (key.startsWith("pipe:") && isNew) pipes.push({ fd, key });
  }
  return pipes;
}

/** Namespaces that the container has joined stay where they are. */
function externalNamespaces({ config }: Saved, pid: number): Field[] {
  return (["network", "pid"] as const).filter((type) =>
    namespaceUse(config, type) === "joined"
  ).map((type) => {
    const name = type === "network" ? "net" : "pid";
    const { ino } = identifyFile(`/proc/${pid}/ns/${name}`);
    return [OPTION.external, `${name}[${ino}]:${name}`];
  });
}

function noteImage(
  state: State,
  { config }: Saved,
  proc: string,
): { notes: Notes; mounts: Field[] } {
  const places = placesOf(config, resolverOf(config.rootfs));
  const external = listExternal(
    parseMounts(readTextFileSync(`/proc/${state.pid}/mountinfo`)),
    parseMounts(readTextFileSync(`${proc}/mountinfo`)),
    new Set(places.binds.keys()),
  );
  return {
    notes: { version: 1, external, pipes: listPipes(state.pid) },
    mounts: external.map((place, at) => [
      OPTION.extMnt,
      [[1, place], [2, keyOf(at)]],
    ]),
  };
}

/** The freezer that criu stops the container by. */
function freezerOf({ cgroup }: State): Field[] {
  const dir =
    cgroup.dirs.find((it) =>
      it.version === 1 && it.controllers.includes("freezer")
    ) ?? cgroup.dirs.find((it) => it.version === 2);
  return dir === undefined ? [] : [[OPTION.freezeCgroup, dir.path]];
}

/** What is asked of criu. */
function requestOf(
  saved: Saved,
  state: State,
  options: DumpOptions,
  fds: { image: number; work: number },
  mounts: readonly Field[],
): Field[] {
  const { preDump, pageServer, parentPath, cgroupsMode } = options;
  return [
    [1, preDump ? REQUEST.preDump : REQUEST.dump],
    [2, [
      [OPTION.imagesDirFd, fds.image],
      [OPTION.workDirFd, fds.work],
      [OPTION.pid, state.pid],
      [OPTION.root, saved.config.rootfs],
      [OPTION.leaveRunning, options.leaveRunning],
      [
        OPTION.manageCgroupsMode,
        CGROUPS_MODE[cgroupsMode ?? "soft"],
      ],
      ...commonFields(options, LOG),
      ...freezerOf(state),
      ...externalNamespaces(saved, state.pid),
      ...(pageServer === undefined ? [] : [
        [OPTION.pageServer, [
          [1, pageServer.address],
          [2, pageServer.port],
        ]] as Field,
      ]),
      [OPTION.parentImg, parentPath],
      [OPTION.trackMem, preDump || parentPath !== undefined],
      ...mounts,
    ]],
  ];
}

/** Lets the container go on, if a criu that died has left it frozen. */
function thaw(root: string, state: State, before: string): void {
  if (before === "running" && statusOf(root, state) === "paused") {
    thawCgroups(state.cgroup.dirs);
  }
}

function dump(
  state: State,
  saved: Saved,
  options: DumpOptions,
  { place, program, image, logs }: {
    place: Place;
    program: string;
    image: ImageDirectory;
    logs: ImageDirectory;
  },
): void {
  const { notes, mounts } = noteImage(state, saved, place.caller.proc);
  if (!options.preDump) writeNotes(image, notes);
  const before = statusOf(place.root, state);
  const criu = startCriu({ place, program, streams: false });
  try {
    const answer = askCriu(
      criu,
      requestOf(
        saved,
        state,
        options,
        { image: image.fd, work: logs.fd },
        options.preDump ? [] : mounts,
      ),
      (script) => {
        if (script !== "status-ready" || options.statusFd === undefined) return;
        place.outlet.writeTo(options.statusFd, new Uint8Array(1));
      },
    );
    if (answer.success) return;
    const reason = readReason(logs, LOG) ?? answer.message ??
      `errno ${answer.errno}`;
    throw cannot(
      state.id,
      `criu failed: ${reason}`,
      `The container runs on; ${logs.path}/${LOG} says more`,
    );
  } finally {
    endCriu(criu);
    thaw(place.root, state, before);
  }
}

/**
 * Writes a running container to disk.
 *
 * @returns whether it has ended by that, and is to be deleted
 * @throws {ContainerError} when it cannot be: then it runs on
 */
export function checkpointContainer(
  id: string,
  facts: Facts,
  options: DumpOptions,
  place: Place,
): boolean {
  needRoot(facts, "checkpoint");
  const { root, caller } = place;
  findState(root, id);
  const program = findCriu();
  const lock = lockState(root, id);
  let image: ImageDirectory | undefined;
  let logs: ImageDirectory | undefined;
  try {
    const state = findState(root, id);
    const saved = loadSaved(root, id);
    checkDumpable(root, state, saved, options);
    const { preDump, lazyPages, parentPath } = options;
    const { uid } = caller;
    image = openImage(options.imagePath, { uid, make: true });
    if (parentPath !== undefined) checkParent(image, parentPath, uid);
    logs = openImage(options.workPath ?? options.imagePath, {
      uid,
      make: true,
      logs: true,
    });
    checkCriu(place, program, {
      memTrack: preDump || parentPath !== undefined,
      lazyPages,
    });
    const how = { place, program, image, logs };
    keepingCgroup2(place, () => dump(state, saved, options, how));
    return !options.leaveRunning && !preDump;
  } finally {
    for (const it of [image, logs]) if (it !== undefined) closeFd(it.fd);
    if (lock !== undefined) closeFd(lock);
  }
}
