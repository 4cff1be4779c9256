# Docker with the systemd cgroup driver.
# shellcheck shell=bash
once() { docker run --rm --network=none "$@"; }
status() { docker inspect -f '{{.State.Status}}' "$1"; }
# The scope of a container.
scope() { echo "docker-$(docker inspect -f '{{.Id}}' "$1").scope"; }
show() { systemctl show "$(scope "$1")" -p "$2" --value; }

configure() {
  mkdir -p /etc/docker
  cat >/etc/docker/daemon.json <<JSON
{
  "runtimes": { "under-test": { "path": "$RUNTIME" } },
  "default-runtime": "under-test",
  "live-restore": ${1:-false}
}
JSON
  systemctl reset-failed docker
  systemctl restart docker
}

[ "${1:-}" != functions ] || return 0

configure
docker image inspect $IMAGE >/dev/null 2>&1 ||
  tar -C "$BUSYBOX" -c . | docker import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin:/sbin:/usr/bin' - $IMAGE >/dev/null

tell 'info' docker info -f '{{.CgroupDriver}} {{.CgroupVersion}} {{.DefaultRuntime}} {{.Warnings}}'
tell 'run: output and code' once $IMAGE sh -c 'echo out; echo err >&2; exit 7'
tell 'run: a command that is not there' once $IMAGE nonesuch
tell 'run: a directory' once $IMAGE /bin
tell 'run -it' typed docker run --rm -it --network=none -e PS1='# ' $IMAGE sh
tell 'run: limits' once --memory=48m --memory-swap=96m --memory-reservation=32m --cpus=0.5 --cpu-shares=512 \
  --pids-limit=77 --cpuset-cpus=0 --blkio-weight=300 --oom-score-adj=100 $IMAGE \
  sh -c 'cd /sys/fs/cgroup; for f in memory.max memory.swap.max memory.low cpu.max cpu.weight pids.max cpuset.cpus io.weight; do echo $f $(cat $f); done; cat /proc/self/oom_score_adj'
tell 'run: cgroup seen inside' once $IMAGE cat /proc/self/cgroup
tell 'run --cgroupns=host' once --cgroupns=host $IMAGE cat /proc/self/cgroup
tell 'run --cgroup-parent' once --cgroupns=host --cgroup-parent=rr-test.slice $IMAGE cat /proc/self/cgroup
tell 'run: status' once --cap-drop=ALL --cap-add=NET_RAW --user 1000:1000 --group-add 7 --read-only --tmpfs /t:size=1m,mode=1770 $IMAGE \
  sh -c 'id; grep -E "Cap|NoNewPrivs|Seccomp:" /proc/self/status; touch /x; ls -ld /t; grep " /t " /proc/mounts'
tell 'run --privileged' once --privileged $IMAGE sh -c 'grep -E "Cap|Seccomp:" /proc/self/status; ls /dev | wc -l; grep -c cgroup /proc/mounts'
tell 'run: mounts' once $IMAGE sh -c "$MOUNTS"
tell 'run: devices' once --device=/dev/kmsg:/dev/k:r $IMAGE sh -c 'ls -l /dev | sed "s/.* [0-9]*:[0-9]* //" | sort; head -c0 /dev/k && echo r; echo x >/dev/k'
tell 'run: ulimits' once --ulimit nofile=100:200 --ulimit core=0 $IMAGE sh -c 'ulimit -n; ulimit -Hn; ulimit -c'
tell 'run --init' once --init $IMAGE sh -c 'cat /proc/1/comm; exit 3'
tell 'run --pid=host' once --pid=host $IMAGE sh -c 'cat /proc/1/comm'
tell 'run --ipc=host --uts=host' once --ipc=host --uts=host $IMAGE hostname
tell 'run --sysctl' once --sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=12345 $IMAGE cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax
script 'run -v rshared' 'mkdir $SCRATCH/s; mount -t tmpfs none $SCRATCH/s; mount --make-shared $SCRATCH/s; mkdir $SCRATCH/s/in; once --privileged -v $SCRATCH/s:/s:rshared $IMAGE sh -c "mount -t tmpfs inner /s/in; echo seen >/s/in/f"; cat $SCRATCH/s/in/f; umount -R $SCRATCH/s'
tell 'run: oom' once --memory=8m --memory-swap=8m $IMAGE sh -c 'tail /dev/zero & wait $!; echo $?'
script 'a killed init' 'docker run -d --name oom --network=none --memory=8m --memory-swap=8m $IMAGE tail /dev/zero >/dev/null
docker wait oom; docker inspect -f "{{.State.ExitCode}} {{.State.Error}}" oom; docker rm oom'

