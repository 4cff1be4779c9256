/**
 * What callers read when something fails: the words that they look for, one
 * JSON object in --log, the exit code; and nothing when nothing fails.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import {
  type Called,
  type Caller,
  makeCaller,
  makeSpec,
  QUIET,
  type Spec,
} from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** What is said of a capability that no kernel has. */
const FUTURE =
  'Cannot grant the capability "CAP_FUTURE": it is not known (process.capabilities.bounding)';

/** What is only logged. */
const UNFIT =
  "Cannot grant CAP_KILL: it is not both permitted and inheritable (process.capabilities.ambient)";

type Status = "none" | "created" | "running" | "paused" | "stopped";

/** Brings the container to a status. */
async function reach(caller: Caller, status: Status): Promise<void> {
  const { id } = caller;
  if (status === "none") return;
  const { code } = await caller.hold(["create", "--bundle", caller.bundle, id]);
  assertEquals(code, 0, Deno.readTextFileSync(caller.log));
  if (status === "created") return;
  assertEquals(await caller.call(["start", id]), QUIET);
  if (status === "paused") {
    assertEquals(await caller.call(["pause", id]), QUIET);
  }
  if (status !== "stopped") return;
  assertEquals(await caller.call(["kill", id, "KILL"]), QUIET);
  await caller.waitFor("stopped");
}

/** Checks one failure as conmon, podman and containerd read it. */
function checkFailure(
  caller: Caller,
  result: Called,
  want: { code: number; text: string },
): void {
  assertEquals([result.code, result.stdout], [want.code, ""], result.stderr);
  assertEquals(result.stderr.includes(want.text), true, result.stderr);
  // conmon forwards no more.
  assertEquals(result.stderr.length < 8192, true);
  // podman parses the whole file at once, containerd line by line.
  const entry = JSON.parse(Deno.readTextFileSync(caller.log));
  assertEquals(Object.keys(entry), ["level", "msg", "time"]);
  assertEquals(entry.level, "error");
  assertEquals(entry.msg.includes(want.text), true, entry.msg);
  // RFC 3339, as Go's time.Time reads it.
  assertMatch(
    entry.time,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  );
}

const args = (...words: string[]): Spec => ({ process: { args: words } });

/** Name, status before, the call ("ID", "BUNDLE" stand for them), what comes,
 * and what is laid over the config. */
