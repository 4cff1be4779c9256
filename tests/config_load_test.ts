/** Tests of loading configurations from files. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkSpec } from "../mod/config/check.ts";
import { defaultSpec } from "../mod/config/default_spec.ts";
import {
  ConfigError,
  inspectSpec,
  loadProcess,
  loadSpec,
  parseResources,
} from "../mod/config/load.ts";
import { specProblems } from "../mod/config/rules.ts";
import { specSchema } from "../mod/config/schema.ts";
import { ContainerError } from "../mod/errors.ts";

const TESTDATA = `${import.meta.dirname}/testdata/config`;

/** A bundle in a directory of its own, removed at the end. */
function makeBundle(config?: string): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-config-" });
  if (config !== undefined) {
    Deno.writeTextFileSync(`${path}/config.json`, config);
  }
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

const SMALL = {
  ociVersion: "1.3.0",
  root: { path: "rootfs" },
  process: { cwd: "/", args: ["sh"] },
};

Deno.test("loadSpec() reads no more than 64 MiB", () => {
  using bundle = makeBundle();
  const path = `${bundle.path}/config.json`;
  Deno.symlinkSync("/dev/zero", path);
  const error = assertThrows(() => loadSpec(bundle.path), ContainerError);
  assertEquals([error.message, error.code], [
    `Cannot read "${path}": it has more than 64 MiB`,
    "config-unreadable",
  ]);
});

const NAMES = [...Deno.readDirSync(TESTDATA)].map(({ name }) => name).sort();

for (const name of NAMES) {
  Deno.test(`loadSpec() takes what an engine wrote: ${name}`, () => {
    const options = { mapsLater: name === "crun_spec_rootless.json" };
    const spec = loadSpec("/nonexistent", `${TESTDATA}/${name}`, options);
    assertEquals(specSchema.safeParse(spec).success, true);
    const text = Deno.readTextFileSync(`${TESTDATA}/${name}`);
    // podman writes 18446744073709551615 for a limit without end.
    assertEquals(
      spec,
      JSON.parse(
        text,
        (_, value, context?: { source: string }) =>
          value === 18446744073709552000 ? BigInt(context!.source) : value,
      ),
    );
  });
}

Deno.test("loadSpec() keeps integers exact", () => {
  using bundle = makeBundle(`{
    "ociVersion": "1.3.0", "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["sh"], "rlimits": [
      {"type": "RLIMIT_AS", "soft": 1e3, "hard": 18446744073709551615},
      {"type": "RLIMIT_CPU", "soft": 1.0, "hard": 9223372036854771712}]},
    "linux": {"resources": {"memory": {"limit": -1, "swap": -1}}}}`);
  const spec = loadSpec(bundle.path);
  assertEquals(spec.process?.rlimits, [
    { type: "RLIMIT_AS", soft: 1000, hard: 18446744073709551615n },
    { type: "RLIMIT_CPU", soft: 1, hard: 9223372036854771712n },
  ]);
  assertEquals(spec.linux?.resources?.memory, { limit: -1, swap: -1 });
});

for (const value of ["18446744073709551616", "-1", "1.5", '"1"', "1e20"]) {
  Deno.test(`loadSpec() refuses ${value} for a uint64`, () => {
    using bundle = makeBundle(
      JSON.stringify({
        ...SMALL,
        process: {
          ...SMALL.process,
          rlimits: [{ type: "RLIMIT_AS", soft: 0, hard: "HARD" }],
        },
      }).replace('"HARD"', value),
    );
    const error = assertThrows(() => loadSpec(bundle.path), ConfigError);
    const found = value === "1e20" ? "100000000000000000000" : value;
    assertEquals(
      error.message,
      `Cannot use "${bundle.path}/config.json": process.rlimits[0].hard must be an integer from 0 to 18446744073709551615: found ${found}`,
    );
  });
}

Deno.test("loadSpec() takes a relative destination as below /", () => {
  using bundle = makeBundle(JSON.stringify({
    ...SMALL,
    mounts: [{ destination: "data", type: "tmpfs" }],
  }));
  assertEquals(loadSpec(bundle.path).mounts?.[0]?.destination, "/data");
});

Deno.test("loadSpec() takes the size of huge pages in any case", () => {
  const limits =
    `[{"pagesize": "2mb", "limit": 1}, {"PageSize": "1GB", "limit": 2}]`;
  using bundle = makeBundle(`{
    "ociVersion": "1.3.0", "root": {"path": "rootfs"},
    "linux": {"resources": {"hugepageLimits": ${limits}}}}`);
  const read = (it: { pageSize: string }[] | undefined) =>
    it?.map(({ pageSize }) => pageSize);
  const { linux } = loadSpec(bundle.path);
  assertEquals(read(linux?.resources?.hugepageLimits), ["2MB", "1GB"]);
  const { hugepageLimits } = parseResources(
    `{"hugepageLimits": ${limits}}`,
    "FILE",
  );
  assertEquals(read(hugepageLimits), ["2MB", "1GB"]);
});

