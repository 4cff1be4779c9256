/**
 * Containers whose cgroup systemd makes: run in the guest, where systemd is pid 1
 * (.ci/guest). Most calls are made in this process.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findLeaks, runToEnd, start, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeScopeRoom, show, waitForNone } from "./systemd_room.ts";

const NEEDS = ["root", "helper", "busybox", "systemd"] as const;

const MKNOD = ["CAP_MKNOD"];

const LIMITS = {
  memory: { limit: 64 << 20, reservation: 32 << 20, swap: 64 << 20 },
  cpu: { shares: 512, quota: 15500, period: 50000, cpus: "0" },
  pids: { limit: 77 },
};

/** Says what of the devices it may have, in a file of its root. */
const PROBE =
  "rm -f /tmp/disk /tmp/full; mknod /tmp/disk b 254 0; mknod /tmp/full c 1 7; mknod /tmp/kmsg c 1 11; { head -c 1 /tmp/full | wc -c; cat /tmp/disk /tmp/kmsg; } >/tmp/said 2>&1; rm /tmp/kmsg; mv /tmp/said /tmp/done";

const SAID =
  "1\ncat: can't open '/tmp/disk': Operation not permitted\ncat: can't open '/tmp/kmsg': Operation not permitted\n";

testOn(
  NEEDS,
  "systemd: a unit has the container's limits and devices, and both hold when systemd is reloaded",
  async () => {
    await using room = makeScopeRoom({
      process: {
        capabilities: { bounding: MKNOD, effective: MKNOD, permitted: MKNOD },
      },
      linux: { resources: LIMITS },
    });
    const { id, unit } = room;
    await room.start();
    const probe = async () => {
      const words = ["exec", "--detach", id, "sh", "-c", PROBE];
      await room.quiet(...words);
      const done = `${room.rootfs}/tmp/done`;
      const said = await waitFor(() => Deno.readTextFileSync(done));
      Deno.removeSync(done);
      return said;
    };
    const look = async () => ({
      ...await show(unit, ["MemoryMax", "TasksMax", "ActiveState"]),
      files: ["memory.max", "pids.max", "cpu.max", "cpu.weight", "cpuset.cpus"]
        .map((it) => room.read(it)).join(", "),
    });
    assertEquals(
      await show(unit, [
        "MemoryLow",
        "MemorySwapMax",
        "CPUWeight",
        "CPUQuotaPerSecUSec",
        "AllowedCPUs",
        "DevicePolicy",
        "Delegate",
        "Slice",
        "Description",
      ]),
      {
        MemoryLow: `${32 << 20}`,
        MemorySwapMax: "0",
        CPUWeight: room.read("cpu.weight"),
        CPUQuotaPerSecUSec: "310ms",
        AllowedCPUs: "0",
        DevicePolicy: "strict",
        Delegate: "yes",
        Slice: `rrtest${Deno.pid}-n.slice`,
        Description: `rustyrun container ${id}`,
      },
    );
    const { DeviceAllow } = await show(unit, ["DeviceAllow"]);
    assertStringIncludes(DeviceAllow!, "/dev/char/1:3 rwm");
    assertStringIncludes(DeviceAllow!, "block-* m");
    const weight = room.read("cpu.weight");
    const before = {
      ActiveState: "active",
      MemoryMax: `${64 << 20}`,
      TasksMax: "77",
      files: `${64 << 20}, 77, 15500 50000, ${weight}, 0`,
    };
    assertEquals([await look(), await probe()], [before, SAID]);
    await runToEnd(["systemctl", "daemon-reload"]);
    assertEquals([await look(), await probe()], [before, SAID]);
    const change = ["--memory", `${48 << 20}`, "--memory-swap", `${48 << 20}`];
    await room.quiet("update", ...change, "--pids-limit", "55", id);
    const after = {
      ...before,
      MemoryMax: `${48 << 20}`,
      TasksMax: "55",
      files: `${48 << 20}, 55, 15500 50000, ${weight}, 0`,
    };
    assertEquals(await look(), after);
    await runToEnd(["systemctl", "daemon-reload"]);
    assertEquals([await look(), await probe()], [after, SAID]);
    // Device rules can change, too: /dev/kmsg is 1:11.
    const rules = `${room.bundle}/rules.json`;
    const kmsg = { allow: true, type: "c", major: 1, minor: 11, access: "r" };
    Deno.writeTextFileSync(rules, JSON.stringify({ devices: [kmsg] }));
    await room.quiet("update", "--resources", rules, id);
    await runToEnd(["systemctl", "daemon-reload"]);
    const changed = await show(unit, ["DeviceAllow"]);
    assertStringIncludes(changed.DeviceAllow!, "/dev/char/1:11 r");
    await room.quiet("delete", "--force", id);
    await waitForNone(unit);
  },
);

