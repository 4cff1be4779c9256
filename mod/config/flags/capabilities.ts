/**
 * The capabilities of the process: `--cap-add`, `--cap-drop`.
 *
 * @module
 */

import { type Flags, flagUses, refuse } from "./use.ts";
import { DEFAULT_CAPABILITIES } from "./defaults.ts";
import { findNearest } from "./nearest.ts";

/** Every capability by its number, without CAP_ (linux/capability.h, 6.18). */
const CAPABILITY_NAMES: readonly string[] =
  ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP " +
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK " +
    "IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE " +
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM " +
    "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split(" ");

/** Returns the names in all uses of a flag, without CAP_. */
function readNames(flags: Flags, flag: string): Map<string, string> {
  const names = new Map<string, string>();
  for (const { value, typed } of flagUses(flags, flag)) {
    const name = value.toUpperCase().replace(/^CAP_/, "");
    if (name !== "ALL" && !CAPABILITY_NAMES.includes(name)) {
      const nearest = findNearest(name, CAPABILITY_NAMES);
      throw refuse(
        typed,
        `there is no capability "${value}"`,
        "capability",
        nearest === undefined
          ? "capabilities(7) lists them; ALL means every one"
          : `The nearest one is "${nearest}"`,
      );
    }
    names.set(name, typed);
  }
  return names;
}

/**
 * Returns the capabilities of the process, with CAP_, in the kernel's order.
 * ALL stands for every one; names in the other flag are exceptions to it.
 *
 * @param withoutNodes whether there is no CAP_MKNOD unless it is named
 * @throws {ContainerError} for a name that there is not, or that is both added
 * and dropped
 */
export function readCapabilities(
  flags: Flags,
  withoutNodes: boolean,
): string[] {
  const defaults = withoutNodes
    ? DEFAULT_CAPABILITIES.filter((n) => n !== "MKNOD")
    : DEFAULT_CAPABILITIES;
  if (!flags.has("cap-add") && !flags.has("cap-drop")) {
    return CAPABILITY_NAMES.filter((n) => defaults.includes(n))
      .map((n) => `CAP_${n}`);
  }
  const add = readNames(flags, "cap-add");
  const drop = readNames(flags, "cap-drop");
  for (const [name, typed] of add) {
    if (drop.has(name)) {
      throw refuse(
        typed,
        `"${drop.get(name)}" says the opposite`,
        "capability",
        "Leave one of them out",
      );
    }
  }
  const base = add.has("ALL")
    ? CAPABILITY_NAMES
    : drop.has("ALL")
    ? []
    : defaults;
  return CAPABILITY_NAMES.filter((name) =>
    (base.includes(name) || add.has(name)) && !drop.has(name)
  ).map((name) => `CAP_${name}`);
}
