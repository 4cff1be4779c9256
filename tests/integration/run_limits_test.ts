/**
 * Limits hold, and say so; what cannot be limited is an error.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { makeBox } from "../harness.ts";
import { hasNeed, type Need, testOn } from "../needs.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];

/** Fields of the first file that is there, of the container's own cgroup. */
const READ = "read() { for f; do [ ! -e $f ] || { cat $f; return; }; done; }";
const FS = "/sys/fs/cgroup";

/** Holds 200 MB in memory: a tmpfs would count as well, but less like a program. */
const EAT =
  "exec awk 'BEGIN { s = \"x\"; while (length(s) < 200000000) s = s s; print length(s) }'";

testOn(
  ROOT,
  "run --memory 64m kills what takes 200 MB, and says so",
  async () => {
    await using box = makeBox();
    const { code, stdout, stderr } = await box.run([
      "--memory",
      "64m",
      "--memory-swap",
      "64m",
      "--",
      "sh",
      "-c",
      EAT,
    ]);
    assertEquals([code, stdout], [137, ""]);
    assertEquals(
      stderr,
      "rustyrun: The container was killed: it used more than its memory limit of 67108864 bytes (--memory 64m)\n" +
        "  hint: Give it more, or make it use less\n",
    );
  },
);

for (
  const [flags, said] of [
    [
      ["--init", "--pids-limit", "1"],
      `rustyrun: Cannot start the command under --init: the limit --pids-limit 1 leaves no room for it
  hint: --init is a process of its own, and the command another: give room for both, or leave --init out
`,
    ],
    [
      ["--init", "--user", "54321", "--ulimit", "nproc=1"],
      `rustyrun: Cannot start the command under --init: the limit --ulimit nproc=1 leaves no room for it
  hint: --init is a process of its own, and the command another: give room for both, or leave --init out
`,
    ],
    ...["as=4096", "data=0"].map((limit) =>
      [
        ["--ulimit", limit],
        `rustyrun: Cannot start the container: the limit --ulimit ${limit} leaves no memory to start a program
  hint: It is in bytes, and a program needs some megabytes
`,
      ] as const
    ),
  ] as const
) {
  testOn(
    ROOT,
    `run ${flags.join(" ")} says which limit leaves no room to start`,
    async () => {
      await using box = makeBox();
      const { code, stdout, stderr } = await box.run([...flags, "--", "true"]);
      assertEquals([code, stdout, stderr], [125, "", said]);
    },
  );
}

testOn(
  ROOT,
  "run starts under limits that are the command's alone",
  async () => {
    await using box = makeBox();
    for (
      const limit of [
        ...["nofile=0", "nofile=4", "fsize=0", "memlock=0", "core=0"],
        "sigpending=0",
      ]
    ) {
      for (const init of [[], ["--init"]]) {
        const { code, stderr } = await box.run(
          [...init, "--ulimit", limit, "--", "true"],
        );
        assertEquals([code, stderr], [0, ""], limit);
      }
    }
  },
);

testOn(ROOT, "run without --memory lets the same program be", async () => {
  await using box = makeBox();
  const { code, stderr } = await box.run(["--", "sh", "-c", EAT]);
  assertEquals([code, stderr], [0, ""]);
});

testOn(
  ROOT,
  "run --memory says nothing of a command that ends by itself",
  async () => {
    await using box = makeBox();
    const { code, stdout, stderr } = await box.run([
      "--memory",
      "64m",
      "--",
      "sh",
      "-c",
      `${READ}; read ${FS}/memory/memory.limit_in_bytes ${FS}/memory.max; exit 137`,
    ]);
    assertEquals([code, stdout, stderr], [137, "67108864\n", ""]);
  },
);

