/**
 * Sysctls: only those that belong to a namespace of the container's own; any
 * other would be set for the whole host.
 *
 * @module
 */

import { toBytes } from "../../ffi/bytes.ts";
import type { Config } from "../config/config.ts";
import { hintOwnNamespace, namespaceUse } from "../config/namespaces.ts";
import { findSysctlNamespace, readSysctlPath } from "../config/sysctl.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";

/**
 * Plans the sysctls, through slot "proc": proc_sys(5).
 *
 * @throws {ContainerError} for one that is not the container's own, or whose
 * name is no path
 */
export function planSysctls(config: Config): Op[] {
  const entries = Object.entries(config.spec.linux?.sysctl ?? {});
  return entries.map(([name, value]): Op => {
    const path = readSysctlPath(name);
    const from = `linux.sysctl["${name}"]`;
    if (path === undefined) {
      throw new ContainerError(
        `Cannot set the sysctl "${name}": it is not a name of one (${from})`,
        { code: "sysctl-name", hint: 'Write it as "net.ipv4.ip_forward"' },
      );
    }
    if (path === "kernel/hostname") {
      throw new ContainerError(
        `Cannot set the sysctl "${name}": the host name has a property of its own (${from})`,
        { code: "sysctl-hostname", hint: "Use hostname" },
      );
    }
    const namespace = findSysctlNamespace(path);
    if (namespace === undefined) {
      throw new ContainerError(
        `Cannot set the sysctl "${name}": it belongs to the whole host, not to a namespace (${from})`,
        { code: "sysctl-host", hint: "Set it on the host, outside rustyrun" },
      );
    }
    if (namespaceUse(config, namespace) === "inherit") {
      throw new ContainerError(
        `Cannot set the sysctl "${name}": the container has no ${namespace} namespace of its own (${from})`,
        {
          code: "sysctl-namespace",
          hint: hintOwnNamespace(config, namespace),
        },
      );
    }
    return {
      do: "write",
      at: "proc",
      path: `sys/${path}`,
      data: toBytes(value),
      flags: 0,
      why: `set ${path.replaceAll("/", ".")} to "${value}"`,
      from,
    };
  });
}