const ROWS: [string, Status, string, { code?: number; text: string }, Spec?][] =
  [
    ["state of none", "none", "state ID", {
      text: "container does not exist",
    }],
    ["start of none", "none", "start ID", {
      text: "container does not exist",
    }],
    ["kill of none", "none", "kill ID 9", {
      text: "container does not exist",
    }],
    ["delete of none", "none", "delete ID", {
      text: "container does not exist",
    }],
    ["pause of none", "none", "pause ID", {
      text: "container does not exist",
    }],
    ["ps of none", "none", "ps --format json ID", {
      text: "container does not exist",
    }],
    ["events of none", "none", "events --stats ID", {
      text: "container does not exist",
    }],
    ["update of none", "none", "update --pids-limit 5 ID", {
      text: "container does not exist",
    }],
    ["exec of none", "none", "exec ID true", {
      code: 255,
      text: "container does not exist",
    }],
    ["create of two", "created", "create --bundle BUNDLE ID", {
      text: "container with given ID already exists",
    }],
    ["create of a bad id", "none", "create --bundle BUNDLE a/b", {
      text: "invalid container ID format",
    }],
    ["start of a running one", "running", "start ID", {
      text: "cannot start an already running container",
    }],
    ["start of a stopped one", "stopped", "start ID", {
      text: "cannot start a container that has stopped",
    }],
    ["kill of a stopped one", "stopped", "kill ID 9", {
      text: "container not running",
    }],
    ["exec in a stopped one", "stopped", "exec ID true", {
      code: 255,
      text: "container not running",
    }],
    ["pause of a stopped one", "stopped", "pause ID", {
      text: "container not running",
    }],
    ["exec in a paused one", "paused", "exec ID true", {
      code: 255,
      text:
        "cannot exec in a paused container (use --ignore-paused to override)",
    }],
    ["resume of a running one", "running", "resume ID", {
      text: "container not paused",
    }],
    ["events of a stopped one", "stopped", "events --stats ID", {
      text: "is not running",
    }],
    ["delete of a running one", "running", "delete ID", {
      text: "that is not stopped: running",
    }],
    ["create of a missing command", "none", "create --bundle BUNDLE ID", {
      text: 'exec: "nonesuch": executable file not found in $PATH',
    }, args("nonesuch")],
    ["create of a missing path", "none", "create --bundle BUNDLE ID", {
      text: "no such file or directory",
    }, args("/bin/nonesuch")],
    ["create of a path below a file", "none", "create --bundle BUNDLE ID", {
      text: "not a directory",
    }, args("/bin/sh/x")],
    ["create of a directory", "none", "create --bundle BUNDLE ID", {
      text: "is a directory",
    }, args("/bin")],
    ["create of a text", "none", "create --bundle BUNDLE ID", {
      text: "permission denied",
    }, args("/etc/passwd")],
    ["create beyond a hard limit", "none", "create --bundle BUNDLE ID", {
      text: "operation not permitted",
    }, {
      process: {
        capabilities: { bounding: [], effective: [], permitted: [] },
        rlimits: [{
          type: "RLIMIT_NOFILE",
          soft: 1 << 30,
          hard: 1 << 30,
        }],
      },
    }],
    ["create without a root", "none", "create --bundle BUNDLE ID", {
      text: "no such file or directory",
    }, { root: { path: "nonesuch" } }],
    ["create without a bundle", "none", "create --bundle /nonesuch ID", {
      text: "no such file or directory",
    }],
    ["exec of a missing command", "running", "exec ID nonesuch", {
      code: 255,
      text: 'exec: "nonesuch": executable file not found in $PATH',
    }],
    ["exec of a missing path", "running", "exec ID /bin/nonesuch", {
      code: 255,
      text: "no such file or directory",
    }],
    ["exec of a text", "running", "exec ID /etc/passwd", {
      code: 255,
      text: "permission denied",
    }],
    ["exec in a missing directory", "running", "exec --cwd /nonesuch ID true", {
      code: 255,
      text: "no such file or directory",
    }],
    ["a missing value", "none", "create --bundle", {
      text: "flag needs an argument",
    }],
    ["a signal that is none", "running", "kill ID SIGNONE", {
      text: "unknown signal",
    }],
  ];

for (const [name, status, words, want, spec] of ROWS) {
  testOn(NEEDS, `${name} fails as callers expect`, async () => {
    await using caller = makeCaller(spec);
    await reach(caller, status);
    const line = words.split(" ").map((word) =>
      word === "ID" ? caller.id : word === "BUNDLE" ? caller.bundle : word
    );
    checkFailure(caller, await caller.call(line), { code: 1, ...want });
  });
}

testOn(
  NEEDS,
  "create in a cgroup that somebody lives in is refused",
  async () => {
    await using first = makeCaller();
    await using second = makeCaller({
      linux: { cgroupsPath: `/${first.id}` },
    });
    await reach(first, "running");
    const result = await second.call(
      ["create", "--bundle", second.bundle, second.id],
    );
    checkFailure(second, result, { code: 1, text: "cgroup is not empty" });
    assertEquals((await first.state())["status"], "running");
  },
);

testOn(NEEDS, "each failure is one more line of the log", async () => {
  await using caller = makeCaller();
  await caller.call(["state", caller.id]);
  await caller.call(["kill", caller.id, "9"]);
  const log = caller.readLog();
  assertEquals(log.map((it) => it.level), ["error", "error"]);
});

testOn(NEEDS, "a config.json that is none fails with its name", async () => {
  await using caller = makeCaller();
  Deno.writeTextFileSync(`${caller.bundle}/config.json`, '{"ociVersion": ');
  const result = await caller.call(
    ["create", "--bundle", caller.bundle, caller.id],
  );
  checkFailure(caller, result, { code: 1, text: "config.json" });
});

