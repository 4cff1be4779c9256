/**
 * Id maps of a user namespace: which ids of the host stand behind the
 * container's, and who may write that down.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { IdMapping } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import type { Facts } from "../host.ts";

/** A run of ids that /etc/subuid or /etc/subgid gives to the caller. */
export interface IdRange {
  start: number;
  size: number;
}

/** What the host knows about the caller's subordinate ids. */
export interface SubordinateIds {
  /** Ranges of /etc/subuid, subuid(5), for this user. */
  uids: readonly IdRange[];
  /** Ranges of /etc/subgid for this user. */
  gids: readonly IdRange[];
  /** newuidmap(1) and newgidmap(1) are both installed. */
  tools: boolean;
  /** The group that the tools want the caller to be in, which is that of its
   * entry in passwd(5); undefined where any will do. */
  loginGid?: number | undefined;
}

/** Whether the tools serve the caller; with another group than that of its
 * login they say that the process is somebody else's. */
export function areServed(
  { tools, loginGid }: SubordinateIds,
  { gid }: Pick<Facts, "gid">,
): boolean {
  return tools && (loginGid === undefined || loginGid === gid);
}

/** Id maps, ready to be written. */
export interface IdMaps {
  uidMappings: IdMapping[];
  gidMappings: IdMapping[];
  /** direct: into /proc/PID/uid_map; tools: by newuidmap(1) and newgidmap(1),
   * which are set-user-id root. */
  writer: "direct" | "tools";
  /** A caller without CAP_SETGID must deny setgroups(2) before the group map,
   * user_namespaces(7). The tools decide that for themselves. */
  setgroups: "allow" | "deny";
}

const CAP_SETGID = 1n << 6n;
const CAP_SETUID = 1n << 7n;

/**
 * Reads /etc/subuid or /etc/subgid.
 *
 * @param text the file, "" when there is none
 * @param user the caller's login name, "" when it has none
 * @param uid the caller's uid, which may stand in place of the name
 */
export function parseSubordinateIds(
  text: string,
  user: string,
  uid: number,
): IdRange[] {
  const ranges: IdRange[] = [];
  for (const line of text.split("\n")) {
    const [owner, start, size] = line.split(":");
    if (owner === "" || (owner !== user && owner !== String(uid))) continue;
    if (!/^\d+$/.test(start ?? "") || !/^\d+$/.test(size?.trim() ?? "")) {
      continue;
    }
    if (Number(size) > 0) {
      ranges.push({ start: Number(start), size: Number(size) });
    }
  }
  return ranges;
}

/**
 * Returns the id maps of the container's new user namespace, or undefined when
 * it makes none. What the configuration says is taken as it stands; where it
 * leaves the choice to us (`--userns auto`, `keep-id`) the caller's
 * subordinate ids are used, else its single id.
 *
 * @throws {ContainerError} when neither the configuration nor the caller's
 * wish says which ids to map, or root has none to give away
 */
export function resolveIdMaps(
  config: Config,
  facts: Facts,
  subordinate: SubordinateIds,
): IdMaps | undefined {
  if (namespaceUse(config, "user") !== "new") return undefined;
  const { uidMappings, gidMappings } = config.spec.linux ?? {};
  if (uidMappings?.length && gidMappings?.length) {
    return chooseWriter({ uidMappings, gidMappings }, facts, subordinate);
  }
  if (config.userns === undefined) {
    throw new ContainerError(
      "Cannot make a user namespace: linux.uidMappings and linux.gidMappings must both have an entry",
      {
        code: "id-mappings-missing",
        hint: 'Map at least id 0: [{"containerID":0,"hostID":1000,"size":1}]',
      },
    );
  }
  const keep = config.userns === "keep-id";
  const both = areServed(subordinate, facts) && subordinate.uids.length > 0 &&
    subordinate.gids.length > 0;
  const root = (facts.caps & CAP_SETUID) !== 0n;
  const many = both || (root && subordinate.uids.length > 0 &&
    subordinate.gids.length > 0);
  if (!many && !keep && facts.uid === 0 && !facts.inUserns) {
    throw new ContainerError(
      "Cannot choose ids for the user namespace (--userns auto): /etc/subuid and /etc/subgid give root none, and its own would be root outside as well",
      {
        code: "subordinate-ids-missing",
        hint:
          "Give them (echo root:100000:65536 into both files), or name them: --userns 0:100000:65536",
      },
    );
  }
  return chooseWriter(
    {
      uidMappings: mapCaller(facts.uid, many ? subordinate.uids : [], keep),
      gidMappings: mapCaller(facts.gid, many ? subordinate.gids : [], keep),
    },
    facts,
    subordinate,
  );
}

/** The caller at 0 (or at its own number) and the subordinate ids around it.
 * Root is not mapped onto itself: a range of /etc/subuid stands for it. */
function mapCaller(
  id: number,
  ranges: readonly IdRange[],
  keep: boolean,
): IdMapping[] {
  const maps: IdMapping[] = [];
  let next = 0;
  const add = (containerID: number, hostID: number, size: number) => {
    if (size > 0) maps.push({ containerID, hostID, size });
  };
  if (id !== 0 && !keep) {
    add(0, id, 1);
    next = 1;
  }
  for (const { start, size } of ranges) {
    let [from, left] = [start, size];
    if (keep && next <= id && next + left > id) {
      add(next, from, id - next);
      from += id - next;
      left -= id - next;
      next = id + 1;
    }
    add(next, from, left);
    next += left;
  }
  if (keep) add(id, id, 1);
  if (maps.length === 0) add(id, id, 1);
  return maps.sort((a, b) => a.containerID - b.containerID);
}

/** Writing a map directly needs CAP_SETUID (or CAP_SETGID) over the ids, or a
 * single line with the caller's own id; user_namespaces(7). */
function chooseWriter(
  maps: { uidMappings: IdMapping[]; gidMappings: IdMapping[] },
  facts: Facts,
  subordinate: SubordinateIds,
): IdMaps {
  const single = (list: readonly IdMapping[], own: number): boolean =>
    list.length === 1 && list[0]?.size === 1 && list[0].hostID === own;
  if ((facts.caps & CAP_SETUID) && (facts.caps & CAP_SETGID)) {
    return { ...maps, writer: "direct", setgroups: "allow" };
  }
  if (
    single(maps.uidMappings, facts.uid) && single(maps.gidMappings, facts.gid)
  ) {
    return { ...maps, writer: "direct", setgroups: "deny" };
  }
  if (!subordinate.tools) {
    throw new ContainerError(
      "Cannot map more than the caller's own id: newuidmap and newgidmap are not installed",
      {
        code: "newuidmap-missing",
        hint:
          "Install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora), or map a single id",
      },
    );
  }
  if (!areServed(subordinate, facts)) {
    throw new ContainerError(
      `Cannot map more than the caller's own id: newuidmap and newgidmap want the group of its login, ${subordinate.loginGid}, and it is in ${facts.gid}`,
      {
        code: "newuidmap-group",
        hint:
          "Call rustyrun in that group (newgrp, sg), map a single id, or let root set GRANT_AUX_GROUP_SUBIDS to yes in /etc/login.defs",
      },
    );
  }
  return { ...maps, writer: "tools", setgroups: "allow" };
}
