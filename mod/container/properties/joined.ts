/**
 * The namespaces that are joined by a path: which they are is found out before
 * anything is planned. A path may lead to the namespace that rustyrun itself is
 * in, and what is set there is set on the host.
 *
 * @module
 */

import { statSync } from "../../../ffi/files.ts";
import type { Config } from "../../config/config.ts";
import type { NamespaceType } from "../../config/schema.ts";
import type { FileId } from "../../namespaces.ts";

/** The files of /proc/PID/ns. */
export const NAMESPACE_FILES: readonly (readonly [NamespaceType, string])[] = [
  ["user", "user"],
  ["pid", "pid"],
  ["mount", "mnt"],
  ["network", "net"],
  ["ipc", "ipc"],
  ["uts", "uts"],
  ["cgroup", "cgroup"],
  ["time", "time"],
];

/** Those of which a process has two: what it is in, and what its children will
 * be in, as the container's first process. */
const FOR_CHILDREN: readonly NamespaceType[] = ["pid", "time"];

function identify(path: string): FileId | undefined {
  try {
    const { dev, ino } = statSync(path);
    return ino === null ? undefined : { dev, ino };
  } catch {
    // The child stage opens it with the same rights, and has words for why it
    // cannot; where it can by then, it is not what was judged.
    return undefined;
  }
}

/**
 * Finds out which namespaces the paths of a configuration lead to, and notes in
 * it those that are the runtime's own.
 *
 * @param proc where /proc shows the caller
 * @returns which the child stage has to find when it opens the paths
 */
export function judgeNamespaces(
  config: Config,
  proc: string,
): Map<NamespaceType, FileId> {
  const judged = new Map<NamespaceType, FileId>();
  const own: NamespaceType[] = [];
  for (const { type, path } of config.spec.linux?.namespaces ?? []) {
    if (!path) continue;
    const id = identify(path) ?? { dev: 0, ino: 0 };
    judged.set(type, id);
    const file = NAMESPACE_FILES.find(([it]) => it === type)![1];
    const ours = identify(
      `${proc}/ns/${file}${FOR_CHILDREN.includes(type) ? "_for_children" : ""}`,
    );
    if (ours?.ino === id.ino && ours.dev === id.dev) own.push(type);
  }
  if (own.length > 0) config.ownNamespaces = own;
  return judged;
}
