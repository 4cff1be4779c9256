/**
 * What turning flags into a configuration needs of this very machine.
 *
 * @module
 */

import {
  isLink,
  lstatSync,
  openSync,
  readDirSync,
  readTextFileSync,
  statSync,
} from "../../../ffi/files.ts";
import type { Caller } from "../../caller.ts";
import { ContainerError } from "../../errors.ts";
import type { FlagsHost } from "./host.ts";

function byName(environment: Caller["environment"]): FlagsHost["env"] {
  return Object.fromEntries(
    environment.map((it) => {
      const at = it.indexOf("=");
      return [it.slice(0, at), it.slice(at + 1)];
    }),
  );
}

/** The current directory; "/" where it was deleted. */
function directoryOrTop({ directory }: Caller): string {
  try {
    return directory();
  } catch (error) {
    if (error instanceof ContainerError) return "/";
    throw error;
  }
}

/** The caller's surroundings.
 *
 * @param root directory of the containers' states */
export function flagsHost(root: string, caller: Caller): FlagsHost {
  const { isTerminal } = caller;
  return {
    states: root.startsWith("/") ? root : `${caller.directory()}/${root}`,
    env: byName(caller.environment),
    cwd: caller.directory,
    bundle: directoryOrTop(caller),
    uid: caller.uid,
    gid: caller.gid,
    isTerminal: {
      get stdin() {
        return isTerminal(0);
      },
      get stdout() {
        return isTerminal(1);
      },
      get stderr() {
        return isTerminal(2);
      },
    },
    readTextFile: readTextFileSync,
    list: listDirectory,
    mayRead,
    isLink,
    stat: statSync,
  };
}

function listDirectory(path: string): ReturnType<FlagsHost["list"]> {
  try {
    return readDirSync(path).map(({ name }) => {
      const { isDirectory, isFile, mode, size } = lstatSync(
        `${path}/${name}`,
      );
      const kind = isDirectory ? "directory" : isFile ? "file" : "other";
      return { name, kind, mode: mode ?? 0, size };
    });
  } catch (error) {
    if (
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotFound
    ) return [];
    throw error;
  }
}

function mayRead(path: string): boolean {
  try {
    openSync(path).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
