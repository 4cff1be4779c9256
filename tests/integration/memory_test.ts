/**
 * What a container's first process has of the host in its memory, where it may
 * stay for long: whoever may trace it (CAP_SYS_PTRACE, in the same pid namespace)
 * reads /proc/PID/mem.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { makeBox } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeCaller, makeSpec, QUIET, readStatus } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** What is mapped there of files, and all that can be read of it. */
function readMemory(pid: number): { files: string[]; text: string } {
  const files = new Set<string>();
  const parts: string[] = [];
  using memory = Deno.openSync(`/proc/${pid}/mem`);
  const decoder = new TextDecoder("latin1");
  for (
    const line of Deno.readTextFileSync(`/proc/${pid}/maps`).trim().split("\n")
  ) {
    const [range, , , , , ...name] = line.split(/ +/);
    const [from, to] = range!.split("-").map((it) => parseInt(it, 16));
    // The kernel's own.
    if (name[0]?.startsWith("[v")) continue;
    files.add(name[0] ?? "");
    const bytes = new Uint8Array(to! - from!);
    memory.seekSync(from!, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) {
      at += memory.readSync(bytes.subarray(at)) ?? bytes.length;
    }
    parts.push(decoder.decode(bytes));
  }
  return {
    files: [...files].filter((it) => it !== "" && !it.startsWith("[")),
    text: parts.join("\0"),
  };
}

testOn(
  NEEDS,
  "a created container that waits has nothing of the host in its memory",
  async () => {
    await using caller = makeCaller();
    const { dir, id } = caller;
    const spec = makeSpec(id, {
      process: { env: ["PATH=/bin", "OWN=of the container"] },
      hostname: "inside",
      hooks: {
        createContainer: [{
          path: "/bin/true",
          env: [`HOOK=of the bundle`],
        }],
        startContainer: [{ path: "/bin/true" }],
      },
      annotations: { noted: "an annotation" },
    });
    spec["mounts"].push({
      destination: "/run",
      type: "bind",
      source: dir,
      options: ["rbind", "ro"],
    });
    caller.write(spec);
    const { code } = await caller.hold(
      ["create", "--bundle", caller.bundle, id],
      { env: { SECRET: "of the caller" } },
    );
    assertEquals(code, 0);
    const { pid } = await caller.state();
    // It says so only after it has gone through the steps before.
    const { files, text } = readMemory(pid);
    assertEquals(files.length, 1, files.join());
    assert(!files[0]!.includes("rustyrun-plan"), files[0]);
    // What is read is what is there.
    assert(text.includes("OWN=of the container"));
    for (
      const it of [
        "SECRET",
        "of the caller",
        "HOOK=of the bundle",
        // The state of the startContainer hook names the bundle.
        `${dir}/bundle/rootfs`,
        caller.root,
        "/sys/fs/cgroup",
      ]
    ) assert(!text.includes(it), it);
    assertEquals(await caller.call(["start", id]), QUIET);
  },
);

testOn(
  ["root", "helper", "busybox"],
  "pid 1 of --init has nothing of the plan in its memory",
  async () => {
    await using box = makeBox();
    const running = box.start([
      "-i",
      "--init",
      "-e",
      "OWN=of the container",
      "--",
      "sh",
      "-c",
      "echo up; read x",
    ], { stdin: "" });
    await running.waitFor("up");
    const init = await waitFor(
      () =>
        [...Deno.readDirSync("/proc")].map((it) => Number(it.name))
          .find((pid) => {
            try {
              return pid > 0 && readStatus(pid, "Name") === "rustyrun-init" &&
                Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(box.id);
            } catch {
              // It has ended.
              return false;
            }
          }),
      (it) => it !== undefined,
    );
    const { files, text } = readMemory(init!);
    await running.closeStdin();
    await running.done;
    assertEquals(files.length, 1, files.join());
    for (
      const it of ["OWN=of", box.rootfs, "/sys/fs/cgroup", "/run/rustyrun"]
    ) assert(!text.includes(it), it);
  },
);
