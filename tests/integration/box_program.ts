/**
 * Programs that use the library: for box_test.ts, which runs this file with a root
 * file system, a name for containers, and the names of cases, and reads what each
 * gives as JSON.
 *
 * @module
 */

import { Sandbox, SandboxPool } from "../../mod/mod.ts";
import { base, codeOf, isRunning, rootfs, sh, turns } from "./box_base.ts";
import { POOLS } from "./box_pools.ts";
import { RUNS } from "./box_runs.ts";
import { STOPPED } from "./box_stopped.ts";
import { WHOLE } from "./box_whole.ts";

const names = Deno.args.slice(2);

/** Makes children of its parent; clone(2). */
const GIVER = `
import ctypes, os, platform, signal
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
CLONE_PARENT = 0x8000
for child in range(3):
    if ctypes.CDLL(None).syscall(clone, CLONE_PARENT | 17, 0, 0, 0, 0) == 0:
        while child: signal.pause()
        os._exit(3)`;

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
  ...RUNS,
  ...STOPPED,
  ...POOLS,
  ...WHOLE,
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
  /** A command makes children of this program: one that has ended, two that live. */
  async given() {
    const box = await Sandbox.create({
      ...base(),
      rootfs: "/",
      ephemeral: true,
      capAdd: ["SYS_ADMIN"],
    });
    const { code, stderr } = await box.output(["python3", "-c", GIVER]);
    await box.close();
    return [code, stderr];
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
