/**
 * The one door to libc: a generic system call, posix_spawn, and what the host
 * stage makes of them. Opened on first use.
 *
 * Every symbol takes a trailing by-value struct that no C function reads: it
 * keeps Deno 2.9 from compiling a trampoline per symbol (0.2 ms each). All calls
 * are synchronous, so that errno is this thread's.
 *
 * @module
 */

import { toBytes } from "./bytes.ts";
import { SyscallError } from "./errno.ts";
import { SYSCALLS } from "./syscalls.ts";

const D = { struct: ["u8"] } as const;
const d = new Uint8Array(1);

const SYMBOLS = {
  /** long syscall(long number, ...); the lower half of its result: see
   * {@link trySyscall} */
  syscall: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64", D],
    result: "i32",
  },
  /** off_t lseek(int fd, off_t offset, int whence) */
  lseek: { parameters: ["i32", "i64", "i32", D], result: "i64" },
  /** int *__errno_location(void) */
  __errno_location: { parameters: [D], result: "pointer" },
  /** int posix_spawn(pid_t *, const char *path, const posix_spawn_file_actions_t
   * *, const posix_spawnattr_t *, char *const argv[], char *const envp[]) */
  posix_spawn: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64", D],
    result: "i32",
  },
  /** int posix_spawn_file_actions_init(posix_spawn_file_actions_t *) */
  posix_spawn_file_actions_init: { parameters: ["i64", D], result: "i32" },
  /** int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *, int fd,
   * int newfd) */
  posix_spawn_file_actions_adddup2: {
    parameters: ["i64", "i32", "i32", D],
    result: "i32",
  },
  /** int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *) */
  posix_spawn_file_actions_destroy: { parameters: ["i64", D], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** A system call that the host stage makes. */
export type Syscall = keyof typeof SYSCALLS;
/** An argument: a number, or the address of bytes. */
export type SyscallArg = number | bigint | Uint8Array | null;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let library: Library | undefined;
let errno: Int32Array | undefined;
const column = Deno.build.arch === "aarch64" ? 1 : 0;

/** The library; a test calls it at import, since a library that a test opens
 * counts as its leak. */
export function libc(): Library {
  if (library === undefined) {
    library = Deno.dlopen("libc.so.6", SYMBOLS).symbols;
    const at = library.__errno_location(d);
    if (at === null) throw new Error("Cannot find errno: libc gave no address");
    errno = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(at, 4));
  }
  return library;
}

/** Address of a buffer. The caller keeps the buffer alive over the call. */
export function address(bytes: Uint8Array): bigint {
  return BigInt(
    Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>),
    ),
  );
}

const ZERO = 0n;
const toLong = (arg: SyscallArg | undefined): bigint =>
  arg instanceof Uint8Array ? address(arg) : BigInt(arg ?? ZERO);

/**
 * Makes a system call whose result fits 32 bits (all but lseek(2), see
 * {@link seek}).
 *
 * errno is read as memory, right behind the call, and nothing is allocated
 * between the two: a garbage collection there waits for other threads, and its
 * own system calls write errno. With a 64-bit result (a BigInt) about one error
 * in two million was another's.
 *
 * @returns its result, or -errno
 */
export function trySyscall(call: Syscall, ...args: SyscallArg[]): number {
  const result = libc().syscall(
    BigInt(SYSCALLS[call][column]),
    toLong(args[0]),
    toLong(args[1]),
    toLong(args[2]),
    toLong(args[3]),
    toLong(args[4]),
    toLong(args[5]),
    d,
  );
  return result === -1 ? -errno![0]! : result;
}

/**
 * Moves a descriptor's offset; lseek(2).
 *
 * @returns the new offset, or -errno
 */
export function seek(fd: number, offset: number, whence: number): number {
  const at = libc().lseek(fd, BigInt(offset), whence, d);
  // Asked once more for its error alone, which is the same.
  return at === -1n ? trySyscall("lseek", fd, offset, whence) : Number(at);
}

/**
 * Makes a system call; EINTR is tried again.
 *
 * @returns its result
 * @throws {SyscallError} when it fails
 */
export function syscall(call: Syscall, ...args: SyscallArg[]): number {
  for (;;) {
    const result = trySyscall(call, ...args);
    if (result >= 0) return result;
    if (result !== -4) throw new SyscallError(call, -result);
  }
}

/** A NUL-terminated string.
 *
 * @throws {TypeError} when it holds a NUL itself, or what is no byte */
export function cstring(s: string): Uint8Array<ArrayBuffer> {
  if (s.includes("\0")) {
    throw new TypeError(
      `Cannot pass ${JSON.stringify(s)} to the kernel: it holds a NUL`,
    );
  }
  return toBytes(s + "\0");
}

/** Keeps the buffers behind a vector of addresses alive together with it. */
class StringVector {
  readonly vector: Uint8Array;
  readonly kept: Uint8Array[];
  constructor(list: readonly string[]) {
    this.kept = list.map(cstring);
    const addresses = new BigUint64Array(list.length + 1);
    this.kept.forEach((it, i) => addresses[i] = address(it));
    this.vector = new Uint8Array(addresses.buffer);
  }
}

/** Closes a descriptor; one that is not open is fine. */
export function closeFd(fd: number): void {
  trySyscall("close", fd);
}

/** FD_CLOEXEC of a descriptor on or off; fcntl(2).
 *
 * @throws {SyscallError} when it is not open */
export function setCloexec(fd: number, on: boolean): void {
  syscall("fcntl", fd, 2, on ? 1 : 0);
}

/** Opens a path; open(2) with O_CLOEXEC added.
 *
 * @returns the descriptor
 * @throws {SyscallError} */
