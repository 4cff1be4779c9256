/**
 * Lets the engines that are installed here (podman and conmon, containerd's
 * ctr, dockerd, buildah) run containers with rustyrun, and a pod by hand. One after another: each
 * has daemons, and the machine is small.
 *
 *     deno task engines [--only NAME...]
 *
 * `--only guest` does it where they have their defaults: in a guest with
 * systemd and cgroup v2 (deno task vm has the tool), for most of an hour.
 *
 * Tests the bundle, which it writes; RUSTYRUN_BIN names another runtime: with
 * runc's path, what fails is the machine's fault. An engine that is missing is skipped by name; with
 * RUSTYRUN_MUST_RUN=1 it is a failure.
 *
 * @module
 */

import { lockProofs } from "../tests/conformance/room.ts";
import { ROOT } from "./build.ts";
import { bundle } from "./bundle.ts";

const HERE = [
  "podman",
  "podman_cases",
  "containerd",
  "docker",
  "buildah",
  "pod",
  "day",
];

/** What runs only by name: all of them in a guest with systemd, for an hour. */
const ENGINES = [...HERE, "guest"];

/**
 * Runs the tests of these engines.
 *
 * @returns the exit code of `deno test`
 */
async function testEngines(names: readonly string[]): Promise<number> {
  if (Deno.env.get("RUSTYRUN_BIN") === undefined) bundle();
  // Others of our proofs mount a hugetlb hierarchy, which engines see.
  using _lock = await lockProofs();
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      ...names.map((name) => `${ROOT}tests/engines/${name}.ts`),
    ],
  }).spawn().status;
  return code;
}

if (import.meta.main) {
  const only = Deno.args[0] === "--only" ? Deno.args.slice(1) : [];
  const strange = Deno.args.length > 0 &&
    (only.length === 0 || only.some((name) => !ENGINES.includes(name)));
  if (strange) {
    console.error(`Usage: deno task engines [--only ${ENGINES.join("|")}]...`);
    Deno.exit(2);
  }
  Deno.exit(await testEngines(only.length > 0 ? only : HERE));
}
