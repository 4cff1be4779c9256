/** The filter compiler, read against the profiles themselves. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import {
  archName,
  compileSeccomp,
  defaultSeccomp,
  defaultSeccompKey,
  type NativeArch,
  readSeccompUse,
  resolveSeccompFile,
  seccompCacheKey,
  type SeccompProfile,
  syscallNumber,
} from "../mod/seccomp.ts";
import { AUDIT_ARCH } from "../mod/seccomp/arch.ts";
import { checkBpf, runBpf } from "./seccomp/bpf.ts";
import {
  FAMILIES,
  questions,
  randomProfile,
  seeded,
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
  Deno.test(`compileSeccomp() says what 100 random profiles say, ${arch}`, () => {
    for (let seed = 1; seed <= 100; seed++) {
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
      `defaultSeccomp() is Docker's, ${arch}, ${
        capabilities.length > 1 ? "all" : capabilities[0] ?? "no capabilities"
      }`,
      () => {
        assertSame(
          defaultSeccomp(host),
          arch,
          resolveSeccompFile(docker, host),
        );
      },
    );
  }

  Deno.test(`defaultSeccomp() is Docker's before Linux 4.8, ${arch}`, () => {
    const host = { arch, capabilities: [], kernel: { major: 4, minor: 7 } };
    const profile = defaultSeccomp(host);
    assertSame(profile, arch, resolveSeccompFile(docker, host));
    assert(!profile.syscalls?.some(({ names }) => names.includes("ptrace")));
  });
}

const refused: { name: string; profile: SeccompProfile; want: string }[] = [
  {
    name: "an unknown default action",
    profile: { defaultAction: "SCMP_ACT_FOO" },
    want:
      'Cannot apply linux.seccomp.defaultAction: "SCMP_ACT_FOO" is not a seccomp action',
  },
  {
    name: "an object's own property as an action",
    profile: { defaultAction: "constructor" },
    want:
      'Cannot apply linux.seccomp.defaultAction: "constructor" is not a seccomp action',
  },
  {
    name: "an errno that the default action does not take",
    profile: { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 },
    want:
      'Cannot apply linux.seccomp.defaultErrnoRet: "SCMP_ACT_ALLOW" does not take an errno',
  },
  {
    name: "an errno that a rule's action does not take",
    profile: {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["read"], action: "SCMP_ACT_KILL", errnoRet: 0 }],
    },
    want:
      'Cannot apply linux.seccomp.syscalls[0].errnoRet: "SCMP_ACT_KILL" does not take an errno',
  },
  {
    name: "an errno that Linux would cut",
    profile: { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4096 },
    want:
      "Cannot apply linux.seccomp.defaultErrnoRet: 4096 is not between 0 and 4095",
  },
  {
    name: "an unknown architecture",
    profile: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_Z80"],
    },
    want:
      'Cannot apply linux.seccomp.architectures[1]: "SCMP_ARCH_Z80" is not an architecture',
  },
  {
    name: "an unknown flag",
    profile: { defaultAction: "SCMP_ACT_ALLOW", flags: ["TSYNC"] },
    want: 'Cannot apply linux.seccomp.flags[0]: "TSYNC" is not a seccomp flag',
  },
  {
    name: "a rule without names",
    profile: {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: [], action: "SCMP_ACT_LOG" }],
    },
    want:
      "Cannot apply linux.seccomp.syscalls[0].names: it names no system call",
  },
  {
    name: "an unknown operator",
    profile: withArg({ index: 0, value: 0, op: "SCMP_CMP_XX" }),
    want:
      'Cannot apply linux.seccomp.syscalls[0].args[0].op: "SCMP_CMP_XX" is not a comparison operator',
  },
  {
    name: "a seventh argument",
    profile: withArg({ index: 6, value: 0, op: "SCMP_CMP_EQ" }),
    want:
      "Cannot apply linux.seccomp.syscalls[0].args[0].index: 6 is not between 0 and 5",
  },
  {
    name: "a value that lost its digits",
    profile: withArg({ index: 0, value: 2 ** 60, op: "SCMP_CMP_EQ" }),
    want:
      "Cannot apply linux.seccomp.syscalls[0].args[0].value: 1152921504606847000 is not an exact unsigned 64-bit integer",
  },
  {
    name: "a value of 65 bits",
    profile: withArg({ index: 0, value: 1n << 64n, op: "SCMP_CMP_EQ" }),
    want:
      "Cannot apply linux.seccomp.syscalls[0].args[0].value: 18446744073709551616 is not an unsigned 64-bit integer",
  },
  {
    name: "SCMP_ACT_NOTIFY without a listener",
    profile: {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mount"], action: "SCMP_ACT_NOTIFY" }],
    },
    want:
      'Cannot apply linux.seccomp.listenerPath: "SCMP_ACT_NOTIFY" needs the path of a listener\'s socket',
  },
  {
    name: "metadata without a listener",
    profile: { defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "x" },
    want:
      "Cannot apply linux.seccomp.listenerMetadata: linux.seccomp.listenerPath is not set",
  },
];

function withArg(
  arg: { index: number; value: number | bigint; op: string },
): SeccompProfile {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG", args: [arg] }],
  };
}

for (const { name, profile, want } of refused) {
  Deno.test(`compileSeccomp() refuses ${name}`, () => {
    const error = assertThrows(
      () => compileSeccomp(profile, { arch: "x86_64" }),
      ContainerError,
    );
    assertEquals([error.message, error.code], [want, "seccomp-invalid"]);
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

const NOTIFY: SeccompProfile = {
  defaultAction: "SCMP_ACT_ALLOW",
  listenerPath: "/run/agent.sock",
  syscalls: [{ names: ["mount"], action: "SCMP_ACT_NOTIFY" }],
};
const F = "SECCOMP_FILTER_FLAG_";
const uses: [string, SeccompProfile, number, boolean][] = [
  ["no flags", { defaultAction: "SCMP_ACT_ALLOW" }, 4, false],
  ["empty flags", { defaultAction: "SCMP_ACT_ALLOW", flags: [] }, 0, false],
  [
    "all flags without a listener",
    {
      defaultAction: "SCMP_ACT_ALLOW",
      flags: [
        `${F}TSYNC`,
        `${F}LOG`,
        `${F}SPEC_ALLOW`,
        `${F}WAIT_KILLABLE_RECV`,
      ],
    },
    7,
    false,
  ],
  ["a listener", NOTIFY, 4 | 8, true],
  [
    "a listener and flags",
    { ...NOTIFY, flags: [`${F}TSYNC`, `${F}WAIT_KILLABLE_RECV`] },
    1 | 8 | 16 | 32,
    true,
  ],
];
for (const [name, profile, flags, notify] of uses) {
  Deno.test(`readSeccompUse() reads ${name}`, () => {
    assertEquals(readSeccompUse(profile), { flags, notify });
  });
}

Deno.test("seccompCacheKey() differs with the filter alone", () => {
  const profile = errno(["read", "write"]);
  const key = (change: Partial<SeccompProfile>) =>
    seccompCacheKey({ ...profile, ...change }, "x86_64");
  assertEquals(key({ flags: [] }), key({ listenerPath: "/x" }));
  const others = [
    key({}),
    key({ defaultErrnoRet: 2 }),
    key({ defaultAction: "SCMP_ACT_KILL" }),
    key({ architectures: ["SCMP_ARCH_X86"] }),
    key(errno(["write", "read"])),
    key(errno(["read write"])),
    key(withArg({ index: 0, value: 1, op: "SCMP_CMP_EQ" })),
    key(withArg({ index: 0, value: 2, op: "SCMP_CMP_EQ" })),
    key(withArg({ index: 1, value: 1, op: "SCMP_CMP_EQ" })),
    seccompCacheKey(profile, "aarch64"),
  ];
  assertEquals(new Set(others).size, others.length);
  assertEquals(
    key(withArg({ index: 0, value: 1, op: "SCMP_CMP_EQ" })),
    key(withArg({ index: 0, value: 1n, op: "SCMP_CMP_EQ" })),
  );
});

Deno.test("seccompCacheKey() has no two of 20000 profiles in one", () => {
  const keys = new Set<string>();
  for (let value = 0; value < 20000; value++) {
    keys.add(
      seccompCacheKey(
        withArg({ index: 0, value, op: "SCMP_CMP_EQ" }),
        "x86_64",
      ).slice(-16),
    );
  }
  assertEquals(keys.size, 20000);
});

Deno.test("defaultSeccompKey() differs exactly with the profile", () => {
  const keys = new Map<string, string>();
  for (const arch of ["x86_64", "aarch64"] as const) {
    for (const kernel of [{ major: 4, minor: 7 }, KERNEL]) {
      for (
        const capabilities of [
          [],
          ["CAP_KILL"],
          ["CAP_SYS_ADMIN"],
          ["CAP_BPF"],
          ["CAP_BPF", "CAP_SYS_ADMIN"],
          ["CAP_SYS_ADMIN", "CAP_BPF"],
        ]
      ) {
        const host = { arch, kernel, capabilities };
        const filter = compileSeccomp(defaultSeccomp(host), host).filter;
        const key = defaultSeccompKey(host);
        const text = filter.join();
        assertEquals(keys.get(key) ?? text, text);
        keys.set(key, text);
      }
    }
  }
  assertEquals(keys.size, 16);
});

Deno.test("resolveSeccompFile() takes the form with one name", () => {
  assertEquals(
    resolveSeccompFile({
      defaultAction: "SCMP_ACT_ALLOW",
      archMap: [{
        architecture: "SCMP_ARCH_X86_64",
        subArchitectures: ["SCMP_ARCH_X86"],
      }],
      syscalls: [{
        names: [],
        name: "read",
        action: "SCMP_ACT_LOG",
        excludes: { minKernel: "7.0" },
      }, {
        names: ["write"],
        action: "SCMP_ACT_LOG",
        excludes: { minKernel: "6.18" },
      }],
    }, { arch: "x86_64", capabilities: [], kernel: KERNEL }),
    {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG" }],
    },
  );
});

Deno.test("resolveSeccompFile() refuses an errno by name alone", () => {
  const error = assertThrows(
    () =>
      resolveSeccompFile({
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrno: "ENOSYS",
      }, { arch: "x86_64", capabilities: [], kernel: KERNEL }),
    ContainerError,
  );
  assertEquals(
    error.message,
    "Cannot use the seccomp profile: defaultErrno: defaultErrnoRet is not there",
  );
});

Deno.test("archName() knows the specification's names", () => {
  assertEquals(
    ["SCMP_ARCH_X86", "SCMP_ARCH_SHEB", "SCMP_ARCH_", "x86", "SCMP_ARCH_ARM"]
      .map(archName),
    ["i386", null, undefined, undefined, "arm"],
  );
});

Deno.test("syscallNumber() knows the newest calls of Linux 7.2", () => {
  assertEquals(
    (["x86_64", "i386", "x32", "aarch64", "arm"] as const).map((arch) =>
      syscallNumber(arch, "rseq_slice_yield")
    ),
    [471, 471, 0x40000000 + 471, 471, 471],
  );
  assertEquals(syscallNumber("x32", "uretprobe"), undefined);
  assertEquals(syscallNumber("x32", "execve"), 0x40000000 + 520);
});
