/**
 * `--rootfs / --ephemeral` where something is mounted on the host: as a user,
 * for whom the root is put together, directory by directory.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findLeaks, runToEnd, takeSnapshot } from "../harness.ts";
import { asUser, testOn } from "../needs.ts";
import { cliCommand } from "../program.ts";

testOn(
  ["root", "helper", "user", "userns"],
  "--rootfs / --ephemeral shows a user an empty directory where something is mounted that the user may not see",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rrtest-top-", dir: "/opt" });
    const before = takeSnapshot();
    const id = `rrtest-top-${Deno.pid}`;
    // HOME and DENO_DIR of that user.
    const { stdout } = await runToEnd(["env"], { user: true });
    const env = Object.fromEntries(
      stdout.trim().split("\n").map((it) => it.split(/=(.*)/s).slice(0, 2)),
    );
    try {
      assertEquals(
        await runToEnd([
          ...["unshare", "-m", "--propagation", "private", "sh", "-ec"],
          'mkdir -p "$1/closed/in"; chmod 755 "$1"; chmod 700 "$1/closed"; mount -t tmpfs x "$1/closed/in"; shift; exec "$@"',
          ...["sh", dir],
          ...asUser([
            ...cliCommand({ user: true }),
            ...["run", "--rootfs", "/", "--ephemeral", "--name", id],
            ...["--", "sh", "-ec", `ls -A ${dir}; ls -A ${dir}/closed`],
          ]),
        ], { env }),
        { code: 0, signal: null, stdout: "closed\n", stderr: "" },
      );
      assertEquals(await findLeaks(before, id), []);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
