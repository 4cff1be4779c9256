/**
 * Which mounts of a sandbox are its own: there the library's file calls go by the
 * program's rights.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findOwn, sortMounts } from "../mod/box/engine/owner.ts";
import { parseMounts } from "../mod/container/checkpoint/external.ts";
import { makeConfig } from "./manager_fixtures.ts";

const ROWS: [path: string, type: string, own: boolean][] = [
  ["/", "ext4", true],
  ["/tmp", "tmpfs", true],
  ["/v/cache", "tmpfs", true],
  // A part of a user's root.
  ["/usr", "overlay", true],
  ["/v", "ext4", false],
  // The host's storage may be an overlay, or in memory.
  ["/o", "overlay", false],
  ["/o/below", "overlay", false],
  ["/v/below", "tmpfs", false],
  // Under a volume that covers it.
  ["/both", "tmpfs", false],
  // What a volume that is rslave gets from the host, or a mask.
  ["/later", "ext4", false],
];

Deno.test("findOwn() takes what shows nothing of the host's", () => {
  const bind = (destination: string) => ({
    destination,
    source: "/src",
    options: ["rbind"],
  });
  const tmpfs = (destination: string) => ({ destination, type: "tmpfs" });
  const places = sortMounts(makeConfig({
    mounts: [
      ...["/tmp", "/v/cache", "/both"].map(tmpfs),
      ...["/v", "/o", "/both"].map(bind),
    ],
  }));
  const lines = ROWS.map(([path, type], at) =>
    `${at} 1 0:${at} / ${path} rw - ${type} it rw`
  );
  const own = findOwn(parseMounts(lines.join("\n")), places);
  assertEquals(
    ROWS.map(([path], at) => [path, own.includes(at)]),
    ROWS.map(([path, , wanted]) => [path, wanted]),
  );
});
