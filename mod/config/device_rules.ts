/**
 * Containers of root's that no device rules hold, since they have no cgroup:
 * `run --rootfs` makes them so that they need none.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { type Facts, takesEarly } from "../host.ts";
import type { Config } from "./config.ts";
import { hasUserNamespace } from "./namespaces.ts";

/** Whether a container is such a one. A user's comes to no device that the user
 * could not open on the host; what a bundle wants is in its config.json. */
export function lacksDeviceRules(
  { cgroupManager, mode }: Pick<Config, "cgroupManager" | "mode">,
  { inUserns, uid }: Pick<Facts, "inUserns" | "uid">,
): boolean {
  return mode === "friendly" && cgroupManager === "disabled" && uid === 0 &&
    !inUserns;
}

/** What brings a container without a user namespace to devices that it was not
 * given: mknod(2); mounting a devtmpfs, or without nodev; open_by_handle_at(2)
 * in the host's devtmpfs, of which a file that is hidden is a mount. */
const REACHING: readonly string[] = [
  "CAP_MKNOD",
  "CAP_SYS_ADMIN",
  "CAP_DAC_READ_SEARCH",
];

/** The same with a user namespace, where nodev is not locked: mount(2) takes it
 * from the root file system and volumes. */
const UNLOCKING: readonly string[] = ["CAP_SYS_ADMIN"];

/**
 * Makes sure that a process cannot come to devices that no rules keep from it.
 *
 * @param wanted what cannot be done with a capability: "give the container"
 * @throws {ContainerError} for such a capability
 */
export function checkDeviceReach(
  config: Config,
  facts: Facts,
  wanted: string,
): void {
  if (!lacksDeviceRules(config, facts)) return;
  const userns = hasUserNamespace(config);
  if (userns && takesEarly(facts)) return;
  const all = Object.values(config.spec.process?.capabilities ?? {}).flat();
  const found = (userns ? UNLOCKING : REACHING)
    .filter((it) => all.includes(it));
  if (found.length === 0) return;
  throw new ContainerError(
    `Cannot ${wanted} ${
      found.join(", ")
    }: it has no device rules (--cgroup-manager disabled), and could use devices that it was not given`,
    {
      code: "device-rules-missing",
      hint: userns
        ? "Leave the capability out, or --cgroup-manager disabled, or run rustyrun with CAP_SYS_ADMIN"
        : "Leave the capability out, or --cgroup-manager disabled; with --userns it leads to no device",
    },
  );
}
