/**
 * What a configuration says about namespaces and ids: the small questions that
 * more than one manager has to ask.
 *
 * @module
 */

import type { Config } from "./config.ts";
import type { IdMapping, NamespaceType } from "./schema.ts";

/** How the container comes by a namespace: a new one, one joined by its path,
 * or (inherit) the caller's, which a path may lead to as well. */
export type NamespaceUse = "new" | "joined" | "inherit";

/** Returns how the container comes by its namespace of a type. */
export function namespaceUse(
  config: Config,
  type: NamespaceType,
): NamespaceUse {
  const entry = config.spec.linux?.namespaces?.find((it) => it.type === type);
  if (entry === undefined) return "inherit";
  if (config.ownNamespaces?.includes(type)) return "inherit";
  return entry.path ? "joined" : "new";
}

/** What to do about a namespace that the container has to have of its own. */
export function hintOwnNamespace(config: Config, type: NamespaceType): string {
  return config.ownNamespaces?.includes(type)
    ? `The path of the "${type}" namespace leads to the one that rustyrun runs in: leave the path out`
    : `Add a namespace of type "${type}"`;
}

/** Returns whether an id of the container is mapped. No map at all (no user
 * namespace, or a joined one whose map is not known) maps every id. */
export function isMapped(
  maps: readonly IdMapping[] | undefined,
  id: number,
): boolean {
  if (maps === undefined || maps.length === 0) return true;
  return maps.some((it) =>
    id >= it.containerID && id < it.containerID + it.size
  );
}

/** Returns whether the container runs in a user namespace other than the
 * caller's. */
export function hasUserNamespace(config: Config): boolean {
  return namespaceUse(config, "user") !== "inherit";
}

/** Returns whether the container's mounts are made in the caller's mount
 * namespace. */
export function sharesMounts(config: Config): boolean {
  return namespaceUse(config, "mount") === "inherit";
}

/** The text of /proc/PID/uid_map or gid_map, user_namespaces(7). */
export function formatIdMap(maps: readonly IdMapping[]): string {
  return maps.map((it) => `${it.containerID} ${it.hostID} ${it.size}\n`)
    .join("");
}
