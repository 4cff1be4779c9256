/**
 * A day in the life of a runtime (`cases/day.sh`): one image, built by buildah and
 * run by podman, Docker and ctr, is no different with rustyrun than with runc,
 * but for the version. bench/days.ts times such days.
 *
 * @module
 */

import { assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { compareCases } from "./cases.ts";
import { runDay } from "./day_room.ts";

testOn(
  [
    "root",
    "busybox",
    "python3",
    "podman",
    "buildah",
    "docker",
    "containerd",
    "runc",
  ],
  "a day with rustyrun is a day with runc, but for the version",
  async (t) => {
    const runc = (await runDay({ runtime: "/usr/sbin/runc" })).transcript;
    const rustyrun = (await runDay()).transcript;
    await compareCases(t, runc, rustyrun);
    await t.step("but for the version", () => {
      assertMatch(runc, /^== version\nrunc version /m);
      assertMatch(rustyrun, /^== version\nrustyrun version /m);
    });
  },
);
