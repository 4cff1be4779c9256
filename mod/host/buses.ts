/**
 * Where the managers of systemd are spoken to: addresses of the D-Bus
 * Specification, as an environment gives them. Nothing is connected here.
 *
 * @module
 */

import { findVariable } from "../caller.ts";

/** Whose systemd: the machine's, or a user's own. */
export interface Buses {
  kind: "system" | "user";
  /** In the order in which they are tried. */
  addresses: readonly BusAddress[];
}

/** One address. */
export interface BusAddress {
  /** "unix:path=/run/dbus/system_bus_socket" */
  address: string;
  /** systemd itself is at the other end, and no bus. */
  direct: boolean;
}

/** A path in an address: what is not plain is escaped. */
function pathAddress(path: string): string {
  const bytes = new TextEncoder().encode(path);
  let text = "";
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    text += /[-0-9A-Za-z_/.]/.test(letter)
      ? letter
      : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return `unix:path=${text}`;
}

/**
 * Returns where systemd is spoken to; systemd(1) and sd_bus_default(3): the bus,
 * and without one systemd's private socket.
 *
 * @param user the user's own manager, and not the machine's
 */
export function findBuses(
  environment: readonly string[],
  user: boolean,
): Buses {
  const bus = (address: string) => ({ address, direct: false });
  const socket = (path: string) => ({
    address: pathAddress(path),
    direct: true,
  });
  if (!user) {
    const asked = findVariable(environment, "DBUS_SYSTEM_BUS_ADDRESS");
    return {
      kind: "system",
      addresses: [
        bus(asked || pathAddress("/run/dbus/system_bus_socket")),
        socket("/run/systemd/private"),
      ],
    };
  }
  const runtime = findVariable(environment, "XDG_RUNTIME_DIR");
  const session = findVariable(environment, "DBUS_SESSION_BUS_ADDRESS");
  return {
    kind: "user",
    addresses: [
      ...runtime ? [bus(pathAddress(`${runtime}/bus`))] : [],
      ...session ? [bus(session)] : [],
      ...runtime ? [socket(`${runtime}/systemd/private`)] : [],
    ],
  };
}
