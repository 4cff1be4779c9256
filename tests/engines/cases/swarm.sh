# Docker's swarm, on one machine.
# shellcheck shell=bash
. "$CASES/docker.sh" functions
running() { docker ps -q --filter label=com.docker.swarm.service.name=many | wc -l; }
[ "${1:-}" != functions ] || return 0

configure
docker image inspect $IMAGE >/dev/null 2>&1 ||
  tar -C "$BUSYBOX" -c . | docker import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin:/sbin:/usr/bin' - $IMAGE >/dev/null
# An emulated machine is late with its heartbeats.
docker swarm init --advertise-addr 127.0.0.1 --dispatcher-heartbeat 120s >/dev/null
script 'a service of two' 'docker service create -q --name many --replicas 2 --update-parallelism 0 --update-failure-action continue --network=host --no-resolve-image --limit-memory 32m --restart-delay 1s --stop-grace-period 20s $IMAGE sh -c "trap \"exit 0\" TERM; while :; do sleep 5 & wait \$!; done" 2>&1 | wc -l; await prints "^2$" running; running'
script 'scaled to 20' 'docker service scale many=${MANY:-20} -d >/dev/null; await prints "^${MANY:-20}$" running; running'
script 'a killed task is replaced' 'first=$(docker ps -q --no-trunc --filter label=com.docker.swarm.service.name=many | head -1); kill -9 $(docker inspect -f "{{.State.Pid}}" $first); gone() { ! docker ps -q --no-trunc | grep -q $first; }; await gone; await prints "^${MANY:-20}$" running; running; docker service ps many --filter desired-state=shutdown --format "{{.CurrentState}} {{.Error}}" | sed "s/ [0-9a-zA-Z ]* ago//"'
script 'back to two' 'docker service scale many=2 -d >/dev/null; await prints "^2$" running; running'
script 'an update' 'docker service update -q -d --env-add A=b many >/dev/null; updated() { [ "$(docker service inspect -f "{{.UpdateStatus.State}}" many)" = completed ]; }; await updated; await prints "^2$" running; docker exec $(docker ps -q --filter label=com.docker.swarm.service.name=many | head -1) sh -c "echo \$A; cat /sys/fs/cgroup/memory.max"'
script 'removed' 'docker service rm many; await prints "^0$" running; running'
script 'left the swarm' 'docker swarm leave --force; left() { docker ps -aq | wc -l; }; await prints "^0$" left; left'
script 'left behind' 'systemctl list-units --all --plain --no-legend "docker-*.scope" | cut -d" " -f1-4; find /sys/fs/cgroup -name "docker-*.scope"; ps -eo args | grep "^[^ ]*rustyrun-"; true'
