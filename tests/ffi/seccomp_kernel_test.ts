/**
 * Lets the kernel of this machine judge our filters: it takes them, and does
 * what they say.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  compileSeccomp,
  defaultSeccomp,
  type NativeArch,
  type SeccompProfile,
  syscallNumber,
} from "../../mod/seccomp.ts";
import { findPython, testOn } from "../needs.ts";

const arch: NativeArch = Deno.build.arch;
const nr = (name: string): number => syscallNumber(arch, name)!;
const host = { arch, capabilities: [], kernel: { major: 6, minor: 18 } };
const EPERM = -1;
const ENOSYS = -38;

/** Installs a profile in a fresh process and makes calls there. */
function tryCalls(
  profile: SeccompProfile,
  calls: Record<string, number[]>,
): { code: number; signal: string | null; results: Record<string, number> } {
  const { filter, flags } = compileSeccomp(profile, { arch });
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(file, filter);
    const { code, signal, stdout } = new Deno.Command(findPython(), {
      args: [
        new URL("seccomp_payload.py", import.meta.url).pathname,
        file,
        String(flags),
        JSON.stringify(calls),
        arch,
      ],
      stderr: "inherit",
    }).outputSync();
    const text = new TextDecoder().decode(stdout);
    return { code, signal, results: text ? JSON.parse(text) : {} };
  } finally {
    Deno.removeSync(file);
  }
}

testOn(
  ["python3"],
  "compileSeccomp() makes a filter of the default profile that Linux takes",
  () => {
    const { results, code } = tryCalls(defaultSeccomp(host), {
      umask: [nr("umask"), 0o22],
      mount: [nr("mount"), 0, 0, 0, 0, 0],
      unshare: [nr("unshare"), 0x10000000],
      // CLONE_NEWUSER | SIGCHLD
      clone: [nr("clone"), 0x10000011, 0, 0, 0, 0],
      clone3: [nr("clone3"), 0, 0],
      vsock: [nr("socket"), 40, 1, 0],
      alg: [nr("socket"), 38, 5, 0],
      // Let through; the kernel does not know the family of the type.
      unix: [nr("socket"), 1, 99, 0],
      question: [nr("personality"), 0xffffffff],
      persona: [nr("personality"), 0x0400000],
      newest: [nr("setxattrat") + 100, 0],
      minus: [-1],
    });
    assertEquals(code, 0);
    assertEquals(results, {
      seccomp: 0,
      umask: results.umask!,
      mount: EPERM,
      unshare: EPERM,
      clone: EPERM,
      clone3: ENOSYS,
      vsock: EPERM,
      alg: EPERM,
      // ESOCKTNOSUPPORT or EINVAL, by kernel: not the filter's.
      unix: results.unix!,
      question: 0,
      persona: EPERM,
      newest: ENOSYS,
      minus: ENOSYS,
    });
    assertEquals([EPERM, ENOSYS].includes(results.unix!), false);
  },
);

testOn(
  ["python3"],
  "compileSeccomp() gives the errno, the upper half counts",
  () => {
    const { results } = tryCalls({
      defaultAction: "SCMP_ACT_ALLOW",
      flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
      syscalls: [{
        names: ["lseek"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 95,
        args: [{ index: 1, value: 0x100000002n, op: "SCMP_CMP_GE" }],
      }],
    }, {
      below: [nr("lseek"), -1, 0x100000001, 0],
      at: [nr("lseek"), -1, 0x100000002, 0],
      above: [nr("lseek"), -1, 0x200000000, 0],
    });
    assertEquals(results, { seccomp: 0, below: -9, at: -95, above: -95 });
  },
);

testOn(
  ["python3"],
  "compileSeccomp() kills the process at SCMP_ACT_KILL_PROCESS",
  () => {
    const { signal } = tryCalls({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["acct"], action: "SCMP_ACT_KILL_PROCESS" }],
    }, { acct: [nr("acct"), 0] });
    assertEquals(signal, "SIGSYS");
  },
);

if (arch === "x86_64") {
  testOn(
    ["python3"],
    "compileSeccomp() kills calls of an architecture that is not listed",
    () => {
      const { signal } = tryCalls({ defaultAction: "SCMP_ACT_ALLOW" }, {
        x32: [0x40000000 + 39],
      });
      assertEquals(signal, "SIGSYS");
    },
  );
}

testOn(
  ["python3"],
  "compileSeccomp() makes a filter with a listener that Linux takes",
  () => {
    const { results } = tryCalls({
      defaultAction: "SCMP_ACT_ALLOW",
      flags: ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
      listenerPath: "/nowhere",
      syscalls: [{ names: ["acct"], action: "SCMP_ACT_NOTIFY" }],
    }, {});
    // The listener's descriptor.
    assertEquals(results.seccomp! > 2, true);
  },
);