testOn(
  ROOT,
  "run --json --memory tells of the kill in the result, the one object",
  async () => {
    await using box = makeBox();
    const { code, stderr } = await box.run([
      "--json",
      "--memory",
      "32m",
      "--memory-swap",
      "32m",
      "--",
      "sh",
      "-c",
      EAT,
    ]);
    assertEquals(code, 137);
    assertEquals(JSON.parse(stderr), {
      id: box.id,
      error:
        "The container was killed: it used more than its memory limit of 33554432 bytes (--memory 32m)",
      code: "memory-limit",
      hint: "Give it more, or make it use less",
      exitCode: 137,
      signal: "SIGKILL",
      oom: true,
    });
  },
);

testOn(ROOT, "run --pids-limit 20 stops a fork bomb", async () => {
  await using box = makeBox();
  const { code, stdout, stderr } = await box.run([
    "--pids-limit",
    "20",
    "--",
    "sh",
    "-c",
    // A child that fails to fork ends; the bomb is over when none can. What
    // follows forks no more: there may be no room yet.
    `bomb() { bomb & bomb; }; (bomb) 2>/dev/null
     for file in ${FS}/pids/pids.max ${FS}/pids.max; do
       [ -e $file ] && read -r max <$file && echo $max
     done; echo over`,
  ]);
  assertEquals([code, stdout, stderr], [0, "20\nover\n", ""]);
});

testOn(
  ROOT,
  "run --cpus 0.5 gives two busy loops half of a CPU",
  async () => {
    await using box = makeBox();
    const { stdout, stderr } = await box.run([
      "--cpus",
      "0.5",
      "--",
      "sh",
      "-c",
      // Until they had 1.5 s of a CPU, however long a busy machine takes for
      // it: user and system time of the two, in clock ticks.
      `now() { cut -d' ' -f1 /proc/uptime; }
       used() {
         cat /proc/$a/stat /proc/$b/stat |
           awk '{ sub(/.*\\) /, ""); sum += $12 + $13 } END { print sum }'
       }
       s0=$(now)
       while :; do :; done & a=$!
       while :; do :; done & b=$!
       until ticks=$(used); [ $ticks -ge 150 ]; do sleep 0.1; done
       echo $s0 $(now) $ticks; kill $a $b`,
    ], { timeout: 300 });
    const [s0, s1, ticks] = stdout.trim().split(" ").map(Number);
    const share = ticks! / 100 / (s1! - s0!);
    assert(share <= 0.6, `${share} of a CPU: ${stdout}${stderr}`);
  },
);

testOn(ROOT, "run --cpus 0.05 holds a busy loop, and counts", async () => {
  await using box = makeBox();
  // So little that one slice of the scheduler is too much: a machine that is
  // busy with others holds it as well.
  const { code, stdout, stderr } = await box.run([
    "--cpus",
    "0.05",
    "--",
    "sh",
    "-c",
    `for file in ${FS}/cpu/cpu.stat ${FS}/cpu.stat; do [ ! -e $file ] || break; done
     until [ "$count" -gt 0 ] 2>/dev/null; do
       while read -r key value; do
         [ $key != nr_throttled ] || count=$value
       done <$file
     done; echo held`,
  ], { timeout: 300 });
  assertEquals([code, stdout, stderr], [0, "held\n", ""]);
});

/** Name, flags, file of v1, file of v2, what stands there. */
const FILES: [string, string[], string, string, string, string][] = [
  [
    "--cpus",
    ["--cpus", "1.5"],
    "cpu/cpu.cfs_quota_us",
    "cpu.max",
    "150000",
    "150000 100000",
  ],
  [
    "--cpu-shares",
    ["--cpu-shares", "512"],
    "cpu/cpu.shares",
    "cpu.weight",
    "512",
    "59",
  ],
  [
    "--cpuset-cpus",
    ["--cpuset-cpus", "0"],
    "cpuset/cpuset.cpus",
    "cpuset.cpus",
    "0",
    "0",
  ],
  [
    "--pids-limit",
    ["--pids-limit", "33"],
    "pids/pids.max",
    "pids.max",
    "33",
    "33",
  ],
  [
    "--memory-swap",
    ["--memory", "64m", "--memory-swap", "96m"],
    "memory/memory.memsw.limit_in_bytes",
    "memory.swap.max",
    "100663296",
    "33554432",
  ],
];

