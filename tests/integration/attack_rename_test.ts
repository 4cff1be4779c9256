/**
 * Whoever may rename in a root file system, while a container without a user
 * namespace starts on it, moves nothing out of reach of what hides the host's.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { makeSpec, type Spec } from "./caller.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** Opens for writing, and writes nothing; reads. */
const open = (path: string) =>
  `(: >>${path}) 2>/dev/null && echo "${path} is open"`;
const read = (path: string) => `[ -s ${path} ] && echo "${path} is read"`;

/** What holds wherever the mount is now. */
const MOVED: [string, Spec, string, string[]][] = [
  [
    "its procfs",
    {
      linux: {
        maskedPaths: ["/proc/cpuinfo", "/proc/irq"],
        readonlyPaths: ["/proc/sys"],
      },
    },
    "mv proc proc2; mkdir -p proc/sys/kernel proc/irq; : >proc/cpuinfo",
    [
      open("/proc2/sys/kernel/core_pattern"),
      read("/proc2/cpuinfo"),
      "[ -e /proc2/irq/0 ] && echo irq",
      // The paths are what they would be.
      open("/proc/sys/kernel/x"),
    ],
  ],
  [
    "a procfs that is read-only as a whole",
    {
      linux: {
        maskedPaths: ["/proc/cpuinfo"],
        readonlyPaths: ["/proc", "/proc/sys"],
      },
    },
    "mv proc proc2; mkdir proc",
    [
      open("/proc2/sys/kernel/core_pattern"),
      open("/proc2/self/comm"),
      read("/proc2/cpuinfo"),
      open("/proc/x"),
    ],
  ],
  [
    "a volume",
    { linux: { maskedPaths: ["/v/in/secret"], readonlyPaths: ["/v/ro"] } },
    "mv v v2; mkdir -p v/in v/ro; echo x >v/in/secret",
    [read("/v2/in/secret"), open("/v2/ro/x"), read("/v/in/secret")],
  ],
  ["a tmpfs", {}, "mv t t2; mkdir t", [open("/t2/x")]],
];

for (const [what, over, move, tries] of MOVED) {
  for (const readonly of [false, true]) {
    testOn(
      NEEDS,
      `${what} that a hook moves is masked and read-only as before${
        readonly ? ", in a read-only root" : ""
      }`,
      async () => {
        await using box = makeBox();
        const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-rename-" });
        try {
          for (const it of ["volume/in", "volume/ro"]) {
            Deno.mkdirSync(`${dir}/${it}`, { recursive: true });
          }
          Deno.writeTextFileSync(`${dir}/volume/in/secret`, "secret");
          const spec = makeSpec(box.id, {
            ...over,
            process: { args: ["sh", "-c", `${tries.join("\n")}\necho end`] },
            root: { path: box.rootfs, readonly },
          });
          spec["mounts"].push(
            {
              destination: "/v",
              type: "bind",
              source: `${dir}/volume`,
              options: ["rbind"],
            },
            { destination: "/t", type: "tmpfs", options: ["ro"] },
          );
          spec["hooks"] = {
            createRuntime: [{
              path: "/bin/sh",
              args: ["sh", "-ec", `cd ${box.rootfs}; ${move}`],
            }],
          };
          Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(spec));
          assertEquals(
            await runToEnd([
              ...cliCommand(),
              ...["run", "--bundle", dir, box.id],
            ]),
            { code: 0, signal: null, stdout: "end\n", stderr: "" },
          );
        } finally {
          Deno.removeSync(dir, { recursive: true });
        }
      },
    );
  }
}

let built: string | undefined;

function buildRenamer(): string {
  if (built !== undefined) return built;
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-attack-" });
  addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  built = `${dir}/renamer`;
  const { success, stderr } = new Deno.Command("cc", {
    args: ["-O1", "-o", built, `${import.meta.dirname}/attack_rename.c`],
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return built;
}

for (const flags of [[], ["--read-only"], ["--tmpfs", "/dev/x/y:ro"]]) {
  testOn(
    [...NEEDS, "cc"],
    `run ${
      flags.join(" ")
    } hides the same in a /proc that is renamed while it starts`,
    async () => {
      // The moment is not ours to choose: a few tries meet it.
      for (let i = 0; i < 6; i++) {
        await using box = makeBox();
        const { rootfs } = box;
        Deno.removeSync(`${rootfs}/sys`, { recursive: true });
        const renamer = new Deno.Command(buildRenamer(), {
          args: [rootfs],
          stdout: "piped",
        }).spawn();
        const reader = renamer.stdout.getReader();
        await reader.read();
        const script = [
          open("/proc2/sys/kernel/core_pattern"),
          "[ -e /proc2/kcore ] && [ ! -c /proc2/kcore ] && echo kcore",
          "echo end",
        ];
        const { code, stdout } = await runToEnd([
          ...cliCommand(),
          ...["run", "--rootfs", rootfs, "--name", box.id, ...flags],
          ...["--", "sh", "-c", script.join("\n")],
        ]);
        await reader.cancel();
        const renamed = await Promise.race([
          renamer.status,
          new Promise((go) => setTimeout(go, 10_000)),
        ]);
        if (renamed === undefined) renamer.kill();
        assertEquals((await renamer.status).code, 0);
        // Either nothing has run, or it sees what it should.
        if (code === 0) assertEquals(stdout.trimEnd(), "end");
        else assertEquals([code, stdout], [125, ""]);
        // No device is made on the disk.
        for (const it of Deno.readDirSync(`${rootfs}/dev`)) {
          const { isCharDevice } = Deno.lstatSync(`${rootfs}/dev/${it.name}`);
          assert(!isCharDevice, it.name);
        }
      }
    },
  );
}
