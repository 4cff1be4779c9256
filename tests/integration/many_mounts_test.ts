/**
 * As many mounts as somebody may want, with few descriptors: each is open for a
 * moment alone.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Need, testOn } from "../needs.ts";
import type { Spec } from "./caller.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];
const MOUNTS = 1200;
/** What the runtime may have open: few for so many. */
const LIMIT = ["prlimit", "--nofile=256:256"];

const numbers = Array.from({ length: MOUNTS }, (_, i) => i);
const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
const USERNS = { uidMappings: maps, gidMappings: maps };

const bind = (box: CrashBox, more: Spec = {}) =>
  numbers.map((it) => ({
    destination: `/m/${it}`,
    type: "bind",
    source: `${box.dir}/src/${it}`,
    options: ["rbind", "ro"],
    ...more,
  }));

const countMounts = "grep -c ' /m/[0-9]* ro' /proc/self/mountinfo";

/** A bundle with so many of a kind, and how they are counted inside. */
const KINDS: Record<string, (box: CrashBox) => [Spec, string]> = {
  "bind mounts": (box) => [{ mounts: bind(box) }, countMounts],
  "idmapped mounts": (box) => [{
    mounts: bind(box, USERNS),
  }, countMounts],
  "mounts that propagate": (box) => [{
    mounts: bind(box, { options: ["rbind", "ro", "rslave"] }),
    linux: { rootfsPropagation: "rshared" },
  }, countMounts],
  "file systems": () => [{
    mounts: numbers.map((it) => ({
      destination: `/m/${it}`,
      type: "tmpfs",
      source: "tmpfs",
      options: ["ro"],
    })),
  }, countMounts],
  "devices": () => [{
    linux: {
      devices: numbers.map((it) => ({
        path: `/dev/many/${it}`,
        type: "c",
        major: 1,
        minor: 3,
      })),
    },
  }, "ls /dev/many | wc -l"],
  "masked and read-only paths": () => [{
    linux: {
      maskedPaths: numbers.map((it) => `/mm/${it}`),
      readonlyPaths: numbers.map((it) => `/mm/${it}`),
    },
  }, "cd /mm; cat * | wc -c; grep -c ' /mm/' /proc/self/mountinfo"],
};

for (const [kind, specOf] of Object.entries(KINDS)) {
  testOn(
    NEEDS,
    `run() makes ${MOUNTS} ${kind} with 256 descriptors`,
    async () => {
      await using box = makeCrashBox();
      const rootfs = `${box.dir}/rootfs`;
      Deno.chmodSync(box.dir, 0o755);
      Deno.mkdirSync(`${box.dir}/src`);
      Deno.mkdirSync(`${rootfs}/mm`);
      for (const it of numbers) {
        Deno.mkdirSync(`${box.dir}/src/${it}`);
        Deno.writeTextFileSync(`${rootfs}/mm/${it}`, "x");
      }
      const [spec, script] = specOf(box);
      if (spec.linux?.uidMappings) {
        for (const it of ["", "/dev"]) {
          Deno.mkdirSync(rootfs + it, { recursive: true });
          Deno.chownSync(rootfs + it, 100000, 100000);
        }
      }
      const plain = JSON.parse(
        Deno.readTextFileSync(`${box.bundle}/config.json`),
      );
      const id = `${box.name}-many`;
      const { mounts = [], linux = {} } = spec;
      const bundle = box.addBundle(id, {
        process: { args: ["sh", "-c", script] },
        mounts: [...plain.mounts, ...mounts],
        linux: { ...plain.linux, cgroupsPath: `/${id}`, ...linux },
      });
      const { code, stdout, stderr } = await box.runApart([
        ...LIMIT,
        ...box.argv("run", "--bundle", bundle, id),
      ]);
      const masked = kind.startsWith("masked");
      assertEquals(
        [code, stderr, stdout],
        [0, "", masked ? `0\n${2 * MOUNTS}\n` : `${MOUNTS}\n`],
      );
    },
  );
}

testOn(
  NEEDS,
  "run() takes as many -v and --tmpfs with 256 descriptors",
  async () => {
    await using box = makeCrashBox();
    Deno.mkdirSync(`${box.dir}/src`);
    const flags = numbers.flatMap((it) => {
      if (it % 2) return ["--tmpfs", `/m/${it}:ro`];
      Deno.mkdirSync(`${box.dir}/src/${it}`);
      return ["-v", `${box.dir}/src/${it}:/m/${it}:ro`];
    });
    const { code, stdout, stderr } = await box.runApart([
      ...LIMIT,
      ...box.argv("run", "--rootfs", `${box.dir}/rootfs`, ...flags, "--"),
      "sh",
      "-c",
      countMounts,
    ]);
    assertEquals([code, stderr, stdout], [0, "", `${MOUNTS}\n`]);
  },
);
