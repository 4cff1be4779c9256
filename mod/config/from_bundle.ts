/**
 * Turns an OCI bundle and the flags of `run`, `create` into a configuration.
 *
 * @module
 */

import { readLinkSync } from "../../ffi/files.ts";
import { identifyFile } from "../../ffi/identity.ts";
import { closeFd } from "../../ffi/libc.ts";
import type { Caller } from "../caller.ts";
import type { Config } from "./config.ts";
import { type FlagsInput, readLaunchOptions } from "./flags/launch.ts";
import { cleanPath, flagOn, flagValue, resolvePath } from "./flags/use.ts";
import { checkId } from "./id.ts";
import { loadSpec, openBundle } from "./load.ts";

/** What a bundle is: opened once, so that all of it is of one directory. */
function readBundle(
  directory: string,
  file: string | undefined,
  uid: number,
) {
  const fd = openBundle(directory);
  const opened = `/proc/self/fd/${fd}`;
  try {
    const spec = loadSpec(directory, file, {
      mapsLater: uid !== 0,
      opened,
    });
    return { spec, bundle: readLinkSync(opened), seen: identifyFile(fd) };
  } finally {
    closeFd(fd);
  }
}

/**
 * Reads the bundle's config.json.
 *
 * @param input the command line; its first word is the container's id
 * @throws {ContainerError} when the id or the file is not valid
 */
export function configFromBundle(
  input: FlagsInput,
  caller: Pick<Caller, "directory" | "uid">,
): Config {
  const { flags, args } = input;
  const cwd = caller.directory;
  const id = checkId(args[0] ?? "");
  const directory = resolvePath(cwd, flagValue(flags, "bundle") || ".");
  const file = flagValue(flags, "config");
  const { spec, bundle, seen } = readBundle(
    directory,
    file === undefined ? undefined : resolvePath(cwd, file),
    caller.uid,
  );
  return {
    id,
    bundle,
    seenBundle: seen,
    mode: "oci",
    spec,
    // By its words, as runc takes it: no link is followed on the way.
    rootfs: cleanPath(resolvePath(bundle, spec.root?.path ?? "")),
    files: [],
    overwrites: [],
    stdin: true,
    init: false,
    ...readLaunchOptions(input, cwd),
    noNewKeyring: flagOn(flags, "no-new-keyring"),
    ...(spec.linux?.namespaces?.some((it) => it.type === "user" && !it.path) &&
        !spec.linux.uidMappings?.length
      ? { userns: "auto" as const }
      : {}),
    hostDevices: [],
    flags: new Map(),
  };
}
