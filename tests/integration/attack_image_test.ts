/**
 * Hostile root file systems: links where the runtime mounts, makes and reads,
 * and words (working directory, command) that lead back to the host. Each row
 * is a kind of attack that some runtime has had; the host's directory must be
 * as it was.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeBox } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeTarget, NEEDS, type Target } from "./attack.ts";
import { makeCaller, type Spec } from "./caller.ts";

/** The ways into a root. */
const WAYS: readonly (readonly string[])[] = [
  [],
  ["--no-pivot"],
  ["--ephemeral"],
  ["--userns", "0:100000:65536"],
];

function replaceByLink(path: string, to: string): void {
  Deno.removeSync(path, { recursive: true });
  Deno.symlinkSync(to, path);
}

function run(program: string, ...args: string[]): void {
  const { success } = new Deno.Command(program, { args }).outputSync();
  if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
}

for (const [name, to] of [["proc", "/sys"], ["sys", "/"], ["proc", "tmp"]]) {
  testOn(
    NEEDS,
    `run() refuses an image with /${name} -> ${to} (CVE-2023-27561)`,
    async () => {
      await using box = makeBox();
      replaceByLink(`${box.rootfs}/${name}`, to!);
      const { code, stderr } = await box.run(["--", "true"]);
      assertEquals(code, 125);
      assertStringIncludes(
        stderr,
        `rustyrun: Cannot use "/${name}" as a mount point`,
      );
    },
  );
}

for (const way of WAYS) {
  testOn(
    NEEDS,
    `run ${
      way.join(" ")
    } makes no device through an image's /dev (CVE-2026-41579)`,
    async () => {
      using target = makeTarget();
      await using box = makeBox();
      run("chown", "-R", "100000:100000", box.rootfs);
      replaceByLink(`${box.rootfs}/dev`, target.climb);
      const { stderr } = await box.run([...way, "--", "ls", "/dev/null"]);
      target.check();
      // A mount point inside the root, or none: never the host's.
      if (stderr !== "") assertStringIncludes(stderr, '"/dev"');
    },
  );
}

/** What an image may have in its own /dev, when no mount covers it. */
const DEV: [string, (dev: string, target: Target) => void][] = [
  ["/dev is a link out of the root", (dev, { climb }) => {
    replaceByLink(dev, climb);
  }],
  ["/dev/zero is a link out of the root", (dev, { dir }) => {
    Deno.symlinkSync(`${dir}/zero`, `${dev}/zero`);
  }],
  ["/dev/null is a link to a file of the host (CVE-2025-31133)", (
    dev,
    { dir },
  ) => {
    Deno.symlinkSync(`${dir}/null`, `${dev}/null`);
  }],
];

for (const [what, attack] of DEV) {
  testOn(
    [...NEEDS, "python3"],
    `run() does nothing to the host where ${what}`,
    async () => {
      using target = makeTarget();
      await using caller = makeCaller({
        process: { args: ["true"] },
        mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
        linux: { maskedPaths: ["/etc/group"] },
      });
      attack(`${caller.rootfs}/dev`, target);
      await caller.call(["run", "--bundle", caller.bundle, caller.id]);
      target.check();
    },
  );
}

testOn(
  NEEDS,
  "run() masks by the host's null device, not by the image's",
  async () => {
    await using box = makeBox();
    // It is covered by the container's own; what is masked is still the kernel's.
    Deno.symlinkSync("/proc/sysrq-trigger", `${box.rootfs}/dev/null`);
    const { stdout } = await box.run([
      "--",
      "stat",
      "-c",
      "%F %t:%T",
      "/proc/keys",
      "/dev/null",
    ]);
    assertEquals(
      stdout,
      "character special file 1:3\ncharacter special file 1:3\n",
    );
  },
);

for (
  const destination of [
    "/../../../../../../TARGET/made",
    "/x/../../../../../../TARGET/made",
    "/link/made",
  ]
) {
  testOn(
    [...NEEDS, "python3"],
    `run() mounts on ${destination} inside the root`,
    async () => {
      using target = makeTarget();
      const path = destination.replace("/TARGET", target.dir);
      await using caller = makeCaller({
        process: { args: ["true"] },
      });
      const file = `${caller.bundle}/config.json`;
      const spec: Spec = JSON.parse(Deno.readTextFileSync(file));
      spec["mounts"].push({
        destination: path,
        type: "tmpfs",
        source: "tmpfs",
      });
      caller.write(spec);
      Deno.symlinkSync(`/${target.climb}`, `${caller.rootfs}/link`);
      const { code } = await caller.call([
        "run",
        "--bundle",
        caller.bundle,
        caller.id,
      ]);
      assertEquals(code, 0);
      target.check();
      // Else the test would hold with nothing mounted.
      assertEquals(
        Deno.statSync(`${caller.rootfs}${target.dir}/made`).isDirectory,
        true,
      );
    },
  );
}

