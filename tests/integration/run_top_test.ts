/**
 * `--rootfs / --ephemeral` where something is mounted on the host: as a user,
 * for whom the root is put together, directory by directory.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type CliResult,
  findLeaks,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { asUser, type Need, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";

const NEEDS: Need[] = ["root", "helper", "user", "userns", "tmpfs-xattr"];
let runs = 0;

/** Runs a container of a user's, after a script of root's in a mount namespace
 * of its own. */
async function runAfter(
  script: string,
  dir: string,
  words: readonly string[],
): Promise<CliResult> {
  const id = `rrtest-top-${Deno.pid}-${++runs}`;
  const before = takeSnapshot();
  // HOME and DENO_DIR of that user.
  const { stdout } = await runToEnd(["env"], { user: true });
  const env = Object.fromEntries(
    stdout.trim().split("\n").map((it) => it.split(/=(.*)/s).slice(0, 2)),
  );
  const got = await runToEnd([
    ...["unshare", "-m", "--propagation", "private", "sh", "-ec"],
    `${script}; shift; exec "$@"`,
    ...["sh", dir],
    ...asUser([
      ...cliCommand({ user: true }),
      ...["run", "--rootfs", "/", "--ephemeral", "--name", id],
      ...words,
    ]),
  ], { env });
  assertEquals(await findLeaks(before, id), []);
  return got;
}

testOn(
  NEEDS,
  "--rootfs / --ephemeral shows a user an empty directory where something is mounted that the user may not see",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rrtest-top-", dir: "/opt" });
    try {
      assertEquals(
        await runAfter(
          `cd "$1"; mkdir -p closed/in; chmod 755 .; chmod 700 closed
           mount -t tmpfs x closed/in`,
          dir,
          ["--", "sh", "-ec", `ls -A ${dir}; ls -A ${dir}/closed`],
        ),
        { code: 0, signal: null, stdout: "closed\n", stderr: "" },
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "--rootfs / --ephemeral takes nothing of what the container covers",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rrtest-top-", dir: "/opt" });
    try {
      const script = `cd "$1"; chmod 755 .; mkdir -p hidden seen
         mkdir -p hidden/in seen/in; touch hidden/rr-file seen/rr-file
         mount -t tmpfs x hidden/in; mount -t tmpfs x seen/in`;
      const words = ["--tmpfs", `${dir}/hidden`];
      const { code, stdout } = await runAfter(script, dir, [
        ...words,
        "--explain",
        ...["--", "true"],
      ]);
      assertEquals([
        code,
        [...stdout.matchAll(/open_tree\("([^"]*rr-file)"/g)].map(([, it]) =>
          it
        ),
      ], [0, [`${dir}/seen/rr-file`]]);
      assertEquals(
        await runAfter(script, dir, [
          ...words,
          ...["--", "sh", "-ec", `cd ${dir}; ls -A hidden seen`],
        ]),
        {
          code: 0,
          signal: null,
          stdout: "hidden:\n\nseen:\nin\nrr-file\n",
          stderr: "",
        },
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "--rootfs / --ephemeral lays no overlay over a mount that the container covers",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rrtest-top-", dir: "/opt" });
    try {
      assertEquals(
        await runAfter(
          `cd "$1"; chmod 755 .; mkdir -p hidden/in; touch rr-file
           mount -t tmpfs x hidden/in`,
          dir,
          [
            ...["--tmpfs", `${dir}/hidden`, "--", "sh", "-ec"],
            `cd ${dir}; ls -A . hidden`,
          ],
        ),
        {
          code: 0,
          signal: null,
          stdout: ".:\nhidden\nrr-file\n\nhidden:\n",
          stderr: "",
        },
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
