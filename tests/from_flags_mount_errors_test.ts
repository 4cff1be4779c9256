/** Tests of mod/config/from_flags.ts: what is said of --volume, --mount and
 * --tmpfs that cannot be. */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { configOf } from "./from_flags_host.ts";

/** [flags, message, hint, code] */
const rows: [string, string, string, string][] = [
  [
    "-v data:/x",
    'Cannot use "-v data:/x": "data" is not a path',
    "Write ./data for what is in this directory: rustyrun has no named volumes",
    "invalid-volume",
  ],
  [
    "-v /data",
    'Cannot use "-v /data": it is not SRC:DST or SRC:DST:OPTIONS',
    "Write for example --volume ./data:/data:ro",
    "invalid-volume",
  ],
  [
    "-v ./data:x",
    'Cannot use "-v ./data:x": "x" is not an absolute path',
    "Where it appears in the container is written from the root: /data",
    "invalid-destination",
  ],
  [
    "-v ./data:/",
    'Cannot use "-v ./data:/": it would hide the root file system',
    "Give the directory itself as --rootfs",
    "invalid-destination",
  ],
  [
    "-v ./data:/x/..",
    'Cannot use "-v ./data:/x/..": it would hide the root file system',
    "Give the directory itself as --rootfs",
    "invalid-destination",
  ],
  [
    "-v ./none:/x",
    'Cannot mount "./none" (-v ./none:/x): it does not exist',
    "Make it first (mkdir -p ./none): rustyrun makes no directories on the host",
    "volume-source-missing",
  ],
  [
    "-v /var/run/docker.sock:/x",
    'Cannot mount "/var/run/docker.sock" (-v /var/run/docker.sock:/x): it does not exist',
    "Name one that exists: rustyrun makes no files or directories on the host",
    "volume-source-missing",
  ],
  [
    "-v /none/.cache:/x",
    'Cannot mount "/none/.cache" (-v /none/.cache:/x): it does not exist',
    "Make it first (mkdir -p /none/.cache): rustyrun makes no directories on the host",
    "volume-source-missing",
  ],
  [
    "-v ./link:/x",
    'Cannot mount "./link" (-v ./link:/x): it does not exist',
    '"/home/me/link" is a symbolic link that leads nowhere, or in a circle',
    "volume-source-missing",
  ],
  [
    "-v /locked/x:/x",
    'Cannot mount "/locked/x" (-v /locked/x:/x): permission denied',
    "Give a file or directory that you can reach",
    "volume-source-unusable",
  ],
  [
    "-v ./data:/x:z",
    'Cannot use "-v ./data:/x:z": rustyrun does not relabel (option "z")',
    "Leave it out, or label the files yourself with chcon",
    "invalid-volume-option",
  ],
  [
    "-v ./data:/x:noexce",
    'Cannot use "-v ./data:/x:noexce": there is no option "noexce"',
    'The nearest one is "noexec"',
    "invalid-volume-option",
  ],
  [
    "-v ./data:/x:sync",
    'Cannot use "-v ./data:/x:sync": there is no option "sync"',
    "The usual ones are: ro, noexec, nosuid, nodev, rslave",
    "invalid-volume-option",
  ],
  [
    "-v ./data:/x:ro,rw",
    'Cannot use "-v ./data:/x:ro,rw": ro and rw exclude each other',
    "Leave one of them out",
    "invalid-volume-option",
  ],
  [
    "-v ./data:/x:",
    'Cannot use "-v ./data:/x:": it is not SRC:DST or SRC:DST:OPTIONS',
    "Write for example --volume ./data:/data:ro",
    "invalid-volume",
  ],
  [
    "-v ./a:b:/c:ro",
    'Cannot use "-v ./a:b:/c:ro": it is not SRC:DST or SRC:DST:OPTIONS',
    "A path with a colon can be written with --mount type=bind,src=SRC,dst=DST",
    "invalid-volume",
  ],
  [
    "-v ./data:/x -v /up:/x/",
    'Cannot use "-v /up:/x/": "-v ./data:/x" has the same destination',
    "Leave one of them out",
    "invalid-mount",
  ],
  [
    "-v ./data:/x --tmpfs /x",
    'Cannot use "--tmpfs /x": "-v ./data:/x" has the same destination',
    "Leave one of them out",
    "invalid-mount",
  ],
  [
    "--mount src=/up,dst=/x",
    'Cannot use "--mount src=/up,dst=/x": it has no type',
    "Write type=bind for a path of the host, type=tmpfs for memory",
    "invalid-mount",
  ],
  [
    "--mount type=volume,src=v,dst=/x",
    'Cannot use "--mount type=volume,src=v,dst=/x": there is no type "volume"',
    "Write type=bind for a path of the host, type=tmpfs for memory",
    "invalid-mount",
  ],
  [
    "--mount type=bind,dst=/x",
    'Cannot use "--mount type=bind,dst=/x": it has no src',
    "Add src=PATH",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/up",
    'Cannot use "--mount type=bind,src=/up": it has no dst',
    "Add dst=PATH",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/none,dst=/x",
    'Cannot mount "/none" (--mount type=bind,src=/none,dst=/x): it does not exist',
    "Make it first (mkdir -p /none): rustyrun makes no directories on the host",
    "volume-source-missing",
  ],
  [
    "--mount type=bind,src=/up,dst=/x,readonly=maybe",
    'Cannot use "--mount type=bind,src=/up,dst=/x,readonly=maybe": "maybe" is no value for "readonly"',
    "Write readonly, readonly=true or readonly=false",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/up,dst=/x,tmpfs-size=1m",
    'Cannot use "--mount type=bind,src=/up,dst=/x,tmpfs-size=1m": a bind mount has no "tmpfs-size"',
    "Leave it out, or write type=tmpfs",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/up,dst=/x,bind-propagation=privat",
    'Cannot use "--mount type=bind,src=/up,dst=/x,bind-propagation=privat": there is no propagation "privat"',
    "They are: private, rprivate, shared, rshared, slave, rslave, unbindable, runbindable",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/up,dst=/x,bind-recursive=writable",
    'Cannot use "--mount type=bind,src=/up,dst=/x,bind-recursive=writable": "writable" is no value for "bind-recursive"',
    "Write enabled or disabled",
    "invalid-mount",
  ],
  [
    "--mount type=bind,src=/up,dst=/x,noexe",
    'Cannot use "--mount type=bind,src=/up,dst=/x,noexe": there is no option "noexe"',
    'The nearest one is "noexec"',
    "invalid-volume-option",
  ],
  [
    "--mount type=tmpfs,src=/up,dst=/x",
    'Cannot use "--mount type=tmpfs,src=/up,dst=/x": a tmpfs has no "source"',
    "Leave it out, or write type=bind",
    "invalid-mount",
  ],
  [
    "--tmpfs x",
    'Cannot use "--tmpfs x": "x" is not an absolute path',
    "Where it appears in the container is written from the root: /data",
    "invalid-destination",
  ],
  [
    "--tmpfs /x:sise=1m",
    'Cannot use "--tmpfs /x:sise=1m": there is no option "sise=1m"',
    'The nearest one is "size"',
    "invalid-tmpfs-option",
  ],
  [
    "--tmpfs /x:constructor=1",
    'Cannot use "--tmpfs /x:constructor=1": there is no option "constructor=1"',
    "The usual ones are: size=64m, mode=1777, exec, ro",
    "invalid-tmpfs-option",
  ],
  [
    "--tmpfs /x:size=1x",
    'Cannot use "--tmpfs /x:size=1x": "1x" is no value for "size"',
    "Write a whole number; for a size with a unit: 64m",
    "invalid-tmpfs-option",
  ],
  [
    "--tmpfs /x:mode=999",
    'Cannot use "--tmpfs /x:mode=999": "999" is no value for "mode"',
    "Write it as for chmod: 1777",
    "invalid-tmpfs-option",
  ],
];

for (const [line, message, hint, code] of rows) {
  Deno.test(`configFromFlags() refuses: ${line}`, () => {
    const error = assertThrows(() => configOf(line), ContainerError);
    assertEquals(
      [error.message, error.hint, error.code, error.exitCode],
      [message, hint, code, 125],
    );
  });
}