testOn(
  NEEDS,
  "an unknown command has the exit code of all that is wrong with a command line",
  async () => {
    await using caller = makeCaller();
    assertEquals((await caller.callBare(["bogus"])).code, 1);
  },
);

testOn(NEEDS, "--help of every command has exit code 0", async () => {
  await using caller = makeCaller();
  for (
    const command
      of "create start state kill delete run exec list ps pause resume update events spec features validate"
        .split(" ")
  ) {
    const { code, stderr } = await caller.callBare([command, "--help"]);
    assertEquals([command, code, stderr], [command, 0, ""]);
  }
});

testOn(
  NEEDS,
  "commands of a life are quiet, whatever the config asks",
  async () => {
    await using caller = makeCaller({
      process: {
        // Without them mounts are not possible any more: nothing warns of that.
        capabilities: {
          bounding: ["CAP_KILL", "CAP_FUTURE"],
          ambient: ["CAP_KILL"],
        },
        args: ["sleep", "1000"],
      },
      annotations: { unknown: "value" },
      future: { unknown: true },
    });
    const { id } = caller;
    await reach(caller, "created");
    for (
      const words of [
        ["start", id],
        ["pause", id],
        ["resume", id],
        ["update", "--pids-limit", "20", id],
        ["kill", id, "SIGKILL"],
      ]
    ) assertEquals(await caller.call(words), QUIET);
    await caller.waitFor("stopped");
    assertEquals(await caller.call(["delete", id]), QUIET);
    const printed = await caller.ask({ do: "read", stream: "stderr" });
    assertEquals(printed, { text: "", end: true });
    const logged = caller.readLog().map(({ level, msg }) => [level, msg]);
    assertEquals(logged, [["warning", FUTURE], ["warning", UNFIT]]);
  },
);

testOn(
  NEEDS,
  "a capability that is not known is warned of where there is no log",
  async () => {
    await using caller = makeCaller({
      process: {
        capabilities: {
          bounding: ["CAP_FUTURE", "CAP_KILL"],
          // As buildah has it.
          ambient: ["CAP_KILL"],
        },
        args: ["true"],
      },
    });
    const { bundle, id } = caller;
    const warning = {
      code: 0,
      stdout: "",
      stderr: `rustyrun: warning: ${FUTURE}\n`,
    };
    const words = ["run", "--bundle", bundle, id];
    assertEquals(await caller.callBare(words), warning);
    assertEquals(
      await caller.callBare(["--log-level", "error", ...words]),
      QUIET,
    );
    const spec = makeSpec(id, { process: { args: ["sleep", "1000"] } });
    caller.write(spec);
    await reach(caller, "running");
    assertEquals(
      await caller.callBare(["exec", "--cap", "CAP_FUTURE", id, "true"]),
      {
        ...warning,
        stderr: warning.stderr.replace(
          "bounding",
          "bounding, effective, permitted",
        ),
      },
    );
  },
);

testOn(NEEDS, "list without anything, or without a directory", async () => {
  await using caller = makeCaller();
  // runc: the default directory may be missing, a named one not.
  const { code, stderr } = await caller.call(["list", "--format", "json"]);
  assertEquals(
    [code, stderr.split("\n")[0]],
    [
      1,
      `rustyrun: Cannot list the containers of "${caller.root}": no such file or directory`,
    ],
  );
  Deno.mkdirSync(caller.root, { mode: 0o700 });
  assertEquals(await caller.call(["list", "--format", "json"]), {
    ...QUIET,
    stdout: "null",
  });
  caller.write(makeSpec(caller.id));
  await reach(caller, "created");
  assertEquals((await caller.call(["list", "-q"])).stdout, `${caller.id}\n`);
});

testOn(NEEDS, "exec --env wants a name", async () => {
  await using caller = makeCaller();
  const { id } = caller;
  await reach(caller, "running");
  const { code, stderr } = await caller.callBare(
    ["exec", "-e", "=1", id, "true"],
  );
  assertEquals(
    [code, stderr.split("\n")[0]],
    [255, 'rustyrun: Cannot use "-e =1": "=1" has no name'],
  );
});
