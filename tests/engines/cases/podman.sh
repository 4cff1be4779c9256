# podman, as root or as a user, with systemd or cgroupfs.
# shellcheck shell=bash
export MANAGER=${MANAGER:-systemd}
# The parent of the cgroups: what is a slice with systemd.
export CONTAINERS_CONF=$SCRATCH/containers.conf

podman() { command podman $PODMAN "$@"; }
once() { podman run --rm --network=none $PARENT "$@"; }
status() { podman inspect -f '{{.State.Status}}' "$1"; }
# podman 4.3 leaves the cgroups of its pods where a hierarchy is missing (hugetlb),
# and makes plain directories in its place.
forget() {
  find /sys/fs/cgroup -depth -type d \( -path "*/${ROOM:-libpod_parent}*" -o -path '*/libpod_parent*' \) -exec rmdir {} + 2>/dev/null
  mountpoint -q /sys/fs/cgroup/hugetlb || rm -rf "/sys/fs/cgroup/hugetlb/${ROOM:-libpod_parent}" /sys/fs/cgroup/hugetlb/libpod_parent
}

[ "${1:-}" != functions ] || return 0

cat >"$CONTAINERS_CONF" <<TOML
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=${NPROC:-4000}:${NPROC:-4000}"]
[engine]
cgroup_manager = "$MANAGER"
events_logger = "file"
runtime = "under-test"
infra_image = "localhost/pause:latest"
[engine.runtimes]
under-test = ["$RUNTIME"]
TOML
export PODMAN PARENT
podman image exists localhost/pause || {
  mkdir "$SCRATCH/pause"
  printf 'FROM %s\nCMD ["sleep", "10000"]\n' "$IMAGE" >"$SCRATCH/pause/Containerfile"
  podman build -q --pull=never -t localhost/pause "$SCRATCH/pause" >/dev/null
}
tell 'info' podman info -f '{{.Host.CgroupManager}} {{.Host.OCIRuntime.Name}}'
tell 'run: output and code' once $IMAGE sh -c 'echo out; echo err >&2; exit 7'
tell 'run: a command that is not there' once $IMAGE nonesuch
tell 'run: a directory' once $IMAGE /bin
tell 'run -it' typed podman $PODMAN run --rm -it --network=none $PARENT -e PS1='# ' $IMAGE sh
tell 'run: limits' once --memory=48m --memory-swap=96m --cpus=0.5 --pids-limit=77 $IMAGE \
  sh -c 'cd /sys/fs/cgroup; for f in memory.max memory.swap.max cpu.max pids.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max; do [ ! -e $f ] || echo $f $(cat $f); done'
