/**
 * What has changed in an overlay, by its upper layer, as the kernel writes it.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  lstatSync,
  readDirSync,
  readFileSync,
  readLinkSync,
} from "../ffi/files.ts";
import { closeFd, libc, openFd } from "../ffi/libc.ts";
import { applyChanges } from "../mod/container/inside/apply.ts";
import {
  type Change,
  type ChangesOptions,
  listChanges,
} from "../mod/container/inside/changes.ts";
import { ContainerError } from "../mod/errors.ts";
import { codeOf, listOpen, makeDeep, messageOf } from "./inside_room.ts";
import { findPython, testOn } from "./needs.ts";

libc();

const O_PATH = 0o10000000;
const trusted = { attributes: "trusted" } as const;

/** An overlay that was mounted, changed and unmounted. */
interface Overlay extends Disposable {
  dir: string;
  upper: number;
  lower: number;
  /** Its changes, as lines: "made file /a". */
  list(options?: Partial<ChangesOptions>): string[];
  paths(): string[];
  /** Mounts it, runs shell commands in it, unmounts it. */
  run(script: string): string;
}

const line = ({ kind, type, path }: Change) => `${kind} ${type} ${path}`;

/** @param prepare shell commands that make the lower layer
 * @param script what changes it, in a mount namespace of its own */
