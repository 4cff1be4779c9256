/**
 * The unit of a container, as data: its names, its place, and when there is one.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { planCgroups } from "../../mod/cgroups.ts";
import type { CgroupLook } from "../../mod/cgroups/model.ts";
import { expandSlice, nameUnit } from "../../mod/cgroups/systemd/names.ts";
import { ContainerError } from "../../mod/errors.ts";
import { findBuses } from "../../mod/host/buses.ts";
import { friendly, LOOKS, MACHINES, oci } from "./machines.ts";

const SYSTEMD = { cgroupManager: "systemd" } as const;

for (
  const [slice, want] of [
    ["-.slice", ""],
    ["system.slice", "/system.slice"],
    ["a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"],
    [
      "kubepods-burstable-pod1_2.slice",
      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice",
    ],
    ["a--b.slice", undefined],
    ["a-.slice", undefined],
    ["-a.slice", undefined],
    [".slice", undefined],
    ["a/b.slice", undefined],
    ["a.scope", undefined],
    ["", undefined],
  ] as const
) {
  Deno.test(`expandSlice() of "${slice}"`, () => {
    assertEquals(expandSlice(slice), want);
  });
}

for (
  const [path, name, slice] of [
    ["system.slice:docker:ab12", "docker-ab12.scope", "system.slice"],
    ["machine.slice:libpod:ab12", "libpod-ab12.scope", "machine.slice"],
    [":pre:n", "pre-n.scope", "system.slice"],
    ["::", "-box.scope", "system.slice"],
    ["a.slice::n", "-n.scope", "a.slice"],
    ["a.slice:pre:", "pre-box.scope", "a.slice"],
    ["-.slice:pre:n@1", "pre-n@1.scope", "-.slice"],
    ["", "rustyrun-box.scope", "system.slice"],
  ] as const
) {
  Deno.test(`nameUnit() of "${path}"`, () => {
    const config = oci(path);
    assertEquals(nameUnit(config, "t0", false), { name, slice });
  });
}

Deno.test("nameUnit() makes a name of its own in friendly mode, of letters that systemd takes", () => {
  assertEquals(nameUnit(friendly({}, { id: "a+b" }), "t0", true), {
    name: "rustyrun-a\\x2bb-t0.scope",
    slice: "user.slice",
  });
});

for (
  const [path, why] of [
    [
      "/docker/ab12",
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/docker/ab12" instead',
    ],
    [
      "a:b:c:d",
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "a:b:c:d" instead',
    ],
    ["a/b.slice:p:n", "invalid slice name: a/b.slice"],
    ["system:p:n", "invalid slice name: system"],
    ["system.slice:p:n/m", '"p-n/m.scope" is no name of a unit'],
    [
      `system.slice:p:${"n".repeat(260)}`,
      `"p-${"n".repeat(260)}.scope" is no name of a unit`,
    ],
    [
      "system.slice:p:n.slice",
      "a container is a scope, and that is the name of a slice",
    ],
  ] as const
) {
  Deno.test(`nameUnit() refuses "${path.slice(0, 40)}"`, () => {
    const error = assertThrows(
      () => nameUnit(oci(path), "t0", false),
      ContainerError,
    );
    assertEquals(
      [error.message, error.code],
      [
        `Cannot use linux.cgroupsPath "${path}": ${why}`,
        "cgroups-path-invalid",
      ],
    );
  });
}

/** What a unit says, name by name; the last one counts. */
function planUnit(
  config: Parameters<typeof planCgroups>[0],
  facts: Parameters<typeof planCgroups>[1],
  look: CgroupLook = LOOKS.root,
) {
  const plan = planCgroups(config, facts, "t0", look);
  const { properties, ...unit } = plan.unit!;
  return {
    plan,
    unit,
    properties: Object.fromEntries(
      properties.map(({ name, value }) => [name, value]),
    ),
  };
}

Deno.test("planCgroups() has systemd make root's cgroup, and writes nothing above it", () => {
  const config = {
    ...oci("a-b.slice:p:n", {
      memory: { limit: 67108864 },
      pids: { limit: 20 },
    }),
    ...SYSTEMD,
  };
  const { plan, unit, properties } = planUnit(config, MACHINES.v2);
  assertEquals(unit, {
    name: "p-n.scope",
    slice: "a-b.slice",
    buses: findBuses([], false),
    group: "/a.slice/a-b.slice/p-n.scope",
  });
  const path = "/sys/fs/cgroup/a.slice/a-b.slice/p-n.scope";
  assertEquals(plan.dirs.map((it) => it.path), [path]);
  assertEquals(plan.joins, { tasks: [], v2: path });
  assertEquals(plan.enable, undefined);
  assertEquals(plan.oom?.file, `${path}/memory.events`);
  const { DeviceAllow: devices, ...rest } = properties;
  assertEquals(rest, {
    Description: "rustyrun container box",
    Slice: "a-b.slice",
    Delegate: true,
    MemoryAccounting: true,
    CPUAccounting: true,
    IOAccounting: true,
    TasksAccounting: true,
    DefaultDependencies: false,
    CollectMode: "inactive-or-failed",
    MemoryMax: 67108864,
    TasksMax: 20,
    DevicePolicy: "strict",
  });
  assertEquals((devices as unknown[]).slice(0, 3), [
    ["char-*", "m"],
    ["block-*", "m"],
    ["/dev/char/5:2", "rwm"],
  ]);
});

