/**
 * criu itself: where it is, how it is started, and the talk with it.
 *
 * It is started as `criu swrk FD`, not by its command line: only so the
 * directories are given by descriptor, a terminal's master comes back, what was
 * restored can be judged before it runs, and no word of ours is read as a flag.
 *
 * @module
 */

import { statSync } from "../../../ffi/files.ts";
import { closeFd } from "../../../ffi/libc.ts";
import {
  packetPair,
  receivePacket,
  sendWithFds,
} from "../../../ffi/packets.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { ContainerError } from "../../errors.ts";
import type { Op } from "../../plan.ts";
import { type PlanRun, startPlan } from "../../process.ts";
import type { Place } from "../model.ts";
import {
  type Answer,
  decodeAnswer,
  encodeMessage,
  type Field,
  REQUEST,
} from "./wire.ts";

/** Where it is looked for, and what it finds its own helpers in (ip, iptables,
 * nft, tar): neither by the caller's PATH nor by the container's. */
const DIRECTORIES = [
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/usr/local/sbin",
  "/usr/local/bin",
];
/** The first that rustyrun is tried with. */
const OLDEST = [3, 16] as const;
/** The descriptor that criu talks on, and the first behind it. */
const SOCKET = 3;
/** Packets of criu are small; a longer one is refused. */
const LONGEST = 1 << 16;
const GROUP_AND_OTHERS_WRITE = 0o22;

/**
 * Finds the program.
 *
 * @returns its absolute path
 * @throws {ContainerError} that names the package when there is none
 */
export function findCriu(): string {
  for (const dir of DIRECTORIES) {
    const path = `${dir}/criu`;
    try {
      const { isFile, uid, mode } = statSync(path);
      const own = uid === 0 && ((mode ?? 0) & GROUP_AND_OTHERS_WRITE) === 0;
      if (isFile && own) return path;
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotFound) &&
        !(error instanceof Deno.errors.NotADirectory)
      ) throw error;
    }
  }
  throw new ContainerError(
    `Cannot checkpoint or restore: there is no criu in ${
      DIRECTORIES.join(", ")
    }`,
    {
      code: "criu-missing",
      hint:
        'Install the package "criu" (of Debian, Fedora and others); it must be root\'s, and nobody else may write it',
      exitCode: 1,
    },
  );
}

/** A criu that waits for a request. */
export interface Criu {
  run: PlanRun;
  socket: number;
}

/** How criu is started. */
export interface CriuStart {
  place: Place;
  program: string;
  /** What its process does before it becomes criu. */
  before?: readonly Op[];
  /** Its standard streams are ours; else it has none of them. */
  streams: boolean;
  /** Slots of the plan, beside its socket. */
  slots?: readonly (readonly [string, number])[];
  /** Slots that criu gets as descriptors 4, 5, ... */
  passed?: readonly string[];
  /** While the plan runs: its process waits for its cgroups.
   *
   * @param pid that process */
  makeGroups?: (pid: number) => void;
}

/** Number of the passed descriptor at that place of {@linkcode CriuStart}. */
export function passedFd(at: number): number {
  return SOCKET + 1 + at;
}

const why = "start criu";

/** The plan by which the helper becomes criu. */
export function planCriu(
  { program, before = [], streams, passed = [] }: Omit<CriuStart, "place">,
): Op[] {
  const nothing: Op[] = streams ? [] : [
    {
      do: "open",
      into: "nothing",
      at: "",
      path: "/dev/null",
      flags: 2,
      mode: 0,
      resolve: 0,
      why: "let criu say nothing on our streams",
    },
    ...[0, 1, 2].map((fd): Op => ({
      do: "dup",
      slot: "nothing",
      fd,
      why: "let criu say nothing on our streams",
    })),
  ];
  return [
    ...before,
    ...nothing,
    ...["swrk", ...passed].map((slot, at): Op => ({
      do: "dup",
      slot,
      fd: SOCKET + at,
      why,
    })),
    { do: "closeFds", keep: 1 + passed.length, fifo: "", why },
    { do: "signals", end: 0, why },
    { do: "findExec", candidates: [program], why },
    {
      do: "exec",
      argv: ["criu", "swrk", String(SOCKET)],
      // Without HOME it reads no configuration of a user.
      env: [`PATH=${DIRECTORIES.join(":")}`],
      why,
    },
  ];
}

/**
 * Starts criu, which then waits for one request.
 *
 * @throws {ContainerError} when the helper cannot be started
 * @throws {OperationError} when a step before criu fails
 */