function makeOverlay(
  prepare: string,
  script: string,
  attributes: "trusted" | "user" = "trusted",
): Overlay {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-changes-" });
  for (const it of ["upper", "work", "lower", "merged"]) {
    Deno.mkdirSync(`${dir}/${it}`);
  }
  const shell = (argv: string[], text: string) => {
    const [program, ...args] = [...argv, "sh", "-euc", `umask 022; ${text}`];
    const { success, stdout, stderr } = new Deno.Command(program!, {
      args,
      cwd: dir,
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  const options = "lowerdir=lower,upperdir=upper,workdir=work" +
    (attributes === "user" ? ",userxattr" : "");
  const run = (script: string) =>
    shell(
      ["unshare", "-m"],
      `mount -t overlay -o ${options} none merged; cd merged; ${script}`,
    );
  shell(["env"], `cd lower; ${prepare}`);
  run(script);
  const upper = openFd(`${dir}/upper`, O_PATH);
  const lower = openFd(`${dir}/lower`, O_PATH);
  const list = (options: Partial<ChangesOptions> = {}) =>
    listChanges(upper, lower, { attributes, ...options });
  return {
    dir,
    upper,
    lower,
    run,
    list: (options) => list(options).map(line),
    paths: () => list().map((it) => it.path),
    [Symbol.dispose]() {
      closeFd(upper);
      closeFd(lower);
      assertEquals(listOpen(dir), []);
      Deno.removeSync(dir, { recursive: true });
    },
  };
}

/** Everything in a directory: mode, owner, and what it holds. */
function dump(dir: string, path = ""): string[] {
  return readDirSync(dir + path).flatMap(({ name }) => {
    const below = `${path}/${name}`;
    const { mode, uid, gid, isDirectory, isSymlink } = lstatSync(dir + below);
    const held = isDirectory
      ? ""
      : isSymlink
      ? readLinkSync(dir + below)
      : new TextDecoder().decode(readFileSync(dir + below));
    return [
      `${below} ${mode!.toString(8)} ${uid}:${gid} ${held}`,
      ...isDirectory ? dump(dir, below) : [],
    ];
  }).sort();
}

const PREPARE =
  "mkdir -p a/b old/sub gone tools; echo 1 >a/file; echo 2 >a/b/x;" +
  "echo 3 >old/one; echo 3 >old/sub/two; echo 4 >gone/file; echo 5 >same;" +
  "ln -s a link; ln -s nowhere other; echo 6 >tools/tool; chmod 6755 tools/tool;" +
  "echo 7 >kind; mkdir kind2; echo 8 >kind2/x; mkdir -m 2775 shared; chown 7 shared";

const SCRIPT = "echo more >>a/file; rm a/b/x; echo new >a/b/y; rm -r gone;" +
  "rm -r old; mkdir old; echo 9 >old/one; mkdir -p made/deep; echo >made/deep/z;" +
  "ln -sfn b link; rm other; chmod 600 tools; echo 6 >>tools/tool;" +
  "chmod 6755 tools/tool; rm kind; mkdir kind; echo >kind/in; rm -r kind2;" +
  "echo file >kind2; chmod 3777 shared; chown 8:9 shared; ln -s /etc/shadow made/out;" +
  "cp -p same copy; chmod 4755 copy; mkdir made/private; chmod 700 made/private";

const CHANGES = [
  "changed file /a/file",
  "removed file /a/b/x",
  "made file /a/b/y",
  "made file /copy",
  "removed directory /gone",
  "changed directory /kind",
  "made file /kind/in",
  "changed file /kind2",
  "changed link /link",
  "made directory /made",
  "made directory /made/deep",
  "made file /made/deep/z",
  "made link /made/out",
  "made directory /made/private",
  "changed file /old/one",
  "removed directory /old/sub",
  "removed link /other",
  "changed directory /shared",
  "changed directory /tools",
  "changed file /tools/tool",
];

for (const attributes of ["trusted", "user"] as const) {
  testOn(
    ["root"],
    `listChanges() of an overlay with ${attributes} attributes`,
    () => {
      using overlay = makeOverlay(PREPARE, SCRIPT, attributes);
      assertEquals(overlay.list().toSorted(), CHANGES.toSorted());
      assertEquals(overlay.paths(), overlay.paths().toSorted());
    },
  );

  testOn(
    ["root"],
    `applyChanges() of all that ${attributes} attributes say`,
    () => {
      using overlay = makeOverlay(PREPARE, SCRIPT, attributes);
      const want = overlay.run("cd ..; cp -a merged copy; echo done");
      assertEquals(want, "done\n");
      const { upper, lower } = overlay;
      applyChanges(upper, lower, overlay.paths(), { attributes });
      const strip = (text: string) =>
        // No set-user-id where there was none before.
        text.replace("/copy 104755", "/copy 100755");
      assertEquals(
        dump(`${overlay.dir}/lower`),
        dump(`${overlay.dir}/copy`).map(strip),
      );
      // The layer says the same as before, and once more changes nothing.
      const again = overlay.list().filter((it) => !it.startsWith("removed"));
      assertEquals(again, ["changed file /copy"]);
    },
  );
}

testOn(["root"], "what was only opened, or put back, has not changed", () => {
  using overlay = makeOverlay(
    "echo text >a; echo text >b; echo text >c; echo text >d; mkdir e; touch e/f",
    ": >>a; chmod 600 b; chmod 644 b; touch -d @5 c; echo TEXT >d;" +
      "touch e/g; rm e/g",
  );
  // d has other bytes of the same size; its time was set back.
  Deno.utimeSync(`${overlay.dir}/upper/d`, 5, 5);
  Deno.utimeSync(`${overlay.dir}/lower/d`, 5, 5);
  assertEquals(overlay.list(), ["changed file /c", "changed file /d"]);
});

testOn(["root"], "what rustyrun itself has put there is left out", () => {
  using overlay = makeOverlay(
    "mkdir -p home/user etc; echo secret >home/user/key; echo real >etc/shadow",
    "rm -r home; mkdir home proc; echo none >etc/shadow; echo >home/mine;" +
      "mkdir -p mnt/a/b mnt/c; chown 9 etc; rm etc/shadow",
  );
  const own = ["/proc", "/mnt/a/b"];
  assertEquals(overlay.list({ own, hidden: ["/home", "/etc/shadow"] }), [
    "changed directory /etc",
    "made file /home/mine",
    "made directory /mnt/c",
  ]);
  assertEquals(overlay.list(), [
    "changed directory /etc",
    "removed file /etc/shadow",
    "made file /home/mine",
    "removed directory /home/user",
    "made directory /mnt",
    "made directory /mnt/a",
    "made directory /mnt/a/b",
    "made directory /mnt/c",
    "made directory /proc",
  ]);
});

testOn(
  ["root"],
  "applyChanges() takes what was chosen, and what leads there",
  () => {
    using overlay = makeOverlay(PREPARE, SCRIPT);
    const { upper, lower, dir } = overlay;
    const before = dump(`${dir}/lower`);
    const apply = (...paths: string[]) =>
      applyChanges(upper, lower, paths, trusted);
    apply("/made/deep/z");
    const added = dump(`${dir}/lower`).filter((it) => !before.includes(it));
    assertEquals(added.map((it) => it.split(" ")[0]), [
      "/made",
      "/made/deep",
      "/made/deep/z",
    ]);
    for (
      const [path, code] of [
        ["/same", "file-missing"],
        ["/none", "file-missing"],
        ["/gone/file", "file-missing"],
        ["/a/file/x", "file-missing"],
        ["/kind/in", "file-kind"],
        ["/", "file-path"],
        ["/a/../copy", "file-path"],
        ["", "file-path"],
      ] as const
    ) assertEquals(codeOf(() => apply(path)), code, path);
    apply("/kind", "/kind/in");
    assertEquals(Deno.statSync(`${dir}/lower/kind/in`).isFile, true);
  },
);

testOn(
  ["root"],
  "applyChanges() follows no link of the lower layer, nor of the upper",
  () => {
    using overlay = makeOverlay(
      "mkdir dir; echo >dir/x",
      "echo new >dir/x; echo y >dir/y; ln -s ../../host l; mkfifo fifo; mkdir host; echo >host/f",
    );
    const { upper, lower, dir } = overlay;
    Deno.mkdirSync(`${dir}/host`);
    Deno.writeTextFileSync(`${dir}/host/f`, "the host's");
    Deno.removeSync(`${dir}/lower/dir`, { recursive: true });
    Deno.symlinkSync("../host", `${dir}/lower/dir`);
    const apply = (...paths: string[]) =>
      codeOf(() => applyChanges(upper, lower, paths, trusted));
    assertEquals(apply("/dir/y"), "file-kind");
    assertEquals(apply("/l/f"), "file-missing");
    assertEquals(apply("/fifo"), "file-kind");
    assertEquals(apply("/l"), "");
    Deno.symlinkSync("../host/f", `${dir}/lower/host`);
    assertEquals(apply("/host", "/host/f"), "");
    assertEquals(dump(`${dir}/host`).map((it) => it.slice(-10)), [
      "the host's",
    ]);
    assertEquals(Deno.lstatSync(`${dir}/lower/host`).isDirectory, true);
  },
);

testOn(["root"], "a hostile layer: bounded in depth, number and size", () => {
  using overlay = makeOverlay(":", "for i in 1 2 3; do echo 12345 >f$i; done");
  const { upper, lower, dir } = overlay;
  assertEquals(
    messageOf(() => listChanges(upper, lower, { ...trusted, max: 2 })),
    'Cannot list what has changed in "/": there are more than 2 changes',
  );
  const paths = ["/f1", "/f2"];
  assertEquals(
    codeOf(() => applyChanges(upper, lower, paths, { ...trusted, bytes: 11 })),
    "file-too-large",
  );
  assertEquals(readDirSync(`${dir}/lower`).map((it) => it.name), ["f1"]);
  makeDeep(`${dir}/upper`, 300, "d");
  const error = assertThrows(
    () => listChanges(upper, lower, trusted),
    ContainerError,
  );
  assertMatch(error.message, /it is more than 256 directories deep$/);
});

testOn(
  ["root", "python3"],
  "whiteouts by attribute count; those of the other kind of overlay do not, and a redirect is refused",
  () => {
    using overlay = makeOverlay(
      "mkdir d; echo >d/a; echo >d/b",
      "echo >d/c; echo >e; mkdir f",
    );
    const { upper, lower, dir } = overlay;
    const set = (path: string, name: string, value: string) => {
      const { success } = new Deno.Command(findPython(), {
        args: [
          "-c",
          "import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())",
          `${dir}/upper/${path}`,
          name,
          value,
        ],
      }).outputSync();
      assertEquals(success, true);
    };
    Deno.writeTextFileSync(`${dir}/upper/d/a`, "");
    const plain = [
      "changed file /d/a",
      "made file /d/c",
      "made file /e",
      "made directory /f",
    ];
    // A container can set these where the overlay's own are trusted.
    set("d", "user.overlay.opaque", "x");
    set("d/a", "user.overlay.whiteout", "y");
    assertEquals(overlay.list(), plain);
    set("d", "trusted.overlay.opaque", "x");
    set("d/a", "trusted.overlay.whiteout", "y");
    assertEquals(overlay.list(), ["removed file /d/a", ...plain.slice(1)]);
    set("f", "trusted.overlay.redirect", "/d");
    assertEquals(
      messageOf(() => listChanges(upper, lower, trusted)),
      'Cannot list what has changed in "/f": its overlay has left what it holds in the lower layer (redirect)',
    );
    assertEquals(
      codeOf(() => applyChanges(upper, lower, ["/f"], trusted)),
      "file-kind",
    );
  },
);
