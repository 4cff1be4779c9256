/**
 * How a user's exec comes into the scope of a container. A user's cgroups lie below
 * the user's systemd, and a login's session does not: what starts there the kernel
 * lets nobody but root move over (cgroup-v2.rst, "Delegation Containment"). systemd
 * asks the machine's for it.
 *
 * @module
 */

import { statSync } from "../../../ffi/files.ts";
import { BusError } from "../../../ffi/sd_bus.ts";
import { ContainerError } from "../../errors.ts";
import type { Facts } from "../../host.ts";
import type { CgroupDir, Unit } from "../model.ts";
import { isDelegated } from "../placement.ts";
import { Manager } from "./manager.ts";

function stat(path: string): { uid: number; mode: number } | undefined {
  try {
    const { uid, mode } = statSync(path);
    return { uid: uid ?? 0, mode: mode ?? 0 };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Moves a process into the container's scope, where the caller may not do it
 * alone.
 *
 * @param to the v2 cgroup that it is to join, in the scope
 * @throws {ContainerError} when systemd refuses
 */
export function enterUnit(
  { dirs, unit }: { dirs: readonly CgroupDir[]; unit?: Unit | undefined },
  to: string | undefined,
  pid: number,
  facts: Pick<Facts, "uid" | "cgroups">,
): void {
  // The facts come last: the child stage waits, and it is two files of /proc.
  if (unit?.buses.kind !== "user" || to === undefined) return;
  const scope = dirs.find((it) => it.version === 2)?.path;
  const mount = facts.cgroups.find((it) => it.version === 2);
  if (
    scope === undefined || mount === undefined ||
    !`${to}/`.startsWith(`${scope}/`) ||
    isDelegated(`${to}/cgroup.procs`, mount, facts.uid, { stat })
  ) return;
  using manager = new Manager(unit.buses);
  try {
    manager.call("AttachProcessesToUnit", "ssau", [
      unit.name,
      to.slice(scope.length) || "/",
      [pid],
    ]);
  } catch (cause) {
    if (!(cause instanceof BusError)) throw cause;
    throw new ContainerError(
      `Cannot move the process into the unit "${unit.name}": ${cause.message}`,
      {
        code: "systemd-refused",
        hint:
          "Start it from inside the user's systemd: systemd-run --user --scope rustyrun exec ...",
        cause,
      },
    );
  }
}
