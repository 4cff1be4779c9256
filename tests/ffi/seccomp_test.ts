/**
 * The differential test of the filter compiler: the same verdict as
 * libseccomp's filter for every system call number and argument class, or a
 * difference that is listed here with its reason.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  AUDIT_ARCH,
  compileSeccomp,
  defaultSeccomp,
  type NativeArch,
  resolveSeccompFile,
  type SeccompProfile,
  syscallNumber,
} from "../../mod/seccomp.ts";
import { testOn } from "../needs.ts";
import { checkBpf, runBpf } from "../seccomp/bpf.ts";
import {
  FAMILIES,
  type Question,
  questions,
  randomProfile,
  seeded,
} from "../seccomp/compare.ts";
import { makeOracle, rulesOf } from "../seccomp/oracle.ts";
import docker from "../seccomp/docker.json" with { type: "json" };
import podman from "../seccomp/podman.json" with { type: "json" };
import {
  compileWithLibseccomp,
  Conflict,
  resolveName,
  TOKENS,
} from "./seccomp_library.ts";

const KERNEL = { major: 6, minor: 18 };

/** Every difference to libseccomp there is: the verdicts may differ where
 * `covers` says so. Ours is always what {@linkcode makeOracle} reads off.
 *
 * Beyond that: libseccomp refuses two rules with the same conditions and
 * different actions ({@linkcode Conflict}), does not know calls newer than
 * itself, and has no ENOSYS for calls newer than the profile (runc adds it). */
const DIFFERENCES: {
  name: string;
  reason: string;
  covers: (profile: SeccompProfile, question: Question) => boolean;
}[] = [
  {
    name: "i386 multiplexers",
    reason:
      "The arguments of a call made through socketcall or ipc are behind a pointer. libseccomp drops the condition on the first argument and compares registers that mean nothing with the others, so that a rule that allows on conditions allows all, and one that refuses can be avoided. Ours allows none and refuses all.",
    covers: (profile, { of, nr }) =>
      of === "i386" && (nr === 102 || nr === 117) &&
      profile.syscalls!.some(({ args }) => args?.length),
  },
  {
    name: "several orders on one call",
    reason:
      "libseccomp merges the rules of a call into one tree. With several rules that order an argument (LT, LE, GE, GT) or conditions of which several hold and whose actions differ, the tree does not say what the rules say. Ours: the first rule that holds.",
    covers: (profile, question) =>
      rulesOf(profile, question).filter(({ args }) => args?.length).length > 1,
  },
];

interface Comparison {
  asked: number;
  different: Record<string, number>;
  ours: number;
  theirs: number;
}

/** Asks both filters everything; throws on a difference that is not listed. */
function compare(
  profile: SeccompProfile,
  native: NativeArch,
  seed: number,
): Comparison {
  const known = {
    ...profile,
    syscalls: (profile.syscalls ?? []).map((rule) => ({
      ...rule,
      names: rule.names.filter((name) => resolveName(name) !== -1),
    })).filter(({ names }) => names.length),
  };
  const ours = checkBpf(compileSeccomp(known, { arch: native }).filter);
  const theirs = checkBpf(compileWithLibseccomp(known));
  const oracle = makeOracle(known, native);
  const result: Comparison = {
    asked: 0,
    different: {},
    ours: ours.length / 2,
    theirs: theirs.length / 2,
  };
  for (const question of questions(known, native, seeded(seed))) {
    result.asked++;
    const is = runBpf(ours, question);
    const { verdict, stub } = oracle(question);
    const want = stub ? verdict : runBpf(theirs, question);
    if (is === want && is === verdict) continue;
    const listed = DIFFERENCES.find(({ covers }) => covers(known, question));
    if (!listed || is !== verdict) {
      throw new Error(describe(known, question, { is, want, verdict }));
    }
    result.different[listed.name] = (result.different[listed.name] ?? 0) + 1;
  }
  return result;
}

function describe(
  profile: SeccompProfile,
  question: Question,
  verdicts: Record<string, number>,
): string {
  return JSON.stringify(
    {
      ...question,
      ...verdicts,
      rules: rulesOf(profile, question),
      default: [profile.defaultAction, profile.defaultErrnoRet],
    },
    (_, value) =>
      typeof value === "bigint"
        ? `0x${value.toString(16)}`
        : typeof value === "number" && value > 4096
        ? `0x${value.toString(16)}`
        : value,
  );
}

