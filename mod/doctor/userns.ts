/**
 * What on this machine can forbid user namespaces to a user, and what allows them
 * again.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import { errnoOf } from "../../ffi/errno.ts";
import type { Facts } from "../host.ts";
import { mainFile } from "../program.ts";

/** Sysctls, as far as this kernel has them. */
export interface Switches {
  /** kernel.unprivileged_userns_clone, Debian's. */
  clone?: string | undefined;
  /** user.max_user_namespaces */
  max?: string | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns, Ubuntu's. */
  apparmor?: string | undefined;
}

function read(name: string): string | undefined {
  try {
    return readTextFileSync(`/proc/sys/${name}`).trim();
  } catch (error) {
    // A kernel without this switch is not blocked by it.
    if (errnoOf(error) === "") throw error;
    return undefined;
  }
}

/** Reads them of this machine. */
export const readSwitches = (): Switches => ({
  clone: read("kernel/unprivileged_userns_clone"),
  max: read("user/max_user_namespaces"),
  apparmor: read("kernel/apparmor_restrict_unprivileged_userns"),
});

/** The file that is started, by which AppArmor knows a program: a script is one
 * as well, and what it starts goes with it. */
export function findProgram(): string {
  const main = mainFile();
  return main?.endsWith(".js") ? main : Deno.execPath();
}

/** A file's name in a profile, apparmor.d(5): some characters are its own. */
function quote(path: string): string {
  return `"${path.replaceAll(/[\\?*[\]{}^"]/g, "\\$&")}"`;
}

/** A word in sh. */
const word = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * How root allows user namespaces to one program, and to no other.
 *
 * @param program its file
 */
export function allowProgram(program: string): string {
  const lines = [
    "abi <abi/4.0>,",
    "include <tunables/global>",
    `profile rustyrun ${quote(program)} flags=(unconfined) { userns, }`,
  ].map(word).join(" ");
  return `as root, allow this one program in AppArmor (a front: its own path): printf '%s\\n' ${lines} >/etc/apparmor.d/rustyrun && apparmor_parser -r /etc/apparmor.d/rustyrun`;
}

/** Whether AppArmor takes the capabilities from who makes a user namespace, or
 * forbids it. */
const isRestricted = (
  { apparmor }: Switches,
  { uid }: Pick<Facts, "uid">,
): boolean => apparmor === "1" && uid !== 0;

/** What helps where no user namespace can be made: keyed on the switch that
 * forbids it. */
export function fixUser(
  switches: Switches,
  facts: Pick<Facts, "uid" | "inUserns">,
  program: string,
): string {
  if (switches.clone === "0") {
    return "sysctl -w kernel.unprivileged_userns_clone=1";
  }
  if (switches.max === "0") return "sysctl -w user.max_user_namespaces=15000";
  if (isRestricted(switches, facts)) return allowProgram(program);
  return facts.inUserns
    ? "this is a container: start it with --security-opt seccomp=unconfined, or --privileged"
    : "a seccomp filter or a security module of the caller forbids it: run from a plain login";
}

/** What helps where a user namespace can be made, and nothing in it: Ubuntu's
 * AppArmor lets everybody make one, and takes its capabilities.
 *
 * @param other what helps where it is not that */
export function fixInside(
  switches: Switches,
  facts: Pick<Facts, "uid">,
  program: string,
  other: string,
): string {
  return isRestricted(switches, facts) ? allowProgram(program) : other;
}
