/**
 * Flags of run that are refused: where it runs, as whom, and with what around it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { configOf, makeHost } from "./from_flags_host.ts";

const none = { stdin: false, stdout: false, stderr: false };

const hosts: Record<string, Parameters<typeof makeHost>[0]> = {
  user: { uid: 1000, gid: 1000 },
  notty: { isTerminal: none },
  pipe: { isTerminal: { ...none, stdout: true } },
};

/** [flags, message, hint, code] */
const rows: [string, string, string, string][] = [
  [
    "-r /none",
    'Cannot use the root file system "/none": it does not exist',
    "Give a directory that holds a root file system, such as an unpacked image",
    "rootfs-missing",
  ],
  [
    "-r link",
    'Cannot use the root file system "link": it does not exist',
    '"/home/me/link" is a symbolic link that leads nowhere, or in a circle',
    "rootfs-missing",
  ],
  [
    "-r /locked/link",
    'Cannot use the root file system "/locked/link": permission denied',
    "Give a directory that you can reach, or run rustyrun as a user who can",
    "rootfs-unusable",
  ],
  [
    "-r /home/me/rootfs.tar",
    'Cannot use the root file system "/home/me/rootfs.tar": it is not a directory',
    "Unpack it into a directory first and give that",
    "rootfs-not-directory",
  ],
  [
    "-r rootfs.tar/x",
    'Cannot use the root file system "rootfs.tar/x": a part of its path is not a directory',
    "Give a directory that holds a root file system, such as an unpacked image",
    "rootfs-unusable",
  ],
  [
    "-r data/file",
    'Cannot use the root file system "data/file": it is not a directory',
    "Give a directory that holds a root file system, such as an unpacked image",
    "rootfs-not-directory",
  ],
  [
    "-r /locked/x",
    'Cannot use the root file system "/locked/x": permission denied',
    "Give a directory that you can reach, or run rustyrun as a user who can",
    "rootfs-unusable",
  ],
  [
    "-r=",
    'Cannot use the root file system "": no directory is given',
    "Give a directory that holds a root file system, such as an unpacked image",
    "rootfs-missing",
  ],
  [
    "-r /",
    'Cannot use the root file system "/": the container would write to this machine\'s own files',
    "Add --ephemeral to throw every change away, or --read-only to allow none",
    "rootfs-is-host",
  ],
  [
    "-r /bind",
    'Cannot use the root file system "/bind": the container would write to this machine\'s own files',
    "Add --ephemeral to throw every change away, or --read-only to allow none",
    "rootfs-is-host",
  ],
  [
    "--ephemeral=/none",
    'Cannot keep the changes in "/none" (--ephemeral=/none): it does not exist',
    "Give a directory that exists, or --ephemeral alone to keep them in memory",
    "ephemeral-unusable",
  ],
  [
    "--ephemeral=data/file",
    'Cannot keep the changes in "data/file" (--ephemeral=data/file): it is not a directory',
    "Give a directory that exists, or --ephemeral alone to keep them in memory",
    "ephemeral-unusable",
  ],
  [
    "--ephemeral=",
    'Cannot keep the changes in "" (--ephemeral=): no directory is given',
    "Give a directory that exists, or --ephemeral alone to keep them in memory",
    "ephemeral-unusable",
  ],
  [
    "--hostname=",
    'Cannot use "--hostname=": "" is not a host name',
    "Use letters, digits, dots and dashes, at most 64 of them",
    "invalid-hostname",
  ],
  [
    "--hostname a_b/c",
    'Cannot use "--hostname a_b/c": "a_b/c" is not a host name',
    "Use letters, digits, dots and dashes, at most 64 of them",
    "invalid-hostname",
  ],
  [
    "--hostname -x",
    'Cannot use "--hostname -x": "-x" is not a host name',
    "Use letters, digits, dots and dashes, at most 64 of them",
    "invalid-hostname",
  ],
  [
    "--hostname aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    'Cannot use "--hostname aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is not a host name',
    "Use letters, digits, dots and dashes, at most 64 of them",
    "invalid-hostname",
  ],
  [
    "--name a/b",
    'Cannot use the id "a/b": invalid container ID format',
    "Use letters, digits and _ + . - only, at most 255 of them; the first may not be a dot",
    "invalid-id",
  ],
  [
    "--name ..",
    'Cannot use the id "..": invalid container ID format',
    "Use letters, digits and _ + . - only, at most 255 of them; the first may not be a dot",
    "invalid-id",
  ],
  [
    "--name=",
    'Cannot use the id "": invalid container ID format',
    "Use letters, digits and _ + . - only, at most 255 of them; the first may not be a dot",
    "invalid-id",
  ],
  [
    "-c=",
    'Cannot run the command "": it has no name',
    "Leave it out for /bin/sh, or give the path of a program",
    "invalid-command",
  ],
  [
    "-w rel",
    'Cannot use "-w rel": "rel" is not an absolute path',
    "A directory in the container is written from the root: /work",
    "invalid-workdir",
  ],
  [
    "-it @notty",
    "Cannot give the command a terminal: standard input is not one",
    "Leave -t out of -it, or run rustyrun from a terminal",
    "no-terminal",
  ],
  [
    "-dit",
    "Cannot give the command a terminal: with -d nobody holds it",
    "Leave -t out; rustyrun exec -it ID sh opens a terminal later. --console-socket PATH gives it to a program",
    "no-terminal",
  ],
  [
    "-t @notty",
    "Cannot give the command a terminal: standard input is not one",
    "Leave -t out, or run rustyrun from a terminal",
    "no-terminal",
  ],
  [
    "-it @pipe",
    "Cannot give the command a terminal: standard input is not one",
    "Leave -t out of -it, or run rustyrun from a terminal",
    "no-terminal",
  ],
  [
    "-e =x",
    'Cannot use "-e =x": the variable has no name',
    "Write --env NAME=VALUE, or --env NAME to pass the caller's",
    "invalid-env",
  ],
  [
    "-e=",
    'Cannot use "-e=": the variable has no name',
    "Write --env NAME=VALUE, or --env NAME to pass the caller's",
    "invalid-env",
  ],
  [
    "--env-file none.env",
    'Cannot read the env file "none.env": it does not exist',
    "Give a file with one NAME=VALUE on a line",
    "env-file-unreadable",
  ],
  [
    "--env-file bad.env",
    'Cannot read the env file "bad.env": line 2: the variable has no name',
    "Write one NAME=VALUE on a line, without export and spaces",
    "env-file-line",
  ],
  [
    "--env-file space.env",
    'Cannot read the env file "space.env": line 2: there is a space in the name "export B"',
    "Write one NAME=VALUE on a line, without export and spaces",
    "env-file-line",
  ],
  [
    "--env-file nul.env",
    'Cannot read the env file "nul.env": line 1: there is a NUL in it',
    "Write one NAME=VALUE on a line, without export and spaces",
    "env-file-line",
  ],
  [
    "--env-file data",
    'Cannot read the env file "data": it is a directory',
    "Give a file with one NAME=VALUE on a line",
    "env-file-unreadable",
  ],
  [
    "-u=",
    'Cannot use "-u=": "" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u 1000:",
    'Cannot use "-u 1000:": "1000:" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u :5",
    'Cannot use "-u :5": ":5" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u -1",
    'Cannot use "-u -1": "-1" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u 01000",
    'Cannot use "-u 01000": "01000" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u 4294967295",
    'Cannot use "-u 4294967295": "4294967295" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u a:b:c",
    'Cannot use "-u a:b:c": "a:b:c" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "-u a/b",
    'Cannot use "-u a/b": "a/b" is not a user',
    "Write a number or a name, and a group after a colon: 1000, 1000:100, app:staff",
    "invalid-user",
  ],
  [
    "--userns private",
    'Cannot use "--userns private": "private" is not a mode',
    "Write host, auto, keep-id, or three numbers: first id inside, first id on the host, how many (0:100000:65536)",
    "invalid-userns",
  ],
  [
    "--userns 0:1",
    'Cannot use "--userns 0:1": "0:1" is not a mode',
    "Write host, auto, keep-id, or three numbers: first id inside, first id on the host, how many (0:100000:65536)",
    "invalid-userns",
  ],
  [
    "--userns 0:100000:0",
    'Cannot use "--userns 0:100000:0": "0:100000:0" is not a mode',
    "Write host, auto, keep-id, or three numbers: first id inside, first id on the host, how many (0:100000:65536)",
    "invalid-userns",
  ],
  [
    "--userns 0:4294967000:1000",
    'Cannot use "--userns 0:4294967000:1000": "0:4294967000:1000" is not a mode',
    "Write host, auto, keep-id, or three numbers: first id inside, first id on the host, how many (0:100000:65536)",
    "invalid-userns",
  ],
  [
    "--userns host @user",
    'Cannot use "--userns host": only root can do without a user namespace',
    "Leave it out, or run rustyrun as root",
    "invalid-userns",
  ],
];

for (const [line, message, hint, code] of rows) {
  Deno.test(`configFromFlags() refuses: ${line}`, () => {
    const [words, who] = line.split(" @");
    const host = makeHost(who === undefined ? {} : hosts[who]);
    const error = assertThrows(() => configOf(words!, host), ContainerError);
    assertEquals(
      [error.message, error.hint, error.code, error.exitCode],
      [message, hint, code, 125],
    );
  });
}
