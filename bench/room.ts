/**
 * The room of the bench: a mount namespace with a /run of its own, so that every
 * file goes with it, one cgroup above all containers, and a way to end and remove
 * whatever runs.
 *
 * @module
 */

import { BuildError, ROOT } from "../scripts/build.ts";
import { listHierarchies } from "../tests/conformance/room.ts";
import { makeRootfs } from "../tests/harness.ts";
import { findProgram, isFile } from "../tests/needs.ts";
import { listDescendants } from "./processes.ts";
import { reap, Starter } from "./starter.ts";

/** What engines and runtimes keep outside of the directories that they can be
 * told. */
export const HIDDEN = ["/run", "/dev/shm", "/var/lib/containers"];
/** Waits for processes and cgroups to go: so often, so many milliseconds. */
const TRIES = 1000, TICK_MS = 10;

/** Name of the cgroup for what lives on. */
const STAYS = "stays";

/** How a container's bundle differs from what `runc spec` writes. */
export interface BundleOptions {
  args?: string[];
  /** With the filter that dockerd writes into a config.json. */
  docker?: boolean;
}

/** Runs a program that must work, uncounted.
 *
 * @returns its standard output */
export function mustRun(argv: readonly string[]): string {
  const [program, ...args] = argv;
  const { success, stdout, stderr } = new Deno.Command(program!, {
    args,
    stdin: "null",
  }).outputSync();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new BuildError(
    `Cannot prepare the bench: "${argv.join(" ")}" failed\n${
      decoder.decode(stderr).trim()
    }`,
  );
}

/** Where the bench works; made in a mount namespace that is nobody else's. */
export class Room implements Disposable {
  /** All of its files. */
  readonly dir = `/run/rustyrun-bench-${Deno.pid}`;
  readonly rootfs: string;
  /** The parent of all cgroups, as a cgroupsPath. */
  readonly cgroup = `/rustyrun-bench-${Deno.pid}`;
  readonly starter: Starter;
  readonly #spec: Record<string, unknown>;
  readonly #filter: unknown;
  #bundles = 0;

  constructor() {
    for (const path of HIDDEN) {
      mustRun(["mkdir", "-p", path]);
      mustRun(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", path]);
    }
    Deno.mkdirSync(this.dir);
    Deno.env.set("TMPDIR", this.dir);
    this.rootfs = makeRootfs();
    const runc = findProgram("runc");
    if (runc === undefined) throw new BuildError("Cannot bench without runc");
    mustRun([runc, "spec", "--bundle", this.dir]);
    this.#spec = JSON.parse(Deno.readTextFileSync(`${this.dir}/config.json`));
    this.#filter = JSON.parse(
      Deno.readTextFileSync(`${ROOT}tests/testdata/config/docker_run.json`),
    ).linux.seccomp;
    this.starter = new Starter([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      `HOME=${this.dir}`,
      // A cache of its own: another version of Deno empties the shared one.
      `DENO_DIR=${this.dir}/deno`,
      `CONTAINERS_CONF=${this.dir}/containers.conf`,
    ], `${this.dir}/errors`);
    this.#makeCgroups();
  }

