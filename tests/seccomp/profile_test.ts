/** Reading profiles: what is refused, flags, cache keys, engines' files. */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../../mod/errors.ts";
import {
  archName,
  compileSeccomp,
  defaultSeccomp,
  defaultSeccompKey,
  readSeccompUse,
  resolveSeccompFile,
  seccompCacheKey,
  type SeccompProfile,
  syscallNumber,
} from "../../mod/seccomp.ts";

const KERNEL = { major: 6, minor: 18 };

const errno = (names: string[]): SeccompProfile => ({
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [{ names, action: "SCMP_ACT_ALLOW" }],
});

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