for (const way of [...WAYS, ["--ephemeral=DIR"]]) {
  testOn(
    NEEDS,
    `run ${
      way.join(" ")
    } -w /proc/self/fd/N makes nothing on the host (CVE-2024-21626)`,
    async () => {
      using target = makeTarget();
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-upper-" });
      try {
        await using box = makeBox();
        for (const n of [3, 4, 5, 6, 7, 8, 9, 20, 21, 22]) {
          const { code } = await box.run([
            ...way.map((it) => it.replace("DIR", dir)),
            "-w",
            `/proc/self/fd/${n}/${target.climb}/made`,
            "--",
            "true",
          ]);
          assertEquals(code, 125, `descriptor ${n}`);
          target.check();
        }
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

testOn(
  NEEDS,
  "run() makes a working directory whose name goes up and down",
  async () => {
    await using box = makeBox();
    Deno.symlinkSync("/srv/real", `${box.rootfs}/link`);
    Deno.mkdirSync(`${box.rootfs}/srv/real`, { recursive: true });
    const { stdout } = await box.run(["-w", "/link/new/../x/./y", "--", "pwd"]);
    assertEquals(stdout, "/srv/real/x/y\n");
  },
);

testOn(NEEDS, "run() lets no command out through a descriptor", async () => {
  await using box = makeBox();
  for (const n of [3, 6, 7, 20, 21]) {
    const { code } = await box.run([
      "--",
      `/proc/self/fd/${n}/../../../../../../../bin/true`,
    ]);
    assertEquals([126, 127].includes(code), true, `${n}: ${code}`);
  }
});

testOn(
  NEEDS,
  "run() gives the helper away to no interpreter line (CVE-2019-5736)",
  async () => {
    await using box = makeBox();
    Deno.writeTextFileSync(`${box.rootfs}/bin/evil`, "#!/proc/self/exe\n");
    Deno.chmodSync(`${box.rootfs}/bin/evil`, 0o755);
    const { code, stderr } = await box.run(["--", "evil"]);
    assertEquals(code, 125);
    // It ran, in the container, and knew nothing to do.
    assertEquals(
      stderr,
      "rustyrun-helper: started by rustyrun, not by hand\n",
    );
  },
);

/** What an image may have for an /etc/passwd, and HOME in the end. */
const PASSWD: [string, (path: string) => void, string][] = [
  ["a FIFO", (path) => run("mkfifo", path), "/"],
  ["a device", (path) => run("mknod", path, "c", "1", "5"), "/"],
  ["a directory", (path) => Deno.mkdirSync(path), "/"],
  ["a link to a descriptor", (path) => {
    Deno.symlinkSync("/proc/self/fd/0", path);
  }, "/"],
  ["a link out of the root", (path) => {
    Deno.symlinkSync("../../../../../../../etc/passwd", path);
  }, "/"],
  ["larger than 1 MiB", (path) => {
    Deno.writeTextFileSync(path, "root:x:0:0::/big:\n" + "#".repeat(1 << 20));
  }, "/"],
  ["a HOME with a NUL", (path) => {
    Deno.writeTextFileSync(path, "root:x:0:0::/a\0b:\n");
  }, "/"],
  ["a HOME longer than a path", (path) => {
    Deno.writeTextFileSync(path, `root:x:0:0::/${"a".repeat(300_000)}:\n`);
  }, "/"],
  ["a HOME with a line break", (path) => {
    Deno.writeTextFileSync(path, "root:x:0:0::/a\nLD_PRELOAD=/b:\n");
  }, "/a"],
  ["a name that is a number", (path) => {
    Deno.writeTextFileSync(path, "1000:x:0:0::/zero:\nroot:x:0:0::/r:\n");
  }, "/zero"],
];

for (const [what, attack, home] of PASSWD) {
  testOn(
    NEEDS,
    `run() reads HOME from nothing but a file: /etc/passwd is ${what}`,
    async () => {
      await using box = makeBox();
      Deno.removeSync(`${box.rootfs}/etc/passwd`);
      attack(`${box.rootfs}/etc/passwd`);
      const { code, stdout, stderr } = await box.run(
        ["--", "sh", "-c", "echo $HOME"],
      );
      assertEquals({ code, stdout, stderr }, {
        code: 0,
        stdout: `${home}\n`,
        stderr: "",
      });
    },
  );
}

testOn(
  NEEDS,
  "run -u 1000 is user 1000 whatever passwd says (CVE-2016-3697)",
  async () => {
    await using box = makeBox();
    Deno.writeTextFileSync(`${box.rootfs}/etc/passwd`, "1000:x:0:0::/:\n");
    const { stdout } = await box.run([
      "-u",
      "1000",
      "--",
      "sh",
      "-c",
      "id -u; grep -E '^Cap(Eff|Prm|Inh|Amb)' /proc/self/status",
    ]);
    const none = "0".repeat(16);
    assertEquals(
      stdout,
      `1000\nCapInh:\t${none}\nCapPrm:\t${none}\nCapEff:\t${none}\nCapAmb:\t${none}\n`,
    );
  },
);

testOn(
  [...NEEDS, "python3"],
  "create() waits at no FIFO in a namespace's place",
  async () => {
    await using caller = makeCaller();
    const fifo = `${caller.dir}/fifo`;
    run("mkfifo", fifo);
    const file = `${caller.bundle}/config.json`;
    const spec: Spec = JSON.parse(Deno.readTextFileSync(file));
    spec["linux"].namespaces = [
      { type: "mount" },
      { type: "pid" },
      { type: "network", path: fifo },
    ];
    caller.write(spec);
    const { code, stderr } = await caller.callBare([
      "run",
      "--bundle",
      caller.bundle,
      caller.id,
    ]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, fifo);
  },
);
