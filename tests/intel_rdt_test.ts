/**
 * Classes of resctrl: what is planned for them, and told of it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { explainPlan } from "../mod/explain.ts";
import { planLeftovers } from "../mod/container/kept/leftovers.ts";
import { planNoted } from "../mod/container/kept/reclaim.ts";
import { wordFailure } from "../mod/failure.ts";
import {
  type ClassPlan,
  compareSchemata,
  findResctrl,
  type Group,
  planIntelRdt,
} from "../mod/intel_rdt.ts";
import type { IntelRdt } from "../mod/config/schema.ts";
import { makeConfig, makeFacts, showOp } from "./manager_fixtures.ts";
import { GROUP, GUEST, MOUNT, plan } from "./intel_rdt_room.ts";

Deno.test("planIntelRdt() leaves resctrl alone where nothing is asked for", () => {
  const gather = () => {
    throw new Error("looked at");
  };
  assertEquals(
    planIntelRdt(makeConfig(), gather, () => undefined),
    undefined,
  );
});

const PLANS: [string, IntelRdt, Record<string, Group>, Partial<ClassPlan>][] = [
  ["makes a class of the container's id", {}, {}, {
    group: `${MOUNT}/box`,
    exists: false,
    named: false,
    lines: [],
    tasks: [`${MOUNT}/box/tasks`],
    remove: [`${MOUNT}/box`],
  }],
  [
    "uses a class of the container's id that is there, and leaves it there",
    { l3CacheSchema: "L3:0=f" },
    { [`${MOUNT}/box`]: GROUP },
    {
      group: `${MOUNT}/box`,
      exists: true,
      named: false,
      lines: ["L3:0=f"],
      tasks: [`${MOUNT}/box/tasks`],
      remove: [],
    },
  ],
  [
    "writes the cache first, then the bandwidth, then schemata",
    {
      schemata: ["L3:0=f", "MB:0=40"],
      memBwSchema: "MB:0=20",
      l3CacheSchema: "L3:0=ff",
    },
    {},
    {
      group: `${MOUNT}/box`,
      exists: false,
      named: false,
      lines: ["L3:0=ff", "MB:0=20", "L3:0=f", "MB:0=40"],
      tasks: [`${MOUNT}/box/tasks`],
      remove: [`${MOUNT}/box`],
    },
  ],
  [
    "makes a class of closID with schemata, and never removes it",
    { closID: "guest", schemata: ["L3:0=f"] },
    {},
    {
      group: GUEST,
      exists: false,
      named: true,
      lines: ["L3:0=f"],
      tasks: [`${GUEST}/tasks`],
      remove: [],
    },
  ],
  [
    "takes a class of closID that is there, without schemata",
    { closID: "guest" },
    { [GUEST]: GROUP },
    {
      group: GUEST,
      exists: true,
      named: true,
      lines: [],
      tasks: [`${GUEST}/tasks`],
      remove: [],
    },
  ],
  [
    "takes a class of closID whose schemata is the same in other words",
    { closID: "guest", l3CacheSchema: "L3:0=0x0FF", memBwSchema: "MB:0=25" },
    { [GUEST]: GROUP },
    {
      group: GUEST,
      exists: true,
      named: true,
      lines: ["L3:0=0x0FF", "MB:0=25"],
      tasks: [`${GUEST}/tasks`],
      remove: [],
    },
  ],
  ["takes the root's class for /", { closID: "/" }, {}, {
    group: MOUNT,
    exists: true,
    named: true,
    lines: [],
    tasks: [`${MOUNT}/tasks`],
    remove: [],
  }],
  [
    "makes a MON group of the container's own, and joins it after the class",
    { enableMonitoring: true },
    {},
    {
      group: `${MOUNT}/box`,
      exists: false,
      named: false,
      lines: [],
      monitor: `${MOUNT}/box/mon_groups/box`,
      tasks: [`${MOUNT}/box/tasks`, `${MOUNT}/box/mon_groups/box/tasks`],
      remove: [`${MOUNT}/box/mon_groups/box`, `${MOUNT}/box`],
    },
  ],
  [
    "removes the MON group alone in a class that closID names",
    { closID: "/", enableMonitoring: true },
    { [`${MOUNT}/mon_groups/box`]: { schemata: "", tasks: "" } },
    {
      group: MOUNT,
      exists: true,
      named: true,
      lines: [],
      monitor: `${MOUNT}/mon_groups/box`,
      tasks: [`${MOUNT}/tasks`, `${MOUNT}/mon_groups/box/tasks`],
      remove: [`${MOUNT}/mon_groups/box`],
    },
  ],
];

for (const [name, intelRdt, groups, want] of PLANS) {
  Deno.test(`planIntelRdt() ${name}`, () => {
    assertEquals(
      plan(intelRdt, groups),
      { mount: MOUNT, ...want } as ClassPlan,
    );
  });
}

const line = (root: string, path: string, type: string) =>
  `36 35 0:31 ${root} ${path} rw,nosuid - ${type} ${type} rw`;

for (
  const [name, lines, want] of [
    ["where it is mounted", [
      line("/", "/sys", "sysfs"),
      line("/", MOUNT, "resctrl"),
    ], MOUNT],
    ["elsewhere, with blanks", [
      line("/", "/mnt/a\\040b", "resctrl"),
    ], "/mnt/a b"],
    ["nowhere", [line("/", "/sys", "sysfs")], undefined],
    ["not under what lies on it", [
      line("/", MOUNT, "resctrl"),
      line("/", MOUNT, "tmpfs"),
    ], undefined],
    ["not a part of it", [line("/guest", "/mnt", "resctrl")], undefined],
  ] as const
) {
  Deno.test(`findResctrl() finds it ${name}`, () => {
    assertEquals(findResctrl(lines.join("\n") + "\n"), want);
  });
}

for (
  const [name, wanted, schemata, step, want] of [
    ["masks by their value", ["L3:0=0F;1=0x1f"], "L3:0=f;1=1f", 1, undefined],
    [
      "huge masks exactly",
      [
        "L3:0=8000000000000001",
      ],
      "L3:0=8000000000000002",
      1,
      "L3:0",
    ],
    ["a domain that is not there", ["L3:2=f"], "L3:0=f;1=f", 1, "L3:2"],
    ["the last word on a domain", ["L3:0=1", "L3:0=f"], "L3:0=f", 1, undefined],
    ["bandwidth by its steps", ["MB:0=21"], "MB:0=30", 10, undefined],
    ["bandwidth that differs", ["MB:0=21"], "MB:0=21", 10, undefined],
    ["bandwidth of another step", ["MB:0=31"], "MB:0=30", 10, "MB:0"],
    ["words that are no numbers", ["L2:0=zz"], "L2:0=f", 1, "L2:0"],
  ] as const
) {
  Deno.test(`compareSchemata() compares ${name}`, () => {
    assertEquals(compareSchemata(wanted, schemata, step), want);
  });
}

Deno.test("planLeftovers() names the groups for the keeper and the warden", () => {
  const resctrl = plan({ enableMonitoring: true })!;
  const ops = planLeftovers({
    cgroups: [],
    resctrl,
    state: { root: "/run/r", id: "box" },
    sharesPids: false,
  });
  assertEquals(ops.slice(0, 2).map(showOp), [
    "kCgroup /sys/fs/resctrl box/mon_groups/box 1 0",
    "kCgroup /sys/fs/resctrl box 1 0",
  ]);
});

Deno.test("planNoted() notes what a killed create leaves in resctrl", () => {
  const cgroup = { dirs: [], fresh: true } as unknown as Parameters<
    typeof planNoted
  >[0]["cgroup"];
  const resctrl = plan({ enableMonitoring: true })!;
  assertEquals(
    planNoted({
      cgroup,
      idMaps: undefined,
      resctrl,
      upper: undefined,
    }),
    {
      cgroups: [],
      parents: [],
      fresh: true,
      resctrl: {
        mount: "/sys/fs/resctrl",
        remove: ["/sys/fs/resctrl/box/mon_groups/box", "/sys/fs/resctrl/box"],
      },
    },
  );
});

Deno.test("explainPlan() says what the host does in resctrl", () => {
  const cgroup = { dirs: [], writes: [], notes: [] } as unknown as Parameters<
    typeof explainPlan
  >[1];
  const from = "linux.intelRdt";
  const resctrl = plan({ schemata: ["L3:0=f"], enableMonitoring: true });
  assertEquals(explainPlan([], cgroup, makeConfig(), resctrl), [
    {
      step: "cgroup",
      action: "mkdir /sys/fs/resctrl/box",
      why: "have a share of the processor's caches and bus",
      from,
    },
    {
      step: "cgroup",
      action: 'write "L3:0=f" to /sys/fs/resctrl/box/schemata',
      why: "say which share",
      from,
    },
    {
      step: "cgroup",
      action: "mkdir /sys/fs/resctrl/box/mon_groups/box",
      why: "count what the container uses of them",
      from,
    },
  ]);
});

Deno.test("wordFailure() of a class that cannot be entered", () => {
  const error = wordFailure(
    {
      op: {
        do: "writeFd",
        slot: "tasks0",
        data: new Uint8Array([0x30]),
        why: "join the resctrl group /sys/fs/resctrl/guest",
        from: "linux.intelRdt",
      },
      errno: 22,
      detail: 0,
      text: "",
    },
    makeConfig(),
    makeFacts(),
  );
  assertEquals([error.message, error.code, error.hint], [
    "Cannot join the resctrl group /sys/fs/resctrl/guest (linux.intelRdt): write: EINVAL (invalid argument)",
    "resctrl-join",
    "The class locks a part of a cache (pseudo-locked): no process may be in it",
  ]);
});
