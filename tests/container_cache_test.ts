/**
 * Caches below the directory of states: whole files only, few of them, and no
 * error where the disk refuses one.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  readCache,
  writeCache,
} from "../mod/container/properties/seccomp_cache.ts";
import { ContainerError } from "../mod/errors.ts";

const DIR = ".cache/things";
const BYTES = new Uint8Array([1, 2, 3]);

/** A directory of states, not made yet. */
function makeRoot() {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-cache-" });
  const root = `${dir}/states`;
  return {
    root,
    cache: `${root}/${DIR}`,
    list: () => [...Deno.readDirSync(`${root}/${DIR}`)].map((it) => it.name),
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

Deno.test("writeCache() makes what readCache() reads, private", () => {
  using room = makeRoot();
  assertEquals(readCache(room.root, DIR, "a"), undefined);
  writeCache(room.root, DIR, "a", BYTES);
  assertEquals(readCache(room.root, DIR, "a"), BYTES);
  assertEquals(room.list(), ["a"]);
  for (const path of [room.root, room.cache, `${room.cache}/a`]) {
    assertEquals(Deno.statSync(path).mode! & 0o077, 0, path);
  }
});

Deno.test("readCache() takes no file that is cut off", () => {
  using room = makeRoot();
  writeCache(room.root, DIR, "a", BYTES);
  for (const size of [10, 8, 7, 0]) {
    Deno.truncateSync(`${room.cache}/a`, size);
    assertEquals(readCache(room.root, DIR, "a"), undefined, `${size}`);
  }
});

Deno.test("writeCache() removes what a killed one left, and not what another is at", () => {
  using room = makeRoot();
  writeCache(room.root, DIR, "a", BYTES);
  Deno.writeTextFileSync(`${room.cache}/.b.4711`, "half");
  using other = Deno.openSync(`${room.cache}/.c.4712`, {
    createNew: true,
    write: true,
  });
  other.lockSync(true);
  writeCache(room.root, DIR, "d", BYTES);
  assertEquals(room.list().sort(), [".c.4712", "a", "d"]);
});

Deno.test("writeCache() starts anew where there are many", () => {
  using room = makeRoot();
  for (let i = 0; i < 64; i++) writeCache(room.root, DIR, `${i}`, BYTES);
  assertEquals(room.list().length, 64);
  writeCache(room.root, DIR, "last", BYTES);
  assertEquals(room.list(), ["last"]);
});

Deno.test("a cache that cannot be is no error", () => {
  using room = makeRoot();
  Deno.mkdirSync(room.root, { mode: 0o700 });
  Deno.writeTextFileSync(`${room.root}/.cache`, "");
  writeCache(room.root, DIR, "a", BYTES);
  assertEquals(readCache(room.root, DIR, "a"), undefined);
  Deno.removeSync(`${room.root}/.cache`);
  Deno.mkdirSync(`${room.cache}/a`, { recursive: true });
  writeCache(room.root, DIR, "a", BYTES);
  assertEquals(readCache(room.root, DIR, "a"), undefined);
  assertEquals(room.list(), ["a"]);
});

Deno.test("a cache where others may write is an error", () => {
  using room = makeRoot();
  Deno.mkdirSync(room.root);
  Deno.chmodSync(room.root, 0o777);
  for (
    const call of [
      () => readCache(room.root, DIR, "a"),
      () => writeCache(room.root, DIR, "a", BYTES),
    ]
  ) assertThrows(call, ContainerError, "everybody may write it");
});
