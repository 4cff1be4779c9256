/**
 * An engine's own command, with each runtime below it.
 *
 * @module
 */

import { IMAGE, writeImage } from "../../tests/engines/image.ts";
import { findProgram, hasNeed } from "../../tests/needs.ts";
import { type Act, interleave, type Series } from "../measure.ts";
import type { Sample } from "../starter.ts";
import type { Bench, Case } from "./case.ts";

/** Limits that every machine allows: the hard ones may be below podman's own
 * defaults. */
const CONF = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
`;

async function measure(bench: Bench): Promise<Series[]> {
  const { room, field } = bench;
  if (!hasNeed("podman")) {
    field.absent.push({
      what: "podman run",
      why: "podman or conmon is missing",
    });
    return [];
  }
  Deno.writeTextFileSync(`${room.dir}/containers.conf`, CONF);
  const podman = [
    findProgram("podman")!,
    ...["--root", room.makeDir("storage"), "--storage-driver", "overlay"],
    ...["--runroot", room.makeDir("runroot"), "--tmpdir", room.makeDir("pod")],
  ];
  const image = `${room.dir}/image.tar`;
  await writeImage(image);
  await room.starter.run([...podman, "load", "-q", "-i", image]);
  const acts = new Map<string, Act>();
  for (const runtime of field.runtimes) {
    const line = [
      ...podman,
      ...["--runtime", runtime.program, "run", "--rm", "--network=none"],
      ...[`--cgroup-parent=${room.cgroup}`, IMAGE, "/bin/true"],
    ];
    acts.set(runtime.name, async () => {
      const before = field.engineCpu();
      const { ms, cpu } = await room.starter.step(line);
      // conmon and its cleanup go on for a moment.
      const rest = await room.settle(field.servantPids);
      const run: Sample = {
        ms,
        cpu: cpu + rest + field.engineCpu() - before,
      };
      return { run };
    });
  }
  const rounds = { before: 2, count: Math.ceil(bench.rounds.count / 2) };
  return await interleave("podman", acts, rounds, room.starter);
}

export const CASES: readonly Case[] = [{
  name: "podman",
  title: "podman run --rm",
  job:
    "podman run --rm --network=none of a busybox image with /bin/true, the runtime given by --runtime (rustyrun, cold: a line of shell that starts Deno). The CPU time includes podman's and conmon's.",
  run: measure,
}];
