/**
 * The time before a container's command runs: what somebody else may do to it
 * then, what others see of it, and the words for what fails in it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  cliCommand,
  makeBox,
  runCli,
  type Running,
  start,
} from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { type Caller, makeCaller, type Spec } from "./caller.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];
const CALLER_NEEDS: Need[] = [...NEEDS, "python3"];

function replaceByFile(path: string): void {
  Deno.removeSync(path, { recursive: true });
  Deno.writeTextFileSync(path, "");
}

function replaceByDir(path: string): void {
  Deno.removeSync(path);
  Deno.mkdirSync(path);
}

/** What is wrong with a root file system: flags and words of the command, and
 * the fault. */
const FAULTS: [string, string[], (rootfs: string) => void][] = [
  ["/proc is a file", ["--", "true"], (it) => replaceByFile(`${it}/proc`)],
  ["/dev is a file", ["--", "true"], (it) => replaceByFile(`${it}/dev`)],
  ["/proc is a link", ["--", "true"], (it) => {
    Deno.removeSync(`${it}/proc`);
    Deno.symlinkSync("/etc", `${it}/proc`);
  }],
  ["/etc/hosts is a directory", ["--", "true"], (it) => {
    Deno.writeTextFileSync(`${it}/etc/hosts`, "");
    replaceByDir(`${it}/etc/hosts`);
  }],
  [
    "the working directory is a file",
    ["-w", "/var", "--", "true"],
    (it) => replaceByFile(`${it}/var`),
  ],
  ["an interpreter is missing", ["--", "/program"], (it) => {
    Deno.writeTextFileSync(`${it}/program`, "#!/lib/sh\n");
    Deno.chmodSync(`${it}/program`, 0o755);
  }],
  ["the program is cut off", ["--", "/program"], (it) => {
    Deno.writeTextFileSync(`${it}/program`, "\x7fELF");
    Deno.chmodSync(`${it}/program`, 0o755);
  }],
  [
    "the place of a volume is a file",
    ["-v", "/usr:/var", "--", "true"],
    (it) => replaceByFile(`${it}/var`),
  ],
];

for (const [what, words, damage] of FAULTS) {
  testOn(
    NEEDS,
    `run fails in words, and leaves nothing, where ${what}`,
    async () => {
      await using box = makeBox();
      damage(box.rootfs);
      const { code, stdout, stderr } = await box.run(words);
      assertEquals([code > 124 && code < 128, stdout], [true, ""], stderr);
      assertMatch(stderr, /^rustyrun: Cannot [^\n]+\n {2}hint: [^\n]+\n$/);
      assert(!stderr.includes("bug"), stderr);
    },
  );
}

testOn(NEEDS, "run hands on 5,000 words", async () => {
  await using box = makeBox();
  const words = Array.from({ length: 5000 }, (_, i) => `ä\n ${i + 1}`);
  const script = 'echo $# "${5000}"';
  const end = await box.run(["--", "sh", "-c", script, "sh", ...words]);
  assertEquals([end.code, end.stdout, end.stderr], [0, "5000 ä\n 5000\n", ""]);
});

testOn(
  NEEDS,
  "the keeper shows nobody its caller's words and variables",
  async () => {
    await using box = makeBox();
    const running = box.start(["-i", "--", "sh", "-c", "echo ready; cat"], {
      env: { HIDDEN_WORD: "hidden-value" },
      stdin: "",
    });
    await running.waitFor("ready");
    const read = (name: string) =>
      Deno.readTextFileSync(`/proc/${running.pid}/${name}`);
    assertMatch(read("cmdline"), /^rustyrun-keeper\0keeper\0\d+\0+$/);
    assertEquals(read("environ").replaceAll("\0", ""), "");
    await running.closeStdin();
    assertEquals((await running.done).code, 0);
  },
);

/** Runs the bundle of a caller, as another id if there is one. */
function startBundle(
  { root, bundle, id }: Caller,
  before: readonly string[] = [],
  other = id,
): Running {
  const words = ["--root", root, "run", "--bundle", bundle, other];
  return start([...before, ...cliCommand(), ...words]);
}

/** A container in a cgroup of the caller's id that runs this script. */
const inCgroup = (script: string): Spec => ({
  process: { args: ["sh", "-c", script] },
});

testOn(
  CALLER_NEEDS,
  "of three starts into one cgroup none harms the other",
  async () => {
    await using caller = makeCaller(inCgroup("sleep 0.1; echo ran"));
    for (let round = 0; round < 3; round++) {
      const ends = await Promise.all(
        ["a", "b", "c"].map((it) =>
          startBundle(caller, [], caller.id + it).done
        ),
      );
      for (const { code, stdout, stderr } of ends) {
        if (code === 0) assertEquals([stdout, stderr], ["ran\n", ""]);
        else assertMatch(stderr, /^rustyrun: Cannot [^\n]*cgroup/);
      }
      assert(ends.some((it) => it.code === 0));
    }
  },
);

