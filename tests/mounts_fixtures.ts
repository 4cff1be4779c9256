/**
 * Configurations of mounts, and plans of them.
 *
 * @module
 */

import type { Mount, Spec } from "../mod/config/schema.ts";
import type { Config } from "../mod/config/config.ts";
import type { CgroupMount, Facts } from "../mod/host.ts";
import { type MountHost, planMounts } from "../mod/mounts.ts";
import { makeConfig, makeFacts, makeHost } from "./manager_fixtures.ts";

export const QUIET = ["nosuid", "noexec", "nodev"];

export const USERNS: Partial<Spec> = {
  linux: {
    namespaces: [{ type: "user" }, { type: "pid" }, { type: "mount" }],
    uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  },
  mounts: [{ destination: "/vol", source: "/src", options: ["rbind", "ro"] }],
};

export const plan = (
  spec: Partial<Spec> = {},
  facts: Partial<Facts> = {},
  host: Partial<MountHost> = {},
  config: Partial<Config> = {},
) => planMounts(makeConfig(spec, config), makeFacts(facts), makeHost(host));

export const DIRECTORY = { sources: new Map([[0, "directory" as const]]) };

/** What was looked at, by slot. */
export const ids = (...slots: string[]) => ({
  seen: new Map(slots.map((it, at) => [it, { dev: 7n, ino: BigInt(at) }])),
});

export const HIERARCHIES: CgroupMount[] = [
  {
    version: 1,
    controllers: ["cpu", "cpuacct"],
    path: "/sys/fs/cgroup/cpu,cpuacct",
    root: "/",
    own: "/user",
  },
  {
    version: 1,
    controllers: ["name=systemd"],
    path: "/sys/fs/cgroup/systemd",
    root: "/",
    own: "/",
  },
  {
    version: 2,
    controllers: ["hugetlb"],
    path: "/sys/fs/cgroup/unified",
    root: "/",
    own: "/",
  },
];

export const CGROUP: Mount[] = [{
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: [...QUIET, "ro"],
}];

export const OWN_CGROUP = [{ type: "pid" }, { type: "mount" }, {
  type: "cgroup",
}] as const;
