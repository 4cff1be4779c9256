/**
 * What the helper holds open of the host, at each place where it may stay for
 * long: whoever may trace it (CAP_SYS_PTRACE, in the same pid namespace) takes a
 * descriptor of it through /proc/PID/fd, and a whole procfs among them is the
 * host's core_pattern.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { makeBox } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import {
  type Caller,
  makeCaller,
  makeSpec,
  QUIET,
  readStatus,
  type Spec,
} from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** Everything that makes the plan open something of the host. */
const MUCH: Spec = {
  process: { oomScoreAdj: 500, noNewPrivileges: true },
  root: { path: "rootfs", readonly: true },
  linux: {
    sysctl: { "net.ipv4.ip_forward": "1" },
    maskedPaths: ["/proc/keys", "/proc/scsi"],
    readonlyPaths: ["/proc/sys"],
    seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] },
    devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229 }],
  },
};

const MAP = [{ containerID: 0, hostID: 100000, size: 65536 }];

/** A user namespace, where the host's own procfs is held for writes. */
function mapped(id: string): Spec {
  const spec = makeSpec(id, {
    linux: { ...MUCH["linux"], uidMappings: MAP, gidMappings: MAP },
  });
  spec["linux"].namespaces.push({ type: "user" });
  delete spec["linux"].devices;
  return spec;
}

