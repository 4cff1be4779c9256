/**
 * A mount whose ids are mapped in a user namespace that is joined.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

for (const option of ["idmap", "ridmap"]) {
  testOn(
    NEEDS,
    `${option} in a joined user namespace uses the maps of that one`,
    async () => {
      await using first = makeCaller();
      await using caller = makeCaller();
      const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
      Deno.chmodSync(first.dir, 0o755);
      Deno.chmodSync(caller.dir, 0o755);
      first.write(makeSpec(first.id, {
        linux: {
          namespaces: ["pid", "mount", "user"].map((type) => ({ type })),
          uidMappings: maps,
          gidMappings: maps,
        },
      }));
      await first.hold(["create", "--bundle", first.bundle, first.id]);
      const { pid } = await first.state();
      Deno.mkdirSync(`${caller.rootfs}/mnt`);
      Deno.mkdirSync(`${caller.dir}/source`);
      Deno.writeTextFileSync(`${caller.dir}/source/file`, "");
      Deno.chownSync(`${caller.dir}/source/file`, 7, 9);
      const spec = makeSpec(caller.id, {
        process: { args: ["stat", "-c", "%u:%g", "/mnt/file"] },
        linux: {
          namespaces: [
            { type: "pid" },
            { type: "mount" },
            { type: "user", path: `/proc/${pid}/ns/user` },
          ],
        },
      });
      spec["mounts"].push({
        destination: "/mnt",
        type: "bind",
        source: `${caller.dir}/source`,
        options: ["rbind", option],
      });
      caller.write(spec);
      assertEquals(
        await caller.call(["run", "--bundle", caller.bundle, caller.id]),
        { ...QUIET, stdout: "7:9\n" },
      );
      assertEquals(
        await first.call(["delete", "--force", first.id]),
        QUIET,
      );
    },
  );
}
