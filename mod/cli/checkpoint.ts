/**
 * `rustyrun checkpoint` and `rustyrun restore`.
 *
 * @module
 */

import { CLONE } from "../../ffi/constants.ts";
import { isWritable } from "../caller/status.ts";
import { configFromBundle } from "../config/from_bundle.ts";
import { parseInteger } from "../config/flags/numbers.ts";
import {
  flagOn,
  type Flags,
  flagTyped,
  flagUses,
  flagValue,
  refuse,
  resolvePath,
} from "../config/flags/use.ts";
import {
  checkpointContainer,
  type DumpOptions,
} from "../container/checkpoint/dump.ts";
import type { CriuOptions } from "../container/checkpoint/model.ts";
import { restoreContainer } from "../container/checkpoint/restore.ts";
import { deleteContainer } from "../container/delete.ts";
import { checkTerminal } from "../container/properties/handover.ts";
import { gatherFacts } from "../host.ts";
import { selfCommand } from "../program.ts";
import { type Call, refuseSharedCache, wordsOf } from "./call.ts";
import { warnTo } from "./report.ts";

/** Where an image is, when nobody says so; as in runc. */
const IMAGE = "checkpoint";

function readCommon({ flags, caller }: Call): CriuOptions {
  const resolve = (path: string) => resolvePath(caller.directory, path);
  const workPath = flagValue(flags, "work-path");
  const mode = flagValue(flags, "manage-cgroups-mode");
  return {
    imagePath: resolve(flagValue(flags, "image-path") || IMAGE),
    ...(workPath ? { workPath: resolve(workPath) } : {}),
    tcpEstablished: flagOn(flags, "tcp-established"),
    extUnixSk: flagOn(flags, "ext-unix-sk"),
    shellJob: flagOn(flags, "shell-job"),
    lazyPages: flagOn(flags, "lazy-pages"),
    fileLocks: flagOn(flags, "file-locks"),
    autoDedup: flagOn(flags, "auto-dedup"),
    emptyNs: readEmpty(flags),
    ...(mode === undefined
      ? {}
      : { cgroupsMode: mode as NonNullable<CriuOptions["cgroupsMode"]> }),
  };
}

function readEmpty(flags: Flags): number {
  let namespaces = 0;
  for (const { value, typed } of flagUses(flags, "empty-ns")) {
    if (value !== "network") {
      throw refuse(
        typed,
        `namespace "${value}" is not supported`,
        "empty-ns",
        "Only the network namespace can be left empty: --empty-ns network",
      );
    }
    namespaces |= CLONE.NEWNET;
  }
  return namespaces;
}

/** ADDRESS:PORT; an IPv6 address may stand in brackets. */
function readPageServer(flags: Flags): DumpOptions["pageServer"] {
  const text = flagValue(flags, "page-server");
  if (!text) return undefined;
  const at = text.lastIndexOf(":");
  const address = text.slice(0, Math.max(at, 0)).replace(/^\[(.*)\]$/, "$1");
  const port = parseInteger(text.slice(at + 1), 1, 65535);
  if (address !== "" && port !== undefined) return { address, port };
  throw refuse(
    flagTyped(flags, "page-server"),
    "it is not ADDRESS:PORT",
    "page-server",
    "Write --page-server 192.0.2.1:1234, where criu page-server listens",
  );
}

function readStatusFd({ flags, caller }: Call): number | undefined {
  const text = flagValue(flags, "status-fd");
  // runc's way to say none.
  if (!text || text === "-1") return undefined;
  const fd = parseInteger(text, 0, 1 << 20);
  if (fd !== undefined && isWritable(caller.proc, fd)) return fd;
  throw refuse(
    flagTyped(flags, "status-fd"),
    "it is no descriptor that can be written to",
    "status-fd",
    "Open it for writing before rustyrun is called",
  );
}

/** `rustyrun checkpoint ID`. */
export function checkpoint(call: Call): number {
  const { flags } = call;
  const id = call.args[0]!;
  const parentPath = flagValue(flags, "parent-path");
  const pageServer = readPageServer(flags);
  const statusFd = readStatusFd(call);
  const ended = checkpointContainer(id, gatherFacts(call.caller), {
    ...readCommon(call),
    ...(parentPath ? { parentPath } : {}),
    leaveRunning: flagOn(flags, "leave-running"),
    preDump: flagOn(flags, "pre-dump"),
    ...(pageServer === undefined ? {} : { pageServer }),
    ...(statusFd === undefined ? {} : { statusFd }),
  }, call);
  // It is on disk now, and nowhere else.
  if (ended) deleteContainer(id, true, call, warnTo(call));
  return 0;
}

/** `rustyrun restore ID`. */
export function restore(call: Call): number {
  const { flags, caller } = call;
  const config = configFromBundle(call, caller);
  const detached = flagOn(flags, "detach");
  const facts = gatherFacts(caller);
  refuseSharedCache();
  checkTerminal(config, { caller, detached });
  const lsmProfile = flagValue(flags, "lsm-profile");
  const lsmMountContext = flagValue(flags, "lsm-mount-context");
  const words = wordsOf(call, config.id);
  return restoreContainer(
    config,
    facts,
    {
      ...readCommon(call),
      ...(lsmProfile ? { lsmProfile } : {}),
      ...(lsmMountContext ? { lsmMountContext } : {}),
      ...(detached ? {} : {
        foreground: {
          words,
          poststop: selfCommand([
            "--root",
            call.root,
            "poststop",
            "--",
            config.id,
          ]),
        },
      }),
    },
    call,
    warnTo(call),
  );
}
