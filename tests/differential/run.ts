/**
 * Runs one bundle on one runtime and writes down all that can be seen, from
 * inside and from outside.
 *
 * @module
 */

import {
  listHierarchies,
  removeCgroup,
  removeTree,
} from "../conformance/room.ts";
import { exists, type Runtime } from "../conformance/runtimes.ts";
import { type Case, isObject, type Json, type JsonObject } from "./case.ts";
import {
  callRuntime,
  endHelper,
  hasEnded,
  parseJson,
  readObjects,
  readReport,
  readText,
  SOON,
  startHelper,
  waitFor,
} from "./call.ts";
import { makeBundle, type Place } from "./bundle.ts";

/** What one runtime did with one bundle, before anything is normalised. */
export interface Observation {
  /** "ok", or the step that failed. */
  outcome: string;
  /** The runtime's own words, never compared. */
  words: string;
  /** The payload's report. */
  report?: JsonObject;
  /** What hooks wrote: file -> runs of it. */
  hooks: { [file: string]: JsonObject[] };
  /** `state` after create and after the end. */
  states: { [when: string]: Json };
  /** Files of the container's cgroups. */
  cgroup: { [file: string]: string };
  /** Other facts seen from the host. */
  host: { [name: string]: string };
  /** What stayed after delete. */
  left: string[];
  /** The pid of init as the host sees it. */
  pid: number;
}

/** Files of a cgroup that resources are read back from. */
const CGROUP_FILES = [
  ..."cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.cfs_burst_us cpu.idle"
    .split(" "),
  ..."cpu.rt_runtime_us cpu.rt_period_us cpuset.cpus cpuset.mems".split(" "),
  ..."memory.limit_in_bytes memory.soft_limit_in_bytes".split(" "),
  ..."memory.memsw.limit_in_bytes memory.swappiness".split(" "),
  ..."memory.oom_control memory.use_hierarchy pids.max devices.list".split(" "),
  ..."blkio.throttle.read_bps_device blkio.throttle.write_iops_device".split(
    " ",
  ),
  ..."hugetlb.2MB.limit_in_bytes freezer.state".split(" "),
  ..."memory.max memory.low memory.high memory.swap.max cpu.max cpu.weight"
    .split(" "),
  ..."cpu.max.burst pids.max io.max io.weight hugetlb.2MB.max".split(" "),
];

function readCgroups(place: Place, seen: Observation): void {
  for (const { name, path } of listHierarchies()) {
    const dir = path + place.cgroup;
    const procs = readText(`${dir}/cgroup.procs`);
    seen.cgroup[`${name}:member`] = procs === undefined
      ? "no cgroup"
      : procs.split("\n").includes(String(seen.pid))
      ? "yes"
      : "no";
    for (const file of CGROUP_FILES) {
      const text = readText(`${dir}/${file}`);
      if (text === undefined) continue;
      // The order of device rules on v1 is the order of arrival.
      seen.cgroup[file] = text.trim().split("\n").sort().join("; ");
    }
  }
}

function readHost(place: Place, seen: Observation): void {
  const status = readText(`/proc/${seen.pid}/status`) ?? "";
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  const pidFile = readText(`${place.dir}/pid`);
  seen.host.pidFile = pidFile === String(seen.pid)
    ? "the pid"
    : JSON.stringify(pidFile ?? null);
  const parent = Number(field("PPid"));
  const name = readText(`/proc/${parent}/comm`)?.trim() ?? "";
  seen.host.parent = /runc|crun|deno|rustyrun/.test(name) ? name : "init";
}

async function readState(
  runtime: Runtime,
  place: Place,
  seen: Observation,
  when: string,
): Promise<void> {
  const { code, stdout } = await callRuntime(
    runtime,
    place,
    ["state", place.id],
    `${place.dir}/state`,
  );
  seen.states[when] = code === 0
    ? parseJson(stdout) ?? "not JSON"
    : "state fails";
}

