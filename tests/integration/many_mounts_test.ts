/**
 * As many mounts as somebody may want, with few descriptors: each is open for a
 * moment alone.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { runToEnd } from "../harness.ts";
import { type Need, testOn, USERS } from "../needs.ts";
import { cliCommand } from "../program.ts";
import type { Spec } from "./caller.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];
const MANY = 1200;
/** What the runtime may have open: few for so many. */
const LIMIT = ["prlimit", "--nofile=256:256"];

const numbers = Array.from({ length: MANY }, (_, i) => i);
const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
const USERNS = { uidMappings: maps, gidMappings: maps };

const bind = (box: CrashBox, more: Spec = {}) => (it: number) => ({
  destination: `/m/${it}`,
  type: "bind",
  source: `${box.dir}/src`,
  options: ["rbind", "ro"],
  ...more,
});

const countMounts = "grep -c ' /m/[0-9]* ro' /proc/self/mountinfo";

/** Makes the source of all volumes, and gives what a user namespace needs to
 * its root. */
function makeSource(box: CrashBox): void {
  Deno.chmodSync(box.dir, 0o755);
  Deno.mkdirSync(`${box.dir}/src`);
  for (const it of ["", "/dev"]) {
    Deno.mkdirSync(`${box.dir}/rootfs${it}`, { recursive: true });
    Deno.chownSync(`${box.dir}/rootfs${it}`, 100000, 100000);
  }
}

async function runMany(
  box: CrashBox,
  script: string,
  { mounts = [], linux = {} }: Spec,
): Promise<string> {
  const plain = JSON.parse(Deno.readTextFileSync(`${box.bundle}/config.json`));
  const id = `${box.name}-many`;
  const bundle = box.addBundle(id, {
    process: { args: ["sh", "-c", script] },
    mounts: [...plain.mounts, ...mounts],
    linux: { ...plain.linux, cgroupsPath: `/${id}`, ...linux },
  });
  const { code, stdout, stderr } = await box.runApart([
    ...LIMIT,
    ...box.argv("run", "--bundle", bundle, id),
  ]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

testOn(
  NEEDS,
  `run() makes ${MANY} volumes and file systems of each kind with 256 descriptors`,
  async () => {
    await using box = makeCrashBox();
    makeSource(box);
    const kinds = [
      bind(box),
      bind(box, USERNS),
      bind(box, { options: ["rbind", "ro", "rslave"] }),
      (it: number) => ({
        destination: `/m/${it}`,
        type: "tmpfs",
        options: ["ro"],
      }),
    ];
    const mounts = kinds.flatMap((kind, at) =>
      numbers.map((it) => kind(at * MANY + it))
    );
    const linux = { rootfsPropagation: "rshared" };
    const out = await runMany(box, countMounts, { mounts, linux });
    assertEquals(out, `${4 * MANY}\n`);
  },
);

testOn(
  NEEDS,
  `run() makes ${MANY} volumes in a user namespace with 256 descriptors`,
  async () => {
    await using box = makeCrashBox();
    makeSource(box);
    const namespaces = ["pid", "mount", "ipc", "uts", "network", "user"]
      .map((type) => ({ type }));
    const out = await runMany(box, countMounts, {
      mounts: numbers.map(bind(box)),
      linux: { namespaces, ...USERNS },
    });
    assertEquals(out, `${MANY}\n`);
  },
);

testOn(
  NEEDS,
  `run() makes ${MANY} devices and hides as many paths with 256 descriptors`,
  async () => {
    await using box = makeCrashBox();
    Deno.mkdirSync(`${box.dir}/rootfs/mm`);
    for (const it of numbers) {
      Deno.writeTextFileSync(`${box.dir}/rootfs/mm/${it}`, "x");
    }
    const paths = numbers.map((it) => `/mm/${it}`);
    const out = await runMany(
      box,
      "ls /dev/many | wc -l; cd /mm; cat * | wc -c; grep -c ' /mm/' /proc/self/mountinfo",
      {
        linux: {
          devices: numbers.map((it) => ({
            path: `/dev/many/${it}`,
            type: "c",
            major: 1,
            minor: 3,
          })),
          maskedPaths: paths,
          readonlyPaths: paths,
        },
      },
    );
    assertEquals(out, `${MANY}\n0\n${2 * MANY}\n`);
  },
);

/** Flags of each kind, and how what they make is counted. */
type Kind = [string, (box: CrashBox, it: number) => string[], string];
const FLAGS: Kind[] = [
  [
    "-v and --tmpfs",
    (box, it) =>
      it % 2
        ? ["--tmpfs", `/m/${it}:ro`]
        : ["-v", `${box.dir}/src:/m/${it}:ro`],
    countMounts,
  ],
  ...["--ephemeral", "--ephemeral=DIR"].map((layer): Kind => [
    `-v with ${layer}`,
    (box, it) => [
      ...["-v", `${box.dir}/src:/m/${it}:ro`],
      ...it ? [] : [layer.replace("DIR", box.dir)],
    ],
    countMounts,
  ]),
  [
    "--device in a user namespace",
    (_, it) => [
      "--device",
      `/dev/null:/dev/null${it}`,
      ...it ? [] : ["--userns", "0:100000:65536"],
    ],
    "ls /dev | grep -c null.",
  ],
];
for (const [what, flagsOf, script] of FLAGS) {
  testOn(
    NEEDS,
    `run() takes ${MANY} ${what} with 256 descriptors`,
    async () => {
      await using box = makeCrashBox();
      makeSource(box);
      const rootfs = `${box.dir}/rootfs`;
      for (const it of ["etc", "proc", "sys"]) {
        Deno.mkdirSync(`${rootfs}/${it}`, { recursive: true });
        Deno.chownSync(`${rootfs}/${it}`, 100000, 100000);
      }
      const { code, stdout, stderr } = await box.runApart([
        ...LIMIT,
        ...box.argv("run", "--rootfs", rootfs),
        ...numbers.flatMap((it) => flagsOf(box, it)),
        ...["--", "sh", "-c", script],
      ]);
      assertEquals([code, stderr, stdout], [0, "", `${MANY}\n`]);
    },
  );
}

for (
  const [layer, rootfs, place] of [
    ["--read-only", "/", "/tmp"],
    ["--ephemeral", "/", "/tmp"],
    ["--ephemeral", "ROOTFS", "/m"],
  ] as const
) {
  testOn(
    [...NEEDS, "user", "userns", "tmpfs-xattr"],
    `run --rootfs ${rootfs} ${layer} takes ${MANY} -v of a user with 256 descriptors`,
    async () => {
      await using box = makeCrashBox();
      makeSource(box);
      for (const it of ["", "/dev", "/etc", "/proc", "/sys"]) {
        const path = `${box.dir}/rootfs${it}`;
        Deno.mkdirSync(path, { recursive: true });
        Deno.chownSync(path, USERS.single, USERS.single);
      }
      const { code, stdout, stderr } = await runToEnd([
        ...LIMIT,
        ...cliCommand({ user: true }),
        ...["run", "--name", box.name, layer],
        ...["--rootfs", rootfs === "/" ? rootfs : `${box.dir}/rootfs`],
        ...numbers.flatMap((it) => ["-v", `${box.dir}/src:${place}/${it}:ro`]),
        ...["--tmpfs", place, "--", "sh", "-c"],
        `grep -c ' ${place}/[0-9]* ro' /proc/self/mountinfo`,
      ], { user: true });
      assertEquals([code, stderr, stdout], [0, "", `${MANY}\n`]);
    },
  );
}