const DEFAULTS = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];
const SETS: Record<string, string[]> = {
  "no capability": [],
  "Docker's capabilities": DEFAULTS,
  "CAP_SYS_ADMIN too": [...DEFAULTS, "CAP_SYS_ADMIN"],
  "CAP_SYS_PTRACE, CAP_BPF, CAP_SYS_TIME": [
    "CAP_SYS_PTRACE",
    "CAP_BPF",
    "CAP_SYS_TIME",
  ],
  "every capability that counts": [
    ...DEFAULTS,
    ...new Set(docker.syscalls.flatMap((rule) => rule.includes?.caps ?? [])),
  ],
};

for (const arch of ["x86_64", "aarch64"] as const) {
  for (const [name, capabilities] of Object.entries(SETS)) {
    const host = { arch, capabilities, kernel: KERNEL };
    const profiles = {
      default: defaultSeccomp(host),
      podman: resolveSeccompFile(podman, host),
    };
    for (const [which, profile] of Object.entries(profiles)) {
      testOn(
        ["libseccomp"],
        `compileSeccomp() agrees with libseccomp: ${which} profile, ${arch}, ${name}`,
        () => {
          const { asked, different, ours, theirs } = compare(profile, arch, 1);
          if (Deno.env.get("RUSTYRUN_FIGURES")) {
            console.log(which, arch, name, { asked, ours, theirs });
          }
          // socketcall(SOCKET): libseccomp allows it for the conditions of
          // socket; Docker's and podman's profiles allow it themselves.
          assertEquals(
            Object.keys(different),
            which === "default" && arch === "x86_64"
              ? ["i386 multiplexers"]
              : [],
          );
        },
      );
    }
  }

  testOn(
    ["libseccomp"],
    `compileSeccomp() agrees with libseccomp: 300 random profiles, ${arch}`,
    () => {
      const different: Record<string, number> = {};
      let asked = 0;
      let refused = 0;
      for (let seed = 1; seed <= 300; seed++) {
        let result: Comparison;
        try {
          result = compare(randomProfile(seed, arch, false), arch, seed);
        } catch (error) {
          if (!(error instanceof Conflict)) throw error;
          refused++;
          continue;
        }
        asked += result.asked;
        for (const [name, count] of Object.entries(result.different)) {
          different[name] = (different[name] ?? 0) + count;
        }
      }
      if (Deno.env.get("RUSTYRUN_FIGURES")) {
        console.log(arch, { asked, different, refused });
      }
      assertEquals(
        Object.keys(different),
        arch === "x86_64" ? ["i386 multiplexers"] : [],
      );
      assert(refused < 100);
    },
  );

  for (const [name, listed] of FAMILIES[arch]) {
    testOn(
      ["libseccomp"],
      `syscallNumber() agrees with libseccomp: ${name}`,
      () => {
        const names = new Set(
          [...docker.syscalls, ...podman.syscalls].flatMap((rule) =>
            rule.names
          ),
        );
        for (const call of names) {
          const number = resolveName(call, TOKENS[listed]!);
          // Below 0: a name that the architecture has not, or has another way.
          if (number < 0) {
            if (name !== "i386" && resolveName(call) !== -1) {
              assertEquals(
                [call, syscallNumber(name, call)],
                [call, undefined],
              );
            }
            continue;
          }
          assertEquals([call, syscallNumber(name, call)], [call, number]);
        }
      },
    );
  }
}

testOn(
  ["libseccomp"],
  "compileSeccomp() differs from libseccomp at several orders on one call",
  () => {
    const le = (value: bigint) => ({
      names: ["kill"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 1, value, op: "SCMP_CMP_LE" }],
    });
    const profile: SeccompProfile = {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [le(0xffffffff00000000n), le(40n), le(0x100000001n)],
    };
    const { different } = compare(profile, "x86_64", 1);
    assertEquals(Object.keys(different), ["several orders on one call"]);
  },
);

Deno.test("AUDIT_ARCH has libseccomp's values but for x32", () => {
  assertEquals(AUDIT_ARCH, {
    x86_64: TOKENS.SCMP_ARCH_X86_64!,
    i386: TOKENS.SCMP_ARCH_X86!,
    x32: TOKENS.SCMP_ARCH_X86_64!,
    aarch64: TOKENS.SCMP_ARCH_AARCH64!,
    arm: TOKENS.SCMP_ARCH_ARM!,
  });
});