async function runCreate(
  item: Case,
  runtime: Runtime,
  place: Place,
  seen: Observation,
): Promise<void> {
  const console = `${place.dir}/tty.sock`;
  const flags = ["--bundle", place.bundle, "--pid-file", `${place.dir}/pid`];
  let terminal: Deno.ChildProcess | undefined;
  let listener: Deno.ChildProcess | undefined;
  if (item.terminal) {
    flags.push("--console-socket", console);
    terminal = await startHelper(
      place,
      ["recvtty", console],
      `${place.dir}/tty`,
    );
  }
  if (item.listener) {
    listener = await startHelper(
      place,
      ["listener", `${place.out}/seccomp.sock`],
      `${place.dir}/listener`,
    );
  }
  try {
    const created = await callRuntime(
      runtime,
      place,
      ["create", ...flags, ...(item.flags ?? []), place.id],
      `${place.dir}/report`,
    );
    seen.words = created.stderr.trim();
    if (created.code !== 0) {
      seen.outcome = created.code < 0 ? "create hangs" : "create fails";
      if (await exists(`${place.dir}/pid`)) seen.left.push("pid file");
      return;
    }
    await readState(runtime, place, seen, "created");
    const state = seen.states.created;
    seen.pid = isObject(state) ? Number(state.pid) : 0;
    readHost(place, seen);
    readCgroups(place, seen);
    if (item.mode === "invalid") {
      seen.outcome = "create succeeds";
      return;
    }
    const started = await callRuntime(
      runtime,
      place,
      ["start", place.id],
      `${place.dir}/start`,
    );
    seen.words += started.stderr.trim();
    if (started.stdout !== "") seen.host.startPrinted = started.stdout;
    if (started.code !== 0) seen.outcome = "start fails";
    if (!(await waitFor(() => hasEnded(seen.pid), SOON))) {
      seen.outcome += ", never ends";
    }
    await readState(runtime, place, seen, "stopped");
  } finally {
    if (terminal !== undefined) await endHelper(terminal);
    if (listener !== undefined) await endHelper(listener);
  }
  const text = readText(`${place.dir}/${item.terminal ? "tty" : "report"}`);
  const report = readReport(text ?? "");
  if (report !== undefined) seen.report = report;
  else if (seen.outcome === "ok") seen.outcome = "no report";
  if (item.terminal) {
    seen.host.consoleSocket = readText(`${place.dir}/tty.2`)?.trim() ?? "";
  }
  if (item.listener) {
    const message = parseJson(
      (readText(`${place.dir}/listener`) ?? "").replace("listening\n", ""),
    );
    seen.states.listener = message ?? "no message";
    seen.host.listener = readText(`${place.dir}/listener.2`)?.trim() ?? "";
  }
}

async function runForeground(
  item: Case,
  runtime: Runtime,
  place: Place,
  seen: Observation,
): Promise<void> {
  const ran = await callRuntime(
    runtime,
    place,
    ["run", "--bundle", place.bundle, ...(item.flags ?? []), place.id],
    `${place.dir}/report`,
  );
  seen.words = ran.stderr.trim();
  seen.outcome = `exit ${ran.code}`;
  const report = readReport(ran.stdout);
  if (report !== undefined) seen.report = report;
  if (await exists(`${runtime.root}/${place.id}`)) seen.left.push("state");
}

async function runExec(
  item: Case,
  runtime: Runtime,
  place: Place,
  seen: Observation,
): Promise<void> {
  const created = await callRuntime(
    runtime,
    place,
    [
      "run",
      "--detach",
      "--pid-file",
      `${place.dir}/pid`,
      "--bundle",
      place.bundle,
      place.id,
    ],
    `${place.dir}/init`,
  );
  if (created.code !== 0) {
    seen.outcome = "run --detach fails";
    seen.words = created.stderr.trim();
    return;
  }
  seen.pid = Number(readText(`${place.dir}/pid`));
  const words = [...(item.words ?? [])];
  if (item.process !== undefined) {
    await Deno.writeTextFile(
      `${place.dir}/process.json`,
      JSON.stringify(item.process),
    );
    words.push("--process", `${place.dir}/process.json`);
  }
  const args = item.process === undefined ? ["/payload", "report"] : [];
  const ran = await callRuntime(
    runtime,
    place,
    ["exec", ...words, place.id, ...args],
    `${place.dir}/report`,
  );
  seen.words = ran.stderr.trim();
  seen.outcome = `exec exit ${ran.code}`;
  const report = readReport(ran.stdout);
  if (report !== undefined) seen.report = report;
  await callRuntime(
    runtime,
    place,
    ["kill", place.id, "KILL"],
    `${place.dir}/kill`,
  );
  await waitFor(() => hasEnded(seen.pid), SOON);
}

