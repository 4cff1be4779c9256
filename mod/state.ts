/**
 * The state directory, ROOT/ID: who owns an id, and what later commands know
 * of a container. Safe against SIGKILL at every instruction: a directory
 * belongs to whoever holds its flock or, without a lock, to its state.json; one
 * with neither is rubbish that the next create takes over.
 *
 * @module
 */

export type {
  State,
  StateCgroup,
  StateClass,
  StateDir,
  StateProcess,
} from "./state/model.ts";
export {
  claimState,
  disownState,
  holdState,
  sleep,
} from "./state/directory.ts";
export {
  encodeState,
  makeExecFifo,
  publishState,
  readExitCode,
  readLeftovers,
  readSaved,
  readState,
  replaceFile,
  stageState,
  writeLeftovers,
  writeSaved,
  writeState,
} from "./state/files.ts";
export {
  bootId,
  describeProcess,
  findThread,
  isAlive,
  readProcess,
} from "./state/identity.ts";
export { lockState, tryLockState } from "./state/lock.ts";
export { listIds } from "./state/root.ts";
