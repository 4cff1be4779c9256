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
import type { StartedBox } from "./start.ts";

type Box = Pick<StartedBox, "files" | "owner">;

/** Reads a regular file of at most so many bytes. */
export function readBoxFile(
  { files }: Box,
  path: string,
  max: number,
): Uint8Array<ArrayBuffer> {
  return readFile(files, path, max);
}

/** Writes a regular file, and makes what is missing on the way. */
export function writeBoxFile(
  { files, owner }: Box,
  path: string,
  data: ArrayBuffer,
  options: { mode?: number; append?: boolean },
): void {
  writeFile(files, path, new Uint8Array(data), { ...owner, ...options });
}

/** Lists a directory. */
export function listBoxFiles({ files }: Box, path: string): ListedFile[] {
  return listDirectory(files, path);
}

/** Removes a file, a link or a directory. */
export function removeBoxFile(
  { files }: Box,
  path: string,
  recursive: boolean,
): void {
  removeFile(files, path, recursive);
}

/** Copies a file or a directory of the host's into the container. */
export function copyIntoBox(
  { files, owner }: Box,
  source: string,
  path: string,
): void {
  copyIn(source, files, path, owner);
}

/** Copies a file or a directory of the container's out. */
export function copyOutOfBox(
  { files }: Box,
  path: string,
  destination: string,
): void {
  copyOut(files, path, destination);
}
