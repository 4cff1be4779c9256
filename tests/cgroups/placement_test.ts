/**
 * A limit that is asked for inside a unit of systemd's that has limits itself.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { type CgroupFacts, planCgroups } from "../../mod/cgroups.ts";
import type { CgroupLook } from "../../mod/cgroups/model.ts";
import { ContainerError } from "../../mod/errors.ts";
import { friendly, LOOKS, MACHINES as FACTS } from "./machines.ts";

const MEMORY = { memory: { limit: 1 << 20 } };

/** A look at a unit that has these files beside the usual ones. */
const lookAt = (
  look: CgroupLook,
  unit: string,
  files: Record<string, string>,
): CgroupLook => ({
  ...look,
  read: (path) =>
    path.startsWith(`${unit}/`) && path.slice(unit.length + 1) in files
      ? files[path.slice(unit.length + 1)]
      : look.read(path),
});

/** What every unit has where nobody has set a limit. */
const FREE = {
  "memory.max": "max\n",
  "memory.high": "max\n",
  "memory.swap.max": "max\n",
  "cpu.max": "max 100000\n",
  "cpuset.cpus": "\n",
  "cpuset.mems": "\n",
  "io.max": "",
  "pids.max": "max\n",
};

const MACHINES: [string, CgroupFacts, CgroupLook][] = [
  ["root", FACTS.v2Systemd, LOOKS.systemd],
  ["a user", FACTS.v2Delegated, LOOKS.systemd],
];

for (const [who, facts, look] of MACHINES) {
  const unit = `/sys/fs/cgroup${facts.cgroups[0]!.own}`;
  const above = unit.slice(0, unit.lastIndexOf("/"));
  const plan = (
    files: Record<string, string>,
    resources: Record<string, unknown> = MEMORY,
  ) =>
    planCgroups(
      friendly(resources, { cgroupManager: "auto" }),
      facts,
      "t",
      lookAt(look, unit, { ...FREE, ...files }),
    );

  Deno.test(`planCgroups() of ${who} puts a container beside a unit without limits`, () => {
    const { dirs, writes } = plan({});
    assertEquals(dirs[0]!.path, `${above}/rustyrun-box-t`);
    assertEquals(writes.some((it) => it.file.endsWith("/pids.max")), false);
  });

  for (
    const [file, value] of [
      ["memory.max", "67108864"],
      ["memory.high", "1"],
      ["memory.swap.max", "0"],
      ["cpu.max", "50000 100000"],
      ["cpuset.cpus", "0"],
      ["cpuset.mems", "0"],
      ["io.max", "8:0 rbps=1000 wbps=max riops=max wiops=max"],
    ] as const
  ) {
    Deno.test(`planCgroups() of ${who} takes no container out of a unit with ${file}`, () => {
      const error = assertThrows(
        () => plan({ [file]: `${value}\n` }),
        ContainerError,
        `("${unit}": ${file} is ${value})`,
      );
      assertEquals(error.code, "cgroup-unit-limited");
      // Without a limit it is inside.
      const { dirs } = plan({ [file]: `${value}\n` }, {});
      assertEquals(dirs[0]!.path, `${unit}/rustyrun-box-t`);
    });
  }

  Deno.test(`planCgroups() of ${who} gives a container no more processes than its unit has`, () => {
    const most = (asked?: number) =>
      plan(
        { "pids.max": "300\n" },
        asked === undefined ? MEMORY : { pids: { limit: asked } },
      ).writes.filter((it) => it.controller === "pids").map((it) => [
        it.file,
        it.value,
      ]);
    const file = `${above}/rustyrun-box-t/pids.max`;
    assertEquals(most(), [[file, "300"]]);
    assertEquals(most(301), [[file, "300"]]);
    assertEquals(most(-1), [[file, "300"]]);
    assertEquals(most(299), [[file, "299"]]);
  });
}
