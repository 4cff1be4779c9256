/**
 * The namespaces manager: whole plans for whole configurations.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Linux, Spec } from "../mod/config/schema.ts";
import { planNamespaces } from "../mod/namespaces.ts";
import {
  findBadNotes,
  makeConfig,
  makeFacts,
  showPlan,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";

const MAPS = {
  uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
};

const ALL: Linux = {
  namespaces: [
    { type: "pid" },
    { type: "network" },
    { type: "ipc" },
    { type: "uts" },
    { type: "mount" },
    { type: "cgroup" },
  ],
};

const plan = (spec: Partial<Spec>, facts = makeFacts(), cgroup?: string) =>
  planNamespaces(
    makeConfig(spec),
    facts,
    cgroup === undefined ? {} : { cgroup },
  );

Deno.test("planNamespaces() makes what `run` gives to root, cgroup after the join", () => {
  const phased = plan({ hostname: "box", linux: ALL }, makeFacts(), "cgroup");
  assertEquals(showPlan(phased), [
    "# ahead",
    "unshare 0x4c000000",
    "# fork",
    "fork 0x20020000 cgroup",
    "# cgroupJoin",
    "unshare 0x2000000",
    "# session",
    "setsid",
    "keyring _ses.box",
    "# network",
    "linkUp lo",
    "# uts",
    "hostname box",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planNamespaces() unshares the user namespace first and becomes its root", () => {
  const phased = plan({
    linux: { namespaces: [...ALL.namespaces!, { type: "user" }], ...MAPS },
  });
  assertEquals(showPlan(phased), [
    "# user",
    "unshare 0x10000000",
    "sync 2",
    "setgid 0",
    "setuid 0",
    "# fork",
    "fork 0x6c020000 -",
    "# cgroupJoin",
    "unshare 0x2000000",
    "# session",
    "setsid",
    "keyring _ses.box",
    "# network",
    "linkUp lo",
  ]);
});

Deno.test("planNamespaces() does not become an id 0 that is not mapped", () => {
  const keep = [{ containerID: 1000, hostID: 1000, size: 1 }];
  const phased = plan({
    linux: {
      namespaces: [{ type: "user" }],
      uidMappings: keep,
      gidMappings: keep,
    },
  }, makeFacts(UNPRIVILEGED));
  assertEquals(phased.user?.map((op) => op.do), ["unshare", "sync"]);
});

const JOINED: Partial<Spec> = {
  linux: {
    namespaces: [
      { type: "mount", path: "/proc/7/ns/mnt" },
      { type: "user", path: "/proc/7/ns/user" },
      { type: "pid", path: "/proc/7/ns/pid" },
      { type: "network", path: "/run/netns/a" },
    ],
  },
};

const OPENED = [
  "# sources",
  "open ns.network - /run/netns/a 0x800 0 0",
  "verify ns.network 0x8000 0 0x6e736673",
  "open ns.pid - /proc/7/ns/pid 0x800 0 0",
  "verify ns.pid 0x8000 0 0x6e736673",
  "open ns.mount - /proc/7/ns/mnt 0x800 0 0",
  "verify ns.mount 0x8000 0 0x6e736673",
  "open ns.user - /proc/7/ns/user 0x800 0 0",
  "verify ns.user 0x8000 0 0x6e736673",
];

Deno.test("planNamespaces() joins the user namespace last with CAP_SYS_ADMIN, the mount namespace before it", () => {
  assertEquals(showPlan(plan(JOINED)), [
    ...OPENED,
    "# user",
    "prctl 4 0 0 0 0",
    "setns ns.network 0x40000000",
    "setns ns.pid 0x20000000",
    "setns ns.mount 0x20000",
    "setns ns.user 0x10000000",
    "setgid 0",
    "setuid 0",
    "prctl 4 0 0 0 0",
    "# fork",
    "fork 0 -",
    "# session",
    "setsid",
    "keyring _ses.box",
  ]);
});

const CGROUP = [
  { type: "pid", path: "/proc/7/ns/pid" },
  { type: "cgroup", path: "/proc/7/ns/cgroup" },
] as const;

Deno.test("planNamespaces() joins a cgroup namespace when the process is in its cgroup", () => {
  const joined = plan({ linux: { namespaces: [...CGROUP] } }, makeFacts(), "c");
  assertEquals(showPlan(joined).slice(5), [
    "# user",
    "prctl 4 0 0 0 0",
    "setns ns.pid 0x20000000",
    "# fork",
    "fork 0 c",
    "# cgroupJoin",
    "setns ns.cgroup 0x2000000",
    "# session",
    "setsid",
    "keyring _ses.box",
  ]);
  const alone = plan({ linux: { namespaces: [CGROUP[1]] } });
  assertEquals(alone.user?.map((it) => it.do), ["prctl"]);
  assertEquals(alone.cgroupJoin?.map((it) => it.do), ["setns"]);
});

Deno.test("planNamespaces() joins it before a user namespace, which may have no rights over it", () => {
  const namespaces = [...CGROUP, { type: "user", path: "/proc/7/ns/user" }];
  const phased = plan({ linux: { namespaces } as Linux });
  assertEquals(showPlan(phased).slice(8, 12), [
    "prctl 4 0 0 0 0",
    "setns ns.cgroup 0x2000000",
    "setns ns.pid 0x20000000",
    "setns ns.user 0x10000000",
  ]);
  assertEquals(phased.cgroupJoin, []);
});

Deno.test("planNamespaces() joins the user namespace first without CAP_SYS_ADMIN", () => {
  assertEquals(showPlan(plan(JOINED, makeFacts(UNPRIVILEGED))), [
    ...OPENED,
    "# user",
    "prctl 4 0 0 0 0",
    "setns ns.user 0x10000000",
    "setgid 0",
    "setuid 0",
    "prctl 4 0 0 0 0",
    "# namespaces",
    "setns ns.network 0x40000000",
    "setns ns.pid 0x20000000",
    "setns ns.mount 0x20000",
    "# fork",
    "fork 0 -",
    "# session",
    "setsid",
    "keyring _ses.box",
  ]);
});

Deno.test("planNamespaces() writes clock offsets after the unshare and before the fork", () => {
  const phased = plan({
    linux: {
      namespaces: [{ type: "time" }, { type: "user" }],
      ...MAPS,
      timeOffsets: {
        monotonic: { secs: 10 },
        boottime: { secs: -5, nanosecs: 3 },
      },
    },
  });
  assertEquals(showPlan(phased), [
    "# sources",
    "open clocks - /proc/self/timens_offsets 1 0 0",
    "verify clocks 0x8000 0 0x9fa0",
    "# user",
    "unshare 0x10000000",
    "sync 2",
    "setgid 0",
    "setuid 0",
    "# time",
    "unshare 0x80",
    'writeFd clocks "monotonic 10 0\\nboottime -5 3\\n"',
    "# fork",
    "fork 0 -",
    "# session",
    "setsid",
    "keyring _ses.box",
  ]);
});

Deno.test("planNamespaces() makes no keyring when told so", () => {
  const phased = planNamespaces(
    makeConfig({}, { noNewKeyring: true }),
    makeFacts(),
  );
  assertEquals(phased.session?.map((op) => op.do), ["setsid"]);
});

const REFUSED: [string, Partial<Spec>, string][] = [
  [
    "a namespace listed twice",
    {
      linux: { namespaces: [{ type: "pid" }, { type: "pid" }] },
    },
    'Cannot set up the namespaces: "pid" is listed twice (linux.namespaces[1])',
  ],
  [
    "a relative path",
    {
      linux: { namespaces: [{ type: "pid", path: "ns/pid" }] },
    },
    'Cannot join the pid namespace "ns/pid": the path must be absolute (linux.namespaces[0])',
  ],
  [
    "a host name without a uts namespace",
    { hostname: "box" },
    'Cannot set the hostname "box": the container has no uts namespace of its own',
  ],
  [
    "a domain name without a uts namespace",
    { domainname: "d" },
    'Cannot set the domainname "d": the container has no uts namespace of its own',
  ],
  [
    "a user namespace without maps",
    {
      linux: { namespaces: [{ type: "user" }] },
    },
    "Cannot make a user namespace: linux.uidMappings and linux.gidMappings must both have an entry",
  ],
  [
    "maps without a user namespace",
    { linux: { ...MAPS } },
    "Cannot map ids: the container has no user namespace of its own",
  ],
  ["offsets without a time namespace", {
    linux: { timeOffsets: { monotonic: { secs: 1 } } },
  }, "Cannot set time offsets: the container has no time namespace of its own"],
  [
    "offsets of a joined time namespace",
    {
      linux: {
        namespaces: [{ type: "time", path: "/proc/7/ns/time" }],
        timeOffsets: { monotonic: { secs: 1 } },
      },
    },
    "Cannot set time offsets: the time namespace is joined by its path and has its own",
  ],
  [
    "the offset of another clock",
    {
      linux: {
        namespaces: [{ type: "time" }],
        timeOffsets: { realtime: { secs: 1 } },
      },
    },
    'Cannot set the offset of the clock "realtime": only monotonic and boottime have one (linux.timeOffsets)',
  ],
  [
    "network devices in the host's network",
    {
      linux: { netDevices: { eth0: {} } },
    },
    "Cannot move network devices: the container has no network namespace of its own (linux.netDevices)",
  ],
];

for (const [name, spec, message] of REFUSED) {
  Deno.test(`planNamespaces() refuses ${name}`, () => {
    const error = assertThrows(() => plan(spec), ContainerError);
    assertEquals(error.message, message);
  });
}

Deno.test("planNamespaces() has the child stage enter what was judged", () => {
  const config = makeConfig({
    linux: { namespaces: [{ type: "network", path: "/n" }] },
  });
  const judged = new Map([["network", { dev: 4, ino: 9 }] as const]);
  assertEquals(
    showPlan(planNamespaces(config, makeFacts(), { judged })).slice(0, 4),
    [
      "# sources",
      "open ns.network - /n 0x800 0 0",
      "verify ns.network 0x8000 0 0x6e736673",
      "same ns.network 4 9",
    ],
  );
});

Deno.test("planNamespaces() takes a path to the runtime's own namespace as none", () => {
  const joined =
    (type: "network" | "uts" | "user", spec: Partial<Spec>) => () =>
      planNamespaces(
        makeConfig({
          ...spec,
          linux: { ...spec.linux, namespaces: [{ type, path: "/n" }] },
        }, { ownNamespaces: [type] }),
        makeFacts(),
      );
  assertEquals(showPlan(joined("network", {})()), [
    "# fork",
    "fork 0 -",
    "# session",
    "setsid",
    "keyring _ses.box",
  ]);
  for (
    const call of [
      joined("uts", { hostname: "x" }),
      joined("uts", { domainname: "x" }),
      joined("network", { linux: { netDevices: { eth0: {} } } }),
      joined("user", { linux: MAPS }),
    ]
  ) {
    const { message, hint } = assertThrows(call, ContainerError);
    assertEquals(/ namespace of its own/.test(message), true, message);
    assertEquals(/: leave the path out/.test(hint ?? ""), true, hint);
  }
});
