/**
 * Names of kernel parameters, and which namespace owns each: a parameter that
 * no namespace of the container owns would change the host.
 *
 * @module
 */

import type { NamespaceType } from "./schema.ts";

/** Parameters of the ipc namespace: ipc_namespaces(7). */
const IPC = " msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced ";

/**
 * Returns the path below /proc/sys of a kernel parameter, or undefined when
 * the name is not one.
 *
 * As in sysctl(8) the first separator decides: in "net.ipv4.conf.eth0/1.mtu"
 * a slash stands for a dot of a name, and "net/ipv4/conf/eth0.1/mtu" is a path
 * as it stands.
 */
export function readSysctlPath(key: string): string | undefined {
  const dot = key.indexOf(".");
  const slash = key.indexOf("/");
  const parts = dot >= 0 && (slash < 0 || dot < slash)
    ? key.split(".").map((part) => part.replaceAll("/", "."))
    : key.split("/");
  if (parts.length < 2 || /[\s\0]/.test(key)) return undefined;
  for (const part of parts) {
    if (part === "" || part === "." || part === "..") return undefined;
  }
  return parts.join("/");
}

/**
 * Returns the namespace that owns the parameter at a path below /proc/sys, or
 * undefined when none does.
 */
export function findSysctlNamespace(path: string): NamespaceType | undefined {
  if (path.startsWith("net/")) return "network";
  if (path.startsWith("fs/mqueue/")) return "ipc";
  if (path.startsWith("user/")) return "user";
  if (!path.startsWith("kernel/")) return undefined;
  const name = path.slice("kernel/".length);
  if (name === "hostname" || name === "domainname") return "uts";
  return IPC.includes(` ${name} `) ? "ipc" : undefined;
}
