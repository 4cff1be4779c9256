/**
 * The doctor on this machine: what it tries must work here, and nothing is left.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { readCaller } from "../mod/caller.ts";
import { examine, type Finding } from "../mod/doctor.ts";
import { gatherFacts } from "../mod/host.ts";
import { openHelper } from "../mod/process/helper.ts";
import { cliCommand, findLeaks, runToEnd, takeSnapshot } from "./harness.ts";
import { hasNeed, testOn } from "./needs.ts";

libc();
// Kept for the life of the process: a test that opened it would leak it.
if (hasNeed("helper")) openHelper("/tmp");

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
  "cgroup-manager",
  "exec",
];

testOn(
  ["root", "helper"],
  "examine() as root finds nothing that fails, and leaves nothing",
  async () => {
    const before = takeSnapshot();
    const findings = examine(gatherFacts(readCaller()));
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
    const facts = gatherFacts(readCaller());
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

testOn(
  ["root", "helper"],
  "examine() as root fails without a cgroup for the device rules, as run does",
  () => {
    const findings = examine({ ...gatherFacts(readCaller()), cgroups: [] });
    assertEquals(findings.find((it) => it.name === "cgroups"), {
      name: "cgroups",
      verdict: "fails",
      detail:
        "Cannot keep the container from the machine's devices: neither the v1 devices controller nor cgroup v2 is mounted",
      fix:
        "mkdir /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices",
    });
  },
);

testOn(
  ["root", "helper"],
  "examine() says what is not found where a user has no cgroup",
  () => {
    // Of a hierarchy that others own.
    const cgroups = [{
      version: 2 as const,
      controllers: [],
      path: "/sys/fs/cgroup",
      root: "/",
      own: "/",
    }];
    const findings = examine({
      ...gatherFacts(readCaller()),
      uid: 54321,
      cgroups,
    });
    assertEquals(findings.find((it) => it.name === "cgroups"), {
      name: "cgroups",
      verdict: "lacks",
      detail:
        "v2, but none for this user: what a container without a pid namespace of its own leaves behind is not found",
    });
  },
);

testOn(
  ["root", "helper"],
  "doctor without CAP_SYS_ADMIN blames that, not /proc or a kernel module",
  async () => {
    const { code, stdout } = await runToEnd([
      ...["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
      ...cliCommand(),
      ...["doctor", "--json"],
    ]);
    assertEquals(code, 1, stdout);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    for (const name of ["mount-namespace", "proc", "overlay"]) {
      const { fix } = findings.find((it) => it.name === name)!;
      assert(fix?.startsWith("CAP_SYS_ADMIN is missing: "), `${name}: ${fix}`);
    }
  },
);

testOn(
  ["helper", "user", "userns"],
  "doctor as root of a user namespace wants no other one, as run does not",
  async () => {
    const { code, stdout } = await runToEnd([
      ...["unshare", "-Urm", "sh", "-c"],
      'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"',
      ...["sh", ...cliCommand({ user: true }), "doctor", "--json"],
    ], { user: true });
    assertEquals(code, 0, stdout);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const found = findings.find((it) => it.name === "user-namespace");
    assertEquals(found?.verdict, "lacks");
  },
);
