/**
 * What tests of errors of run share.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Box, CliOptions } from "../harness.ts";
import type { Need } from "../needs.ts";

export const ROOT: Need[] = ["root", "helper", "busybox"];

export interface Row {
  name: string;
  prepare?: (box: Box) => void;
  /** Words after `run --rootfs ROOTFS --name ID`. */
  args: (box: Box) => string[];
  code: number;
  message: string;
  hint: string;
  options?: CliOptions;
}

export function expectError(
  got: { code: number; stdout: string; stderr: string },
  row: Pick<Row, "code" | "message" | "hint">,
  rootfs: string,
): void {
  const message = row.message.replaceAll("ROOTFS", rootfs);
  assertEquals(
    got.stderr,
    `rustyrun: ${message}\n  hint: ${row.hint}\n`,
  );
  assertEquals([got.code, got.stdout], [row.code, ""]);
}
