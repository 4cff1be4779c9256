/**
 * The files of a sandbox, seen from the program.
 *
 * @module
 */

import { readCaller } from "../caller.ts";
import { resolvePath } from "../config/flags/use.ts";
import type { Change } from "../container/inside/changes.ts";
import type { ListedFile } from "../container/inside/files.ts";
import type { CallArgs, CallResult } from "./engine/calls.ts";
import { invalidOption } from "./flags.ts";

/** How large a file may be that is read whole. */
const FILE_MAX = 64 << 20;

/** @throws {ContainerError} `invalid-option` for what is no text */
function checkPath(path: unknown): string {
  if (typeof path === "string") return path;
  throw invalidOption("path", path, "is no path", 'Give one such as "/work/a"');
}

const resolve = (path: string) =>
  resolvePath(readCaller().directory, checkPath(path));

/** What is asked about a container. */
export type BoxCall =
  | "readBoxFile"
  | "writeBoxFile"
  | "listBoxFiles"
  | "removeBoxFile"
  | "copyIntoBox"
  | "copyOutOfBox"
  | "listBoxChanges"
  | "applyBoxChanges"
  | "countBox"
  | "pauseBox"
  | "resumeBox";
/** What a call takes beside the container. */
export type Rest<T> = T extends [unknown, ...infer R] ? R : never;

/** What a sandbox has of files. Paths are those of the container, from its root;
 * nothing in it leads out. */
export abstract class SandboxFiles extends EventTarget {
  /** @ignore asks the engine about this container */
  protected abstract ask<K extends BoxCall>(
    name: K,
    ...args: Rest<CallArgs<K>>
  ): Promise<CallResult<K>>;

  /**
   * Reads a regular file of the container; links are followed inside its root.
   *
   * @param options `max`: how many bytes it may have, 64 MiB unless told
   * @throws {ContainerError} `file-missing`, `file-kind`, `file-too-large`,
   * `file-access`, `file-path`
   */
  async readFile(
    path: string,
    options: { max?: number } = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { max = FILE_MAX } = options;
    if (!Number.isSafeInteger(max) || max < 0) {
      throw invalidOption(
        "max",
        max,
        "is not a number of bytes",
        "Give a whole number, such as 1048576",
      );
    }
    return await this.ask("readBoxFile", checkPath(path), max);
  }

  /** Reads a regular file as text; as {@linkcode Sandbox.readFile}. */
  async readTextFile(
    path: string,
    options: { max?: number } = {},
  ): Promise<string> {
    return new TextDecoder().decode(await this.readFile(path, options));
  }

  /**
   * Writes a regular file in the container, and makes the directories of its path
   * that are missing. What is made is the sandbox's user's.
   *
   * @param options `mode`: permissions, 0644 for a new one; `append`: behind what
   * it holds
   * @throws {ContainerError} `file-kind`, `file-access`, `file-path`
   */
  async writeFile(
    path: string,
    data: string | Uint8Array,
    options: { mode?: number; append?: boolean } = {},
  ): Promise<void> {
    const bytes = typeof data === "string"
      ? new TextEncoder().encode(data)
      : data;
    if (!(bytes instanceof Uint8Array)) {
      throw invalidOption(
        "data",
        data,
        "is nothing to write",
        "Give a text or a Uint8Array",
      );
    }
    // A view is copied element by element on its way to another thread: 0.5 s for
    // a megabyte; what it shows is not.
    const { buffer } = bytes.slice();
    await this.ask("writeBoxFile", checkPath(path), buffer, options);
  }

  /**
   * Lists a directory of the container, by name.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.readFile}
   */
  async list(path: string): Promise<ListedFile[]> {
    return await this.ask("listBoxFiles", checkPath(path));
  }

  /**
   * Removes a file, a link or a directory of the container.
   *
   * @param options `recursive`: with all that is in it
   * @throws {ContainerError} as {@linkcode Sandbox.readFile}
   */
  async remove(
    path: string,
    options: { recursive?: boolean } = {},
  ): Promise<void> {
    const { recursive = false } = options;
    await this.ask("removeBoxFile", checkPath(path), recursive);
  }

  /**
   * Copies a file or a directory of the host into the container; links are copied
   * as links, devices, FIFOs and sockets are refused.
   *
   * @param source a path of the host's
   * @param path the name of the copy
   * @throws {ContainerError} as {@linkcode Sandbox.readFile}
   */
  async copyIn(source: string, path: string): Promise<void> {
    await this.ask("copyIntoBox", resolve(source), checkPath(path));
  }

  /**
   * Copies a file or a directory of the container to the host: at most 1 GiB, and
   * 100,000 files. Links are copied as links, which may point anywhere: who opens
   * one on the host follows it there.
   *
   * @param path what is copied
   * @param destination the name of the copy on the host, in a directory that is
   * there
   * @throws {ContainerError} as {@linkcode Sandbox.readFile}
   */
  async copyOut(path: string, destination: string): Promise<void> {
    await this.ask("copyOutOfBox", checkPath(path), resolve(destination));
  }

  /**
   * What it has made, changed and removed of its throw-away root (`ephemeral`),
   * by path; what is in other file systems (`tmpfs`, `volumes`) is not.
   *
   * @throws {ContainerError} `changes-unknown` where it has no such root
   */
  async changes(): Promise<Change[]> {
    return await this.ask("listBoxChanges");
  }

  /**
   * Takes changes over into the root file system that it was made of: directories
   * that are missing on the way are made. A link may point anywhere: who opens it
   * on the host follows it there. What was applied before an error stays.
   *
   * @param paths of {@linkcode SandboxFiles.changes}
   * @throws {ContainerError} `file-missing` where nothing has changed, and as
   * {@linkcode SandboxFiles.changes}
   */
  async apply(paths: readonly string[]): Promise<void> {
    if (!Array.isArray(paths)) {
      throw invalidOption("paths", paths, "is no list", "Give a list of paths");
    }
    await this.ask("applyBoxChanges", paths.map(checkPath));
  }
}
