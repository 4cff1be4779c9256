#!/usr/bin/env bash
# Runs cases of engines in a guest, as root: guest.sh CLONE DENO ENGINE...
# CLONE and DENO are on read-only shares. Each ENGINE once with runc and once
# with rustyrun: "docker", "podman", "podman:cgroupfs", "podman:rootless",
# "podman:rootless:cgroupfs", "containerd", "swarm", "buildah", "pod", "pod:cgroupfs";
# "docker:cold" without the warm engine. Each transcript follows a line
# "#### ENGINE RUNTIME". In the environment: CRICTL, a CRI client's path; FROM, the
# case to begin with; RUNTIMES, "runc" or "rustyrun" to run with one of them only.
set -euo pipefail
clone=$1 deno=$2
shift 2
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /var/tmp/clone/tests /opt/rr
cp -r "$clone/dist" /var/tmp/clone
cp -r "$clone/tests/engines" /var/tmp/clone/tests
chmod -R a+rX /var/tmp/clone /opt/rr
install -m 755 "$deno" /usr/local/bin/deno
program=/var/tmp/clone/dist/rustyrun.js
touch $program

# The same program without and with a warm engine. Emulated, even a warm engine's
# first word takes longer than a front waits by itself.
cat >/opt/rr/cold <<SH
#!/bin/sh
# A user's user namespace has a root, too.
read -r _ outer _ </proc/self/uid_map
HOME=\${HOME:-/tmp} DENO_DIR=/tmp/rr-deno-\$(id -u)-\$outer exec /usr/local/bin/deno run -q -A --no-config --v8-flags=--no-lazy,--baseline-batch-compilation-threshold=262144,--min-semi-space-size=2 $program "\$@"
SH
chmod 755 /opt/rr/cold
cat >/opt/rr/front.ts <<TS
import { denoWords } from "$clone/mod/program.ts";
import { encodeFront } from "$clone/mod/serve/protocol.ts";
const plain = Deno.readFileSync("/var/tmp/clone/dist/rustyrun-front-" + Deno.build.arch);
// The engine serves a front that means the engine's own command line.
const program = [Deno.execPath(), ...denoWords("$program")];
const sockets = { rustyrun: "/run/rr-serve/s", user: "/run/user/1000/rr-serve/s" };
for (const [name, socket] of Object.entries(sockets)) {
  const front = encodeFront(plain, { program, socket, patience: 120_000 });
  Deno.writeFileSync("/opt/rr/" + name, front, { mode: 0o755 });
}
TS
DENO_DIR=/var/tmp/deno deno run -A --no-config --no-check --cached-only /opt/rr/front.ts

# Starts an engine once: root's, or that of a rootless podman, in its user namespace.
warm() {
  local serve=(/opt/rr/cold --verbose serve --idle 0 --socket)
  if [ "$1" = root ]; then
    [ -e /run/rr-serve/s ] || systemd-run -q --unit=rr-warm -p KillMode=process \
      --setenv=PATH="$PATH" "${serve[@]}" /run/rr-serve/s
    until [ -e /run/rr-serve/s ]; do sleep 0.2; done
  else
    [ -e /run/user/1000/rr-serve/s ] || systemd-run -q -M tester@ --user --unit=rr-warm -p KillMode=process \
      --setenv=PATH="$PATH" podman unshare "${serve[@]}" /run/user/1000/rr-serve/s
    until [ -e /run/user/1000/rr-serve/s ]; do sleep 0.2; done
  fi
}

for engine in "$@"; do
  IFS=: read -r name first second <<<"$engine:"
  rustyrun=/opt/rr/rustyrun who=root manager=systemd start=$SECONDS
  for word in $first ${second%:}; do
    case $word in
      cold) rustyrun=/opt/rr/cold ;;
      rootless) who=tester rustyrun=/opt/rr/user ;;
      cgroupfs) manager=cgroupfs ;;
    esac
  done
  [ $rustyrun = /opt/rr/cold ] || warm $who
  for runtime in /usr/sbin/runc $rustyrun; do
    case "$runtime ${RUNTIMES:-}" in
      */runc\ rustyrun | */rr/*\ runc) continue ;;
    esac
    echo "#### $engine ${runtime##*/}"
    scratch=$(mktemp -d)
    chown $who "$scratch"
    words=(env "CASES=/var/tmp/clone/tests/engines/cases" "ENGINE=$name" "RUNTIME=$runtime" "SCRATCH=$scratch"
      "MANAGER=$manager" "CRICTL=${CRICTL:-}" "FROM=${FROM:-}" "ROW=${ROW:-5}" "ONCE=${ONCE:-3}" PODMAN= PARENT= PODPARENT= PATIENCE=${PATIENCE:-600}
      bash -c '. "$CASES/lib.sh"; . "$CASES/$ENGINE.sh"')
    # A user's cgroups are below the user's own manager.
    [ $who = root ] || words=(systemd-run -q -M $who@ --user --pipe --wait --collect -p Delegate=yes "${words[@]}")
    "${words[@]}" </dev/null 2>&1 || echo "exit code $?"
    rm -rf --one-file-system "$scratch"
  done
  echo "$engine: $((SECONDS - start)) s" >&2
done
echo "#### end"
journalctl -o cat _SYSTEMD_UNIT=rr-warm.service + _SYSTEMD_USER_UNIT=rr-warm.service --no-pager | sed -n 's/^rustyrun: //p' | sort | uniq -c
