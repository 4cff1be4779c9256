/**
 * The unit of a container: its name, and where systemd puts its cgroup.
 *
 * @module
 */

import { ContainerError } from "../../errors.ts";
import type { CgroupConfig } from "../model.ts";

/** A unit's name, and the slice that it lies in. */
export interface UnitNames {
  name: string;
  slice: string;
}

/** Our own prefix, where the configuration names none. */
const PREFIX = "rustyrun";

const FORM =
  'Write it as "slice:prefix:name": system.slice:rustyrun:web, or leave it out';

/** A word of ours in a unit's name: systemd escapes what it does not allow there,
 * systemd.unit(5). */
function escapeName(name: string): string {
  return name.replace(
    /[^-A-Za-z0-9:_.@]/g,
    (it) => `\\x${it.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/**
 * The unit that linux.cgroupsPath asks for: "slice:prefix:name" is the scope
 * "prefix-name.scope". What is empty is chosen here.
 *
 * @param token makes the name unique in friendly mode
 * @param user it is a unit of the user's own systemd
 * @throws {ContainerError} with runc's words for what is no such name
 */
export function nameUnit(
  { id, mode, spec }: Pick<CgroupConfig, "id" | "mode" | "spec">,
  token: string,
  user: boolean,
): UnitNames {
  const asked = spec.linux?.cgroupsPath ?? "";
  const refuse = (why: string): never => {
    throw new ContainerError(
      `Cannot use linux.cgroupsPath "${asked}": ${why}`,
      { code: "cgroups-path-invalid", hint: FORM },
    );
  };
  const parts = asked === "" ? ["", PREFIX, ""] : asked.split(":");
  if (parts.length !== 3) {
    refuse(
      `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "${asked}" instead`,
    );
  }
  const [slice, prefix, given] = parts as [string, string, string];
  // NAME_MAX is 255; the token alone makes it unique.
  const own = mode === "friendly" && asked === ""
    ? `${id.slice(0, 200)}-${token}`
    : id;
  const name = `${prefix}-${given === "" ? escapeName(own) : given}`;
  if (name.endsWith(".slice")) {
    refuse("a container is a scope, and that is the name of a slice");
  }
  if (!/^[-A-Za-z0-9:_.@\\]+$/.test(name) || name.length > 249) {
    refuse(`"${name}.scope" is no name of a unit`);
  }
  const place = slice === "" ? user ? "user.slice" : "system.slice" : slice;
  if (expandSlice(place) === undefined) {
    refuse(`invalid slice name: ${place}`);
  }
  return { name: `${name}.scope`, slice: place };
}

/**
 * Where systemd puts a slice: "a-b.slice" is "/a.slice/a-b.slice";
 * systemd.slice(5).
 *
 * @returns undefined for what is no slice
 */
export function expandSlice(slice: string): string | undefined {
  if (slice === "-.slice") return "";
  if (!/^[A-Za-z0-9:_.@\\][-A-Za-z0-9:_.@\\]*\.slice$/.test(slice)) {
    return undefined;
  }
  const parts = slice.slice(0, -".slice".length).split("-");
  if (parts.includes("")) return undefined;
  return parts.map((_, at) => `/${parts.slice(0, at + 1).join("-")}.slice`)
    .join("");
}
