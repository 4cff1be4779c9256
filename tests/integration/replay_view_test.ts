/**
 * A replayed container beside the ordinary one of the same command line: what
 * its process sees of itself, what its cgroups and its state hold, what its
 * keeper is.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { takeSnapshot } from "../harness.ts";
import { waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";
import {
  type Image,
  type ReplayRoom,
  type RoomOptions,
  testInRoom,
} from "./replay_room.ts";

/** Prints all that a process can know of itself, then waits for the end of
 * stdin. */
const SCRIPT = `
show() { echo; echo "## $*"; "$@" 2>&1; }
show cat /proc/$$/mountinfo
show cat /proc/$$/status
show cat /proc/$$/limits
show cat /proc/$$/cgroup
show cat /proc/$$/stat
show cat /proc/$$/oom_score_adj
show cat /proc/$$/attr/current
show cat /proc/$$/personality
show cat /proc/$$/timerslack_ns
show cat /proc/$$/coredump_filter
show cat /proc/$$/sched
show cat /proc/$$/cmdline
show cat /proc/1/cmdline
show cat /proc/keys
show sed s/:.*// /proc/net/dev
show cat /proc/sys/net/ipv4/ip_unprivileged_port_start
show cat /etc/hosts
show ls -l /proc/$$/ns
show ls -l /proc/$$/fd
show ls -lR /dev
show ls -la /
show env
show hostname
show id
show pwd
show umask
show tty
show touch /new
rm -f /new
show mknod /tmp/node c 1 7
rm -f /tmp/node
show mount -t tmpfs none /tmp
show unshare -U true
show dd if=/dev/kmsg count=0
echo ready
cat >/dev/null
`;

/** What of a status says how a process is set up. */
const STATUS =
  /^(?:Umask|Uid|Gid|Groups|NoNewPrivs|Threads|NS\w+|Sig(?!Q|Pnd)\w+|Cap\w+|Seccomp\w*|Spec\w*|Cpus_allowed|Mems_allowed|Pid|PPid|TracerPid|CoreDumping|THP_enabled)\w*:/;

/** Takes out what is another's in each start: ids of mounts and of anonymous
 * devices, of pipes and sockets, times. */
function normalize(text: string, id: string): string {
  const own = new Map(
    [...Deno.readDirSync("/proc/self/ns")].map(({ name }) => [
      Deno.readLinkSync(`/proc/self/ns/${name}`),
      "host's",
    ]),
  );
  let section = "";
  return text.split("\n").flatMap((line) => {
    if (line.startsWith("## ")) section = line;
    else if (section.endsWith("mountinfo")) {
      return [
        line.replace(/^\d+ \d+ \d+:\d+ /, "").replace(/:\d+ - /, ":N - "),
      ];
    } else if (section.endsWith("status")) {
      return STATUS.test(line) ? [line] : [];
    } else if (section.endsWith("stat")) {
      // Of proc_pid_stat(5): pid to tpgid but for the state of this moment,
      // priority to num_threads.
      const fields = line.split(" ");
      return fields.filter((_, i) => i < 8 && i !== 2 || i > 16 && i < 20)
        .join(" ");
    } else if (section.endsWith("sched")) {
      return /^(?:policy|prio)\b/.test(line) ? [line] : [];
    } else if (section.endsWith("/proc/net/dev")) {
      // Other tests make devices in the host's namespace, and remove them.
      return line === "" || line.includes("|") || line.trim() === "lo"
        ? [line]
        : [];
    } else if (section.includes("ls ") && /^total \d/.test(line)) {
      // Blocks, which a file system may take now and give back later.
      return [];
    } else if (section.endsWith("keys")) {
      // Not its number, nor the caller's other keys.
      return line.includes(`_ses.${id}`)
        ? line.replace(/^\w+ \S+ +\d+ /, "")
        : [];
    }
    return [
      line.replace(/\b(\w+):\[\d+\]/, (it) => own.get(it) ?? "its own")
        .replace(/\w{3} +\d+ \d\d:\d\d /, "")
        // As many links as there are processes.
        .replace(/^(dr-xr-xr-x) +\d+( .* proc$)/, "$1$2"),
    ];
  }).join("\n");
}

