# A day in the life of a runtime: an image is built with buildah, and runs under
# podman, Docker and containerd's ctr, and by hand: run, exec, limits, pause,
# checkpoint and restore (where the machine has cgroup v2 and criu), stop. Only the
# case "version" may say which runtime it was. TIMES is a file that gets a line
# "PART MICROSECONDS" for every command of an engine.
# shellcheck shell=bash
export TIMES=${TIMES:-/dev/null}
export DAY=localhost/day:latest
export DOCKER_HOST=unix://$SCRATCH/docker.sock
CTRFLAGS=
[ "$MANAGER" != systemd ] || CTRFLAGS=--runc-systemd-cgroup
# dockerd uses the machine's containerd where there is one, else it has its own.
CTR="-a $SCRATCH/run/containerd/containerd.sock -n ${ROOM:-day}"
[ ! -e /run/containerd/containerd.sock ] || CTR="-n ${ROOM:-day}"
export CTRFLAGS CTR

# One command of an engine: the part of the day that its time belongs to, then the
# command.
timed() {
  local part=$1 from=${EPOCHREALTIME/./} code=0
  shift
  "$@" || code=$?
  echo "$part $((${EPOCHREALTIME/./} - from))" >>"$TIMES"
  return $code
}
podman() { timed podman command podman $PODMAN --runtime "$RUNTIME" --cgroup-manager "$MANAGER" --events-backend file "$@"; }
docker() { timed docker command docker "$@"; }
ctr() { timed ctr command ctr $CTR "$@"; }
# A part of its own of podman's: criu takes most of it.
frozen() { timed checkpoint command podman $PODMAN --runtime "$RUNTIME" --cgroup-manager "$MANAGER" --events-backend file container "$@"; }
byhand() {
  local manager=
  [ "$MANAGER" != systemd ] || manager=--systemd-cgroup
  timed "by hand" "$RUNTIME" --root "$SCRATCH/root" $manager "$@"
}
# Where ctr and what runs by hand have their cgroups.
placed() {
  if [ "$MANAGER" = systemd ]; then echo "rrday.slice:rr:$1"; else echo "/${ROOM:-rrday}/$1"; fi
}
# Which limits a container sees, with cgroup v1 or v2.
export LIMITS='cd /sys/fs/cgroup; for f in memory.max pids.max cpu.max memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us; do [ ! -e $f ] || echo $f $(cat $f); done'
# What stays: it counts, and says goodbye. By hand it has no file of the host open:
# criu writes none.
export STAYS='trap "echo bye; exit 3" TERM; echo up; i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.1 & wait $!; done'

[ "${1:-}" != functions ] || return 0

mkdir -p "$SCRATCH/build"
cat >"$SCRATCH/build/Containerfile" <<FILE
FROM $IMAGE
COPY greeting /greeting
RUN id -u && mkdir /app && sed s/hello/good\ morning/ /greeting >/app/greeting
RUN ["/bin/chmod", "600", "/app/greeting"]
WORKDIR /app
CMD ["cat", "greeting"]
FILE
echo 'hello from the build' >"$SCRATCH/build/greeting"
cat >"$SCRATCH/docker.json" <<JSON
{
  "runtimes": { "under-test": { "path": "$RUNTIME" } },
  "default-runtime": "under-test",
  "exec-opts": ["native.cgroupdriver=$MANAGER"]
}
JSON
# One daemon for Docker and ctr.
dockerd --host "$DOCKER_HOST" --config-file "$SCRATCH/docker.json" --data-root "$SCRATCH/docker" \
  --exec-root "$SCRATCH/run" --pidfile "$SCRATCH/docker.pid" --storage-driver vfs --bridge none \
  --iptables=false --ip-masq=false --default-ulimit nofile=4000:4000 $DOCKERD >"$SCRATCH/docker.log" 2>&1 &
dockerd=$!
# Without a word of what is waited for: it is no part of the day.
TIMES=/dev/null await docker version

