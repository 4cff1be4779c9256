/** A made-up machine for the tests of mod/config/from_flags.ts. */

import { parseArgs } from "../mod/cli/parse.ts";
import type { Config } from "../mod/config/config.ts";
import { configFromFlags, type FlagsHost } from "../mod/config/from_flags.ts";

const DIRECTORIES = ["/", "/root", "/home/me", "/home/me/data", "/up"];
const FILES: Record<string, string> = {
  "/home/me/rootfs.tar": "",
  "/home/me/data/file": "",
  "/home/me/profile.json": "{}",
  "/home/me/good.env":
    '\uFEFF# a comment\n\nA=1\n  B=two words \nQ="q"\r\nMINE\nNOT_MINE\nE=\n',
  "/home/me/bad.env": "A=1\n=x\n",
  "/home/me/space.env": "A=1\nexport B=2\n",
  "/home/me/nul.env": "A=\0\n",
  "/etc/hosts": "127.0.0.1 localhost myhost",
  "/etc/resolv.conf": "nameserver 10.0.0.1\n",
  "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
};

/** Returns a machine; its root directory is also to be seen at /bind. */
export function makeHost(change: Partial<FlagsHost> = {}): FlagsHost {
  return {
    env: { MINE: "my value", HOME: "/home/me", HOSTNAME: "myhost" },
    cwd: "/home/me",
    bundle: "/home/me",
    states: "/run/rustyrun",
    uid: 0,
    gid: 0,
    isTerminal: { stdin: true, stdout: true, stderr: true },
    readTextFile(path) {
      if (DIRECTORIES.includes(path)) throw new Deno.errors.IsADirectory();
      const text = FILES[path];
      if (text === undefined) throw new Deno.errors.NotFound();
      return text;
    },
    list: () => [],
    mayRead: () => true,
    isLink: (path) => path.endsWith("/link"),
    stat(path) {
      const clean = path === "/bind"
        ? "/"
        : path.replace(/\/\.?$/, "").replace("/home/me/..", "/home") || "/";
      if (clean.startsWith("/locked/")) {
        throw new Deno.errors.PermissionDenied();
      }
      const isDirectory = DIRECTORIES.includes(clean);
      const isFile = clean in FILES;
      if (clean.startsWith("/home/me/rootfs.tar/")) {
        throw new Deno.errors.NotADirectory();
      }
      if (!isDirectory && !isFile && clean !== "/home") {
        throw new Deno.errors.NotFound();
      }
      const ino = clean === "/" ? 2 : 100 + clean.length;
      return {
        isDirectory: isDirectory || clean === "/home",
        isFile,
        dev: 1,
        ino,
      };
    },
    ...change,
  };
}

/** Returns the configuration of `run -r /root` with further words, split at
 * spaces. */
export function configOf(line: string, host = makeHost()): Config {
  const words = line === "" ? [] : line.split(" ");
  const rootfs = words.some((w) => /^(-r|--rootfs)/.test(w));
  const before = rootfs ? ["run"] : ["run", "-r", "/root"];
  return configFromFlags(parseArgs([...before, ...words]), host);
}
