/**
 * What a container uses, read from its cgroups: the `data` of a stats event in
 * runc's shape, which containerd and docker parse.
 *
 * @module
 */

import { readDirSync } from "../../ffi/files.ts";
import {
  type Count,
  dropZeros,
  parseCount,
  parseList,
  parsePairs,
  type Psi,
  type Reader,
  readerOf,
  toCount,
  UNLIMITED,
  withPsi,
} from "./counters.ts";
import type { CgroupDir } from "./model.ts";

/** One kind of memory. */
export interface MemoryEntry {
  limit: Count;
  usage?: Count;
  max?: Count;
  failcnt: Count;
}

/** One line of a block I/O counter. */
export interface BlkioEntry {
  major?: number;
  minor?: number;
  op?: string;
  value?: Count;
}

/** `data` of `{"type":"stats"}`, without intel_rdt and network_interfaces. Times
 * are in nanoseconds. Keys whose value is 0 are left out where runc does so. */
export interface Stats {
  cpu: {
    usage: Record<string, Count | Count[]>;
    throttling: Record<string, Count>;
    psi?: Psi;
  };
  cpuset: Record<string, Count | number[]>;
  memory: {
    cache?: Count;
    usage: MemoryEntry;
    swap: MemoryEntry;
    kernel: MemoryEntry;
    kernelTCP: MemoryEntry;
    raw?: Record<string, Count>;
    psi?: Psi;
  };
  pids: { current?: Count; limit?: Count };
  blkio: Record<string, BlkioEntry[] | Psi>;
  hugetlb: Record<string, { usage?: Count; max?: Count; failcnt: Count }>;
}

/** USER_HZ, the unit of cpuacct.stat: 100 on every Linux. */
const TICK_NS = 10_000_000n;

/** Reads what the container uses. What a missing controller would tell is 0. */
export function readStats(dirs: readonly CgroupDir[]): Stats {
  const v2 = readerOf(dirs.find((d) => d.version === 2));
  const find = (name: string) =>
    dirs.find((d) => d.version === 1 && d.controllers.includes(name));
  const pick = (
    name: string,
    v1: (read: Reader) => unknown,
    other: () => unknown,
  ) => {
    const dir = find(name);
    return dir ? v1(readerOf(dir)) : other();
  };
  return {
    cpu: pick(
      "cpu",
      (read) => readCpuV1(read, readerOf(find("cpuacct"))),
      () => readCpuV2(v2),
    ) as Stats["cpu"],
    cpuset: readCpuset(readerOf(find("cpuset"))),
    memory: pick("memory", readMemoryV1, () => readMemoryV2(v2)) as Stats[
      "memory"
    ],
    pids: pick("pids", readPidsUsage, () => readPidsUsage(v2)) as Stats["pids"],
    blkio: pick("blkio", readBlkioV1, () => readIoV2(v2)) as Stats["blkio"],
    hugetlb: readHugetlb(
      find("hugetlb") ?? dirs.find((d) => d.version === 2),
    ),
  };
}

function readCpuV1(cpu: Reader, acct: Reader): Stats["cpu"] {
  const stat = parsePairs(cpu("cpu.stat"));
  const ticks = parsePairs(acct("cpuacct.stat"));
  const all = acct("cpuacct.usage_all").trim().split("\n").slice(1)
    .map((line) => line.split(" ").map(parseCount));
  const counts = (text: string) =>
    text.trim().split(" ").filter((w) => w !== "")
      .map((w) => toCount(parseCount(w)));
  return {
    usage: {
      ...dropZeros<Count | Count[]>({
        total: toCount(parseCount(acct("cpuacct.usage"))),
        percpu: counts(acct("cpuacct.usage_percpu")),
        percpu_kernel: all.map((row) => toCount(row[2] ?? 0n)),
        percpu_user: all.map((row) => toCount(row[1] ?? 0n)),
      }),
      kernel: toCount((ticks.get("system") ?? 0n) * TICK_NS),
      user: toCount((ticks.get("user") ?? 0n) * TICK_NS),
    },
    throttling: dropZeros({
      periods: toCount(stat.get("nr_periods") ?? 0n),
      throttledPeriods: toCount(stat.get("nr_throttled") ?? 0n),
      throttledTime: toCount(stat.get("throttled_time") ?? 0n),
    }),
  };
}