script 'buildah: build an image' 'timed buildah buildah $PODMAN build -q --runtime "$RUNTIME" --isolation oci --pull-never --network none --ulimit nofile=4000:4000 --ulimit nproc=4000:4000 $PARENT -t $DAY $SCRATCH/build
command podman $PODMAN image save -q --format docker-archive -o $SCRATCH/day.tar $DAY
command docker load -q -i $SCRATCH/day.tar
command ctr $CTR image import --snapshotter native $SCRATCH/day.tar | cut -d" " -f2'

script 'podman: run' 'podman run --rm --network none $ULIMITS $PARENT $DAY; podman run --rm --network none $ULIMITS $PARENT $DAY sh -c "echo err >&2; exit 7"; echo $?'
script 'podman: limits' 'podman run -d --name day --network none $ULIMITS $PARENT --memory 64m --cpus 0.5 --pids-limit 50 $DAY sh -c "$STAYS" >/dev/null; await prints up command podman $PODMAN logs day; podman exec day sh -c "$LIMITS"'
script 'podman: exec' 'podman exec -e A=b -w /tmp day sh -c "echo \$A; pwd; exit 5"; echo $?; podman ps --filter status=running --format "{{.Names}}"; podman top day comm | sort -u | grep -v -e sleep -e exe'
script 'podman: pause, stop' 'podman pause day; podman inspect -f "{{.State.Status}}" day; podman unpause day; podman stop -t 60 day; podman logs day; podman inspect -f "{{.State.ExitCode}} {{.State.OOMKilled}}" day; podman rm day'
script 'podman: out of memory' 'podman run --rm --network none $ULIMITS $PARENT --memory 8m --memory-swap 8m $DAY tail /dev/zero; echo $?'

script 'docker: run' 'docker run --rm --network none $DAY; docker run --rm --network none $DAY nonesuch 2>&1 | grep -o "exec: .*nonesuch.*not found"; docker run --rm --network none --read-only --user 1000:7 $DAY sh -c "id; touch /x"; echo $?'
script 'docker: limits, exec' 'docker run -d --name day --network none --memory 64m --cpus 0.5 --pids-limit 50 $DAY sh -c "$STAYS" >/dev/null; await prints up command docker logs day; docker exec day sh -c "$LIMITS"; docker exec day sh -c "exit 5"; echo $?; docker update --memory 96m --memory-swap 192m --pids-limit 60 day; docker exec day sh -c "$LIMITS"'
script 'docker: pause, stop' 'docker pause day; docker unpause day; docker stop -t 60 day; docker logs day; docker inspect -f "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}" day; docker rm day'

script 'ctr: run' 'ctr run --rm --snapshotter native --runc-binary $RUNTIME $CTRFLAGS --cgroup $(placed ctr) $DAY one sh -c "cat greeting; exit 7"; echo $?'
script 'ctr: limits, exec' 'ctr run -d --snapshotter native --runc-binary $RUNTIME $CTRFLAGS --cgroup $(placed ctr) --memory-limit 67108864 $DAY day sh -c "$STAYS" >/dev/null; await command ctr $CTR task exec --exec-id look day test -s /count; ctr task exec --exec-id one day sh -c "cat /proc/1/cmdline | cut -c1-4; exit 5"; echo $?; ctr task metrics day | grep -o -e "memory.*limit.* $(((64 << 20)))" | sed "s/  */ /"'
script 'ctr: pause, stop' 'ctr task pause day; ctr task ls | sed -n "s/^day *[0-9]* *//p"; ctr task resume day; ctr task kill -s TERM day; await prints STOPPED command ctr $CTR task ls; ctr task rm day; echo $?; ctr container rm day'

if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && command -v criu >/dev/null; then
  script 'podman: checkpoint, restore' 'podman run -d --name frozen --network none $ULIMITS $PARENT --memory 64m $DAY sh -c "$STAYS" >/dev/null; TIMES=/dev/null await podman exec frozen test -s /count
