/**
 * Classes of resctrl that are refused.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Resctrl } from "../mod/host.ts";
import type { Group } from "../mod/intel_rdt.ts";
import type { IntelRdt } from "../mod/config/schema.ts";
import { GROUP, GUEST, MACHINE, MOUNT, plan } from "./intel_rdt_room.ts";

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
