/**
 * The seccomp filter of a configuration, compiled or from the cache.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import type { Facts } from "../host.ts";
import {
  type CompiledSeccomp,
  compileSeccomp,
  defaultSeccomp,
  defaultSeccompKey,
  readSeccompUse,
  seccompCacheKey,
  type SeccompHost,
  type SeccompProfile,
} from "../seccomp.ts";
import type { Filter } from "./order.ts";

/** ROOT/.cache/seccomp: filters by the hash of their profile. ROOT belongs to
 * the caller alone, so that nobody else can put one there. */
const CACHE = ".cache/seccomp";

function readCached(path: string): Uint8Array | undefined {
  try {
    const bytes = Deno.readFileSync(path);
    return bytes.length > 0 && bytes.length % 8 === 0 ? bytes : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A cache that cannot be written is no reason to fail: it is only a cache. */
function writeCached(dir: string, name: string, filter: Uint8Array): void {
  try {
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    const temporary = `${dir}/.${name}.${Deno.pid}`;
    Deno.writeFileSync(temporary, filter, { mode: 0o600 });
    Deno.renameSync(temporary, `${dir}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return;
    if (error instanceof Error && /os error (28|30)/.test(error.message)) {
      return;
    }
    throw error;
  }
}

function readProfile(path: string): SeccompProfile {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
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
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ContainerError(
      `Cannot read the seccomp profile "${path}": ${
        cause instanceof Error ? cause.message : cause
      }`,
      { code: "seccomp-profile", hint: "It must be JSON", cause },
    );
  }
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
  const options = {
    arch: facts.arch,
    noNewPrivileges: config.spec.process?.noNewPrivileges === true,
  };
  let key: string;
  let profile: SeccompProfile | undefined;
  if (config.seccompProfile === undefined && config.mode === "friendly") {
    key = defaultSeccompKey(seccompHost(config, facts));
  } else {
    profile = config.seccompProfile === undefined
      ? config.spec.linux?.seccomp as SeccompProfile | undefined
      : readProfile(config.seccompProfile);
    if (profile === undefined) return undefined;
    key = seccompCacheKey(profile, facts.arch);
  }
  const cached = readCached(`${root}/${CACHE}/${key}`);
  if (cached !== undefined) {
    const use = profile === undefined
      ? { flags: 0, notify: false }
      : readSeccompUse(profile);
    return { filter: cached, flags: use.flags, notify: use.notify };
  }
  profile ??= defaultSeccomp(seccompHost(config, facts));
  const compiled: CompiledSeccomp = compileSeccomp(profile, options);
  writeCached(`${root}/${CACHE}`, key, compiled.filter);
  return compiled;
}
