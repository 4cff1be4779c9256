/**
 * Volumes that lead to the directory of an overlay's layer, by whatever mount of the
 * host's.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { identifyFile } from "../ffi/identity.ts";
import { refuseExposed } from "../mod/mounts/exposed.ts";
import { makeConfig } from "./manager_fixtures.ts";

/** Directories of one disk, and a mountinfo with these mounts of it: [what of its
 * file system it shows, where]. */
function makeHost(mounts: [string, string][] = []) {
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  for (const it of ["data/layer", "data/sub", "other/layer", "other/sub"]) {
    Deno.mkdirSync(`${dir}/${it}`, { recursive: true });
  }
  Deno.symlinkSync("data", `${dir}/link`);
  // The mount that they are all on really is the first one.
  const { mount } = identifyFile(dir);
  const lines = [
    [mount, "/", "/"],
    ...mounts.map(([inside, at], n) => [
      mount + 1 + n,
      inside,
      `${dir}/${at}`,
    ]),
  ].map(([id, inside, at]) =>
    `${id} 1 8:1 ${inside} ${at} rw - ext4 disk rw\n`
  );
  Deno.writeTextFileSync(`${dir}/mountinfo`, lines.join(""));
  const see = (name: string) => identifyFile(`${dir}/${name}`);
  return {
    dir,
    /** Whether a layer in `layer` is refused with `source` as a volume. */
    refuses(
      layer: string,
      source: string,
      { options = [], bounding = [], seen = see(layer) }: {
        options?: string[];
        bounding?: string[];
        seen?: ReturnType<typeof identifyFile>;
      } = {},
    ) {
      const config = makeConfig(
        { process: { cwd: "/", capabilities: { bounding } } },
        { ephemeral: { kind: "directory", dir: `${dir}/${layer}` } },
      );
      const mount = { destination: "/vol", options: ["rbind", ...options] };
      const path = `${dir}/${source}`;
      try {
        const volumes = [{ mount, path, seen: see(source) }];
        refuseExposed(config, seen, volumes, dir);
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
  using host = makeHost();
  for (const source of ["data", "data/layer", "", "link", "data/../link"]) {
    const refuses = (how = {}) => host.refuses("data/layer", source, how);
    assertEquals(refuses(), true, source);
    assertEquals(refuses({ options: ["rro"] }), false, source);
    // Of the one mount alone: what lies below it may be written.
    assertEquals(refuses({ options: ["rro", "rw"] }), true, source);
    // It may remount that.
    const admin = { options: ["rro"], bounding: ["CAP_SYS_ADMIN"] };
    assertEquals(refuses(admin), true, source);
  }
  for (const source of ["data/sub", "other", "other/layer"]) {
    assertEquals(host.refuses("data/layer", source), false, source);
  }
  assertEquals(host.refuses("link/layer", "data"), true);
});

Deno.test("a layer that a volume shows by another mount is refused", () => {
  // In "other" the host shows all of the disk a second time, or another part.
  using host = makeHost([["/", "other/sub"]]);
  assertEquals(host.refuses("data/layer", "other"), true);
  assertEquals(host.refuses("data/layer", "other/layer"), false);
  using same = makeHost([["/elsewhere", "other/sub"]]);
  assertEquals(same.refuses("data/layer", "other"), false);
});

Deno.test("a layer of which it cannot be told is refused beside a volume", () => {
  using host = makeHost();
  // Another directory than the one that was seen.
  const seen = identifyFile(`${host.dir}/other/layer`);
  assertEquals(host.refuses("data/layer", "data/sub", { seen }), true);
  // It has gone.
  Deno.removeSync(`${host.dir}/link`);
  const gone = identifyFile(`${host.dir}/data`);
  assertEquals(host.refuses("link", "data/sub", { seen: gone }), true);
  // None of the caller's mounts.
  Deno.writeTextFileSync(`${host.dir}/mountinfo`, "");
  assertEquals(host.refuses("data/layer", "data/sub"), true);
});

Deno.test("the error names the layer and the volume", () => {
  const seen = identifyFile("/");
  const config = makeConfig({}, { ephemeral: { kind: "directory", dir: "/" } });
  const mount = { destination: "/vol", options: ["rbind"] };
  assertThrows(
    () =>
      refuseExposed(config, seen, [{ mount, path: "/", seen }], "/proc/self"),
    ContainerError,
    'Cannot keep the changes in "/": it lies in the volume "/vol"',
  );
});
