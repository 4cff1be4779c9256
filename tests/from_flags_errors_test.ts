/** Tests of mod/config/from_flags.ts: what is said of a flag that cannot be.
 * A row's flags may end in "@user" (not root), "@notty" (no terminal) or
 * "@pipe" (standard input is none). */

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
    "Use letters, digits and _ + . - only, at most 255 of them, the first no dot",
    "invalid-id",
  ],
  [
    "--name ..",
    'Cannot use the id "..": invalid container ID format',
    "Use letters, digits and _ + . - only, at most 255 of them, the first no dot",
    "invalid-id",
  ],
  [
    "--name=",
    'Cannot use the id "": invalid container ID format',
    "Use letters, digits and _ + . - only, at most 255 of them, the first no dot",
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
  [
    "--memory 6x",
    'Cannot use "--memory 6x": "6x" is not a size',
    "Write a number and a unit: 512k, 64m, 1.5g",
    "invalid-memory",
  ],
  [
    "--memory=",
    'Cannot use "--memory=": "" is not a size',
    "Write a number and a unit: 512k, 64m, 1.5g",
    "invalid-memory",
  ],
  [
    "--memory 64",
    'Cannot use "--memory 64": 64 bytes are less than 6m',
    "A number without a unit is bytes: perhaps 64m was meant",
    "invalid-memory",
  ],
  [
    "--memory 5m",
    'Cannot use "--memory 5m": 5242880 bytes are less than 6m',
    "Give at least 6m",
    "invalid-memory",
  ],
  [
    "--memory 9007199254740993",
    'Cannot use "--memory 9007199254740993": "9007199254740993" is not a size',
    "Write a number and a unit: 512k, 64m, 1.5g",
    "invalid-memory",
  ],
  [
    "--memory-swap 1g",
    'Cannot use "--memory-swap 1g": it needs --memory',
    "Give --memory as well: --memory-swap is memory and swap together",
    "invalid-memory-swap",
  ],
  [
    "-m 64m --memory-swap 32m",
    'Cannot use "--memory-swap 32m": it is less than "-m 64m"',
    "It is memory and swap together: give at least as much as --memory",
    "invalid-memory-swap",
  ],
  [
    "-m 64m --memory-swap -2",
    'Cannot use "--memory-swap -2": "-2" is not a size',
    "Write a number and a unit: 512k, 64m, 1.5g, or -1 for no limit",
    "invalid-memory-swap",
  ],
  [
    "--cpus 0",
    'Cannot use "--cpus 0": "0" is not a number of CPUs',
    "Write a number from 0.01: 0.5 is half of one CPU, 2 is two",
    "invalid-cpus",
  ],
  [
    "--cpus 0.001",
    'Cannot use "--cpus 0.001": "0.001" is not a number of CPUs',
    "Write a number from 0.01: 0.5 is half of one CPU, 2 is two",
    "invalid-cpus",
  ],
  [
    "--cpus -1",
    'Cannot use "--cpus -1": "-1" is not a number of CPUs',
    "Write a number from 0.01: 0.5 is half of one CPU, 2 is two",
    "invalid-cpus",
  ],
  [
    "--cpus half",
    'Cannot use "--cpus half": "half" is not a number of CPUs',
    "Write a number from 0.01: 0.5 is half of one CPU, 2 is two",
    "invalid-cpus",
  ],
  [
    "-m 0",
    'Cannot use "-m 0": 0 bytes are less than 6m',
    "Leave --memory out for no limit",
    "invalid-memory",
  ],
  [
    "--cpu-shares 1",
    'Cannot use "--cpu-shares 1": "1" is not a weight',
    "Write a whole number from 2 to 262144; a container without it has 1024",
    "invalid-cpu-shares",
  ],
  [
    "--cpu-shares 1e3",
    'Cannot use "--cpu-shares 1e3": "1e3" is not a weight',
    "Write a whole number from 2 to 262144; a container without it has 1024",
    "invalid-cpu-shares",
  ],
  [
    "--cpuset-cpus 3-1",
    'Cannot use "--cpuset-cpus 3-1": "3-1" is not a list of CPUs',
    "Write numbers and ranges: 0, 0-3, 0-2,4",
    "invalid-cpuset-cpus",
  ],
  [
    "--cpuset-cpus 0,",
    'Cannot use "--cpuset-cpus 0,": "0," is not a list of CPUs',
    "Write numbers and ranges: 0, 0-3, 0-2,4",
    "invalid-cpuset-cpus",
  ],
  [
    "--pids-limit 0",
    'Cannot use "--pids-limit 0": "0" is not a number of processes',
    "Write a whole number from 1 to 4194304, or -1 for no limit",
    "invalid-pids-limit",
  ],
  [
    "--pids-limit many",
    'Cannot use "--pids-limit many": "many" is not a number of processes',
    "Write a whole number from 1 to 4194304, or -1 for no limit",
    "invalid-pids-limit",
  ],
  [
    "--ulimit nofile",
    'Cannot use "--ulimit nofile": it is not NAME=SOFT or NAME=SOFT:HARD',
    "Write for example --ulimit nofile=1024:2048",
    "invalid-ulimit",
  ],
  [
    "--ulimit nofiles=1",
    'Cannot use "--ulimit nofiles=1": there is no limit "nofiles"',
    'The nearest one is "nofile"',
    "invalid-ulimit",
  ],
  [
    "--ulimit nofile=2:1",
    'Cannot use "--ulimit nofile=2:1": the soft limit is above the hard limit',
    "The soft limit stands first: nofile=1024:2048",
    "invalid-ulimit",
  ],
  [
    "--ulimit nofile=1:2:3",
    'Cannot use "--ulimit nofile=1:2:3": "1:2:3" is not a limit',
    "Write a whole number, or -1 for no limit, and the hard limit after a colon",
    "invalid-ulimit",
  ],
  [
    "--ulimit nofile=x",
    'Cannot use "--ulimit nofile=x": "x" is not a limit',
    "Write a whole number, or -1 for no limit, and the hard limit after a colon",
    "invalid-ulimit",
  ],
  [
    "--ulimit nofile=18446744073709551616",
    'Cannot use "--ulimit nofile=18446744073709551616": "18446744073709551616" is not a limit',
    "Write a whole number, or -1 for no limit, and the hard limit after a colon",
    "invalid-ulimit",
  ],
  [
    "--ulimit nofile=1 --ulimit nofile=2",
    'Cannot use "--ulimit nofile=2": "nofile" is limited twice',
    "Leave one of them out",
    "invalid-ulimit",
  ],
  [
    "--cap-add NET_ADMN",
    'Cannot use "--cap-add NET_ADMN": there is no capability "NET_ADMN"',
    'The nearest one is "NET_ADMIN"',
    "invalid-capability",
  ],
  [
    "--cap-drop WHATEVER",
    'Cannot use "--cap-drop WHATEVER": there is no capability "WHATEVER"',
    "capabilities(7) lists them; ALL means every one",
    "invalid-capability",
  ],
  [
    "--cap-add BPF --cap-drop CAP_BPF",
    'Cannot use "--cap-add BPF": "--cap-drop CAP_BPF" says the opposite',
    "Leave one of them out",
    "invalid-capability",
  ],
  [
    "--security-opt seccomp=none.json",
    'Cannot read the seccomp profile "none.json" (--security-opt seccomp=none.json): it does not exist',
    "Give a JSON file in docker's format, or seccomp=unconfined",
    "seccomp-profile-unreadable",
  ],
  [
    "--security-opt seccomp=data",
    'Cannot read the seccomp profile "data" (--security-opt seccomp=data): it is not a file',
    "Give a JSON file in docker's format, or seccomp=unconfined",
    "seccomp-profile-unreadable",
  ],
  [
    "--security-opt seccomp=",
    'Cannot use "--security-opt seccomp=": there is no option "seccomp="',
    "They are: seccomp=FILE, seccomp=unconfined, no-new-privileges=true|false, apparmor=PROFILE, systempaths=unconfined",
    "invalid-security-opt",
  ],
  [
    "--security-opt no-new-privileges=maybe",
    'Cannot use "--security-opt no-new-privileges=maybe": "maybe" is no value for "no-new-privileges"',
    "Write no-new-privileges=true or no-new-privileges=false",
    "invalid-security-opt",
  ],
  [
    "--security-opt label=level:s0",
    'Cannot use "--security-opt label=level:s0": there is no option "label=level:s0"',
    "They are: seccomp=FILE, seccomp=unconfined, no-new-privileges=true|false, apparmor=PROFILE, systempaths=unconfined",
    "invalid-security-opt",
  ],
  [
    "--device fuse",
    'Cannot use "--device fuse": "fuse" is not PATH, PATH:DST or PATH:DST:ACCESS',
    "Write for example --device /dev/fuse or --device /dev/sda:/dev/xvda:r",
    "invalid-device",
  ],
  [
    "--device /dev/fuse:fuse",
    'Cannot use "--device /dev/fuse:fuse": "fuse" is not an absolute path',
    "Where it appears in the container is written from the root: /dev/fuse",
    "invalid-device",
  ],
  [
    "--device /dev/fuse:/dev/fuse:rx",
    'Cannot use "--device /dev/fuse:/dev/fuse:rx": "rx" is not an access',
    "Write r to read, w to write, m to mknod, each at most once",
    "invalid-device",
  ],
  [
    "--device /dev/fuse:/dev/fuse:rr",
    'Cannot use "--device /dev/fuse:/dev/fuse:rr": "rr" is not an access',
    "Write r to read, w to write, m to mknod, each at most once",
    "invalid-device",
  ],
  [
    "--device /dev/a:/dev/b:r:w",
    'Cannot use "--device /dev/a:/dev/b:r:w": "/dev/a:/dev/b:r:w" is not PATH, PATH:DST or PATH:DST:ACCESS',
    "Write for example --device /dev/fuse or --device /dev/sda:/dev/xvda:r",
    "invalid-device",
  ],
  [
    "--sysctl net.ipv4.ip_forward",
    'Cannot use "--sysctl net.ipv4.ip_forward": "net.ipv4.ip_forward" is not NAME=VALUE',
    "Write for example --sysctl net.ipv4.ip_forward=1",
    "invalid-sysctl",
  ],
  [
    "--sysctl kernel=1",
    'Cannot use "--sysctl kernel=1": "kernel=1" is not NAME=VALUE',
    "Write for example --sysctl net.ipv4.ip_forward=1",
    "invalid-sysctl",
  ],
  [
    "--sysctl ../x.y=1",
    'Cannot use "--sysctl ../x.y=1": "../x.y=1" is not NAME=VALUE',
    "Write for example --sysctl net.ipv4.ip_forward=1",
    "invalid-sysctl",
  ],
  [
    "--sysctl net.a=1 --sysctl net.a=2",
    'Cannot use "--sysctl net.a=2": "net.a" is set twice',
    "Leave one of them out",
    "invalid-sysctl",
  ],
  [
    "--sysctl kernel.hostname=x",
    'Cannot use "--sysctl kernel.hostname=x": it must not be set: the property hostname is there for it',
    "Write --hostname NAME for the host name",
    "invalid-combination",
  ],
  [
    "--network host --sysctl net.ipv4.ip_forward=1",
    'Cannot use "--sysctl net.ipv4.ip_forward=1": it must not be set without a namespace of type "network": it would change the host',
    "Leave out --network host, or set it on the host itself",
    "invalid-combination",
  ],
  [
    "--sysctl vm.swappiness=1",
    'Cannot use "--sysctl vm.swappiness=1": it must belong to a namespace of the container: this one is the host\'s',
    "Set it on the host",
    "invalid-combination",
  ],
  [
    "-v ./data:/proc/x",
    'Cannot use "-v ./data:/proc/x": it must not be inside of /proc: found "/proc/x"',
    "Mount it elsewhere; allowed are /proc/ and one of: cpuinfo diskstats loadavg meminfo slabinfo stat swaps uptime sys/kernel/ns_last_pid sys/crypto/fips_enabled",
    "invalid-combination",
  ],
  [
    "--tmpfs /proc/sys/x",
    'Cannot use "--tmpfs /proc/sys/x": it must not be inside of /proc: found "/proc/sys/x"',
    "Mount it elsewhere; allowed are /proc/ and one of: cpuinfo diskstats loadavg meminfo slabinfo stat swaps uptime sys/kernel/ns_last_pid sys/crypto/fips_enabled",
    "invalid-combination",
  ],
  [
    "--preserve-fds x",
    'Cannot use "--preserve-fds x": "x" is not a number of descriptors',
    "Write a whole number: 1 passes descriptor 3 on",
    "invalid-preserve-fds",
  ],
  [
    "--preserve-fds -1",
    'Cannot use "--preserve-fds -1": "-1" is not a number of descriptors',
    "Write a whole number: 1 passes descriptor 3 on",
    "invalid-preserve-fds",
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
