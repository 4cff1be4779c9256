/**
 * Cgroups on this machine: limits and device rules that are changed.
 *
 * @module
 */

import * as libc from "../../ffi/libc.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { attachDevices } from "../../mod/cgroups/bpf.ts";
import { compileDevices } from "../../mod/cgroups/device_program.ts";
import { listRules } from "../../mod/cgroups/devices.ts";
import { updateCgroups } from "../../mod/cgroups/update.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import { gatherFacts } from "../../mod/host.ts";
import { hasNeed, testOn } from "../needs.ts";
import {
  decoder,
  dirOf,
  endOf,
  nextSerial,
  read,
  readLine,
  spawnInside,
  V1,
  withCgroups,
} from "./cgroups_room.ts";

testOn(
  V1,
  "the default device rules keep a container from the host's disk",
  withCgroups({}, async (plan) => {
    const dir = Deno.makeTempDirSync();
    try {
      // Outside it can be opened, so that it is the rules that refuse it.
      const [disk = ""] = [...Deno.readDirSync("/sys/block")]
        .map((e) => read(`/sys/block/${e.name}/dev`));
      const script = `mknod ${dir}/disk b ${disk.replace(":", " ")}
        mknod ${dir}/kmsg c 1 11
        if (: < ${dir}/disk) 2>/dev/null; then echo disk; fi
        if (: < ${dir}/kmsg) 2>/dev/null; then echo kmsg; fi
        head -c 1 /dev/zero > /dev/null && echo null
        rm ${dir}/*`;
      const outside = new Deno.Command("sh", { args: ["-ec", script] });
      assertEquals(
        decoder.decode(outside.outputSync().stdout),
        "disk\nkmsg\nnull\n",
      );
      const { stdout, stderr } = await spawnInside(plan, script).output();
      assertEquals(
        [decoder.decode(stdout), decoder.decode(stderr)],
        ["null\n", ""],
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  }),
);

testOn(
  V1,
  "updateCgroups() raises and lowers memory and swap in one go",
  withCgroups({ memory: { limit: 33554432, swap: 67108864 } }, (plan) => {
    const dir = dirOf(plan, "memory");
    let now: Resources = { memory: { limit: 33554432, swap: 67108864 } };
    for (
      const [limit, swap] of [
        [134217728, 268435456],
        [16777216, 33554432],
        [67108864, -1],
        [16777216, 16777216],
      ] as const
    ) {
      now = updateCgroups(plan.dirs, now, { memory: { limit, swap } });
      assertEquals(now, { memory: { limit, swap } });
      assertEquals(read(`${dir}/memory.limit_in_bytes`), `${limit}`);
      const memsw = read(`${dir}/memory.memsw.limit_in_bytes`);
      assertEquals(
        memsw,
        swap === -1 ? read(`${dir}/../memory.memsw.limit_in_bytes`) : `${swap}`,
      );
    }
  }),
);

testOn(
  V1,
  "updateCgroups() changes quota and period whichever must go first",
  withCgroups({ cpu: { quota: 100000, period: 100000 } }, (plan) => {
    const dir = dirOf(plan, "cpu");
    let now: Resources = { cpu: { quota: 100000, period: 100000 } };
    for (const [quota, period] of [[5000, 5000], [500000, 1000000]] as const) {
      now = updateCgroups(plan.dirs, now, { cpu: { quota, period } });
      assertEquals(read(`${dir}/cpu.cfs_quota_us`), `${quota}`);
      assertEquals(read(`${dir}/cpu.cfs_period_us`), `${period}`);
    }
    now = updateCgroups(plan.dirs, now, { cpu: { quota: 0, shares: 300 } });
    assertEquals(now, { cpu: { quota: 500000, period: 1000000, shares: 300 } });
    assertEquals(read(`${dir}/cpu.shares`), "300");
  }),
);

testOn(
  V1,
  "updateCgroups() changes device rules and keeps the others",
  withCgroups({}, (plan) => {
    const file = `${dirOf(plan, "devices")}/devices.list`;
    const before = read(file).split("\n").sort();
    const devices = [
      { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    ];
    const options = { friendly: true };
    const now = updateCgroups(plan.dirs, {}, { devices }, options);
    assertEquals(
      read(file).split("\n").sort(),
      [...before, "c 10:229 rw"].sort(),
    );
    updateCgroups(plan.dirs, now, { devices: [] }, options);
    assertEquals(read(file).split("\n").sort(), before);
  }),
);

testOn(
  V1,
  "updateCgroups() words a limit below the usage",
  withCgroups({}, async (plan) => {
    const child = spawnInside(
      plan,
      "exec python3 -c 'b=b\"x\"*(48<<20); print(1, flush=True); import time; time.sleep(1000)'",
    );
    try {
      await readLine(child);
      const error = assertThrows(
        () =>
          updateCgroups(plan.dirs, {}, {
            memory: { limit: 4194304, swap: 4194304 },
          }),
        ContainerError,
      );
      assertEquals(
        error.message,
        `Cannot apply linux.resources.memory.limit: write "4194304" to "${
          dirOf(plan, "memory")
        }/memory.limit_in_bytes": EBUSY`,
      );
      assertEquals(error.hint, "The container uses more than that now");
    } finally {
      child.kill("SIGKILL");
      await endOf(child);
    }
  }),
);

/** Any cgroup2 mount will do for a device program: it needs no controller. */
const unified = gatherFacts(readCaller()).cgroups.find((m) => m.version === 2);

const canRun = unified !== undefined && hasNeed("root");

Deno.test({
  name: "attachDevices() confines a cgroup, and replaces its rules" +
    (canRun ? "" : " (needs root, a cgroup2 mount)"),
  ignore: !canRun && Deno.env.get("RUSTYRUN_MUST_RUN") !== "1",
  fn() {
    const dir = `${unified!.path}/rustyrun-test${Deno.pid}.${nextSerial()}`;
    const nodes = Deno.makeTempDirSync();
    Deno.mkdirSync(dir);
    const look = () => {
      const { stdout } = new Deno.Command("sh", {
        args: [
          "-ec",
          `echo 0 > ${dir}/cgroup.procs
          test -e ${nodes}/kmsg || mknod ${nodes}/kmsg c 1 11
          (: < ${nodes}/kmsg) 2>/dev/null && echo kmsg
          (: < /dev/urandom) 2>/dev/null && echo read
          (: > /dev/urandom) 2>/dev/null && echo write
          exit 0`,
        ],
        stderr: "inherit",
      }).outputSync();
      return decoder.decode(stdout).trim().split("\n");
    };
    try {
      assertEquals(look(), ["kmsg", "read", "write"]);
      const rules = listRules(undefined, true, new Map());
      attachDevices({ dir, program: compileDevices(rules) }, libc);
      assertEquals(look(), ["read", "write"]);
      const all = { major: null, minor: null };
      const program = compileDevices([
        { allow: true, type: "a", ...all, access: "rwm" },
        { allow: false, type: "c", major: 1, minor: 9, access: "w" },
      ]);
      attachDevices({ dir, program }, libc, "all");
      assertEquals(look(), ["kmsg", "read"]);
    } finally {
      Deno.removeSync(nodes, { recursive: true });
      Deno.removeSync(dir);
    }
  },
});

Deno.test("attachDevices() words what the kernel refuses", () => {
  const asked: unknown[] = [];
  const kernel = {
    trySyscall: (call: string) => {
      asked.push(call);
      return call === "bpf" ? -1 : 7;
    },
    address: () => 0n,
  };
  const error = assertThrows(
    () => attachDevices({ dir: "/c", program: new Uint8Array(8) }, kernel),
    ContainerError,
  );
  assertEquals(error.message, "Cannot load the device program: EPERM");
  assertEquals(
    error.hint,
    "It needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN (in a container: --privileged)",
  );
  assertEquals(asked, ["openat", "bpf", "close"]);
});
