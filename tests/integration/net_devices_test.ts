/**
 * linux.netDevices, in a network namespace that stands for the host: what moves,
 * and that what cannot move is as it was.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";
import { apart } from "../program.ts";

/** Makes a host with lo and one end of a pair, both up, and runs a container
 * there.
 *
 * @returns how it ended, what it printed, and the host's devices after it */
async function runWith(netDevices: Record<string, { name?: string }>) {
  await using box = makeBox();
  const bundle = Deno.makeTempDirSync({ prefix: "rustyrun-test-net-" });
  try {
    Deno.writeTextFileSync(
      `${bundle}/config.json`,
      JSON.stringify({
        ociVersion: "1.3.0",
        root: { path: box.rootfs },
        process: {
          args: ["sh", "-c", "cat /sys/class/net/eth9/flags; ip -4 addr"],
          cwd: "/",
          env: ["PATH=/bin"],
        },
        mounts: [{ destination: "/sys", type: "sysfs", source: "sysfs" }],
        linux: {
          namespaces: ["pid", "mount", "network"].map((type) => ({ type })),
          netDevices,
        },
      }),
    );
    const script = [
      "ip link set lo up",
      "ip link add host0 type veth peer name host1",
      "ip addr add 10.9.8.7/24 dev host0",
      "ip link set host0 up && ip link set host1 up",
      '"$@"; echo "code $?"',
      "ip -br -4 addr",
    ].join("\n");
    const { stdout, stderr } = await runToEnd([
      ...["unshare", "-n", "sh", "-c", script, "sh"],
      ...apart(cliCommand()),
      ...["run", "--bundle", bundle, box.id],
    ]);
    const at = stdout.indexOf("code ");
    return { inside: stdout.slice(0, at), host: stdout.slice(at), stderr };
  } finally {
    Deno.removeSync(bundle, { recursive: true });
  }
}

testOn(
  ["root", "helper", "busybox", "veth"],
  "a network device moves with its address, under its new name, and is up",
  async () => {
    const { inside, host, stderr } = await runWith({ host0: { name: "eth9" } });
    assertEquals(stderr, "");
    assertEquals(Number(inside.split("\n")[0]) & 1, 1);
    assertMatch(inside, /inet 10\.9\.8\.7\/24 [^\n]*eth9/);
    assertMatch(host, /^code 0\nlo +UNKNOWN +127\.0\.0\.1\/8 \n/);
    assertEquals(host.includes("host0"), false);
  },
);

for (
  const [what, devices, why] of [
    ["lo", { lo: {} }, 'it has a "lo" of its own'],
    [
      "lo under another name",
      { lo: { name: "eth9" } },
      "rtnetlink: EINVAL (invalid argument)",
    ],
    ["a device that would be lo", { host0: { name: "lo" } }, 'it has a "lo"'],
  ] as [string, Record<string, { name?: string }>, string][]
) {
  testOn(
    ["root", "helper", "busybox", "veth"],
    `${what} does not move, and the host's devices are as they were`,
    async () => {
      const { inside, host, stderr } = await runWith(devices);
      assertEquals(inside, "");
      assertEquals(stderr.split("\n")[0]?.includes(why), true, stderr);
      assertMatch(
        host,
        /^code 1\nlo +UNKNOWN +127\.0\.0\.1\/8 \nhost0@host1 +UP +10\.9\.8\.7\/24 \n/,
      );
    },
  );
}
