/**
 * linux.netDevices: host devices that move into the container's network
 * namespace with their addresses; config-linux.md "Network Devices".
 *
 * @module
 */

import { SyscallError } from "../../../ffi/errno.ts";
import {
  findLink,
  makeUpMessage,
  moveLink,
  readAddresses,
} from "../../../ffi/netlink.ts";
import type { Config } from "../../config/config.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { type Op, type Phased, SYNC } from "../../plan.ts";
import type { NetDevice } from "../model.ts";

function cannotMove(host: string, cause: SyscallError): ContainerError {
  const taken = cause.code === "EEXIST";
  return new ContainerError(
    `Cannot move the network device "${host}" into the container (linux.netDevices): ${cause.message}`,
    {
      code: "net-device",
      hint: cause.code === "ENODEV"
        ? "ip link shows the devices there are"
        : cause.code === "EINVAL"
        ? "It belongs to its network namespace, as lo does: leave it out"
        : taken
        ? "A device of that name is in the container already: give it another"
        : "It needs CAP_NET_ADMIN on the host",
      cause,
    },
  );
}

/**
 * Looks up the devices on the host.
 *
 * @throws {ContainerError} when one is not there, or would be called as what the
 * container has itself
 */
export function inspectNetDevices(config: Config): NetDevice[] {
  const wanted = Object.entries(config.spec.linux?.netDevices ?? {});
  return wanted.map(([host, { name }]) => {
    // Found out by the kernel when the device is there already, and would go
    // with the namespace.
    if ((name || host) === "lo" && namespaceUse(config, "network") === "new") {
      throw new ContainerError(
        `Cannot move the network device "${host}" into the container (linux.netDevices): it has a "lo" of its own`,
        { code: "net-device", hint: "Leave it out, or give it another name" },
      );
    }
    try {
      const index = findLink(host);
      return {
        host,
        index,
        name: name || host,
        addresses: readAddresses(index),
      };
    } catch (cause) {
      if (!(cause instanceof SyscallError)) throw cause;
      throw cannotMove(host, cause);
    }
  });
}

/** Moves the devices to the process that is in the new network namespace. */
export function moveNetDevices(
  devices: readonly NetDevice[],
  pid: number,
): void {
  for (const { host, index, name } of devices) {
    try {
      moveLink(index, pid, name);
    } catch (cause) {
      if (!(cause instanceof SyscallError)) throw cause;
      throw cannotMove(host, cause);
    }
  }
}

/** The container's side: wait for the devices, then addresses, then up. */
export function planNetDevices(devices: readonly NetDevice[]): Phased {
  if (devices.length === 0) return {};
  const from = "linux.netDevices";
  const ops: Op[] = [{
    do: "sync",
    id: SYNC.netDevices,
    why: "let the host move the network devices",
    from,
  }];
  for (const { name, addresses } of devices) {
    for (const message of addresses) {
      ops.push({
        do: "netlink",
        name,
        message,
        why: `give ${name} an address that it had on the host`,
        from,
      });
    }
    ops.push({
      do: "netlink",
      name,
      message: makeUpMessage(),
      why: `bring ${name} up`,
      from,
    });
  }
  return { network: ops };
}
