/**
 * Classes of service (linux.intelRdt): what is planned on machines that have
 * resctrl and on those that have not, without either.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { explainPlan } from "../mod/explain.ts";
import { ContainerError } from "../mod/errors.ts";
import { planLeftovers } from "../mod/container/kept/leftovers.ts";
import { planNoted } from "../mod/container/kept/reclaim.ts";
import { wordFailure } from "../mod/failure.ts";
import type { Resctrl } from "../mod/host.ts";
import {
  type ClassPlan,
  compareSchemata,
  findResctrl,
  type Group,
  planIntelRdt,
} from "../mod/intel_rdt.ts";
import type { IntelRdt } from "../mod/config/schema.ts";
import { makeConfig, makeFacts, showOp } from "./manager_fixtures.ts";

const MOUNT = "/sys/fs/resctrl";
const MACHINE: Resctrl = {
  known: true,
  path: MOUNT,
  resources: ["L3", "MB", "L3_MON"],
};
const ROOT: Group = {
  schemata: "    MB:0=100\n    L3:0=fffff\n",
  tasks: "1\n",
};

/** What `intelRdt` comes to, where these groups are. */
function plan(
  intelRdt: IntelRdt,
  groups: Record<string, Group | "other"> = {},
  machine: Resctrl = MACHINE,
): ClassPlan | undefined {
  return planIntelRdt(
    makeConfig({ linux: { intelRdt } }),
    () => machine,
    (path) => ({ [MOUNT]: ROOT, ...groups })[path],
    () => 10,
  );
}

const GUEST = `${MOUNT}/guest`;
const GROUP: Group = { schemata: "    MB:0=30\n    L3:0=ff\n", tasks: "" };

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

const CDP = { ...MACHINE, resources: ["L3CODE", "L3DATA"] };
const NOTHING = { known: false, resources: [] };
const ERRORS: [
  string,
  IntelRdt,
  Record<string, Group | "other">,
  Resctrl,
  message: string,
  code: string,
  hint: string,
][] = [
  [
    "a kernel without resctrl",
    {},
    {},
    NOTHING,
    "Cannot apply linux.intelRdt: this kernel has no resctrl file system",
    "resctrl-missing",
    "It takes a processor with Intel RDT, AMD QoS or Arm MPAM, and a kernel with CONFIG_X86_CPU_RESCTRL or CONFIG_ARM64_MPAM: grep resctrl /proc/filesystems. Else leave linux.intelRdt out",
  ],
  [
    "resctrl that is not mounted",
    { closID: "guest" },
    {},
    { known: true, resources: [] },
    "Cannot apply linux.intelRdt: the resctrl file system is not mounted",
    "resctrl-not-mounted",
    "As root: mount -t resctrl resctrl /sys/fs/resctrl",
  ],
  [
    "a processor without cache allocation",
    { l3CacheSchema: "L3:0=f" },
    {},
    { ...MACHINE, resources: ["MB"] },
    'Cannot apply linux.intelRdt: linux.intelRdt.l3CacheSchema is "L3:0=f", and resctrl has no resource "L3" here (cache allocation on L3)',
    "resctrl-resource",
    "It has MB: ls /sys/fs/resctrl/info",
  ],
  [
    "a processor without bandwidth allocation",
    { memBwSchema: "MB:0=20" },
    {},
    { ...MACHINE, resources: ["L3_MON"] },
    'Cannot apply linux.intelRdt: linux.intelRdt.memBwSchema is "MB:0=20", and resctrl has no resource "MB" here (memory bandwidth allocation)',
    "resctrl-resource",
    "It has none: ls /sys/fs/resctrl/info",
  ],
  [
    "a resource that nobody has heard of",
    { schemata: ["L3:0=f", "L9:0=1"] },
    {},
    MACHINE,
    'Cannot apply linux.intelRdt: linux.intelRdt.schemata[1] is "L9:0=1", and resctrl has no resource "L9" here',
    "resctrl-resource",
    "It has L3, MB: ls /sys/fs/resctrl/info",
  ],
  [
    "L3 where code and data are apart",
    { l3CacheSchema: "L3:0=f" },
    {},
    CDP,
    'Cannot apply linux.intelRdt: linux.intelRdt.l3CacheSchema is "L3:0=f", and resctrl has no resource "L3" here',
    "resctrl-resource",
    "It is mounted with cdp: write the lines L3CODE and L3DATA into linux.intelRdt.schemata, or mount it without",
  ],
  [
    "a closID that is not there, without schemata",
    { closID: "guest" },
    {},
    MACHINE,
    'Cannot apply linux.intelRdt: there is no class "guest" (linux.intelRdt.closID), and no schemata that would make one',
    "resctrl-class-missing",
    "Make it first: mkdir /sys/fs/resctrl/guest, or set linux.intelRdt.schemata",
  ],
  [
    "a closID that is there with another cache",
    { closID: "guest", l3CacheSchema: "L3:0=f" },
    { [GUEST]: GROUP },
    MACHINE,
    'Cannot apply linux.intelRdt: the class "guest" (linux.intelRdt.closID) exists, and its schemata says something else of "L3:0"',
    "resctrl-class-differs",
    "cat /sys/fs/resctrl/guest/schemata shows what it says: ask for that, for nothing, or for another closID",
  ],
  [
    "the root's class with another bandwidth",
    { closID: "/", memBwSchema: "MB:0=50" },
    {},
    MACHINE,
    'Cannot apply linux.intelRdt: the class "/" (linux.intelRdt.closID) exists, and its schemata says something else of "MB:0"',
    "resctrl-class-differs",
    "cat /sys/fs/resctrl/schemata shows what it says: ask for that, for nothing, or for another closID",
  ],
  [
    "a directory of resctrl that is no class",
    { closID: "info" },
    { [`${MOUNT}/info`]: "other" },
    MACHINE,
    'Cannot apply linux.intelRdt: "/sys/fs/resctrl/info" is no class of service',
    "intel-rdt",
    "Choose another linux.intelRdt.closID",
  ],
  [
    "an id that is no class",
    {},
    { [`${MOUNT}/box`]: "other" },
    MACHINE,
    'Cannot apply linux.intelRdt: "/sys/fs/resctrl/box" is no class of service',
    "intel-rdt",
    "Choose another id for the container, or set linux.intelRdt.closID",
  ],
  [
    "monitoring without counters",
    { enableMonitoring: true },
    {},
    { ...MACHINE, resources: ["L3", "MB"] },
    "Cannot apply linux.intelRdt: linux.intelRdt.enableMonitoring is set, and resctrl cannot monitor here",
    "resctrl-resource",
    "No /sys/fs/resctrl/info/L3_MON: the processor cannot, or the kernel was booted with rdt=!cmt,!mbmtotal,!mbmlocal",
  ],
  [
    "a MON group that somebody is in",
    { closID: "/", enableMonitoring: true },
    { [`${MOUNT}/mon_groups/box`]: { schemata: "", tasks: "77\n" } },
    MACHINE,
    'Cannot apply linux.intelRdt: the monitoring group "/sys/fs/resctrl/mon_groups/box" is another container\'s',
    "resctrl-monitor-used",
    "Choose another id for the container, or another closID",
  ],
];

for (const [name, intelRdt, groups, machine, message, code, hint] of ERRORS) {
  Deno.test(`planIntelRdt() refuses ${name}`, () => {
    const error = assertThrows(
      () => plan(intelRdt, groups, machine),
      ContainerError,
    );
    assertEquals([error.message, error.code, error.hint], [
      message,
      code,
      hint,
    ]);
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
