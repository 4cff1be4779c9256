/**
 * The packets that the child stage sends: what of c/plan.h goes the other way.
 *
 * @module
 */

import { fromBytes } from "../../ffi/bytes.ts";

/** Kinds of packets from the child stage. c/plan.h: REPORT_*. */
export const REPORT = {
  /** An operation failed: index, errno, detail, text. */
  error: 1,
  /** `sync` waits for one byte: detail is its id, errno the process's pid as
   * it sees it itself (the host's, before `fork`). */
  sync: 2,
  /** `fork` made the container's first process: detail is its pid; the packet
   * carries its pidfd. */
  forked: 3,
  /** The next thing is execve; end of file after this means it worked. */
  aboutToExec: 4,
  /** `sendFd`: detail is the tag; the packet carries the descriptor. */
  fd: 5,
  /** `waitStart` goes on at the fifo, and nothing follows on this channel; or
   * `rest` waits for what follows. */
  waiting: 6,
  /** `remove` goes on, but something stays: the operation that names it by its
   * index, errno, and what of it. */
  stays: 7,
  /** The helper stays as the warden, and another process, `detail`, goes on. */
  split: 8,
} as const;

/** Size of a report packet in bytes. c/plan.h: struct report. */
export const REPORT_SIZE = 272;

/** One packet from the child stage. */
export interface Report {
  kind: number;
  /** Index of the operation in the plan. */
  index: number;
  /** errno, 0 for none. */
  errno: number;
  /** Depends on the kind. */
  detail: number;
  /** The kernel's own words (fscontext log) or the path that failed. */
  text: string;
}

/**
 * Decodes one packet from the child stage.
 *
 * @throws {RangeError} when the packet is not {@linkcode REPORT_SIZE} bytes
 */
export function decodeReport(packet: Uint8Array): Report {
  if (packet.length !== REPORT_SIZE) {
    throw new RangeError(
      `Cannot decode a report of ${packet.length} bytes: it must have ${REPORT_SIZE}`,
    );
  }
  const view = new DataView(packet.buffer, packet.byteOffset, REPORT_SIZE);
  const text = packet.subarray(16);
  const end = text.indexOf(0);
  return {
    kind: view.getUint32(0, true),
    index: view.getUint32(4, true),
    errno: view.getInt32(8, true),
    detail: view.getInt32(12, true),
    text: fromBytes(end < 0 ? text : text.subarray(0, end)),
  };
}
