/**
 * Unbindable mounts of the host's: which of them a copy of a tree would be
 * without, whatever is renamed while that is found out.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { identifyFile } from "../ffi/identity.ts";
import { findUnbindable } from "../mod/mounts/host_mounts.ts";

/** A directory with `d/x/m` in it, and a mountinfo that names one unbindable
 * mount, by the name that it has at that moment. */
function makeTree(named: string) {
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  Deno.mkdirSync(`${dir}/d/x/m`, { recursive: true });
  Deno.mkdirSync(`${dir}/other`);
  Deno.symlinkSync("d", `${dir}/link`);
  const { mount } = identifyFile(dir);
  Deno.writeTextFileSync(
    `${dir}/mountinfo`,
    `${mount} 1 8:1 / / rw - ext4 disk rw\n` +
      `9999 ${mount} 0:99 / ${dir}/${named} rw unbindable - tmpfs none rw\n`,
  );
  const uid = Deno.uid() ?? 0;
  return {
    dir,
    find: (...names: string[]) => {
      const files = names.map((name) => `${dir}/${name}`)
        .map((path) => [path, identifyFile(path)] as const);
      const found = findUnbindable(files, { proc: dir, uid });
      return names.flatMap((name) => {
        const it = found.get(`${dir}/${name}`);
        return it === undefined ? [] : it.unsure ? `${name}?` : name;
      });
    },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

Deno.test("findUnbindable() knows what leads to a mount by what it is", () => {
  using tree = makeTree("d/x/m");
  assertEquals(
    tree.find("d", "d/x", "link", "d/x/m", "other"),
    ["d", "d/x", "link"],
  );
});

Deno.test("findUnbindable() trusts no name that others may change", () => {
  // Renamed while mountinfo was read, and back.
  using tree = makeTree("e/x/m");
  assertEquals(tree.find("d"), ["d?"]);
  // The same where the name is there, and whose it is tells.
  using open = makeTree("other/m");
  Deno.mkdirSync(`${open.dir}/other/m`);
  assertEquals(open.find("d"), []);
  Deno.chmodSync(`${open.dir}/other`, 0o777);
  assertEquals(open.find("d"), ["d?"]);
});