testOn(
  NEEDS,
  "systemd: a run says that it has met its memory limit, though its unit goes at once",
  async () => {
    await using room = makeScopeRoom();
    const { id, rootfs } = room;
    const limit = 16 << 20;
    for (let i = 0; i < 3; i++) {
      const { code, stdout, stderr } = await runToEnd([
        "sh",
        "-c",
        'exec "$@" 3>&1',
        "sh",
        ...room.line("--systemd-cgroup", "run", "--result-fd", "3"),
        ...["--rootfs", rootfs, "--name", id, "--memory", `${limit}`],
        ...["--", "tail", "/dev/zero"],
      ]);
      assertEquals(
        [code, stderr],
        [
          137,
          `rustyrun: The container was killed: it used more than its memory limit of ${limit} bytes (--memory ${limit})\n  hint: Give it more, or make it use less\n`,
        ],
      );
      assertEquals(JSON.parse(stdout).limit, "memory");
      await waitForNone(`rustyrun-${id}.scope`);
    }
  },
);

testOn(
  NEEDS,
  "systemd: every command finds the unit by the state, whatever its flags",
  async () => {
    await using room = makeScopeRoom({ linux: { resources: LIMITS } });
    const { id, unit } = room;
    await room.start();
    const state = JSON.parse(
      Deno.readTextFileSync(`${room.root}/${id}/state.json`),
    );
    assertEquals(state.cgroup.unit.name, unit);
    assertEquals(state.cgroup.dirs[0].path, room.dir);
    const file = `${room.bundle}/pid`;
    await room.quiet("exec", "-d", "--pid-file", file, id, "sleep", "1000");
    const pid = Deno.readTextFileSync(file);
    assertStringIncludes(Deno.readTextFileSync(`/proc/${pid}/cgroup`), unit);
    assertEquals(room.read("cgroup.procs").split("\n").length, 2);
    await room.quiet("pause", id);
    assertMatch(room.read("cgroup.events"), /frozen 1/);
    await room.quiet("resume", id);
    const { stdout: listed } = await room.call("ps", "-f", "json", id);
    assertEquals(JSON.parse(listed).length, 2);
    const { stdout: counted } = await room.call("events", "--stats", id);
    assertEquals(JSON.parse(counted).data.pids, { current: 2, limit: 77 });
    assertStringIncludes((await room.call("list")).stdout, id);
    await room.quiet("kill", "--all", id, "KILL");
    await waitForNone(unit);
    await room.quiet("delete", id);
    assertEquals((await room.call("state", id)).code, 1);
  },
);

testOn(
  NEEDS,
  "systemd: annotations are properties of the unit",
  async () => {
    const property = (name: string) => `org.systemd.property.${name}`;
    await using room = makeScopeRoom({
      annotations: {
        [property("TimeoutStopSec")]: "uint64 7",
        [property("KillSignal")]: "15",
        [property("After")]: "['multi-user.target']",
        [property("CollectMode")]: "'inactive'",
        [property("SendSIGHUP")]: "true",
      },
    });
    await room.start();
    const { After, ...rest } = await show(room.unit, [
      "TimeoutStopUSec",
      "KillSignal",
      "After",
      "CollectMode",
      "SendSIGHUP",
    ]);
    assertEquals(rest, {
      TimeoutStopUSec: "7s",
      KillSignal: "15",
      CollectMode: "inactive",
      SendSIGHUP: "yes",
    });
    assertStringIncludes(After!, "multi-user.target");
    await room.quiet("delete", "--force", room.id);
    await waitForNone(room.unit);
    room.write({ annotations: { [property("KillSignal")]: "nonsense" } });
    const create = ["--systemd-cgroup", "create", "-b", room.bundle, room.id];
    const { code, stderr } = await room.call(...create);
    assertEquals(code, 1);
    assertStringIncludes(stderr, '"nonsense" is no value');
  },
);

testOn(
  NEEDS,
  "systemd: a unit of another's is left alone, and named",
  async () => {
    await using room = makeScopeRoom();
    const { id, unit, bundle } = room;
    const other = start([
      "systemd-run",
      "--scope",
      "--quiet",
      `--unit=${unit}`,
      "sleep",
      "1000",
    ]);
    try {
      const active = async () =>
        (await show(unit, ["ActiveState"])).ActiveState === "active";
      assertEquals(await waitFor(active), true);
      const { code, stderr } = await room.call(
        ...["--systemd-cgroup", "create", "-b", bundle, id],
      );
      assertEquals(code, 1);
      assertStringIncludes(stderr, `Cannot start the unit "${unit}"`);
      assertStringIncludes(stderr, `systemctl status ${unit}`);
      assertEquals(await active(), true);
      assertEquals((await room.call("state", id)).code, 1);
    } finally {
      other.kill("SIGKILL");
    }
    await waitForNone(unit);
    // Its end leaves the name free.
    await room.start();
  },
);