  /** Makes a directory of that name.
   *
   * @returns its path */
  makeDir(name: string): string {
    const path = `${this.dir}/${name}`;
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** Makes a bundle: what `runc spec` writes, without a terminal, and a cgroup of
   * its own; without cgroupsPath runc and crun nest under the caller's on v1.
   *
   * @returns its directory */
  makeBundle(options: BundleOptions = {}): string {
    const name = `b${this.#bundles++}`;
    const dir = this.makeDir(`bundles/${name}`);
    // deno-lint-ignore no-explicit-any -- it is runc's own
    const spec: any = structuredClone(this.#spec);
    spec.root = { path: this.rootfs, readonly: true };
    spec.process.args = options.args ?? ["/bin/true"];
    spec.process.terminal = false;
    spec.linux.cgroupsPath = `${this.cgroup}/${name}`;
    if (options.docker) spec.linux.seccomp = this.#filter;
    Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(spec));
    return dir;
  }

  /** Ends everything that was started but `kept`, reaps it, and removes its
   * cgroups.
   *
   * @throws {BuildError} when something stays */
  sweep(kept: readonly number[] = []): void {
    this.#end(new Set(kept.flatMap((it) => [it, ...listDescendants(it)])));
    for (const path of this.#listCgroups()) {
      if (!path.includes(`${this.cgroup}/${STAYS}`)) removeCgroup(path);
    }
    Deno.removeSync(this.makeDir("bundles"), { recursive: true });
    this.starter.forget();
  }

  /** Makes the cgroup above all containers, as engines have one: else some make and
   * remove it with each container, and others leave it; and one for what lives on. */
  #makeCgroups(): void {
    for (const { path } of listHierarchies()) {
      for (const name of [this.cgroup, `${this.cgroup}/${STAYS}`]) {
        const dir = path + name;
        Deno.mkdirSync(dir);
        for (const file of ["cpuset.cpus", "cpuset.mems"]) {
          // v1: without them no process may join.
          if (!isFile(`${dir}/tasks`) || !isFile(`${dir}/${file}`)) continue;
          const value = Deno.readTextFileSync(`${path}/${file}`);
          Deno.writeTextFileSync(`${dir}/${file}`, value);
        }
      }
    }
  }

  /** Moves a process into the cgroup of what lives on: its containers are then
   * below the bench's cgroup as well. */
  moveInto(pid: number): void {
    for (const { path } of listHierarchies()) {
      const file = `${path}${this.cgroup}/${STAYS}/cgroup.procs`;
      Deno.writeTextFileSync(file, `${pid}`);
    }
  }

  /** Waits until all have ended but `kept`, and reaps them.
   *
   * @returns their CPU time in milliseconds
   * @throws {BuildError} when one does not end */
  async settle(kept: readonly number[]): Promise<number> {
    const all = new Set(kept.flatMap((it) => [it, ...listDescendants(it)]));
    let cpu = 0;
    for (let i = 0; i < TRIES; i++) {
      cpu += reap();
      const left = listDescendants(Deno.pid).filter((it) => !all.has(it));
      if (left.length === 0) return cpu;
      pause();
      await this.starter.check();
    }
    throw new BuildError("Something goes on after its command");
  }

  /** All are descendants of this process, orphans as well. */
  #end(kept: ReadonlySet<number>): void {
    for (let i = 0; i < TRIES; i++) {
      reap();
      const pids = listDescendants(Deno.pid).filter((it) => !kept.has(it));
      if (pids.length === 0) return;
      for (const pid of pids) kill(pid);
      pause();
    }
    throw new BuildError("Cannot end what the bench has started");
  }

  /** The bench's cgroup in each hierarchy. */
  #listTops(): string[] {
    // podman makes plain directories where it looks for a hierarchy.
    const places = listDirs("/sys/fs/cgroup").map((it) =>
      `/sys/fs/cgroup/${it}`
    );
    const mounts = listHierarchies().map((it) => it.path);
    return [...new Set([...places, ...mounts])].map((it) => it + this.cgroup);
  }

  /** Paths of cgroups below it, innermost first. */
  #listCgroups(): string[] {
    const below = (dir: string): string[] =>
      listDirs(dir).flatMap((it) => [...below(`${dir}/${it}`), `${dir}/${it}`]);
    return this.#listTops().flatMap(below);
  }

  [Symbol.dispose](): void {
    this.sweep();
    const all = [...this.#listCgroups(), ...this.#listTops()];
    for (const path of all) removeCgroup(path);
    this.starter[Symbol.dispose]();
  }
}

/** Names of the directories in one; none where it has gone. */
function listDirs(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter((it) => it.isDirectory)
      .map((it) => it.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MS);
}

/** Removes a cgroup, whose last process may be just about to end. */
function removeCgroup(path: string): void {
  for (let i = 0; i < TRIES; i++) {
    try {
      return Deno.removeSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (i === TRIES - 1) throw error;
      pause();
    }
  }
}