/** Makes a cgroup of that name in every hierarchy of v1 that takes one. */
function makeCgroups(id: string): string[] {
  return [...Deno.readDirSync("/sys/fs/cgroup")]
    .filter((it) => it.isDirectory)
    .map((it) => `/sys/fs/cgroup/${it.name}/${id}`)
    .filter((it) => {
      try {
        Deno.mkdirSync(it);
        return true;
      } catch {
        return false;
      }
    });
}

testOn(
  [...CALLER_NEEDS, "cgroup-v1"],
  "run takes an empty cgroup, and leaves one with a stranger in it",
  async () => {
    await using caller = makeCaller(inCgroup("echo fine"));
    const dirs = makeCgroups(caller.id);
    assert(dirs.length > 0);
    const sleep = new Deno.Command("sleep", { args: ["1000"] }).spawn();
    try {
      const fine = await startBundle(caller).done;
      assertEquals([fine.code, fine.stdout, fine.stderr], [0, "fine\n", ""]);
      makeCgroups(caller.id);
      for (const dir of dirs.filter((it) => it.includes("/pids/"))) {
        Deno.writeTextFileSync(`${dir}/cgroup.procs`, String(sleep.pid));
      }
      const busy = await startBundle(caller).done;
      assertEquals([busy.code, busy.stdout], [1, ""]);
      assertMatch(busy.stderr, /^rustyrun: Cannot [^\n]*cgroup/);
      // It lives.
      Deno.statSync(`/proc/${sleep.pid}/exe`);
    } finally {
      sleep.kill("SIGKILL");
      await sleep.status;
      for (const dir of dirs) {
        try {
          Deno.removeSync(dir);
        } catch {
          // The container's end has removed it.
        }
      }
    }
  },
);

testOn(
  NEEDS,
  "a root file system that changes between the looks and their use leads nowhere else",
  async () => {
    await using box = makeBox();
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-swap-" });
    const target = `${dir}/outside`;
    Deno.mkdirSync(target);
    const swap = new Deno.Command("bash", {
      args: [
        "-c",
        `cd "$0"; while [ ! -e "$2" ]; do
for it in proc dev etc; do
  mv -T $it $it.old 2>/dev/null && ln -s "$1" $it 2>/dev/null
  rm -f $it 2>/dev/null; mv -T $it.old $it 2>/dev/null
done; sleep 0.002; done`,
        box.rootfs,
        target,
        `${dir}/stop`,
      ],
      stderr: "null",
    }).spawn();
    try {
      for (let i = 0; i < 12; i++) {
        const { code, stdout, stderr } = await box.run(["--", "echo", "ran"]);
        if (code === 0) assertEquals(stdout, "ran\n");
        else assertMatch(stderr, /^rustyrun: Cannot /);
        assert(!/at file:|Uncaught/.test(stderr), stderr);
        assertEquals([...Deno.readDirSync(target)], []);
      }
    } finally {
      // Not by a signal: its mv would go on while all is removed.
      Deno.writeTextFileSync(`${dir}/stop`, "");
      await swap.status;
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

/** Holds a start right before its root file system is the new one, for ten
 * minutes or until it is let go. */
const HELD = ("strace -D -f -o /dev/null -e trace=pivot_root " +
  "-e inject=pivot_root:delay_enter=600000000").split(" ");

/** Ends strace: what it traces and holds goes on. */
function letGo({ pid }: Running): void {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  Deno.kill(Number(/^TracerPid:\t(\d+)/m.exec(status)![1]), "SIGKILL");
}

for (
  const [command, code, message] of [
    ["delete --force", 0, ""],
    ["delete", 1, "missing"],
    ["kill", 1, "missing"],
    ["state", 1, "missing"],
    ["list", 0, ""],
  ] as const
) {
  testOn(
    [...CALLER_NEEDS, "strace"],
    `${command} sees no container before its gate, and does it no harm`,
    async () => {
      await using caller = makeCaller(inCgroup("echo ran"));
      const { id, root } = caller;
      const running = startBundle(caller, HELD);
      // It is before its pivot_root(2), or on the way there.
      await waitFor(
        () => Deno.readTextFileSync(`${root}/${id}/config.json`),
        () => true,
      );
      const end = await runCli([
        "--root",
        root,
        ...command.split(" "),
        ...command === "list" ? [] : [id],
      ]);
      const words = message && `Cannot find "${id}": container does not exist`;
      assertEquals(
        [end.code, end.stderr.split("\n")[0]!.replace(/^rustyrun: /, "")],
        [code, words],
      );
      assert(!end.stdout.includes(id));
      letGo(running);
      const { code: own, stdout, stderr } = await running.done;
      assertEquals([own, stdout, stderr], [0, "ran\n", ""]);
    },
  );
}
