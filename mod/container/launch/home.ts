/**
 * What is looked up in the files of a container that is there: users, and homes.
 *
 * @module
 */

import { readInRoot } from "../../../ffi/rootfs.ts";
import type { Config } from "../../config/config.ts";
import { keepLast } from "../../config/environment.ts";
import {
  type ReadInRoot,
  type ResolvedUser,
  resolveUser,
} from "../../security.ts";

/** Reads the own passwd or group of a container that runs.
 *
 * @param first directory in /proc of its first process */
export function readInside(first: string): ReadInRoot {
  return (path) => readInRoot(`${first}/root`, path);
}

/** Looks up "app" or "app:staff" for another process of a container.
 *
 * @throws {ContainerError} when it has no such user
 */
export function findUserIn(
  config: Config,
  read: ReadInRoot,
  userName: string,
): ResolvedUser {
  const spec = { ...config.spec, process: { cwd: "/" } };
  return resolveUser({ ...config, spec, userName }, read);
}

/** HOME as for the first process: from the container's own passwd. */
export function applyHome(config: Config, read: ReadInRoot): void {
  const process = config.spec.process!;
  const env = keepLast(process.env ?? []);
  process.env = env;
  if (env.some((it) => it.startsWith("HOME=") && it !== "HOME=")) return;
  const user = resolveUser(config, read);
  process.env = [...env.filter((it) => it !== "HOME="), `HOME=${user.home}`];
}
