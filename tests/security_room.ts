/**
 * What tests of the security manager share.
 *
 * @module
 */

import type { Process, Spec } from "../mod/config/schema.ts";

/** A process with `cwd` and what the test is about. */
export const of = (process: Partial<Process>): Partial<Spec> => ({
  process: { cwd: "/", ...process },
});

const MAPS = [{ containerID: 0, hostID: 1000, size: 1 }];

export const USERNS = {
  linux: {
    namespaces: [{ type: "user" as const }],
    uidMappings: MAPS,
    gidMappings: MAPS,
  },
};