script 'a container that stays' 'docker run -d --name long --network=none --memory=48m --health-cmd="test -e /set" --health-interval=4s --health-retries=1000 $IMAGE sh -c "trap \"echo bye; exit 3\" TERM; touch /set; echo started; while :; do sleep 1; done"
await prints started docker logs long
await prints "^healthy" docker inspect -f "{{.State.Health.Status}}" long
docker inspect -f "{{.State.Health.Status}} {{.State.Status}}" long
for it in Slice Delegate MemoryMax TasksMax DevicePolicy DefaultDependencies Description CollectMode KillMode; do echo $it=$(show long $it); done
show long DeviceAllow | sort'
script 'exec' 'docker exec long sh -c "echo in; echo e >&2; cat /proc/self/cgroup; exit 4"'
tell 'exec: not there' docker exec long nonesuch
tell 'exec: flags' docker exec -u 1000:7 -w /tmp -e A=b long sh -c 'id; pwd; echo $A; grep CapEff /proc/self/status'
tell 'exec --privileged' docker exec --privileged long grep CapEff /proc/self/status
tell 'exec -it' typed docker exec -it -e PS1='# ' long sh
script 'exec: the same cgroup and limits after daemon-reload' 'systemctl daemon-reload; docker exec long sh -c "cat /proc/self/cgroup /sys/fs/cgroup/memory.max; cat /dev/null; head -c1 /dev/kmsg"'
script 'stats' 'docker stats --no-stream --format "{{.Name}} {{.MemUsage}}" long | sed -E "s/long [0-9.]+[kMiKB]+ /long SOME /"'
script 'top' 'docker top long -o pid,comm | sed -E "s/^[0-9]+ +/PID /" | grep -v sleep'
script 'pause' 'docker pause long; status long; docker exec long true; docker unpause long; status long'
script 'update' 'docker update --memory 64m --memory-swap=128m --cpus 0.3 --pids-limit 88 long; docker exec long sh -c "cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.max pids.max"; for it in MemoryMax MemorySwapMax TasksMax CPUQuotaPerSecUSec; do echo $it=$(show long $it); done'
script 'update: more memory' 'docker update --memory 1g --memory-swap=-1 long; docker exec long cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.swap.max'
script 'stop' 'docker stop -t 60 long; docker logs long; docker wait long; systemctl is-active "$(scope long)"'
script 'start, kill' 'docker start long; docker kill -s KILL long; docker wait long; docker start long; docker kill -s TERM long; docker wait long; docker rm long'
script 'commit, cp' 'docker run -d --name cp --network=none $IMAGE sleep 1000 >/dev/null; echo hello >$SCRATCH/hello; docker cp $SCRATCH/hello cp:/hello; docker exec cp cat /hello; docker rm -f cp'
script 'wrong mounts, a wrong directory' 'docker run --rm --network=none -v /nonesuch/x:/y:ro $IMAGE ls /y; docker run --rm --network=none --mount type=bind,src=/nonesuch2,dst=/y $IMAGE ls /y; docker run --rm --network=none -w /bin/sh $IMAGE ls'
script 'restart policy' 'docker run -d --name again --network=none --restart=on-failure:2 $IMAGE sh -c "sleep 1; echo x; exit 2" >/dev/null; await prints "exited 2" docker inspect -f "{{.State.Status}} {{.RestartCount}}" again; docker logs again; docker inspect -f "{{.State.ExitCode}} {{.RestartCount}}" again; docker rm again'
script 'restart always, init killed' 'docker run -d --name always --network=none --restart=always $IMAGE sleep 1000 >/dev/null; kill -9 $(docker inspect -f "{{.State.Pid}}" always); await prints "running 1" docker inspect -f "{{.State.Status}} {{.RestartCount}}" always; docker inspect -f "{{.State.Status}} {{.RestartCount}}" always; docker rm -f always'
script 'published ports' 'docker run -d --name web -p 127.0.0.1:8089:80 $IMAGE sh -c "echo page >/index.html; httpd -f -h / -p 80" >/dev/null; await busybox wget -qO- http://127.0.0.1:8089/; busybox wget -qO- http://127.0.0.1:8089/; docker exec web ip -o -4 addr show eth0 | sed -E "s/.*inet ([0-9]+\.[0-9]+)\..*/\1/"; docker rm -f web'
script 'a network of its own' 'docker network create rr >/dev/null; docker run -d --rm --name peer --network=rr $IMAGE sleep 1000 >/dev/null; docker run --rm --network=rr $IMAGE ping -c1 -W 20 peer | grep received; docker rm -f peer; docker network rm rr'
script 'container network' 'docker run -d --name pause --ipc=shareable --network=none $IMAGE sleep 1000 >/dev/null; docker run --rm --network=container:pause --ipc=container:pause --pid=container:pause $IMAGE sh -c "ps | grep -c sleep; ls /sys/class/net"; docker rm -f pause'
script 'build' 'mkdir -p $SCRATCH/b; printf "FROM $IMAGE\nRUN echo kept >/kept && cat /proc/self/cgroup\nRUN cat /kept\nUSER 1000\nRUN id -u\nRUN exit 9\n" >$SCRATCH/b/Dockerfile; DOCKER_BUILDKIT=0 docker build --network=none --no-cache --force-rm $SCRATCH/b | grep -v -e "--->" -e context -e "^Removing"; docker images -q --filter dangling=true | xargs -r docker rmi -f >/dev/null'
configure true
script 'live-restore' 'docker run -d --name live --network=none $IMAGE sh -c "while :; do sleep 1; done" >/dev/null
pid=$(docker inspect -f "{{.State.Pid}}" live); kill -9 $(cat /run/docker.pid 2>/dev/null || cat /var/run/docker.pid); sleep 1; systemctl reset-failed docker; systemctl restart docker; await docker info
docker inspect -f "{{.State.Status}} {{eq .State.Pid $pid}}" live; docker exec live echo in; docker stop -t 0 live; docker inspect -f "{{.State.ExitCode}}" live; docker rm live'
configure
script 'in a row, and at once' 'for i in $(seq ${ROW:-10}); do docker run --rm --network=none $IMAGE sh -c "exit $i"; [ $? = $i ] || echo wrong $i; done; for i in $(seq ${ONCE:-10}); do (docker run --rm --network=none $IMAGE sh -c "exit $i"; [ $? = $i ] || echo wrong $i) & done; wait'
script 'left behind' 'docker ps -aq; systemctl list-units --all --plain --no-legend "docker-*.scope" | cut -d" " -f1-4; find /sys/fs/cgroup -name "docker-*.scope"; ls /run/docker/runtime-under-test/moby 2>&1; ps -eo comm,args | grep -e rustyrun-warden -e [k]eeper; true'
