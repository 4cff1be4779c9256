/**
 * Where a container's cgroups go, and the whole plan of them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type CgroupFacts,
  type CgroupLook,
  planCgroups,
} from "../mod/cgroups.ts";
import type { CgroupConfig } from "../mod/cgroups/model.ts";
import { friendly, LOOKS, MACHINES, oci } from "./cgroups/machines.ts";

const MEMORY = { memory: { limit: 67108864 } };

const V1_NAMES = "cpu,cpuacct cpuset memory devices freezer blkio pids systemd"
  .split(" ");

const v1Dirs = (below: string) =>
  V1_NAMES.map((n) => `/sys/fs/cgroup/${n}${below}`);

const APP =
  "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice";

const PLACES: {
  name: string;
  config: CgroupConfig;
  facts: CgroupFacts;
  look?: CgroupLook;
  dirs: string[];
  /** Parents' controllers to enable. */
  wanted?: string[];
}[] = [
  {
    name: "v1: below the caller's own cgroup in every hierarchy",
    config: friendly(),
    facts: MACHINES.v1,
    dirs: v1Dirs("/user/rustyrun-box-t0"),
  },
  {
    name: "hybrid: in the v2 hierarchy too",
    config: friendly(MEMORY),
    facts: MACHINES.hybrid,
    dirs: [
      ...v1Dirs("/rustyrun-box-t0"),
      "/sys/fs/cgroup/unified/rustyrun-box-t0",
    ],
  },
  {
    name: "hybrid: a controller that only v2 has is enabled there",
    config: friendly({ hugepageLimits: [{ pageSize: "2MB", limit: 0 }] }),
    facts: MACHINES.hybrid,
    dirs: [
      ...v1Dirs("/rustyrun-box-t0"),
      "/sys/fs/cgroup/unified/rustyrun-box-t0",
    ],
    wanted: ["hugetlb"],
  },
  {
    name: "v2: below the real root",
    config: friendly(MEMORY),
    facts: MACHINES.v2,
    dirs: ["/sys/fs/cgroup/rustyrun-box-t0"],
    wanted: ["memory"],
  },
  {
    name: "v2, systemd, no limit: below the caller's own, with no controller",
    config: friendly(),
    facts: MACHINES.v2Systemd,
    dirs: [
      "/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope/rustyrun-box-t0",
    ],
  },
  {
    name: "v2, systemd, a limit: beside the caller's own",
    config: friendly({ ...MEMORY, pids: { limit: 20 }, cpu: { shares: 2 } }),
    facts: MACHINES.v2Systemd,
    dirs: ["/sys/fs/cgroup/user.slice/user-0.slice/rustyrun-box-t0"],
    wanted: ["pids", "memory", "cpu"],
  },
  {
    name: "v2, in a container, no limit: below the namespace's root",
    config: friendly(),
    facts: MACHINES.v2Container,
    look: LOOKS.container,
    dirs: ["/sys/fs/cgroup/rustyrun-box-t0"],
  },
  {
    name: "v2, in an emptied container root, a limit: below it",
    config: friendly(MEMORY),
    facts: MACHINES.v2Container,
    look: {
      ...LOOKS.container,
      read: (path) => path.endsWith("procs") ? "" : "domain\n",
    },
    dirs: ["/sys/fs/cgroup/rustyrun-box-t0"],
    wanted: ["memory"],
  },
  {
    name: "v2, delegated user, no limit: below the caller's own",
    config: friendly(),
    facts: MACHINES.v2Delegated,
    look: LOOKS.user,
    dirs: [`${APP}/run-r1.scope/rustyrun-box-t0`],
  },
  {
    name: "v2, delegated user, a limit: beside the caller's own",
    config: friendly(MEMORY),
    facts: MACHINES.v2Delegated,
    look: LOOKS.user,
    dirs: [`${APP}/rustyrun-box-t0`],
    wanted: ["memory"],
  },
  {
    name: "v2, user of an ssh session, no limit: none",
    config: friendly(),
    facts: MACHINES.v2Session,
    look: LOOKS.user,
    dirs: [],
  },
  {
    name: "v1, user, no limit: none",
    config: friendly(),
    facts: MACHINES.v1User,
    look: LOOKS.user,
    dirs: [],
  },
  {
    name: "v1, OCI, absolute cgroupsPath: from the mount point",
    config: oci("/engine/c1"),
    facts: MACHINES.v1,
    dirs: v1Dirs("/engine/c1"),
  },
  {
    name: "v1, OCI, relative cgroupsPath: from the caller's own",
    config: oci("engine/../c1"),
    facts: MACHINES.v1,
    dirs: v1Dirs("/user/c1"),
  },
  {
    name: "v1, OCI, a relative cgroupsPath cannot climb",
    config: oci("../../c1"),
    facts: MACHINES.v1,
    dirs: v1Dirs("/user/c1"),
  },
  {
    name: "v1, OCI, no cgroupsPath: the id, below the caller's own",
    config: oci(undefined),
    facts: MACHINES.v1,
    dirs: v1Dirs("/user/box"),
  },
  {
    name: "v2, OCI, relative cgroupsPath: from the parent of the caller's own",
    config: oci("c1"),
    facts: MACHINES.v2Systemd,
    dirs: ["/sys/fs/cgroup/user.slice/user-0.slice/c1"],
    wanted: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"],
  },
  {
    name: "v2, OCI, absolute cgroupsPath: from the mount point",
    config: oci("/machine.slice/c1"),
    facts: MACHINES.v2Systemd,
    dirs: ["/sys/fs/cgroup/machine.slice/c1"],
    wanted: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"],
  },
  {
    name: "v2, OCI, user, no cgroupsPath and no limit: none",
    config: oci(undefined),
    facts: MACHINES.v2Session,
    look: LOOKS.user,
    dirs: [],
  },
  {
    name: "v1, friendly, below a mount that shows a part of the hierarchy",
    config: friendly(),
    facts: {
      ...MACHINES.v1,
      cgroups: [{
        ...MACHINES.v1.cgroups[3]!,
        root: "/docker/abc",
        own: "/docker/abc/sub",
      }],
    },
    dirs: ["/sys/fs/cgroup/devices/sub/rustyrun-box-t0"],
  },
  {
    name: "disabled: none",
    config: friendly({}, { cgroupManager: "disabled" }),
    facts: MACHINES.v2,
    dirs: [],
  },
];

