/**
 * Programs that use the library: for box_test.ts, which runs this file with a root
 * file system, a name for containers, and the names of cases, and reads what each
 * gives as JSON.
 *
 * @module
 */

import {
  ContainerError,
  Sandbox,
  type SandboxOptions,
  SandboxPool,
  type SpawnOptions,
} from "../../mod/mod.ts";

const [rootfs = "", id = "", ...names] = Deno.args;
let count = 0;

/** What every container here is made of. */
const base = (): SandboxOptions => ({ rootfs, name: `${id}-${++count}` });

const sh = (line: string) => ["sh", "-c", line];

/** What is the same on every machine. */
function brief(
  { code, signal, stdout, stderr, limit, timedOut, truncated }: Awaited<
    ReturnType<Sandbox["output"]>
  >,
) {
  return { code, signal, stdout, stderr, limit, timedOut, truncated };
}

async function codeOf(what: () => PromiseLike<unknown>): Promise<string> {
  try {
    await what();
    return "no error";
  } catch (error) {
    return error instanceof ContainerError ? error.code : String(error);
  }
}

/** Whether a process runs: a zombie does not, proc_pid_stat(5). */
function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function lengthOf(stream: ReadableStream<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of stream) size += chunk.length;
  return size;
}

/** Counts how often the event loop comes round while something is done: not at
 * all, where that blocks it. */
async function turns(what: Promise<unknown>): Promise<number> {
  let done = false;
  let count = 0;
  const end = what.finally(() => done = true);
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve));
    count++;
  }
  await end;
  return count;
}

/** Attaches to a process and waits for nothing more of it. */
const TRACER = `
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, int(sys.argv[1]), None, None):
    raise OSError(ctypes.get_errno(), "PTRACE_ATTACH")
os.waitpid(int(sys.argv[1]), 0x40000000)
print("attached", end="", flush=True)
time.sleep(20)
`;

