/**
 * Who owns what of the host's: whoever is its owner in the container may change
 * its mode, owner and times there, chmod(2).
 *
 * @module
 */

import { readTextFileSync, statSync } from "../../ffi/files.ts";
import type { Config } from "../config/config.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";

/** Whether a user namespace has an id of its own.
 *
 * @param file its uid_map or gid_map, user_namespaces(7) */
export function hasId(file: string, id: number): boolean {
  return readTextFileSync(file).split("\n").some((line) => {
    const [first = NaN, , size = NaN] = line.trim().split(/\s+/).map(Number);
    return first <= id && id < first + size;
  });
}

/** Whether a user of the caller's is somebody in the container, too. A joined
 * user namespace whose map is not known has everybody. */
export function isInside(
  uid: number,
  config: Config,
  facts: Pick<Facts, "inUserns" | "proc">,
): boolean {
  if (!hasUserNamespace(config)) {
    return !facts.inUserns || hasId(`${facts.proc}/uid_map`, uid);
  }
  const maps = config.spec.linux?.uidMappings ?? [];
  return maps.length === 0 ||
    maps.some(({ hostID, size }) => hostID <= uid && uid < hostID + size);
}

/** The files among these whose owner is somebody in the container; what cannot
 * be looked at counts as one. */
export function findOwned(
  paths: readonly string[],
  config: Config,
  facts: Pick<Facts, "inUserns" | "proc">,
): Set<string> {
  const isOwned = (path: string): boolean => {
    try {
      return isInside(statSync(path).uid ?? 0, config, facts);
    } catch {
      // What is missing, or hidden, is refused when it is taken.
      return true;
    }
  };
  return new Set(paths.filter(isOwned));
}
