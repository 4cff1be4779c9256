/**
 * Files of a running container by its root, as /proc/PID/root shows it.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { closeFd, openFd, waitProcess } from "../../ffi/libc.ts";
import { readConfig } from "../../mod/box/engine/start.ts";
import { applyChanges } from "../../mod/container/inside/apply.ts";
import { listChanges } from "../../mod/container/inside/changes.ts";
import { copyIn, copyOut } from "../../mod/container/inside/copy.ts";
import {
  listDirectory,
  readFile,
  removeFile,
  writeFile,
} from "../../mod/container/inside/files.ts";
import { launchWarded, leaveLaunch } from "../../mod/container/launched.ts";
import { FD_TAG } from "../../mod/container/model.ts";
import { gatherFacts } from "../../mod/host.ts";
import { makeBox, runCli } from "../harness.ts";
import { run as runTool } from "../program.ts";
import type { Root } from "../../mod/container/inside/rights.ts";
import { codeOf, messageOf, rootOf } from "../inside_room.ts";
import { testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";

const O_PATH = 0o10000000;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** The root of a running container, whose user is as strong as we are. */
async function openRoot(id: string): Promise<Root> {
  const { stdout } = await runCli(["state", id]);
  return rootOf(openFd(`/proc/${JSON.parse(stdout).pid}/root`, O_PATH));
}

testOn(
  ["helper", "busybox", "root", "userns", "tmpfs-xattr"],
  "a container in a user namespace: owners are ids of the host that it has",
  async () => {
    await using box = makeBox();
    runTool("chown", "-R", "300000:300000", box.rootfs);
    const running = box.start([
      ...["-i", "--userns", "0:300000:1000", "--ephemeral"],
      ...["--tmpfs", "/work", "--", "sh", "-c"],
      "echo up; read x; ls -ln / /work /a /etc/passwd; cat /work/* /a/file",
    ], { stdin: "" });
    await running.waitFor("up");
    const owner = { uid: 300007, gid: 300008 };
    const root = { ...await openRoot(box.id), ...owner };
    try {
      writeFile(root, "/work/one", bytes("one\n"));
      writeFile(root, "/a/file", bytes("two\n"), { mode: 0o600 });
      writeFile(root, "/etc/passwd", bytes("root:x:0:0::/:/bin/sh\n"));
      copyIn("/bin", root, "/work/.bin");
      removeFile(root, "/work/.bin", true);
      assertEquals(text(readFile(root, "/work/one", 9)), "one\n");
      // Nobody of the host's whom the container does not know.
      for (const path of ["/work/x", "/b/x"]) {
        assertMatch(
          messageOf(() =>
            writeFile({ ...root, uid: 0, gid: 0 }, path, bytes(""))
          ),
          /the owner has no id in the user namespace/,
        );
      }
      // The container's own procfs, which it may have mounted itself.
      for (const path of ["/proc/1/comm", "/proc/sys/kernel/hostname"]) {
        assertEquals(codeOf(() => readFile(root, path, 99)), "file-kind");
        assertEquals(
          codeOf(() => writeFile(root, path, bytes("x"))),
          "file-kind",
        );
      }
      assertEquals(
        codeOf(() => copyOut(root, "/dev", "/nowhere/out")),
        "file-missing",
      );
      const names = listDirectory(root, "/dev").map((it) => it.name);
      assertEquals(names.includes("null"), true);
      // Mounted there: it stays, and so does what is in it.
      assertEquals(
        codeOf(() => removeFile(root, "/work", true)),
        "file-access",
      );
      assertEquals(text(readFile(root, "/work/one", 9)), "one\n");
    } finally {
      closeFd(root.fd);
    }
    await running.write("\n");
    const { stdout } = await running.done;
    assertMatch(stdout, /drwxr-xr-x .* 7 +8 .* a\n/);
    assertMatch(stdout, /-rw-r--r-- .* 7 +8 .* one\n/);
    assertMatch(stdout, /-rw------- .* 7 +8 .* file\n/);
    assertMatch(stdout, /one\ntwo\n$/);
  },
);

const SCRIPT = "echo more >>/etc/group; rm /usr/bin; mkdir -p /work/out;" +
  "echo made >/work/out/file; mv /var /moved; echo >/tmp/x; rm -r /root; mkdir /root";

for (const userns of [undefined, "0:300000:1000"]) {
  testOn(
    [
      ...["helper", "busybox", "root", "userns"] as const,
      ...(userns === undefined ? [] : ["tmpfs-xattr"] as const),
    ],
    `the upper layer comes to the host, user namespace ${userns ?? "none"}`,
    async () => {
      await using box = makeBox();
      if (userns !== undefined) {
        runTool("chown", "-R", "300000:300000", box.rootfs);
      }
      const { config, place } = readConfig({
        rootfs: box.rootfs,
        name: box.id,
        ephemeral: true,
        tmpfs: ["/work/cache/deep"],
        ...(userns === undefined ? {} : { userns }),
      }, ["sh", "-c", SCRIPT]);
      const launched = launchWarded(config, gatherFacts(place.caller), {
        place,
        gate: "none",
        kind: { foreground: true, waits: false },
        warn: () => {},
        keepUpper: true,
      });
      const { run, prepared } = launched;
      run.reapForker();
      const upper = run.received.get(FD_TAG.upper)!;
      run.received.delete(FD_TAG.upper);
      const lower = openFd(box.rootfs, O_PATH);
      try {
        await waitFor(() => "Z".includes(readProcessState(run.pid)));
        const kept = prepared.keptUpper!;
        const changes = listChanges(upper, lower, kept);
        assertEquals(changes.map((it) => `${it.kind} ${it.path}`), [
          "changed /etc/group",
          "made /moved",
          "made /tmp/x",
          "removed /usr/bin",
          "removed /var",
          "made /work/out",
          "made /work/out/file",
        ]);
        applyChanges(upper, lower, ["/work/out/file", "/usr/bin"], kept);
        const made = `${box.rootfs}/work/out/file`;
        assertEquals(Deno.readTextFileSync(made), "made\n");
        assertEquals(
          Deno.statSync(made).uid,
          userns === undefined ? 0 : 300000,
        );
        assertEquals([...Deno.readDirSync(`${box.rootfs}/usr`)], []);
        assertEquals([...Deno.readDirSync(`${box.rootfs}/var`)], []);
      } finally {
        for (const fd of [upper, lower]) closeFd(fd);
        leaveLaunch(launched);
        waitProcess(run.helper);
      }
    },
  );
}
