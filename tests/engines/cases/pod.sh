# A pod as a kubelet and a CRI runtime make it, by the OCI commands alone: a pause
# container, two that join its namespaces, cgroups in the pod's own.
# shellcheck shell=bash
export POD=kubepods-burstable-podu1.slice
# Where a container's cgroup is, as it is asked for, and from the mount on.
asked() { if [ "$MANAGER" = systemd ]; then echo "$POD:cri-containerd:$1"; else echo "/$ROOM/kubepods/podu1/$1"; fi; }
made() { if [ "$MANAGER" = systemd ]; then echo "kubepods.slice/kubepods-burstable.slice/$POD/cri-containerd-$1.scope"; else asked "$1"; fi; }
limit() { cat "/sys/fs/cgroup/$(made "$1")/memory.max" 2>/dev/null || cat "/sys/fs/cgroup/memory$(made "$1")/memory.limit_in_bytes"; }
oci() { "$RUNTIME" --root "$SCRATCH/state" $DRIVER "$@"; }
create() { oci create --bundle "$SCRATCH/$1" --pid-file "$SCRATCH/$1.pid" "$1" </dev/null >"$SCRATCH/$1.log" 2>&1 || cat "$SCRATCH/$1.log"; }
status() { oci state "$1" | jq -r .status; }
# The namespaces of a container that are those of another.
shares() { for it in ipc mnt net pid uts cgroup; do [ "$(readlink "/proc/$(cat "$SCRATCH/$1.pid")/ns/$it")" != "$(readlink "/proc/$(cat "$SCRATCH/$2.pid")/ns/$it")" ] || echo $it; done; }
# A container's bundle: its name, its command, what its config.json is put through.
bundle() {
  mkdir -p "$SCRATCH/$1"
  jq -n --arg root "$BUSYBOX" --arg cgroup "$(asked "$1")" --arg command "$2" '{
    ociVersion: "1.0.2-dev", hostname: "pod",
    root: { path: $root, readonly: true },
    process: { user: { uid: 0, gid: 0 }, cwd: "/", args: ["sh", "-c", $command], env: ["PATH=/bin:/sbin"], noNewPrivileges: true,
      oomScoreAdj: 900, capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] } },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev/shm", type: "bind", source: "SHM", options: ["rbind", "ro"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "ro"] } ],
    linux: { cgroupsPath: $cgroup, maskedPaths: ["/proc/kcore"], readonlyPaths: ["/proc/sys"],
      resources: { devices: [{ allow: false, access: "rwm" }], memory: { limit: 50331648 }, cpu: { shares: 512, quota: 50000, period: 100000 }, pids: { limit: 100 } },
      namespaces: [{ type: "mount" }, { type: "cgroup" }] } }' |
    jq --arg shm "$SCRATCH/shm" '(.mounts[] | select(.source == "SHM")).source = $shm' | jq "$3" >"$SCRATCH/$1/config.json"
}
joining() { echo ".hostname = null | .linux.namespaces += [\"ipc\", \"uts\", \"network\", \"pid\" | { type: ., path: \"/proc/$(cat "$SCRATCH/pause.pid")/ns/\(if . == \"network\" then \"net\" else . end)\" }]"; }

if [ "$MANAGER" = systemd ]; then export DRIVER=--systemd-cgroup; else export DRIVER=; fi
export MANAGER ROOM=${ROOM:-rrpod}
[ "${1:-}" != functions ] || return 0