/** Deletes the container; whatever is found afterwards was left behind. */
async function removeContainer(
  runtime: Runtime,
  place: Place,
  seen: Observation,
): Promise<void> {
  if (await exists(`${runtime.root}/${place.id}`)) {
    if (seen.outcome.includes("fails") && seen.outcome.includes("create")) {
      seen.left.push("state after a failed create");
    }
    const force = seen.outcome === "ok" ? [] : ["--force"];
    const deleted = await callRuntime(
      runtime,
      place,
      ["delete", ...force, place.id],
      `${place.dir}/delete`,
    );
    if (deleted.code !== 0) {
      seen.host.delete = "fails";
      seen.words += deleted.stderr.trim();
      await callRuntime(
        runtime,
        place,
        ["delete", "--force", place.id],
        `${place.dir}/delete`,
      );
    }
  }
  if (await exists(`${runtime.root}/${place.id}`)) seen.left.push("state");
  for (const { name, path } of listHierarchies()) {
    if (await exists(path + place.cgroup)) seen.left.push(`cgroup ${name}`);
  }
  if (seen.pid > 0 && !hasEnded(seen.pid)) {
    seen.left.push("process");
    Deno.kill(seen.pid, "SIGKILL");
  }
}

/** What a runtime has left in, or done to, the mount namespace it was called
 * in. */
function readMounts(place: Place, seen: Observation): void {
  const text = readText(`/proc/${place.holder}/mountinfo`) ?? "";
  const left = text.split("\n").map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${place.dir}/`));
  if (left.length > 0) seen.left.push("mounts");
}

/** Runs one bundle on one runtime. `keep` leaves the bundle where it is. */
export async function observeCase(
  item: Case,
  runtime: Runtime,
  work: string,
  payload: string,
  keep: boolean,
): Promise<{ seen: Observation; place: Place }> {
  const dir = `${work}/run`;
  const place = await makeBundle(item, dir, payload);
  const seen: Observation = {
    outcome: "ok",
    words: "",
    hooks: {},
    states: {},
    cgroup: {},
    host: {},
    left: [],
    pid: 0,
  };
  let holder: Deno.ChildProcess | undefined;
  if (item.hold !== undefined) {
    holder = await startHelper(
      place,
      ["hold", String(item.hold)],
      `${dir}/hold`,
    );
    place.holder = holder.pid;
  }
  try {
    await place.writeConfig();
    const mode = {
      create: runCreate,
      invalid: runCreate,
      run: runForeground,
      exec: runExec,
    }[item.mode];
    await mode(item, runtime, place, seen);
  } finally {
    await removeContainer(runtime, place, seen);
    if (place.inside) readMounts(place, seen);
    if (holder !== undefined) await endHelper(holder);
    removeCgroup(place.cgroup);
  }
  for (const from of [place.out, `${place.bundle}/rootfs/tmp`]) {
    for (const entry of Deno.readDirSync(from)) {
      if (!entry.isFile) continue;
      const text = readText(`${from}/${entry.name}`) ?? "";
      const where = from === place.out ? "host" : "inside";
      seen.hooks[`${where}/${entry.name}`] = readObjects(text);
    }
  }
  if (keep) {
    const kept = `${work}/${runtime.name}-${item.name.replace("/", "-")}`;
    await Deno.rename(dir, kept);
    console.error(`kept: ${kept}`);
  } else await removeTree(dir);
  return { seen, place };
}
