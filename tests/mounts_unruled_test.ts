/** The mounts manager where no device rules hold the container: nodev, 4. */

import { assertEquals } from "@std/assert";
import type { Config } from "../mod/config/config.ts";
import type { Spec } from "../mod/config/schema.ts";
import { showPlan, UNPRIVILEGED } from "./manager_fixtures.ts";
import { DIRECTORY, plan, USERNS } from "./mounts_fixtures.ts";

const UNRULED: Partial<Config> = {
  mode: "friendly",
  cgroupManager: "disabled",
};
const volume = (...options: string[]): Partial<Spec> => ({
  mounts: [{ destination: "/vol", source: "/src", options }],
});

/** The attributes that are set, of the root and the volume. */
function listSet(planned: ReturnType<typeof plan>): string[] {
  return showPlan(planned).flatMap((line) => {
    const [, slot, flags, set] = /^mountSetattr (root|mount\.0) - (\S+) (\S+) /
      .exec(line) ?? [];
    return set === undefined || set === "0" ? [] : [`${slot} ${flags} ${set}`];
  });
}

Deno.test("planMounts() without device rules: all that is taken is nodev", () => {
  assertEquals(
    listSet(plan(volume("rbind", "rprivate"), {}, DIRECTORY, UNRULED)),
    ["root 0x8000 4", "mount.0 0x8000 4"],
  );
});

Deno.test("planMounts() without device rules: before it is locked", () => {
  const planned = plan(
    { ...USERNS, ...volume("rbind") },
    {},
    DIRECTORY,
    UNRULED,
  );
  const { sources = [], stage = [] } = planned;
  assertEquals(listSet({ sources }), ["root 0x8000 4"]);
  assertEquals(listSet({ stage }), ["mount.0 0x8000 4"]);
});

for (
  const [name, ...[spec, facts, config]] of [
    ["a volume that says dev", volume("rbind", "dev"), {}, UNRULED],
    ["a volume that says rdev", volume("rbind", "rdev"), {}, UNRULED],
  ] as const
) {
  Deno.test(`planMounts() without device rules: ${name}`, () => {
    assertEquals(listSet(plan(spec, facts, DIRECTORY, config)), [
      "root 0x8000 4",
    ]);
  });
}

for (
  const [name, facts, config] of [
    ["with rules", {}, { ...UNRULED, cgroupManager: "auto" }],
    ["of a bundle", {}, { ...UNRULED, mode: "oci" }],
    ["of a user", UNPRIVILEGED, UNRULED],
    ["of root in a user namespace", { inUserns: true }, UNRULED],
  ] as const
) {
  Deno.test(`planMounts() ${name}: devices as the host has them`, () => {
    const planned = plan(volume("rbind"), facts, DIRECTORY, config);
    assertEquals(listSet(planned), []);
  });
}
