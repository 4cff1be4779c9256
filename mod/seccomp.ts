/**
 * Seccomp: profiles in, filters out, without libseccomp.
 *
 * @module
 */

export {
  type Arch,
  archName,
  AUDIT_ARCH,
  type NativeArch,
  syscallNumber,
} from "./seccomp/arch.ts";
export { type CompiledSeccomp, compileSeccomp } from "./seccomp/compile.ts";
export {
  defaultSeccomp,
  defaultSeccompKey,
  type SeccompHost,
} from "./seccomp/default.ts";
export { seccompCacheKey } from "./seccomp/key.ts";
export {
  readSeccompUse,
  type SeccompProfile,
  type SeccompUse,
} from "./seccomp/profile.ts";
export { resolveSeccompFile, type SeccompFile } from "./seccomp/file.ts";
