/**
 * Waiting for what another process does, as long as a machine that is slow, busy
 * or stands still for seconds may take for it.
 *
 * @module
 */

/** How long something may take that must happen. Who never does it is found
 * out, only later. */
const LIMIT_MS = 30_000 * Number(Deno.env.get("RUSTYRUN_SLOW") ?? 1);

/**
 * Looks until what it sees is wanted.
 *
 * @param look what it throws ("no such file") counts as not yet
 * @param isWanted absent: anything that is true
 * @returns what was seen last, wanted or not: an assertion on it says more than
 * an error of this function could
 * @throws what `look` threw last
 */
export async function waitFor<T>(
  look: () => T | Promise<T>,
  isWanted: (seen: T) => boolean = Boolean,
): Promise<T> {
  const until = performance.now() + LIMIT_MS;
  for (;;) {
    const late = performance.now() > until;
    try {
      const seen = await look();
      if (late || isWanted(seen)) return seen;
    } catch (error) {
      if (late) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The state of a process (R, S, T, Z...: proc_pid_stat(5)); "" when it has
 * gone. */
export function readProcessState(pid: number): string {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "";
  } catch {
    return "";
  }
}

/** The name of a process, proc_pid_comm(5); "" when it has gone. */
export function nameOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
  } catch {
    return "";
  }
}

/** The warden that a keeper has now, if it has one. */
export function findWarden(keeper: number): number | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || nameOf(Number(name)) !== "rustyrun-warden") {
      continue;
    }
    const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
    const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (Number(parent) === keeper) return Number(name);
  }
  return undefined;
}
