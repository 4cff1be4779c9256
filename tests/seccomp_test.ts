/** The filter compiler, read against the profiles themselves. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import {
  compileSeccomp,
  defaultSeccomp,
  type NativeArch,
  resolveSeccompFile,
  type SeccompProfile,
} from "../mod/seccomp.ts";
import { AUDIT_ARCH } from "../mod/seccomp/arch.ts";
import { checkBpf, runBpf } from "./seccomp/bpf.ts";
import {
  FAMILIES,
  questions,
  randomProfile,
  seeded,
  withDifferences,
} from "./seccomp/compare.ts";
import { makeOracle } from "./seccomp/oracle.ts";
import docker from "./seccomp/docker.json" with { type: "json" };

const KERNEL = { major: 6, minor: 18 };
const ALLOW = 0x7fff0000;
const KILL = 0;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;

/** Compares filters made from two profiles, or one with the oracle. */
function assertSame(
  profile: SeccompProfile,
  arch: NativeArch,
  other: SeccompProfile,
  most = 100,
): void {
  const bpf = checkBpf(compileSeccomp(profile, { arch }).filter);
  const oracle = makeOracle(other, arch);
  for (const question of questions(other, arch, seeded(1), most)) {
    const is = runBpf(bpf, question);
    const { verdict } = oracle(question);
    // assertEquals alone would take a minute for a million of them.
    if (is !== verdict) assertEquals([question, is], [question, verdict]);
  }
}

/** The verdict on one call of x86_64. */
function verdict(
  profile: SeccompProfile,
  nr: number,
  args: bigint[] = [],
  arch = AUDIT_ARCH.x86_64,
): number {
  const { filter } = compileSeccomp(profile, { arch: "x86_64" });
  return runBpf(checkBpf(filter), { nr, arch, args });
}

for (const arch of ["x86_64", "aarch64"] as const) {
  Deno.test(`compileSeccomp() says what 60 random profiles say, ${arch}`, () => {
    for (let seed = 1; seed <= 60; seed++) {
      const profile = randomProfile(seed, arch, true);
      assertSame(profile, arch, profile);
    }
  });

  Deno.test(`compileSeccomp() jumps further than 255 instructions, ${arch}`, () => {
    const names = docker.syscalls[0]!.names;
    const profile: SeccompProfile = {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: FAMILIES[arch].map(([, name]) => name),
      syscalls: names.slice(0, 120).map((name, value) => ({
        names: [name],
        action: value % 2 ? "SCMP_ACT_ALLOW" : "SCMP_ACT_LOG",
        args: [
          { index: value % 5, value, op: "SCMP_CMP_GT" },
          { index: 5, value: 7, op: "SCMP_CMP_NE" },
        ],
      })),
    };
    const { filter } = compileSeccomp(profile, { arch });
    assert(filter.length / 8 > 1000);
    assertSame(profile, arch, profile, 30);
  });

  const caps = [
    ...new Set(docker.syscalls.flatMap((rule) => rule.includes?.caps ?? [])),
  ];
  for (const capabilities of [[], caps, ...caps.map((cap) => [cap])]) {
    const host = { arch, capabilities, kernel: KERNEL };
    Deno.test(
      `defaultSeccomp() is Docker's but for what is listed, ${arch}, ${
        capabilities.length > 1 ? "all" : capabilities[0] ?? "no capabilities"
      }`,
      () => {
        assertSame(
          defaultSeccomp(host),
          arch,
          withDifferences(resolveSeccompFile(docker, host), capabilities),
        );
      },
    );
  }

  Deno.test(`defaultSeccomp() is Docker's before Linux 4.8, ${arch}`, () => {
    const host = { arch, capabilities: [], kernel: { major: 4, minor: 7 } };
    const profile = defaultSeccomp(host);
    assertSame(
      profile,
      arch,
      withDifferences(resolveSeccompFile(docker, host), []),
    );
    assert(!profile.syscalls?.some(({ names }) => names.includes("ptrace")));
  });
}

Deno.test("compileSeccomp() refuses more than 4096 instructions", () => {
  const error = assertThrows(
    () =>
      compileSeccomp({
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: Array.from({ length: 900 }, (_, value) => ({
          names: ["ioctl"],
          action: "SCMP_ACT_ALLOW",
          args: [
            { index: 1, value, op: "SCMP_CMP_EQ" },
            { index: 2, value, op: "SCMP_CMP_EQ" },
          ],
        })),
      }, { arch: "x86_64" }),
    ContainerError,
  );
  assertEquals(error.code, "seccomp-too-large");
  assertEquals(
    error.message,
    "Cannot apply linux.seccomp: its filter has 7243 instructions, and Linux takes 4096",
  );
});