for (
  const [what, spec, says] of [
    ["its command", { process: { args: ["/nope"] } }, "/nope"],
    [
      "a limit",
      { linux: { resources: { cpu: { cpus: "4000" } } } },
      "4000",
    ],
    [
      "a controller that systemd hands to nobody",
      {
        linux: {
          resources: { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] },
        },
      },
      "hands no hugetlb controller down",
    ],
  ] as const
) {
  testOn(
    NEEDS,
    `systemd: a create that fails for ${what} leaves no unit`,
    async () => {
      await using room = makeScopeRoom(spec);
      const { id, unit, bundle } = room;
      const { code, stderr } = await room.call(
        ...["--systemd-cgroup", "create", "-b", bundle, id],
      );
      assertEquals([code, stderr.includes(says)], [1, true], stderr);
      await waitForNone(unit);
      assertEquals((await room.call("list", "-q")).stdout, "");
    },
  );
}

testOn(
  NEEDS,
  "systemd: without a path the unit is rustyrun's own in system.slice; another form is refused with runc's words",
  async () => {
    await using room = makeScopeRoom();
    const { id, bundle } = room;
    const create = ["--systemd-cgroup", "create", "-b", bundle, id];
    room.write({ linux: { cgroupsPath: "" } });
    await room.quiet(...create);
    const unit = `rustyrun-${id}.scope`;
    const { ControlGroup } = await show(unit, ["ControlGroup"]);
    assertEquals(ControlGroup, `/system.slice/${unit}`);
    await room.quiet("delete", "--force", id);
    await waitForNone(unit);
    room.write({ linux: { cgroupsPath: "/a/b" } });
    const { code, stderr } = await room.call(...create);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a/b" instead',
    );
  },
);

testOn(
  NEEDS,
  "systemd: without D-Bus root speaks to systemd itself; without that, too, the error has the cure",
  async () => {
    await using room = makeScopeRoom();
    const { id } = room;
    const words = ["--systemd-cgroup", "create", "-b", room.bundle, id];
    const hide = (dirs: string, ...line: string[]) =>
      runToEnd([
        ...["unshare", "-m", "sh", "-c"],
        `for i in ${dirs}; do mount -t tmpfs none $i || exit 99; done; exec "$@"`,
        ...["sh", ...line],
      ]);
    const none = await hide(
      "/run/dbus /run/systemd",
      ...room.line(...words),
    );
    assertEquals(none.code, 1);
    assertStringIncludes(none.stderr, "Cannot reach systemd by D-Bus");
    assertStringIncludes(none.stderr, "--cgroup-manager cgroupfs");
    const { code } = await hide(
      "/run/dbus",
      ...["sh", "-c", '"$@" >/dev/null 2>&1 </dev/null', "sh"],
      ...room.line(...words),
    );
    assertEquals(code, 0);
    assertEquals(
      (await show(room.unit, ["ActiveState"])).ActiveState,
      "active",
    );
  },
);

testOn(
  [...NEEDS, "podman"],
  "systemd: podman's containers with its default manager, as root",
  async () => {
    const before = takeSnapshot();
    await using room = makeScopeRoom();
    const [program, ...rest] = room.line();
    const runtime = `${room.bundle}/runtime`;
    Deno.writeTextFileSync(
      runtime,
      `#!/bin/sh\nexec ${[program, ...rest].join(" ")} "$@"\n`,
      { mode: 0o755 },
    );
    const podman = (...words: string[]) =>
      runToEnd(["podman", "--runtime", runtime, ...words]);
    const { stdout: manager } = await podman(
      ...["info", "--format", "{{.Host.CgroupManager}}"],
    );
    assertEquals(manager.trim(), "systemd");
    const { code, stdout, stderr } = await podman(
      ...["run", "--rm", "--network", "none", "--memory", "64m"],
      ...["--pids-limit", "50", "--rootfs", room.rootfs, "sh", "-c"],
      "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 7",
    );
    assertEquals([code, stdout], [7, `${64 << 20}\n50\n`], stderr);
    const { stdout: units } = await runToEnd(
      ["systemctl", "list-units", "--all", "--no-legend", "libpod-*.scope"],
    );
    assertEquals(units, "");
    assertEquals(await findLeaks(before, "libpod-"), []);
  },
);
