/**
 * Engines with their defaults on a machine of today: in a guest with systemd,
 * cgroup v2 and kernel 6.1, Docker, podman (root and rootless), containerd, swarm
 * and others show the same with rustyrun as with runc. It takes most of an hour,
 * since all is emulated: RUSTYRUN_GUEST_ENGINES="docker podman:rootless" names some.
 * RUSTYRUN_CRICTL is the path of a crictl: with it, containerd's CRI plugin makes a
 * pod, too. RUSTYRUN_ROW and RUSTYRUN_ONCE are how many containers podman and Docker
 * run in a row, and at once.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findVm } from "../../scripts/vm.ts";
import { ROOT } from "../harness.ts";
import { testOn } from "../needs.ts";
import { compareCases } from "./cases.ts";

const ALL =
  "day docker swarm containerd pod pod:cgroupfs buildah podman podman:cgroupfs podman:rootless podman:rootless:cgroupfs";

/** What the guest has beside podman, runc and crun; docs/engines.md. */
const PACKAGES =
  "docker.io containerd buildah netavark aardvark-dns containernetworking-plugins";

/** Seconds until the guest is ended. */
const LONG = 7000;

function dirname(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** Runs the cases in a guest of their own. */
async function runGuest(engines: readonly string[]): Promise<string> {
  const clone = ROOT.replace(/\/$/, "");
  const deno = Deno.execPath();
  const crictl = Deno.env.get("RUSTYRUN_CRICTL");
  const shares = [clone, dirname(deno)];
  if (crictl !== undefined) shares.push(dirname(crictl));
  const vm = findVm();
  const { code, stdout } = await new Deno.Command(
    vm,
    {
      args: [
        "run",
        "--timeout",
        `${LONG}`,
        "--mem",
        "3072",
        "--workdir",
        "/",
        "--env",
        `CRICTL=${crictl ?? ""}`,
        "--env",
        `ROW=${Deno.env.get("RUSTYRUN_ROW") ?? ""}`,
        "--env",
        `ONCE=${Deno.env.get("RUSTYRUN_ONCE") ?? ""}`,
        ...shares.flatMap((path) => ["--share", `${path}:ro:cached`]),
        "--",
        "bash",
        `${clone}/tests/engines/guest.sh`,
        clone,
        deno,
        ...engines,
      ],
      env: { VM_EXTRA_PACKAGES: PACKAGES, VM_KERNELS: "6.1" },
      stdin: "null",
      stderr: "inherit",
    },
  ).output();
  const said = new TextDecoder().decode(stdout);
  assertEquals(code, 0, said.slice(-2000));
  return said;
}

testOn(
  ["root"],
  "engines show the same with rustyrun as with runc, with systemd",
  async (t) => {
    const engines = (Deno.env.get("RUSTYRUN_GUEST_ENGINES") ?? ALL).split(" ");
    const parts = (await runGuest(engines)).split(/^#### /m).slice(1);
    console.log(parts.pop());
    if (engines.includes("containerd") && !Deno.env.get("RUSTYRUN_CRICTL")) {
      console.log("Not run: CRI's cases (RUSTYRUN_CRICTL names no crictl)");
    }
    for (const [index, engine] of engines.entries()) {
      const [runc = "", rustyrun = ""] = parts.slice(2 * index);
      await t.step(engine, (t) => compareCases(t, runc, rustyrun));
    }
  },
);
