# What the cases of all engines share (tests/engines/cases.ts runs them): each
# case prints what a user of the engine sees, without what differs by itself from
# run to run. RUNTIME is the program under test, LABEL a word for names.
# shellcheck shell=bash

export LANG=C.UTF-8 TERM=dumb
unset NOTIFY_SOCKET
BUSYBOX=${BUSYBOX:-/opt/busybox}
export SCRATCH CASES ENGINE RUNTIME
export IMAGE=${IMAGE:-localhost/busybox:latest}

# Ids, pids, times and the runtime's own name and place are never the same.
plain() {
  sed -E -e 's/\x1b\[[0-9;]*[a-z]//g; s/\r//g' \
    -e 's/[0-9a-f]{64}/ID/g; s/\b[0-9a-f]{12}\b/ID/g' \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+( ?[-+][0-9:]+| UTC|Z)*/TIME/g' \
    -e 's/\b[A-Z][a-z]{2} +[0-9]+ [0-9]{2}:[0-9]{2}\b/TIME/g' \
    -e "s,$RUNTIME,RUNTIME,g; s,$SCRATCH,SCRATCH,g; s,${ROOM:-rr-no-room},ROOM,g"
}

# A command on a terminal: a shell is asked for its terminal and for a sum. What
# a shell draws around its prompt depends on when the size comes.
typed() {
  local code=0
  python3 "$CASES/../terminal.py" 200 '[["#", "tty; echo $((6*7))\n"], ["\n42", "exit 5\n"]]' "$@" >"$SCRATCH/shown" || code=$?
  plain <"$SCRATCH/shown" | grep -o -e '^/dev/[a-z0-9/]*$' -e '^42$'
  return $code
}

# The mounts inside; what hides a path is each runtime's own choice.
export MOUNTS='cut -d" " -f2- /proc/mounts | grep -v "^/[[:space:]]" | sed -E "s,^(/proc/[a-z_-]+|/sys/[a-z]+|/sys/dev/block) (tmpfs|devtmpfs) .*,\1 hidden," | sort'

# One case (none before that which FROM names): its name, and a command, of which it prints standard output, then
# standard error (each line after "! "), then the exit code where it is not 0.
tell() {
  local name=$1 code=0
  shift
  [ -z "${FROM:-}" ] || [ "$FROM" = "$name" ] || return 0
  FROM=
  echo "== $name"
  "$@" </dev/null >"$SCRATCH/out" 2>"$SCRATCH/err" || code=$?
  plain <"$SCRATCH/out"
  plain <"$SCRATCH/err" | sed 's/^/! /'
  [ "$code" = 0 ] || echo "-> $code"
}

# The same for a case of several commands.
script() { tell "$1" bash -c ". '$CASES/lib.sh'; . '$CASES/$ENGINE.sh' functions; $2" bash; }

# Waits until a command succeeds; says which one did not, in the transcript.
await() {
  local end=$((SECONDS + ${PATIENCE:-240}))
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -gt $end ]; then
      echo "It never came true: $*"
      return 1
    fi
    sleep 0.2
  done
}

# Whether a command prints a text.
prints() {
  local text=$1
  shift
  "$@" 2>&1 | grep -qe "$text"
}
