/**
 * The steps of a plan as chapters: a title, and what a reader who has never
 * seen the inside of a container should know there.
 *
 * @module
 */

import type { Phase } from "../plan.ts";

/** A chapter of an explanation. */
export interface Chapter {
  title: string;
  /** One or two sentences. */
  lesson: string;
}

/** What each step of the order is for. */
export const CHAPTERS: Record<Phase | "cgroup", Chapter> = {
  cgroup: {
    title: "Cgroups, made by the host",
    lesson:
      "A cgroup is a directory that counts, and can limit, what the processes in it use. Limits and device rules are files in it.",
  },
  warden: {
    title: "Somebody who cleans up",
    lesson:
      "The warden outlives a killed rustyrun, and then ends the container and removes what is listed here.",
  },
  sources: {
    title: "What the host lends, opened with the host's eyes",
    lesson:
      "What comes from the host is opened first: later, paths mean the container's files and ids the container's users.",
  },
  stage: {
    title: "What was lent, put where it gets locked",
    lesson:
      "Copied into a mount namespace of another user namespace, a mount keeps what the host has forbidden, and what it hides; nobody in there can undo that.",
  },
  ahead: {
    title: "Namespaces of its own, for the network, host name and queues",
    lesson:
      "In them are other devices and addresses, another name of the machine, other shared memory. They belong to nobody's user namespace but the host's, and so can be made early.",
  },
  cgroupOpen: {
    title: "The container's cgroup",
    lesson: "Held open, for the process to enter it.",
  },
  user: {
    title: "User namespace",
    lesson:
      "In it ids have another meaning: root inside is an ordinary user outside, with every right over the container and none over the host.",
  },
  time: {
    title: "Time namespace",
    lesson: "In it the clocks that count from boot start elsewhere.",
  },
  namespaces: {
    title: "Namespaces that are joined",
    lesson: "A namespace that exists already is shared by joining it.",
  },
  fork: {
    title: "The first process",
    lesson:
      "A namespace is a private view: of mounts (NEWNS), processes (NEWPID), network, host name (NEWUTS), message queues (NEWIPC). The process born here is pid 1 of the container.",
  },
  cgroupJoin: {
    title: "Into the cgroup",
    lesson: "From here on everything that it uses is counted there.",
  },
  session: {
    title: "A session of its own",
    lesson: "Neither the caller's terminal nor the caller's keys come along.",
  },
  network: {
    title: "Network",
    lesson:
      "A new network namespace holds nothing but a loopback interface, and that is down.",
  },
  uts: { title: "Names", lesson: "The uts namespace makes the name private." },
  root: {
    title: "The root file system",
    lesson:
      "The directory becomes a mount of its own. In a new mount namespace nobody but the container sees it.",
  },
  mounts: {
    title: "Mounts",
    lesson:
      "What programs expect beside the image's files. Each mount is made detached and then attached by descriptor, so that no link in the image can lead it astray.",
  },
  devices: {
    title: "Devices",
    lesson:
      "A fresh /dev with the harmless devices only: not the host's disks or terminals.",
  },
  hooks: {
    title: "Hooks",
    lesson: "Programs that config.json wants to run at this moment.",
  },
  console: {
    title: "Terminal and standard streams",
    lesson: "What the command reads from and writes to.",
  },
  pivot: {
    title: "The root becomes /",
    lesson:
      "pivot_root(2) exchanges the roots, and the host's is unmounted: unlike after a chroot there is nothing left to break out to. A container among its caller's mounts gets the chroot.",
  },
  sysctl: {
    title: "Kernel settings",
    lesson: "Those that a namespace has for itself.",
  },
  readonly: {
    title: "What may not be changed",
    lesson: "Files of /proc that would change the host's kernel.",
  },
  masked: {
    title: "What may not be seen",
    lesson:
      "Files that tell of the host are covered: with /dev/null, directories with an empty one.",
  },
  rootReadonly: {
    title: "Read-only at last",
    lesson: "What had to be writable until now.",
  },
  process: {
    title: "The process",
    lesson: "How the kernel treats it among others.",
  },
  privileges: {
    title: "No new privileges",
    lesson: "set-user-ID programs such as su lose their effect.",
  },
  ready: {
    title: "The host's last word",
    lesson:
      "Limits are set from outside, so that a tiny one cannot break this.",
  },
  seccompEarly: {
    title: "System calls",
    lesson:
      "A filter that the kernel asks at every system call; without no_new_privs it has to come before the capabilities go.",
  },
  labels: {
    title: "In the finished root file system",
    lesson:
      "The working directory is entered once more; the profile of a security module, where one is named, is in force from execve on.",
  },
  credentials: {
    title: "User, groups, capabilities",
    lesson:
      "Root's power in parts: a capability that is dropped here is gone for good. First the bounding set, then the ids, then what is left.",
  },
  findExec: {
    title: "The command",
    lesson: "Looked up as the container's user, in the container's files.",
  },
  close: {
    title: "Nothing else stays open",
    lesson: "An open descriptor of the host would be a way out.",
  },
  rest: {
    title: "Waiting",
    lesson: "All is ready, and it is not yet known what will run.",
  },
  gate: {
    title: "The keeper takes over",
    lesson:
      "rustyrun becomes a small program that waits, forwards signals and cleans up; only then the command may start.",
  },
  seccomp: {
    title: "System calls",
    lesson:
      "A filter that the kernel asks at every system call, as late as can be: it has to allow only what comes after it.",
  },
  waitStart: {
    title: "Waiting",
    lesson: "A container that is created runs nothing until start.",
  },
  startHooks: {
    title: "Hooks",
    lesson: "The last programs before the command.",
  },
  exec: {
    title: "Go",
    lesson: "The command takes the place of what has prepared all this.",
  },
};

