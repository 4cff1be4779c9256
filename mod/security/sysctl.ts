/**
 * Sysctls: only those that belong to a namespace of the container's own; any
 * other would be set for the whole host.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { NamespaceType } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";

const IPC = new Set([
  "kernel/msgmax",
  "kernel/msgmnb",
  "kernel/msgmni",
  "kernel/sem",
  "kernel/shmall",
  "kernel/shmmax",
  "kernel/shmmni",
  "kernel/shm_rmid_forced",
]);

/**
 * Returns the path below /proc/sys of a sysctl's name. With a slash before any
 * dot the name is a path already and its dots stay ("net/ipv4/conf/eth0.1/..");
 * else dots separate and a slash stands for a dot, sysctl(8).
 */
export function sysctlPath(name: string): string {
  const dot = name.indexOf(".");
  const slash = name.indexOf("/");
  if (slash >= 0 && (dot < 0 || slash < dot)) return name;
  return name.replace(/[./]/g, (it) => it === "." ? "/" : ".");
}

/** The namespace that a sysctl belongs to, or undefined: it is the host's. */
function namespaceOf(path: string): NamespaceType | undefined {
  if (IPC.has(path) || path.startsWith("fs/mqueue/")) return "ipc";
  if (path.startsWith("net/")) return "network";
  if (path === "kernel/domainname") return "uts";
  if (path.startsWith("user/")) return "user";
  return undefined;
}

/**
 * Plans the sysctls, through slot "proc": proc_sys(5).
 *
 * @throws {ContainerError} for one that is not the container's own, or whose
 * name is no path
 */
export function planSysctls(config: Config): Op[] {
  const entries = Object.entries(config.spec.linux?.sysctl ?? {});
  return entries.map(([name, value]): Op => {
    const path = sysctlPath(name);
    const from = `linux.sysctl["${name}"]`;
    const parts = path.split("/");
    if (parts.some((it) => it === "" || it === "." || it === "..")) {
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
    const namespace = namespaceOf(path);
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
          hint: `Add a namespace of type "${namespace}"`,
        },
      );
    }
    return {
      do: "write",
      at: "proc",
      path: `sys/${path}`,
      data: new TextEncoder().encode(value),
      flags: 0,
      why: `set ${path.replaceAll("/", ".")} to "${value}"`,
      from,
    };
  });
}