const CASES: Record<string, () => Promise<unknown>> = {
  async one() {
    return brief(
      await Sandbox.run({
        ...base(),
        command: sh("echo out; echo err >&2; exit 3"),
      }),
    );
  },
  async inputs() {
    const run = (stdin: Parameters<typeof Sandbox.run>[0]["stdin"]) =>
      Sandbox.run({ ...base(), command: ["cat"], stdin: stdin! });
    const bytes = new Uint8Array([0, 255, 10]);
    return [
      (await run({ text: "text" })).stdout,
      [...(await run(bytes)).stdoutBytes],
      (await run(ReadableStream.from([bytes, bytes]))).stdoutBytes.length,
      (await run("null")).stdout,
    ];
  },
  /** An input that never ends, one that fails, and a kill before it runs. */
  async inputEnds() {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array([65, 66])),
      cancel() {
        cancelled = true;
      },
    });
    const head = await Sandbox.run({
      ...base(),
      command: ["head", "-c", "1"],
      stdin: endless,
    });
    const failing = new ReadableStream<Uint8Array>({
      start: (controller) => controller.error(new Error("no more")),
    });
    const failed = await codeOf(() =>
      Sandbox.run({ ...base(), command: ["cat"], stdin: failing })
    );
    const early = Sandbox.run({ ...base(), command: ["sleep", "1000"] });
    early.kill();
    return [head.stdout, cancelled, failed, (await early).signal];
  },
  async piped() {
    const run = Sandbox.run({ ...base(), command: ["cat"], stdin: "piped" });
    const writer = run.stdin.getWriter();
    await writer.write(new TextEncoder().encode("a\nb"));
    const lines = run.stdout.lines();
    const first = await lines.next();
    await writer.write(new TextEncoder().encode("c\r\nd"));
    await writer.close();
    const rest = [];
    for await (const line of lines) rest.push(line);
    const { code, stdout } = await run;
    return [first.value, rest, code, stdout];
  },
  /** More than pipes hold, both ways, with a reader of one alone. */
  async much() {
    const size = 3 << 20;
    const run = Sandbox.run({
      ...base(),
      command: sh("tee /dev/stderr"),
      stdin: new Uint8Array(size),
    });
    const out = await lengthOf(run.stdout);
    const { stderrBytes } = await run;
    return [out === size, stderrBytes.length === size];
  },
  /** Nobody reads: the program waits, and goes on when somebody does. */
  async backpressure() {
    await using box = await Sandbox.create({ ...base(), tmpfs: ["/tmp"] });
    const run = box.spawn(sh("head -c 4000000 /dev/zero; echo >/tmp/done"));
    const reader = run.stdout.getReader();
    const first = (await reader.read()).value!.length;
    const early = (await box.output(["ls", "/tmp/done"])).code;
    reader.releaseLock();
    const rest = await lengthOf(run.stdout);
    await run;
    const late = (await box.output(["ls", "/tmp/done"])).code;
    return [early === 0, first + rest, late];
  },
  async missing() {
    return [
      await codeOf(() => Sandbox.run({ ...base(), command: ["/no/such"] })),
      await codeOf(() =>
        Sandbox.run({ ...base(), rootfs: "/no/such", command: ["sh"] })
      ),
    ];
  },
  /** Errors speak of options. */
  async worded() {
    const hintOf = (options: Partial<SandboxOptions>) =>
      Sandbox.create({ ...base(), ...options }).then(
        (box) => box.close().then(() => "no error"),
        (error) => `${error.message} | ${error.hint}`,
      );
    return [
      await hintOf({ rootfs: "/" }),
      await hintOf({ memorySwap: "1g" }),
    ];
  },
  async timeout() {
    const { code, signal, limit, timedOut } = await Sandbox.run({
      ...base(),
      command: sh("sleep 1000 & sleep 1000"),
      timeout: 300,
    });
    return [code, signal, limit, timedOut];
  },
  async abort() {
    const ended = new AbortController();
    const run = Sandbox.run({
      ...base(),
      command: sh("echo begun; sleep 1000"),
      signal: ended.signal,
    });
    await run.stdout.lines().next();
    ended.abort(new Error("enough"));
    const early = new AbortController();
    early.abort(new Error("too early"));
    return [
      await codeOf(() => run),
      await codeOf(() =>
        Sandbox.run({ ...base(), command: ["sh"], signal: early.signal })
      ),
    ];
  },
  async output() {
    const { stdoutBytes, limit, truncated, signal } = await Sandbox.run({
      ...base(),
      command: ["yes"],
      maxOutput: "4k",
    });
    return [stdoutBytes.length, limit, truncated, signal];
  },
  async flood() {
    const { stdoutBytes, limit } = await Sandbox.run({
      ...base(),
      command: ["yes"],
    });
    return [stdoutBytes.length, limit];
  },
  /** pid 1 drops the signal of the soft limit. */
  async cpu() {
    const loop = sh("while :; do :; done");
    await using box = await Sandbox.create({
      ...base(),
      ulimits: { cpu: "1:5" },
    });
    const runs = await Promise.all([
      Sandbox.run({ ...base(), command: loop, ulimits: { cpu: 1 } }),
      box.output(loop),
    ]);
    return runs.map(({ limit, signal }) => [limit, signal]);
  },
  async memory() {
    const run = await Sandbox.run({
      ...base(),
      command: ["tail", "/dev/zero"],
      memory: "16m",
      memorySwap: "16m",
    });
    return [run.limit, run.signal, run.peakBytes! > 8 << 20];
  },
  async pids() {
    const run = await Sandbox.run({
      ...base(),
      command: sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; exit 1"),
      pids: 5,
    });
    return [run.limit, run.timedOut];
  },
  async counted() {
    const { cpuMs, peakBytes, wallMs } = await Sandbox.run({
      ...base(),
      command: sh("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"),
    });
    return [cpuMs! > 0, peakBytes! > 0, wallMs > 0];
  },
  /** Who traces a process of a sandbox has it to itself, and need not look. */
  async traced() {
    await using box = await Sandbox.create(base());
    const run = box.spawn(["sleep", "1000"]);
    const pid = await run.started;
    const tracer = new Deno.Command("python3", {
      args: ["-c", TRACER, `${pid}`],
      stdout: "piped",
    }).spawn();
    const { value } = await tracer.stdout.getReader().read();
    Deno.kill(pid, "SIGKILL");
    const { signal } = await run;
    const held = isRunning(tracer.pid);
    if (held) tracer.kill();
    await tracer.status;
    return [new TextDecoder().decode(value), signal, held];
  },
  async lasting() {
    await using box = await Sandbox.create({ ...base(), tmpfs: ["/work"] });
    const first = box.output(sh("echo $$ >/work/a; hostname"));
    await first;
    const all = await Promise.all(
      Array.from({ length: 12 }, (_, i) => box.output(["echo", `${i}`])),
    );
    return {
      host: (await first).stdout,
      kept: (await box.output(["cat", "/work/a"])).code,
      all: all.map((it) => it.stdout.trim()).join(" "),
      cwd: (await box.output(["pwd"], { cwd: "/tmp" })).stdout,
      env: (await box.output(sh("echo $A"), { env: { A: "b" } })).stdout,
      pids: (await box.output(sh("set -- /proc/[0-9]*; echo $#"))).stdout,
    };
  },
  async users() {
    await using box = await Sandbox.create(base());
    const user = { user: "app" };
    return [
      (await box.output(["id", "-u"], user)).stdout,
      // Its streams are its own, to be opened by name.
      (await box.output(sh("echo hi >/dev/stdout"), user)).stdout,
    ];
  },
  /** What a command leaves in the background ends with it. */
  async background() {
    await using box = await Sandbox.create(base());
    const { stdout } = await box.output(sh("sleep 1000 & echo $!"));
    const { code } = await box.output(["kill", "-0", stdout.trim()]);
    return code;
  },
  async files() {
    await using box = await Sandbox.create({ ...base(), tmpfs: ["/work"] });
    await box.writeFile("/work/a/b.sh", "echo in $0\n");
    await box.writeFile("/work/a/b.sh", "exit 5\n", { append: true });
    const { code, stdout } = await box.output(["sh", "/work/a/b.sh"]);
    await box.output(
      sh("printf 12345 >/work/five; ln -s /etc/passwd /work/a/l"),
    );
    const host = Deno.makeTempDirSync({ prefix: "rustyrun-test-copy-" });
    try {
      await box.copyOut("/work/a", `${host}/a`);
      await box.copyIn(`${host}/a`, "/work/c");
      const out = Deno.readTextFileSync(`${host}/a/b.sh`);
      await box.remove("/work/a", { recursive: true });
      return {
        code,
        stdout,
        five: await box.readTextFile("/work/five"),
        out,
        list: (await box.list("/work")).map((it) => `${it.name} ${it.kind}`),
        inside: (await box.output(["cat", "/work/c/b.sh"])).stdout === out,
        missing: await codeOf(() => box.readFile("/work/a/b.sh")),
        large: await codeOf(() => box.readFile("/work/five", { max: 4 })),
        device: await codeOf(() => box.writeFile("/dev/null", "x")),
      };
    } finally {
      Deno.removeSync(host, { recursive: true });
    }
  },
  /** Its layer is in a directory: one in memory is in docs/library.md, and needs
   * kernel 6.6 for a user. */
  async changes() {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-layer-" });
    const box = await Sandbox.create({
      ...base(),
      ephemeral: dir,
      tmpfs: ["/work"],
    });
    const none = await box.changes();
    await box.output(
      sh("echo new >/etc/made; echo x >>/etc/passwd; rm /etc/group; mkdir /d"),
    );
    await box.output(["touch", "/work/elsewhere", "/tmp/a"]);
    const list = (await box.changes()).map((it) => `${it.kind} ${it.path}`);
    await box.apply(["/etc/made", "/etc/group"]);
    const refused = await codeOf(() => box.apply(["/etc/hosts"]));
    await box.close();
    // It is empty again.
    Deno.removeSync(dir);
    return [
      none,
      list,
      Deno.readTextFileSync(`${rootfs}/etc/made`),
      [...Deno.readDirSync(`${rootfs}/etc`)].some((it) => it.name === "group"),
      Deno.readTextFileSync(`${rootfs}/etc/passwd`).includes("x\n"),
      refused,
    ];
  },
  async pool() {
    const pool = new SandboxPool({ rootfs, tmpfs: ["/work"] }, 2);
    const told: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      await using box = await pool.take();
      told.push((await box.output(sh("ls /work; touch /work/used"))).stdout);
    }
    // One that somebody has killed is not given out.
    const [box, other] = await Promise.all([pool.take(), pool.take()]);
    Deno.kill(box!.pid, "SIGKILL");
    await box!.exited;
    told.push((await other!.output(["true"])).code);
    await other!.close();
    await pool.close();
    told.push(await codeOf(() => pool.take()));
    const bad = new SandboxPool({ rootfs: "/no/such" }, 1);
    told.push(await codeOf(() => bad.take()));
    await bad.close();
    return told;
  },
  async poolRuns() {
    const stateDir = Deno.makeTempDirSync();
    const pool = new SandboxPool({
      rootfs,
      stateDir,
      tmpfs: ["/work"],
      env: { A: "1", B: "2" },
    }, 2);
    const each: string[] = [];
    for (const word of ["first", "second"]) {
      const { stdout, code, stderr } = await pool.run(
        sh(`ls /work; touch /work/used; echo ${word}; echo e >&2; exit 3`),
      );
      each.push([stdout, code, stderr].map((it) => `${it}`.trim()).join(" "));
    }
    const { stdout: other } = await pool.run(
      sh("echo $(id -u) $(pwd) $A $B"),
      { cwd: "/tmp", env: { A: "9" } },
    );
    const input = await pool.output(["cat"], { stdin: { text: "in" } });
    const more = await Promise.all(
      Array.from({ length: 6 }, (_, at) => pool.output(["echo", `${at}`])),
    );
    const refused = [
      await codeOf(() => pool.run(["no-such-program"])),
      await codeOf(() =>
        Promise.resolve().then(() =>
          pool.run(["true"], { memory: 1 } as SpawnOptions)
        )
      ),
      await codeOf(() => pool.run(["true"], { cwd: "/no/such" })),
    ];
    const late = await pool.run(["sleep", "1000"], { timeout: 100 });
    const killed = pool.run(sh("echo begun; sleep 1000 & wait"));
    await killed.stdout.lines().next();
    killed.kill();
    const controller = new AbortController();
    const aborted = pool.run(sh("echo begun; sleep 1000"), {
      signal: controller.signal,
    });
    await aborted.stdout.lines().next();
    controller.abort(new Error("enough"));
    const ended = [
      late.limit,
      (await killed).signal,
      await codeOf(() => aborted),
    ];
    const going = pool.run(sh("echo begun; sleep 1000"));
    await going.stdout.lines().next();
    await pool.close();
    const closed = [
      (await going).signal,
      await codeOf(() => pool.run(["true"])),
      [...Deno.readDirSync(stateDir)].map((it) => it.name)
        .filter((it) => it !== ".cache"),
    ];
    Deno.removeSync(stateDir, { recursive: true });
    return {
      each,
      other: other.trim(),
      input: input.stdout,
      more: more.map((it) => it.stdout.trim()).join(" "),
      refused,
      ended,
      closed,
    };
  },
  /** How many wait, and what a pool has left. */
  async poolStates() {
    const stateDir = Deno.makeTempDirSync();
    const count = () =>
      [...Deno.readDirSync(stateDir)].filter((it) => it.name !== ".cache")
        .length;
    const held = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const pool = new SandboxPool({ rootfs, stateDir }, 1);
    // Twice: the first ones open what stays open.
    const before = [];
    for (let i = 0; i < 2; i++) {
      await pool.run(["true"]);
      await codeOf(() => pool.run(["no-such-program"]));
      await codeOf(() => pool.run(["true"], { user: "nobody-has-it" }));
      await codeOf(() => pool.run(["true"], { cwd: "/no/such" }));
      await (await pool.take()).close();
      await pool.ready();
      before.push(held());
    }
    const ready = count();
    await pool.close();
    const left = count();
    Deno.removeSync(stateDir, { recursive: true });
    return [ready, left, before[1]! - before[0]!];
  },
  async poolUsers() {
    await using pool = new SandboxPool({ rootfs, user: 1000 }, 1);
    const said: string[] = [];
    for (const user of [undefined, 1001, "root"]) {
      const options = user === undefined ? {} : { user };
      const { stdout } = await pool.output(sh("echo $(id -u) $HOME"), options);
      said.push(stdout.trim());
    }
    return said;
  },
  /** The limits are the container's, and so the run's. */
  async poolLimits() {
    await using pool = new SandboxPool({
      rootfs,
      memory: "24m",
      memorySwap: "24m",
      pids: 8,
    }, 1);
    const hog = await pool.run(["tail", "/dev/zero"]);
    const bomb = await pool.run(
      sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done; wait; exit 1"),
    );
    return [hog.limit, (hog.peakBytes ?? 0) > 1 << 20, bomb.limit];
  },
  /** What waits: its descriptors, a limit, its filter, and its cgroup. */
  async poolWaits() {
    const stateDir = Deno.makeTempDirSync();
    const pool = new SandboxPool({
      rootfs,
      stateDir,
      ulimits: { nofile: 64 },
    }, 1);
    await pool.ready();
    const [id] = [...Deno.readDirSync(stateDir)].map((it) => it.name)
      .filter((it) => it !== ".cache");
    const { pid } = JSON.parse(
      Deno.readTextFileSync(`${stateDir}/${id}/state.json`),
    );
    const open = [...Deno.readDirSync(`/proc/${pid}/fd`)]
      .map(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`))
      .map((it) => it.replace(/:\[\d+\]$/, ""));
    const limit = /Max open files +(\d+)/.exec(
      Deno.readTextFileSync(`/proc/${pid}/limits`),
    )?.[1];
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const tracer = /TracerPid:\t(\d+)/.exec(status)?.[1];
    const cgroup = Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(id!);
    await pool.close();
    Deno.removeSync(stateDir, { recursive: true });
    return [[...new Set(open)].sort(), limit, tracer, cgroup];
  },
  async killed() {
    await using box = await Sandbox.create(base());
    const run = box.spawn(sh("echo begun; sleep 1000"));
    await run.stdout.lines().next();
    run.kill("TERM");
    const soft = (await run).signal;
    const hard = box.spawn(sh("echo begun; sleep 1000 & wait"));
    await hard.stdout.lines().next();
    hard.kill();
    return [soft, (await hard).signal];
  },
  async limits() {
    await using box = await Sandbox.create({
      ...base(),
      memory: "24m",
      memorySwap: "24m",
      pids: 8,
    });
    const hog = await box.output(["tail", "/dev/zero"]);
    const bomb = await box.output(
      sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; exit 1"),
    );
    const fine = await box.output(["true"]);
    const late = await box.output(["sleep", "1000"], { timeout: 200 });
    return [hog, bomb, fine, late].map((it) => it.limit);
  },
  async paused() {
    await using box = await Sandbox.create(base());
    await box.pause();
    const refused = await box.output(["true"]).then(String, (it) => it);
    await box.resume();
    return [
      refused.code,
      refused.message.replace(box.id, "ID"),
      refused.hint,
      (await box.output(["true"])).code,
    ];
  },
  async stats() {
    await using box = await Sandbox.create({
      ...base(),
      memory: "64m",
      pids: 9,
    });
    const { memoryLimit, pidsLimit, pids, cpuMs } = await box.stats();
    return [memoryLimit, pidsLimit, pids, cpuMs! >= 0];
  },
  async events() {
    const box = await Sandbox.create({
      ...base(),
      memory: "24m",
      memorySwap: "24m",
    });
    const oom = Promise.withResolvers<string>();
    const exit = Promise.withResolvers<string | null>();
    box.addEventListener("oom", (event) => oom.resolve(event.type));
    box.addEventListener("exit", (event) => exit.resolve(event.detail.signal));
    const hog = box.output(["tail", "/dev/zero"]);
    const told = [await oom.promise, (await hog).limit];
    await box.close();
    return [...told, await exit.promise];
  },
  async closed() {
    const box = await Sandbox.create(base());
    const run = box.spawn(sh("echo begun; sleep 1000"));
    await run.stdout.lines().next();
    await box.close();
    await box.close();
    return [
      (await run).signal,
      (await box.exited).signal,
      await codeOf(() => box.output(["true"])),
    ];
  },
  /** Somebody else ends it. */
  async gone() {
    const box = await Sandbox.create(base());
    Deno.kill(box.pid, "SIGKILL");
    // No news of it comes in while this loop turns.
    while (isRunning(box.pid));
    const early = await codeOf(() => box.output(["true"]));
    const { signal } = await box.exited;
    const code = await codeOf(() => box.output(["true"]));
    await box.close();
    return [signal, early, code];
  },
  /** Something has killed its warden: it goes all the same. */
  async wardenless() {
    const box = await Sandbox.create(base());
    const run = box.spawn(sh("echo begun; sleep 1000"));
    await run.stdout.lines().next();
    const wardens = [...Deno.readDirSync("/proc")].filter(({ name }) => {
      if (!/^\d+$/.test(name)) return false;
      try {
        const status = Deno.readTextFileSync(`/proc/${name}/status`);
        return status.startsWith("Name:\trustyrun-warden\n") &&
          status.includes(`\nPPid:\t${Deno.pid}\n`);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    });
    for (const { name } of wardens) Deno.kill(Number(name), "SIGKILL");
    await box.close();
    return [wardens.length, (await run).signal];
  },
  async free() {
    const box = Sandbox.create(base());
    const counts = [await turns(box)];
    counts.push(await turns((await box).output(["true"])));
    counts.push(await turns((await box).close()));
    await using pool = new SandboxPool({ rootfs }, 1);
    counts.push(await turns(pool.ready()));
    counts.push(await turns(pool.output(["true"])));
    return counts.every((it) => it > 0);
  },
  async explained() {
    const steps = await Sandbox.explain({ ...base(), memory: "64m" });
    return steps.some((it) => it.flag?.includes('memory: "64m"'));
  },
  /** 40 at once, in a few threads. */
  async many() {
    const runs = await Promise.all(
      Array.from(
        { length: 40 },
        (_, i) => Sandbox.run({ ...base(), command: ["echo", `${i}`] }),
      ),
    );
    return runs.every((it, i) => it.stdout === `${i}\n` && it.code === 0);
  },
  /** 200 at once, in as many threads as ever. */
  async crowd() {
    const boxes = await Promise.all(
      Array.from({ length: 200 }, () => Sandbox.create(base())),
    );
    const threads = [...Deno.readDirSync("/proc/self/task")].length;
    const said = await Promise.all(
      boxes.map((it, at) => it.output(["echo", `${at}`])),
    );
    await Promise.all(boxes.map((it) => it.close()));
    return [said.every((it, at) => it.stdout === `${at}\n`), threads < 50];
  },
  /** What attack_devices_test.ts finds as its streams. */
  async devices() {
    const said = () => {
      const text = Deno.readTextFileSync(`${rootfs}/said`);
      Deno.removeSync(`${rootfs}/said`);
      return text.trimEnd().split("\n");
    };
    const attack = ["payload", "devices", "/dev/null", "/proc/keys"];
    await Sandbox.run({ ...base(), command: attack });
    const alone = said();
    await using box = await Sandbox.create(base());
    await box.output(attack);
    const inside = said();
    await box.output(["rm", "/dev/null"]);
    await box.spawn(attack);
    const without = said();
    await using pool = new SandboxPool({ rootfs }, 1);
    await pool.output(attack);
    return [alone, inside, without, said()];
  },
  /** Is killed while it has much. */
  async victim() {
    const boxes = await Promise.all(
      Array.from({ length: 3 }, () => Sandbox.create(base())),
    );
    const runs = boxes.map((it) =>
      it.spawn(sh("echo begun; sleep 1000 & wait"))
    );
    for (const run of runs) await run.stdout.lines().next();
    // Killed before there is a warden, it would leave the name of its state, which
    // the next start takes for rubbish.
    await Sandbox.run({ ...base(), command: ["sleep", "1000"] }).started;
    const pool = new SandboxPool({ rootfs }, 2);
    await pool.run(sh("echo begun; sleep 1000")).stdout.lines().next();
    await pool.ready();
    console.log("ready");
    await new Promise((resolve) => setTimeout(resolve, 1e9));
  },
  /** Forgets what it has. */
  async careless() {
    const box = await Sandbox.create(base());
    await new SandboxPool({ rootfs }, 2).run(["true"]);
    return (await box.output(["true"])).code;
  },
};

const results: Record<string, unknown> = {};
for (const name of names) results[name] = await CASES[name]!();
console.log(JSON.stringify(results));
