/**
 * What `--rootfs /` hides of the machine, on a made-up one.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { FlagsHost } from "../mod/config/from_flags.ts";
import { configOf, makeHost } from "./from_flags_host.ts";

const ETC: Record<string, ReturnType<FlagsHost["list"]>> = {
  "/etc": [
    { name: "shadow", kind: "file", mode: 0o100640, size: 9 },
    { name: "passwd", kind: "file", mode: 0o100644, size: 9 },
    { name: ".pwd.lock", kind: "file", mode: 0o100600, size: 0 },
    { name: "link", kind: "other", mode: 0o120777, size: 9 },
    { name: "ssh", kind: "directory", mode: 0o40755, size: 9 },
    { name: "private", kind: "directory", mode: 0o40710, size: 9 },
  ],
  "/etc/ssh": [
    { name: "ssh_host_rsa_key", kind: "file", mode: 0o100600, size: 9 },
    { name: "ssh_host_rsa_key.pub", kind: "file", mode: 0o100644, size: 9 },
  ],
};

const TEXTS: Record<string, string> = {
  "/etc/passwd":
    "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me/:/bin/sh\nother:x:1001:1001::/data/other:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
  "/etc/shadow": "root:$6$salt$hash:1:0:99999:7:::\ndaemon:*:1:0:9:7:::\nme::1",
};

const THERE = ["/", "/root", "/home", "/data/other", "/tmp", "/var/mail"];

/** A machine on which `there` are the directories. */
function machine(change: Partial<FlagsHost> = {}): FlagsHost {
  return makeHost({
    list: (path) => ETC[path] ?? [],
    readTextFile(path) {
      const text = TEXTS[path];
      if (text === undefined) throw new Deno.errors.NotFound(path);
      return text;
    },
    stat(path) {
      const isDirectory = [...THERE, "/etc/private", "/run"].includes(path);
      if (!isDirectory) throw new Deno.errors.NotFound(path);
      return { isDirectory, isFile: false, dev: 1, ino: path.length };
    },
    ...change,
  });
}

/** The mounts that are of no other root file system. */
function listHidden(line: string, host = machine()): string[] {
  const ordinary = configOf("-r /root", host).spec.mounts?.length;
  return (configOf(line, host).spec.mounts ?? []).slice(ordinary)
    .map((it) => `${it.destination} ${it.type} ${it.options?.join(",")}`);
}

const SET = "nosuid,nodev";

Deno.test("--rootfs / --ephemeral has empty homes, and what people keep elsewhere", () => {
  assertEquals(listHidden("-r / --ephemeral"), [
    `/run tmpfs ${SET},mode=755`,
    `/tmp tmpfs ${SET},mode=1777`,
    `/var/mail tmpfs ${SET},mode=2775`,
    `/root tmpfs ${SET},mode=700`,
    `/home tmpfs ${SET},mode=755`,
    `/data/other tmpfs ${SET},mode=755`,
    `/etc/private tmpfs ${SET},mode=710`,
  ]);
});

Deno.test("--show-home leaves homes, and hides the rest", () => {
  assertEquals(
    listHidden("-r / --ephemeral --show-home").map((it) => it.split(" ")[0]),
    ["/run", "/tmp", "/var/mail", "/etc/private"],
  );
});

Deno.test("HOME of the caller is hidden wherever it is, unless it is the system's", () => {
  for (
    const [home, want] of [["/data/other", 1], ["/", 0], ["/var", 0]] as const
  ) {
    const host = machine({ env: { HOME: home }, uid: 1000 });
    const hidden = listHidden("-r / --ephemeral", host);
    assertEquals(hidden.some((it) => it.startsWith(`${home} `)), want === 1);
  }
});

Deno.test("a volume on a hidden directory takes its place, one in it lies on top", () => {
  const host = machine();
  const { mounts } = configOf("-r / --ephemeral -v /tmp:/home", host).spec;
  assertEquals(
    mounts?.filter((it) => it.destination === "/home").map((it) => it.source),
    ["/tmp"],
  );
  const inner = configOf("-r / --ephemeral -v /tmp:/home/me/a", host);
  assertEquals(inner.spec.mounts?.at(-1)?.destination, "/home/me/a");
});

Deno.test("as root, files of /etc that others may not read have other contents", () => {
  const { overwrites, files } = configOf("-r / --ephemeral", machine());
  assertEquals(overwrites, [
    {
      path: "/etc/shadow",
      data: "root:*:1:0:99999:7:::\ndaemon:*:1:0:9:7:::\nme:*:1",
    },
    { path: "/etc/ssh/ssh_host_rsa_key", data: "" },
  ]);
  assertEquals(files.map((it) => it.path), [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
  ]);
});

Deno.test("with --read-only they lie under files of ours, and the directories are read-only", () => {
  const { overwrites, files } = configOf("-r / --read-only", machine());
  assertEquals(overwrites, []);
  assertEquals(files.slice(3).map((it) => [it.path, it.mode]), [
    ["/etc/shadow", 0o640],
    ["/etc/ssh/ssh_host_rsa_key", 0o600],
  ]);
  assertEquals(
    listHidden("-r / --read-only").filter((it) => !it.includes(" ro,")),
    [],
  );
});

Deno.test("as a user, and for what root may not read, /etc is as it is", () => {
  for (const change of [{ uid: 1000 }, { mayRead: () => false }]) {
    const { overwrites } = configOf("-r / --ephemeral", machine(change));
    assertEquals(overwrites, []);
  }
});

Deno.test("another root file system hides nothing", () => {
  const { overwrites, files, spec } = configOf("-r /root", machine());
  assertEquals([overwrites, files.length], [[], 3]);
  assertEquals(
    spec.mounts?.filter((it) => THERE.includes(it.destination)),
    [],
  );
});

Deno.test("the states of other containers are hidden wherever they are", () => {
  const hidden = (states: string) =>
    listHidden("-r / --ephemeral", machine({ states }))
      .map((it) => it.split(" ")[0]).slice(3, 4);
  assertEquals(hidden("/data/other"), ["/data/other"]);
  assertEquals(hidden("/run/rustyrun"), ["/root"]);
});
