/**
 * Starts programs as an engine does, and measures them: posix_spawn(3) with
 * prepared standard streams, no shell between, wait4(2) for the CPU time. What it
 * costs is the same for all.
 *
 * @module
 */

import {
  address,
  closeFd,
  cstring,
  openFd,
  syscall,
  type SyscallArg,
} from "../ffi/libc.ts";
import { pollFds } from "../ffi/poll.ts";
import { SyscallError } from "../ffi/errno.ts";
import { BuildError } from "../scripts/build.ts";

const SYMBOLS = {
  /** int posix_spawn_file_actions_init(posix_spawn_file_actions_t *) */
  posix_spawn_file_actions_init: { parameters: ["i64"], result: "i32" },
  /** int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *, int fd,
   * int newfd) */
  posix_spawn_file_actions_adddup2: {
    parameters: ["i64", "i32", "i32"],
    result: "i32",
  },
  /** int posix_spawnattr_init(posix_spawnattr_t *) */
  posix_spawnattr_init: { parameters: ["i64"], result: "i32" },
  /** int posix_spawnattr_setflags(posix_spawnattr_t *, short flags) */
  posix_spawnattr_setflags: { parameters: ["i64", "i16"], result: "i32" },
  /** int posix_spawnattr_setsigdefault(posix_spawnattr_t *, const sigset_t *) */
  posix_spawnattr_setsigdefault: { parameters: ["i64", "i64"], result: "i32" },
  /** int posix_spawn(pid_t *, const char *path, const posix_spawn_file_actions_t
   * *, const posix_spawnattr_t *, char *const argv[], char *const envp[]) */
  posix_spawn: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** Room for a posix_spawn_file_actions_t (80 bytes in glibc 2.36), a
 * posix_spawnattr_t (336) and a sigset_t. */
const ACTIONS_SIZE = 256, ATTRIBUTES_SIZE = 512, SIGSET_SIZE = 128;
/** POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID: Deno ignores SIGPIPE, and Ctrl-C is
 * for the bench alone, which ends the others itself. */
const SPAWN_FLAGS = 0x04 | 0x80;
/** struct rusage: two timeval, fourteen long. */
const RUSAGE_SIZE = 144;
/** O_WRONLY | O_CREAT | O_APPEND */
const O_APPENDED = 0o2101;
const O_RDWR = 2;
/** PR_SET_CHILD_SUBREAPER of prctl(2). */
const SET_SUBREAPER = 36;
/** After so many milliseconds without an end a command counts as hung. */
const HUNG_MS = 120_000;
/** How long SIGINT may go unseen, in milliseconds. */
const TICK_MS = 100;

/** Time that a step took, both in milliseconds. */
export interface Sample {
  ms: number;
  cpu: number;
}

/** A child that was started. */
export interface Child {
  pid: number;
  argv: readonly string[];
  /** performance.now() just before. */
  began: number;
}

/** The addresses of strings, in memory that lasts: no start pays for it. */
class Vector {
  readonly bytes: Uint8Array;
  readonly #strings: Uint8Array[];
  constructor(list: readonly string[]) {
    this.#strings = list.map(cstring);
    const addresses = new BigUint64Array(list.length + 1);
    this.#strings.forEach((it, i) => addresses[i] = address(it));
    this.bytes = new Uint8Array(addresses.buffer);
  }
}

/** SIGINT or SIGTERM came. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

/** Starts children that are all this process's own, orphans as well: it is their
 * subreaper. */
export class Starter implements Disposable {
  readonly #library = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #actions = new Uint8Array(ACTIONS_SIZE);
  readonly #attributes = new Uint8Array(ATTRIBUTES_SIZE);
  readonly #environment: Vector;
  readonly #null = openFd("/dev/null", O_RDWR);
  readonly #errors: number;
  readonly #errorFile: string;
  readonly #pid = new Int32Array(1);
  #interrupted = false;
  readonly #interrupt = () => {
    this.#interrupted = true;
  };

  /**
   * @param environment "NAME=VALUE", of every child
   * @param errors a file that takes what they say
   */
  constructor(environment: readonly string[], errors: string) {
    this.#environment = new Vector(environment);
    this.#errorFile = errors;
    this.#errors = openFd(errors, O_APPENDED, 0o600);
    syscall("prctl", SET_SUBREAPER, 1, 0, 0, 0);
    const { symbols } = this.#library;
    symbols.posix_spawn_file_actions_init(address(this.#actions));
    const streams = [this.#null, this.#null, this.#errors];
    for (const [theirs, ours] of streams.entries()) {
      symbols.posix_spawn_file_actions_adddup2(
        address(this.#actions),
        ours,
        theirs,
      );
    }
    symbols.posix_spawnattr_init(address(this.#attributes));
    symbols.posix_spawnattr_setflags(address(this.#attributes), SPAWN_FLAGS);
    symbols.posix_spawnattr_setsigdefault(
      address(this.#attributes),
      address(new Uint8Array(SIGSET_SIZE).fill(0xff)),
    );
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, this.#interrupt);
    }
  }

  [Symbol.dispose](): void {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(signal, this.#interrupt);
    }
    closeFd(this.#errors);
    closeFd(this.#null);
    this.#library.close();
  }

  /** Starts a program by its path; its streams are /dev/null, errors are kept. */
  start(argv: readonly string[]): Child {
    const path = cstring(argv[0]!);
    const words = new Vector(argv);
    const began = performance.now();
    const errno = this.#library.symbols.posix_spawn(
      address(new Uint8Array(this.#pid.buffer)),
      address(path),
      address(this.#actions),
      address(this.#attributes),
      address(words.bytes),
      address(this.#environment.bytes),
    );
    if (errno !== 0) {
      throw new BuildError(
        `Cannot start ${argv[0]}: ${
          new SyscallError("posix_spawn", errno).message
        }`,
      );
    }
    return { pid: this.#pid[0]!, argv, began };
  }

  /**
   * Waits for a child.
   *
   * @param code the exit code that it has to have; "any" for one that is killed
   * @returns time since its start, and CPU time of it and all that it waited for
   * @throws {BuildError} for another end, with what it said
   * @throws {Interrupted}
   */
  async finish(child: Child, code: 0 | "any" = 0): Promise<Sample> {
    const pidfd = syscall("pidfd_open", child.pid, 0);
    try {
      while (pollFds([pidfd], TICK_MS).length === 0) {
        await this.check();
        if (performance.now() - child.began > HUNG_MS) {
          throw new BuildError(`${child.argv.join(" ")} hangs`);
        }
      }
    } finally {
      closeFd(pidfd);
    }
    const { status, cpu } = wait(child.pid)!;
    const ms = performance.now() - child.began;
    if (code !== "any" && status !== 0) {
      throw new BuildError(
        `${child.argv.join(" ")} ended with ${
          (status & 0x7f) === 0 ? `exit code ${status >> 8}` : "a signal"
        }\n${this.readErrors()}`.trimEnd(),
      );
    }
    return { ms, cpu };
  }

  /** Runs a program to its end. */
  run(argv: readonly string[]): Promise<Sample> {
    return this.finish(this.start(argv));
  }

  /** Runs a program to its end, and reaps what it left as an orphan. */
  async step(argv: readonly string[]): Promise<Sample> {
    const { ms, cpu } = await this.run(argv);
    return { ms, cpu: cpu + reap() };
  }

  /** Lets a signal come through.
   *
   * @throws {Interrupted} */
  async check(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (this.#interrupted) throw new Interrupted("Interrupted");
  }

  /** Forgets what children said so far. */
  forget(): void {
    Deno.truncateSync(this.#errorFile);
  }

  /** The end of what children said since then. */
  readErrors(): string {
    return Deno.readTextFileSync(this.#errorFile).slice(-2000);
  }
}

/** Reaps every child that has ended.
 *
 * @returns their CPU time in milliseconds */
export function reap(): number {
  let cpu = 0;
  for (let it = wait(-1, false); it !== undefined; it = wait(-1, false)) {
    cpu += it.cpu;
  }
  return cpu;
}

/** Reaps a child; wait4(2).
 *
 * @param pid -1 for any
 * @param hang whether to wait for its end
 * @returns undefined when there is none, or none has ended */
export function wait(
  pid: number,
  hang = true,
): { pid: number; status: number; cpu: number } | undefined {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(RUSAGE_SIZE / 8);
  let got: number;
  try {
    got = syscall(
      "wait4",
      pid,
      new Uint8Array(status.buffer),
      hang ? 0 : 1,
      new Uint8Array(usage.buffer) as SyscallArg,
    );
  } catch (error) {
    if (error instanceof SyscallError && error.code === "ECHILD") {
      return undefined;
    }
    throw error;
  }
  if (got === 0) return undefined;
  const cpu = Number(usage[0]! + usage[2]!) * 1000 +
    Number(usage[1]! + usage[3]!) / 1000;
  return { pid: got, status: status[0]!, cpu };
}
