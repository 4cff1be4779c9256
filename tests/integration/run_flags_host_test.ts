/**
 * run from flags: the host's devices and files, explanations and results.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type Box, makeBox, runCli, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { plant } from "./attack.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];

const USER: Need[] = ["user", "userns", "helper", "busybox"];

/** The names of network devices. */
function readDevices(text: string): string[] {
  return [...text.matchAll(/^ *(.*?):/gm)].map(([, name]) => name!);
}

testOn(ROOT, "run --network host shows the host's devices", async () => {
  await using box = makeBox();
  const look = () => readDevices(Deno.readTextFileSync("/proc/net/dev"));
  const before = look();
  const got = await box.run([
    "--network",
    "host",
    "--",
    "cat",
    "/proc/net/dev",
  ]);
  const after = look();
  assertEquals([got.code, got.stderr], [0, ""]);
  const seen = readDevices(got.stdout);
  // Others may make and remove devices meanwhile.
  for (const name of before) {
    if (after.includes(name)) assert(seen.includes(name), got.stdout);
  }
  assertEquals(
    seen.filter((name) => !before.includes(name) && !after.includes(name)),
    [],
  );
});

for (const layer of ["--read-only", "--ephemeral"]) {
  testOn(
    ROOT,
    `run --rootfs / ${layer} -v /proc shows the host's`,
    async () => {
      const { code, stdout, stderr } = await runCli([
        ...["run", "--rootfs", "/", layer, "-v", "/proc:/mnt"],
        ...["-v", "/proc/sys/kernel:/tmp/kernel", "--", "sh", "-c"],
        "cat /mnt/1/comm /tmp/kernel/ostype",
      ]);
      const comm = Deno.readTextFileSync("/proc/1/comm");
      assertEquals([code, stdout, stderr], [0, `${comm}Linux\n`, ""]);
    },
  );
}

for (
  const words of [
    [],
    ["--ephemeral"],
    ["--read-only"],
    ["--userns", "0:100000:65536"],
  ]
) {
  testOn(
    ROOT,
    `run ${
      words.join(" ")
    } shows nothing of its own in a volume that holds its root file system`,
    async () => {
      await using box = makeBox();
      if (words[0] === "--userns") plant(box.rootfs, 100000);
      const { code, stdout, stderr } = await box.run([
        ...[...words, "-v", "/:/dev/host:ro", "--", "cat"],
        "/proc/self/mountinfo",
      ]);
      assertEquals([code, stderr], [0, ""]);
      const places = stdout.trim().split("\n").map((it) => it.split(" ")[4]!);
      assert(places.includes("/dev/host"), stdout);
      assertEquals(
        places.filter((it) => it.startsWith(`/dev/host${box.rootfs}`)),
        [],
      );
    },
  );
}

testOn(
  ROOT,
  "run takes a path of the host only where -v shows it",
  async () => {
    await using box = makeBox();
    // A mount made on the host after the start arrives at an rslave volume.
    const src = `${box.rootfs}/src`;
    Deno.mkdirSync(`${src}/sub`, { recursive: true });
    const got = await runToEnd([
      "unshare",
      "-m",
      "sh",
      "-ec",
      `mount --bind ${src} ${src}; mount --make-shared ${src}
     "$@" -v ${src}:/dst:rslave -i -- sh -c 'echo ready; read x; ls /dst/sub' <${box.rootfs}/in >${box.rootfs}/out &
     exec 5>${box.rootfs}/in
     while ! grep -q ready ${box.rootfs}/out; do sleep 0.05; done
     mount -t tmpfs none ${src}/sub; touch ${src}/sub/late
     echo >&5; wait; cat ${box.rootfs}/out`,
      "sh",
      ...(await commandOf(box)),
    ]);
    assertEquals([got.stdout, got.stderr], ["ready\nlate\n", ""]);
  },
);

/** The words that run a container in this box; makes the fifo "in". */
async function commandOf(box: Box): Promise<string[]> {
  const { cliCommand } = await import("../harness.ts");
  await new Deno.Command("mkfifo", { args: [`${box.rootfs}/in`] }).output();
  Deno.writeTextFileSync(`${box.rootfs}/out`, "");
  return [...cliCommand(), "run", "--rootfs", box.rootfs, "--name", box.id];
}

/** A device of the host that root there can open, and no container can. */
function findDevice(): string {
  for (const name of ["loop0", "vda", "sda", "nvme0n1", "fuse", "kmsg"]) {
    try {
      Deno.openSync(`/dev/${name}`).close();
      return `/dev/${name}`;
    } catch {
      // It is not there, or something above us forbids it.
    }
  }
  throw new Error("This machine lacks: a device that root may open");
}

testOn(ROOT, "run --device shows a device, as far as it says", async () => {
  await using box = makeBox();
  const { stdout } = await box.run([
    "--device",
    `${findDevice()}:/dev/mine:r`,
    "--",
    "sh",
    "-c",
    ": </dev/mine && echo read; : >>/dev/mine && echo write",
  ]);
  assertEquals(stdout, "read\n");
});

