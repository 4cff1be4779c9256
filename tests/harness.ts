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
import { findLeaks, killMarked, MARK, SLOW, takeSnapshot } from "./leaks.ts";

export {
  findLeaks,
  findLeaksBeside,
  SLOW,
  type Snapshot,
  takeSnapshot,
} from "./leaks.ts";
export { cliCommand, ROOT } from "./program.ts";

const decoder = new TextDecoder();

const encoder = new TextEncoder();

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
