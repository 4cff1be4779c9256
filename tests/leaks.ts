/**
 * What a test leaves behind: processes, by a mark that each of them carries, mounts,
 * cgroups and files.
 *
 * @module
 */

import { findChanged, readHost } from "./host_facts.ts";

/** Time limits are multiplied by this (an emulated machine is 50 times slower). */
export const SLOW = Number(Deno.env.get("RUSTYRUN_SLOW") ?? 1);

/** Every process that a test starts, and every descendant, carries this
 * oom_score_adj: it is inherited over fork, exec and setsid, and nothing else
 * tells a reparented orphan of ours from the rest of the machine. */
export const MARK = claimMark();

/** Takes a mark that nobody has: no process (desktops mark theirs as well), and
 * by the lock of a file no other test file that runs at the same time. It is
 * more than what we carry ourselves: without rights nobody can have less. */
function claimMark(): number {
  const own = Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
  const least = Math.max(100, own + 1);
  // What a test starts, such as the bench, needs one above ours.
  const count = Math.floor((1000 - least) * 0.9);
  const first = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const dir = Deno.env.get("TMPDIR") ?? "/tmp";
  for (let i = 0; i < count; i++) {
    const mark = least + (first + i) % count;
    if (listProcesses(mark).length > 0) continue;
    const path = `${dir}/rustyrun-test-mark-${Deno.uid()}-${mark}`;
    const file = Deno.openSync(path, { create: true, write: true });
    if (file.tryLockSync(true) && isSameFile(file, path)) {
      addEventListener("unload", () => {
        Deno.removeSync(path);
        file.close();
      });
      return mark;
    }
    file.close();
  }
  throw new Error("Cannot mark processes: other tests have every mark");
}

/** Whether the file still has that name: who had it may have removed it. */
function isSameFile(file: Deno.FsFile, path: string): boolean {
  try {
    return file.statSync().ino === Deno.statSync(path).ino;
  } catch {
    return false;
  }
}

/** What a machine has that a container may leave behind. */
export interface Snapshot {
  mounts: Set<string>;
  cgroups: Set<string>;
  files: Set<string>;
  /** What of the host no container may change. */
  host: ReadonlyMap<string, string>;
}

function listNames(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((entry) => `${dir}/${entry.name}`);
  } catch {
    return [];
  }
}

function listCgroups(dir = "/sys/fs/cgroup", found: string[] = []): string[] {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(dir)];
  } catch {
    return found;
  }
  for (const entry of entries) {
    if (!entry.isDirectory) continue;
    found.push(`${dir}/${entry.name}`);
    listCgroups(`${dir}/${entry.name}`, found);
  }
  return found;
}

/** Takes down what is there before a container is. */
export function takeSnapshot(): Snapshot {
  return {
    mounts: new Set(
      Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
        .map((line) => line.split(" ").slice(3, 5).join(" on ")),
    ),
    cgroups: new Set(listCgroups()),
    files: new Set(
      ["/run", "/run/rustyrun", "/tmp", "/dev/shm", "/var/tmp"].flatMap(
        listNames,
      ),
    ),
    host: readHost(),
  };
}

/** Whether a process waits for nothing but the reaping of zombies: pid 1 of a
 * pid namespace, with its memory, files and namespaces given up. */
function hasEnded(pid: string, stat: string): boolean {
  // PF_EXITING in field 9 of proc_pid_stat(5), counted behind the name.
  if ((Number(stat.split(" ")[7]) & 4) === 0) return false;
  try {
    Deno.readLinkSync(`/proc/${pid}/ns/mnt`);
    return false;
  } catch {
    return true;
  }
}

/** The marked processes: "pid name". A zombie that PID 1 has not reaped does
 * not count, nor what only waits for such. */
export function listProcesses(wanted = MARK): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const mark = Deno.readTextFileSync(`/proc/${name}/oom_score_adj`);
      if (Number(mark) !== wanted) continue;
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const end = stat.lastIndexOf(")");
      const rest = stat.slice(end + 1);
      if (!/^ [ZX]/.test(rest) && !hasEnded(name, rest)) {
        found.push(`process ${name} ${stat.slice(stat.indexOf("("), end + 1)}`);
      }
    } catch {
      // It has just gone.
    }
  }
  return found;
}

export function killMarked(): void {
  for (const line of listProcesses()) {
    try {
      Deno.kill(Number(line.split(" ")[1]), "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
}

/** Seconds until something counts as left behind. What is really left stays for
 * ever; a machine that stands still for a moment is no leak. */
const PATIENCE = 20;

/**
 * Looks for processes, mounts, cgroups and state that are there and were not
 * in `before`, and for what of the host is not as it was; gives it time to go.
 *
 * @param words what marks a path as ours beside "rustyrun": the container's id
 * @returns one clause for each, empty when all is gone
 */
export function findLeaks(
  before: Snapshot,
  ...words: string[]
): Promise<string[]> {
  return findLeaksBeside(() => false, before, ...words);
}

/** The same where something may be left: waits for the rest to go.
 *
 * @param allowed tells of a clause whether it may stay
 * @returns all that is left, what is allowed included */
export async function findLeaksBeside(
  allowed: (clause: string) => boolean,
  before: Snapshot,
  ...words: string[]
): Promise<string[]> {
  const until = performance.now() + 1000 * PATIENCE * SLOW;
  for (;;) {
    const now = takeSnapshot();
    const ours = (path: string) => words.some((word) => path.includes(word));
    const left = [
      ...listProcesses(),
      ...[...now.mounts].filter((m) => !before.mounts.has(m) && ours(m))
        .map((m) => `mount ${m}`),
      ...[...now.cgroups].filter((c) => !before.cgroups.has(c) && ours(c))
        .map((c) => `cgroup ${c}`),
      ...[...now.files].filter((f) =>
        !before.files.has(f) && ours(f) && !words.includes(f)
      ).map((f) => `file ${f}`),
      ...findChanged(before.host, now.host),
    ];
    if (left.every(allowed) || performance.now() > until) return left;
    // Nothing tells of the end of a stranger's child: look again.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