Deno.test("loadSpec() takes null as not set", () => {
  using bundle = makeBundle(JSON.stringify({
    ...SMALL,
    hooks: null,
    linux: { seccomp: null, namespaces: null },
  }));
  assertEquals(loadSpec(bundle.path), { ...SMALL, linux: {} });
});

Deno.test("loadSpec() reports the first problem and carries all", () => {
  using bundle = makeBundle(JSON.stringify({
    ...SMALL,
    mounts: [{ destination: "/", type: "tmpfs" }],
    linux: { maskedPaths: ["a"], readonlyPaths: ["b"] },
  }));
  const error = assertThrows(() => loadSpec(bundle.path), ConfigError);
  assertEquals(
    error.message,
    `Cannot use "${bundle.path}/config.json": mounts[0].destination must not be the root of the container: found "/"`,
  );
  assertEquals(
    error.hint,
    "Write a directory below it, or make root.path what you want there (and 2 more: rustyrun validate lists them)",
  );
  assertEquals(error.code, "config-invalid");
  assertEquals(error.problems.map(({ path }) => path), [
    "mounts[0].destination",
    "linux.maskedPaths[0]",
    "linux.readonlyPaths[0]",
  ]);
  assertEquals(error.toJSON().problems, error.problems);
});

Deno.test("loadSpec() reports a document that is no object", () => {
  using bundle = makeBundle("[]");
  const error = assertThrows(() => loadSpec(bundle.path), ConfigError);
  assertEquals(
    [error.message, error.hint],
    [
      `Cannot use "${bundle.path}/config.json": must be an object: found a list`,
      "Write an object: {...}",
    ],
  );
});

Deno.test("loadSpec() says where JSON ends", () => {
  using bundle = makeBundle('{\n\t"ociVersion": "1.3.0",\n}');
  const error = assertThrows(() => loadSpec(bundle.path), ContainerError);
  assertEquals(
    [error.message, error.hint],
    [
      `Cannot parse "${bundle.path}/config.json": line 3, column 1: expected a name: found "}"`,
      "Remove the comma before the closing bracket",
    ],
  );
});

Deno.test("loadSpec() names a missing bundle in runc's words", () => {
  using bundle = makeBundle();
  const error = assertThrows(
    () => loadSpec(`${bundle.path}/none`),
    ContainerError,
  );
  assertEquals(
    [error.message, error.code],
    [
      `Cannot open the bundle "${bundle.path}/none": no such file or directory`,
      "bundle-missing",
    ],
  );
});

Deno.test("loadSpec() names a bundle that is a file", () => {
  using bundle = makeBundle("{}");
  const path = `${bundle.path}/config.json`;
  const error = assertThrows(() => loadSpec(path), ContainerError);
  assertEquals(
    [error.message, error.code],
    [`Cannot open the bundle "${path}": not a directory`, "bundle-missing"],
  );
});

Deno.test("loadSpec() names a missing config.json in runc's words", () => {
  using bundle = makeBundle();
  const error = assertThrows(
    () => loadSpec(`${bundle.path}/`),
    ContainerError,
  );
  assertEquals(
    [error.message, error.hint, error.code],
    [
      `Cannot read "${bundle.path}/config.json": no such file or directory`,
      "Write one with rustyrun spec, or run a command without: rustyrun run --rootfs DIR COMMAND",
      "config-unreadable",
    ],
  );
});

Deno.test("loadSpec() names a config.json that is a directory", () => {
  using bundle = makeBundle();
  Deno.mkdirSync(`${bundle.path}/config.json`);
  const error = assertThrows(() => loadSpec(bundle.path), ContainerError);
  assertEquals(
    error.message,
    `Cannot read "${bundle.path}/config.json": is a directory`,
  );
});

Deno.test("inspectSpec() returns the problems that loadSpec() throws for", () => {
  using bundle = makeBundle(JSON.stringify({ ...SMALL, ociVersion: "x" }));
  const { path, problems } = inspectSpec(bundle.path);
  assertEquals(path, `${bundle.path}/config.json`);
  assertEquals(problems, [{
    path: "ociVersion",
    message: 'must be a version of SemVer 2.0.0: found "x"',
    clause: "config.md#specification-version",
    instead: 'write "1.3.0"',
  }]);
});

