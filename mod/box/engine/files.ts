/**
 * Files of a container, by safe paths inside its root.
 *
 * @module
 */

import { O } from "../../../ffi/constants.ts";
import { readTextFileSync } from "../../../ffi/files.ts";
import { openFd } from "../../../ffi/libc.ts";
import { parseMounts } from "../../container/checkpoint/external.ts";
import { copyIn, copyOut } from "../../container/inside/copy.ts";
import {
  listDirectory,
  type ListedFile,
  readFile,
  removeFile,
  writeFile,
} from "../../container/inside/files.ts";
import type { Root } from "../../container/inside/rights.ts";
import { findOwn } from "./owner.ts";
import type { StartedBox } from "./start.ts";

type Box = Pick<
  StartedBox,
  "files" | "owner" | "strong" | "others" | "mounts" | "own"
>;

/**
 * Opens a container's root, before a command of its has run: from then on names may
 * be anybody's.
 *
 * @throws {SyscallError} when its first process has ended
 */
export function openBox(
  { pid, places }: Pick<StartedBox, "pid" | "places">,
): Pick<StartedBox, "files" | "own"> {
  const text = readTextFileSync(`/proc/${pid}/mountinfo`);
  return {
    own: findOwn(parseMounts(text), places),
    files: openFd(`/proc/${pid}/root`, O.PATH),
  };
}

function rootOf({ files, owner, others, mounts, ...box }: Box): Root {
  const strong = box.strong && !others;
  const own = new Set(box.own);
  return { fd: files, ...owner, strong, others, mounts, own };
}

/** Reads a regular file of at most so many bytes. */
export function readBoxFile(
  box: Box,
  path: string,
  max: number,
): Uint8Array<ArrayBuffer> {
  return readFile(rootOf(box), path, max);
}

/** Writes a regular file, and makes what is missing on the way. */
export function writeBoxFile(
  box: Box,
  path: string,
  data: ArrayBuffer,
  options: { mode?: number; append?: boolean },
): void {
  writeFile(rootOf(box), path, new Uint8Array(data), options);
}

/** Lists a directory. */
export function listBoxFiles(box: Box, path: string): ListedFile[] {
  return listDirectory(rootOf(box), path);
}

/** Removes a file, a link or a directory. */
export function removeBoxFile(
  box: Box,
  path: string,
  recursive: boolean,
): void {
  removeFile(rootOf(box), path, recursive);
}

/** Copies a file or a directory of the host's into the container. */
export function copyIntoBox(
  box: Box,
  source: string,
  path: string,
): void {
  copyIn(source, rootOf(box), path);
}

/** Copies a file or a directory of the container's out. */
export function copyOutOfBox(
  box: Box,
  path: string,
  destination: string,
): void {
  copyOut(rootOf(box), path, destination);
}
