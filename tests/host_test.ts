/**
 * Facts about a machine, from the texts of /proc as they look on machines of
 * every kind, and this machine's own.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readCaller } from "../mod/caller.ts";
import {
  cgroupLayout,
  type CgroupMount,
  gatherFacts,
  isInUserns,
  parseCgroups,
  unescapeMountinfo,
} from "../mod/host.ts";
import { parseNofile } from "../mod/caller/status.ts";

/** What cgroup.controllers holds, by mount point. */
const nothing = () => "";

interface Machine {
  name: string;
  mountinfo: string;
  own: string;
  controllers?: (path: string) => string;
  want: CgroupMount[];
  layout: ReturnType<typeof cgroupLayout>;
}

const MACHINES: Machine[] = [
  {
    name: "v2, a systemd user session",
    mountinfo: `22 28 0:21 / /proc rw,relatime shared:14 - proc proc rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`,
    own:
      "0::/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope\n",
    controllers: (path) =>
      path === "/sys/fs/cgroup" ? "cpuset cpu io memory pids\n" : "wrong",
    want: [{
      version: 2,
      controllers: ["cpuset", "cpu", "io", "memory", "pids"],
      path: "/sys/fs/cgroup",
      root: "/",
      own: "/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope",
      options: ["nsdelegate", "memory_recursiveprot"],
    }],
    layout: "v2",
  },
  {
    name: "v1 with shared hierarchies and no v2",
    mountinfo:
      `25 18 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
29 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:13 - cgroup cgroup rw,cpu,cpuacct
30 25 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:14 - cgroup cgroup rw,memory
`,
    own: `4:memory:/user.slice
3:cpu,cpuacct:/user.slice
1:name=systemd:/user.slice/session-1.scope
`,
    want: [
      {
        version: 1,
        controllers: ["name=systemd"],
        path: "/sys/fs/cgroup/systemd",
        root: "/",
        own: "/user.slice/session-1.scope",
      },
      {
        version: 1,
        controllers: ["cpu", "cpuacct"],
        path: "/sys/fs/cgroup/cpu,cpuacct",
        root: "/",
        own: "/user.slice",
      },
      {
        version: 1,
        controllers: ["memory"],
        path: "/sys/fs/cgroup/memory",
        root: "/",
        own: "/user.slice",
      },
    ],
    layout: "v1",
  },
  {
    name: "hybrid: v1 controllers and an empty v2 beside them",
    mountinfo:
      `30 25 0:27 / /sys/fs/cgroup/pids rw shared:14 - cgroup cgroup rw,pids
27 25 0:24 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw,nsdelegate
`,
    own: "6:pids:/\n0::/init.scope\n",
    want: [
      {
        version: 1,
        controllers: ["pids"],
        path: "/sys/fs/cgroup/pids",
        root: "/",
        own: "/",
      },
      {
        version: 2,
        controllers: [],
        path: "/sys/fs/cgroup/unified",
        root: "/",
        own: "/init.scope",
        options: ["nsdelegate"],
      },
    ],
    layout: "hybrid",
  },
  {
    name: "v2 beside a v1 hierarchy with a name and no controller",
    mountinfo:
      `26 25 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
27 25 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,seclabel
`,
    own: "1:name=systemd:/\n0::/\n",
    controllers: () => "memory",
    want: [
      {
        version: 1,
        controllers: ["name=systemd"],
        path: "/sys/fs/cgroup/systemd",
        root: "/",
        own: "/",
      },
      {
        version: 2,
        controllers: ["memory"],
        path: "/sys/fs/cgroup/unified",
        root: "/",
        own: "/",
      },
    ],
    layout: "v2",
  },
  {
    name: "inside Docker on v1: the mount's root is the container's cgroup",
    mountinfo:
      `780 779 0:27 /docker/0123abcd /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:14 - cgroup cgroup rw,memory
781 779 0:28 /docker/0123abcd /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:15 - cgroup cgroup rw,cpu,cpuacct
`,
    own: "11:memory:/docker/0123abcd\n4:cpu,cpuacct:/docker/0123abcd\n",
    want: [
      {
        version: 1,
        controllers: ["memory"],
        path: "/sys/fs/cgroup/memory",
        root: "/docker/0123abcd",
        own: "/docker/0123abcd",
      },
      {
        version: 1,
        controllers: ["cpu", "cpuacct"],
        path: "/sys/fs/cgroup/cpu,cpuacct",
        root: "/docker/0123abcd",
        own: "/docker/0123abcd",
      },
    ],
    layout: "v1",
  },
  {
    name: "inside Docker on v2: a cgroup namespace",
    mountinfo:
      "900 899 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n",
    own: "0::/\n",
    controllers: () => "cpuset cpu io memory hugetlb pids rdma misc\n",
    want: [{
      version: 2,
      controllers: [
        "cpuset",
        "cpu",
        "io",
        "memory",
        "hugetlb",
        "pids",
        "rdma",
        "misc",
      ],
      path: "/sys/fs/cgroup",
      root: "/",
      own: "/",
      options: ["nsdelegate", "memory_recursiveprot"],
    }],
    layout: "v2",
  },
  {
    name: "v2 mounted twice: the first counts",
    mountinfo: `35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
99 24 0:30 / /mnt/again rw - cgroup2 cgroup2 rw
`,
    own: "0::/a\n",
    want: [{
      version: 2,
      controllers: [],
      path: "/sys/fs/cgroup",
      root: "/",
      own: "/a",
    }],
    layout: "v2",
  },
  {
    name: "v1 bound a second time: the first counts",
    mountinfo: `30 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 25 0:27 /a /mnt/memory rw - cgroup cgroup rw,memory
`,
    own: "4:memory:/a\n",
    want: [{
      version: 1,
      controllers: ["memory"],
      path: "/sys/fs/cgroup/memory",
      root: "/",
      own: "/a",
    }],
    layout: "v1",
  },
  {
    name: "paths with blanks, a colon and a comma",
    mountinfo:
      "35 24 0:30 /a\\040b /mnt/c\\134d\\040e rw - cgroup2 cgroup2 rw\n",
    own: "0::/x:y, z\n",
    controllers: (path) => path === "/mnt/c\\d e" ? "pids" : "wrong",
    want: [{
      version: 2,
      controllers: ["pids"],
      path: "/mnt/c\\d e",
      root: "/a b",
      own: "/x:y, z",
    }],
    layout: "v2",
  },
  {
    name: "no cgroups at all",
    mountinfo: "28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n",
    own: "0::/\n",
    want: [],
    layout: "none",
  },
  {
    name: "a directory that is only called cgroup",
    mountinfo:
      "28 1 0:40 / /sys/fs/cgroup rw,relatime shared:1 - tmpfs cgroup rw\n",
    own: "0::/\n",
    want: [],
    layout: "none",
  },
  {
    name: "empty texts",
    mountinfo: "",
    own: "",
    want: [],
    layout: "none",
  },
];

