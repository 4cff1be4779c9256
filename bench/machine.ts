/**
 * The machine that is measured: what it is, which versions it has, and whether it
 * has other work at the moment.
 *
 * @module
 */

import { readCaller } from "../mod/caller.ts";
import { cgroupLayout, gatherFacts } from "../mod/host.ts";
import { ROOT } from "../scripts/build.ts";
import { findProgram, probe } from "../tests/needs.ts";
import { listDescendants, ticksOf } from "./processes.ts";

/** Above this share of the machine's CPU time, what others have used or the
 * hypervisor has kept makes figures doubtful. */
const BUSY = 0.1;

/** kthreadd, whose children the kernel's threads are. */
const KTHREADD = 2;

/** What is measured, and with what. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryMiB: number;
  kernel: string;
  cgroups: string;
  /** Program -> version. */
  versions: Record<string, string>;
}

function firstMatch(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? "unknown";
}

function versionOf(name: string): [string, string][] {
  const path = findProgram(name);
  if (path === undefined) return [];
  const text = probe(path, "--version").stdout;
  return [[name, firstMatch(text, /(\d+\.\d[\w.+-]*)/)]];
}

/** Reads what the machine is. */
export function readMachine(): Machine {
  const commit = probe("git", "-C", ROOT, "rev-parse", "--short", "HEAD");
  const changed = probe("git", "-C", ROOT, "status", "--porcelain", "-uno");
  const own = commit.code === 0
    ? `${commit.stdout.trim()}${changed.stdout === "" ? "" : " and changes"}`
    : "unknown";
  const memory = Deno.readTextFileSync("/proc/meminfo");
  return {
    cpu: firstMatch(
      Deno.readTextFileSync("/proc/cpuinfo"),
      /^(?:model name|Model)\s*:\s*(.+)$/m,
    ),
    cores: navigator.hardwareConcurrency,
    memoryMiB: Math.round(
      Number(firstMatch(memory, /^MemTotal:\s*(\d+)/m)) / 1024,
    ),
    kernel: Deno.osRelease(),
    cgroups: cgroupLayout(gatherFacts(readCaller())),
    versions: {
      rustyrun: own,
      deno: Deno.version.deno,
      ...Object.fromEntries(
        ["runc", "crun", "bwrap", "podman"].flatMap(versionOf),
      ),
    },
  };
}

/** How busy the machine was. */
export interface Load {
  /** Load of the last minute, proc_loadavg(5). */
  before: number;
  after: number;
  /** Shares of the machine's CPU time: of others' processes, and kept by the
   * hypervisor. */
  others: number;
  steal: number;
  busy: boolean;
}

/** CPU time of the whole machine in milliseconds, proc_stat(5); busy: with tasks,
 * since interrupts are of nobody. */
function readTimes(): { busy: number; steal: number; all: number } {
  const line = Deno.readTextFileSync("/proc/stat").split("\n")[0]!;
  const [
    user = 0,
    nice = 0,
    system = 0,
    idle = 0,
    io = 0,
    irq = 0,
    soft = 0,
    steal = 0,
  ] = line.split(/\s+/).slice(1).map((it) => Number(it) * 10);
  const busy = user + nice + system;
  return { busy, steal, all: busy + irq + soft + idle + io + steal };
}

/** CPU time of this process and of all children that it has reaped, in
 * milliseconds, and that of the kernel's threads, which clean up after them. */
function readOwn(): number {
  return [Deno.pid, ...listDescendants(KTHREADD)]
    .reduce((sum, pid) => sum + ticksOf(pid, 11, 15), 0);
}

/**
 * Watches the machine.
 *
 * @param servants CPU time in milliseconds of what works for the bench and lives
 * on
 * @returns says how busy it was since then
 */
export function watchLoad(servants: () => number): () => Load {
  const [before = 0] = Deno.loadavg();
  const times = readTimes();
  const own = readOwn() + servants();
  return () => {
    const now = readTimes();
    const all = Math.max(1, now.all - times.all);
    const others = (now.busy - times.busy - (readOwn() + servants() - own)) /
      all;
    const steal = (now.steal - times.steal) / all;
    const [after = 0] = Deno.loadavg();
    return {
      before,
      after,
      others: Math.max(0, others),
      steal,
      busy: others > BUSY || steal > BUSY,
    };
  };
}
