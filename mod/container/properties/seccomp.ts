/**
 * The seccomp filter of a configuration, compiled or from the cache.
 *
 * @module
 */

import { readTextFileSync } from "../../../ffi/files.ts";
import type { Config } from "../../config/config.ts";
import type { Linux } from "../../config/schema.ts";
import { parseSeccompFile } from "../../config/seccomp_file.ts";
import { BEFORE_LISTENER } from "../../config/seccomp_rules.ts";
import { ContainerError } from "../../errors.ts";
import type { Facts } from "../../host.ts";
import {
  compileSeccomp,
  defaultSeccomp,
  defaultSeccompKey,
  readSeccompUse,
  resolveSeccompFile,
  seccompCacheKey,
  type SeccompFile,
  type SeccompHost,
  type SeccompProfile,
} from "../../seccomp.ts";
import { readCache, writeCache } from "./seccomp_cache.ts";
import type { Filter } from "../model.ts";

/** ROOT/.cache/seccomp: filters by the hash of their profile. */
const CACHE = ".cache/seccomp";

function readProfile(path: string): SeccompFile {
  let text: string;
  try {
    text = readTextFileSync(path);
  } catch (cause) {
    throw new ContainerError(
      `Cannot read the seccomp profile "${path}": ${
        cause instanceof Deno.errors.NotFound
          ? "no such file or directory"
          : cause instanceof Error
          ? cause.message
          : cause
      }`,
      {
        code: "seccomp-profile",
        hint: "--security-opt seccomp=FILE takes a profile in docker's JSON",
        cause,
      },
    );
  }
  return parseSeccompFile(text, path) as SeccompFile;
}

/** Refuses what would wait for ever, as runc does. */
function refuseDeadlock(profile: SeccompProfile): void {
  const notify = "SCMP_ACT_NOTIFY";
  const bad = profile.defaultAction === notify
    ? "the default action"
    : profile.syscalls?.filter((it) => it.action === notify)
      .flatMap((it) => it.names)
      .find((it) => BEFORE_LISTENER.includes(it));
  if (bad === undefined) return;
  throw new ContainerError(
    `Cannot use SCMP_ACT_NOTIFY for ${
      bad.startsWith("the") ? bad : `"${bad}"`
    } (linux.seccomp): it is needed before the supervisor has the listener`,
    {
      code: "seccomp-notify",
      hint: "Allow it, and ask the supervisor about other calls",
    },
  );
}

function seccompHost(config: Config, facts: Facts): SeccompHost {
  return {
    arch: facts.arch,
    kernel: facts.kernel,
    capabilities: config.spec.process?.capabilities?.bounding ?? [],
  };
}

/**
 * The filter that a configuration asks for.
 *
 * @param root where state, and the cache of filters, is kept
 * @returns undefined for none (`seccomp=unconfined`, or no linux.seccomp)
 * @throws {ContainerError} when the profile cannot be applied
 */
export function loadFilter(
  config: Config,
  facts: Facts,
  root: string,
): Filter | undefined {
  if (config.seccompProfile === "unconfined") return undefined;
  const profile = findProfile(config, facts);
  if (profile === undefined) return undefined;
  const isDefault = profile === "default";
  const host = seccompHost(config, facts);
  const key = isDefault
    ? defaultSeccompKey(host)
    : seccompCacheKey(profile, facts.arch);
  if (!isDefault) refuseDeadlock(profile);
  const cached = readCache(root, CACHE, key);
  if (cached !== undefined) {
    const { flags, notify } = isDefault
      ? { flags: 0, notify: false }
      : readSeccompUse(profile);
    return { filter: cached, flags, notify };
  }
  const compiled = compileSeccomp(isDefault ? defaultSeccomp(host) : profile, {
    arch: facts.arch,
  });
  writeCache(root, CACHE, key, compiled.filter);
  return compiled;
}

/** The profile that rules. One from a file goes into the configuration, so that
 * from here on the saved copy rules and not the file. */
function findProfile(
  config: Config,
  facts: Facts,
): SeccompProfile | "default" | undefined {
  if (config.seccompProfile !== undefined) {
    const file = readProfile(config.seccompProfile);
    const profile = resolveSeccompFile(file, seccompHost(config, facts));
    config.spec.linux = {
      ...config.spec.linux,
      seccomp: profile as NonNullable<Linux["seccomp"]>,
    };
    delete config.seccompProfile;
    return profile;
  }
  const own = config.spec.linux?.seccomp as SeccompProfile | undefined;
  return own ?? (config.mode === "friendly" ? "default" : undefined);
}