tell 'run: cgroup seen inside' once $IMAGE cat /proc/self/cgroup
tell 'run --user with capabilities' once --user 1000:1000 --cap-drop=ALL --cap-add=NET_RAW $IMAGE sh -c 'id; grep -E "Cap|NoNewPrivs|Seccomp:" /proc/self/status'
tell 'run --user 0 with capabilities' once --cap-add=SYS_ADMIN --cap-drop=CHOWN $IMAGE sh -c 'id; grep -E "Cap" /proc/self/status'
tell 'run --privileged' once --privileged $IMAGE sh -c 'grep -E "Seccomp:" /proc/self/status; grep -c cgroup /proc/mounts'
tell 'run: mounts' once $IMAGE sh -c "$MOUNTS"
tell 'run --tmpfs' once --tmpfs /t:size=1m,mode=1770 --tmpfs /u $IMAGE sh -c 'ls -ld /t /u; grep -E " /(t|u) " /proc/mounts | sort'
tell 'run: devices' once $IMAGE sh -c 'ls -l /dev | sed "s/.* [0-9]*:[0-9]* //" | sort'
tell 'run --init' once --init $IMAGE sh -c 'cat /proc/1/comm; exit 3'
tell 'run --read-only' once --read-only $IMAGE sh -c 'touch /x; touch /tmp/x /run/x && echo ok'
tell 'run --userns=auto' once --userns=auto:size=1024 $IMAGE sh -c 'id -u; awk "{ print \$1, \$3 }" /proc/self/uid_map; ls -ldn /root | cut -c1-30'
tell 'run --userns=keep-id' once --userns=keep-id $IMAGE sh -c 'id -u; awk "{ print \$1, \$3 }" /proc/self/uid_map'
tell 'run --userns=nomap' once --userns=nomap $IMAGE id -u
tell 'run --cgroups=disabled' once --cgroups=disabled $IMAGE sh -c 'cat /proc/self/cgroup | wc -l'
tell 'run --cgroupns=host' once --cgroupns=host $IMAGE sh -c 'grep -c libpod /proc/self/cgroup'
tell 'run --cgroups=split' once --cgroups=split $IMAGE cat /proc/self/cgroup
tell 'run --ipc=host --uts=host' once --ipc=host --uts=host $IMAGE true
tell 'run --sysctl' once --sysctl kernel.shmmax=12345 $IMAGE cat /proc/sys/kernel/shmmax
tell 'run --security-opt' once --security-opt=no-new-privileges --security-opt=unmask=/proc/acpi $IMAGE sh -c 'grep NoNew /proc/self/status; ls -ld /proc/sys/kernel | cut -c1-10'
tell 'run: network' podman $PODMAN run --rm $PARENT $IMAGE sh -c 'ls /sys/class/net; ping -c1 -W 9 127.0.0.1 | grep received'
script 'run --pid=host, nothing left' 'once --pid=host $IMAGE sh -c "sleep 7777 & sleep 7778 & exit 3"; echo $?; ps -eo args | grep "^sleep 777"; true'
script 'run -d --pid=host, removed' 'podman run -d --name hostpid --network=none $PARENT --pid=host $IMAGE sh -c "sleep 7777 & sleep 7778 & wait" >/dev/null; podman rm -f -t 0 hostpid; ps -eo args | grep "^sleep 777"; true'
script 'volumes' 'mkdir -p $SCRATCH/v; echo hi >$SCRATCH/v/f; once -v $SCRATCH/v:/v:ro $IMAGE sh -c "cat /v/f; touch /v/x"; podman volume create vol1; once -v vol1:/v $IMAGE sh -c "echo kept >/v/k"; once -v vol1:/v $IMAGE cat /v/k; podman volume rm vol1'
if [ "$(id -u)" = 0 ]; then
  script 'volumes: rshared' 'mkdir -p $SCRATCH/s; mount -t tmpfs none $SCRATCH/s; mount --make-shared $SCRATCH/s; mkdir $SCRATCH/s/in; once --privileged -v $SCRATCH/s:/s:rshared $IMAGE sh -c "mount -t tmpfs inner /s/in; echo seen >/s/in/f"; cat $SCRATCH/s/in/f; umount -R $SCRATCH/s'
fi
script 'a container that stays' 'podman run -d --name long --network=none $PARENT --health-cmd="test -e /set" --health-interval=disable $IMAGE sh -c "trap \"echo bye; exit 3\" TERM; touch /set; echo started; while :; do sleep 1; done"
await prints started podman logs long; podman healthcheck run long; echo $?; status long'
tell 'exec' podman exec long sh -c 'echo in; echo e >&2; cat /proc/self/cgroup; exit 4'
tell 'exec: not there' podman exec long nonesuch
tell 'exec: flags' podman exec -u 1000:7 -w /tmp -e A=b long sh -c 'id; pwd; echo $A; grep CapEff /proc/self/status'
tell 'exec --privileged' podman exec --privileged long grep NoNewPrivs /proc/self/status
tell 'exec -it' typed podman $PODMAN exec -it -e PS1='# ' long sh
script 'exec -d' 'podman exec -d long sh -c "echo yes >/yes" >/dev/null; await podman exec long cat /yes; podman exec long cat /yes'
script 'stats' 'podman stats --no-stream --format "{{.Name}} {{.PIDs}}" long'
script 'top' 'podman top long pid args | grep -v sleep'
script 'pause' 'podman pause long; status long; podman exec long true; podman unpause long; status long'
script 'update' 'podman update --memory 64m --cpus 0.3 long; podman exec long sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max || cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us" 2>/dev/null'
script 'stop' 'podman stop -t 100 long; podman logs long; podman wait long'
script 'start, kill' 'podman start long; podman kill -s KILL long; podman wait long; podman start long; podman kill -s TERM long; podman wait long; podman rm long'
script 'killed for its memory' 'podman run -d --name oom --network=none $PARENT --memory=12m --memory-swap=12m $IMAGE tail /dev/zero >/dev/null; podman wait oom; podman inspect -f "{{.State.OOMKilled}} {{.State.ExitCode}}" oom; podman rm oom >/dev/null'
script 'restart policy' 'podman run -d --name again --network=none $PARENT --restart=on-failure:2 $IMAGE sh -c "sleep 1; echo x; exit 2" >/dev/null; await prints "exited 2" podman inspect -f "{{.State.Status}} {{.RestartCount}}" again; podman logs again; podman rm again'
script 'a pod' 'podman pod create --name pod1 $PODPARENT --network=none --share ipc,net,uts,pid >/dev/null; podman run -d --pod pod1 --name p1 $IMAGE sh -c "echo hey | nc -l -p 80; sleep 1000" >/dev/null; podman run --rm --pod pod1 --name p2 $IMAGE sh -c "until nc 127.0.0.1 80 </dev/null; do sleep 0.3; done; ps -o comm | sort | uniq | grep -e sleep"; podman pod ps --format "{{.Name}} {{.Status}} {{.NumberOfContainers}}"; podman pod stats --no-stream --format "{{.Name}}" pod1 | wc -l; podman pod stop -t 0 pod1 >/dev/null 2>&1; podman pod ps --format "{{.Status}}"; podman pod rm -f -t 0 pod1 >/dev/null 2>&1; podman pod ps -q; podman ps -aq; forget'
script 'play kube' 'cat >$SCRATCH/pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata:
  name: kube1