/** The settings of every cgroup with this word in its path. */
function readCgroups(word: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const dir of takeSnapshot().cgroups) {
    if (!dir.includes(word)) continue;
    for (const { name, isFile } of Deno.readDirSync(dir)) {
      const counts =
        /usage|stat|procs|tasks|threads|events|current|peak|control$|pressure|numa|force|slabinfo|kill|reset|failcnt|io_service/;
      if (!isFile || counts.test(name)) continue;
      try {
        found[`${dir}/${name}`] = Deno.readTextFileSync(`${dir}/${name}`);
      } catch {
        // For writing alone, or nothing that this kernel can do.
      }
    }
  }
  return found;
}

/** The files of a state, without what no two have in common. */
function readState(dir: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { name } of Deno.readDirSync(dir)) {
    const text = Deno.readTextFileSync(`${dir}/${name}`);
    const { mode, uid, gid } = Deno.statSync(`${dir}/${name}`);
    found[`mode of ${name}`] = [mode, uid, gid];
    found[name] = text;
    if (name !== "state.json") continue;
    const { pid, startTime, created, ...state } = JSON.parse(text);
    found[name] = {
      ...state,
      pid: typeof pid,
      startTime: /^\d+$/.test(startTime),
      created: /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/.test(created),
    };
  }
  return found;
}

/** What can be seen of a process from outside, once it knows that its container
 * runs: it has closed its end of the channel then, and has one socket left. */
async function readKeeper(pid: number) {
  const links = () =>
    [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
      Deno.readLinkSync(`/proc/${pid}/fd/${name}`)
    );
  const seen = await waitFor(
    links,
    (them) => them.filter((it) => it.startsWith("socket:")).length < 2,
  );
  const fds = seen.map((it) => it.replace(/\d+/g, "N")).sort();
  const text = (name: string) => Deno.readTextFileSync(`/proc/${pid}/${name}`);
  const status = text("status").split("\n")
    .filter((it) => STATUS.test(it) && !/^(?:NS|P?Pid)/.test(it));
  return { comm: text("comm"), status, fds, adj: text("oom_score_adj") };
}

async function watch(
  room: ReplayRoom,
  image: Image,
  words: readonly string[],
  options: RoomOptions,
) {
  const before = room.count();
  const running = room.start(words, { ...options, stdin: "" });
  await running.waitFor("ready\n");
  const keeper = await readKeeper(running.pid);
  const state = readState(`${room.states}/${image.id}`);
  const cgroups = readCgroups(image.id);
  await running.closeStdin();
  const { code, signal, stdout, stderr } = await running.done;
  const payload = normalize(stdout, image.id).split("\n");
  const seen = { end: [code, signal, stderr], payload, state, cgroups, keeper };
  // A container without a bundle has cgroups of a random name.
  const random = new RegExp(`${image.id}-[0-9a-f]{8}`, "g");
  return {
    ordinary: room.count() - before,
    seen: JSON.parse(JSON.stringify(seen).replace(random, image.id)),
  };
}

/** What dockerd 20 writes for `docker run`, for this image. */
function makeDockerSpec({ bundle, id }: Image): Spec {
  const path = `${import.meta.dirname}/../testdata/config/docker_run.json`;
  const spec: Spec = JSON.parse(Deno.readTextFileSync(path));
  for (const mount of spec["mounts"]) {
    if (mount.type !== "bind") continue;
    mount.source = `${bundle}/${mount.source.split("/").at(-1)}`;
    Deno.writeTextFileSync(mount.source, "127.0.0.1 localhost\n");
  }
  delete spec["hooks"];
  return {
    ...spec,
    root: { path: "rootfs" },
    process: {
      ...spec["process"],
      args: ["sh", "/script"],
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 100, hard: 200 }],
      oomScoreAdj: 900,
    },
    annotations: { "org.example.key": "value" },
    linux: {
      ...spec["linux"],
      cgroupsPath: `/${id}`,
      resources: {
        ...spec["linux"].resources,
        memory: { limit: 64 << 20, swappiness: 10 },
        pids: { limit: 50 },
        cpu: { quota: 50000, period: 100000, shares: 512, cpus: "0" },
      },
    },
  };
}

