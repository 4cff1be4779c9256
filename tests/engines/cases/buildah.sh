# buildah, as root: the runtime's steps.
# shellcheck shell=bash
buildah() { command buildah $BUILDAH "$@"; }
step() { buildah run --isolation=oci --runtime="$RUNTIME" "$@"; }
build() { buildah build --isolation=oci --runtime="$RUNTIME" --pull-never --network=none --no-cache $ULIMITS $PARENT "$@"; }
export BUILDAH=${BUILDAH:-} PARENT ULIMITS='--ulimit=nofile=20000:20000 --ulimit=nproc=4000:4000'
[ "${1:-}" != functions ] || return 0

buildah from --name work --pull-never --network=none --memory=48m --cpu-quota=50000 --cpu-period=100000 $ULIMITS $PARENT $IMAGE >/dev/null
tell 'run: output and code' step work -- sh -c 'echo out; echo err >&2; exit 7'
tell 'run: a command that is not there' step work -- nonesuch
tell 'run: a directory' step work -- /bin
tell 'run -t' typed buildah $BUILDAH run --isolation=oci --runtime="$RUNTIME" -t --env 'PS1=# ' work -- sh
tell 'run: limits' step work -- sh -c 'cd /sys/fs/cgroup; for f in memory.max cpu.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us; do [ ! -e $f ] || echo $f $(cat $f); done'
tell 'run: status' step --cap-drop=CAP_CHOWN --user 1000:7 --workingdir /tmp work -- sh -c 'id; pwd; grep -E "Cap|NoNewPrivs|Seccomp:" /proc/self/status'
tell 'run: mounts' step work -- sh -c "$MOUNTS"
tell 'run: devices' step work -- sh -c 'ls -l /dev | sed "s/.* [0-9]*:[0-9]* //" | sort'
script 'run -v' 'mkdir -p $SCRATCH/v; echo hi >$SCRATCH/v/f; step -v $SCRATCH/v:/v:ro work -- sh -c "cat /v/f; touch /v/x"; step -v $SCRATCH/v:/v work -- touch /v/y; ls $SCRATCH/v; step --mount type=tmpfs,destination=/t,tmpfs-size=1m work -- grep " /t " /proc/mounts'
tell 'run: network' buildah $BUILDAH run --isolation=oci --runtime="$RUNTIME" work -- ls /sys/class/net
script 'commit' 'step work -- sh -c "echo kept >/var/kept"; step work -- cat /var/kept; buildah commit -q work rrmade | plain | wc -l'
script 'build' 'mkdir $SCRATCH/b; printf "FROM localhost/rrmade\nRUN cat /var/kept && echo more >/more\nRUN cat /more && id -u\nUSER 1000\nRUN id -u\nRUN --mount=type=tmpfs,target=/x sh -c \"grep -c /x /proc/mounts\"\n" >$SCRATCH/b/Containerfile; build -t rrbuilt $SCRATCH/b | grep -v -x "[0-9a-f]*" | sed "s/^--> .*/-->/"; command buildah $BUILDAH from --name second --pull-never $ULIMITS rrbuilt >/dev/null; step second -- cat /more'
script 'build: a step that fails' 'printf "FROM localhost/rrmade\nRUN echo before; exit 9\n" >$SCRATCH/b/Containerfile; build $SCRATCH/b'
script 'chroot is no matter of the runtime' 'buildah run --isolation=chroot work -- echo in'
script 'left behind' 'buildah rm work second | plain | wc -l; buildah rmi rrbuilt rrmade >/dev/null; buildah containers -q; ps -eo args | grep "^[^ ]*rustyrun-" | grep -v front; find /sys/fs/cgroup -name "*buildah*" 2>/dev/null; true'
