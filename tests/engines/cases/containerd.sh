# containerd by ctr, with the runc shim's systemd option; and by a CRI client,
# where there is one (CRICTL).
# shellcheck shell=bash
export CONTAINERD=$SCRATCH/containerd.sock NS=rr
export FLAGS="--runc-binary=$RUNTIME --runc-systemd-cgroup"

ctr() { command ctr -a "$CONTAINERD" -n $NS "$@"; }
slice() { echo "--cgroup=rrctr.slice:cri:$1"; }
once() { ctr run --rm $FLAGS "$(slice "$1")" docker.io/localhost/busybox:latest "$@"; }
state() { ctr task ls | awk -v id="$1" '$1 == id { print $3 }'; }
crictl() { "$CRICTL" -t 240s -r "unix://$CONTAINERD" "$@" 2> >(grep -v -e level=warning -e validate >&2); }

[ "${1:-}" != functions ] || return 0

cat >"$SCRATCH/containerd.toml" <<TOML
version = 2
root = "/var/tmp/rr-containerd"
state = "/run/rr-containerd"
[grpc]
address = "$CONTAINERD"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/localhost/pause:latest"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "under-test"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.under-test]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.under-test.options]
BinaryName = "$RUNTIME"
SystemdCgroup = true
TOML
systemd-run -q --unit=rr-containerd -p KillMode=process -p Delegate=yes containerd --config "$SCRATCH/containerd.toml"
await ctr version
if [ ! -e "$SCRATCH/../rr-image.tar" ]; then
  tar -C "$BUSYBOX" -c . | podman import -q -c 'ENV PATH=/bin' -c 'CMD ["sh", "-c", "trap : TERM; while :; do sleep 1000 & wait $!; done"]' - localhost/pause >/dev/null
  podman image save -q --format docker-archive -o "$SCRATCH/../rr-image.tar" localhost/busybox:latest
  podman image save -q --format docker-archive -o "$SCRATCH/../rr-pause.tar" localhost/pause:latest
fi
for NS in rr k8s.io; do
  for it in image pause; do ctr image import "$SCRATCH/../rr-$it.tar" >/dev/null; done
  for it in busybox pause; do ctr image tag "localhost/$it:latest" "docker.io/localhost/$it:latest" >/dev/null; done
done
NS=rr

tell 'run: output and code' once one sh -c 'echo out; echo err >&2; exit 7'
tell 'run: a command that is not there' once two nonesuch
tell 'run: a wrong cgroup path' ctr run --rm $FLAGS --cgroup=/plain docker.io/localhost/busybox:latest wrong true
tell 'run: no cgroup path' ctr run --rm $FLAGS docker.io/localhost/busybox:latest wrong true
tell 'run -t' typed ctr -a "$CONTAINERD" -n rr run --rm -t $FLAGS "$(slice four)" --env 'PS1=# ' docker.io/localhost/busybox:latest four sh
script 'run -d' 'ctr run -d $FLAGS $(slice long) --memory-limit=50331648 docker.io/localhost/busybox:latest long sh -c "trap \"exit 3\" TERM; touch /set; while :; do sleep 1; done"; for it in Slice MemoryMax DevicePolicy ActiveState; do systemctl show cri-long.scope -p $it; done; cat /sys/fs/cgroup/rrctr.slice/cri-long.scope/memory.max'
script 'exec' 'await ctr task exec --exec-id e0 long test -e /set; ctr task exec --exec-id e1 long sh -c "cat /proc/self/cgroup; sleep 2; exit 4"; echo $?; ctr task exec --exec-id e2 long nonesuch'
tell 'exec -t' typed ctr -a "$CONTAINERD" -n rr task exec -t --exec-id e3 long sh
script 'pause' 'ctr task pause long; state long; ctr task resume long; state long'
script 'metrics' 'ctr task metrics long | grep -e memory.usage_limit -e pids.limit'
script 'ps' 'ctr task ps long | grep -c ^[0-9]'
script 'kill' 'ctr task kill -s TERM long; await prints STOPPED state long; ctr task rm long; echo $?; ctr container rm long; systemctl is-active cri-long.scope'
if [ -n "${CRICTL:-}" ]; then
  mkdir -p "$SCRATCH/cri"
  cat >"$SCRATCH/cri/pod.json" <<JSON
{ "metadata": { "name": "pod", "namespace": "default", "uid": "u1", "attempt": 1 }, "log_directory": "$SCRATCH/cri",
  "linux": { "cgroup_parent": "kubepods-burstable-podu1.slice", "security_context": { "namespace_options": { "network": 2, "pid": 0 } } } }
JSON
  for it in a b; do
    cat >"$SCRATCH/cri/$it.json" <<JSON
{ "metadata": { "name": "$it" }, "image": { "image": "docker.io/localhost/busybox:latest" }, "log_path": "$it.log",
  "command": ["sh", "-c", "trap 'exit 3' TERM; echo up $it; while :; do sleep 1; done"],
  "linux": { "resources": { "memory_limit_in_bytes": 50331648, "cpu_quota": 50000, "cpu_period": 100000, "oom_score_adj": 900 } } }
JSON
  done
  script 'CRI: a pod with two containers' 'cd $SCRATCH/cri; pod=$(crictl runp pod.json) || exit; for it in a b; do id=$(crictl create $pod $it.json pod.json); crictl start $id >/dev/null; echo $id >$it.id; done
echo $pod >pod.id; crictl pods -q | wc -l; crictl ps -q | wc -l; await grep up a.log; await grep up b.log; cut -d" " -f2- a.log b.log
crictl exec -s $(cat a.id) sh -c "ps -o args | grep -c \"echo [u]p\"; cat /proc/self/cgroup /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /proc/self/oom_score_adj"
crictl exec -s $(cat a.id) sh -c "exit 4"; echo $?; crictl exec $(cat b.id) echo streamed
find /sys/fs/cgroup/kubepods.slice -name "*.scope" | sort | sed "s/\.[^.]*scope/.scope/"'
  script 'CRI: update, stats, stop' 'cd $SCRATCH/cri; crictl update --memory 67108864 $(cat a.id) >/dev/null; crictl exec -s $(cat a.id) cat /sys/fs/cgroup/memory.max; crictl stats -o json $(cat a.id) | grep -c workingSet; crictl stop -t 60 $(cat a.id) >/dev/null; crictl inspect $(cat a.id) | grep -e exitCode -e reason; crictl stopp $(cat pod.id) >/dev/null; crictl rmp -f $(cat pod.id) >/dev/null; crictl pods -q | wc -l; find /sys/fs/cgroup -name "*.scope" -path "*kubepods*"'
fi
script 'left behind' 'ctr task ls -q; ctr container ls -q; systemctl list-units --all --plain --no-legend "cri-*.scope" | cut -d" " -f1-4; find /sys/fs/cgroup -name "cri-*.scope"; ps -eo args | grep "^[^ ]*rustyrun-"; true'
systemctl stop rr-containerd; sleep 1
rm -rf /var/tmp/rr-containerd /run/rr-containerd
