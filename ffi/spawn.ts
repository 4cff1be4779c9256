/**
 * posix_spawn with other standard streams, posix_spawn_file_actions_init(3).
 * A library table of its own: few commands need it.
 *
 * @module
 */

import { SyscallError } from "./errno.ts";
import { keepChildren } from "./children.ts";
import { address, cstring, trySyscall } from "./libc.ts";

const D = { struct: ["u8"] } as const;
const d = new Uint8Array(1);

const SYMBOLS = {
  /** int posix_spawn_file_actions_init(posix_spawn_file_actions_t *) */
  posix_spawn_file_actions_init: { parameters: ["i64", D], result: "i32" },
  /** int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *, int fd,
   * int newfd) */
  posix_spawn_file_actions_adddup2: {
    parameters: ["i64", "i32", "i32", D],
    result: "i32",
  },
  /** int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *, int
   * fd) */
  posix_spawn_file_actions_addclose: {
    parameters: ["i64", "i32", D],
    result: "i32",
  },
  /** int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const
   * char *path); glibc 2.29 */
  posix_spawn_file_actions_addchdir_np: {
    parameters: ["i64", "i64", D],
    result: "i32",
  },
  /** int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *) */
  posix_spawn_file_actions_destroy: { parameters: ["i64", D], result: "i32" },
  /** int posix_spawnattr_init(posix_spawnattr_t *) */
  posix_spawnattr_init: { parameters: ["i64", D], result: "i32" },
  /** int posix_spawnattr_setflags(posix_spawnattr_t *, short flags) */
  posix_spawnattr_setflags: { parameters: ["i64", "i16", D], result: "i32" },
  /** int posix_spawnattr_setsigdefault(posix_spawnattr_t *, const sigset_t *) */
  posix_spawnattr_setsigdefault: {
    parameters: ["i64", "i64", D],
    result: "i32",
  },
  /** int posix_spawnattr_setsigmask(posix_spawnattr_t *, const sigset_t *) */
  posix_spawnattr_setsigmask: { parameters: ["i64", "i64", D], result: "i32" },
  /** int posix_spawnattr_destroy(posix_spawnattr_t *) */
  posix_spawnattr_destroy: { parameters: ["i64", D], result: "i32" },
  /** int posix_spawn(pid_t *, const char *path, const posix_spawn_file_actions_t
   * *, const posix_spawnattr_t *, char *const argv[], char *const envp[]) */
  posix_spawn: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64", D],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

let library: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

/** Room for a posix_spawn_file_actions_t: 80 bytes in glibc 2.36. */
const ACTIONS_SIZE = 256;
/** Room for a posix_spawnattr_t: 336 bytes in glibc 2.36. */
const ATTRIBUTES_SIZE = 512;
/** POSIX_SPAWN_SETSID, glibc 2.26, musl 1.1.19. */
const SETSID = 0x80;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
/** Size of a sigset_t. */
const SIGSET_SIZE = 128;

function vector(list: readonly string[], kept: Uint8Array[]): Uint8Array {
  const addresses = new BigUint64Array(list.length + 1);
  list.forEach((it, i) => {
    const text = cstring(it);
    kept.push(text);
    addresses[i] = address(text);
  });
  return new Uint8Array(addresses.buffer);
}

/** Returns the descriptors from 3 on that a program started now would get:
 * those that our caller handed to us, and what Deno has duplicated. */
function listLent(): number[] {
  return [...Deno.readDirSync("/proc/self/fd")].map((it) => Number(it.name))
    // F_GETFD
    .filter((fd) => fd > 2 && trySyscall("fcntl", fd, 1, 0) === 0);
}

/**
 * Starts a program in a session of its own, with some of its descriptors
 * replaced, 0 to 2 as ours and no others, and no signal ignored or blocked;
 * posix_spawn(3).
 *
 * @param streams its descriptor -> the one of ours that it is a copy of
 * @param cwd its working directory; ours when absent
 * @returns its pid
 * @throws {SyscallError}
 */
export function spawnWithStreams(
  path: string,
  argv: readonly string[],
  env: readonly string[],
  streams: ReadonlyMap<number, number>,
  cwd?: string,
): number {
  keepChildren();
  library ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
  const kept: Uint8Array[] = [];
  const pid = new Int32Array(1);
  const file = cstring(path);
  const args = vector(argv, kept);
  const vars = vector(env, kept);
  const actions = new Uint8Array(ACTIONS_SIZE);
  library.posix_spawn_file_actions_init(address(actions), d);
  for (const [theirs, ours] of streams) {
    // dup2 onto itself would keep the close-on-exec flag; glibc clears it.
    library.posix_spawn_file_actions_adddup2(address(actions), ours, theirs, d);
  }
  for (const fd of listLent()) {
    if (streams.has(fd)) continue;
    library.posix_spawn_file_actions_addclose(address(actions), fd, d);
  }
  if (cwd !== undefined) {
    const dir = cstring(cwd);
    kept.push(dir);
    library.posix_spawn_file_actions_addchdir_np(
      address(actions),
      address(dir),
      d,
    );
  }
  const attributes = new Uint8Array(ATTRIBUTES_SIZE);
  library.posix_spawnattr_init(address(attributes), d);
  library.posix_spawnattr_setflags(
    address(attributes),
    SETSID | SETSIGDEF | SETSIGMASK,
    d,
  );
  // All of them: sigfillset(3) leaves out those that glibc itself uses, which
  // it ignores in what it spawns.
  const every = new Uint8Array(SIGSET_SIZE).fill(0xff);
  const none = new Uint8Array(SIGSET_SIZE);
  library.posix_spawnattr_setsigdefault(address(attributes), address(every), d);
  library.posix_spawnattr_setsigmask(address(attributes), address(none), d);
  const errno = library.posix_spawn(
    address(new Uint8Array(pid.buffer)),
    address(file),
    address(actions),
    address(attributes),
    address(args),
    address(vars),
    d,
  );
  library.posix_spawn_file_actions_destroy(address(actions), d);
  library.posix_spawnattr_destroy(address(attributes), d);
  // The strings had to live until here.
  kept.length = 0;
  if (errno !== 0) throw new SyscallError("posix_spawn", errno);
  return pid[0]!;
}
