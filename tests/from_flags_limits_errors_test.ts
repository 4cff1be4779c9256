/**
 * Flags of run that are refused: limits, rights, devices, sysctls.
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
