/**
 * linux.resources.blockIO as values of cgroup files (config-linux.md#block-io;
 * cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst, cgroup-v2.rst).
 *
 * @module
 */

import type { BlockIo } from "../config/schema.ts";
import type { Limit, Limits } from "./limits.ts";

const KEY = "linux.resources.blockIO";

const THROTTLES = [
  ["throttleReadBpsDevice", "read_bps_device", "rbps", "bytes read"],
  ["throttleWriteBpsDevice", "write_bps_device", "wbps", "bytes written"],
  ["throttleReadIOPSDevice", "read_iops_device", "riops", "reads"],
  ["throttleWriteIOPSDevice", "write_iops_device", "wiops", "writes"],
] as const;

/** io.weight (1 to 10000) for a v1 weight (10 to 1000). */
export function convertWeight(weight: number): number {
  return 1 + Math.trunc((weight - 10) * 9999 / 990);
}

/**
 * Adds the block I/O limits. A weight of 0 is unset; a rate of 0 no limit.
 *
 * @throws {ContainerError} for a weight outside 10 to 1000, and for a leaf
 * weight on v2
 */
export function addBlockIo(limits: Limits, io: BlockIo): void {
  const version = limits.version("blkio", KEY, io);
  if (version === undefined) return;
  const add = (limit: Omit<Limit, "controller" | "version">) =>
    limits.add({
      controller: version === 1 ? "blkio" : "io",
      version,
      ...limit,
    });
  const weigh = (
    from: string,
    weight: number | undefined,
    device: string,
    leaf: boolean,
  ) => {
    if (!weight) return;
    if (weight < 10 || weight > 1000) {
      limits.refuse(from, weight, "it must be between 10 and 1000");
    }
    if (leaf && version === 2) {
      limits.refuse(from, weight, "cgroup v2 has no leaf weight", {
        code: "limit-needs-v1",
        hint: "Leave it out on this machine",
      });
    }
    const why = "share of the disk when it is busy";
    const on = device === "" ? "" : `${device} `;
    const suffix = device === "" ? "" : "_device";
    if (version === 2) {
      // BFQ has its own file; without it, iocost's.
      add({
        file: "io.bfq.weight",
        value: `${on}${weight}`,
        instead: {
          file: "io.weight",
          value: `${on}${convertWeight(weight)}`,
        },
        why,
        from,
      });
    } else if (leaf) {
      add({
        file: `blkio.leaf_weight${suffix}`,
        value: `${on}${weight}`,
        why: `${why}, for the cgroup's own processes`,
        from,
      });
    } else {
      add({
        file: `blkio.weight${suffix}`,
        value: `${on}${weight}`,
        instead: { file: `blkio.bfq.weight${suffix}`, value: `${on}${weight}` },
        why,
        from,
      });
    }
  };
  weigh(`${KEY}.weight`, io.weight, "", false);
  weigh(`${KEY}.leafWeight`, io.leafWeight, "", true);
  for (const [i, d] of (io.weightDevice ?? []).entries()) {
    const from = `${KEY}.weightDevice[${i}]`;
    const device = `${d.major}:${d.minor}`;
    weigh(`${from}.weight`, d.weight, device, false);
    weigh(`${from}.leafWeight`, d.leafWeight, device, true);
  }
  for (const [name, v1, v2, what] of THROTTLES) {
    for (const [i, d] of (io[name] ?? []).entries()) {
      const none = BigInt(d.rate) === 0n;
      add({
        file: version === 1 ? `blkio.throttle.${v1}` : "io.max",
        value: `${d.major}:${d.minor} ${
          version === 1 ? d.rate : `${v2}=${none ? "max" : d.rate}`
        }`,
        why: `${what} per second on a device`,
        from: `${KEY}.${name}[${i}]`,
      });
    }
  }
}
