/**
 * A host with mounts that a container is to leave alone.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type CliOptions, type CliResult, runToEnd } from "../harness.ts";
import { apart } from "../program.ts";
import { makeSpec, type Spec } from "./caller.ts";

const MAP = [{ containerID: 0, hostID: 100000, size: 65536 }];

export const SECRET = "what the host has covered";

/** What the host has: `$1/own` forbids all and covers two things, `$1/plain`
 * forbids nothing. */
const HOST = `
cd "$1"; mkdir -p own plain; mount -t tmpfs own own; cd own; mkdir in; touch file
echo '${SECRET}' >in/secret; mount -t tmpfs below in; echo over >in/over
echo '${SECRET}' >file; mount --bind in/over file
chmod -R a+rwX . in ../plain
cd ..; mount -o remount,bind,ro,nosuid,nodev,noexec,noatime own
mount -o remount,bind,nosuid own/in
[ -z "$2" ] || sh -ec "$2"; shift 2; exec "$@"`;

interface Host extends AsyncDisposable {
  dir: string;
  /** Runs a command line where the host has all that. */
  run(argv: readonly string[], options?: CliOptions): Promise<CliResult>;
}

/** @param more what else the host mounts, as a shell script in its directory */
export function makeHost(more = ""): Host {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-locks-" });
  Deno.chmodSync(dir, 0o755);
  const room = ["unshare", "-m", "--propagation", "private", "sh", "-ec"];
  return {
    dir,
    run: (argv, options) =>
      runToEnd([...room, HOST, "sh", dir, more, ...apart(argv)], options),
    [Symbol.asyncDispose]: async () => {
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** HOME and DENO_DIR of the tests' user. */
export async function userEnv(): Promise<Record<string, string>> {
  const { stdout } = await runToEnd(["env"], { user: true });
  return Object.fromEntries(
    stdout.trim().split("\n").map((it) => it.split(/=(.*)/s).slice(0, 2)),
  );
}

/** What must come out: every mount tried and nothing fallen. */
export function checkHeld(got: CliResult, tried: string): void {
  assertEquals([got.code, got.stderr], [0, ""]);
  const lines = got.stdout.trim().split("\n");
  assertEquals(lines.filter((it) => it.startsWith("FELL")), []);
  assertStringIncludes(lines.join(", "), tried);
}

export const POWER = [
  "--cap-add",
  "SYS_ADMIN",
  "--security-opt",
  "seccomp=unconfined",
];

export const USERNS = ["--userns", "0:100000:65536", ...POWER];

/** A bundle whose container runs the hostile program against /v. */
export function writeBundle(
  dir: string,
  rootfs: string,
  user: Spec,
  {
    source = `${dir}/own`,
    options = ["rbind"],
    args = ["/bin/payload", "mounts", "/v"],
    mounts = [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/v", type: "bind", source, options },
    ] as Spec[],
    linux = {} as Spec,
  } = {},
): void {
  const spec = makeSpec("locks", {
    process: {
      args,
      capabilities: Object.fromEntries(
        ["bounding", "effective", "permitted"].map((it) => [it, [
          "CAP_SYS_ADMIN",
          "CAP_SYS_CHROOT",
        ]]),
      ),
    },
  });
  spec["root"] = { path: rootfs, readonly: rootfs === "/" };
  spec["mounts"] = mounts;
  spec["linux"] = {
    ...linux,
    namespaces: [{ type: "mount" }, { type: "pid" }, { type: "user", ...user }],
    ...(user["path"] ? {} : { uidMappings: MAP, gidMappings: MAP }),
  };
  Deno.mkdirSync(`${dir}/bundle`, { recursive: true });
  Deno.writeTextFileSync(`${dir}/bundle/config.json`, JSON.stringify(spec));
}