/** What a process has open; beside its standard streams, unless told. */
function listHeld(pid: number, from = 3): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .filter(({ name }) => Number(name) >= from)
    .map(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`))
    .map((it) => it.replace(/:\[\d+\]$/, ""))
    .sort();
}

/** A hook of the host's side that writes down what the container's first
 * process holds. */
function lookHook(file: string): Spec {
  const line =
    'pid=$(sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); for fd in /proc/$pid/fd/*; do n=${fd##*/}; [ $n -gt 2 ] && readlink $fd; done | sed "s/:.*//" | sort';
  return { path: "/bin/sh", args: ["sh", "-c", `(${line}) >${file}`] };
}

/** A hook in the container that waits for a file. */
function waitHook(go: string, here: string): Spec {
  return {
    path: "/bin/sh",
    args: [
      "sh",
      "-c",
      `: >${here}; while [ ! -e ${go} ]; do sleep 0.05; done`,
    ],
    env: ["PATH=/bin:/usr/bin"],
  };
}

/** Without the directories of a test. */
const shorten = (it: string) => it.replace(/^.*\/(?=rootfs|exec)/, "");

const readLines = (path: string) =>
  Deno.readTextFileSync(path).split("\n").filter((it) => it !== "");

for (
  const [what, over, held] of [
    ["little", () => ({}), ["rootfs", "exec.fifo", "socket"]],
    [
      "much",
      () => MUCH,
      // The root, a procfs for the sysctl, what masks, the procfs that is to be
      // masked (it lies in the root, unmasked still); and the report channel.
      ["/", "/", "/", "rootfs", "rootfs/proc", "exec.fifo", "socket"],
    ],
  ] as [string, () => Spec, string[]][]
) {
  testOn(
    NEEDS,
    `create holds what its next steps need and no more: ${what}`,
    async () => {
      await using caller = makeCaller(over());
      const spec = makeSpec(caller.id, over());
      const [at, go, here] = ["at", "go", "here"].map((it) =>
        `${caller.dir}/${it}`
      ) as [string, string, string];
      spec["mounts"].push({
        destination: caller.dir,
        type: "bind",
        source: caller.dir,
        options: ["rbind", "rw"],
      });
      spec["hooks"] = {
        createRuntime: [lookHook(at)],
        startContainer: [waitHook(go, here)],
      };
      caller.write(spec);
      await checkLife(caller, async (pid) => {
        assertEquals(
          readLines(at).map(shorten),
          held,
          "at the createRuntime hooks",
        );
        const starting = caller.call(["start", caller.id]);
        await waitFor(() => Deno.statSync(here));
        assertEquals(listHeld(pid), [fifo(caller)], "before execve");
        Deno.writeTextFileSync(go, "");
        assertEquals(await starting, QUIET);
      });
    },
  );
}

const fifo = (caller: Caller) => `${caller.root}/${caller.id}/exec.fifo`;

/** Creates; looks at what waits; goes on; looks at what runs. */
async function checkLife(
  caller: Caller,
  goOn: (pid: number) => Promise<void>,
): Promise<void> {
  const { code } = await caller.hold(
    ["create", "--bundle", caller.bundle, caller.id],
  );
  assertEquals(code, 0, JSON.stringify(caller.readLog()));
  const { pid } = await caller.state();
  const held = await waitFor(() => listHeld(pid), (it) => it.length <= 1);
  assertEquals(held, [fifo(caller)], "while it waits for start");
  await goOn(pid);
  await caller.waitForCommand(pid, "sleep");
  assertEquals(listHeld(pid), [], "after execve");
}

testOn(
  NEEDS,
  "run in the foreground leaves the state's directory to the warden",
  async () => {
    await using caller = makeCaller({ process: { args: ["true"] } });
    const spec = makeSpec(caller.id, { process: { args: ["true"] } });
    const at = `${caller.dir}/at`;
    spec["hooks"] = { createRuntime: [lookHook(at)] };
    caller.write(spec);
    assertEquals(
      await caller.call(["run", "--bundle", caller.bundle, caller.id]),
      QUIET,
    );
    assertEquals(readLines(at).map(shorten), ["rootfs", "socket"]);
  },
);

testOn(
  [...NEEDS],
  "create in a user namespace holds nothing of the host's procfs",
  async () => {
    await using caller = makeCaller();
    caller.write(mapped(caller.id));
    for (const dir of ["", "/dev", "/proc", "/run", "/sys", "/etc"]) {
      try {
        Deno.chownSync(`${caller.rootfs}${dir}`, 100000, 100000);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    Deno.chmodSync(caller.dir, 0o755);
    await checkLife(caller, async () => {
      assertEquals(await caller.call(["start", caller.id]), QUIET);
    });
  },
);

testOn(
  // A v2 freezer stops it right behind its fork: that is the next test.
  [...NEEDS, "cgroup-v1"],
  "exec holds none of the namespaces and files that it has been through",
  async () => {
    await using caller = makeCaller({ process: { oomScoreAdj: 500 } });
    const { id } = caller;
    await caller.hold(["create", "--bundle", caller.bundle, id]);
    assertEquals(await caller.call(["start", id]), QUIET);
    const { pid } = await caller.state();
    await caller.waitForCommand(pid, "sleep");
    assertEquals(await caller.call(["pause", id]), QUIET);
    const before = new Set(listNamed("rustyrun-init"));
    const { pid: exec } = await caller.hold(
      ["exec", "--ignore-paused", id, "sleep", "1000"],
      { background: true },
    );
    // Frozen where it joins the cgroup.
    const inside = await waitFor(
      () =>
        listNamed("rustyrun-init").find((it) =>
          !before.has(it) && namespaceOf(it) === namespaceOf(pid)
        ),
    );
    const held = await waitFor(
      () => listHeld(inside!),
      (it) => it.every((of) => of === "socket" || of.startsWith("/sys/fs")),
    );
    assertEquals(
      held.filter((it) => !it.startsWith("/sys/fs/cgroup/")),
      ["socket"],
    );
    assertEquals(await caller.call(["resume", id]), QUIET);
    await caller.waitForCommand(inside!, "sleep");
    assertEquals(listHeld(inside!), []);
    Deno.kill(inside!, "SIGKILL");
    await caller.ask({ do: "reap", pid: exec });
  },
);

for (const terminal of [false, true]) {
  testOn(
    NEEDS,
    `exec ${
      terminal ? "-t " : ""
    }holds nothing right behind its fork that leads to the host`,
    async () => {
      await using caller = makeCaller();
      const { id } = caller;
      const spec = makeSpec(id);
      spec["linux"].namespaces.push({ type: "cgroup" });
      caller.write(spec);
      await caller.hold(["create", "--bundle", caller.bundle, id]);
      assertEquals(await caller.call(["start", id]), QUIET);
      const { pid } = await caller.state();
      await caller.waitForCommand(pid, "sleep");
      const dir = unifiedOf(pid);
      // A v2 freezer stops what is forked into its cgroup before its first step.
      Deno.writeTextFileSync(`${dir}/cgroup.freeze`, "1");
      const before = new Set(readPids(dir));
      const socket = `${caller.dir}/console.sock`;
      if (terminal) await caller.ask({ do: "listen", path: socket });
      const { pid: exec } = await caller.hold(
        [
          "exec",
          ...terminal ? ["-t", "-d", "--console-socket", socket] : [],
          "--ignore-paused",
          id,
          "sleep",
          "1000",
        ],
        // What the caller has left open.
        { background: true, fds: ["/", "/etc/passwd"] },
      );
      const inside = await waitFor(
        () => readPids(dir).find((it) => !before.has(it)),
      );
      const held = Deno.realPathSync(`/proc/${inside}/fd`);
      const link = (fd: number) => Deno.readLinkSync(`${held}/${fd}`);
      const isNull = (fd: number) =>
        identify(`${held}/${fd}`) === identify(`/proc/${pid}/root/dev/null`);
      const leads = [...Deno.readDirSync(held)].map(({ name }) => Number(name))
        .filter((fd) => fd > 2 && leadsOut(`${held}/${fd}`)).map(link);
      // The container's own: the host's could be given another mode.
      const nulls = [0, 1, 2].filter(isNull);
      const same = ["root", "cwd"].map((it) =>
        identify(`/proc/${inside}/${it}/.`) ===
          identify(`/proc/${pid}/root/.`)
      );
      Deno.writeTextFileSync(`${dir}/cgroup.freeze`, "0");
      await caller.waitForCommand(inside!, "sleep");
      Deno.kill(inside!, "SIGKILL");
      await caller.ask({ do: "reap", pid: exec });
      // Nobody of rustyrun's has stayed with it.
      if (terminal) await caller.ask({ do: "reap", pid: inside });
      assertEquals(leads, []);
      assertEquals(same, [true, true]);
      assertEquals(nulls, terminal ? [0, 1, 2] : [0]);
    },
  );
}

/** Whether whoever opens it gets further, or can write there. A namespace is the
 * container's own; the list of a cgroup's tasks takes nobody but who is in the
 * container already. */
function leadsOut(path: string): boolean {
  const { isDirectory, isFile } = Deno.statSync(path);
  if (isFile) return !/\/tasks$|^\w+:\[\d+\]$/.test(Deno.readLinkSync(path));
  if (!isDirectory) return false;
  if (identify(`${path}/..`) !== identify(`${path}/.`)) return true;
  try {
    Deno.mkdirSync(`${path}/made`);
  } catch (error) {
    // EROFS
    return !(error instanceof Error && error.message.includes("os error 30"));
  }
  Deno.removeSync(`${path}/made`);
  return true;
}

function identify(path: string): string {
  const { dev, ino } = Deno.statSync(path);
  return `${dev}:${ino}`;
}

/** The directory of a process in the cgroup2 hierarchy. */
function unifiedOf(pid: number): string {
  const own = Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n")
    .find((it) => it.startsWith("0::"))!.slice(3);
  const mount = Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .find((it) => it.includes(" - cgroup2 "))!.split(" ")[4]!;
  return mount + own;
}

function readPids(dir: string): number[] {
  return readLines(`${dir}/cgroup.procs`).map(Number);
}

function namespaceOf(pid: number): string {
  return Deno.readLinkSync(`/proc/${pid}/ns/pid`);
}

/** Processes by that name. */
function listNamed(name: string): number[] {
  return [...Deno.readDirSync("/proc")].map((it) => Number(it.name))
    .filter((pid) => {
      try {
        return pid > 0 && readStatus(pid, "Name") === name;
      } catch {
        // It has ended.
        return false;
      }
    });
}

testOn(
  ["root", "helper", "busybox"],
  "keeper and warden hold what they clean up by",
  async () => {
    await using box = makeBox();
    const running = box.start(["-i", "--", "sh", "-c", "echo up; read x"], {
      stdin: "",
    });
    await running.waitFor("up");
    const of = (name: string) =>
      listNamed(name).find((it) => isBelow(it, running.pid))!;
    const noCgroups = (it: string) => !it.startsWith("/sys/fs/cgroup");
    // Until the command runs, its report channel as well.
    const keeper = await waitFor(
      () => listHeld(of("rustyrun")).filter(noCgroups),
      (it) => it.length <= 5,
    );
    // No standard stream of the caller's is left in it.
    const warden = listHeld(of("rustyrun-warden"), 0).filter(noCgroups);
    await running.closeStdin();
    await running.done;
    const state = ["/run/rustyrun", `/run/rustyrun/${box.id}`];
    const pidfd = "anon_inode:[pidfd]";
    // That of the first process tells of its end, whoever traces it.
    assertEquals(keeper, [...state, pidfd, "anon_inode:[signalfd]", "socket"]);
    assertEquals(warden, [...state, pidfd, pidfd, "socket", "user"]);
  },
);

/** Whether a process is another one, or descends from it. */
function isBelow(pid: number, above: number): boolean {
  for (let at = pid; at > 1; at = Number(readStatus(at, "PPid"))) {
    if (at === above) return true;
  }
  return false;
}
