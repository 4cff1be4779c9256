/**
 * What a configuration says in another way, or twice, is there once.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

testOn(NEEDS, "a path is masked and made read-only once", async () => {
  await using caller = makeCaller({
    process: { args: ["grep", "-cE", " (/proc/keys|/etc) ", "/proc/mounts"] },
    linux: {
      maskedPaths: ["/proc/keys", "/proc/keys", "/proc//keys"],
      readonlyPaths: ["/etc", "/etc/"],
    },
  });
  const { bundle, id } = caller;
  const { stdout } = await caller.call(["run", "--bundle", bundle, id]);
  assertEquals(stdout, "2\n");
});

testOn(NEEDS, "exec mounts nothing once more", async () => {
  await using caller = makeCaller({
    process: { args: ["sleep", "1000"] },
    linux: { maskedPaths: ["/proc/keys"], readonlyPaths: ["/proc/sys"] },
  });
  const { bundle, id } = caller;
  await caller.hold(["create", "--bundle", bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  const exec = () => caller.call(["exec", id, "cat", "/proc/self/mountinfo"]);
  const first = await exec();
  assertEquals(first.code, 0);
  assertEquals(await exec(), first);
  assertEquals(first.stdout.match(/ \/proc\/keys /g)?.length, 1);
});

testOn(NEEDS, "a device's path may end in a slash", async () => {
  await using caller = makeCaller({
    process: { args: ["ls", "-l", "/dev/other"] },
    linux: {
      devices: [{ path: "/dev/other/", type: "c", major: 1, minor: 3 }],
    },
  });
  const { bundle, id } = caller;
  const { code, stdout } = await caller.call(["run", "--bundle", bundle, id]);
  assertEquals(code, 0);
  assertMatch(stdout, /^c.* 1, +3 /);
});

testOn(NEEDS, "what a second run finds kept is not spoken of", async () => {
  await using caller = makeCaller({ process: { args: ["true"] } });
  const { bundle, id } = caller;
  for (let round = 0; round < 2; round++) {
    const ran = await caller.callBare(["run", "--bundle", bundle, id]);
    assertEquals(ran, QUIET, `run ${round}`);
  }
});