testOn(ROOT, "run --device shows the devices of a directory", async () => {
  await using box = makeBox();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-devices-" });
  try {
    const node = new Deno.Command("mknod", {
      args: [`${dir}/nought`, "c", "1", "5"],
    });
    assertEquals(node.outputSync().code, 0);
    Deno.writeTextFileSync(`${dir}/words`, "not a device\n");
    Deno.mkdirSync(`${dir}/bus/empty`, { recursive: true });
    Deno.symlinkSync("/dev", `${dir}/link`);
    Deno.renameSync(`${dir}/nought`, `${dir}/bus/nought`);
    const { stdout, stderr } = await box.run([
      "--device",
      `${dir}:/dev/mine:r`,
      "--",
      "sh",
      "-c",
      "cd /dev/mine; find . -type c; head -c 3 bus/nought | wc -c",
    ]);
    assertEquals([stdout, stderr], ["./bus/nought\n3\n", ""]);
    const none = await box.run(["--device", `${dir}/bus/empty`]);
    assertEquals([none.code, none.stderr], [
      125,
      `rustyrun: Cannot pass the devices in "${dir}/bus/empty": there is none in it\n` +
      `  hint: Use --volume ${dir}/bus/empty for a directory\n`,
    ]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

testOn(["helper"], "run -it --explain needs no terminal", async () => {
  const { code, stdout, stderr } = await runCli([
    "run",
    "--rootfs",
    "/",
    "--ephemeral",
    "-it",
    "--explain",
  ]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /terminal/);
});

testOn(
  ROOT,
  "run says who must own what a user namespace mounts on",
  async () => {
    await using box = makeBox();
    const { code, stderr } = await box.run(["--userns", "0:100000:65536"]);
    assertEquals(code, 125);
    assertEquals(
      stderr,
      'rustyrun: Cannot use "/etc/hosts" as a mount point: openat2: EACCES (permission denied)\n' +
        "  hint: It is missing, and what it belongs in is not of an id that the user namespace maps: make it first, or chown the root file system\n",
    );
  },
);

testOn(ROOT, "run --pid-file names the first process", async () => {
  await using box = makeBox();
  const running = box.start([
    "--pid-file",
    `${box.rootfs}/pid`,
    "-i",
    "--",
    "sh",
    "-c",
    "echo ready; read line",
  ], { stdin: "" });
  await running.waitFor("ready");
  const pid = Deno.readTextFileSync(`${box.rootfs}/pid`);
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  await running.closeStdin();
  assertMatch(status, /^NSpid:\t\d+\t1$/m);
  assertEquals((await running.done).code, 1);
});

for (const user of [false, true]) {
  const who = user ? "a user" : "root";
  testOn(
    user ? USER : ROOT,
    `run --explain makes nothing and prints every step, as ${who}`,
    async () => {
      await using box = makeBox({ user });
      const { code, stdout, stderr } = await box.run([
        "--explain",
        "--hostname",
        "box",
        "--",
        "sh",
        "-c",
        "echo never",
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(
        stdout,
        'sethostname("box")\n      set the host name  [--hostname box]\n',
      );
      assert(!stdout.includes("\nnever\n"));
      for (
        const word of [
          'fsopen("proc"',
          'pivot_root(".", ".")',
          "allow only the listed system calls",
          "have the given capabilities and no more",
          'execve("sh" "-c" "echo never")',
        ]
      ) assertStringIncludes(stdout, word);
    },
  );
  testOn(
    user ? USER : ROOT,
    `run --explain --json is one object with operations in order, as ${who}`,
    async () => {
      await using box = makeBox({ user });
      const { code, stdout, stderr } = await box.run(["--explain", "--json"]);
      assertEquals([code, stderr], [0, ""]);
      const lines: Record<string, string>[] = JSON.parse(stdout);
      const steps = ["fork", "pivot", "credentials", "seccomp", "exec"];
      assertEquals(
        [...new Set(lines.map((it) => it["step"]))].filter((it) =>
          steps.includes(it!)
        ),
        steps,
      );
      const last = lines.at(-1);
      assertEquals(last, {
        step: "exec",
        action: 'execve("/bin/sh")',
        why: "run the command",
        from: "process.args",
      });
    },
  );
}

testOn(ROOT, "run --json gives the result as one object", async () => {
  await using box = makeBox();
  const { code, stdout, stderr } = await box.run([
    "--json",
    "--",
    "sh",
    "-c",
    "echo out; exit 3",
  ]);
  assertEquals([code, stdout], [3, "out\n"]);
  assertEquals(JSON.parse(stderr), {
    id: box.id,
    exitCode: 3,
    signal: null,
    oom: false,
  });
});

testOn(ROOT, "run --json names the signal", async () => {
  await using box = makeBox();
  const { code, stderr } = await box.run([
    "--json",
    "--init",
    "--",
    "sh",
    "-c",
    "kill -9 $$",
  ]);
  assertEquals(code, 137);
  assertEquals(JSON.parse(stderr).exitCode, 137);
});

testOn(ROOT, "run --json gives an error as one object", async () => {
  await using box = makeBox();
  const { code, stdout, stderr } = await box.run(["--json", "--", "none"]);
  assertEquals([code, stdout], [127, ""]);
  assertEquals(JSON.parse(stderr), {
    error:
      'Cannot run the command: exec: "none": executable file not found in $PATH',
    code: "command-not-found",
    hint:
      "Searched in PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin inside the root file system",
    exitCode: 127,
  });
});

testOn(ROOT, "run --name refuses a name that is in use", async () => {
  await using box = makeBox();
  const running = box.start(["-i", "--", "sh", "-c", "echo ready; read line"], {
    stdin: "",
  });
  await running.waitFor("ready");
  const { code, stdout, stderr } = await box.run(["--", "true"]);
  await running.closeStdin();
  await running.done;
  assertEquals([code, stdout], [125, ""]);
  assertEquals(
    stderr,
    `rustyrun: Cannot create "${box.id}": container with given ID already exists\n` +
      "  hint: Choose another id, or remove it first: rustyrun delete " +
      `${box.id}\n`,
  );
});
