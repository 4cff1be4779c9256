/**
 * What the checks of the doctor share.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { ContainerError } from "../errors.ts";

/** What one check found. */
export interface Finding {
  /** "user-namespace" */
  name: string;
  /** fails: `run --rootfs DIR` cannot work; lacks: something can be done
   * without; fine. */
  verdict: "fine" | "lacks" | "fails";
  /** What was found. */
  detail: string;
  /** What would change it. */
  fix?: string;
}

/** A container from flags, as far as a check needs one. */
export function probeConfig(resources: Record<string, unknown>): Config {
  return {
    id: "doctor",
    bundle: "/",
    mode: "friendly",
    spec: {
      ociVersion: "1.3.0",
      root: { path: "/" },
      linux: { namespaces: [{ type: "user" }], resources },
    },
    rootfs: "/",
    files: [],
    overwrites: [],
    stdin: false,
    init: false,
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    userns: "auto",
    hostDevices: [],
    cgroupManager: "auto",
    flags: new Map(),
  };
}

/** A finding of what was refused. */
export function asFinding(
  name: string,
  verdict: Finding["verdict"],
  { message, hint }: ContainerError,
): Finding {
  return {
    name,
    verdict,
    detail: message,
    ...(hint === undefined ? {} : { fix: hint }),
  };
}
