/**
 * A bundle, and a caller that is a subreaper (caller.py): what a test needs to
 * call the runtime as engines do. Every call has an environment of nothing but
 * XDG_RUNTIME_DIR.
 *
 *     await using caller = makeCaller({ process: { args: ["true"] } });
 *     await caller.call("create", "--bundle", caller.bundle, caller.id);
 *
 * @module
 */

import {
  cliCommand,
  findLeaks,
  makeRootfs,
  SLOW,
  takeSnapshot,
} from "../harness.ts";
import { findPython } from "../needs.ts";

/** A config.json, as far as tests look into it. */
// deno-lint-ignore no-explicit-any -- tests write broken ones as well
export type Spec = Record<string, any>;

/** How a call ended. */
export interface Called {
  code: number;
  stdout: string;
  stderr: string;
}

/** What a call may be given beside its words. */
export interface CallOptions {
  stdin?: string;
  /** stdout and stderr in one, as go-runc and CRI-O read them. */
  merged?: boolean;
  env?: Record<string, string>;
  /** Files to be open at 3, 4, ... */
  fds?: string[];
  /** LISTEN_FDS, with the LISTEN_PID of the runtime's process. */
  activate?: number;
  /** Do not wait for the runtime's end. */
  background?: boolean;
  cwd?: string;
}

/** A bundle and its caller. */
export interface Caller extends AsyncDisposable {
  id: string;
  /** The caller's pid: init's parent once the runtime is gone. */
  pid: number;
  dir: string;
  bundle: string;
  rootfs: string;
  /** --root; --log is `log.json` next to it. */
  root: string;
  log: string;
  /** Writes config.json anew. */
  write(spec: Spec): void;
  /** Calls the runtime with `--root R --log F --log-format json` before. */
  call(words: string[], options?: CallOptions): Promise<Called>;
  /** The same, with no flag before the command but --root. */
  callBare(words: string[], options?: CallOptions): Promise<Called>;
  /** The same, with pipes that the container inherits. */
  hold(
    words: string[],
    options?: CallOptions,
  ): Promise<{ code: number; pid: number }>;
  /** What caller.py needs to make calls of its own. */
  line(): Record<string, unknown>;
  /** Asks caller.py. */
  // deno-lint-ignore no-explicit-any -- each request has an answer of its own
  ask(request: Record<string, unknown>): Promise<any>;
  /** The object that `state` prints. */
  state(): Promise<Spec>;
  /** Waits until the container's status is that. */
  waitFor(status: string): Promise<void>;
  /** Waits until a process runs that command: a status of "running" does not
   * say that its execve is over. */
  waitForCommand(pid: number, name: string): Promise<void>;
  /** The lines of the log. */
  readLog(): { level: string; msg: string; time: string }[];
}

/** Lays `over` over `base`, object by object. */
export function merge(base: Spec, over: Spec): Spec {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    const plain = (it: unknown) =>
      typeof it === "object" && it !== null && !Array.isArray(it);
    result[key] = plain(old) && plain(value) ? merge(old, value) : value;
  }
  return result;
}

/** A config.json that every kernel here can run, with `over` laid over it. */
export function makeSpec(id: string, over: Spec = {}): Spec {
  const tmpfs = { type: "tmpfs", source: "tmpfs" };
  return merge({
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: ["sleep", "1000"],
      env: ["PATH=/bin"],
      cwd: "/",
    },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", ...tmpfs, options: ["mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666"],
      },
    ],
    linux: {
      namespaces: ["pid", "mount", "ipc", "uts", "network"].map((type) => ({
        type,
      })),
      cgroupsPath: `/${id}`,
    },
  }, over);
}

/** What is below --root; the cache of compiled filters may stay. */
function listStates(root: string): string[] {
  try {
    return [...Deno.readDirSync(root)].filter((it) => it.name !== ".cache")
      .map((it) => `state ${it.name}`);
  } catch {
    // No call has made it.
    return [];
  }
}

let callers = 0;

/** Makes a bundle with this config.json laid over {@linkcode makeSpec}'s, and
 * its caller; disposal fails when anything is left. */
