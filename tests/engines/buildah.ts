/**
 * buildah, with rustyrun as the runtime of its RUN steps.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { LOOK, makeRoom } from "./room.ts";

testOn(
  ["root", "busybox", "python3", "buildah", "cold"],
  "buildah runs its steps with rustyrun",
  async (t) => {
    await using room = await makeRoom("buildah");
    const words = [
      "buildah",
      "--root",
      `${room.dir}/storage`,
      "--runroot",
      "/run/storage",
      "--storage-driver",
      "vfs",
    ];
    const env = { BUILDAH_ISOLATION: "oci", BUILDAH_RUNTIME: room.runtime };
    const buildah = (...args: string[]) =>
      room.run([...words, ...args], { env });
    const made = await buildah(
      "from",
      "--name=work",
      "--pull-never",
      "--network=none",
      "--memory=48m",
      // The machine's hard limits are below the engine's own defaults.
      "--ulimit=nofile=20000:20000",
      "--ulimit=nproc=32768:32768",
      `--cgroup-parent=/${room.name}`,
      `docker-archive:${room.image}`,
    );
    assertEquals([made.code, made.stdout], [0, "work"], made.stderr);
    const flags = ["run", `--runtime=${room.runtime}`];
    const run = (...args: string[]) => buildah(...flags, "work", "--", ...args);

    await t.step("buildah run gives output and exit code", async () => {
      assertEquals(
        await run("sh", "-c", "echo out; exit 0"),
        { code: 0, stdout: "out", stderr: "" },
      );
      const failed = await run("sh", "-c", "echo err >&2; exit 7");
      assertEquals([failed.code, failed.stdout], [7, ""]);
      assertMatch(failed.stderr, /^err\n/);
    });

    await t.step("buildah run says what cannot be executed", async () => {
      const missing = await run("nonesuch");
      assertMatch(
        missing.stderr,
        /"nonesuch": executable file not found in \$PATH/,
      );
      const notes = await run("/bin/notes");
      assertMatch(notes.stderr, /permission denied/);
    });

    await t.step("buildah run -t has a terminal", async () => {
      const { code, stdout } = await room.type(
        [...words, ...flags, "-t", "work", "--", "sh"],
        [["#", LOOK], ["\n31 97", "exit 5\n"]],
        { env },
      );
      assertMatch(stdout, /42\n\/dev\/(pts\/0|console)\n([^]*\n)?31 97\n/);
      assertEquals(code, 5);
    });

    await t.step("buildah from --memory limits", async () => {
      const { code, stdout } = await run(
        "sh",
        "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes || cat memory.max",
      );
      assertEquals([code, stdout], [0, `${48 << 20}`]);
    });

    await t.step("buildah build runs RUN and keeps what it wrote", async () => {
      await run("sh", "-c", "echo kept >/var/kept");
      assertEquals((await run("cat", "/var/kept")).stdout, "kept");
      assertEquals((await buildah("commit", "-q", "work", "made")).code, 0);
      const file = `${room.dir}/Containerfile`;
      await room.run([
        "sh",
        "-c",
        `printf 'FROM localhost/made\\nRUN cat /var/kept && exit 9\\n' >${file}`,
      ]);
      const built = await buildah(
        "build",
        "--pull-never",
        `--runtime=${room.runtime}`,
        "--network=none",
        "--ulimit=nofile=20000:20000",
        "--ulimit=nproc=32768:32768",
        `--cgroup-parent=/${room.name}`,
        "-f",
        file,
        room.dir,
      );
      assertMatch(built.stdout, /\nkept/);
      assertMatch(built.stderr, /exit status 9/);
    });

    await t.step("buildah stops a step that is interrupted", async () => {
      const { code, stdout } = await room.type(
        [
          ...words,
          ...flags,
          "-t",
          "work",
          "--",
          "sh",
          "-c",
          'trap "echo bye; exit 3" INT; echo up; while :; do sleep 0.1; done',
        ],
        [["up", "\x03"]],
        { env },
      );
      assertMatch(stdout, /bye/);
      assertEquals(code, 3);
    });
    assertEquals((await buildah("rm", "work")).code, 0);
  },
);