for (const { name, config, facts, look, dirs, wanted } of PLACES) {
  Deno.test(`planCgroups() places: ${name}`, () => {
    const plan = planCgroups(config, facts, "t0", look ?? LOOKS.root);
    assertEquals(plan.dirs.map((d) => d.path), dirs);
    assertEquals(plan.enable?.wanted, wanted);
    assertEquals(
      plan.joins,
      {
        tasks: plan.dirs.filter((d) => d.version === 1)
          .map((d) => `${d.path}/tasks`),
        ...(facts.cgroups.some((c) => c.version === 2) && dirs.length > 0 &&
          { v2: dirs.at(-1) }),
      },
    );
  });
}

const DEFAULT_DEVICES = [
  "c *:* m",
  "b *:* m",
  "c 136:* rwm",
  "c 5:2 rwm",
  "c 10:200 rwm",
  "c 1:3 rwm",
  "c 1:5 rwm",
  "c 1:7 rwm",
  "c 1:8 rwm",
  "c 1:9 rwm",
  "c 5:0 rwm",
];

Deno.test("planCgroups() plans a whole v1 container", () => {
  const facts = {
    ...MACHINES.v1,
    cgroups: MACHINES.v1.cgroups.filter((m) =>
      ["memory", "cpuset", "devices", "freezer"].includes(m.controllers[0]!)
    ),
  };
  const flags = new Map([["linux.resources.memory.limit", "--memory 64m"]]);
  const config = friendly(
    { memory: { limit: 67108864, swap: 134217728 }, cpu: { cpus: "0" } },
    {
      flags,
      hostDevices: [
        { host: "/dev/fuse", container: "/dev/f", access: "wr" },
      ],
    },
  );
  const look = {
    ...LOOKS.root,
    device: () => ({ type: "c" as const, major: 10, minor: 229 }),
  };
  const plan = planCgroups(config, facts, "t0", look);
  const dir = (name: string) => `/sys/fs/cgroup/${name}/user/rustyrun-box-t0`;
  const { devices, ...rest } = plan;
  assertEquals(devices?.writes, [
    { file: `${dir("devices")}/devices.deny`, value: "a" },
    ...[
      "c 10:229 rw",
      ...DEFAULT_DEVICES,
      "c 5:1 rwm",
    ].map((value) => ({ file: `${dir("devices")}/devices.allow`, value })),
  ]);
  assertEquals(devices?.version, 1);
  assertEquals(devices?.dir, dir("devices"));
  assertEquals(rest, {
    dirs: ["cpuset", "memory", "devices", "freezer"].map((name) => ({
      path: dir(name),
      mount: `/sys/fs/cgroup/${name}`,
      controllers: [name],
      version: 1 as const,
    })),
    fresh: true,
    inherit: [dir("cpuset")],
    writes: [
      {
        controller: "cpuset",
        version: 1,
        file: `${dir("cpuset")}/cpuset.cpus`,
        value: "0",
        why: "CPUs that the container may use",
        from: "linux.resources.cpu.cpus",
      },
      {
        controller: "memory",
        version: 1,
        file: `${dir("memory")}/memory.limit_in_bytes`,
        value: "67108864",
        why: "memory that the container may use",
        from: "linux.resources.memory.limit",
        again: true,
      },
      {
        controller: "memory",
        version: 1,
        file: `${dir("memory")}/memory.memsw.limit_in_bytes`,
        value: "134217728",
        why: "memory and swap that the container may use",
        from: "linux.resources.memory.swap",
        again: true,
      },
    ],
    joins: {
      tasks: ["cpuset", "memory", "devices", "freezer"].map((n) =>
        `${dir(n)}/tasks`
      ),
    },
    oom: { file: `${dir("memory")}/memory.oom_control`, key: "oom_kill" },
    freezer: {
      file: `${dir("freezer")}/freezer.state`,
      freeze: "FROZEN",
      thaw: "THAWED",
    },
    made: false,
    parents: [],
    notes: [],
    flags,
  });
});

