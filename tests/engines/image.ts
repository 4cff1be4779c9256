/**
 * An image in a file, in the form that `docker save` writes and every engine
 * reads: no registry is needed.
 *
 * @module
 */

import { makeRootfs } from "../harness.ts";

/** The name of the image. */
export const IMAGE = "localhost/rustyrun-busybox:latest";

function tar(dir: string, out: string): void {
  const { success, stderr } = new Deno.Command("tar", {
    args: ["-C", dir, "--owner=0", "--group=0", "-cf", out, "."],
  }).outputSync();
  if (!success) {
    throw new Error(
      `Cannot pack "${dir}": ${new TextDecoder().decode(stderr)}`,
    );
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Writes {@linkcode IMAGE} with a busybox and a file that cannot be executed,
 * `/bin/notes`. */
export async function writeImage(path: string): Promise<void> {
  const rootfs = makeRootfs();
  const dir = await Deno.makeTempDir({ prefix: "rustyrun-test-image-" });
  try {
    Deno.writeTextFileSync(`${rootfs}/bin/notes`, "no program\n");
    Deno.chmodSync(`${rootfs}/bin/notes`, 0o644);
    tar(rootfs, `${dir}/layer.tar`);
    const layer = await digest(Deno.readFileSync(`${dir}/layer.tar`));
    const config = JSON.stringify({
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      os: "linux",
      created: "2026-01-01T00:00:00Z",
      config: { Env: ["PATH=/bin:/usr/bin"], Cmd: ["/bin/sh"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${layer}`] },
      history: [{ created: "2026-01-01T00:00:00Z", created_by: "a test" }],
    });
    const name = `${await digest(new TextEncoder().encode(config))}.json`;
    Deno.writeTextFileSync(`${dir}/${name}`, config);
    Deno.writeTextFileSync(
      `${dir}/manifest.json`,
      JSON.stringify([
        { Config: name, RepoTags: [IMAGE], Layers: ["layer.tar"] },
      ]),
    );
    tar(dir, path);
  } finally {
    Deno.removeSync(rootfs, { recursive: true });
    Deno.removeSync(dir, { recursive: true });
  }
}
