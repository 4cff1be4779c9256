/**
 * The end of a container's unit: apart from the driver that makes it, since who
 * removes a container needs no more of systemd than this.
 *
 * @module
 */

import { BusError } from "../../../ffi/sd_bus.ts";
import { ContainerError } from "../../errors.ts";
import type { Unit } from "../model.ts";
import { isGone, Manager, NO_BUS } from "./manager.ts";

/** The error for what systemd refuses. */
export function wordBus(
  what: string,
  error: unknown,
  hint?: string,
): ContainerError {
  if (!(error instanceof BusError)) throw error;
  return new ContainerError(`Cannot ${what}: ${error.message}`, {
    code: "systemd-refused",
    hint: hint ??
      (error.code === "org.freedesktop.DBus.Error.AccessDenied" ||
          error.code ===
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
        ? "Only root may ask the machine's systemd: a user's containers are for the user's own"
        : undefined),
    cause: error,
  });
}

/** Forgets how a unit ended. */
export function reset(manager: Manager, name: string): void {
  try {
    manager.call("ResetFailedUnit", "s", [name]);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Stops a unit, waits for that, and forgets how it ended. */
export function removeUnit(manager: Manager, name: string): void {
  try {
    manager.job("StopUnit", "ss", [name, "replace"]);
  } catch (error) {
    // The last process has ended, and so the unit.
    if (isGone(error)) return;
    throw error;
  }
  reset(manager, name);
}

/**
 * Removes what systemd has made for a container; what is gone already is fine.
 * Where systemd cannot be reached there is nothing to do: it removes a scope without
 * processes by itself, and whoever calls has seen to that.
 *
 * @param unit the container's, if it has one
 * @throws {ContainerError} when it stays
 */
export function stopUnit(unit: Unit | undefined): void {
  if (unit === undefined) return;
  const { name, buses } = unit;
  try {
    using manager = new Manager(buses);
    removeUnit(manager, name);
  } catch (error) {
    if (error instanceof ContainerError && error.code === NO_BUS) return;
    throw wordBus(`stop the unit "${name}"`, error);
  }
}