export function startCriu(start: CriuStart): Criu {
  const { place, slots = [] } = start;
  const [socket, theirs] = packetPair();
  let run: PlanRun | undefined;
  try {
    run = startPlan(planCriu(start), place.root, [
      ["swrk", theirs],
      ...slots,
    ], place.outlet);
    // The helper starts meanwhile.
    start.makeGroups?.(run.helper);
    run.serve({});
    return { run, socket };
  } catch (error) {
    closeFd(socket);
    run?.abort();
    run?.reap();
    throw error;
  } finally {
    closeFd(theirs);
  }
}

/** Ends the talk, and waits for criu's end: it undoes what it was about to do.
 *
 * @returns its wait status */
export function endCriu({ run, socket }: Criu): number | undefined {
  closeFd(socket);
  run.close();
  return run.reap();
}

/** Hears of what criu has come to; a descriptor that comes along is closed
 * afterwards. What it throws makes criu fail, and is thrown then. */
export type Heard = (
  script: string,
  pid: number,
  fds: readonly number[],
) => void;

function receive(socket: number, heard: (fds: number[]) => void): Answer {
  const buffer = new Uint8Array(LONGEST);
  const packet = receivePacket(socket, buffer);
  if (packet === undefined) {
    throw new ContainerError("Cannot go on: criu has ended without an answer", {
      code: "criu-died",
      hint: "The kernel's log (dmesg) may say more",
      exitCode: 1,
    });
  }
  heard(packet.fds);
  return decodeAnswer(buffer.subarray(0, packet.length));
}

/**
 * Asks criu for something, and answers it until it is done.
 *
 * @returns its answer, also one that says that it has failed
 * @throws {ContainerError} when it dies, or what `heard` throws
 */
export function askCriu(
  { socket }: Criu,
  request: readonly Field[],
  heard: Heard = () => {},
): Answer {
  send(socket, request);
  let refused: { error: unknown } | undefined;
  for (;;) {
    let fds: number[] = [];
    try {
      const answer = receive(socket, (it) => fds = it);
      if (answer.type !== REQUEST.notify || answer.notify === undefined) {
        if (refused !== undefined) throw refused.error;
        return answer;
      }
      try {
        heard(answer.notify.script, answer.notify.pid, fds);
      } catch (error) {
        refused ??= { error };
      }
    } catch (error) {
      throw refused?.error ?? error;
    } finally {
      fds.forEach(closeFd);
    }
    // notify_success
    const good = refused === undefined ? 1 : 0;
    send(socket, [[1, REQUEST.notify], [3, good]]);
  }
}

function send(socket: number, request: readonly Field[]): void {
  try {
    sendWithFds(socket, encodeMessage(request));
  } catch (error) {
    // Its end says so when the answer is waited for.
    if (!(error instanceof SyscallError) || error.code !== "EPIPE") throw error;
  }
}

/**
 * Checks that criu is new enough, and can do what is asked for.
 *
 * @throws {ContainerError} when it is not, or this kernel lacks it
 */
export function checkCriu(
  place: Place,
  program: string,
  needs: { memTrack?: boolean; lazyPages?: boolean } = {},
): void {
  const ask = (request: readonly Field[]) => {
    const criu = startCriu({ place, program, streams: false });
    try {
      return askCriu(criu, request);
    } finally {
      endCriu(criu);
    }
  };
  const { version } = ask([[1, REQUEST.version]]);
  const { major, minor } = version ?? { major: 0, minor: 0 };
  if (major < OLDEST[0] || major === OLDEST[0] && minor < OLDEST[1]) {
    throw new ContainerError(
      `Cannot use criu ${major}.${minor}: it is too old`,
      {
        code: "criu-old",
        hint: `Install criu ${OLDEST.join(".")} or newer`,
        exitCode: 1,
      },
    );
  }
  if (!needs.memTrack && !needs.lazyPages) return;
  const { features } = ask([
    [1, REQUEST.featureCheck],
    [5, [[1, needs.memTrack], [2, needs.lazyPages]]],
  ]);
  const missing = needs.memTrack && !features?.memTrack
    ? "track changes of memory (--pre-dump, --parent-path)"
    : needs.lazyPages && !features?.lazyPages
    ? "move memory later (--lazy-pages)"
    : undefined;
  if (missing === undefined) return;
  throw new ContainerError(
    `Cannot ${missing}: criu says that this kernel cannot`,
    {
      code: "criu-feature",
      hint: "criu check --all says what is missing",
      exitCode: 1,
    },
  );
}

/** Ends a container that is not to be. */
export function giveUp({ run, socket }: Criu): void {
  // Its processes have not run; criu undoes what it has not finished.
  if (socket >= 0) closeFd(socket);
  run.abort();
  run.reap();
}