function readCpuV2(read: Reader): Stats["cpu"] {
  const stat = parsePairs(read("cpu.stat"));
  const ns = (key: string) => toCount((stat.get(key) ?? 0n) * 1000n);
  return {
    usage: {
      ...dropZeros({ total: ns("usage_usec") }),
      kernel: ns("system_usec"),
      user: ns("user_usec"),
    },
    throttling: dropZeros({
      periods: toCount(stat.get("nr_periods") ?? 0n),
      throttledPeriods: toCount(stat.get("nr_throttled") ?? 0n),
      throttledTime: ns("throttled_usec"),
    }),
    ...withPsi(read("cpu.pressure")),
  };
}

function readCpuset(read: Reader): Stats["cpuset"] {
  const flag = (name: string) => toCount(parseCount(read(`cpuset.${name}`)));
  return {
    ...dropZeros({
      cpus: parseList(read("cpuset.cpus")),
      mems: parseList(read("cpuset.mems")),
    }),
    cpu_exclusive: flag("cpu_exclusive"),
    mem_hardwall: flag("mem_hardwall"),
    mem_exclusive: flag("mem_exclusive"),
    memory_migrate: flag("memory_migrate"),
    memory_spread_page: flag("memory_spread_page"),
    memory_spread_slab: flag("memory_spread_slab"),
    memory_pressure: flag("memory_pressure"),
    sched_load_balance: flag("sched_load_balance"),
    // -1 is the system's own level, 0 none.
    sched_relax_domain_level:
      read("cpuset.sched_relax_domain_level").trim() === "-1"
        ? -1
        : flag("sched_relax_domain_level"),
  };
}

function toEntry(
  limit: bigint,
  usage: bigint,
  max: bigint,
  failcnt: bigint,
): MemoryEntry {
  return {
    limit: toCount(limit),
    ...dropZeros({ usage: toCount(usage), max: toCount(max) }),
    failcnt: toCount(failcnt),
  };
}

function toRaw(stat: Map<string, bigint>): { raw?: Record<string, Count> } {
  if (stat.size === 0) return {};
  return {
    raw: Object.fromEntries([...stat].map(([k, v]) => [k, toCount(v)])),
  };
}

function readMemoryV1(read: Reader): Stats["memory"] {
  const stat = parsePairs(read("memory.stat"));
  const entry = (name: string) => {
    const count = (file: string) => parseCount(read(`memory.${name}${file}`));
    return toEntry(
      count("limit_in_bytes"),
      count("usage_in_bytes"),
      count("max_usage_in_bytes"),
      count("failcnt"),
    );
  };
  return {
    ...dropZeros({ cache: toCount(stat.get("cache") ?? 0n) }),
    usage: entry(""),
    swap: entry("memsw."),
    kernel: entry("kmem."),
    kernelTCP: entry("kmem.tcp."),
    ...toRaw(stat),
  };
}

function readMemoryV2(read: Reader): Stats["memory"] {
  const stat = parsePairs(read("memory.stat"));
  const usage = parseCount(read("memory.current"));
  const limit = parseCount(read("memory.max"));
  const swapLimit = parseCount(read("memory.swap.max"));
  const none = toEntry(0n, 0n, 0n, 0n);
  return {
    ...dropZeros({ cache: toCount(stat.get("file") ?? 0n) }),
    usage: toEntry(limit, usage, parseCount(read("memory.peak")), 0n),
    // As on v1, where the two are counted together.
    swap: toEntry(
      swapLimit === UNLIMITED || limit === UNLIMITED
        ? UNLIMITED
        : swapLimit + limit,
      usage + parseCount(read("memory.swap.current")),
      0n,
      0n,
    ),
    kernel: none,
    kernelTCP: none,
    ...toRaw(stat),
    ...withPsi(read("memory.pressure")),
  };
}

function readPidsUsage(read: Reader): Stats["pids"] {
  const limit = parseCount(read("pids.max"));
  const current = read("pids.current");
  return dropZeros({
    // Without the controller, processes are counted, not their threads.
    current: current === ""
      ? read("cgroup.procs").split("\n").filter((l) => l !== "").length
      : toCount(parseCount(current)),
    limit: limit === UNLIMITED ? 0 : toCount(limit),
  });
}

