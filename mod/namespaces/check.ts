/**
 * What of linux.namespaces, and of what rests on them, cannot be had at all.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { hintOwnNamespace, namespaceUse } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";

/**
 * Checks the list of namespaces, the names of the host and the id mappings.
 *
 * @throws {ContainerError} for what config-linux.md#namespaces rules out
 */
export function checkNamespaces(config: Config): void {
  const { spec } = config;
  const seen = new Set<string>();
  for (const [at, entry] of (spec.linux?.namespaces ?? []).entries()) {
    const key = `linux.namespaces[${at}]`;
    if (seen.has(entry.type)) {
      throw new ContainerError(
        `Cannot set up the namespaces: "${entry.type}" is listed twice (${key})`,
        { code: "namespace-duplicate", hint: "Remove one of the two entries" },
      );
    }
    seen.add(entry.type);
    if (entry.path && !entry.path.startsWith("/")) {
      throw new ContainerError(
        `Cannot join the ${entry.type} namespace "${entry.path}": the path must be absolute (${key})`,
        {
          code: "namespace-path",
          hint: "Write a path such as /proc/PID/ns/net",
        },
      );
    }
  }
  if (namespaceUse(config, "uts") === "inherit") {
    for (const key of ["hostname", "domainname"] as const) {
      if (!spec[key]) continue;
      throw new ContainerError(
        `Cannot set the ${key} "${
          spec[key]
        }": the container has no uts namespace of its own`,
        {
          code: "uts-namespace-missing",
          hint: `${hintOwnNamespace(config, "uts")}, or leave ${key} out`,
        },
      );
    }
  }
  const linux = spec.linux ?? {};
  if (
    namespaceUse(config, "user") === "new" &&
    !(linux.uidMappings?.length && linux.gidMappings?.length)
  ) {
    throw new ContainerError(
      "Cannot make a user namespace: linux.uidMappings and linux.gidMappings must both have an entry",
      {
        code: "id-mappings-missing",
        hint: 'Map at least id 0: [{"containerID":0,"hostID":1000,"size":1}]',
      },
    );
  }
  if (
    namespaceUse(config, "user") === "inherit" &&
    (linux.uidMappings?.length || linux.gidMappings?.length)
  ) {
    throw new ContainerError(
      "Cannot map ids: the container has no user namespace of its own",
      {
        code: "user-namespace-missing",
        hint: `${hintOwnNamespace(config, "user")}, or leave the mappings out`,
      },
    );
  }
}

/**
 * Checks that there is a namespace that network devices can be moved to.
 *
 * @throws {ContainerError} when the container has the caller's
 */
export function checkNetDevices(config: Config): void {
  if (namespaceUse(config, "network") !== "inherit") return;
  throw new ContainerError(
    "Cannot move network devices: the container has no network namespace of its own (linux.netDevices)",
    {
      code: "network-namespace-missing",
      hint: hintOwnNamespace(config, "network"),
    },
  );
}
