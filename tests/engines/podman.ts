/**
 * podman and conmon, as root, with rustyrun as their runtime.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { IMAGE } from "./image.ts";
import { LOOK, makeRoom, type RoomResult, SUM, waitFor } from "./room.ts";

testOn(
  ["root", "busybox", "python3", "podman"],
  "podman and conmon run containers with rustyrun",
  async (t) => {
    await using room = await makeRoom("podman");
    const conf = `${room.dir}/containers.conf`;
    // The machine's hard limits are below podman's own defaults.
    const text = `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "under-test"
[engine.runtimes]
under-test = ["${room.runtime}"]
`;
    await room.run(["sh", "-c", `printf %s "$0" >${conf}`, text]);
    const words = [
      "podman",
      "--root",
      `${room.dir}/storage`,
      "--runroot",
      "/run/storage",
      "--tmpdir",
      "/run/libpod",
      "--storage-driver",
      "vfs",
    ];
    const env = { CONTAINERS_CONF: conf };
    const podman = (...args: string[]) =>
      room.run([...words, ...args], { env });
    const flags = [
      "--network=none",
      `--cgroup-parent=/${room.name}`,
    ];
    const works = async (running: Promise<RoomResult>) => {
      const { code, stderr } = await running;
      assertEquals(code, 0, stderr);
    };
    const once = (...args: string[]) =>
      podman("run", "--rm", ...flags, ...args);
    await works(podman("load", "-q", "-i", room.image));

    await t.step("podman run gives output and exit code", async () => {
      assertEquals(
        await once(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"),
        { code: 7, stdout: "out", stderr: "err" },
      );
    });

    await t.step("podman run gives 127 and 126", async () => {
      const missing = await once(IMAGE, "nonesuch");
      assertEquals([missing.code, missing.stdout], [127, ""], missing.stderr);
      assertMatch(missing.stderr, /nonesuch.*not found/);
      const notes = await once(IMAGE, "/bin/notes");
      assertEquals([notes.code, notes.stdout], [126, ""], notes.stderr);
      assertMatch(notes.stderr, /permission denied/i);
    });

    await t.step("podman run -it has a terminal", async () => {
      const { code, stdout } = await room.type(
        [...words, "run", "--rm", "-it", ...flags, IMAGE, "sh"],
        [["#", LOOK], ["\n31 97", "exit 5\n"]],
        { env },
      );
      assertMatch(stdout, /42\n\/dev\/(pts\/0|console)\n([^]*\n)?31 97\n/);
      assertEquals(code, 5);
    });

    await t.step("podman run --memory limits", async () => {
      const { code, stdout } = await once(
        "--memory=48m",
        IMAGE,
        "sh",
        "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes || cat memory.max",
      );
      assertEquals([code, stdout], [0, `${48 << 20}`]);
    });

    await t.step("podman exec, logs, pause, stop, kill, rm", async () => {
      const started = await podman(
        "run",
        "-d",
        "--name=long",
        ...flags,
        IMAGE,
        "sh",
        "-c",
        'trap "echo bye; exit 3" TERM; echo started; while :; do sleep 0.1; done',
      );
      assertEquals([started.code, started.stderr], [0, ""]);
      const logged = async (text: string) =>
        assertEquals(
          await waitFor(
            async () => (await podman("logs", "long")).stdout,
            (seen) => seen === text,
          ),
          text,
        );
      // By then the trap is set.
      await logged("started");
      assertEquals(
        await podman("exec", "long", "sh", "-c", "echo in; exit 4"),
        { code: 4, stdout: "in", stderr: "" },
      );
      assertEquals((await podman("exec", "long", "nonesuch")).code, 127);
      assertEquals((await podman("exec", "long", "/bin/notes")).code, 126);
      const typed = await room.type(
        [...words, "exec", "-it", "long", "sh"],
        SUM,
        { env },
      );
      assertMatch(typed.stdout, /\n42\b/);
      assertEquals(typed.code, 6);
      const state = async () =>
        (await podman("inspect", "-f", "{{.State.Status}}", "long")).stdout;
      await works(podman("pause", "long"));
      assertEquals(await state(), "paused");
      await works(podman("unpause", "long"));
      assertEquals(await state(), "running");
      await works(podman("stop", "-t", "60", "long"));
      await logged("started\nbye");
      assertEquals((await podman("wait", "long")).stdout, "3");
      await works(podman("start", "long"));
      await works(podman("kill", "-s", "KILL", "long"));
      assertEquals((await podman("wait", "long")).stdout, "137");
      await works(podman("rm", "long"));
    });
  },
);
