/**
 * What run says of a command, a root file system or a place for states that cannot
 * be had.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Box, cliCommand, makeBox, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";
import { expectError, ROOT, type Row } from "./run_errors_room.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Writes a file of the root file system. */
function put(box: Box, path: string, data: string, mode = 0o755): void {
  Deno.writeTextFileSync(`${box.rootfs}/${path}`, data);
  Deno.chmodSync(`${box.rootfs}/${path}`, mode);
}

/** Copies the head of busybox with another machine, or interpreter. */
function putForeign(box: Box): void {
  const elf = Deno.readFileSync(`${box.rootfs}/bin/busybox`);
  // e_machine: EM_SPARCV9 is neither of ours.
  new DataView(elf.buffer).setUint16(18, 43, true);
  Deno.writeFileSync(`${box.rootfs}/bin/foreign`, elf, { mode: 0o755 });
}

const COMMANDS: Row[] = [
  {
    name: "a command that PATH does not hold",
    args: () => ["--", "nonesuch"],
    code: 127,
    message:
      'Cannot run the command: exec: "nonesuch": executable file not found in $PATH',
    hint: `Searched in PATH=${PATH} inside the root file system`,
  },
  {
    name: "a command whose path does not exist",
    args: () => ["--", "/bin/nonesuch"],
    code: 127,
    message:
      'Cannot run the command: exec: "/bin/nonesuch": stat /bin/nonesuch: no such file or directory',
    hint:
      "The path is one inside the root file system; -v .:/src -w /src shows this directory there",
  },
  {
    name: "a command that is not executable",
    prepare: (box) => put(box, "bin/text", "words\n", 0o644),
    args: () => ["--", "/bin/text"],
    code: 126,
    message:
      'Cannot run the command: exec: "/bin/text": permission denied: "/bin/text" is not an executable file for this user',
    hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
  },
  {
    name: "a command that is a directory",
    args: () => ["--", "/bin"],
    code: 126,
    message:
      'Cannot run the command: exec: "/bin": is a directory: permission denied',
    hint: "Name a program in it",
  },
  {
    name: "a command of another architecture",
    prepare: putForeign,
    args: () => ["--", "/bin/foreign"],
    code: 126,
    message:
      `Cannot run the command: exec: "/bin/foreign": exec format error: permission denied: it is a program for sparc64, and this machine is ${Deno.build.arch}`,
    hint:
      `Use an image for ${Deno.build.arch}, or register an emulator with the kernel: qemu-user-static and binfmt_misc`,
  },
  {
    name: "a script without #!",
    prepare: (box) => put(box, "bin/words", "echo hi\n"),
    args: () => ["--", "words"],
    code: 126,
    message:
      'Cannot run the command: exec: "words": exec format error: permission denied: it is text without a #! line',
    hint:
      "Let it begin with a line such as #!/bin/sh, or run it by a shell: sh /usr/bin/words",
  },
  {
    name: "a script whose interpreter is missing",
    prepare: (box) => put(box, "bin/script", "#!/none/such\n"),
    args: () => ["--", "/bin/script"],
    code: 127,
    message:
      'Cannot run the command: exec: "/bin/script": no such file or directory: its interpreter is missing',
    hint:
      "A script needs the program of its #! line, a dynamic program its ld.so, inside the root file system",
  },
  {
    name: "a volume whose source is missing",
    args: () => ["-v", "/none/such:/dst"],
    code: 125,
    message:
      'Cannot mount "/none/such" (-v /none/such:/dst): it does not exist',
    hint:
      "Make it first (mkdir -p /none/such): rustyrun makes no directories on the host",
  },
  {
    name: "a volume whose source is missing, and by its name no directory",
    args: () => ["-v", "/none/such.sock:/dst"],
    code: 125,
    message:
      'Cannot mount "/none/such.sock" (-v /none/such.sock:/dst): it does not exist',
    hint:
      "Name one that exists: rustyrun makes no files or directories on the host",
  },
  {
    name: "a named volume",
    args: () => ["-v", "data:/dst"],
    code: 125,
    message: 'Cannot use "-v data:/dst": "data" is not a path',
    hint:
      "Write ./data for what is in this directory: rustyrun has no named volumes",
  },
  {
    name: "a volume on a place of another kind",
    prepare: (box) => put(box, "etc/thing", "words\n"),
    args: (box) => ["-v", `${box.rootfs}/bin:/etc/thing`],
    code: 125,
    message:
      'Cannot use "/etc/thing" as a mount point (-v ROOTFS/bin:/etc/thing): openat2: ENOTDIR (not a directory)',
    hint:
      "The mount point in the root file system is of another kind than what is mounted on it",
  },
  {
    name: "an unknown flag",
    args: () => ["--hostnam", "x"],
    code: 125,
    message: 'Cannot read the command line: unknown flag of "run": --hostnam',
    hint: "The nearest one is --hostname",
  },
  {
    name: "a size that is none",
    args: () => ["--memory", "64x"],
    code: 125,
    message: 'Cannot use "--memory 64x": "64x" is not a size',
    hint: "Write a number and a unit: 512k, 64m, 1.5g",
  },
  {
    name: "-t without a terminal",
    args: () => ["-t"],
    code: 125,
    message: "Cannot give the command a terminal: standard input is not one",
    hint: "Leave -t out, or run rustyrun from a terminal",
  },
  {
    name: "a user whom the image does not know",
    args: () => ["-u", "nobody-here"],
    code: 125,
    message:
      'Cannot run as the user "nobody-here": /etc/passwd in "ROOTFS" has no such name',
    hint:
      "Use a number, or add the user to the root file system; a volume over /etc is not looked at",
  },
  {
    name: "a sysctl of the host",
    args: () => ["--sysctl", "kernel.panic=1"],
    code: 125,
    message:
      'Cannot use "--sysctl kernel.panic=1": it must belong to a namespace of the container: this one is the host\'s',
    hint: "Set it on the host",
  },
  {
    name: "a sysctl that the kernel does not have",
    args: () => ["--sysctl", "net.ipv4.nonesuch=1"],
    code: 125,
    message:
      'Cannot set the sysctl "net.ipv4.nonesuch" to "1" (--sysctl net.ipv4.nonesuch=1): write: ENOENT (no such file or directory)',
    hint: "This kernel has no such sysctl in the container's namespaces",
  },
  {
    name: "a working directory that is a file",
    args: () => ["-w", "/etc/passwd"],
    code: 125,
    message:
      'Cannot use "/etc/passwd" as the working directory (-w /etc/passwd): chdir: ENOTDIR (not a directory)',
    hint: "Name a directory inside the root file system",
  },
  {
    name: "a hard limit above the caller's",
    args: () => ["--ulimit", "nofile=1:1000000000"],
    code: 125,
    message:
      'Cannot set the limit "RLIMIT_NOFILE" to 1:1000000000: prlimit64: EPERM (operation not permitted)',
    hint:
      "A hard limit above the caller's own needs CAP_SYS_RESOURCE: ulimit -H -a shows them",
  },
];

