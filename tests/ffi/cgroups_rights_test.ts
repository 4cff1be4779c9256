/**
 * A user's container may take its owner's rights in cgroups away. They are removed
 * all the same, and what cannot be is told as that.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { isFile, probe, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

const MOUNT = isFile("/sys/fs/cgroup/cgroup.controllers")
  ? "/sys/fs/cgroup"
  : "/sys/fs/cgroup/pids";

const module = (path: string) =>
  JSON.stringify(import.meta.resolve(`../../mod/${path}`));

const PROGRAM = `
import { calmCgroups } from ${module("cgroups/calm.ts")};
import { readPids } from ${module("cgroups/control.ts")};
import { removeCgroups } from ${module("container/kept/removal.ts")};
const [mount, path, room] = Deno.args;
const version = mount === "/sys/fs/cgroup" ? 2 : 1;
const dirs = [{ mount, path, version, controllers: [] }];
try {
  readPids(dirs);
} catch (error) {
  console.error(error.code);
}
// It stands in nobody's way.
calmCgroups(dirs);
removeCgroups({ dirs, made: true }, room);
`;

/** Has a process of root's, which has no more rights than it owns, remove a
 * cgroup that has others below. */
async function remove(
  path: string,
  mount = MOUNT,
  program = PROGRAM,
): Promise<{ code: number; stderr: string }> {
  const room = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${room}/program.ts`, program);
    const lost = "-dac_override,-dac_read_search,-fowner";
    const { code, stderr } = await new Deno.Command("setpriv", {
      args: [
        `--bounding-set=${lost}`,
        `--inh-caps=${lost}`,
        "--",
        Deno.execPath(),
        "run",
        "-A",
        "--no-check",
        `--config=${import.meta.dirname}/../../deno.json`,
        `${room}/program.ts`,
        mount,
        path,
        room,
      ],
      stdin: "null",
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
}

const NAMES = ["no/rights", "no/write/inside"];

for (
  const [whose, owner, mode] of [
    ["one's own", 0, 0o500],
    ["another id", 5, 0o500],
    ["another id that shows them", 5, 0o755],
  ] as const
) {
  testOn(
    ["root", "helper"],
    `cgroups whose rights were taken away, of ${whose}`,
    async () => {
      const top = `${MOUNT}/rrtest-rights-${Deno.pid}-${owner}-${mode}`;
      try {
        for (const it of NAMES) {
          Deno.mkdirSync(`${top}/own/${it}`, { recursive: true });
        }
        for (const it of ["no/rights", "no/write", "no", ""]) {
          Deno.chmodSync(
            `${top}/own/${it}`,
            it === "" || mode === 0o755 ? mode : 0,
          );
          Deno.chownSync(`${top}/own/${it}`, owner, owner);
        }
        if (owner === 0) Deno.chmodSync(`${top}/own/cgroup.procs`, 0);
        const threads = `${top}/own/${
          isFile(`${top}/tasks`) ? "tasks" : "cgroup.threads"
        }`;
        Deno.chmodSync(threads, 0);
        Deno.chownSync(threads, owner, owner);
        const { code, stderr } = await remove(`${top}/own`);
        if (owner === 0) {
          assertEquals({ code, stderr }, { code: 0, stderr: "" });
        } else {
          if (mode === 0o500) assertMatch(stderr, /^cgroup-hidden\n/);
          assertMatch(stderr, /Cannot remove the cgroup "[^"]*": EACCES/);
        }
      } finally {
        probe("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";");
      }
    },
  );
}

const KILL = `
import { signalCgroups } from ${module("cgroups/control.ts")};
const [mount, path] = Deno.args;
const dirs = [{ mount, path, version: 2, controllers: [] }];
signalCgroups(dirs, 9, (pid) => {
  throw new Error(\`\${pid} is killed by itself\`);
});
`;

testOn(
  ["root", "helper", "cgroup2"],
  "cgroup.kill whose rights were taken away kills all the same",
  async () => {
    const mount = isFile("/sys/fs/cgroup/cgroup.controllers")
      ? "/sys/fs/cgroup"
      : "/sys/fs/cgroup/unified";
    const path = `${mount}/rrtest-kill-${Deno.pid}`;
    Deno.mkdirSync(path);
    const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
    try {
      Deno.writeTextFileSync(`${path}/cgroup.procs`, `${child.pid}`);
      Deno.chmodSync(`${path}/cgroup.kill`, 0);
      const { code, stderr } = await remove(path, mount, KILL);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals((await child.status).signal, "SIGKILL");
    } finally {
      probe("kill", "-9", `${child.pid}`);
      await child.status;
      await waitFor(() => probe("rmdir", path).code, (it) => it === 0);
    }
  },
);
