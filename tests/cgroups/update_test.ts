/** Updates as data, and what a refusal says. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { CgroupDir, CgroupPlan } from "../../mod/cgroups.ts";
import { freezeCgroups, readPids } from "../../mod/cgroups/control.ts";
import { wordFailure } from "../../mod/cgroups/errors.ts";
import { makeCgroups, writeLimits } from "../../mod/cgroups/make.ts";
import {
  mergeResources,
  planUpdate,
  updateCgroups,
} from "../../mod/cgroups/update.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";

const MERGES: {
  name: string;
  old: Resources;
  change: Resources;
  swapAlone?: boolean;
  want: Resources;
}[] = [
  {
    name: "keeps what the change does not name",
    old: { memory: { limit: 1, swap: 2 }, pids: { limit: 3 } },
    change: { memory: { limit: 5 } },
    want: { memory: { limit: 5, swap: 2 }, pids: { limit: 3 } },
  },
  {
    name: "takes 0 for unset, as engines send it",
    old: { memory: { limit: 1 }, cpu: { quota: 7, cpus: "0" } },
    change: { memory: { limit: 0 }, cpu: { quota: 0, cpus: "", burst: 0 } },
    want: { memory: { limit: 1 }, cpu: { quota: 7, cpus: "0", burst: 0 } },
  },
  {
    name: "takes 0 for a value in pids.limit",
    old: { pids: { limit: 3 } },
    change: { pids: { limit: 0 } },
    want: { pids: { limit: 0 } },
  },
  {
    name: "lifts the limit on swap with that on memory",
    old: { memory: { limit: 1, swap: 2 } },
    change: { memory: { limit: -1 } },
    want: { memory: { limit: -1, swap: -1 } },
  },
  {
    name: "keeps a limit on swap that comes with none on memory",
    old: { memory: { limit: 1, swap: 2 } },
    change: { memory: { limit: -1, swap: 3 } },
    want: { memory: { limit: -1, swap: 3 } },
  },
  {
    name: "keeps the swap that comes to more memory on v2",
    old: { memory: { limit: 64, swap: 128 } },
    change: { memory: { limit: 1024, swap: 0 } },
    swapAlone: true,
    want: { memory: { limit: 1024, swap: 1088 } },
  },
  {
    name: "keeps no swap at all to other memory on v2",
    old: { memory: { limit: 64, swap: 64 } },
    change: { memory: { limit: 32 } },
    swapAlone: true,
    want: { memory: { limit: 32, swap: 32 } },
  },
  {
    name: "keeps a lifted limit on swap on v2",
    old: { memory: { limit: 64, swap: -1 } },
    change: { memory: { limit: 32 } },
    swapAlone: true,
    want: { memory: { limit: 32, swap: -1 } },
  },
  {
    name: "takes the swap that comes with memory on v2",
    old: { memory: { limit: 64, swap: 128 } },
    change: { memory: { limit: 32, swap: 64 } },
    swapAlone: true,
    want: { memory: { limit: 32, swap: 64 } },
  },
  {
    name: "replaces lists and adds to unified",
    old: {
      unified: { "memory.high": "1", "pids.max": "2" },
      hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
    },
    change: {
      unified: { "memory.high": "5" },
      hugepageLimits: [{ pageSize: "1GB", limit: 2 }],
    },
    want: {
      unified: { "memory.high": "5", "pids.max": "2" },
      hugepageLimits: [{ pageSize: "1GB", limit: 2 }],
    },
  },
];

for (const { name, old, change, swapAlone, want } of MERGES) {
  Deno.test(`mergeResources() ${name}`, () => {
    assertEquals(mergeResources(old, change, swapAlone), want);
  });
}

Deno.test("updateCgroups() refuses shares for an idle container", () => {
  const error = assertThrows(
    () => updateCgroups([], { cpu: { idle: 1 } }, { cpu: { shares: 600 } }),
    ContainerError,
  );
  assertEquals(
    error.message,
    'Cannot apply linux.resources.cpu.shares "600": the container is idle (cpu.idle 1), and an idle cgroup has no shares',
  );
});

const V2: CgroupDir = {
  path: "/sys/fs/cgroup/a/c",
  mount: "/sys/fs/cgroup",
  controllers: ["cpu", "memory", "pids"],
  version: 2,
};

Deno.test("planUpdate() writes all of a part that changes, and no other", () => {
  const resources = {
    cpu: { quota: 50000, period: 200000, shares: 1024 },
    pids: { limit: 5 },
  };
  const writes = planUpdate(
    [V2],
    resources,
    { cpu: { quota: 50000 } },
    new Map(),
  );
  assertEquals(writes.map((w) => `${w.file} ${w.value}`), [
    "/sys/fs/cgroup/a/c/cpu.weight 100",
    "/sys/fs/cgroup/a/c/cpu.max 50000 200000",
  ]);
});

Deno.test("updateCgroups() leaves memory.swap.max of v2 to more memory", () => {
  const mount = Deno.makeTempDirSync();
  const path = `${mount}/c`;
  Deno.mkdirSync(path);
  for (const file of ["controllers", "subtree_control"]) {
    Deno.writeTextFileSync(`${mount}/cgroup.${file}`, "cpu memory pids");
  }
  Deno.writeTextFileSync(`${path}/memory.max`, "");
  Deno.writeTextFileSync(`${path}/memory.swap.max`, "");
  try {
    const seen = updateCgroups(
      [{ ...V2, mount, path }],
      { memory: { limit: 64 << 20, swap: 128 << 20 } },
      { memory: { limit: 1 << 30 } },
    );
    assertEquals(seen.memory, { limit: 1 << 30, swap: (1 << 30) + (64 << 20) });
    assertEquals(Deno.readTextFileSync(`${path}/memory.max`), `${1 << 30}`);
    const swap = Deno.readTextFileSync(`${path}/memory.swap.max`);
    assertEquals(swap, `${64 << 20}`);
  } finally {
    Deno.removeSync(mount, { recursive: true });
  }
});

Deno.test("planUpdate() refuses a limit for a container without cgroups", () => {
  const change = { pids: { limit: 5 } };
  const flags = new Map([["linux.resources.pids.limit", "--pids-limit 5"]]);
  const error = assertThrows(
    () => planUpdate([], change, change, flags),
    ContainerError,
  );
  assertEquals(
    error.message,
    'Cannot apply "--pids-limit 5": no cgroup file system is mounted',
  );
});

Deno.test("updateCgroups() says of a container without cgroups that it has none", () => {
  const error = assertThrows(
    () => updateCgroups([], {}, { pids: { limit: 5 } }),
    ContainerError,
    "Cannot change the container's limits: it has no cgroup",
  );
  assertStringIncludes(error.hint!, "--cgroup-manager disabled");
  assertEquals(updateCgroups([], {}, {}), {});
});

for (
  const [what, call] of [["pause", freezeCgroups], ["list", readPids]] as const
) {
  Deno.test(`${call.name}() says of a container without cgroups that it has none`, () => {
    const error = assertThrows(
      () => call([]),
      ContainerError,
      "it has no cgroup",
    );
    assertStringIncludes(error.message, `Cannot ${what} the container`);
    assertStringIncludes(error.hint!, "--cgroup-manager disabled");
  });
}

/** A directory that looks like the mount of a v2 hierarchy. */
function withTree(fn: (root: string) => void): void {
  const root = Deno.makeTempDirSync();
  try {
    fn(root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

Deno.test("makeCgroups() names the controller that is not handed down", () => {
  withTree((root) => {
    Deno.mkdirSync(`${root}/user`);
    Deno.writeTextFileSync(`${root}/cgroup.controllers`, "memory pids\n");
    Deno.writeTextFileSync(`${root}/cgroup.subtree_control`, "memory pids\n");
    Deno.writeTextFileSync(`${root}/user/cgroup.controllers`, "memory\n");
    Deno.writeTextFileSync(`${root}/user/cgroup.subtree_control`, "memory\n");
    const dir = `${root}/user/c`;
    const plan: CgroupPlan = {
      dirs: [{ ...V2, path: dir, mount: root }],
      fresh: true,
      inherit: [],
      enable: {
        mount: root,
        dir,
        wanted: ["memory", "pids"],
        required: [
          { controller: "memory", from: "linux.resources.memory.limit" },
          { controller: "pids", from: "linux.resources.pids.limit" },
        ],
      },
      writes: [],
      joins: { tasks: [], v2: dir },
      made: false,
      parents: [],
      notes: [],
      flags: new Map([["linux.resources.pids.limit", "--pids-limit 20"]]),
    };
    const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
    assertEquals(
      error.message,
      `Cannot apply "--pids-limit 20": the pids controller is not enabled in "${root}/user/cgroup.subtree_control"`,
    );
    assertEquals(
      error.hint,
      'Whoever manages that cgroup must hand it down; for a user, root adds "Delegate=pids" to user@.service (systemctl edit user@.service) and the user logs in again',
    );
    assertEquals([...Deno.readDirSync(`${root}/user`)].length, 2);
  });
});

Deno.test("writeLimits() refuses a limit below the usage when asked to check", () => {
  withTree((root) => {
    Deno.writeTextFileSync(`${root}/memory.current`, "9007199254740993\n");
    Deno.writeTextFileSync(`${root}/memory.max`, "max");
    const write = (value: string) =>
      writeLimits([{
        controller: "memory",
        version: 2,
        file: `${root}/memory.max`,
        value,
        why: "",
        from: "linux.resources.memory.limit",
        notBelow: `${root}/memory.current`,
      }], new Map());
    write("9007199254740993");
    const error = assertThrows(() => write("9007199254740992"), ContainerError);
    assertEquals(
      error.message,
      'Cannot apply linux.resources.memory.limit "9007199254740992": the container uses 9007199254740993 now',
    );
    assertEquals(
      Deno.readTextFileSync(`${root}/memory.max`),
      "9007199254740993",
    );
  });
});

Deno.test("writeLimits() writes the other file where the first is missing", () => {
  withTree((root) => {
    Deno.writeTextFileSync(`${root}/io.weight`, "");
    const write = {
      controller: "io",
      version: 2 as const,
      file: `${root}/io.bfq.weight`,
      value: "500",
      why: "",
      from: "linux.resources.blockIO.weight",
      instead: { file: `${root}/io.weight`, value: "4950" },
    };
    writeLimits([write], new Map());
    assertEquals(Deno.readTextFileSync(`${root}/io.weight`), "4950");
    Deno.removeSync(`${root}/io.weight`);
    const error = assertThrows(
      () => writeLimits([write], new Map()),
      ContainerError,
    );
    assertEquals(
      [error.message, error.hint],
      [
        `Cannot apply linux.resources.blockIO.weight: write "500" to "${root}/io.bfq.weight": ENOENT`,
        "Disk weights need the BFQ scheduler (modprobe bfq) or, on cgroup v2, CONFIG_BLK_CGROUP_IOCOST",
      ],
    );
    writeLimits([{ ...write, optional: ["ENOENT"] }], new Map());
  });
});

const HINTS: [file: string, errno: string, code: string, hint: RegExp][] = [
  [
    "memory.memsw.limit_in_bytes",
    "ENOENT",
    "kernel-setting-missing",
    /swapaccount=1/,
  ],
  ["blkio.weight", "ENOENT", "kernel-setting-missing", /BFQ/],
  ["hugetlb.2MB.max", "ENOENT", "kernel-setting-missing", /hugepages/],
  ["memory.max", "ENOENT", "kernel-setting-missing", /no such setting/],
  ["memory.limit_in_bytes", "EBUSY", "limit-below-usage", /uses more/],
  ["memory.limit_in_bytes", "EINVAL", "limit-refused", /both limits/],
  ["cpuset.cpus", "EINVAL", "limit-refused", /that exist/],
  ["cpuset.cpus", "ERANGE", "limit-refused", /fewer CPUs/],
  ["cpuset.cpus", "EACCES", "limit-refused", /cgroup above has/],
  ["cpu.max", "EINVAL", "limit-refused", /A period is/],
  ["cpu.rt_runtime_us", "EINVAL", "limit-refused", /real-time/],
  ["memory.use_hierarchy", "EINVAL", "limit-refused", /5\.11/],
  ["io.max", "ENODEV", "device-missing", /lsblk/],
  ["devices.allow", "EPERM", "cgroup-not-writable", /denies this device/],
  ["io.weight", "EOPNOTSUPP", "kernel-setting-missing", /io\.cost\.qos/],
  ["x", "EROFS", "cgroup-not-writable", /read-only/],
  ["x", "EACCES", "cgroup-not-writable", /delegated/],
  ["x", "EPERM", "cgroup-not-writable", /delegated/],
  ["x", "ENOSPC", "cgroup-refused", /max\.descendants/],
  ["x", "EAGAIN", "cgroup-refused", /max\.descendants/],
  ["cgroup.subtree_control", "EBUSY", "cgroup-refused", /holds processes/],
  ["x", "EBUSY", "cgroup-refused", /in use/],
  ["x", "EOPNOTSUPP", "cgroup-refused", /threaded/],
  ["x", "EINVAL", "limit-refused", /does not take/],
];

for (const [file, errno, code, hint] of HINTS) {
  Deno.test(`wordFailure() has a hint for ${errno} of ${file}`, () => {
    const cause = Object.assign(new Error("x"), { code: errno });
    const error = wordFailure(`write "1" to "${file}"`, `/c/${file}`, cause);
    assertEquals(error.message, `Cannot write "1" to "${file}": ${errno}`);
    assertEquals(error.code, code);
    assertEquals(hint.test(error.hint ?? ""), true, error.hint);
  });
}

Deno.test("wordFailure() reads the errno of an error that has no code", () => {
  const cause = new Error("Numerical result out of range (os error 34): x");
  assertEquals(
    wordFailure("write it", "/c/x", cause).message,
    "Cannot write it: ERANGE",
  );
});