for (const row of COMMANDS) {
  testOn(ROOT, `run says what is wrong with ${row.name}`, async () => {
    await using box = makeBox();
    row.prepare?.(box);
    const got = await box.run(row.args(box), row.options ?? {});
    expectError(got, row, box.rootfs);
  });
}

/** Errors of --rootfs itself. */
const ROOTS: [string, string[], string, string][] = [
  [
    "that is missing",
    ["--rootfs", "/none/such"],
    'Cannot use the root file system "/none/such": it does not exist',
    "Give a directory that holds a root file system, such as an unpacked image",
  ],
  [
    "that is a file",
    ["--rootfs", "/etc/passwd"],
    'Cannot use the root file system "/etc/passwd": it is not a directory',
    "Give a directory that holds a root file system, such as an unpacked image",
  ],
  [
    "that is the machine's own",
    ["--rootfs", "/"],
    'Cannot use the root file system "/": the container would write to this machine\'s own files',
    "Add --ephemeral to throw every change away, or --read-only to allow none",
  ],
  [
    "that is /dev",
    ["--rootfs", "/dev/."],
    'Cannot use "/dev/." as the root file system (--rootfs /dev/.): it is this machine\'s /dev',
    "Give a directory that holds a root file system, such as an unpacked image",
  ],
  [
    "that is /proc",
    ["--rootfs", "/proc"],
    'Cannot use "/proc" as the root file system (--rootfs /proc): it is the kernel\'s own (procfs), and no files of a system',
    "Give a directory that holds a root file system, such as an unpacked image",
  ],
  [
    "that is of /sys, though nothing is written",
    ["--rootfs", "/sys/kernel", "--ephemeral"],
    'Cannot use "/sys/kernel" as the root file system (--rootfs /sys/kernel): it is the kernel\'s own (sysfs), and no files of a system',
    "Give a directory that holds a root file system, such as an unpacked image",
  ],
  [
    "that has no word",
    ["--rootfs"],
    "Cannot read the command line: flag needs an argument: --rootfs",
    "Write --rootfs DIR",
  ],
];