for (const [name, flags, v1, v2, want1, want2] of FILES) {
  testOn(ROOT, `run ${name} is in the container's cgroup`, async () => {
    await using box = makeBox();
    const { stdout, stderr } = await box.run([
      ...flags,
      "--",
      "sh",
      "-c",
      `${READ}; read ${FS}/${v1} ${FS}/${v2}`,
    ]);
    const want = hasNeed("cgroup-v2") ? want2 : want1;
    assertEquals([stdout, stderr], [`${want}\n`, ""]);
  });
}

testOn(ROOT, "run limits nothing that was not asked for", async () => {
  await using box = makeBox();
  const { stdout } = await box.run([
    "--",
    "sh",
    "-c",
    `${READ}; read ${FS}/pids/pids.max ${FS}/pids.max; read ${FS}/cpu/cpu.cfs_quota_us ${FS}/cpu.max`,
  ]);
  // On v2 a controller that no limit asks for is not even there.
  assertMatch(stdout, /^(max\n)?((-1|max 100000)\n)?$/);
  if (!hasNeed("cgroup-v2")) assertEquals(stdout, "max\n-1\n");
});

testOn(ROOT, "run leaves no parent cgroup of its own", async () => {
  await using box = makeBox();
  const { stdout } = await box.run([
    "--pids-limit",
    "9",
    "--",
    "cat",
    "/proc/self/cgroup",
  ]);
  assert(stdout.includes("/"), stdout);
  // The box's disposal looks for cgroups that are left.
});

/** A device of the host that root there may open. */
function findDevice(): [string, number, number] {
  for (const name of ["loop0", "vda", "sda", "nvme0n1", "fuse", "kmsg"]) {
    try {
      Deno.openSync(`/dev/${name}`).close();
    } catch {
      continue;
    }
    const { rdev: number, isBlockDevice } = Deno.statSync(`/dev/${name}`);
    const rdev = number ?? 0;
    const major = (rdev >> 8) & 0xfff;
    return [isBlockDevice ? "b" : "c", major, rdev & 0xff];
  }
  throw new Error("This machine lacks: a device that root may open");
}

for (
  const flags of [[], ["--cap-add", "SYS_ADMIN"], [
    "--security-opt",
    "seccomp=unconfined",
  ]]
) {
  testOn(
    ROOT,
    `a node of the host's disk can be made but not opened${
      flags.length ? `, with ${flags.join(" ")}` : ""
    }`,
    async () => {
      const [type, major, minor] = findDevice();
      await using box = makeBox();
      const { stdout } = await box.run([
        ...flags,
        "--",
        "sh",
        "-c",
        `mknod /tmp/d ${type} ${major} ${minor} && (: </tmp/d) 2>&1 || (: >>/tmp/d) 2>&1`,
      ]);
      assertEquals(
        stdout,
        "sh: can't open /tmp/d: Operation not permitted\n" +
          "sh: can't create /tmp/d: Operation not permitted\n",
      );
    },
  );
}

/** Flags that need a cgroup, and what names them in the error. */
const LIMITS: [string[], string][] = [
  [["--memory", "64m"], "--memory 64m"],
  [["--pids-limit", "20"], "--pids-limit 20"],
  [["--cpus", "0.5"], "--cpus 0.5"],
];

// As root we become a user whom nobody has given a cgroup.
for (const [flags, typed] of LIMITS) {
  testOn(
    [...ROOT, "user", "userns"],
    `run ${typed} is an error where cgroups are not delegated`,
    async () => {
      await using box = makeBox({ user: true });
      const { code, stdout, stderr } = await box.run([
        ...flags,
        "--",
        "echo",
        "never",
      ]);
      assertEquals([code, stdout], [125, ""]);
      assertMatch(
        stderr,
        new RegExp(
          `^rustyrun: Cannot apply "${typed}": the cgroup of this session is not delegated to user \\d+\n  hint: [^\n]+\n$`,
        ),
      );
    },
  );
}
