/**
 * What a command sees and how it ends, in friendly mode: by root and by
 * unprivileged users with one id and with a range of them. tests/integration/
 * smoke_test.ts has the first lines of that.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, type CliOptions, makeBox, start } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";

const BASE: Need[] = ["helper", "busybox"];

/** Who calls, and what the tests of such a caller need. */
const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: [...BASE, "root"] },
  {
    who: "a user with one id",
    options: { user: "single" },
    needs: [...BASE, "user", "userns"],
  },
  {
    who: "a user with subordinate ids",
    options: { user: "subuid" },
    needs: [...BASE, "user", "userns", "subuid"],
  },
];

function exists(path: string): boolean {
  try {
    return Boolean(Deno.lstatSync(path));
  } catch {
    return false;
  }
}

const VARIABLES = [
  "HOME=/root",
  "HOSTNAME=rustyrun-container",
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

/** Name, arguments, exit code, standard output. */
const ROWS: [string, string[], number, string][] = [
  [
    "gives the host name",
    ["--hostname", "my-test-box", "--", "hostname"],
    0,
    "my-test-box\n",
  ],
  [
    "has a host name of its own",
    ["--", "cat", "/etc/hostname", "/proc/sys/kernel/hostname"],
    0,
    "rustyrun-container\nrustyrun-container\n",
  ],
  [
    "shows ps as pid 1 and nothing else",
    ["--", "ps", "-o", "pid,comm"],
    0,
    "PID   COMMAND\n    1 ps\n",
  ],
  [
    "opens nothing beside 0, 1, 2 and what ls opens",
    ["--", "ls", "/proc/1/fd"],
    0,
    "0\n1\n2\n3\n",
  ],
  [
    "leaves pid 1 with three descriptors",
    ["--", "sh", "-c", "ls /proc/1/fd; true"],
    0,
    "0\n1\n2\n",
  ],
  [
    "gives no terminal and an empty standard input",
    ["--", "sh", "-c", "readlink /proc/self/fd/0; cat; tty"],
    1,
    "/dev/null\nnot a tty\n",
  ],
  [
    "drops a signal that pid 1 has no handler for, as the kernel does",
    ["--", "sh", "-c", "kill -TERM $$"],
    0,
    "",
  ],
  [
    "gives 143 for it with --init",
    ["--init", "--", "sh", "-c", "kill -TERM $$"],
    143,
    "",
  ],
  [
    "gives 137 for SIGKILL with --init",
    ["--init", "--", "sh", "-c", "kill -KILL $$"],
    137,
    "",
  ],
  ["hands exit codes on", ["--", "sh", "-c", "exit 255"], 255, ""],
  ["hands exit codes on with --init", ["--init", "--", "false"], 1, ""],
  [
    "reaps orphans with --init, which is pid 1",
    [
      "--init",
      "--",
      "sh",
      "-c",
      "(sleep 0 &); echo $$; while ps -o comm,stat | grep sleep; do :; done >/dev/null",
    ],
    0,
    "2\n",
  ],
  [
    "sets exactly the variables it says",
    ["--", "env"],
    0,
    VARIABLES.map((it) => it + "\n").sort().join(""),
  ],
  [
    "runs /bin/sh without a command",
    ["-i"],
    0,
    "",
  ],
  ["finds the command in PATH", ["-c", "echo", "one", "two"], 0, "one two\n"],
  [
    "starts in the root directory with mask 022 and no blocked signal",
    ["--", "sh", "-c", "pwd; umask; grep SigBlk /proc/self/status"],
    0,
    "/\n0022\nSigBlk:\t0000000000000000\n",
  ],
  [
    "is in no group beside its own",
    ["--", "sh", "-c", "id -u; id -g; id -G"],
    0,
    "0\n0\n0\n",
  ],
  [
    "sets no_new_privs and a seccomp filter",
    ["--", "grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"],
    0,
    "NoNewPrivs:\t1\nSeccomp:\t2\n",
  ],
  [
    "has fourteen capabilities, none of them inheritable",
    ["--", "grep", "^Cap", "/proc/self/status"],
    0,
    [
      "CapInh:\t0000000000000000",
      "CapPrm:\t00000000a80425fb",
      "CapEff:\t00000000a80425fb",
      "CapBnd:\t00000000a80425fb",
      "CapAmb:\t0000000000000000\n",
    ].join("\n"),
  ],
  [
    "has a loopback interface that is up, and no other",
    [
      "--",
      "sh",
      "-c",
      "ls /sys/class/net; ping -c 1 -W 60 -q 127.0.0.1 | grep -c ' 0% packet loss'",
    ],
    0,
    "lo\n1\n",
  ],
  [
    "shares the host's network with --network host",
    ["--network", "host", "--", "sh", "-c", "readlink /proc/self/ns/net"],
    0,
    Deno.readLinkSync("/proc/self/ns/net") + "\n",
  ],
  [
    "has a fresh /dev",
    [
      "--",
      "sh",
      "-c",
      "ls /dev; cd /dev; stat -c '%n %t:%T %a' null zero full random urandom tty",
    ],
    0,
    [
      ...(exists("/proc/kcore") ? ["core"] : []),
      "fd",
      "full",
      "mqueue",
      "null",
      "ptmx",
      "pts",
      "random",
      "shm",
      "stderr",
      "stdin",
      "stdout",
      "tty",
      "urandom",
      "zero",
      "null 1:3 666",
      "zero 1:5 666",
      "full 1:7 666",
      "random 1:8 666",
      "urandom 1:9 666",
      "tty 5:0 666\n",
    ].join("\n"),
  ],
  [
    "hides what tells of the host",
    [
      "--",
      "sh",
      "-c",
      "cat /proc/keys /proc/timer_list; ls -A /proc/acpi /sys/firmware; " +
      "echo x >/proc/sysrq-trigger; echo 1 >/proc/sys/kernel/panic; mkdir /sys/x",
    ],
    1,
    "/proc/acpi:\n\n/sys/firmware:\n",
  ],
  [
    "uses chroot with --no-pivot",
    ["--no-pivot", "--", "sh", "-c", "ls -d /bin; ls /proc/1/root/"],
    0,
    "/bin\nbin\ndev\netc\nproc\nroot\nsys\ntmp\nusr\nvar\n",
  ],
];

for (const { who, options, needs } of CALLERS) {
  for (const [name, args, code, stdout] of ROWS) {
    testOn(needs, `run ${name}, as ${who}`, async () => {
      await using box = makeBox(options);
      const sorted = args.at(-1) === "env";
      const got = await box.run(args, args[0] === "-i" ? { stdin: "" } : {});
      if (sorted) {
        got.stdout = got.stdout.trim().split("\n").sort().join("\n") + "\n";
      }
      assertEquals([got.code, got.stdout], [code, stdout], got.stderr);
    });
  }

  testOn(needs, `run has namespaces of its own, as ${who}`, async () => {
    await using box = makeBox(options);
    const types = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
    const { stdout } = await box.run([
      "--",
      "sh",
      "-c",
      `for t in ${types.join(" ")}; do readlink /proc/self/ns/$t; done`,
    ]);
    const inside = stdout.trim().split("\n");
    assertEquals(inside.length, types.length);
    types.forEach((type, i) => {
      const outside = Deno.readLinkSync(`/proc/self/ns/${type}`);
      assertEquals(inside[i] === outside, false, type);
    });
  });

  testOn(
    needs,
    `run gives 137 when somebody kills its first process, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const running = box.start([
        "--pid-file",
        `${box.rootfs}/tmp/pid`,
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
      ]);
      await running.waitFor("ready");
      const pid = Number(Deno.readTextFileSync(`${box.rootfs}/tmp/pid`));
      Deno.kill(pid, "SIGKILL");
      const { code, stderr } = await running.done;
      assertEquals([code, stderr], [137, ""]);
    },
  );

  testOn(
    needs,
    `$(run ...) ends though a child of the command is left, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const { code, stdout, stderr } = await box.run([
        "--",
        "sh",
        "-c",
        "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &); echo done",
      ]);
      assertEquals([code, stdout, stderr], [0, "done\n", ""]);
    },
  );

  testOn(
    needs,
    `the command of a nohup is born as any other, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const running = start(
        [
          "sh",
          "-c",
          'trap "" HUP; exec "$@"',
          "sh",
          ...cliCommand(options),
          "run",
          "--rootfs",
          box.rootfs,
          "--name",
          box.id,
          "--",
          "grep",
          "SigIgn",
          "/proc/self/status",
        ],
        options,
      );
      const { stdout } = await running.done;
      assertEquals(stdout, "SigIgn:\t0000000000000000\n");
    },
  );

  testOn(
    needs,
    `run gives the caller's soft limit of open files, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const running = start(
        [
          "sh",
          "-c",
          'ulimit -n 777; "$@"; exit $?',
          "sh",
          ...cliCommand(options),
          "run",
          "--rootfs",
          box.rootfs,
          "--name",
          box.id,
          "--",
          "sh",
          "-c",
          "ulimit -Sn; ulimit -Hn",
        ],
        options,
      );
      const { stdout } = await running.done;
      assertEquals(stdout, "777\n777\n");
    },
  );
}
