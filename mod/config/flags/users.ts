/**
 * Who the command runs as: `--user`, and how ids are mapped: `--userns`.
 *
 * @module
 */

import type { IdMapping, Spec } from "../schema.ts";
import { type Flags, flagTyped, flagValue, refuse } from "./use.ts";
import { parseInteger } from "./numbers.ts";
import type { FlagsHost } from "./host.ts";

/** 2^32-1 is "no id" to the kernel. */
const MAX_ID = 4294967294;

/**
 * Sets the ids of the process. A user that is not root keeps the capabilities
 * only in its bounding set, as execve(2) would have it, and as docker does.
 */
export function setUser(
  spec: Spec,
  uid: number,
  gid: number,
  additionalGids: number[] = [],
): void {
  const process = spec.process!;
  process.user = {
    uid,
    gid,
    ...(additionalGids.length ? { additionalGids } : {}),
  };
  if (uid !== 0 && process.capabilities) {
    process.capabilities = { bounding: process.capabilities.bounding ?? [] };
  }
}

/**
 * Returns the ids of `--user`, or the text as typed when a part of it is a
 * name, which is looked up in the root file system later. Digits are always a
 * number, whatever the image's passwd says (CVE-2016-3697); a number without a
 * group has group 0.
 *
 * @throws {ContainerError} when it is neither
 */
export function readUser(
  flags: Flags,
): { uid: number; gid: number } | string | undefined {
  const text = flagValue(flags, "user");
  if (text === undefined) return undefined;
  const parts = text.split(":");
  const numbers: (number | undefined)[] = [];
  for (const part of parts) {
    const number = parseInteger(part, 0, MAX_ID);
    numbers.push(number);
    if (
      parts.length > 2 ||
      (number === undefined && !/^[A-Za-z_][A-Za-z0-9_.@-]*\$?$/.test(part))
    ) {
      throw refuse(
        flagTyped(flags, "user"),
        `"${text}" is not a user`,
        "user",
        "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
      );
    }
  }
  if (numbers.includes(undefined)) return text;
  return { uid: numbers[0]!, gid: numbers[1] ?? 0 };
}

/** How the ids of the container are mapped. */
export interface Userns {
  /** "" for no user namespace. */
  mode: "" | "auto" | "keep-id" | "mapped";
  mapping?: IdMapping;
}

/**
 * Returns what `--userns` asks for; without it, "auto" for who is not root.
 *
 * @throws {ContainerError} for a mode that there is not, for numbers that are
 * no range, and for "host" when not root
 */
export function readUserns(flags: Flags, host: FlagsHost): Userns {
  const mode = flagValue(flags, "userns");
  const typed = flagTyped(flags, "userns");
  switch (mode) {
    case undefined:
      return { mode: host.uid === 0 ? "" : "auto" };
    case "auto":
    case "keep-id":
      return { mode };
    case "host":
      if (host.uid === 0) return { mode: "" };
      throw refuse(
        typed,
        "only root can do without a user namespace",
        "userns",
        "Leave it out, or run rustyrun as root",
      );
  }
  const parts = mode.split(":");
  const [containerID, hostID, size] = parts.map((p) =>
    parseInteger(p, 0, MAX_ID)
  );
  if (
    parts.length !== 3 || containerID === undefined || hostID === undefined ||
    !size || containerID + size > MAX_ID + 1 || hostID + size > MAX_ID + 1
  ) {
    throw refuse(
      typed,
      `"${mode}" is not a mode`,
      "userns",
      "Write host, auto, keep-id, or three numbers: first id inside, first id on the host, how many (0:100000:65536)",
    );
  }
  return { mode: "mapped", mapping: { containerID, hostID, size } };
}
