/**
 * The library on cgroup v2, where a cgroup with processes hands nothing on: a
 * sandbox's processes lie in leaves, and each is counted by itself.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Sandbox, SandboxPool } from "../../mod/mod.ts";
import { makeRootfs, ROOT, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";

/** What runs in a process of its own, so that the library's threads end with it. */
async function look(rootfs: string): Promise<void> {
  const options = { rootfs, memory: "24m", memorySwap: "24m", pids: 16 };
  await using pool = new SandboxPool(options, 1);
  const pooled = await pool.output(["cat", "/proc/self/cgroup"]);
  const pooledHog = await pool.output(["tail", "/dev/zero"]);
  await using box = await Sandbox.create(options);
  const oom = new Promise<string>((done) =>
    box.addEventListener("oom", (event) => done(event.type))
  );
  const [first, own] = await Promise.all([
    box.output(["cat", "/proc/1/cgroup"]),
    box.output(["cat", "/proc/self/cgroup"]),
  ]);
  const hog = await box.output(["tail", "/dev/zero"]);
  const fine = await box.output(["true"]);
  const bomb = await box.output([
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1000 & done; exit 1",
  ]);
  const { memoryLimit, pids } = await box.stats();
  console.log(JSON.stringify({
    places: [first, own].map((it) => it.stdout.trim()),
    pooled: [pooled.stdout.trim(), pooled.cpuMs! > 0, pooledHog.limit],
    limits: [hog.limit, fine.limit, bomb.limit],
    counted: [hog.peakBytes! > fine.peakBytes!, fine.cpuMs! > 0],
    oom: await oom,
    memoryLimit,
    pids,
  }));
}

testOn(
  ["helper", "busybox", "root", "cgroup-v2"],
  "a sandbox's runs have leaves of their own on cgroup v2",
  async () => {
    const rootfs = makeRootfs();
    try {
      const { stdout, stderr } = await runToEnd([
        ...[Deno.execPath(), "run", "-A", "--no-check", "-q"],
        ...[`--config=${ROOT}/deno.json`, import.meta.filename!, rootfs],
      ]);
      assertEquals(stderr, "");
      assertEquals(JSON.parse(stdout), {
        places: ["0::/", "0::/../run-2"],
        pooled: ["0::/", true, "memory"],
        limits: ["memory", null, "pids"],
        counted: [true, true],
        oom: "oom",
        memoryLimit: 24 << 20,
        pids: 1,
      });
    } finally {
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);

if (import.meta.main && Deno.args[0] !== undefined) await look(Deno.args[0]);
