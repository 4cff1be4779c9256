/**
 * `run --detach` of an engine: create and start in one, or nothing.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { createContainer } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { startContainer } from "./start.ts";
import type { Place, Warn } from "./model.ts";

/**
 * Runs a container that nobody watches.
 *
 * @throws {ContainerError} when it cannot be made or started; nothing is left
 */
export function createAndStart(
  config: Config,
  facts: Facts,
  place: Place,
  warn: Warn,
): void {
  try {
    createContainer(config, facts, place, warn);
  } catch (error) {
    throw wordPlanError(error, config, facts);
  }
  try {
    startContainer(config.id, place);
  } catch (failed) {
    const error = wordPlanError(failed, config, facts);
    try {
      deleteContainer(config.id, true, place, warn);
    } catch (failure) {
      if (error instanceof ContainerError) error.suppressed.push(failure);
    }
    throw error;
  }
}
