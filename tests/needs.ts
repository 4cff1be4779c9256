/**
 * Tests that need more than a machine with Deno: {@linkcode testOn} looks once
 * whether a need is met. Where it is not, the test is ignored and its name says
 * why; with RUSTYRUN_MUST_RUN=1 it runs all the same, and so fails: in CI a
 * missing need is a red build, not a silent hole. RUSTYRUN_MAY_LACK lists what
 * another run of the same CI has ("cgroup-v2" on a v1 machine with a guest).
 *
 * @module
 */

import { isWarm } from "./warm_program.ts";

const decoder = new TextDecoder();

/** Runs a program to its end; a missing program counts as exit code 127. */
export function probe(
  program: string,
  ...args: string[]
): { code: number; stdout: string } {
  try {
    const { code, stdout } = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).outputSync();
    return { code, stdout: decoder.decode(stdout) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { code: 127, stdout: "" };
    throw error;
  }
}

/** The file of that name in PATH, /usr/sbin or /sbin. */
export function findProgram(name: string): string | undefined {
  const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
  for (const dir of path.split(":")) {
    try {
      if (Deno.statSync(`${dir}/${name}`).isFile) return `${dir}/${name}`;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

/** Whether there is a file of that name. */
export function isFile(path: string | undefined): boolean {
  try {
    return path !== undefined && Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The disk that /var/tmp is on: "MAJOR:MINOR", of the whole one where it is a
 * part; undefined where it is on none. */
export function findDisk(): string | undefined {
  const { dev } = Deno.statSync("/var/tmp");
  // gnu_dev_major(3)
  const major = dev >>> 8 & 0xfff, minor = dev & 0xff | dev >>> 12 & 0xfff00;
  const block = `/sys/dev/block/${major}:${minor}`;
  const whole = isFile(`${block}/partition`)
    ? `${block}/../dev`
    : `${block}/dev`;
  return isFile(whole) ? Deno.readTextFileSync(whole).trim() : undefined;
}

function mountTypes(): string[] {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .map((line) => line.split(" - ")[1] ?? "")
    .filter((tail) => tail.startsWith("cgroup"));
}

/** The unprivileged users that tests become when root runs them: uid and gid.
 * When somebody else does, all are the caller. */
export const USERS = Deno.uid() === 0
  ? {
    /** Without a name, without a range of ids: a container has a single one. */
    single: 61234,
    /** With a range in /etc/subuid and /etc/subgid; .ci/run makes it. */
    subuid: 61233,
    /** Of one test alone, which takes away what the user has in /tmp. */
    robbed: 61235,
  }
  : {
    single: Deno.uid() ?? 0,
    subuid: Deno.uid() ?? 0,
    robbed: Deno.uid() ?? 0,
  };

/** One of {@linkcode USERS}. */
export type User = keyof typeof USERS;

/** A command line that runs `argv` as an unprivileged user: no groups, no
 * capabilities. */
export function asUser(
  argv: readonly string[],
  user: User = "single",
): string[] {
  if (Deno.uid() !== 0) return [...argv];
  return [
    findProgram("setpriv") ?? "setpriv",
    `--reuid=${USERS[user]}`,
    `--regid=${USERS[user]}`,
    "--clear-groups",
    "--inh-caps=-all",
    "--",
    ...argv,
  ];
}

/** Whether /etc/subuid and /etc/subgid give the user a range. */
function hasRange(): boolean {
  const { code, stdout } = probe("id", "-un", `${USERS.subuid}`);
  return code === 0 &&
    ["/etc/subuid", "/etc/subgid"].every((file) =>
      Deno.readTextFileSync(file).split("\n").some((line) =>
        line.startsWith(`${stdout.trim()}:`) ||
        line.startsWith(`${USERS.subuid}:`)
      )
    );
}

function probeList(argv: readonly string[]): boolean {
  const [program, ...args] = argv;
  return program !== undefined && probe(program, ...args).code === 0;
}

/** Whether a compiler links a program with these flags, and what `run` says of
 * that: libc and the sanitizers are packages of their own. */
function links(
  compiler: string,
  flags: readonly string[],
  run: (program: string) => boolean = () => true,
  source = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n',
): boolean {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-cc-" });
  try {
    Deno.writeTextFileSync(`${dir}/a.c`, source);
    return probe(compiler, ...flags, `${dir}/a.c`, "-o", `${dir}/a`).code ===
        0 && run(`${dir}/a`);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** A user who has a systemd of its own, after a login or by lingering. */
export function findSystemdUser():
  | { uid: number; runtime: string }
  | undefined {
  for (const { name } of Deno.readDirSync("/run/user")) {
    const runtime = `/run/user/${name}`;
    if (name !== "0" && probe("test", "-S", `${runtime}/bus`).code === 0) {
      return { uid: Number(name), runtime };
    }
  }
  return undefined;
}

function hasControllers(): boolean {
  try {
    return /\bmemory\b/.test(
      Deno.readTextFileSync("/sys/fs/cgroup/cgroup.controllers"),
    );
  } catch {
    return false;
  }
}

/** What a test may need, and how we see that it is there. */
export const NEEDS = {
  /** The caller is root and may mount. */
  root: () => Deno.uid() === 0 && probe("unshare", "-m", "true").code === 0,
  /** The caller is, or can become, an unprivileged user. */
  user: () => probeList(asUser(["true"])),
  /** An unprivileged user can make a user namespace. */
  userns: () => probeList(asUser(["unshare", "-Ur", "true"])),
  newuidmap: () => findProgram("newuidmap") !== undefined,
  /** A user of the tests has a range in /etc/subuid, and newuidmap is there. */
  subuid: () =>
    findProgram("newuidmap") !== undefined && hasRange() &&
    probeList(asUser(["unshare", "-Ur", "true"], "subuid")),
  /** A writable cgroup v1 memory hierarchy: v1 or hybrid. */
  "cgroup-v1": () => mountTypes().some((t) => /[ ,]memory\b/.test(t)),
  /** cgroup v2 is mounted, with controllers or without. */
  cgroup2: () => mountTypes().some((t) => t.startsWith("cgroup2")),
  /** A cgroup v2 hierarchy with controllers. */
  "cgroup-v2": hasControllers,
  /** systemd started this machine, with cgroup v2: sd_booted(3). */
  systemd: () =>
    probeList(["test", "-d", "/run/systemd/system"]) && hasControllers(),
  /** A user beside root has a systemd of its own. */
  "systemd-user": () => hasControllers() && findSystemdUser() !== undefined,
  /** The kernel has pairs of virtual network devices, and iproute2 makes them. */
  veth: () =>
    probeList(["unshare", "-n", "ip", "link", "add", "pair0", "type", "veth"]),
  /** DENORT_BIN names the runtime that `deno compile` puts a program on. */
  denort: () => isFile(Deno.env.get("DENORT_BIN")),
  /** The helper has been built. */
  helper: () =>
    isFile(
      `${import.meta.dirname}/../dist/rustyrun-helper-${Deno.build.arch}`,
    ),
  /** A static busybox. */
  busybox: () => findStaticBusybox() !== undefined,
  /** The kernel can forbid programs in memory (6.3). */
  "memfd-noexec": () => isFile("/proc/sys/vm/memfd_noexec"),
  /** tmpfs has user attributes (6.6): a throw-away layer in memory in a user
   * namespace. */
  "tmpfs-xattr": () => {
    const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
    return major > 6 || major === 6 && minor >= 6;
  },
  /** A file can be mounted as a disk, and be made to stand still. */
  loop: () =>
    probeList(["losetup", "-f"]) && findProgram("fsfreeze") !== undefined &&
    findProgram("mkfs.ext4") !== undefined,
  /** A disk whose directories belong to projects. */
  xfs: () =>
    probeList(["losetup", "-f"]) && findProgram("mkfs.xfs") !== undefined,
  /** Any process can be given a policy of scheduling. */
  chrt: () =>
    probeList([
      ...["chrt", "--deadline"],
      "--sched-runtime=100000",
      ...["--sched-deadline=1000000", "--sched-period=1000000"],
      ...["0", "true"],
    ]),
  chattr: () => findProgram("chattr") !== undefined,
  /** /var/tmp is on a disk, whose reads can be limited. */
  disk: () => findDisk() !== undefined,
  runc: () => findProgram("runc") !== undefined,
  crun: () => findProgram("crun") !== undefined,
  /** A C compiler with a static libc. */
  cc: () => links("cc", ["-static"]),
  /** A C compiler for i386, whose programs run here. */
  cc32: () =>
    links(
      "cc",
      ["-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie"],
      (it) => probe(it).code === 0,
      // exit(0)
      'void _start(void) { __asm__("int $0x80" :: "a"(1), "b"(0)); }\n',
    ),
  gcc: () => findProgram("gcc") !== undefined,
  /** gcc with ASan and UBSan, whose programs run here, and gcov. */
  asan: () =>
    findProgram("gcov") !== undefined &&
    // Not every kernel suits them.
    links(
      "gcc",
      ["-fsanitize=address,undefined"],
      (it) => probe(it).code === 0,
    ),
  musl: () => findProgram("musl-gcc") !== undefined,
  /** A cross compiler for aarch64 with a static libc, and qemu-user to run what
   * it makes. */
  aarch64: () =>
    Deno.build.arch === "aarch64" ||
    findProgram("qemu-aarch64-static") !== undefined &&
      links("aarch64-linux-gnu-gcc", ["-static"]),
  /** A compiler for x86_64 with a static libc. */
  x86_64: () =>
    Deno.build.arch === "x86_64" || links("x86_64-linux-gnu-gcc", ["-static"]),
  python3: () => probe(findPython(), "-c", "").code === 0,
  /** libseccomp itself, as the oracle of the seccomp compiler. */
  libseccomp: () => {
    Deno.dlopen("libseccomp.so.2", {}).close();
    return true;
  },
  /** Engines, each with what it needs to run containers. */
  podman: () =>
    findProgram("podman") !== undefined && findProgram("conmon") !== undefined,
  containerd: () =>
    findProgram("containerd") !== undefined && findProgram("ctr") !== undefined,
  docker: () =>
    findProgram("dockerd") !== undefined && findProgram("docker") !== undefined,
  /** criu, on a kernel that lets it. */
  criu: () => probe(findProgram("criu") ?? "criu", "check").code === 0,
  /** AppArmor is on, and its profiles can be loaded. */
  apparmor: () =>
    probe("aa-enabled").code === 0 && isFile(findProgram("apparmor_parser")),
  buildah: () => findProgram("buildah") !== undefined,
  jq: () => findProgram("jq") !== undefined,
  /** Debian's package tools. */
  apt: () =>
    findProgram("apt-get") !== undefined &&
    findProgram("dpkg-deb") !== undefined,
  /** RUSTYRUN_DEBIAN names a directory that debootstrap filled. */
  "debian-root": () =>
    isFile(`${Deno.env.get("RUSTYRUN_DEBIAN")}/etc/debian_version`),
  debootstrap: () => findProgram("debootstrap") !== undefined,
  strace: () => findProgram("strace") !== undefined,
  /** The calls are not made by a front: of a caller that no engine is an equal of,
   * or about what Deno does at its start. */
  cold: () => !isWarm(),
  /** A front is heard within the 20 ms that the engine waits for it: not where a
   * whole machine is emulated. */
  quick: () => (Deno.env.get("RUSTYRUN_SLOW") ?? "1") === "1",
  /** `script` gives a command a terminal. */
  script: () => findProgram("script") !== undefined,
  shellcheck: () => findProgram("shellcheck") !== undefined,
  go: () => findProgram("go") !== undefined || isFile("/usr/local/go/bin/go"),
} satisfies Record<string, () => boolean>;

/** The name of a need. */
export type Need = keyof typeof NEEDS;

const seen = new Map<Need, boolean>();

/** Whether a need is met here; looked at once for each process. */
export function hasNeed(need: Need): boolean {
  let met = seen.get(need);
  if (met === undefined) {
    try {
      met = NEEDS[need]();
    } catch {
      met = false;
    }
    seen.set(need, met);
  }
  return met;
}

/** The needs of a list that are not met here. */
function missingNeeds(needs: readonly Need[]): Need[] {
  return needs.filter((need) => !hasNeed(need));
}

/** The interpreter itself: what is in PATH may be a slow script of somebody's
 * home. */
export function findPython(): string {
  const path = "/usr/bin/python3";
  return isFile(path) ? path : findProgram("python3") ?? "python3";
}

/** A busybox without a dynamic loader: a root file system in one file. */
export function findStaticBusybox(): string | undefined {
  for (const path of ["/bin/busybox", "/usr/bin/busybox"]) {
    if (isFile(path) && !hasInterpreter(path)) return path;
  }
  const found = findProgram("busybox");
  return found !== undefined && !hasInterpreter(found) ? found : undefined;
}

/** Whether an ELF file has a PT_INTERP header, i.e. wants a dynamic loader. */
function hasInterpreter(path: string): boolean {
  using file = Deno.openSync(path);
  const head = new Uint8Array(4096);
  const size = file.readSync(head) ?? 0;
  const view = new DataView(head.buffer, 0, size);
  const at = Number(view.getBigUint64(32, true));
  const step = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  for (let i = 0; i < count; i++) {
    if (view.getUint32(at + i * step, true) === 3) return true;
  }
  return false;
}

/**
 * Registers a test that needs something of the machine.
 *
 * @param needs what must be there; the missing ones are added to the name of
 * an ignored test: "run() ... (needs cgroup-v2)"
 */
export function testOn(
  needs: readonly Need[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const missing = missingNeeds(needs);
  const elsewhere = Deno.env.get("RUSTYRUN_MAY_LACK")?.split(",") ?? [];
  const forced = Deno.env.get("RUSTYRUN_MUST_RUN") === "1" &&
    !missing.some((need) => elsewhere.includes(need));
  Deno.test({
    name: missing.length ? `${name} (needs ${missing.join(", ")})` : name,
    ignore: missing.length > 0 && !forced,
    fn: async (t) => {
      if (missing.length) {
        throw new Error(`This machine lacks: ${missing.join(", ")}`);
      }
      try {
        await fn(t);
      } catch (error) {
        throw tellBoth(error);
      }
    },
  });
}

/** An error that also says what a SuppressedError hides: Deno prints neither
 * what failed nor what its disposal then found. */
function tellBoth(error: unknown): unknown {
  if (!(error instanceof SuppressedError)) return error;
  const parts = [error.suppressed, error.error].map(tellBoth)
    .map((it) => it instanceof Error ? it.stack ?? it.message : String(it));
  return new Error(parts.join("\nand then "), { cause: error });
}