frozen checkpoint frozen; podman inspect -f "{{.State.Status}} {{.State.Checkpointed}}" frozen
before=$(cat $(podman mount frozen)/count); podman umount frozen >/dev/null; frozen restore frozen
after=$before; TIMES=/dev/null await eval "after=\$(podman exec frozen cat /count); [ \"\$after\" -gt \"$before\" ]"; [ $after -lt $((before + 1000)) ] && echo it goes on
podman exec frozen sh -c "$LIMITS"; podman stop -t 60 frozen; podman inspect -f "{{.State.ExitCode}}" frozen; podman rm frozen'
fi

mkdir -p "$SCRATCH/bundle/rootfs"
command podman $PODMAN image save -q --format docker-dir -o "$SCRATCH/image" $DAY
for layer in "$SCRATCH"/image/*; do tar -C "$SCRATCH/bundle/rootfs" -xf "$layer" 2>/dev/null; done
(cd "$SCRATCH/bundle" && runc spec)
CGROUP=$(placed hand) python3 - "$SCRATCH/bundle/config.json" <<'PY'
import json, os, sys
config = json.load(open(sys.argv[1]))
config["process"].update(terminal=False, cwd="/app", args=["sh", "-c", os.environ["STAYS"].replace("/count", "/tmp/count")])
config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
config["linux"]["cgroupsPath"] = os.environ["CGROUP"]
config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50})
json.dump(config, open(sys.argv[1], "w"))
PY
script 'by hand: create, start, exec' 'cd $SCRATCH; byhand create -b bundle --pid-file $SCRATCH/pid hand </dev/null >/dev/null 2>&1; byhand state hand | grep -w status; byhand start hand; TIMES=/dev/null await byhand exec hand test -s /tmp/count; byhand exec --env A=b hand sh -c "echo \$A; exit 5"; echo $?; byhand list -q; byhand ps hand | grep -c "[c]ount"'
script 'by hand: limits, pause' 'byhand update --pids-limit 40 --memory 100663296 --memory-swap -1 hand; byhand exec hand sh -c "$LIMITS"; byhand pause hand; byhand state hand | grep -w status; byhand resume hand'
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && command -v criu >/dev/null; then
  script 'by hand: checkpoint, restore' 'cd $SCRATCH; byhand checkpoint --image-path $SCRATCH/images hand; byhand list -q; byhand restore -d -b bundle --image-path $SCRATCH/images --pid-file $SCRATCH/pid hand </dev/null >/dev/null 2>&1; byhand state hand | grep -w status; was=$(byhand exec hand cat /tmp/count); TIMES=/dev/null await eval "[ \"\$(byhand exec hand cat /tmp/count)\" -gt $was ]" && echo it goes on'
fi
script 'by hand: stop' 'byhand kill hand TERM; TIMES=/dev/null await prints stopped byhand state hand; byhand delete hand; byhand state hand 2>/dev/null; echo $?'
tell 'version' "$RUNTIME" --version

command podman $PODMAN image rm -f $DAY >/dev/null
# Its layers, too: the next day's import would find a part of them.
command ctr $CTR image ls -q | xargs -r ctr $CTR image rm --sync >/dev/null
kill $dockerd
wait $dockerd
tell 'left behind' sh -c 'find /sys/fs/cgroup -type d \( -name "rr-*.scope" -o -name "docker-*.scope" -o -path "*/${ROOM:-rrday}/*" -not -name "*conmon*" \); ls $SCRATCH/root; ps -eo args | grep "^[^ ]*rustyrun-[wik]"; true'
# What the engines were told to have above their containers: runc leaves it there.
# podman makes plain directories where a hierarchy is missing.
find /sys/fs/cgroup -depth -type d -path "*/${ROOM:-rrday}*" -exec rmdir {} + 2>/dev/null
mountpoint -q /sys/fs/cgroup/hugetlb || rm -rf "/sys/fs/cgroup/hugetlb/${ROOM:-rrday}"
