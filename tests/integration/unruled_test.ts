/**
 * Containers that no device rules hold: root's without a cgroup open no device
 * that they were not given all the same, and what only rules could do is an
 * error.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliResult,
  makeBox,
  runCli,
  runToEnd,
} from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { type Called, makeCaller, QUIET } from "./caller.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];
const USERNS = ["--userns", "0:100000:65536"];
const DISABLED = ["--cgroup-manager", "disabled"];
/** What opens no device: with rules every other one would fail as well. */
const READ = "head -c 1 PATH | wc -c";

const say = ({ code, stdout, stderr }: CliResult): Called => ({
  code,
  stdout,
  stderr,
});

/** A run without a cgroup; with a user namespace its root owns the files. */
async function run(box: Box, args: readonly string[]): Promise<Called> {
  if (args.includes("--userns")) {
    await new Deno.Command("chown", {
      args: ["-R", "100000:100000", box.rootfs],
    }).output();
  }
  const words = ["run", "--rootfs", box.rootfs, "--name", box.id];
  return say(await runCli([...DISABLED, ...words, ...args]));
}

/** A copy of /dev/zero, which anybody may read. */
function makeNode(path: string): void {
  const { success } = new Deno.Command("mknod", {
    args: ["-m", "666", path, "c", "1", "5"],
  }).outputSync();
  assertEquals(success, true);
}

const CLOSED: readonly (readonly string[])[] = [
  [],
  ["--ephemeral"],
  ["--read-only"],
  ["--no-pivot"],
  USERNS,
  [...USERNS, "--ephemeral"],
  [...USERNS, "--read-only"],
];

for (const flags of CLOSED) {
  testOn(
    NEEDS,
    `without device rules the image's devices do not open: ${flags.join(" ")}`,
    async () => {
      await using box = makeBox();
      makeNode(`${box.rootfs}/node`);
      const got = await run(box, [
        ...flags,
        ...["--", "sh", "-c"],
        `${READ.replace("PATH", "/dev/zero")}; ${
          READ.replace("PATH", "/node")
        }`,
      ]);
      assertEquals(got, {
        code: 0,
        stdout: "1\n0\n",
        stderr: "head: /node: Permission denied\n",
      });
    },
  );
}

testOn(
  NEEDS,
  "without device rules a user namespace's root does not open them either",
  async () => {
    await using box = makeBox();
    makeNode(`${box.rootfs}/node`);
    Deno.mkdirSync(`${box.rootfs}/volume`);
    makeNode(`${box.rootfs}/volume/node`);
    const got = await run(box, [
      ...USERNS,
      "--cap-add=ALL",
      `--volume=${box.rootfs}/volume:/volume`,
      ...["--", "sh", "-c"],
      `for i in / /volume; do mount -o remount,bind,dev $i && echo remounted $i; done
      cat /node /volume/node | head -c 1`,
    ]);
    assertEquals([got.code, got.stdout], [0, ""], got.stderr);
  },
);

testOn(NEEDS, "without device rules no device is made", async () => {
  await using box = makeBox();
  const got = await run(box, ["--", "mknod", "/dev/loop", "b", "7", "0"]);
  assertEquals(got, {
    code: 1,
    stdout: "",
    stderr: "mknod: /dev/loop: Operation not permitted\n",
  });
});

const VOLUMES: [flag: string, bytes: string][] = [
  ["--volume=DIR:/v", "0\n"],
  ["--volume=DIR:/v:bind", "0\n"],
  ["--volume=DIR:/v:nosuid", "0\n"],
  ["--mount=type=bind,src=DIR,dst=/v", "0\n"],
  ["--volume=DIR:/v:dev", "1\n"],
  ["--mount=type=bind,src=DIR,dst=/v,dev", "1\n"],
];

for (const userns of [[], USERNS]) {
  for (const [flag, bytes] of VOLUMES) {
    testOn(
      NEEDS,
      `without device rules a volume's devices: ${flag} ${userns.join(" ")}`,
      async () => {
        await using box = makeBox();
        const dir = `${box.rootfs}/tmp`;
        makeNode(`${dir}/node`);
        const got = await run(box, [
          ...userns,
          flag.replace("DIR", dir),
          ...["--", "sh", "-c", READ.replace("PATH", "/v/node")],
        ]);
        assertEquals([got.code, got.stdout], [0, bytes], got.stderr);
      },
    );
  }
}

for (const userns of [[], USERNS]) {
  testOn(
    NEEDS,
    `without device rules --device does its work ${userns.join(" ")}`,
    async () => {
      await using box = makeBox();
      const got = await run(box, [
        ...userns,
        ...["--device", "/dev/zero:/dev/a/b:rw", "--"],
        ...["sh", "-c", READ.replace("PATH", "/dev/a/b")],
      ]);
      assertEquals([got.code, got.stdout, got.stderr], [0, "1\n", ""]);
    },
  );
}

const HINT =
  "\n  hint: Leave the capability out, or --cgroup-manager disabled; with --userns it leads to no device\n";

