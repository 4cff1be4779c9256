#!/usr/bin/env bash
# Runs cases of engines in a guest, as root: guest.sh CLONE DENO CACHE ENGINE...
# CLONE, DENO and CACHE are on read-only shares. Each ENGINE once with runc and once
# with rustyrun: "docker", "podman", "podman:cgroupfs", "podman:rootless",
# "podman:rootless:cgroupfs", "containerd", "swarm"; "docker:cold" without the warm
# engine. Each transcript follows a line "#### ENGINE RUNTIME".
set -euo pipefail
clone=$1 deno=$2 cache=$3
shift 3
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /var/tmp/clone /var/tmp/deno /opt/rr
cp -r "$clone/dist" "$clone/tests" "$clone/mod" "$clone/ffi" "$clone"/deno.* /var/tmp/clone
cp -r "$cache/npm" /var/tmp/deno
chmod -R a+rX /var/tmp/clone /opt/rr
install -m 755 "$deno" /usr/local/bin/deno
program=/var/tmp/clone/dist/rustyrun.js
touch $program

# The same program without and with a warm engine. Emulated, even a warm engine's
# first word takes longer than a front waits by itself.
cat >/opt/rr/cold <<SH
#!/bin/sh
HOME=\${HOME:-/tmp} DENO_DIR=/tmp/rr-deno-\$(id -u) exec /usr/local/bin/deno run -q -A --no-config --v8-flags=--no-lazy $program "\$@"
SH
chmod 755 /opt/rr/cold
cat >/var/tmp/clone/front.ts <<TS
import { encodeFront } from "/var/tmp/clone/mod/serve/protocol.ts";
const plain = Deno.readFileSync("/var/tmp/clone/dist/rustyrun-front-" + Deno.build.arch);
const program = ["/opt/rr/cold"];
const front = encodeFront(plain, { program, socket: "/run/rr-serve/s", patience: 5000 });
Deno.writeFileSync("/opt/rr/rustyrun", front, { mode: 0o755 });
TS
DENO_DIR=/var/tmp/deno deno run -A --no-check --cached-only /var/tmp/clone/front.ts
mkdir -p -m 700 /run/rr-serve
systemd-run -q --unit=rr-warm -p KillMode=process --setenv=DENO_DIR=/var/tmp/deno \
  --setenv=PATH="$PATH" /opt/rr/cold --verbose serve --socket /run/rr-serve/s --idle 0
until [ -e /run/rr-serve/s ]; do sleep 0.2; done

for engine in "$@"; do
  IFS=: read -r name first second <<<"$engine:"
  rustyrun=/opt/rr/rustyrun who=root manager=systemd
  for word in $first ${second%:}; do
    case $word in
      cold) rustyrun=/opt/rr/cold ;;
      rootless) who=tester rustyrun=/opt/rr/cold ;;
      cgroupfs) manager=cgroupfs ;;
    esac
  done
  for runtime in /usr/sbin/runc $rustyrun; do
    echo "#### $engine ${runtime##*/}"
    scratch=$(mktemp -d)
    chown $who "$scratch"
    words=(env "CASES=/var/tmp/clone/tests/engines/cases" "ENGINE=$name" "RUNTIME=$runtime" "SCRATCH=$scratch"
      "MANAGER=$manager" "CRICTL=${CRICTL:-}" "ROW=${ROW:-5}" "ONCE=${ONCE:-3}" PODMAN= PARENT= PODPARENT= PATIENCE=600
      bash -c '. "$CASES/lib.sh"; . "$CASES/$ENGINE.sh"')
    # A user's cgroups are below the user's own manager.
    [ $who = root ] || words=(systemd-run -q -M $who@ --user --pipe --wait --collect -p Delegate=yes "${words[@]}")
    "${words[@]}" </dev/null 2>&1 || echo "exit code $?"
    rm -rf --one-file-system "$scratch"
  done
done
echo "#### end"
journalctl -u rr-warm -o cat --no-pager | sed -n 's/^rustyrun: //p' | sort | uniq -c
