import { assert, assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { compileSeccomp } from "../mod/seccomp.ts";
import { checkBpf, runBpf } from "./seccomp/bpf.ts";
import { questions, randomProfile, seeded } from "./seccomp/compare.ts";
import { makeOracle } from "./seccomp/oracle.ts";
for (const arch of ["x86_64", "aarch64"] as const) {
  Deno.test(`compileSeccomp() says what 200 random profiles say, ${arch}`, () => {
    for (let seed = 1; seed <= 200; seed++) {
      const profile = randomProfile(seed, arch, true);
      const bpf = checkBpf(compileSeccomp(profile, { arch }).filter);
      const oracle = makeOracle(profile, arch);
      for (const question of questions(profile, arch, seeded(seed), 100)) {
        const is = runBpf(bpf, question);
        const { verdict } = oracle(question);
        // Not assertEquals: a million of them take a minute.
        if (is !== verdict) {
          assertEquals({ seed, ...question, is }, {
            seed,
            ...question,
            is: verdict,
          });
        }
      }
    }
  });
}
