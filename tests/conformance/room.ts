/**
 * The room that a proof runs in: its cgroups, mounts and work directory, how
 * they are made and how all of them go.
 *
 * @module
 */

import { execute, REPOSITORY } from "./runtimes.ts";

/** The mounted cgroup hierarchies: name, mount point, the caller's own cgroup
 * ("" for the root). */
export function listHierarchies(): {
  name: string;
  path: string;
  own: string;
}[] {
  const own = new Map<string, string>();
  for (const line of Deno.readTextFileSync("/proc/self/cgroup").split("\n")) {
    const [id, names = "", path = ""] = line.split(":");
    for (const name of id === "0" ? ["unified"] : names.split(",")) {
      own.set(name.replace("name=", ""), path === "/" ? "" : path);
    }
  }
  const found: { name: string; path: string; own: string }[] = [];
  for (const line of Deno.readTextFileSync("/proc/self/mounts").split("\n")) {
    const [, path = "", type] = line.split(" ");
    if (type === "cgroup" || type === "cgroup2") {
      const name = path.slice(path.lastIndexOf("/") + 1);
      found.push({ name, path, own: own.get(name) ?? "" });
    }
  }
  return found;
}

/** Removes a cgroup and everything below it from every hierarchy, killing the
 * processes that are still in it. The path must be one that the caller made. */
export function removeCgroup(path: string): void {
  if (!/^\/(testdir|cgrouptest|proof-)/.test(path)) {
    throw new RangeError(`Cannot remove the cgroup "${path}": it is not ours`);
  }
  const walk = (dir: string) => {
    let entries: Deno.DirEntry[];
    try {
      entries = [...Deno.readDirSync(dir)];
    } catch {
      return;
    }
    for (const entry of entries) {
      if (entry.isDirectory) walk(`${dir}/${entry.name}`);
    }
    try {
      const pids = Deno.readTextFileSync(`${dir}/cgroup.procs`);
      for (const pid of pids.split("\n")) {
        if (Number(pid) > 1) Deno.kill(Number(pid), "SIGKILL");
      }
    } catch {
      // The cgroup is gone or its process is: what was wanted.
    }
    for (let i = 0; i < 1500; i++) {
      try {
        Deno.removeSync(dir);
        return;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
    }
  };
  for (const mount of listHierarchies()) {
    walk(mount.path + path);
    // A relative cgroupsPath: runtimes put it below the caller's own cgroup.
    if (mount.own !== "") walk(mount.path + mount.own + path);
  }
}

/** Unmounts what is mounted below a directory: a container without a mount
 * namespace of its own mounts on its caller's.
 * @returns whether nothing is mounted there any more */
async function unmountBelow(dir: string): Promise<boolean> {
  const list = () =>
    Deno.readTextFileSync("/proc/self/mounts").split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .filter((path) => path.startsWith(`${dir}/`)).reverse();
  for (const path of list()) await execute(["umount", "-l", path]);
  return list().length === 0;
}

/** Removes a directory of ours, unless something is still mounted in it: a
 * walk through a mounted /proc or /dev would delete what is not ours. */
export async function removeTree(dir: string): Promise<void> {
  if (await unmountBelow(dir)) await Deno.remove(dir, { recursive: true });
  else console.error(`${dir} stays: something is mounted in it`);
}

/** Waits until no other proof runs on this machine: they share cgroup names
 * and the hugetlb hierarchy. Released when the process ends. */
export async function lockProofs(): Promise<Deno.FsFile> {
  await Deno.mkdir("/run/lock", { recursive: true });
  const file = await Deno.open("/run/lock/rustyrun-proof.lock", {
    create: true,
    write: true,
  });
  await file.lock(true);
  return file;
}

/** Puts a null device of its own over /dev/null: crun gives its standard streams
 * to the container's user (1.8.1: also where they are the host's device, which
 * then has a foreign owner). */
const WITH_OWN_NULL = `set -e
own=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$own"
mknod -m 666 "$own/null" c 1 3
mount --bind "$own/null" /dev/null
umount -l "$own"
rmdir "$own"
set +e
`;

/** Whoever is interrupted cleans up himself, and the room goes after him. */
const WITH_PATIENCE = "trap : INT TERM\n";

/** Mounts a v1 hugetlb hierarchy, runs the rest of the command line, and makes
 * the hierarchy go: it is global to the kernel, outlives an umount while a
 * removed cgroup of it is still being freed, and then the only cure is to
 * mount and unmount it again. */
const WITH_HUGETLB = `dir=/sys/fs/cgroup/hugetlb
mkdir -p $dir
tries=0
until mount -t cgroup -o hugetlb cgroup $dir; do
  # An earlier one may be about to go.
  tries=$((tries + 1))
  [ $tries -lt 30 ] || exit 3
  sleep 1
done
"$@"
code=$?
for try in 1 2 3 4 5 6 7 8 9 10; do
  umount $dir
  sleep 1
  read -r _ id _ <<END
$(grep ^hugetlb /proc/cgroups)
END
  [ "$id" = 0 ] && break
  mount -t cgroup -o hugetlb cgroup $dir || break
done
rmdir $dir 2>/dev/null
exit $code`;

/** Whether crun wants a cgroup v1 hugetlb hierarchy: it refuses a cgroup2 mount
 * that has controllers, and on a hybrid machine hugetlb may be the one
 * controller left in it. */
async function wantsHugetlb(): Promise<boolean> {
  const mounts = await Deno.readTextFile("/proc/self/mounts");
  return mounts.includes(" /sys/fs/cgroup/unified cgroup2 ") &&
    !mounts.includes(" /sys/fs/cgroup/hugetlb ") &&
    /^hugetlb\t/m.test(await Deno.readTextFile("/proc/cgroups"));
}

/**
 * Runs this script again in a mount namespace where the peers can be tried, and
 * change nothing of the host's.
 *
 * @returns the exit code of the second run; undefined in the second run
 * itself
 */
export async function enterRoom(): Promise<number | undefined> {
  if (Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined) return undefined;
  const child = new Deno.Command("unshare", {
    args: [
      "-m",
      "/bin/sh",
      "-c",
      WITH_PATIENCE + WITH_OWN_NULL +
      (await wantsHugetlb() ? WITH_HUGETLB : '"$@"\nexit $?'),
      "sh",
      Deno.execPath(),
      "run",
      "-A",
      `--config=${REPOSITORY}/deno.json`,
      Deno.mainModule,
      ...Deno.args,
    ],
    env: { RUSTYRUN_PROOF_INSIDE: "1" },
  }).spawn();
  // unshare becomes the shell, whose child the second run is.
  const children = `/proc/${child.pid}/task/${child.pid}/children`;
  const passOn = (signal: Deno.Signal) => {
    try {
      const pids = Deno.readTextFileSync(children).split(" ");
      for (const pid of pids) if (pid !== "") Deno.kill(Number(pid), signal);
    } catch (error) {
      // It has just ended.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => passOn(signal));
  }
  return (await child.status).code;
}

/** Makes a work directory that every user can pass through: the root of a
 * container with a user namespace is nobody here. */
export async function makeWorkDir(prefix: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix });
  await Deno.chmod(dir, 0o755);
  return dir;
}