const LIMITS: [string, RegExp, string][] = [
  ["memory", /memory\.(limit_in_bytes|max)$/, `${64 << 20}`],
  ["pids", /pids\.max$/, "50"],
  ["cpu", /cpu\.(cfs_quota_us|max)$/, "50000"],
];

/** Each setting is that of a file: on v2 its first word. */
function checkLimits(cgroups: Record<string, string>): void {
  for (const [name, file, value] of LIMITS) {
    const path = Object.keys(cgroups).find((it) => file.test(it));
    assertEquals([name, cgroups[path!]?.trim().split(" ")[0]], [name, value]);
  }
}

const ROWS: [
  string,
  (image: Image) => string[],
  limits?: boolean,
  options?: RoomOptions,
][] = [
  ["a plain bundle", (image) => image.words()],
  ["dockerd's configuration", (image) => {
    const spec = JSON.stringify(makeDockerSpec(image));
    Deno.writeTextFileSync(`${image.bundle}/config.json`, spec);
    return image.words();
  }, true],
  ["a root file system", ({ rootfs, id }) => {
    const words = ["run", "-i", "--rootfs", rootfs, "--name", id];
    return [...words, "sh", "/script"];
  }],
  ["every kind of flag", ({ rootfs, bundle, id }) => {
    const flags = `--memory 64m --pids-limit 50 --cpus 0.5 --cpu-shares 200
      --cpuset-cpus 0 -w /tmp -e A=b --hostname box --ulimit nofile=50:60
      --ulimit core=0 --cap-drop ALL --cap-add CHOWN --read-only --tmpfs /tmp
      -v ${bundle}:/var:ro --sysctl net.ipv4.ip_unprivileged_port_start=0
      --device /dev/fuse --security-opt no-new-privileges=true -u app`;
    const words = flags.trim().split(/\s+/).filter((it, i, all) =>
      hasFuse || it !== "/dev/fuse" && all[i + 1] !== "/dev/fuse"
    );
    return ["run", "-i", ...words, "-r", rootfs, "--name", id, "sh", "/script"];
  }, true],
  ["--init, the host's network and no filter", ({ rootfs, id }) => {
    const words = ["run", "-i", "--init", "--network", "host", "--rootfs"];
    words.push(rootfs, "--security-opt", "seccomp=unconfined", "--name", id);
    return [...words, "sh", "/script"];
  }],
  ["a caller with settings of its own", (image) => image.words(), false, {
    first: `umask 027; ulimit -S -c 7; ulimit -n 900; trap "" USR1;
      exec 5</dev/null; cd /tmp`,
    env: { A: "b", LC_ALL: "C" },
  }],
];

const hasFuse = (() => {
  try {
    return Deno.statSync("/dev/fuse").isCharDevice;
  } catch {
    return false;
  }
})();

for (const [name, prepare, limits, options = {}] of ROWS) {
  testInRoom(
    `a replayed container is as the ordinary one, of ${name}`,
    async (room, image) => {
      image.script(SCRIPT);
      const words = prepare(image);
      const first = await watch(room, image, words, options);
      const second = await watch(room, image, words, options);
      const third = await watch(room, image, words, options);
      assertEquals(first.seen.end, [0, null, ""]);
      assertEquals(
        [first.ordinary, second.ordinary, third.ordinary],
        [1, 1, 0],
      );
      assertEquals(second.seen, first.seen);
      assertEquals(third.seen, first.seen);
      if (limits) checkLimits(third.seen.cgroups);
    },
  );
}