const BLKIO: [key: string, bfq: string, throttle: string][] = [
  ["ioServiceBytesRecursive", "io_service_bytes", "io_service_bytes"],
  ["ioServicedRecursive", "io_serviced", "io_serviced"],
  ["ioQueueRecursive", "io_queued", ""],
  ["ioServiceTimeRecursive", "io_service_time", ""],
  ["ioWaitTimeRecursive", "io_wait_time", ""],
  ["ioMergedRecursive", "io_merged", ""],
  ["ioTimeRecursive", "time", ""],
  ["sectorsRecursive", "sectors", ""],
];

function readBlkioV1(read: Reader): Stats["blkio"] {
  const out: Record<string, BlkioEntry[] | undefined> = {};
  for (const [key, bfq, throttle] of BLKIO) {
    const entries = parseBlkio(read(`blkio.bfq.${bfq}_recursive`));
    // Disks without BFQ are counted by the throttler alone.
    out[key] = entries.length > 0 || throttle === ""
      ? entries
      : parseBlkio(read(`blkio.throttle.${throttle}_recursive`));
  }
  return dropZeros(out);
}

function parseBlkio(text: string): BlkioEntry[] {
  const entries: BlkioEntry[] = [];
  for (const line of text.split("\n")) {
    // "8:0 Read 4096", "8:0 4096" (time, sectors), "Total 4096".
    const [device = "", ...words] = line.split(" ");
    const [major, minor] = device.split(":");
    if (minor === undefined) continue;
    const value = parseCount(words.pop());
    entries.push(dropZeros<number | string | Count>({
      major: Number(major),
      minor: Number(minor),
      op: words[0],
      value: toCount(value),
    }));
  }
  return entries;
}

const IO_STAT: Record<string, [key: string, op: string]> = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  dbytes: ["ioServiceBytesRecursive", "Discard"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
  dios: ["ioServicedRecursive", "Discard"],
};

function readIoV2(read: Reader): Stats["blkio"] {
  const out: Record<string, BlkioEntry[]> = {};
  for (const line of read("io.stat").split("\n")) {
    const [device = "", ...fields] = line.split(" ");
    const [major, minor] = device.split(":");
    if (minor === undefined) continue;
    for (const field of fields) {
      const [name = "", value] = field.split("=");
      const row = IO_STAT[name];
      if (row === undefined) continue;
      (out[row[0]] ??= []).push(dropZeros<number | string | Count>({
        major: Number(major),
        minor: Number(minor),
        op: row[1],
        value: toCount(parseCount(value)),
      }));
    }
  }
  return { ...out, ...withPsi(read("io.pressure")) };
}

function readHugetlb(dir: CgroupDir | undefined): Stats["hugetlb"] {
  const out: Stats["hugetlb"] = {};
  if (dir === undefined) return out;
  const read = readerOf(dir);
  const usage = dir.version === 1 ? "usage_in_bytes" : "current";
  let names: string[] = [];
  try {
    names = readDirSync(dir.path).map((e) => e.name).sort();
  } catch {
    // Gone meanwhile: there is nothing in use.
  }
  for (const name of names) {
    const [first, size, last] = name.split(".");
    if (first !== "hugetlb" || last !== usage || size === undefined) continue;
    const count = (file: string) => parseCount(read(`hugetlb.${size}.${file}`));
    out[size] = {
      ...dropZeros({
        usage: toCount(count(usage)),
        ...(dir.version === 1 &&
          { max: toCount(count("max_usage_in_bytes")) }),
      }),
      failcnt: dir.version === 1
        ? toCount(count("failcnt"))
        : toCount(parsePairs(read(`hugetlb.${size}.events`)).get("max") ?? 0n),
    };
  }
  return out;
}

/** JSON of statistics: integers beyond 2^53 exactly, as Go reads them. */
export function formatStats(stats: unknown): string {
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  return JSON.stringify(
    stats,
    (_key, value) =>
      typeof value === "bigint" ? rawJSON(value.toString()) : value,
  );
}

/** How many processes of the container the OOM killer took (v1
 * memory.oom_control since 4.13, v2 memory.events); undefined where it cannot
 * be told. */
export function readOomKills(dirs: readonly CgroupDir[]): number | undefined {
  const v1 = dirs.find((d) =>
    d.version === 1 && d.controllers.includes("memory")
  );
  const text = v1
    ? readerOf(v1)("memory.oom_control")
    : readerOf(dirs.find((d) => d.version === 2))("memory.events");
  const kills = parsePairs(text).get("oom_kill");
  return kills === undefined ? undefined : Number(kills);
}
