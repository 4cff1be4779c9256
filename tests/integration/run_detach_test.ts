/** How long a container of `run` lasts: --detach, --rm, wait. */

import { assertEquals, assertMatch } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  makeBox,
  runCli,
  runToEnd,
} from "../harness.ts";
import { testOn, USERS } from "../needs.ts";
import { otherUser } from "../program.ts";
import { waitFor } from "../wait.ts";
import { makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["helper", "busybox", "root"] as const;

/** A box, and calls with a directory of states of its own. */
async function withCalls(
  body: (
    call: (...words: string[]) => Promise<unknown[]>,
    line: string[],
    id: string,
    root: string,
  ) => Promise<void>,
  options: CliOptions = {},
): Promise<void> {
  await using box = makeBox(options);
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-root-" });
  const owner = otherUser(options.user);
  if (owner) Deno.chownSync(root, USERS[owner], USERS[owner]);
  const call = async (...words: string[]) => {
    const got = await runCli(["--root", root, ...words], options);
    return [got.code, got.stdout, got.stderr];
  };
  try {
    const line = ["run", "--rootfs", box.rootfs, "--name", box.id];
    await body(call, line, box.id, root);
  } finally {
    await call("delete", "--force", box.id);
    Deno.removeSync(root, { recursive: true });
  }
}

testOn(NEEDS, "--rm=false keeps what has ended", async () => {
  await withCalls(async (call, line, id) => {
    await call(...line, "--rm=false", "--", "true");
    assertEquals(await call("list", "--quiet"), [0, `${id}\n`, ""]);
    await call("delete", id);
    await call(...line, "--", "true");
    assertEquals(await call("list", "--quiet"), [0, "", ""]);
  });
});

testOn(
  NEEDS,
  "run --detach prints the id and nothing of the container's, and keeps the exit code",
  async () => {
    await withCalls(async (call, line, id, root) => {
      // A shell waits for all who hold the other end of its pipe.
      const { code, stdout } = await runToEnd([
        "/bin/sh",
        "-c",
        'ID=$("$@" 2>&1); echo "($ID)"',
        "sh",
        ...cliCommand(),
        "--root",
        root,
        ...line,
        "-d",
        "--",
        "sh",
        "-c",
        "echo out; echo error >&2; read word || exec sleep 1000",
      ]);
      assertEquals([code, stdout], [0, `(${id})\n`]);
      const [, text] = await call("state", id);
      const { status, exitCode } = JSON.parse(String(text));
      assertEquals([status, exitCode], ["running", undefined]);
      const waiting = call("wait", id);
      await call("kill", id, "KILL");
      assertEquals(await waiting, [0, "137\n", ""]);
      const after = JSON.parse(String((await call("state", id))[1]));
      assertEquals([after.status, after.exitCode], ["stopped", 137]);
      assertEquals(await call("wait", id), [0, "137\n", ""]);
      assertEquals(await call("delete", id), [0, "", ""]);
    });
  },
);

for (const code of [0, 7, 42, 255]) {
  testOn(NEEDS, `wait prints the exit code ${code}`, async () => {
    await withCalls(async (call, line, id) => {
      await call(...line, "-d", "--", "sh", "-c", `exit ${code}`);
      assertEquals(await call("wait", id), [0, `${code}\n`, ""]);
    });
  });
}

testOn(
  NEEDS,
  "run --detach says why it cannot, and leaves nothing",
  async () => {
    await withCalls(async (call, line) => {
      const [code, stdout, stderr] = await call(...line, "-d", "--", "nosuch");
      assertEquals([code, stdout, String(stderr).split("\n")[0]], [
        127,
        "",
        'rustyrun: Cannot run the command: exec: "nosuch": executable file not found in $PATH',
      ]);
      assertEquals(await call(...line, "-d", "--memory", "1z", "--", "true"), [
        125,
        "",
        `rustyrun: Cannot use "--memory 1z": "1z" is not a size
  hint: Write a number and a unit: 512k, 64m, 1.5g
`,
      ]);
      // Found, and refused by execve(2): that is late, and the keeper's affair.
      const rootfs = line[2]!;
      Deno.writeTextFileSync(`${rootfs}/bin/odd`, "no program", {
        mode: 0o755,
      });
      const late = await call(...line, "-d", "--", "odd");
      assertEquals([late[0], late[1]], [126, ""]);
      assertEquals(await call("list", "--quiet"), [0, "", ""]);
    });
  },
);

testOn(NEEDS, "run --detach --rm leaves nothing when it ends", async () => {
  await withCalls(async (call, line, id) => {
    const held = ["--", "sh", "-c", "read word || exec sleep 1000"];
    assertEquals(await call(...line, "-d", "--rm", "--json", ...held), [
      0,
      `{"id":"${id}"}\n`,
      "",
    ]);
    const waiting = call("wait", id);
    await call("kill", id, "KILL");
    const [code, , said] = await waiting;
    // It may have been gone before wait had looked.
    assertMatch(
      String(said),
      /^rustyrun: Cannot (find|tell how "[^"]*" ended: it was removed when it ended, and its exit code with it\n)/,
    );
    assertEquals(code, 1);
    assertEquals(await call("list", "--quiet"), [0, "", ""]);
  });
});

testOn(NEEDS, "run --keep keeps the exit code as well", async () => {
  await withCalls(async (call, line, id) => {
    const kept = [...line, "--keep", "--", "sh", "-c"];
    assertEquals(await call(...kept, "exit 5"), [5, "", ""]);
    assertEquals(await call("wait", id), [0, "5\n", ""]);
    const { status, exitCode } = JSON.parse(
      String((await call("state", id))[1]),
    );
    assertEquals([status, exitCode], ["stopped", 5]);
    assertEquals(await call("delete", id), [0, "", ""]);
    // Removed while it runs: with its keeper, which is to keep nothing then.
    const running = call(...kept, "exec sleep 1000");
    // By its first process: the state says so shortly before.
    await waitFor(async () => {
      const { pid } = JSON.parse(String((await call("state", id))[1]));
      return Deno.readTextFileSync(`/proc/${pid}/comm`) === "sleep\n";
    });
    assertEquals(await call("delete", "--force", id), [0, "", ""]);
    assertEquals(await running, [137, "", ""]);
    assertEquals(await call("list", "--quiet"), [0, "", ""]);
  });
});

testOn(
  ["helper", "busybox", "root", "python3"],
  "wait cannot tell what nobody of ours saw, and what is removed",
  async () => {
    await using caller = makeCaller({ process: { args: ["true"] } });
    const { id, bundle } = caller;
    // Engines are the parent themselves.
    const made = await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(made.code, 0);
    assertEquals((await caller.call(["start", id])).code, 0);
    await caller.waitFor("stopped");
    assertEquals(await caller.callBare(["wait", id]), {
      code: 1,
      stdout: "",
      stderr:
        `rustyrun: Cannot tell how "${id}" ended: its exit code was not kept
  hint: It goes to whoever starts the container; rustyrun run keeps it with --keep, and with -d unless there is --rm or its disk is full
`,
    });
    assertEquals(await caller.call(["delete", id]), QUIET);
  },
);

testOn(
  ["helper", "busybox", "user", "userns"],
  "run --detach works as a user",
  async () => {
    await withCalls(async (call, line, id) => {
      assertEquals(
        await call(...line, "-d", "--", "sh", "-c", "exit 3"),
        [0, `${id}\n`, ""],
      );
      assertEquals(await call("wait", id), [0, "3\n", ""]);
      assertEquals(await call("delete", id), [0, "", ""]);
    }, { user: true });
  },
);

testOn(
  NEEDS,
  "run --detach passes descriptors on, and none of its own",
  async () => {
    await withCalls(async (call, line, id, root) => {
      const { stderr, code } = await runToEnd([
        "/bin/sh",
        "-c",
        'exec 3</dev/zero 5</dev/zero; exec "$@"',
        "sh",
        ...cliCommand(),
        "--root",
        root,
        ...line,
        "-d",
        "--preserve-fds",
        "1",
        "--",
        "sh",
        "-c",
        'exit $(ls -l /proc/self/fd | grep -cE " -> (/dev/null|/dev/zero|socket|.*memfd)")$(ls /proc/self/fd | wc -l)',
      ]);
      assertEquals([code, stderr], [0, ""]);
      // ls writes into a pipe, and has its directory open.
      assertEquals(await call("wait", id), [0, "35\n", ""]);
    });
  },
);
