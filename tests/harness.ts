/**
 * What integration tests share: a busybox root file system, the command line
 * under test as root or as an unprivileged user, and the check that nothing
 * is left behind.
 *
 *     await using box = makeBox();
 *     const { code, stdout } = await box.run(["--", "hostname"]);
 *
 * program.ts says what is tested; RUSTYRUN_SLOW multiplies every time limit.
 *
 * @module
 */

import {
  asUser,
  findProgram,
  findStaticBusybox,
  type User,
  USERS,
} from "./needs.ts";
import { cliCommand, findPlaces, otherUser, run } from "./program.ts";

export { cliCommand, ROOT } from "./program.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Time limits are multiplied by this (an emulated machine is 50 times slower). */
export const SLOW = Number(Deno.env.get("RUSTYRUN_SLOW") ?? 1);

/** Every process that a test starts, and every descendant, carries this
 * oom_score_adj: it is inherited over fork, exec and setsid, and nothing else
 * tells a reparented orphan of ours from the rest of the machine. */
const MARK = claimMark();

/** Takes a mark that nobody has: no process (desktops mark theirs as well), and
 * by the lock of a file no other test file that runs at the same time. It is
 * more than what we carry ourselves: without rights nobody can have less. */
function claimMark(): number {
  const own = Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
  const least = Math.max(100, own + 1);
  const first = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const dir = Deno.env.get("TMPDIR") ?? "/tmp";
  for (let i = 0; i < 1000 - least; i++) {
    const mark = least + (first + i) % (1000 - least);
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

/** How a command line is run. */
export interface CliOptions {
  /** Become an unprivileged user: true is the one with a single id. */
  user?: boolean | User;
  /** What the command reads on stdin; absent: /dev/null. */
  stdin?: string;
  /** Added to the environment, which else holds PATH, HOME, TERM and DENO_DIR. */
  env?: Record<string, string>;
  cwd?: string;
  /** Run main.ts, whatever else there is to test. */
  sources?: boolean;
  /** Seconds until SIGKILL; 120 unless told. */
  timeout?: number;
}

/** How a command line ended. */
export interface CliResult {
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** A command line that still runs. */
export interface Running {
  pid: number;
  /** Waits until stdout holds `text`; throws when it ends without. */
  waitFor(text: string): Promise<void>;
  /** Writes to stdin (only with `stdin` given, "" for none at first). */
  write(text: string): Promise<void>;
  closeStdin(): Promise<void>;
  kill(signal: Deno.Signal): void;
  /** The end. */
  done: Promise<CliResult>;
}

/** Starts `argv`, marked for {@linkcode findLeaks}. */
export function start(
  argv: readonly string[],
  options: CliOptions = {},
): Running {
  const env: Record<string, string> = {
    PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
    HOME: Deno.env.get("HOME") ?? "/",
    TERM: "dumb",
    NO_COLOR: "1",
  };
  const cache = Deno.env.get("DENO_DIR");
  if (cache !== undefined) env["DENO_DIR"] = cache;
  let line = [...argv];
  const other = otherUser(options.user);
  if (other) {
    const { home, cache } = findPlaces(other);
    env["HOME"] = home;
    env["DENO_DIR"] = cache;
    line = asUser(line, other);
  }
  const child = new Deno.Command("/bin/sh", {
    args: [
      "-c",
      `echo ${MARK} >/proc/self/oom_score_adj; exec "$@"`,
      "sh",
      ...line,
    ],
    clearEnv: true,
    env: { ...env, ...options.env },
    cwd: options.cwd ?? "/",
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stdout = "";
  let ended = false;
  let wake = Promise.withResolvers<void>();
  const read = async () => {
    const text = new TextDecoder();
    for await (const chunk of child.stdout) {
      stdout += text.decode(chunk, { stream: true });
      wake.resolve();
      wake = Promise.withResolvers();
    }
    ended = true;
    wake.resolve();
  };
  const writer = options.stdin === undefined
    ? undefined
    : child.stdin.getWriter();
  if (options.stdin) {
    writer?.write(encoder.encode(options.stdin)).catch(() => {});
  }
  const limit = (options.timeout ?? 120) * SLOW;
  // All of them: a descendant that holds stdout would keep us reading.
  const timer = setTimeout(killMarked, limit * 1000);
  const done = (async () => {
    const [, stderr, status] = await Promise.all([
      read(),
      new Response(child.stderr).text(),
      child.status,
    ]);
    clearTimeout(timer);
    return { code: status.code, signal: status.signal, stdout, stderr };
  })();
  return {
    pid: child.pid,
    async waitFor(text) {
      while (!stdout.includes(text)) {
        if (ended) {
          throw new Error(
            `The command ended without printing ${JSON.stringify(text)}: ${
              JSON.stringify(await done)
            }`,
          );
        }
        await wake.promise;
      }
    },
    async write(text) {
      await writer?.write(encoder.encode(text));
    },
    async closeStdin() {
      await writer?.close();
    },
    kill: (signal) => child.kill(signal),
    done,
  };
}

/** Runs `argv` to its end, marked for {@linkcode findLeaks}. */
export async function runToEnd(
  argv: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const running = start(argv, options);
  if (options.stdin !== undefined) await running.closeStdin().catch(() => {});
  return await running.done;
}

/** Runs the command line under test with these arguments. */
export function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  return runToEnd([...cliCommand(options), ...args], options);
}

let applets: string[] | undefined;

function listApplets(busybox: string): string[] {
  applets ??= decoder.decode(
    new Deno.Command(busybox, { args: ["--list"] }).outputSync().stdout,
  ).trim().split("\n");
  return applets;
}

/** Makes a busybox root file system in a new temporary directory. */
export function makeRootfs(): string {
  const busybox = findStaticBusybox();
  if (busybox === undefined) throw new Error("This machine lacks: busybox");
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-rootfs-" });
  // Whatever the umask is: an unprivileged test must get in.
  for (
    const dir of [
      "bin",
      "dev",
      "etc",
      "proc",
      "root",
      "sys",
      "tmp",
      "usr",
      "var",
    ]
  ) {
    Deno.mkdirSync(`${root}/${dir}`);
    Deno.chmodSync(`${root}/${dir}`, dir === "tmp" ? 0o1777 : 0o755);
  }
  Deno.chmodSync(root, 0o755);
  Deno.copyFileSync(busybox, `${root}/bin/busybox`);
  Deno.chmodSync(`${root}/bin/busybox`, 0o755);
  for (const name of listApplets(busybox)) {
    // No symbolic links: ext4 takes 40 times as long to make 400 new inodes.
    if (name !== "busybox") {
      Deno.linkSync(`${root}/bin/busybox`, `${root}/bin/${name}`);
    }
  }
  Deno.symlinkSync("../bin", `${root}/usr/bin`);
  Deno.writeTextFileSync(
    `${root}/etc/passwd`,
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n",
  );
  Deno.writeTextFileSync(
    `${root}/etc/group`,
    "root:x:0:\napp:x:1000:\nstaff:x:50:app\n",
  );
  for (const name of ["passwd", "group"]) {
    Deno.chmodSync(`${root}/etc/${name}`, 0o644);
  }
  return root;
}

/** One test's container: a root file system, an id, and the leak check. */
export interface Box extends AsyncDisposable {
  id: string;
  rootfs: string;
  /** `rustyrun run --rootfs ROOTFS --name ID` and these arguments. */
  run(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** The same, without waiting for the end. */
  start(args: readonly string[], options?: CliOptions): Running;
}

let boxes = 0;

/** Makes a box; its disposal removes it and fails when anything is left.
 *
 * @param defaults options of every run in it; with `user` that user owns the
 * root file system */
export function makeBox(defaults: CliOptions = {}): Box {
  const id = `rrtest-${Deno.pid}-${++boxes}`;
  const rootfs = makeRootfs();
  const owner = otherUser(defaults.user);
  if (owner) run("chown", "-R", `${USERS[owner]}:${USERS[owner]}`, rootfs);
  const words = ["run", "--rootfs", rootfs, "--name", id];
  const before = takeSnapshot();
  return {
    id,
    rootfs,
    run: (args, options) =>
      runCli([...words, ...args], { ...defaults, ...options }),
    start: (args, options) =>
      start([...cliCommand({ ...defaults, ...options }), ...words, ...args], {
        ...defaults,
        ...options,
      }),
    async [Symbol.asyncDispose]() {
      const left = await findLeaks(before, id, rootfs);
      // A test that failed half way must not disturb the next one.
      killMarked();
      Deno.removeSync(rootfs, { recursive: true });
      if (left.length) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
}

/** What a machine has that a container may leave behind. */
export interface Snapshot {
  mounts: Set<string>;
  cgroups: Set<string>;
  files: Set<string>;
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
function listProcesses(wanted = MARK): string[] {
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

function killMarked(): void {
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
 * in `before`; gives them time to go.
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
    ];
    if (left.every(allowed) || performance.now() > until) return left;
    // Nothing tells of the end of a stranger's child: look again.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A command line that gives `argv` a terminal by util-linux's `script`. */
export function withTerminal(argv: readonly string[]): string[] {
  const quoted = argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return [
    findProgram("script") ?? "script",
    "-qefc",
    quoted.join(" "),
    "/dev/null",
  ];
}
