/**
 * What is asked of systemd's manager, org.freedesktop.systemd1(5): one connection
 * for each request, in the thread that makes it.
 *
 * @module
 */

import { Bus, BusError, type BusValue } from "../../../ffi/sd_bus.ts";
import { ContainerError } from "../../errors.ts";
import type { Buses } from "../../host/buses.ts";
import type { UnitProperty } from "../model.ts";

const SYSTEMD = "org.freedesktop.systemd1";
const OBJECT = "/org/freedesktop/systemd1";
const MANAGER = `${SYSTEMD}.Manager`;
/** For how long a job may do nothing, in seconds. */
const JOB_SECONDS = 30;

/** What is told of a connection that cannot be had. */
const HINTS = {
  user:
    "A user's systemd is there after a login (ssh, machinectl shell) with dbus-user-session installed, or after loginctl enable-linger USER; XDG_RUNTIME_DIR must name its directory, /run/user/UID. Without it: --cgroup-manager cgroupfs",
  system:
    "Is systemd what started this machine, and does this process see /run/dbus and /run/systemd? Elsewhere use --cgroup-manager cgroupfs (podman has the same flag; for Docker and containerd native.cgroupdriver=cgroupfs and SystemdCgroup = false)",
};

/** The error of a systemd that cannot be reached. */
export const NO_BUS = "systemd-unreachable";

function whose(kind: Buses["kind"]): string {
  return kind === "user" ? "the user's systemd" : "systemd";
}

function cannotReach({ kind, addresses }: Buses, cause: unknown) {
  const why = addresses.length === 0
    ? "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"
    : cause instanceof BusError && cause.code === "library"
    ? cause.message
    : `nobody answers at ${addresses.map((it) => it.address).join(", ")}${
      cause instanceof Error ? ` (${cause.message})` : ""
    }`;
  return new ContainerError(
    `Cannot reach ${whose(kind)} by D-Bus, which is to make the cgroup: ${why}`,
    {
      code: NO_BUS,
      hint: cause instanceof BusError && cause.code === "library"
        ? "Install libsystemd (Debian, Ubuntu: libsystemd0), or use --cgroup-manager cgroupfs"
        : HINTS[kind],
      cause,
    },
  );
}

/** A connection to a manager, which tells of its jobs. */
export class Manager {
  readonly #bus: Bus;

  /** @throws {ContainerError} {@linkcode NO_BUS} */
  constructor(buses: Buses) {
    let first: unknown;
    let bus: Bus | undefined;
    for (const { address, direct } of buses.addresses) {
      try {
        bus = connect(address, direct);
        break;
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        first ??= error;
      }
    }
    if (bus === undefined) throw cannotReach(buses, first);
    this.#bus = bus;
  }

  /** Calls a method of the manager's.
   *
   * @throws {BusError} */
  call(
    member: string,
    signature: string,
    values: readonly BusValue[],
    read = "",
  ): (string | number)[] {
    return this.#bus.call(
      { destination: SYSTEMD, path: OBJECT, interface: MANAGER, member },
      signature,
      values,
      read,
    );
  }

  /**
   * Calls a method that starts a job, and waits for the job's end.
   *
   * @returns how it ended: "done", "failed", "timeout", ...; undefined when it did
   * not
   * @throws {BusError}
   */
  job(
    member: string,
    signature: string,
    values: readonly BusValue[],
  ): string | undefined {
    const [job] = this.call(member, signature, values, "o");
    let result: string | undefined;
    this.#bus.await(MANAGER, "JobRemoved", "uoss", ([, path, , how]) => {
      if (path !== job) return false;
      result = String(how);
      return true;
    }, JOB_SECONDS);
    return result;
  }

  /** Its cgroup, as "/user.slice/user-1000.slice/user@1000.service".
   *
   * @throws {BusError} */
  controlGroup(): string {
    return this.#group(OBJECT, MANAGER);
  }

  /** The cgroup of a scope that is there; "" where it has none (any more).
   *
   * @throws {BusError} also for a unit that is no scope */
  groupOf(unit: string): string {
    const [path] = this.call("GetUnit", "s", [unit], "o");
    return this.#group(String(path), `${SYSTEMD}.Scope`);
  }

  #group(path: string, face: string): string {
    const [group = ""] = this.#bus.call(
      {
        destination: SYSTEMD,
        path,
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
      },
      "ss",
      [face, "ControlGroup"],
      "v",
    );
    return String(group);
  }

  [Symbol.dispose](): void {
    this.#bus.close();
  }
}

/** Connects, and subscribes before anything is asked for: so no signal is
 * missed. */
function connect(address: string, direct: boolean): Bus {
  const bus = new Bus(address, direct);
  try {
    if (!direct) {
      bus.call(
        {
          destination: "org.freedesktop.DBus",
          path: "/org/freedesktop/DBus",
          interface: "org.freedesktop.DBus",
          member: "AddMatch",
        },
        "s",
        [
          `type='signal',sender='${SYSTEMD}',path='${OBJECT}',interface='${MANAGER}',member='JobRemoved'`,
        ],
      );
    }
    bus.call(
      {
        destination: SYSTEMD,
        path: OBJECT,
        interface: MANAGER,
        member: "Subscribe",
      },
      "",
      [],
    );
    return bus;
  } catch (error) {
    bus.close();
    throw error;
  }
}

/** Properties as a method takes them, "a(sv)". */
export function asValues(properties: readonly UnitProperty[]): BusValue {
  return properties.map(({ name, signature, value }) => [
    name,
    { signature, value },
  ]);
}

/** Whether an error says that there is no such unit. */
export function isGone(error: unknown): boolean {
  return error instanceof BusError && error.code === `${SYSTEMD}.NoSuchUnit`;
}

/** Whether an error says that the unit is there already. */
export function isThere(error: unknown): boolean {
  return error instanceof BusError && error.code === `${SYSTEMD}.UnitExists`;
}
