/**
 * run from flags: what the command sees of each.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Box, type CliOptions, makeBox } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];

const USER: Need[] = ["user", "userns", "helper", "busybox"];

/** One container: flags, a shell script, what it prints. */
interface Row {
  name: string;
  /** Before the run: prepares files, gives the flags. */
  flags: (box: Box) => string[];
  script: string;
  stdout: string;
  code?: number;
  /** Also as a user with one id. */
  user?: boolean;
  options?: CliOptions;
}

/** Gives the root file system to the ids that root of the container has. */
function mapRoot({ rootfs }: Box, flags: string[]): string[] {
  new Deno.Command("chown", { args: ["-hR", "100000:100000", rootfs] })
    .outputSync();
  return ["--userns", "0:100000:65536", ...flags];
}

const ROWS: Row[] = [
  {
    name: "-w is the working directory",
    flags: () => ["-w", "/var"],
    script: "pwd; readlink /proc/self/cwd",
    stdout: "/var\n/var\n",
    user: true,
  },
  {
    name: "no container has the terminals of the whole machine",
    flags: () => [],
    script: "grep -o 'devpts .*max=[0-9]*' /proc/mounts | grep -o 'max=.*'",
    stdout: "max=1024\n",
    user: true,
  },
  {
    name: "-w makes a directory that is not there, as docker does",
    flags: () => ["-w", "/var/new/dir"],
    script: "pwd; stat -c '%u %a' .",
    stdout: "/var/new/dir\n0 755\n",
  },
  {
    name: "-u takes numbers, and adds no group of the image's",
    flags: () => ["-u", "1000"],
    script: "id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status",
    stdout: "1000\n0\n0\n/\nCapEff:\t0000000000000000\n",
  },
  {
    name: "-u takes a number of a user and of a group that the image lacks",
    flags: () => ["-u", "4242:4343"],
    script: "id -u; id -g; id -G; echo $HOME",
    stdout: "4242\n4343\n4343\n/\n",
  },
  {
    name: "-u takes a name of the image's passwd, with its groups",
    flags: () => ["-u", "app"],
    script: "id -u; id -g; id -G; echo $HOME",
    stdout: "1000\n1000\n1000 50\n/\n",
  },
  {
    name: "-u takes names of a user and of a group",
    flags: () => ["-u", "app:staff"],
    script: "id -u; id -g; id -G",
    stdout: "1000\n50\n50\n",
  },
  {
    name: "-e sets, replaces and passes variables",
    flags: () => ["-e", "A=1", "-e", "PATH=/bin", "-e", "MINE", "-e", "NONE"],
    script: "env | sort",
    options: { env: { MINE: "yes" } },
    stdout:
      "A=1\nHOME=/root\nHOSTNAME=rustyrun-container\nMINE=yes\nPATH=/bin\nPWD=/\nSHLVL=1\n",
    user: true,
  },
  {
    name: "-e HOME wins over the image's",
    flags: () => ["-e", "HOME=/tmp/x"],
    script: "echo $HOME",
    stdout: "/tmp/x\n",
  },
  {
    name: "--env-file reads a file",
    flags: (box) => {
      Deno.writeTextFileSync(
        `${box.rootfs}/env`,
        "# words\nA=1 2\n\nB=\nMINE\n",
      );
      return ["--env-file", `${box.rootfs}/env`];
    },
    script: 'echo "$A|${B-unset}|$MINE"',
    options: { env: { MINE: "yes" } },
    stdout: "1 2||yes\n",
    user: true,
  },
  {
    name: "--ulimit sets soft and hard limits",
    flags: () => ["--ulimit", "nofile=64:128", "--ulimit", "core=0"],
    script: "ulimit -Sn; ulimit -Hn; ulimit -c",
    stdout: "64\n128\n0\n",
    user: true,
  },
  {
    name: "--ulimit takes limits that would break the set-up itself",
    flags: () => ["--ulimit", "nofile=3", "--ulimit", "fsize=0"],
    script: "ulimit -n; ulimit -f",
    stdout: "3\n0\n",
    user: true,
  },
  {
    name: "--sysctl sets parameters of the container's namespaces",
    flags: () => [
      "--sysctl",
      "net.ipv4.ip_forward=1",
      "--sysctl",
      "kernel.msgmax=4321",
    ],
    script: "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
    stdout: "1\n4321\n",
  },
  {
    name: "--tmpfs is empty, in memory, with docker's options",
    flags: () => ["--tmpfs", "/var/x:size=1m,mode=1700"],
    script:
      "stat -c %a /var/x; grep ' /var/x ' /proc/mounts | cut -d' ' -f3,4 | cut -d, -f1-6; ls -A /var/x",
    stdout: "1700\ntmpfs rw,nosuid,nodev,noexec,relatime,size=1024k\n",
  },
  {
    name: "--tmpfs takes exec",
    flags: () => ["--tmpfs", "/var/x:exec"],
    script: "cp /bin/busybox /var/x/echo; /var/x/echo run",
    stdout: "run\n",
    user: true,
  },
  {
    name: "-v shows a directory that can be written",
    flags: (box) => {
      Deno.mkdirSync(`${box.rootfs}/src`);
      Deno.chmodSync(`${box.rootfs}/src`, 0o777);
      return ["-v", `${box.rootfs}/src:/dst`];
    },
    script: "echo new >/dst/file; cat /src/file",
    stdout: "new\n",
    user: true,
  },
  {
    name: "-v SRC:DST:ro cannot be written",
    flags: (box) => {
      Deno.mkdirSync(`${box.rootfs}/src`);
      return ["-v", `${box.rootfs}/src:/dst:ro`];
    },
    script: "touch /dst/file 2>&1; ls -A /src",
    stdout: "touch: /dst/file: Read-only file system\n",
    user: true,
  },
  {
    name: "-v of a file over a file of the image",
    flags: (box) => {
      Deno.writeTextFileSync(`${box.rootfs}/src`, "mine\n");
      return ["-v", `${box.rootfs}/src:/etc/group`];
    },
    script: "cat /etc/group",
    stdout: "mine\n",
    user: true,
  },
  {
    name: "-v of a path in the current directory",
    flags: (box) => {
      Deno.mkdirSync(`${box.rootfs}/src/a`, { recursive: true });
      return ["-v", "./a:/dst"];
    },
    options: { cwd: "src" },
    script: "touch /dst/x; ls /src/a",
    stdout: "x\n",
  },
  {
    name: "-v is private unless told",
    flags: (box) => {
      Deno.mkdirSync(`${box.rootfs}/src`);
      return ["-v", `${box.rootfs}/src:/dst`];
    },
    script: "grep ' /dst ' /proc/self/mountinfo | grep -cE 'shared|master'",
    stdout: "0\n",
    code: 1,
  },
  {
    name: "--mount shows a directory in words",
    flags: (box) => {
      Deno.mkdirSync(`${box.rootfs}/src`);
      return ["--mount", `type=bind,src=${box.rootfs}/src,dst=/d:1,readonly`];
    },
    script: "touch /d:1/file 2>&1",
    stdout: "touch: /d:1/file: Read-only file system\n",
    code: 1,
    user: true,
  },
  {
    name: "--mount type=tmpfs is a tmpfs",
    flags: () => ["--mount", "type=tmpfs,dst=/var/x,tmpfs-size=2m"],
    script: "df -k /var/x | tail -n 1 | tr -s ' ' | cut -d' ' -f1,2",
    stdout: "tmpfs 2048\n",
  },
  {
    name: "--read-only leaves the root file system as it is",
    flags: () => ["--read-only", "--tmpfs", "/tmp"],
    script:
      "touch /x 2>&1; touch /etc/x 2>&1; touch /tmp/x /dev/shm/x && echo yes",
    stdout:
      "touch: /x: Read-only file system\ntouch: /etc/x: Read-only file system\nyes\n",
    user: true,
  },
  {
    name: "devices that nobody asked for cannot be made to work",
    flags: () => [],
    script: "mknod /tmp/k c 1 11 && (: </tmp/k) 2>&1",
    stdout: "sh: can't open /tmp/k: Operation not permitted\n",
    code: 1,
  },
  {
    name: "--cap-add adds one to the fourteen",
    flags: () => ["--cap-add", "SYS_TIME"],
    script: "grep -E 'Cap(Eff|Bnd)' /proc/self/status",
    stdout: "CapEff:\t00000000aa0425fb\nCapBnd:\t00000000aa0425fb\n",
    user: true,
  },
  {
    name: "--cap-drop takes one of the fourteen",
    flags: () => ["--cap-drop", "cap_net_raw"],
    script: "grep -E 'Cap(Eff|Bnd)' /proc/self/status",
    stdout: "CapEff:\t00000000a80405fb\nCapBnd:\t00000000a80405fb\n",
    user: true,
  },
  {
    name: "--cap-drop ALL --cap-add leaves the one",
    flags: () => ["--cap-drop", "ALL", "--cap-add", "CHOWN"],
    script: "grep -E 'Cap(Prm|Bnd)' /proc/self/status",
    stdout: "CapPrm:\t0000000000000001\nCapBnd:\t0000000000000001\n",
    user: true,
  },
  {
    name: "seccomp refuses a new user namespace",
    flags: () => [],
    script: "unshare -U true 2>&1",
    stdout: "unshare: unshare(0x10000000): Operation not permitted\n",
    code: 1,
    user: true,
  },
  {
    name: "--cap-add SYS_ADMIN lets mount(2) through the filter",
    flags: () => ["--cap-add", "SYS_ADMIN"],
    script: "mount -t tmpfs none /tmp && touch /tmp/x && ls /tmp",
    stdout: "x\n",
    user: true,
  },
  {
    name: "--security-opt seccomp=unconfined has no filter",
    flags: () => ["--security-opt", "seccomp=unconfined"],
    script: "grep Seccomp: /proc/self/status; unshare -U true && echo yes",
    stdout: "Seccomp:\t0\nyes\n",
    user: true,
  },
  {
    name: "--security-opt seccomp=FILE takes docker's format",
    flags: (box) => {
      Deno.writeTextFileSync(
        `${box.rootfs}/profile`,
        JSON.stringify({
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{
            names: ["mkdir", "mkdirat"],
            action: "SCMP_ACT_ERRNO",
            errnoRet: 11,
          }],
        }),
      );
      return ["--security-opt", `seccomp=${box.rootfs}/profile`];
    },
    script: "mkdir /tmp/x 2>&1",
    stdout:
      "mkdir: can't create directory '/tmp/x': Resource temporarily unavailable\n",
    code: 1,
    user: true,
  },
  {
    name: "--security-opt no-new-privileges=false leaves set-user-id to work",
    flags: () => ["--security-opt", "no-new-privileges=false", "-u", "1000"],
    script:
      "grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status",
    stdout: "NoNewPrivs:\t0\nSeccomp:\t2\n",
  },
  {
    name: "--security-opt systempaths=unconfined hides nothing",
    flags: () => ["--security-opt", "systempaths=unconfined"],
    script: "grep -c ' /proc/' /proc/mounts",
    stdout: "0\n",
    code: 1,
  },
  {
    name: "--userns C:H:N maps those ids",
    flags: (box) => mapRoot(box, []),
    script: "id -u; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '",
    stdout: "0\n 0 100000 65536\n 0 100000 65536\n",
  },
  {
    name: "--userns C:H:N applies limits as well",
    flags: (box) => mapRoot(box, ["--pids-limit", "30"]),
    script:
      "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null",
    stdout: "30\n",
    code: 1,
  },
  {
    name: "--userns host as root has no user namespace",
    flags: () => ["--userns", "host"],
    script: "cat /proc/self/uid_map | tr -s ' '",
    stdout: " 0 0 4294967295\n",
  },
  {
    name: "a dangling /etc/resolv.conf of the image is no obstacle",
    flags: (box) => {
      Deno.symlinkSync(
        "../run/none/stub.conf",
        `${box.rootfs}/etc/resolv.conf`,
      );
      return ["--network", "host"];
    },
    script: "cat /etc/resolv.conf | cmp - /host && echo same",
    stdout: "same\n",
  },
  {
    name: "--init runs the command as its child",
    flags: () => ["--init"],
    script: "echo $$; cat /proc/1/comm",
    stdout: "2\nrustyrun-init\n",
    user: true,
  },
];

for (const row of ROWS) {
  for (const user of row.user ? [false, true] : [false]) {
    testOn(
      user ? USER : ROOT,
      `run ${row.name}, as ${user ? "a user" : "root"}`,
      async () => {
        await using box = makeBox({ user });
        const args = row.flags(box);
        if (row.script.includes("/host")) {
          Deno.copyFileSync("/etc/resolv.conf", `${box.rootfs}/host`);
        }
        const options = row.options ?? {};
        const got = await box.run([...args, "--", "sh", "-c", row.script], {
          ...options,
          ...(options.cwd ? { cwd: `${box.rootfs}/${options.cwd}` } : {}),
        });
        assertEquals(
          [got.stdout, got.code],
          [row.stdout, row.code ?? 0],
          got.stderr,
        );
        assertEquals(got.stderr, "");
      },
    );
  }
}
