/**
 * `rustyrun doctor`.
 *
 * @module
 */

import { flagOn } from "../config/flags/use.ts";
import { examine, formatFindings } from "../doctor.ts";
import { gatherFacts } from "../host.ts";
import type { Call } from "./main.ts";
import { printStdout } from "./report.ts";

/** Prints what this machine allows; exit code 1 when `run --rootfs DIR` could
 * not work for this user. */
export function run(call: Call): number {
  const findings = examine(gatherFacts());
  const works = findings.every((it) => it.verdict !== "fails");
  printStdout(
    flagOn(call.flags, "json")
      ? JSON.stringify({ works, findings }) + "\n"
      : formatFindings(findings) +
        (works
          ? "\nrustyrun run --rootfs DIR works for this user.\n"
          : "\nrustyrun run --rootfs DIR cannot work for this user.\n"),
  );
  return works ? 0 : 1;
}
