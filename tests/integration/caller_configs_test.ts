/**
 * The config.json files that engines really write (tests/testdata/config, as
 * captured): they run as they are, but for the paths of the machine that they
 * were captured on, and the command.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ROOT } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeCaller, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;
const DATA = `${ROOT}/tests/testdata/config`;

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Replaces what only the machine of the capture had. */
function transplant(spec: Spec, id: string, dir: string): Spec {
  const { process, linux } = spec;
  const mounts = (spec["mounts"] as Spec[]).filter(({ destination }) =>
    // A hierarchy of v1: there is no such directory in v2, nor can it be made.
    !destination.startsWith("/sys/fs/cgroup/") || exists(destination)
  ).map((mount) => {
    const { source, type, options } = mount;
    const bind = type === "bind" ||
      options?.some((it: string) => it === "bind" || it === "rbind");
    if (!bind || exists(source)) return mount;
    const file = `${dir}/mounted-${String(source).replaceAll("/", "_")}`;
    if (/\/(shm|mounts)$/.test(source)) Deno.mkdirSync(file);
    else Deno.writeTextFileSync(file, "");
    return { ...mount, source: file };
  });
  const result: Spec = {
    ...spec,
    root: { ...spec["root"], path: "rootfs" },
    process: {
      ...process,
      terminal: false,
      args: ["/bin/sh", "-c", "echo ran"],
      cwd: "/",
    },
    mounts,
    linux: { ...linux, cgroupsPath: `/${id}` },
  };
  delete result["hooks"];
  // Of another user's engine: paths of namespaces that are gone.
  result["linux"].namespaces = linux.namespaces.map((it: Spec) => ({
    type: it["type"],
  }));
  // No more than this process itself has: raising needs CAP_SYS_RESOURCE.
  delete result["process"].rlimits;
  if (result["process"].oomScoreAdj < 0) delete result["process"].oomScoreAdj;
  return result;
}

// crun's has no id mappings: it fills them in for whoever is not root.
const FILES = [...Deno.readDirSync(DATA)].map((it) => it.name)
  .filter((name) =>
    name.endsWith(".json") && name !== "crun_spec_rootless.json"
  )
  .sort();

for (const name of FILES) {
  testOn(NEEDS, `${name} runs as it is`, async () => {
    await using caller = makeCaller();
    const { id, bundle, dir } = caller;
    const spec = JSON.parse(Deno.readTextFileSync(`${DATA}/${name}`));
    caller.write(transplant(spec, id, dir));
    const owner = spec.linux.uidMappings?.[0].hostID ?? 0;
    // The engine unpacks the image for the ids that it maps.
    new Deno.Command("chown", {
      args: ["-R", `${owner}:${owner}`, caller.rootfs],
    }).outputSync();
    assertEquals(await caller.call(["run", "--bundle", bundle, id]), {
      code: 0,
      stdout: "ran\n",
      stderr: "",
    });
  });
}
