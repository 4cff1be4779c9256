/**
 * `--device DIR`: every device in a directory and below it, found once, so that
 * the nodes and the rules of the cgroup are of the same ones.
 *
 * @module
 */

import { lstatSync, readDirSync, statSync } from "../../../ffi/files.ts";
import type { Config } from "../../config/config.ts";
import { ContainerError, describeFileError } from "../../errors.ts";

type HostDevice = Config["hostDevices"][number];

/** The devices in a directory and below it; links are not followed. */
function listDevices(entry: HostDevice): HostDevice[] {
  const names = readDirSync(entry.host).map((it) => it.name).sort();
  return names.flatMap((name) => {
    const inner = {
      ...entry,
      host: `${entry.host}/${name}`,
      container: `${entry.container}/${name}`,
    };
    let info: Deno.FileInfo;
    try {
      info = lstatSync(inner.host);
    } catch (error) {
      // It was unplugged meanwhile.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
    if (info.isDirectory) return listDevices(inner);
    return info.isCharDevice || info.isBlockDevice ? [inner] : [];
  });
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory;
  } catch {
    // The managers say what is wrong with it.
    return false;
  }
}

/**
 * Puts the devices of a directory in its place.
 *
 * @returns the devices, with those that were given singly as they were
 * @throws {ContainerError} for a directory without any, or that cannot be read
 */
export function expandDevices(devices: readonly HostDevice[]): HostDevice[] {
  return devices.flatMap((entry) => {
    if (!isDirectory(entry.host)) return [entry];
    let found: HostDevice[];
    try {
      found = listDevices(entry);
    } catch (cause) {
      throw new ContainerError(
        `Cannot pass the devices in "${entry.host}": ${
          describeFileError(cause)
        }`,
        { code: "device-missing", hint: "Name the devices one by one", cause },
      );
    }
    if (found.length > 0) return found;
    throw new ContainerError(
      `Cannot pass the devices in "${entry.host}": there is none in it`,
      {
        code: "device-missing",
        hint: `Use --volume ${entry.host} for a directory`,
      },
    );
  });
}
