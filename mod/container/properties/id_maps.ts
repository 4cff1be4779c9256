/**
 * Writes the id maps of a user namespace, user_namespaces(7): directly, or by
 * newuidmap(1) and newgidmap(1), which may map what /etc/subuid gives.
 *
 * @module
 */

import {
  readTextFileSync,
  statSync,
  writeTextFileSync,
} from "../../../ffi/files.ts";
import { closeFd, cstring, syscall, waitProcess } from "../../../ffi/libc.ts";
import { spawnWithStreams } from "../../../ffi/spawn.ts";
import { ContainerError } from "../../errors.ts";
import type { Facts } from "../../host.ts";
import { formatIdMap } from "../../config/namespaces.ts";
import {
  type IdMaps,
  parseSubordinateIds,
  type SubordinateIds,
} from "../../namespaces/idmaps.ts";

function readOrEmpty(path: string): string {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** A user's line in the host's /etc/passwd, passwd(5); empty without one. */
function readLogin(uid: number): string[] {
  return readOrEmpty("/etc/passwd").split("\n").map((it) => it.split(":"))
    .find(([, , id]) => id === String(uid)) ?? [];
}

/** The caller's login name in the host's /etc/passwd; "" without one. */
export function loginName(uid: number): string {
  return readLogin(uid)[0] ?? "";
}

const TOOL_DIRS = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"];

/** Where a set-user-id tool is; never from the caller's PATH. */
function findTool(name: string): string | undefined {
  for (const dir of TOOL_DIRS) {
    try {
      if (statSync(`${dir}/${name}`).isFile) return `${dir}/${name}`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

/** Looks up the caller's subordinate ids, subuid(5). Root's are those of the
 * user "root". */
export function readSubordinateIds(facts: Facts): SubordinateIds {
  const [name = "", , , gid] = readLogin(facts.uid);
  // login.defs(5): yes lets the tools serve a user in any group of its.
  const anyGroup = /^\s*GRANT_AUX_GROUP_SUBIDS\s+yes\b/mi.test(
    readOrEmpty("/etc/login.defs"),
  );
  return {
    uids: parseSubordinateIds(readOrEmpty("/etc/subuid"), name, facts.uid),
    gids: parseSubordinateIds(readOrEmpty("/etc/subgid"), name, facts.uid),
    tools: findTool("newuidmap") !== undefined &&
      findTool("newgidmap") !== undefined,
    loginGid: gid === undefined || anyGroup ? undefined : Number(gid),
  };
}

function cannotMap(why: string, cause?: unknown): ContainerError {
  return new ContainerError(
    `Cannot write the id maps of the user namespace: ${why}`,
    {
      code: "id-maps",
      hint:
        "/etc/subuid and /etc/subgid must give the ids to this user, in the user namespace that it is in; rustyrun doctor shows what it has",
      cause,
    },
  );
}

function runTool(name: string, pid: number, map: string): void {
  const tool = findTool(name);
  if (tool === undefined) throw cannotMap(`${name} is not installed`);
  const words = map.trim().split(/\s+/);
  // What it says goes into the message: on our standard error it would stand
  // before that, and twice in a log.
  const said = syscall("memfd_create", cstring("rustyrun-said"), 1);
  try {
    const child = spawnWithStreams(
      tool,
      [name, String(pid), ...words],
      [],
      new Map([[2, said]]),
    );
    if (waitProcess(child) === 0) return;
    const text = readTextFileSync(`/proc/self/fd/${said}`).trim()
      .replaceAll("\n", "; ");
    throw cannotMap(
      text || `${name} refused "${map.trim().replaceAll("\n", ", ")}"`,
    );
  } finally {
    closeFd(said);
  }
}

/**
 * Writes the maps of the process `pid`, which is alone in its new namespace.
 *
 * @throws {ContainerError} when the kernel or the tools refuse
 */
export function writeIdMaps(pid: number, maps: IdMaps): void {
  const uids = formatIdMap(maps.uidMappings);
  const gids = formatIdMap(maps.gidMappings);
  if (maps.writer === "tools") {
    runTool("newgidmap", pid, gids);
    runTool("newuidmap", pid, uids);
    return;
  }
  try {
    if (maps.setgroups === "deny") {
      writeTextFileSync(`/proc/${pid}/setgroups`, "deny");
    }
    writeTextFileSync(`/proc/${pid}/gid_map`, gids);
    writeTextFileSync(`/proc/${pid}/uid_map`, uids);
  } catch (cause) {
    throw cannotMap(
      cause instanceof Error ? cause.message : String(cause),
      cause,
    );
  }
}
