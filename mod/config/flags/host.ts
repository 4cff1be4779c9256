/**
 * What turning flags into a configuration needs of the caller's machine,
 * handed in so that tests can make it up.
 *
 * @module
 */

import type { Directory } from "./use.ts";

/** The caller's surroundings. */
export interface FlagsHost {
  /** The caller's environment. */
  env: Readonly<Record<string, string>>;
  /** The caller's working directory. */
  cwd: Directory;
  /** What stands for a bundle in the state: that directory, where there is one. */
  bundle: string;
  /** Directory of the containers' states, absolute. */
  states: string;
  /** The caller's effective ids. */
  uid: number;
  gid: number;
  /** Which of the standard streams are terminals. */
  isTerminal: {
    readonly stdin: boolean;
    readonly stdout: boolean;
    readonly stderr: boolean;
  };
  /** As Deno.readTextFileSync. */
  readTextFile(path: string): string;
  /** What a directory holds, by lstat(2); nothing where it cannot be read. */
  list(path: string): {
    name: string;
    kind: "directory" | "file" | "other";
    mode: number;
    size: number;
  }[];
  /** Whether the caller may read a file: root of a user namespace may not read
   * everybody's. */
  mayRead(path: string): boolean;
  /** Whether it is a symbolic link, wherever that leads. */
  isLink(path: string): boolean;
  /** As Deno.statSync. */
  stat(path: string): {
    isFile: boolean;
    isDirectory: boolean;
    dev: number;
    ino: number | null;
  };
}

/** Returns in a few words why a file could not be used. */
export function explainFileError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.NotADirectory) {
    return "a part of its path is not a directory";
  }
  if (
    error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable
  ) {
    return "permission denied";
  }
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.FilesystemLoop) {
    return "its symbolic links lead in a circle";
  }
  return error instanceof Error ? error.message : String(error);
}
