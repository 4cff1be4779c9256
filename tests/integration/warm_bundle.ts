/**
 * A bundle for calls of the warm engine.
 *
 * @module
 */

import { makeRootfs } from "../harness.ts";

/** The container of a file's tests. */
export const ID = `rrwarm-${Deno.pid}`;

/** A bundle whose process runs this line. */
export function makeBundle(line: string, change: Record<string, unknown> = {}) {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-warm-bundle-" });
  const rootfs = makeRootfs();
  const spec = {
    ociVersion: "1.2.0",
    root: { path: rootfs },
    hostname: "warm",
    process: {
      cwd: "/",
      args: ["sh", "-c", line],
      env: ["PATH=/bin"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"]
        .map((type) => ({ type })),
    },
    ...change,
  };
  Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(spec));
  return {
    dir,
    rootfs,
    [Symbol.dispose]() {
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    },
  };
}
