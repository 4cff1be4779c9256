/**
 * The container's user: a name looked up in the root file system's own
 * /etc/passwd and /etc/group, and the home directory. A number is never mapped
 * by those files (CVE-2016-3697): they are the image's word.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";

/** Reads a file of the root file system, resolved inside it: its text, or
 * undefined when it is not there. */
export type ReadInRoot = (path: string) => string | undefined;

/** Who the process runs as. */
export interface ResolvedUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  /** From passwd; "/" when nothing says one. */
  home: string;
}

/** Largest passwd or group file that is looked at, in bytes. */
export const USER_FILE_MAX = 1 << 20;

/** The largest id: 2^32 - 1 means "leave it" to chown(2) and its like. */
const ID_MAX = 4294967294;

/** Longest path, limits.h. */
const PATH_MAX = 4096;

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/**
 * Finds the user: `config.userName` ("app", "app:staff", "1000:staff") by the
 * files of the root file system, else the numbers in the configuration.
 *
 * @throws {ContainerError} when a name is in neither file
 */
export function resolveUser(
  config: Config,
  readFileInRoot: ReadInRoot,
): ResolvedUser {
  const user = config.spec.process?.user ?? {};
  const passwd = parsePasswd(readFileInRoot("/etc/passwd") ?? "");
  const result: ResolvedUser = {
    uid: user.uid ?? 0,
    gid: user.gid ?? 0,
    additionalGids: [...user.additionalGids ?? []],
    home: "/",
  };
  const { userName } = config;
  if (userName !== undefined) {
    const colon = userName.indexOf(":");
    const name = colon < 0 ? userName : userName.slice(0, colon);
    const group = colon < 0 ? undefined : userName.slice(colon + 1);
    const groups = readFileInRoot("/etc/group") ?? "";
    const number = parseId(name);
    if (number !== undefined) {
      result.uid = number;
    } else if (name !== "") {
      const entry = passwd.find((it) => it.name === name);
      if (entry === undefined) throw unknownName(config, "user", name);
      result.uid = entry.uid;
      result.gid = entry.gid;
      if (group === undefined) {
        const known = new Set(result.additionalGids);
        for (const gid of groupsOf(groups, name)) {
          if (gid !== entry.gid) known.add(gid);
        }
        result.additionalGids = [...known];
      }
    }
    if (group !== undefined) {
      const gid = parseId(group) ?? findGroup(groups, group);
      if (gid === undefined) throw unknownName(config, "group", group);
      result.gid = gid;
    }
  }
  const home = passwd.find((it) => it.uid === result.uid)?.home;
  // The image's word again: what cannot be a path is none.
  if (home && home.length < PATH_MAX && !home.includes("\0")) {
    result.home = home;
  }
  return result;
}

function unknownName(
  config: Config,
  kind: "user" | "group",
  name: string,
): ContainerError {
  const file = kind === "user" ? "/etc/passwd" : "/etc/group";
  return new ContainerError(
    `Cannot run as the ${kind} "${name}": ${file} in "${config.rootfs}" has no such name`,
    {
      code: `${kind}-unknown`,
      hint:
        `Use a number, or add the ${kind} to the root file system; a volume over /etc is not looked at`,
    },
  );
}

/** A decimal number up to 2^32 - 2; "0x1", "+1" and "" are none. */
function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= ID_MAX ? id : undefined;
}

/** passwd(5). A line that is not whole is passed over. */
function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split("\n")) {
    const [name, , uid, gid, , home] = line.split(":");
    const [u, g] = [parseId(uid), parseId(gid)];
    if (!name || u === undefined || g === undefined) continue;
    entries.push({ name, uid: u, gid: g, home: home ?? "" });
  }
  return entries;
}

function findGroup(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [group, , gid] = line.split(":");
    if (group === name) return parseId(gid);
  }
  return undefined;
}

/** The groups that list a user as a member, group(5). */
function groupsOf(text: string, user: string): number[] {
  const gids: number[] = [];
  for (const line of text.split("\n")) {
    const [, , gid, members] = line.split(":");
    if (!members?.trim().split(",").includes(user)) continue;
    const id = parseId(gid);
    if (id !== undefined) gids.push(id);
  }
  return gids;
}
