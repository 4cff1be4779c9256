/**
 * Runs other people's code in containers: without a daemon, as a library.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@rustyrun/rustyrun";
 *
 * await using box = await Sandbox.create({ rootfs: "/", ephemeral: true });
 * const { code, stdout } = await box.output(["ls", "/"]);
 * ```
 *
 * @module
 */

export {
  doctor,
  Sandbox,
  type SandboxEvents,
  type SandboxExit,
} from "./box/sandbox.ts";
export { SandboxPool } from "./box/pool.ts";
export { Run } from "./box/run.ts";
export type { Output } from "./box/output.ts";
export type {
  CreateOptions,
  Input,
  Limit,
  RunOptions,
  RunResult,
  SandboxOptions,
  SandboxStats,
  Size,
  SpawnOptions,
  WatchOptions,
} from "./box/options.ts";
export { ContainerError, type ContainerErrorOptions } from "./errors.ts";
export type { Change } from "./container/inside/changes.ts";
export type { ListedFile } from "./container/inside/files.ts";
export type { Explained } from "./explain.ts";
export type { Finding } from "./doctor.ts";
