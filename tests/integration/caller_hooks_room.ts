/**
 * A hook that writes down what it sees.
 *
 * @module
 */

import { type Caller, makeSpec, type Spec } from "./caller.ts";

export const NEEDS = ["root", "helper", "busybox", "python3"] as const;

export const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export type Kind = typeof KINDS[number];

/** Lays hooks into a bundle: /hooks is the same directory for the host and for
 * the container, by one path. */
export function hookSpec(
  caller: Caller,
  hooks: Partial<Record<Kind, Spec[]>>,
  over: Spec = {},
): Spec {
  const spec = makeSpec(caller.id, over);
  spec["hostname"] = "inside";
  spec["mounts"].push({
    destination: caller.dir,
    type: "bind",
    source: caller.dir,
    options: ["rbind", "rw"],
  });
  spec["hooks"] = hooks;
  return spec;
}

/** A hook that is a line of shell. */
export function shell(line: string, over: Spec = {}): Spec {
  return { path: "/bin/sh", args: ["sh", "-c", line], ...over };
}
