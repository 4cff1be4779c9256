/**
 * A bind mount whose source an earlier mount brings, as under runc.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;
const MAPS = [{ containerID: 0, hostID: 0, size: 65536 }];

const bind = (
  source: string,
  destination: string,
  ...more: string[]
): Spec => ({
  destination,
  type: "bind",
  source,
  options: ["rbind", ...more],
});

for (const types of [["pid", "mount"], ["pid", "mount", "user"]]) {
  testOn(
    NEEDS,
    `the source of a bind mount comes with an earlier one, under ${types}`,
    async () => {
      await using caller = makeCaller();
      const { bundle, dir, id, rootfs } = caller;
      Deno.chmodSync(dir, 0o755);
      Deno.mkdirSync(`${dir}/lent/sub`, { recursive: true });
      Deno.writeTextFileSync(`${dir}/lent/sub/file`, "lent\n");
      // What the host has there is covered.
      Deno.mkdirSync(`${rootfs}/made`);
      Deno.writeTextFileSync(`${rootfs}/made/covered`, "");
      const spec = makeSpec(id, {
        process: {
          args: [
            "sh",
            "-ec",
            "ls /again; touch /made/new; ls /again; cat /sub/file /file; (touch /file || true) 2>&1",
          ],
        },
        linux: {
          namespaces: types.map((type) => ({ type })),
          ...(types.includes("user")
            ? { uidMappings: MAPS, gidMappings: MAPS }
            : {}),
        },
      });
      spec["mounts"].push(
        { destination: "/made", type: "tmpfs", source: "tmpfs" },
        bind(`${rootfs}/made`, "/again"),
        bind(`${dir}/lent`, "/lent"),
        bind(`${rootfs}/lent/sub`, "/sub"),
        bind(`${rootfs}/lent/sub/file`, "/file", "ro"),
      );
      caller.write(spec);
      const { code, stdout, stderr } = await caller.call([
        "run",
        "--bundle",
        bundle,
        id,
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout.split("\n").slice(0, 3), ["new", "lent", "lent"]);
      assertMatch(stdout, /Read-only file system/);
    },
  );
}

testOn(
  NEEDS,
  "what no earlier mount brings is not found, and says so",
  async () => {
    await using caller = makeCaller();
    const { bundle, id, rootfs } = caller;
    const spec = makeSpec(id);
    spec["mounts"].push(
      bind(`${rootfs}/later`, "/again"),
      { destination: "/later", type: "tmpfs", source: "tmpfs" },
      bind(`${rootfs}/later/no`, "/no"),
    );
    caller.write(spec);
    const run = ["run", "--bundle", bundle, id];
    const first = await caller.call(run);
    assertEquals(first.code, 1);
    assertMatch(first.stderr, /mounts\[3\]/);
    spec["mounts"].splice(3, 1);
    caller.write(spec);
    const second = await caller.call(run);
    assertEquals(second.code, 1);
    assertMatch(second.stderr, /no such file or directory/);
    assertMatch(second.stderr, /mounts\[4\]/);
  },
);
