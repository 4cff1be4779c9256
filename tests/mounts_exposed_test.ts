/**
 * Volumes that lead to the directory of an overlay's layer, by whatever mount of the
 * host's.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { refuseExposed } from "../mod/mounts/exposed.ts";
import { makeConfig } from "./manager_fixtures.ts";

/** Directories, and a mountinfo with these mounts: [device, what of its file system
 * it shows, where]. */
function makeHost(mounts: [string, string, string][]) {
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  for (const it of ["data/layer", "data/sub", "other/layer", "other/sub"]) {
    Deno.mkdirSync(`${dir}/${it}`, { recursive: true });
  }
  Deno.symlinkSync("data", `${dir}/link`);
  const lines = [
    ["8:1", "/", "/"],
    ...mounts.map(([device, inside, at]) => [
      device,
      inside,
      `${dir}/${at}`,
    ]),
  ].map(([device, inside, at], n) =>
    `${n + 2} 1 ${device} ${inside} ${at} rw - ext4 disk rw\n`
  );
  Deno.writeTextFileSync(`${dir}/mountinfo`, lines.join(""));
  return {
    /** Whether a layer in `layer` is refused with `source` as a volume. */
    refuses(layer: string, source: string, ...options: string[]) {
      const config = makeConfig({
        mounts: [{
          destination: "/vol",
          source: `${dir}/${source}`,
          options: ["rbind", ...options],
        }],
      }, { ephemeral: { kind: "directory", dir: `${dir}/${layer}` } });
      try {
        refuseExposed(config, new Map([[0, "directory"]]), dir);
        return false;
      } catch (error) {
        if (!(error instanceof ContainerError)) throw error;
        assertEquals(error.code, "ephemeral-exposed");
        return true;
      }
    },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

Deno.test("a layer in a volume that can be written is refused", () => {
  using host = makeHost([]);
  for (const source of ["data", "data/layer", "", "link", "data/../link"]) {
    assertEquals(host.refuses("data/layer", source), true, source);
    assertEquals(host.refuses("data/layer", source, "rro"), false, source);
  }
  // Of the one mount alone: what lies below it may be written.
  assertEquals(host.refuses("data/layer", "data", "rro", "rw"), true);
  for (const source of ["data/sub", "other", "other/layer"]) {
    assertEquals(host.refuses("data/layer", source), false, source);
  }
  assertEquals(host.refuses("link/layer", "data"), true);
});

Deno.test("a layer that a volume shows by another mount is refused", () => {
  using alias = makeHost([["8:7", "/x", "data"], ["8:7", "/", "other"]]);
  // /x/layer of 8:7 both times.
  assertEquals(alias.refuses("data/layer", "other"), true);
  assertEquals(alias.refuses("data/layer", "other/sub"), false);
  using below = makeHost([["8:7", "/x", "data"], ["8:7", "/x", "other/sub"]]);
  assertEquals(below.refuses("data/layer", "other"), true);
  assertEquals(below.refuses("data/layer", "other/layer"), false);
  // Another file system that has such a path, too.
  using same = makeHost([["8:7", "/x", "data"], ["8:8", "/", "other"]]);
  assertEquals(same.refuses("data/layer", "other"), false);
  // A later mount on the same place covers the earlier one.
  using later = makeHost([["8:7", "/", "data"], ["8:8", "/", "data"], [
    "8:7",
    "/",
    "other",
  ]]);
  assertEquals(later.refuses("data/layer", "other"), false);
});

Deno.test("the error names the layer and the volume", () => {
  const config = makeConfig({
    mounts: [{ destination: "/vol", source: "/", options: ["rbind"] }],
  }, { ephemeral: { kind: "directory", dir: "/" } });
  assertThrows(
    () => refuseExposed(config, new Map([[0, "directory"]]), "/proc/self"),
    ContainerError,
    'Cannot keep the changes in "/": it lies in the volume "/vol"',
  );
});