const errno = (names: string[]): SeccompProfile => ({
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [{ names, action: "SCMP_ACT_ALLOW" }],
});
const stubs: { name: string; is: number; want: number }[] = [
  {
    name: "is EPERM up to the newest name",
    is: verdict(errno(["read", "openat2"]), 436),
    want: EPERM,
  },
  {
    name: "is ENOSYS above the newest name",
    is: verdict(errno(["read", "openat2"]), 438),
    want: ENOSYS,
  },
  {
    name: "counts names whose action is the default one",
    is: verdict({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { names: ["openat2"], action: "SCMP_ACT_ERRNO" },
      ],
    }, 437),
    want: EPERM,
  },
  {
    name: "is not there without a name",
    is: verdict({ defaultAction: "SCMP_ACT_ERRNO" }, 900),
    want: EPERM,
  },
  {
    name: "is there for SCMP_ACT_KILL_PROCESS too",
    is: verdict(
      { ...errno(["read"]), defaultAction: "SCMP_ACT_KILL_PROCESS" },
      9,
    ),
    want: ENOSYS,
  },
  {
    name: "leaves a permissive default action",
    is: verdict({ ...errno(["read"]), defaultAction: "SCMP_ACT_LOG" }, 900),
    want: 0x7ffc0000,
  },
  {
    name: "leaves another default errno for what the profile knows",
    is: verdict({ ...errno(["openat2"]), defaultErrnoRet: 13 }, 1),
    want: 0x0005000d,
  },
  {
    name: "is each architecture's own",
    is: verdict(
      { ...errno(["arch_prctl"]), architectures: ["SCMP_ARCH_X86"] },
      385,
      [],
      AUDIT_ARCH.i386,
    ),
    want: ENOSYS,
  },
];
for (const { name, is, want } of stubs) {
  Deno.test(`compileSeccomp() ENOSYS for newer calls ${name}`, () => {
    assertEquals(is, want);
  });
}

Deno.test("compileSeccomp() does not count arm's own calls as the newest", () => {
  const { filter } = compileSeccomp({
    ...errno(["read", "set_tls"]),
    architectures: ["SCMP_ARCH_ARM"],
  }, { arch: "aarch64" });
  const bpf = checkBpf(filter);
  const ask = (nr: number) =>
    runBpf(bpf, { nr, arch: AUDIT_ARCH.arm, args: [] });
  assertEquals(
    [ask(3), ask(4), ask(0xf0004), ask(0xf0005), ask(0xf0006)],
    [ALLOW, ENOSYS, EPERM, ALLOW, EPERM],
  );
});

Deno.test("compileSeccomp() tells x32 from x86_64 by bit 30", () => {
  const listed = { ...errno(["ioctl"]), architectures: ["SCMP_ARCH_X32"] };
  const bit = 0x40000000;
  assertEquals(
    [
      verdict(listed, 16),
      verdict(listed, bit + 16),
      verdict(listed, bit + 514),
      verdict(errno(["ioctl"]), bit + 514),
      verdict(errno(["ioctl"]), 0xffffffff),
    ],
    [ALLOW, EPERM, ALLOW, KILL, ENOSYS],
  );
});

Deno.test("compileSeccomp() looks at the lower half alone on 32 bits", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86"],
    syscalls: [{
      names: ["personality"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value: 8, op: "SCMP_CMP_NE" }],
    }],
  };
  const ask = (arg: bigint, arch: number, nr: number) =>
    verdict(profile, nr, [arg], arch);
  assertEquals(ask(8n, AUDIT_ARCH.i386, 136), EPERM);
  assertEquals(ask(0x100000008n, AUDIT_ARCH.i386, 136), EPERM);
  assertEquals(ask(0x100000008n, AUDIT_ARCH.x86_64, 135), ALLOW);
});

Deno.test("compileSeccomp() takes conditions on one index as rules each", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{
      names: ["kill"],
      action: "SCMP_ACT_ALLOW",
      args: [
        { index: 1, value: 9, op: "SCMP_CMP_EQ" },
        { index: 1, value: 15, op: "SCMP_CMP_EQ" },
        { index: 0, value: 77, op: "SCMP_CMP_EQ" },
      ],
    }],
  };
  const ask = (...args: bigint[]) => verdict(profile, 62, args);
  assertEquals(
    [ask(1n, 9n), ask(1n, 15n), ask(77n, 2n), ask(1n, 2n)],
    [ALLOW, ALLOW, ALLOW, EPERM],
  );
});

Deno.test("compileSeccomp() lets a rule without conditions win", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [
      {
        names: ["kill"],
        action: "SCMP_ACT_KILL",
        args: [{ index: 1, value: 9, op: "SCMP_CMP_EQ" }],
      },
      { names: ["kill"], action: "SCMP_ACT_ALLOW" },
      { names: ["kill"], action: "SCMP_ACT_LOG" },
    ],
  };
  assertEquals(verdict(profile, 62, [1n, 9n]), ALLOW);
});

Deno.test("compileSeccomp() opens socketcall to no rule with conditions", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86"],
    syscalls: [
      { names: ["bind"], action: "SCMP_ACT_ALLOW" },
      {
        names: ["socket"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }],
      },
    ],
  };
  const ask = (nr: number, arg: bigint) =>
    verdict(profile, nr, [arg], AUDIT_ARCH.i386);
  assertEquals(
    [ask(359, 1n), ask(102, 1n), ask(102, 2n)],
    [ALLOW, EPERM, ALLOW],
  );
});

Deno.test("compileSeccomp() names what it ignores", () => {
  const { unknown } = compileSeccomp({
    ...errno(["read", "frobnicate", "socketcall", "s390_runtime_instr"]),
    architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_S390X"],
  }, { arch: "x86_64" });
  assertEquals(unknown, ["frobnicate", "s390_runtime_instr"]);
});