for (const { name, mountinfo, own, controllers, want, layout } of MACHINES) {
  Deno.test(`parseCgroups() reads ${name}`, () => {
    const cgroups = parseCgroups(mountinfo, own, controllers ?? nothing);
    assertEquals(cgroups, want);
    assertEquals(cgroupLayout({ cgroups }), layout);
  });
}

for (
  const [field, want] of [
    ["/plain", "/plain"],
    ["/a\\040b", "/a b"],
    ["/a\\011b\\012c", "/a\tb\nc"],
    ["/a\\134040b", "/a\\040b"],
    ["/tail\\04", "/tail\\04"],
    ["/not\\899octal", "/not\\899octal"],
    ["", ""],
    ["/grüß", "/grüß"],
  ] as const
) {
  Deno.test(`unescapeMountinfo() of ${JSON.stringify(field)}`, () => {
    assertEquals(unescapeMountinfo(field), want);
  });
}

const LIMITS = (nofile: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max processes             63304                63304                processes 
Max open files            ${nofile}
Max locked memory         8388608              8388608              bytes     
`;

for (
  const [row, want] of [
    ["1024                 1048576              files     ", 1024],
    ["1048576              1048576              files     ", 1048576],
    ["unlimited            unlimited            files     ", undefined],
    ["0                    0                    files     ", 0],
  ] as const
) {
  Deno.test(`parseNofile() of "${row.split(" ")[0]}"`, () => {
    assertEquals(parseNofile(LIMITS(row)), want);
  });
}

Deno.test("parseNofile() of a text without the line", () => {
  assertEquals(parseNofile(""), undefined);
});

Deno.test("gatherFacts() tells of this machine what its /proc says", () => {
  const facts = gatherFacts(readCaller());
  const status = Deno.readTextFileSync("/proc/self/status");
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)![1]!;
  assertEquals(facts.arch, Deno.build.arch);
  assertEquals(facts.proc, "/proc/self");
  assertEquals(facts.uid, Deno.uid());
  assertEquals(facts.gid, Deno.gid());
  assertEquals(facts.caps, BigInt(`0x${field("CapEff")}`));
  assertEquals(facts.kernel.release, Deno.osRelease());
  assertEquals(
    Deno.osRelease().startsWith(`${facts.kernel.major}.${facts.kernel.minor}`),
    true,
  );
  assertEquals(facts.inUserns, isInUserns("/proc/self"));
  assertEquals(typeof facts.foreignMounts, "boolean");
  // Ours are the defaults, or the test would say what is not.
  assertEquals(Object.keys(facts.inherited!).sort(), [
    "memoryPolicy",
    "noHugePages",
    "personality",
    "securebits",
    "timerSlack",
  ]);
});

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Others may mount and unmount hierarchies meanwhile. */
function isMounted(path: string): boolean {
  return gatherFacts(readCaller()).cgroups.some((it) => it.path === path);
}

Deno.test("gatherFacts() finds cgroups whose directories are there", () => {
  for (
    const { path, controllers, version } of gatherFacts(readCaller()).cgroups
  ) {
    assert(isDirectory(path) || !isMounted(path), path);
    assert(version === 2 || controllers.length > 0, path);
  }
});

Deno.test("gatherFacts() reads what is costly once", () => {
  const facts = gatherFacts(readCaller());
  assert(facts.cgroups === facts.cgroups);
});