mkdir -p "$SCRATCH/shm"
mount -t tmpfs -o size=1m shm "$SCRATCH/shm"
script 'the pause container' 'bundle pause "trap : TERM; while :; do sleep 1000 & wait \$!; done" ".process.oomScoreAdj = 100 | .linux.resources = { cpu: { shares: 2 }, devices: [{ allow: false, access: \"rwm\" }] } | .linux.namespaces += [\"ipc\", \"uts\", \"network\", \"pid\" | { type: . }] | .linux.sysctl = { \"net.ipv4.ip_unprivileged_port_start\": \"0\" }"
create pause; status pause; oci start pause; status pause'
[ "$MANAGER" != systemd ] || script 'the slice has a limit' 'systemctl set-property --runtime $POD MemoryMax=96M; cat /sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/$POD/memory.max'
for it in a b; do
  script "container $it" "it=$it"'; bundle $it "trap \"exit 3\" TERM; echo up $it; while :; do sleep 1; done" "$(joining)"; create $it; status $it; oci start $it; status $it; await grep -q up $SCRATCH/$it.log; cat $SCRATCH/$it.log; echo "shares: $(shares $it pause | xargs)"; limit $it'
done
script 'the pod seen inside' 'oci exec a sh -c "hostname; ps -o args | grep -c \"echo [u]p\"; cat /proc/self/oom_score_adj; grep CapEff /proc/self/status; ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls -l /dev/shm"'
script 'exec' 'oci exec b sh -c "cat /proc/self/cgroup; exit 4"; echo $?; oci exec --cap CAP_KILL a sh -c "kill -0 1 && echo may"'
script 'what the pod shares' 'echo said >$SCRATCH/shm/f; oci exec a cat /dev/shm/f; (oci exec a nc -l -p 80 </dev/null >$SCRATCH/heard &) ; await oci exec b sh -c "echo hello | nc 127.0.0.1 80"; await grep hello $SCRATCH/heard; cat $SCRATCH/heard'
[ "$MANAGER" != systemd ] || script 'the scopes' 'for it in pause a b; do for key in Slice Delegate MemoryMax TasksMax DevicePolicy ActiveState; do systemctl show cri-containerd-$it.scope -p $key; done; done'
script 'update' 'oci update --memory 67108864 a; limit a; limit b; echo "{ \"memory\": { \"limit\": 41943040 }, \"cpu\": { \"quota\": 20000 } }" | oci update -r - b; limit b'
# v1 has one limit for both.
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || script 'update: the swap stays' 'swap() { cat "/sys/fs/cgroup/$(made b)/memory.max" "/sys/fs/cgroup/$(made b)/memory.swap.max"; }; update() { echo "{ \"memory\": $1 }" | oci update -r - b; swap; }
update "{ \"limit\": 50331648, \"swap\": 100663296 }"; update "{ \"limit\": 1073741824 }"; update "{ \"limit\": 41943040 }"; update "{ \"limit\": 50331648, \"swap\": -1 }"; update "{ \"limit\": 41943040 }"'
script 'one is restarted' 'oci kill b TERM; await prints stopped status b; status b; oci delete b; [ ! -e /sys/fs/cgroup/$(made b) ] || echo left; create b; oci start b; status b; status a; status pause; oci list -q | sort'
script 'an end of its memory' 'oci exec a sh -c "tail /dev/zero"; echo $?; status a; status b'
script 'events' 'oci events --stats b | jq -r .type'
script 'pause' 'oci pause a; status a; status b; oci resume a; status a'
script 'the pod goes with its pause container' 'oci kill pause KILL; for it in pause a b; do await prints stopped status $it; status $it; done; for it in a b pause; do oci delete $it; echo $?; done; oci list -q'
script 'left behind' 'ls $SCRATCH/state; find /sys/fs/cgroup -name "cri-containerd-*.scope"; [ "$MANAGER" = systemd ] || find /sys/fs/cgroup -path "*/$ROOM/kubepods/podu1/*" -type d 2>/dev/null; ps -eo args | grep -e "^[^ ]*rustyrun-" | grep -v -e front; true'
umount "$SCRATCH/shm"
if [ "$MANAGER" = systemd ]; then systemctl stop "$POD"; else find /sys/fs/cgroup -depth -type d -path "*/$ROOM*" -exec rmdir {} + 2>/dev/null; fi
