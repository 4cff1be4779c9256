/** What the default filter says to splice(2) and its like, and to CLONE_PARENT, on
 * every architecture. */

import { assertEquals } from "@std/assert";
import { compileSeccomp, defaultSeccomp } from "../../mod/seccomp.ts";
import { AUDIT_ARCH, syscallNumber } from "../../mod/seccomp/arch.ts";
import { checkBpf, runBpf } from "./bpf.ts";
import { FAMILIES } from "./compare.ts";

const KERNEL = { major: 6, minor: 18 };
const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const EINVAL = 0x00050016;

const NO_OFFSET = [1n, 3n, 0n, 4096n];

for (const native of ["x86_64", "aarch64"] as const) {
  for (const [arch] of FAMILIES[native]) {
    Deno.test(`the default filter refuses what sleeps with a pipe's lock, and children of others, ${arch}`, () => {
      const say = (capabilities: readonly string[]) => {
        const host = { arch: native, capabilities, kernel: KERNEL };
        const { filter } = compileSeccomp(defaultSeccomp(host), {
          arch: native,
        });
        const bpf = checkBpf(filter);
        return (name: string, args: bigint[] = []) => {
          const nr = syscallNumber(arch, name);
          return nr === undefined
            ? "none"
            : runBpf(bpf, { nr, arch: AUDIT_ARCH[arch], args });
        };
      };
      const offset = [1n, 3n, arch === native ? 1n << 40n : 1n << 31n, 4096n];
      const [plain, admin] = [say(["CAP_CHOWN"]), say(["CAP_SYS_ADMIN"])];
      assertEquals([plain("splice"), admin("splice")], [EINVAL, ALLOW]);
      for (
        const name of [
          "sendfile",
          ...arch === "i386" || arch === "arm" ? ["sendfile64"] : [],
        ]
      ) {
        assertEquals(
          [plain(name, NO_OFFSET), plain(name, offset), admin(name, NO_OFFSET)],
          [EINVAL, ALLOW, ALLOW],
        );
      }
      // CLONE_PARENT, and a fork by clone(2).
      const clone = (flags: bigint) =>
        [plain, admin].map((it) => it("clone", [flags | 17n]));
      assertEquals([clone(0x8000n), clone(0n)], [[EPERM, ALLOW], [
        ALLOW,
        ALLOW,
      ]]);
      // These wait without it.
      assertEquals([plain("tee"), plain("vmsplice")], [ALLOW, ALLOW]);
    });
  }
}