/** A change of SMALL; the problems as "path message"; whether all were told. */
const AT_ONCE: [string, unknown, string[], boolean][] = [
  [
    "a rule beside a wrong type",
    { hostname: 5, process: { cwd: "x", args: [], oomScoreAdj: "1" } },
    [
      'process.oomScoreAdj must be an integer from -2147483648 to 2147483647: found "1"',
      "hostname must be a string: found 5",
      'process.cwd must be an absolute path: found "x"',
      "process.args must have at least one entry: found none",
    ],
    true,
  ],
  [
    "rules behind what is missing",
    {
      ociVersion: undefined,
      root: undefined,
      process: { args: [] },
      linux: { seccomp: { syscalls: [{ names: [], action: "SCMP_ACT_LOG" }] } },
    },
    [
      "ociVersion must be a string: found nothing",
      "root must be an object: found nothing",
      "process.cwd must be a string: found nothing",
      'linux.seccomp.defaultAction must be one of "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY": found nothing',
      "process.args must have at least one entry: found none",
      "linux.seccomp.syscalls[0].names must have at least one entry: found none",
    ],
    true,
  ],
  [
    "places in a list that has a wrong entry",
    { mounts: [5, { destination: "/a" }, {}, { destination: "/" }] },
    [
      "mounts[0] must be an object: found 5",
      "mounts[2].destination must be a string: found nothing",
      "mounts[1].type must be set unless the options hold bind or rbind: found nothing",
      'mounts[3].destination must not be the root of the container: found "/"',
      "mounts[3].type must be set unless the options hold bind or rbind: found nothing",
    ],
    true,
  ],
  [
    "nothing that rests on what is wrong",
    { hostname: "a", linux: { namespaces: [{ type: "UTS" }] } },
    [
      'linux.namespaces[0].type must be one of "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time": found "UTS"',
    ],
    false,
  ],
  [
    "nothing of an object with a wrong property that it may rest on",
    {
      linux: {
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          listenerPath: 5,
          syscalls: [{ names: ["a"], action: "SCMP_ACT_NOTIFY" }],
        },
      },
    },
    ["linux.seccomp.listenerPath must be a string: found 5"],
    false,
  ],
];

for (const [what, change, problems, complete] of AT_ONCE) {
  Deno.test(`inspectSpec() tells at once: ${what}`, () => {
    const spec = { ...SMALL, ...change as object };
    using bundle = makeBundle(JSON.stringify(spec));
    const found = inspectSpec(bundle.path);
    assertEquals(
      [found.problems.map((it) => `${it.path} ${it.message}`), found.complete],
      [problems, complete],
    );
  });
}

Deno.test("inspectSpec() refuses what is nested deep, whatever else is wrong", () => {
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  using bundle = makeBundle(`{"ociVersion": 1, "x": ${deep}}`);
  assertThrows(
    () => inspectSpec(bundle.path),
    ContainerError,
    "it is nested too deep",
  );
});

Deno.test("loadProcess() takes a process and refuses a bad one", () => {
  using bundle = makeBundle(JSON.stringify(SMALL.process));
  const path = `${bundle.path}/config.json`;
  assertEquals(loadProcess(path), SMALL.process);
  Deno.writeTextFileSync(path, '{"cwd": "a", "args": ["sh"]}');
  const error = assertThrows(() => loadProcess(path), ConfigError);
  assertEquals(
    error.message,
    `Cannot use "${path}": process.cwd must be an absolute path: found "a"`,
  );
});

Deno.test("parseResources() takes resources and refuses bad ones", () => {
  assertEquals(
    parseResources('{"memory": {"swap": 9223372036854775807}}', "stdin"),
    { memory: { swap: 9223372036854775807n } },
  );
  const error = assertThrows(
    () => parseResources('{"cpu": {"idle": 7}}', "stdin"),
    ConfigError,
  );
  assertEquals(
    error.message,
    'Cannot use "stdin": linux.resources.cpu.idle must be 0 or 1: found 7',
  );
});

for (const rootless of [false, true]) {
  const file = rootless ? "runc_spec_rootless.json" : "runc_spec.json";
  Deno.test(`defaultSpec() is what ${file} has, but for its listed differences`, () => {
    const theirs = loadSpec("/nonexistent", `${TESTDATA}/${file}`);
    const ours = defaultSpec({ rootless });
    assertEquals(checkSpec(ours), []);
    assertEquals(specProblems(ours), []);
    // A newer version; our name; a cgroup namespace; no ambient capabilities.
    theirs.ociVersion = "1.3.0";
    theirs.hostname = "rustyrun";
    delete theirs.process!.capabilities!.ambient;
    assert(!theirs.linux!.namespaces!.some(({ type }) => type === "cgroup"));
    const at = theirs.linux!.namespaces!.findIndex(({ type }) =>
      type === "mount"
    );
    theirs.linux!.namespaces!.splice(at + 1, 0, { type: "cgroup" });
    assertEquals(ours, theirs);
  });
}

Deno.test("defaultSpec() maps the caller's ids", () => {
  const spec = defaultSpec({ rootless: true, uid: 1000, gid: 100 });
  assertEquals(spec.linux?.uidMappings, [
    { containerID: 0, hostID: 1000, size: 1 },
  ]);
  assertEquals(spec.linux?.gidMappings, [
    { containerID: 0, hostID: 100, size: 1 },
  ]);
});

Deno.test("defaultSpec() gives each caller a value of its own", () => {
  const first = defaultSpec();
  first.process!.capabilities!.bounding!.push("CAP_X");
  first.mounts!.pop();
  assertEquals(defaultSpec().process?.capabilities?.bounding?.length, 3);
  assertEquals(defaultSpec().mounts?.length, 7);
});
