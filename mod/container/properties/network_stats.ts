/**
 * Counters of a container's network interfaces, for events.
 *
 * @module
 */

import { readTextFileSync } from "../../../ffi/files.ts";
import { findThread } from "../../state.ts";

/** One interface, with the names that runc's events have. */
export interface NetworkInterface {
  Name: string;
  RxBytes: number;
  RxPackets: number;
  RxErrors: number;
  RxDropped: number;
  TxBytes: number;
  TxPackets: number;
  TxErrors: number;
  TxDropped: number;
}

/** Parses /proc/PID/net/dev, proc_pid_net(5); the loopback interface is left
 * out. */
export function parseNetDev(text: string): NetworkInterface[] {
  return text.split("\n").slice(2).flatMap((line) => {
    const colon = line.indexOf(":");
    if (colon < 0) return [];
    const name = line.slice(0, colon).trim();
    const n = line.slice(colon + 1).trim().split(/\s+/).map(Number);
    return name === "lo" ? [] : [{
      Name: name,
      RxBytes: n[0] ?? 0,
      RxPackets: n[1] ?? 0,
      RxErrors: n[2] ?? 0,
      RxDropped: n[3] ?? 0,
      TxBytes: n[8] ?? 0,
      TxPackets: n[9] ?? 0,
      TxErrors: n[10] ?? 0,
      TxDropped: n[11] ?? 0,
    }];
  });
}

/** The interfaces of a process's network namespace, as a part of an event;
 * empty when there are none, or the process is gone. */
export function readNetwork(
  pid: number,
): { network_interfaces?: NetworkInterface[] } {
  let text: string;
  try {
    text = readTextFileSync(
      `${findThread(pid) ?? `/proc/${pid}`}/net/dev`,
    );
  } catch (error) {
    // ENOENT or, while it dies, EINVAL: then it counts no more.
    if (error instanceof Error) return {};
    throw error;
  }
  const found = parseNetDev(text);
  return found.length === 0 ? {} : { network_interfaces: found };
}
