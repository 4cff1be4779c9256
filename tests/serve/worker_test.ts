/**
 * What a worker of the warm engine takes for a call's.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { isDenoCache } from "../../mod/serve/worker.ts";

for (
  const [path, want] of [
    ["/root/.cache/deno/node_analysis_cache_v2", true],
    ["/root/.cache/deno/node_analysis_cache_v2-wal", true],
    ["/root/.cache/deno/node_analysis_cache_v2-shm", true],
    ["/d/dep_analysis_cache_v2", true],
    ["/d/v8_code_cache_v2", true],
    ["/d/cache_v2/file", false],
    ["/d/_cache_v", false],
    ["socket:[5]", false],
    ["/run/rustyrun/a/lock", false],
  ] as const
) {
  Deno.test(`isDenoCache() of ${path} is ${want}`, () => {
    assertEquals(isDenoCache(path), want);
  });
}
