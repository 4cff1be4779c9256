/**
 * Files of a container, by safe paths inside its root.
 *
 * @module
 */

import { copyIn, copyOut } from "../../container/inside/copy.ts";
import {
  listDirectory,
  type ListedFile,
  readFile,
  removeFile,
  writeFile,
} from "../../container/inside/files.ts";
import type { Root } from "../../container/inside/rights.ts";
import { findVolumes } from "./owner.ts";
import type { StartedBox } from "./start.ts";

type Box = Pick<
  StartedBox,
  "id" | "pid" | "files" | "owner" | "strong" | "others" | "mounts" | "own"
>;

function rootOf(box: Box): Root {
  const { files, owner, others, mounts } = box;
  const strong = box.strong && !others;
  const volumes = strong || mounts ? undefined : findVolumes(box);
  return {
    ...{ fd: files, ...owner, strong, others, mounts },
    ...(volumes === undefined ? {} : { volumes }),
  };
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
