/**
 * What /proc tells of processes: their descendants, CPU time and memory.
 *
 * @module
 */

/** The text of a file of /proc; empty when the process has gone. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      // ESRCH: gone between open and read.
      error instanceof Error && "code" in error && error.code === "ESRCH"
    ) return "";
    throw error;
  }
}

function threads(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map((it) => it.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Returns the descendants of a process, outermost first. */
export function listDescendants(pid: number): number[] {
  const children = threads(pid).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).trim().split(" ")
      .filter((it) => it !== "").map(Number)
  );
  return children.flatMap((it) => [it, ...listDescendants(it)]);
}

/** Returns milliseconds of CPU by ticks of 10 ms: the sum of some fields of
 * proc_pid_stat(5), counted from the state, which is 0. utime and stime are 11 and
 * 12, those of reaped children 13 and 14. */
export function ticksOf(pid: number, from: number, to: number): number {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(from, to)
    .reduce((sum, it) => sum + 10 * Number(it), 0);
}

/** CPU time of a process, in milliseconds: of its threads to the nanosecond, of
 * the children that it has reaped in ticks. */
function cpuOf(pid: number, reaped: boolean): number {
  let ms = 0;
  for (const thread of threads(pid)) {
    const text = read(`/proc/${pid}/task/${thread}/schedstat`);
    ms += Number(text.split(" ")[0]) / 1e6;
  }
  return reaped ? ms + ticksOf(pid, 13, 15) : ms;
}

/** Counts the CPU time of a process that lives on, and of its descendants; of one
 * that has ended, as far as it was seen. */
export class CpuMeter {
  readonly pid: number;
  readonly #reaps: boolean;
  readonly #seen = new Map<number, number>();

  /** @param reaps whether its own children are of the work, and not workers whose
   * time was seen while they lived */
  constructor(pid: number, { reaps }: { reaps: boolean }) {
    this.pid = pid;
    this.#reaps = reaps;
  }

  /** Returns milliseconds so far. */
  read(): number {
    for (const pid of [this.pid, ...listDescendants(this.pid)]) {
      const now = cpuOf(pid, this.#reaps || pid !== this.pid);
      this.#seen.set(pid, Math.max(now, this.#seen.get(pid) ?? 0));
    }
    return this.#seen.values().reduce((sum, ms) => sum + ms, 0);
  }
}

/** The name of a process's program, up to 15 bytes. */
export function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

/** Memory in KiB: what is resident, and what of it is the process's alone and in
 * no file. */
export interface Memory {
  resident: number;
  anonymous: number;
}

/** Returns the memory of these processes together. */
export function memoryOf(pids: readonly number[]): Memory {
  const sum = { resident: 0, anonymous: 0 };
  for (const pid of pids) {
    const status = read(`/proc/${pid}/status`);
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0);
    sum.resident += field("VmRSS");
    sum.anonymous += field("RssAnon");
  }
  return sum;
}
