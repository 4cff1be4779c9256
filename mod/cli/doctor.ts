/**
 * `rustyrun doctor`.
 *
 * @module
 */

import { flagOn } from "../config/flags/use.ts";
import { examine, type Finding } from "../doctor.ts";
import { gatherFacts } from "../host.ts";
import type { Call } from "./call.ts";
import { printStdout } from "./report.ts";

/** The findings as text for a person; what several have in common
 * is said once, behind the last of them. */
export function formatFindings(findings: readonly Finding[]): string {
  const mark = { fine: "ok", lacks: "--", fails: "NO" };
  const width = Math.max(...findings.map((it) => it.name.length));
  return findings.map((it, at) =>
    `${mark[it.verdict]}  ${it.name.padEnd(width)}  ${it.detail}\n` +
    (it.fix === undefined || it.fix === findings[at + 1]?.fix
      ? ""
      : `    ${"".padEnd(width)}  fix: ${it.fix}\n`)
  ).join("");
}

/** Prints what this machine allows; exit code 1 when `run --rootfs DIR` could
 * not work for this user. */
export function run(call: Call): number {
  const findings = examine(gatherFacts(call.caller));
  const works = findings.every((it) => it.verdict !== "fails");
  printStdout(
    call,
    flagOn(call.flags, "json")
      ? JSON.stringify({ works, findings }) + "\n"
      : formatFindings(findings) +
        (works
          ? "\nrustyrun run --rootfs DIR works for this user.\n"
          : "\nrustyrun run --rootfs DIR cannot work for this user.\n"),
  );
  return works ? 0 : 1;
}