spec:
  restartPolicy: Never
  containers:
  - name: one
    image: $IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "echo one; sleep 1000"]
    resources: { limits: { memory: 40Mi, cpu: 500m } }
  - name: two
    image: $IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "echo two; exit 3"]
    volumeMounts: [{ name: e, mountPath: /e }]
  volumes: [{ name: e, emptyDir: {} }]
YAML
podman play kube --network=none $SCRATCH/pod.yaml >/dev/null 2>&1 || echo failed; await prints one podman logs kube1-one; podman exec kube1-one sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max || cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us" 2>/dev/null; podman wait kube1-two; podman logs kube1-two; podman play kube --down $SCRATCH/pod.yaml >/dev/null 2>&1; podman ps -aq; forget; podman volume prune -f >/dev/null'
if [ "$MANAGER" = systemd ]; then
  script 'generate systemd' 'sc="systemctl"; dir=/etc/systemd/system; [ $(id -u) = 0 ] || { sc="systemctl --user"; dir=$HOME/.config/systemd/user; }; mkdir -p $dir
podman create --name unit1 --network=none $IMAGE sh -c "trap \"exit 0\" TERM; echo up; while :; do sleep 1; done" >/dev/null; podman generate systemd --new --name unit1 | sed "/^\[Service\]/a Environment=CONTAINERS_CONF=$CONTAINERS_CONF" >$dir/unit1.service; podman rm unit1 >/dev/null; $sc daemon-reload; $sc start unit1; $sc is-active unit1; podman logs unit1; podman exec unit1 cat /proc/self/cgroup; $sc stop unit1; $sc is-active unit1; $sc show unit1 -p Result; podman ps -aq | wc -l; rm $dir/unit1.service; $sc daemon-reload'
  script 'cgroups=split under a unit' 'sc="systemd-run"; [ $(id -u) = 0 ] || sc="systemd-run --user"; $sc -q --wait -p Delegate=yes --setenv=CONTAINERS_CONF=$CONTAINERS_CONF --setenv=PATH=$PATH podman run --rm --cgroups=split --network=none $IMAGE sh -c "exit 4"'
  script 'a scope as systemd shows it' 'sc=systemctl; [ $(id -u) = 0 ] || sc="systemctl --user"; id=$(podman run -d --name sc --network=none --memory=48m $IMAGE sleep 1000); [ $(id -u) != 0 ] || devices=DevicePolicy; for it in Slice Delegate MemoryMax TasksMax $devices DefaultDependencies CollectMode KillMode ActiveState; do $sc show libpod-$id.scope -p $it; done; podman inspect -f "{{.State.CgroupPath}}" sc | sed "s/.*libpod/libpod/"; podman rm -f -t 0 sc; $sc is-active libpod-$id.scope'
fi
script 'in a row, and at once' 'for i in $(seq ${ROW:-6}); do once $IMAGE sh -c "exit $((i % 100))"; [ $? = $((i % 100)) ] || echo wrong $i; done; for i in $(seq ${ONCE:-5}); do (once $IMAGE sh -c "exit $i"; [ $? = $i ] || echo wrong $i) & done; wait'
script 'left behind' 'podman ps -aq; podman pod ps -q; if [ $MANAGER = systemd ]; then sc=systemctl; [ $(id -u) = 0 ] || sc="systemctl --user"; $sc list-units --all --plain --no-legend "libpod-*.scope" | cut -d" " -f1-4; fi; find /sys/fs/cgroup -name "libpod-*" 2>/dev/null | grep -v conmon; ps -eo args | grep -e "^[^ ]*rustyrun-" -e "^[^ ]*conmon" ; true'
forget