export function makeCaller(over: Spec = {}): Caller {
  const id = `rrcall-${Deno.pid}-${++callers}`;
  const before = takeSnapshot();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-caller-" });
  const bundle = `${dir}/bundle`;
  const root = `${dir}/root`;
  const log = `${dir}/log.json`;
  Deno.mkdirSync(bundle);
  const made = makeRootfs();
  const rootfs = `${bundle}/rootfs`;
  Deno.renameSync(made, rootfs);
  Deno.mkdirSync(`${rootfs}/run`);
  const write = (spec: Spec) =>
    Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
  write(makeSpec(id, over));

  const env: Record<string, string> = { XDG_RUNTIME_DIR: dir };
  const command = cliCommand();
  // Deno itself finds its packages there; a compiled rustyrun needs nothing.
  if (command.length > 1) {
    env["DENO_DIR"] = Deno.env.get("DENO_DIR") ??
      `${Deno.env.get("HOME")}/.cache/deno`;
  }
  const child = new Deno.Command(findPython(), {
    // Without site-packages it starts in half the time.
    args: ["-IS", `${import.meta.dirname}/caller.py`],
    env: { RUSTYRUN_SLOW: String(SLOW) },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  const ask: Caller["ask"] = async (request) => {
    await writer.write(
      new TextEncoder().encode(JSON.stringify(request) + "\n"),
    );
    while (!rest.includes("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error("The caller has died");
      rest += value;
    }
    const at = rest.indexOf("\n");
    const answer = JSON.parse(rest.slice(0, at));
    rest = rest.slice(at + 1);
    if (answer.failed) {
      throw new Error(`The caller failed: ${answer.failed}`);
    }
    return answer;
  };
  const request = (words: string[], options: CallOptions, logs: boolean) => ({
    argv: [
      ...command,
      "--root",
      root,
      ...logs ? ["--log", log, "--log-format", "json"] : [],
      ...words,
    ],
    ...options,
    env: { ...env, ...options.env },
  });
  const caller: Caller = {
    id,
    pid: child.pid,
    dir,
    bundle,
    rootfs,
    root,
    log,
    write,
    ask,
    call: (words, options = {}) =>
      ask({ do: "call", ...request(words, options, true) }),
    callBare: (words, options = {}) =>
      ask({ do: "call", ...request(words, options, false) }),
    hold: (words, options = {}) =>
      ask({ do: "hold", ...request(words, options, true) }),
    line: () => ({
      argv: [...command, "--root", root],
      env,
      dir,
      bundle,
    }),
    async state() {
      const { code, stdout } = await caller.call(["state", id], {
        merged: true,
      });
      if (code !== 0) throw new Error(`state: ${stdout}`);
      return JSON.parse(stdout);
    },
    async waitFor(status) {
      for (let i = 0; i < 1000 * SLOW; i++) {
        if ((await caller.state())["status"] === status) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`"${id}" does not become ${status}`);
    },
    async waitForCommand(pid, name) {
      for (let i = 0; i < 1000 * SLOW; i++) {
        if (readStatus(pid, "Name") === name) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`${pid} does not become ${name}`);
    },
    readLog: () =>
      Deno.readTextFileSync(log).split("\n").filter((line) => line !== "")
        .map((line) => JSON.parse(line)),
    async [Symbol.asyncDispose]() {
      let left: string[] = [];
      try {
        await caller.callBare(["delete", "--force", id]);
        const { left: processes } = await ask({ do: "descendants" });
        left = [
          ...processes.map((it: string) => `process ${it}`),
          ...listStates(root),
          ...await findLeaks(before, id),
        ];
      } finally {
        await writer.close();
        await lines.cancel();
        await child.status;
        Deno.removeSync(dir, { recursive: true });
      }
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
  return caller;
}

/** A value of /proc/PID/status. */
export function readStatus(pid: number, key: string): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return new RegExp(`^${key}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
}

/** What a call that works prints: nothing. */
export const QUIET: Called = { code: 0, stdout: "", stderr: "" };