/** Files of /proc and /sys, and why a container does not get at them. */
export const KERNEL_FILES: Readonly<Record<string, string>> = {
  "/proc/acpi": "it can change the host's power states",
  "/proc/asound": "it shows the host's sound devices",
  "/proc/bus": "it reaches the host's devices",
  "/proc/fs": "it holds settings of the host's file systems",
  "/proc/interrupts": "its counters give away what the host types and sends",
  "/proc/irq": "it moves the host's interrupts between CPUs",
  "/proc/kcore": "it is the memory of the whole machine",
  "/proc/keys": "it lists keys of others",
  "/proc/latency_stats": "it shows what other processes wait for",
  "/proc/sched_debug": "it lists every process of the host",
  "/proc/scsi": "it can remove the host's disks",
  "/proc/sys": "it holds the kernel's settings",
  "/proc/sysrq-trigger": "a letter written to it reboots the host",
  "/proc/timer_list": "it lists every process of the host",
  "/proc/timer_stats": "it lists processes of the host",
  "/sys/devices/system/cpu/cpu*/thermal_throttle":
    "how hot a CPU gets tells what others compute",
  "/sys/devices/virtual/powercap": "power readings give away secrets",
  "/sys/firmware": "it holds the host's firmware tables",
};

/** File systems that the kernel makes, and what a container has of them. */
export const FILE_SYSTEMS: Readonly<Record<string, string>> = {
  cgroup: "the container's usage and limits",
  cgroup2: "the container's usage and limits",
  devpts: "terminals that are not the host's",
  mqueue: "POSIX message queues",
  overlay: "the image below, what is written above",
  proc: "the processes of this pid namespace only",
  sysfs: "the kernel's devices, and this network namespace's",
  tmpfs: "it lives in memory and starts empty",
};

/** Device numbers that every container knows, as device rules name them. */
export const KNOWN_DEVICES: Readonly<Record<string, string>> = {
  "c 1:3": "/dev/null",
  "c 1:5": "/dev/zero",
  "c 1:7": "/dev/full",
  "c 1:8": "/dev/random",
  "c 1:9": "/dev/urandom",
  "c 5:0": "/dev/tty",
  "c 5:1": "/dev/console",
  "c 5:2": "/dev/ptmx",
  "c 10:200": "/dev/net/tun",
  "c 10:229": "/dev/fuse",
  "c 136:*": "the terminals of /dev/pts",
};