for (const [name, args, message, hint] of ROOTS) {
  testOn(["helper"], `run says what is wrong with a root ${name}`, async () => {
    const got = await runToEnd([...cliCommand(), "run", ...args]);
    expectError(got, { code: 125, message, hint }, "");
  });
}

testOn(
  ["root", "user", "userns", "helper", "busybox"],
  "run names the root file system that its caller may not enter",
  async () => {
    await using box = makeBox({ user: true });
    const { uid } = Deno.statSync(box.rootfs);
    Deno.chownSync(box.rootfs, 0, 0);
    Deno.chmodSync(box.rootfs, 0o700);
    const got = await box.run(["--", "true"], { user: true });
    expectError(got, {
      code: 125,
      message:
        `Cannot use the root file system "ROOTFS": user ${uid} may not enter it`,
      hint: "Give a directory of your own, such as a copy of it",
    }, box.rootfs);
  },
);

testOn(
  ["helper", "busybox", "root"],
  "run says of a directory that it is no root file system, and makes nothing in it",
  async () => {
    await using box = makeBox();
    const dir = `${box.rootfs}/tmp/none`;
    Deno.mkdirSync(dir);
    const run = (...words: string[]) =>
      runToEnd([...cliCommand(), "run", "--rootfs", dir, ...words]);
    expectError(await run("--", "ls"), {
      code: 127,
      message:
        `Cannot run the command: exec: "ls": executable file not found in $PATH: "${dir}" has none of its directories (/usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin, /bin)`,
      hint:
        "Give an unpacked image; a program of this machine runs on a directory of yours by rustyrun run --rootfs / --ephemeral -v DIR:/src -w /src -- ls",
    }, "");
    assertEquals([...Deno.readDirSync(dir)], []);
    // A volume may bring it.
    const { code } = await run("-v", `${box.rootfs}/bin:/bin`, "--", "true");
    assertEquals(code, 0);
  },
);

testOn(["helper", "busybox", "root"], "run names a pid file", async () => {
  await using box = makeBox();
  expectError(await box.run(["--pid-file", "/none/pid", "--", "true"]), {
    code: 125,
    message: 'Cannot write the pid file "/none/pid": no such file or directory',
    hint: "Name a file in a directory that you may write: --pid-file FILE",
  }, "");
});

/** Directories of the states that cannot be, and why. */
const STATES: [string, string][] = [
  ["/proc/none", "no such file or directory"],
  ["/etc/passwd", "not a directory"],
  ["/etc/passwd/below", "not a directory"],
];

for (const [root, why] of STATES) {
  testOn(
    ["helper", "root"],
    `run says that it cannot keep states in ${root}`,
    async () => {
      await using box = makeBox();
      const words = [
        "--root",
        root,
        "run",
        "--rootfs",
        box.rootfs,
        "--",
        "true",
      ];
      expectError(await runToEnd([...cliCommand(), ...words]), {
        code: 125,
        message: `Cannot keep the container's state in "${root}": ${why}`,
        hint: "Name a directory that you may write: rustyrun --root DIR",
      }, "");
    },
  );
}
