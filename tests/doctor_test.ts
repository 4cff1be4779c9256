/**
 * The doctor on this machine: what it tries must work here, and nothing is left.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { examine } from "../mod/doctor.ts";
import { gatherFacts } from "../mod/host.ts";
import { openHelper } from "../mod/process.ts";
import { findLeaks, takeSnapshot } from "./harness.ts";
import { hasNeed, testOn } from "./needs.ts";

libc();
// Kept for the life of the process: a test that opened it would leak it.
if (hasNeed("helper")) openHelper();

const NAMES = [
  "kernel",
  "helper",
  "user-namespace",
  "subordinate-ids",
  "mount-namespace",
  "pid-namespace",
  "network-namespace",
  "ipc-namespace",
  "uts-namespace",
  "cgroup-namespace",
  "time-namespace",
  "mounts",
  "proc",
  "overlay",
  "seccomp",
  "cgroups",
  "limit-memory",
  "limit-cpu",
  "limit-pids",
  "limit-cpuset",
];

testOn(
  ["root", "helper"],
  "examine() as root finds nothing that fails, and leaves nothing",
  async () => {
    const before = takeSnapshot();
    const findings = examine(gatherFacts());
    assertEquals(findings.map((it) => it.name), NAMES);
    assertEquals(findings.filter((it) => it.verdict === "fails"), []);
    for (const { name, verdict, detail, fix } of findings) {
      assert(detail !== "" && !/[.]$/.test(detail), name);
      assert(verdict === "fine" || fix !== undefined, name);
      assert(verdict !== "fine" || fix === undefined, name);
    }
    assertEquals(await findLeaks(before, "doctor"), []);
  },
);

testOn(
  ["root", "helper"],
  "examine() stops at a helper or a kernel that cannot serve",
  () => {
    const facts = gatherFacts();
    const old = {
      ...facts,
      kernel: { release: "5.10.1", major: 5, minor: 10 },
    };
    assertEquals(examine(old)[0], {
      name: "kernel",
      verdict: "fails",
      detail: "5.10.1: rustyrun needs 5.15",
      fix: "use a newer kernel",
    });
  },
);
