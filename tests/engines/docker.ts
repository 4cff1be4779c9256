/**
 * dockerd with its own containerd, and rustyrun as its default runtime.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { IMAGE } from "./image.ts";
import { LOOK, makeRoom, type RoomResult, SUM, waitFor } from "./room.ts";

testOn(
  ["root", "busybox", "python3", "docker"],
  "dockerd runs containers with rustyrun",
  async (t) => {
    await using room = await makeRoom("docker");
    const host = "/run/d.sock";
    // Not the machine's own /etc/docker/daemon.json.
    const conf = `${room.dir}/daemon.json`;
    await room.run(["sh", "-c", `echo {} >${conf}`]);
    await room.serve([
      "dockerd",
      `--host=unix://${host}`,
      `--data-root=${room.dir}/docker`,
      "--exec-root=/run/docker",
      "--pidfile=/run/docker.pid",
      `--config-file=${conf}`,
      "--storage-driver=vfs",
      "--bridge=none",
      "--iptables=false",
      "--ip-masq=false",
      `--cgroup-parent=/${room.name}`,
      "--default-ulimit=nofile=20000:20000",
      `--add-runtime=under-test=${room.runtime}`,
      "--default-runtime=under-test",
    ], host);
    const words = ["docker", "-H", `unix://${host}`];
    const docker = (...args: string[]) => room.run([...words, ...args]);
    const info = await waitFor(() => docker("info"), ({ code }) => code === 0);
    assertEquals(info.code, 0, info.stderr);
    const loaded = await docker("load", "-q", "-i", room.image);
    assertEquals(loaded.code, 0, loaded.stderr);
    const works = async (running: Promise<RoomResult>) => {
      const { code, stderr } = await running;
      assertEquals(code, 0, stderr);
    };
    const once = (...args: string[]) =>
      docker("run", "--rm", "--network=none", ...args);

    await t.step("docker info reads the runtime's version", async () => {
      const { code, stdout } = await docker(
        "info",
        "-f",
        "{{.DefaultRuntime}}",
      );
      assertEquals([code, stdout], [0, "under-test"]);
    });

    await t.step("docker run gives output and exit code", async () => {
      assertEquals(
        await once(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"),
        { code: 7, stdout: "out", stderr: "err" },
      );
    });

    await t.step("docker run gives 127 and 126", async () => {
      const missing = await once(IMAGE, "nonesuch");
      assertEquals([missing.code, missing.stdout], [127, ""], missing.stderr);
      assertMatch(
        missing.stderr,
        /"nonesuch": executable file not found in \$PATH/,
      );
      const notes = await once(IMAGE, "/bin/notes");
      assertEquals([notes.code, notes.stdout], [126, ""], notes.stderr);
      assertMatch(notes.stderr, /permission denied/);
    });

    await t.step("docker run -it has a terminal", async () => {
      const { code, stdout } = await room.type(
        [...words, "run", "--rm", "-it", "--network=none", IMAGE, "sh"],
        [["#", LOOK], ["\n31 97", "exit 5\n"]],
      );
      assertMatch(stdout, /42\n\/dev\/(pts\/0|console)\n([^]*\n)?31 97\n/);
      assertEquals(code, 5);
    });

    await t.step("docker run --memory limits", async () => {
      const { code, stdout } = await once(
        "--memory=48m",
        IMAGE,
        "sh",
        "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes || cat memory.max",
      );
      assertEquals([code, stdout], [0, `${48 << 20}`]);
    });

    await t.step(
      "docker exec, logs, pause, update, stop, kill, rm",
      async () => {
        const started = await docker(
          "run",
          "-d",
          "--name=long",
          "--network=none",
          "--memory=48m",
          IMAGE,
          "sh",
          "-c",
          'trap "echo bye; exit 3" TERM; echo started; while :; do sleep 0.1; done',
        );
        assertEquals(started.code, 0, started.stderr);
        const logged = async (text: string) =>
          assertEquals(
            await waitFor(
              async () => (await docker("logs", "long")).stdout,
              (seen) => seen === text,
            ),
            text,
          );
        // By then the trap is set.
        await logged("started");
        assertEquals(
          await docker("exec", "long", "sh", "-c", "echo in; exit 4"),
          { code: 4, stdout: "in", stderr: "" },
        );
        const missing = await docker("exec", "long", "nonesuch");
        // dockerd 20.10 gives every exec that fails 126, with runc as well.
        assertEquals([126, 127].includes(missing.code), true, missing.stderr);
        assertMatch(missing.stdout, /"nonesuch": executable file not found/);
        assertEquals((await docker("exec", "long", "/bin/notes")).code, 126);
        const typed = await room.type(
          [...words, "exec", "-it", "long", "sh"],
          SUM,
        );
        assertMatch(typed.stdout, /\n42\b/);
        assertEquals(typed.code, 6);
        const state = async () =>
          (await docker("inspect", "-f", "{{.State.Status}}", "long")).stdout;
        await works(docker("pause", "long"));
        assertEquals(await state(), "paused");
        await works(docker("unpause", "long"));
        assertEquals(await state(), "running");
        const updated = await docker(
          "update",
          "--memory=64m",
          "--memory-swap=128m",
          "long",
        );
        assertEquals(updated.code, 0, updated.stderr);
        assertEquals(
          (await docker(
            "exec",
            "long",
            "sh",
            "-c",
            "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes || cat memory.max",
          )).stdout,
          `${64 << 20}`,
        );
        assertMatch((await docker("top", "long")).stdout, /sh -c trap/);
        await works(docker("stop", "-t", "60", "long"));
        await logged("started\nbye");
        assertEquals((await docker("wait", "long")).stdout, "3");
        await works(docker("start", "long"));
        await works(docker("kill", "-s", "KILL", "long"));
        assertEquals((await docker("wait", "long")).stdout, "137");
        await works(docker("rm", "long"));
      },
    );
  },
);