const REFUSED: [words: readonly string[], stderr: string][] = [
  ...["MKNOD", "SYS_ADMIN", "DAC_READ_SEARCH"].map((
    it,
  ): [string[], string] => [
    ["--cap-add", it],
    `Cannot give the container CAP_${it}: it has no device rules (--cgroup-manager disabled), and could use devices that it was not given${HINT}`,
  ]),
  [
    ["--device", "/dev/zero:/mnt/zero"],
    'Cannot make the device "/mnt/zero": without device rules (--cgroup-manager disabled) none can be opened outside of /dev (--device /dev/zero:/mnt/zero)\n  hint: Write --device /dev/zero:/dev/NAME, or leave --cgroup-manager disabled out\n',
  ],
  [
    ["-v", "/dev:/dev"],
    'Cannot mount "/dev" on "/dev": without device rules (--cgroup-manager disabled) no device in it could be opened (-v /dev:/dev)\n  hint: Add the option "dev" to open all of them, or leave --cgroup-manager disabled out\n',
  ],
  [
    ["--device", "/dev/full:r"],
    'Cannot apply "--device /dev/full:r": only device rules hold a container to "r" of "/dev/full", and this one has none\n  hint: Leave ":r" out, or run it as root and without --cgroup-manager disabled\n',
  ],
];

for (const [words, stderr] of REFUSED) {
  testOn(
    NEEDS,
    `without device rules run refuses ${words.join(" ")}`,
    async () => {
      await using box = makeBox();
      const got = await run(box, [...words, "--", "true"]);
      assertEquals(got, {
        code: 125,
        stdout: "",
        stderr: `rustyrun: ${stderr}`,
      });
    },
  );
}

testOn(
  ["user", "userns", "helper", "busybox"],
  "a user's container is not held to reading a device: an error",
  async () => {
    await using box = makeBox({ user: true });
    const got = await box.run(["--device", "/dev/full:r", "--", "true"]);
    assertEquals(say(got), {
      code: 125,
      stdout: "",
      stderr: `rustyrun: ${REFUSED.at(-1)![1]}`,
    });
  },
);

testOn(
  NEEDS,
  "exec gives no capability that leads to devices where no rules are",
  async () => {
    await using box = makeBox();
    const started = await run(box, ["-d", "--rm", "--", "sleep", "1000"]);
    assertEquals([started.code, started.stderr], [0, ""]);
    const got = await runCli(["exec", "--cap", "CAP_MKNOD", box.id, "true"]);
    const allowed = await runCli(["exec", "--cap", "CAP_BPF", box.id, "true"]);
    await runCli(["delete", "--force", box.id]);
    assertEquals(say(got), {
      code: 255,
      stdout: "",
      stderr:
        `rustyrun: Cannot give the process CAP_MKNOD: it has no device rules (--cgroup-manager disabled), and could use devices that it was not given${HINT}`,
    });
    assertEquals(say(allowed), QUIET);
  },
);

testOn(
  NEEDS,
  "without device rules a user namespace's root gets no CAP_SYS_ADMIN where nodev is not locked",
  async () => {
    await using box = makeBox();
    const got = await runToEnd([
      ...["setpriv", "--bounding-set", "-sys_admin"],
      ...[...cliCommand(), ...DISABLED, "run", "--rootfs", box.rootfs],
      ...[...USERNS, "--cap-add", "SYS_ADMIN", "--", "true"],
    ]);
    assertEquals(say(got), {
      code: 125,
      stdout: "",
      stderr:
        "rustyrun: Cannot give the container CAP_SYS_ADMIN: it has no device rules (--cgroup-manager disabled), and could use devices that it was not given\n  hint: Leave the capability out, or --cgroup-manager disabled, or run rustyrun with CAP_SYS_ADMIN\n",
    });
  },
);

const DENY = { allow: false, access: "rwm" };
const ALLOW = { allow: true, access: "rwm" };

testOn(
  NEEDS,
  "a bundle's device rules are applied, or they are an error",
  async () => {
    const words = (devices: unknown[]) => ({
      process: { args: ["true"] },
      linux: { resources: { devices } },
    });
    await using denying = makeCaller(words([ALLOW, DENY]));
    for (const command of ["run", "create"]) {
      assertEquals(
        await denying.call([...DISABLED, command, ...BUNDLE(denying)]),
        {
          code: 1,
          stdout: "",
          stderr:
            "rustyrun: Cannot apply linux.resources.devices[1]: it denies devices, and the cgroup manager is disabled\n  hint: Leave out --cgroup-manager disabled, or all rules that deny something\n",
        },
      );
    }
    await using open = makeCaller(words([DENY, ALLOW]));
    assertEquals(
      await open.call([...DISABLED, "run", ...BUNDLE(open)]),
      QUIET,
    );
  },
);

const BUNDLE = ({ bundle, id }: { bundle: string; id: string }) => [
  "--bundle",
  bundle,
  id,
];