Deno.test("planCgroups() has systemd make one hierarchy of v1, by one path in all", () => {
  const config = { ...oci("system.slice:p:n"), ...SYSTEMD };
  const { plan } = planUnit(config, MACHINES.hybrid);
  assertEquals(
    plan.dirs.every((it) => it.path === `${it.mount}/system.slice/p-n.scope`),
    true,
  );
});

const USER_BUS = findBuses(["XDG_RUNTIME_DIR=/run/user/1000"], true);
const GROUP = "/user.slice/user-1000.slice/user@1000.service";

Deno.test("planCgroups() asks the user's systemd for its place, and sets no devices", () => {
  const { unit, properties } = planUnit(
    { ...oci(""), ...SYSTEMD },
    { ...MACHINES.v2Session, buses: USER_BUS },
    LOOKS.systemd,
  );
  assertEquals(unit.group, `${GROUP}/user.slice/rustyrun-box.scope`);
  assertEquals(unit.buses, {
    kind: "user",
    addresses: [
      { address: "unix:path=/run/user/1000/bus", direct: false },
      { address: "unix:path=/run/user/1000/systemd/private", direct: true },
    ],
  });
  assertEquals([properties.DevicePolicy, properties.Slice], [
    undefined,
    "user.slice",
  ]);
});

const MEMORY = { memory: { limit: 1 << 20 } };
const AUTO = { cgroupManager: "auto" } as const;

Deno.test("planCgroups() takes a user's systemd by itself where a limit is asked for, and only there", () => {
  const session = { ...MACHINES.v2Session, buses: USER_BUS };
  const auto = (
    resources = {},
    facts: typeof session | typeof MACHINES.v2 = session,
  ) =>
    planCgroups(friendly(resources, AUTO), facts, "t0", LOOKS.systemd).unit
      ?.name;
  assertEquals(auto(MEMORY), "rustyrun-box-t0.scope");
  assertEquals(auto(), undefined);
  assertEquals(auto(MEMORY, MACHINES.v2), undefined);
  const delegated = { ...MACHINES.v2Delegated, buses: USER_BUS };
  assertEquals(auto(MEMORY, delegated), undefined);
});

for (
  const [what, config, facts] of [
    ["cgroupfs is asked for", friendly(MEMORY), {
      ...MACHINES.v2Session,
      buses: USER_BUS,
    }],
    ["there is no bus", friendly(MEMORY, AUTO), {
      ...MACHINES.v2Session,
      buses: findBuses([], true),
    }],
    ["an engine asks", { ...oci("", MEMORY), ...AUTO }, {
      ...MACHINES.v2Session,
      buses: USER_BUS,
    }],
  ] as const
) {
  Deno.test(`planCgroups() does not take a user's systemd by itself where ${what}`, () => {
    const error = assertThrows(
      () => planCgroups(config, facts, "t0", LOOKS.systemd),
      ContainerError,
    );
    assertEquals(error.code, "cgroup-not-delegated");
  });
}

Deno.test("planCgroups() has no systemd for a user on cgroup v1", () => {
  const error = assertThrows(
    () =>
      planCgroups(
        { ...oci(""), ...SYSTEMD },
        { ...MACHINES.v1User, buses: USER_BUS },
        "t0",
        LOOKS.systemd,
      ),
    ContainerError,
  );
  assertEquals(error.code, "systemd-cgroup-layout");
  assertStringIncludes(error.message, "cgroup v1 is not handed");
});

for (
  const [environment, user, want] of [
    [[], false, [
      "unix:path=/run/dbus/system_bus_socket",
      "unix:path=/run/systemd/private",
    ]],
    [["DBUS_SYSTEM_BUS_ADDRESS=unix:path=/x"], false, [
      "unix:path=/x",
      "unix:path=/run/systemd/private",
    ]],
    [
      ["XDG_RUNTIME_DIR=/run/a b", "DBUS_SESSION_BUS_ADDRESS=unix:path=/y"],
      true,
      [
        "unix:path=/run/a%20b/bus",
        "unix:path=/y",
        "unix:path=/run/a%20b/systemd/private",
      ],
    ],
    [["XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS="], true, []],
  ] as [string[], boolean, string[]][]
) {
  Deno.test(`findBuses() of ${user ? "a user" : "the machine"} with ${environment}`, () => {
    const { addresses } = findBuses(environment, user);
    assertEquals(addresses.map((it) => it.address), want);
  });
}
