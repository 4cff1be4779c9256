/**
 * Where paths of a configuration lead to inside a root file system.
 *
 * @module
 */

import { readLinkSync } from "../../../ffi/files.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import { findInRoot } from "../../../ffi/rootfs.ts";

/** Returns a path without doubled or final slashes and dots. */
function clean(path: string): string {
  const parts = path.split("/").filter((it) => it !== "" && it !== ".");
  return `/${parts.join("/")}`;
}

/**
 * Returns what finds the place inside that a destination leads to, links
 * followed in the root file system. What is not there (it lies on another mount)
 * is taken as it is written.
 */
export function resolverOf(rootfs: string): (path: string) => string {
  return (path) => {
    const root = openFd(rootfs, 0o10000000);
    try {
      for (let head = clean(path), tail = ""; head !== "/";) {
        const found = findInRoot(root, head);
        if (found >= 0) {
          const top = readLinkSync(`/proc/self/fd/${root}`);
          const real = readLinkSync(`/proc/self/fd/${found}`);
          closeFd(found);
          return real === top ? tail || "/" : real.slice(
            top === "/" ? 0 : top.length,
          ) + tail;
        }
        const at = head.lastIndexOf("/");
        tail = head.slice(at) + tail;
        head = head.slice(0, at) || "/";
      }
      return clean(path);
    } finally {
      closeFd(root);
    }
  };
}
