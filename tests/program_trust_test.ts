/**
 * Whom a program may belong to, and what it would use.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { denoCacheDir, HelperError, refuseWritable } from "../ffi/helper.ts";
import { testOn } from "./needs.ts";

for (
  const [env, want] of [
    [{ DENO_DIR: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" }, "/a"],
    [{ XDG_CACHE_HOME: "/b", HOME: "/c" }, "/b/deno"],
    [{ HOME: "/c" }, "/c/.cache/deno"],
    [{}, undefined],
  ] as [Record<string, string>, string | undefined][]
) {
  Deno.test(`denoCacheDir() is ${want} for ${JSON.stringify(env)}`, () => {
    assertEquals(denoCacheDir((name) => env[name]), want);
  });
}

for (
  const [owner, mode, who] of [
    [0, 0o755, undefined],
    [0, 0o775, undefined],
    [0, 0o777, "everybody"],
    [0, 0o1777, "everybody"],
    [61234, 0o755, "user 61234"],
  ] as [number, number, string | undefined][]
) {
  testOn(
    ["root"],
    `refuseWritable() ${who ? "refuses" : "takes"} owner ${owner} with mode ${
      mode.toString(8)
    }`,
    () => {
      const dir = Deno.makeTempDirSync();
      try {
        Deno.chmodSync(dir, mode);
        Deno.chownSync(dir, owner, null);
        if (who === undefined) return refuseWritable(dir, "/");
        const error = assertThrows(
          () => refuseWritable(dir, "/"),
          HelperError,
        );
        assertEquals(
          [error.message, error.reason, error.path],
          [`Cannot use "${dir}" as root: ${who} may write it`, "writable", dir],
        );
      } finally {
        Deno.removeSync(dir);
      }
    },
  );
}

/** Owner, group and mode of a program, of what it would use, and who is told
 * of. */
const OWNERS: [
  [number, number, number],
  [number, number, number],
  string | undefined,
][] = [
  [[61234, 61234, 0o644], [61234, 61234, 0o755], undefined],
  [[61234, 61234, 0o644], [0, 0, 0o755], undefined],
  [[61234, 61234, 0o664], [61234, 61234, 0o775], undefined],
  [[61234, 61234, 0o644], [61234, 61234, 0o775], "group 61234"],
  [[61234, 61234, 0o664], [61234, 61235, 0o775], "group 61235"],
  [[61234, 61234, 0o664], [61234, 61234, 0o777], "everybody"],
  [[61234, 61234, 0o644], [61235, 61234, 0o755], "user 61235"],
  [[0, 0, 0o644], [61234, 0, 0o755], "user 61234"],
];

for (const [program, used, who] of OWNERS) {
  const show = ([uid, gid, mode]: number[]) =>
    `${uid}:${gid} ${mode!.toString(8)}`;
  testOn(
    ["root"],
    `refuseWritable() of ${show(used)} beside a program of ${show(program)}`,
    () => {
      const dir = Deno.makeTempDirSync();
      try {
        const make = (name: string, [uid, gid, mode]: number[]) => {
          const path = `${dir}/${name}`;
          Deno.writeTextFileSync(path, "");
          Deno.chownSync(path, uid!, gid!);
          Deno.chmodSync(path, mode!);
          return path;
        };
        const call = () =>
          refuseWritable(make("used", used), make("program", program));
        if (who === undefined) return call();
        assertThrows(call, HelperError, `: ${who} may write it`);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

for (const path of ["/nonexistent/rustyrun", "/dev/null/x"]) {
  Deno.test(`refuseWritable() takes ${path}, where nothing can be`, () => {
    refuseWritable(path, undefined);
  });
}
