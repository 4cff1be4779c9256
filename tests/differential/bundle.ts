/**
 * Makes the bundle of one run: a root file system of one static program, and
 * the configuration with its placeholders filled in.
 *
 * @module
 */

import { type Case, isObject } from "./case.ts";

/** Where one run happens. */
export interface Place {
  /** Everything of this run. */
  dir: string;
  bundle: string;
  /** What hooks of the host write to. */
  out: string;
  /** The container's id. */
  id: string;
  /** The container's cgroup, below each hierarchy. */
  cgroup: string;
  /** The payload on the host. */
  payload: string;
  /** The process whose namespaces are joined; 0 for none. */
  holder: number;
  /** The runtime is called in its mount namespace. */
  inside: boolean;
  /** Writes config.json, once the holder is known. */
  writeConfig(): Promise<void>;
}

let count = 0;

/** [path, mode, content]; a content of undefined is a directory. */
const TREE: [string, number, string?][] = [
  ["", 0o755],
  ["bin", 0o755],
  ["dev", 0o755],
  ["etc", 0o755],
  [
    "etc/passwd",
    0o644,
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
  ],
  ["etc/group", 0o644, "root:x:0:\nuser:x:1000:\n"],
  ["mnt", 0o755],
  ["private", 0o700],
  ["proc", 0o755],
  ["sys", 0o755],
  ["tmp", 0o1777],
  ["text", 0o755, "not a program\n"],
  ["script", 0o755, "#!/no/such/interpreter\n"],
];

/** The host's id of the container's root, where a user namespace maps it. */
function mappedRoot(item: Case): number {
  const linux = item.config.linux;
  const maps = isObject(linux) ? linux.uidMappings : undefined;
  const first = Array.isArray(maps) ? maps[0] : undefined;
  return isObject(first) && typeof first.hostID === "number" ? first.hostID : 0;
}

/** Makes the bundle in `dir`, which must not exist. */
export async function makeBundle(
  item: Case,
  dir: string,
  payload: string,
): Promise<Place> {
  const bundle = `${dir}/bundle`;
  const rootfs = `${bundle}/rootfs`;
  const out = `${dir}/out`;
  const id = `diff-${Deno.pid}-${++count}`;
  const owner = mappedRoot(item);
  for (const path of [dir, bundle, out, `${bundle}/source`]) {
    await Deno.mkdir(path);
    await Deno.chmod(path, 0o755);
  }
  await Deno.chmod(out, 0o777);
  for (const [path, mode, content] of TREE) {
    const full = `${rootfs}/${path}`;
    if (content === undefined) await Deno.mkdir(full);
    else await Deno.writeTextFile(full, content);
    await Deno.chmod(full, mode);
    await Deno.chown(full, owner, owner);
  }
  await Deno.chown(`${rootfs}/private`, owner + 1000, owner + 1000);
  await Deno.copyFile(payload, `${rootfs}/payload`);
  await Deno.chmod(`${rootfs}/payload`, 0o755);
  await Deno.symlink("/etc", `${rootfs}/link-to-etc`);
  await Deno.symlink("/mnt", `${rootfs}/link-to-mnt`);
  await Deno.symlink(`../../../../../..${out}`, `${rootfs}/link-out`);
  await Deno.writeTextFile(`${bundle}/source/file`, "content\n");
  await Deno.writeTextFile(`${bundle}/source/owned`, "content\n");
  await Deno.chown(`${bundle}/source/owned`, 10005, 10006);
  item.prepare?.(bundle);
  const place: Place = {
    dir,
    bundle,
    out,
    id,
    cgroup: `/proof-${Deno.pid}/${id}`,
    payload,
    holder: 0,
    inside: item.inside ?? false,
    async writeConfig() {
      const words: Record<string, string> = {
        "@BUNDLE@": bundle,
        "@PAYLOAD@": payload,
        "@OUT@": out,
        "@CGROUP@": place.cgroup,
        "@NS@": `/proc/${place.holder}/ns`,
      };
      const text = JSON.stringify(item.config, null, 1)
        .replace(/@[A-Z]+@/g, (word) => words[word] ?? word);
      await Deno.writeTextFile(`${bundle}/config.json`, text);
    },
  };
  return place;
}
