/** Statistics in runc's shape, from the files of a made-up cgroup. */
import { assertEquals } from "@std/assert";
import type { CgroupDir } from "../../mod/cgroups.ts";
import { parseList, parsePsi } from "../../mod/cgroups/counters.ts";
import {
  formatStats,
  readOomKills,
  readStats,
} from "../../mod/cgroups/stats.ts";

/** Directories with these files, for the time of `fn`. */
function withFiles(
  version: 1 | 2,
  hierarchies: Record<string, Record<string, string>>,
  fn: (dirs: CgroupDir[]) => void,
): void {
  const root = Deno.makeTempDirSync();
  try {
    fn(
      Object.entries(hierarchies).map(([controllers, files]) => {
        const path = `${root}/${controllers}`;
        Deno.mkdirSync(path);
        for (const [name, text] of Object.entries(files)) {
          Deno.writeTextFileSync(`${path}/${name}`, text);
        }
        return {
          path,
          mount: root,
          controllers: controllers.split(","),
          version,
        };
      }),
    );
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

const NO_CPUSET = {
  cpu_exclusive: 0,
  mem_hardwall: 0,
  mem_exclusive: 0,
  memory_migrate: 0,
  memory_spread_page: 0,
  memory_spread_slab: 0,
  memory_pressure: 0,
  sched_load_balance: 0,
  sched_relax_domain_level: 0,
};

Deno.test("readStats() reads v1 in runc's shape", () => {
  withFiles(1, {
    "cpu,cpuacct": {
      "cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 1234567\n",
      "cpuacct.usage": "9007199254740993\n",
      "cpuacct.usage_percpu": "10 20 \n",
      "cpuacct.usage_all": "cpu user system\n0 3 4\n1 5 6\n",
      "cpuacct.stat": "user 2\nsystem 3\n",
    },
    cpuset: {
      "cpuset.cpus": "0-1,3\n",
      "cpuset.mems": "0\n",
      "cpuset.sched_load_balance": "1\n",
      "cpuset.sched_relax_domain_level": "-1\n",
    },
    memory: {
      "memory.stat": "cache 4096\nrss 8192\n",
      "memory.limit_in_bytes": "67108864\n",
      "memory.usage_in_bytes": "12288\n",
      "memory.max_usage_in_bytes": "20480\n",
      "memory.failcnt": "7\n",
      "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    },
    pids: { "pids.current": "3\n", "pids.max": "max\n" },
    blkio: {
      "blkio.throttle.io_service_bytes_recursive":
        "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n",
      "blkio.bfq.io_serviced_recursive": "8:16 Read 1\n",
      "blkio.bfq.time_recursive": "8:16 99\n",
    },
    hugetlb: {
      "hugetlb.2MB.usage_in_bytes": "2097152\n",
      "hugetlb.2MB.max_usage_in_bytes": "4194304\n",
      "hugetlb.2MB.failcnt": "1\n",
      "hugetlb.2MB.rsvd.usage_in_bytes": "2097152\n",
    },
  }, (dirs) => {
    assertEquals(readStats(dirs), {
      cpu: {
        usage: {
          total: 9007199254740993n,
          percpu: [10, 20],
          percpu_kernel: [4, 6],
          percpu_user: [3, 5],
          kernel: 30000000,
          user: 20000000,
        },
        throttling: { periods: 5, throttledPeriods: 2, throttledTime: 1234567 },
      },
      cpuset: {
        cpus: [0, 1, 3],
        mems: [0],
        ...NO_CPUSET,
        sched_load_balance: 1,
        sched_relax_domain_level: -1,
      },
      memory: {
        cache: 4096,
        usage: { limit: 67108864, usage: 12288, max: 20480, failcnt: 7 },
        swap: { limit: 9223372036854771712n, failcnt: 0 },
        kernel: { limit: 0, failcnt: 0 },
        kernelTCP: { limit: 0, failcnt: 0 },
        raw: { cache: 4096, rss: 8192 },
      },
      pids: { current: 3 },
      blkio: {
        ioServiceBytesRecursive: [
          { major: 8, op: "Read", value: 4096 },
          { major: 8, op: "Write" },
          { major: 8, op: "Total", value: 4096 },
        ],
        ioServicedRecursive: [{ major: 8, minor: 16, op: "Read", value: 1 }],
        ioTimeRecursive: [{ major: 8, minor: 16, value: 99 }],
      },
      hugetlb: { "2MB": { usage: 2097152, max: 4194304, failcnt: 1 } },
    });
  });
});

const PRESSURE =
  "some avg10=0.12 avg60=0.00 avg300=0.00 total=55\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n";
const PSI = {
  some: { avg10: 0.12, avg60: 0, avg300: 0, total: 55 },
  full: { avg10: 0, avg60: 0, avg300: 0, total: 4 },
};

Deno.test("readStats() reads v2 in runc's shape", () => {
  withFiles(2, {
    "memory,pids": {
      "cpu.stat":
        "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n",
      "cpu.pressure": PRESSURE,
      "memory.stat": "anon 1\nfile 2\n",
      "memory.current": "100\n",
      "memory.max": "1000\n",
      "memory.peak": "400\n",
      "memory.swap.current": "11\n",
      "memory.swap.max": "500\n",
      "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n",
      "pids.current": "4\n",
      "pids.max": "20\n",
      "io.stat":
        "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 rbytes=5\n",
      "hugetlb.2MB.current": "2097152\n",
      "hugetlb.2MB.events": "max 6\n",
      "hugetlb.2MB.rsvd.current": "0\n",
    },
  }, (dirs) => {
    assertEquals(readStats(dirs), {
      cpu: {
        usage: { total: 30000, kernel: 20000, user: 10000 },
        throttling: { periods: 1, throttledPeriods: 1, throttledTime: 7000 },
        psi: PSI,
      },
      cpuset: NO_CPUSET,
      memory: {
        cache: 2,
        usage: { limit: 1000, usage: 100, max: 400, failcnt: 0 },
        swap: { limit: 1500, usage: 111, failcnt: 0 },
        kernel: { limit: 0, failcnt: 0 },
        kernelTCP: { limit: 0, failcnt: 0 },
        raw: { anon: 1, file: 2 },
      },
      pids: { current: 4, limit: 20 },
      blkio: {
        ioServiceBytesRecursive: [
          { major: 8, op: "Read", value: 1 },
          { major: 8, op: "Write", value: 2 },
          { major: 8, op: "Discard" },
          { major: 7, minor: 1, op: "Read", value: 5 },
        ],
        ioServicedRecursive: [
          { major: 8, op: "Read", value: 3 },
          { major: 8, op: "Write", value: 4 },
          { major: 8, op: "Discard" },
        ],
      },
      hugetlb: { "2MB": { usage: 2097152, failcnt: 6 } },
    });
    assertEquals(readOomKills(dirs), 2);
  });
});

Deno.test("readStats() of nothing is empty, and no error", () => {
  assertEquals(readStats([]).pids, {});
  assertEquals(readOomKills([]), undefined);
});

Deno.test("formatStats() writes 2^64-1 as Go reads it", () => {
  assertEquals(
    formatStats({ limit: 18446744073709551615n, some: [1, "x"] }),
    '{"limit":18446744073709551615,"some":[1,"x"]}',
  );
});

Deno.test("parseList() parses ranges", () => {
  assertEquals(parseList("0-2,7\n"), [0, 1, 2, 7]);
  assertEquals(parseList("\n"), []);
});

Deno.test("parsePsi() parses a pressure file", () => {
  assertEquals(parsePsi(PRESSURE), PSI);
  assertEquals(parsePsi(""), undefined);
});