Deno.test("planCgroups() plans a whole v2 container", () => {
  const config = oci("/c1", MEMORY, {
    namespaces: [{ type: "cgroup" }, { type: "user" }],
    uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: 200000, size: 65536 }],
  });
  config.spec.mounts = [{
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
  }];
  config.spec.process = { cwd: "/", user: { uid: 7, gid: 8 } };
  const { devices, ...rest } = planCgroups(
    config,
    MACHINES.v2,
    "t0",
    LOOKS.root,
  );
  const dir = "/sys/fs/cgroup/c1";
  assertEquals(devices?.version, 2);
  assertEquals(devices?.dir, dir);
  assertEquals(devices?.writes, []);
  assertEquals(devices!.program.length % 8, 0);
  assertEquals(rest, {
    dirs: [{
      path: dir,
      mount: "/sys/fs/cgroup",
      controllers: MACHINES.v2.cgroups[0]!.controllers,
      version: 2,
    }],
    fresh: false,
    inherit: [],
    enable: {
      mount: "/sys/fs/cgroup",
      dir,
      wanted: MACHINES.v2.cgroups[0]!.controllers,
      required: [{
        controller: "memory",
        from: "linux.resources.memory.limit",
      }],
    },
    writes: [{
      controller: "memory",
      version: 2,
      file: `${dir}/memory.max`,
      value: "67108864",
      why: "memory that the container may use",
      from: "linux.resources.memory.limit",
    }],
    joins: { tasks: [], v2: dir },
    oom: { file: `${dir}/memory.events`, key: "oom_kill" },
    kill: `${dir}/cgroup.kill`,
    freezer: { file: `${dir}/cgroup.freeze`, freeze: "1", thaw: "0" },
    owner: { uid: 100007, gid: 200008 },
    made: false,
    parents: [],
    notes: [],
    flags: new Map(),
  });
});

Deno.test("planCgroups() gives a user no device rules and says so", () => {
  const plan = planCgroups(
    friendly(),
    MACHINES.v2Delegated,
    "t0",
    LOOKS.user,
  );
  assertEquals(plan.devices, undefined);
  assertEquals(plan.notes, [
    "device rules: none, because the kernel lets nobody make devices in a user namespace",
  ]);
});

Deno.test("planCgroups() cuts a long id, so that mkdir takes the name", () => {
  const config = { ...friendly(), id: "x".repeat(1024) };
  const plan = planCgroups(config, MACHINES.v2, "0123abcd", LOOKS.root);
  const name = plan.dirs[0]!.path.split("/").at(-1)!;
  assertEquals(name, `rustyrun-${"x".repeat(200)}-0123abcd`);
});
