/**
 * Namespaces that are joined by a path which leads to the caller's own: what
 * belongs to the host is judged by the namespace, not by the word.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { testOn } from "../needs.ts";
import { libc, waitProcess } from "../../ffi/libc.ts";
import { OperationError, startPlan } from "../../mod/process.ts";
import { type Caller, makeCaller, makeSpec, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

// A library that a test opens counts as its leak.
libc();

const FILES: Record<string, string> = {
  network: "net",
  ipc: "ipc",
  uts: "uts",
  mount: "mnt",
  user: "user",
  cgroup: "cgroup",
  time: "time",
};

/** A configuration that joins a namespace by a path. */
function joining(id: string, type: string, path: string, over: Spec): Spec {
  const spec = makeSpec(id, { process: { args: ["true"] }, ...over });
  spec["linux"] = { ...makeSpec(id)["linux"], ...over["linux"] };
  spec["linux"].namespaces = [
    ...spec["linux"].namespaces.filter((it: Spec) => it["type"] !== type),
    { type, path },
  ];
  return spec;
}

async function runIt(caller: Caller, spec: Spec) {
  caller.write(spec);
  return await caller.call(["run", "--bundle", caller.bundle, caller.id]);
}

const OWN = "no NAME namespace of its own";
const MAP = [{ containerID: 0, hostID: 0, size: 1 }];

/** What is asked for of a namespace, and the error where that is the host's. */
const CASES: [string, Spec, string][] = [
  ["network", { linux: { sysctl: { "net.ipv4.ip_default_ttl": "77" } } }, OWN],
  ["network", { linux: { netDevices: { eth0: {} } } }, OWN],
  ["ipc", { linux: { sysctl: { "kernel.msgmax": "7777" } } }, OWN],
  ["uts", { hostname: "stolen" }, OWN],
  ["uts", { domainname: "stolen" }, OWN],
  ["user", { linux: { uidMappings: MAP, gidMappings: MAP } }, OWN],
];

const HOST = [
  "net/ipv4/ip_default_ttl",
  "kernel/msgmax",
  "kernel/hostname",
  "kernel/domainname",
];
const readHost = () =>
  HOST.map((it) => Deno.readTextFileSync(`/proc/sys/${it}`));

for (const [type, over, error] of CASES) {
  for (
    const [what, way] of [
      ["/proc/self", () => `/proc/self/ns/${FILES[type]}`],
      ["another process", () => `/proc/${Deno.pid}/ns/${FILES[type]}`],
      ["a link", ({ dir }) => {
        Deno.symlinkSync(`/proc/self/ns/${FILES[type]}`, `${dir}/link`);
        return `${dir}/link`;
      }],
    ] as [string, (caller: Caller) => string][]
  ) {
    testOn(
      NEEDS,
      `run changes nothing of the host's by ${
        JSON.stringify(over)
      } in a ${type} namespace that is its own, by ${what}`,
      async () => {
        await using caller = makeCaller();
        const before = readHost();
        const { code, stderr } = await runIt(
          caller,
          joining(caller.id, type, way(caller), over),
        );
        const after = readHost();
        for (const [at, text] of before.entries()) {
          // For whoever runs the other tests after a failure.
          if (text !== after[at]) {
            Deno.writeTextFileSync(`/proc/sys/${HOST[at]}`, text);
          }
        }
        assertEquals(after, before);
        assertEquals(code, 1);
        assertStringIncludes(stderr, error.replace("NAME", type));
        assertStringIncludes(stderr, "leave the path out");
      },
    );
  }
}

testOn(
  NEEDS,
  "run joins a namespace of its own by path as one that is not listed",
  async () => {
    await using caller = makeCaller();
    for (const type of Object.keys(FILES)) {
      const path = `/proc/self/ns/${FILES[type]}`;
      const spec = joining(caller.id, type, path, {
        process: { args: ["readlink", path] },
      });
      const { code, stdout, stderr } = await runIt(caller, spec);
      assertEquals([code, stderr], [0, ""], type);
      assertEquals(stdout.trim(), Deno.readLinkSync(path));
    }
  },
);

testOn(
  NEEDS,
  "run sets what belongs to a namespace that it joins, when that is another's",
  async () => {
    await using caller = makeCaller();
    await using other = makeCaller();
    const { code } = await other.hold(
      ["create", "--bundle", other.bundle, other.id],
    );
    assertEquals(code, 0);
    const { pid } = await other.state();
    const spec = joining(caller.id, "network", `/proc/${pid}/ns/net`, {
      process: { args: ["cat", "/proc/sys/net/ipv4/ip_default_ttl"] },
      linux: { sysctl: { "net.ipv4.ip_default_ttl": "77" } },
    });
    const { stdout, stderr } = await runIt(caller, spec);
    assertEquals([stdout, stderr], ["77\n", ""]);
    assert(!readHost()[0]!.startsWith("77"));
  },
);

for (const way of ["made", "joined"]) {
  testOn(
    NEEDS,
    `run sets the clocks of a container in a user namespace that is ${way}`,
    async () => {
      await using other = makeCaller();
      const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
      const ids = { uidMappings: maps, gidMappings: maps };
      const { namespaces } = makeSpec("")["linux"];
      other.write(makeSpec(other.id, {
        linux: { namespaces: [...namespaces, { type: "user" }], ...ids },
      }));
      const { code } = await other.hold(
        ["create", "--bundle", other.bundle, other.id],
      );
      assertEquals(code, 0);
      const { pid } = await other.state();
      await using caller = makeCaller();
      const user = way === "joined"
        ? { type: "user", path: `/proc/${pid}/ns/user` }
        : { type: "user" };
      const called = await runIt(
        caller,
        makeSpec(caller.id, {
          process: { args: ["cat", "/proc/self/timens_offsets"] },
          linux: {
            namespaces: [...namespaces, user, { type: "time" }],
            timeOffsets: { monotonic: { secs: 7000, nanosecs: 5 } },
            ...(way === "joined" ? {} : ids),
          },
        }),
      );
      assertEquals([called.code, called.stderr], [0, ""]);
      assertEquals(called.stdout.split("\n")[0]?.split(/ +/), [
        "monotonic",
        "7000",
        "5",
      ]);
    },
  );
}

testOn(
  ["helper"],
  "the child stage enters no other namespace than the one that was judged",
  () => {
    const path = "/proc/self/ns/net";
    const { dev, ino } = Deno.statSync(path);
    const judge = (id: { dev: number; ino: number }) => {
      const run = startPlan([
        {
          do: "open",
          into: "ns",
          at: "",
          path,
          flags: 0,
          mode: 0,
          resolve: 0,
          why: "test it",
        },
        { do: "same", slot: "ns", ...id, why: "test it" },
      ], "/tmp");
      try {
        return run.serve({});
      } finally {
        run.abort();
        waitProcess(run.helper);
      }
    };
    assertEquals(judge({ dev, ino: ino! }), "end");
    for (const other of [{ dev, ino: ino! + 1 }, { dev: dev + 1, ino: ino! }]) {
      const { errno } = assertThrows(() => judge(other), OperationError);
      // ESTALE
      assertEquals(errno, 116);
    }
  },
);