export function openFd(
  path: string,
  flags: number,
  mode = 0,
  at = -100,
): number {
  return syscall("openat", at, cstring(path), flags | 0o2000000, mode);
}

/** Writes all bytes to a descriptor.
 *
 * @throws {SyscallError} */
export function writeFd(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.subarray(at);
    at += syscall("write", fd, rest, rest.length);
  }
}

/**
 * Makes an empty memfd; memfd_create(2). It is said whether it may be executed,
 * MFD_EXEC or MFD_NOEXEC_SEAL, where the kernel knows that (6.3): under
 * vm.memfd_noexec=2 some take no other.
 *
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError} also EACCES under vm.memfd_noexec=2
 */
export function makeMemfd(name: string, executable = false): number {
  const flags = 3; // MFD_CLOEXEC | MFD_ALLOW_SEALING
  let fd = trySyscall(
    "memfd_create",
    cstring(name),
    flags | (executable ? 0x10 : 8),
  );
  if (fd === -22) fd = trySyscall("memfd_create", cstring(name), flags);
  if (fd < 0) throw new SyscallError("memfd_create", -fd);
  return fd;
}

/** Writes `bytes` into a memfd, which can not change any more then: sealed against
 * writing, growing, shrinking and further seals.
 *
 * @throws {SyscallError} */
export function fillMemfd(fd: number, bytes: Uint8Array): void {
  writeFd(fd, bytes);
  syscall("fcntl", fd, 1033, 15); // F_ADD_SEALS: seal, shrink, grow, write
}

/** {@linkcode makeMemfd} and {@linkcode fillMemfd} in one. */
export function sealedMemfd(
  name: string,
  bytes: Uint8Array,
  executable = false,
): number {
  const fd = makeMemfd(name, executable);
  fillMemfd(fd, bytes);
  return fd;
}

/** Room for a posix_spawn_file_actions_t: 80 bytes in glibc 2.36. */
const ACTIONS_SIZE = 256;

/**
 * Starts a program; posix_spawn(3). `fds` survive the exec in it. They are
 * close-on-exec all the time in this process, whose other threads start programs
 * as well: a dup2 onto itself clears the flag in the new one alone (glibc 2.29).
 *
 * @param streams what it gets as 0, 1, 2; as ours when absent
 * @returns its pid
 * @throws {SyscallError}
 */
export function spawnProgram(
  path: string,
  argv: readonly string[],
  env: readonly string[],
  fds: readonly number[],
  streams: readonly number[] = [],
): number {
  const c = libc();
  const pid = new Int32Array(1);
  const file = cstring(path);
  const args = new StringVector(argv);
  const vars = new StringVector(env);
  const actions = new Uint8Array(ACTIONS_SIZE);
  const at = address(actions);
  c.posix_spawn_file_actions_init(at, d);
  const dup = (fd: number, to: number) =>
    c.posix_spawn_file_actions_adddup2(at, fd, to, d);
  for (const fd of fds) dup(fd, fd);
  streams.forEach(dup);
  const errno = c.posix_spawn(
    address(new Uint8Array(pid.buffer)),
    address(file),
    at,
    ZERO,
    address(args.vector),
    address(vars.vector),
    d,
  );
  c.posix_spawn_file_actions_destroy(at, d);
  if (errno !== 0) throw new SyscallError("posix_spawn", errno);
  return pid[0]!;
}

/**
 * Becomes another program; execve(2). `fds` go along.
 *
 * @throws {SyscallError} when it fails; else it does not return
 */
export function execProgram(
  path: string,
  argv: readonly string[],
  env: readonly string[],
  fds: readonly number[],
): never {
  const file = cstring(path);
  const args = new StringVector(argv);
  const vars = new StringVector(env);
  for (const fd of fds) setCloexec(fd, false);
  const result = trySyscall("execve", file, args.vector, vars.vector);
  for (const fd of fds) setCloexec(fd, true);
  throw new SyscallError("execve", -result);
}

/** How many numbers a struct rusage has; getrusage(2): user time in seconds and
 * microseconds, system time, and 14 more. */
export const RUSAGE = 18;

/** Waits for a child; wait4(2).
 *
 * @param usage takes what it and all that it has waited for have used: a struct
 * rusage, of {@linkcode RUSAGE} numbers
 * @returns its wait status; undefined when it is no child of ours any more, or
 * `hang` is false and it still runs
 * @throws {SyscallError} */
export function waitProcess(
  pid: number,
  hang = true,
  usage?: BigInt64Array,
): number | undefined {
  const status = new Int32Array(1);
  const bytes = new Uint8Array(status.buffer);
  const used = usage === undefined ? null : new Uint8Array(usage.buffer);
  for (;;) {
    const got = trySyscall("wait4", pid, bytes, hang ? 0 : 1, used);
    if (got === pid) return status[0]!;
    if (got === 0 || got === -10) return undefined;
    if (got !== -4) throw new SyscallError("wait4", -got);
  }
}

/** Sets a limit of another process; prlimit(2). `pid` 0 is this process.
 *
 * @returns the limit before: [soft, hard]
 * @throws {SyscallError} */
export function limitProcess(
  pid: number,
  resource: number,
  limit?: { soft: bigint; hard: bigint },
): [bigint, bigint] {
  const old = new BigUint64Array(2);
  const now = limit === undefined
    ? null
    : new Uint8Array(new BigUint64Array([limit.soft, limit.hard]).buffer);
  syscall("prlimit64", pid, resource, now, new Uint8Array(old.buffer));
  return [old[0]!, old[1]!];
}

/** Reads what is there, at most `size` bytes; read(2).
 *
 * @returns no bytes at the end of the file
 * @throws {SyscallError} */
export function readFd(fd: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  return bytes.subarray(0, syscall("read", fd, bytes, size));
}
