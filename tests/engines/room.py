"""Pid 1 of the room in which an engine's test runs (tests/engines/room.ts):
hides the machine's own container storage, says "ready", reaps for ever.

    unshare -mnpf --mount-proc python3 room.py SCRATCH
"""

import os
import signal
import subprocess
import sys

# What engines keep outside of the directories that they can be told: podman its
# locks in /dev/shm, where those of a run that was ended stay taken.
HIDDEN = ["/run", "/dev/shm", "/var/lib/containers", "/var/lib/cni"]

signal.signal(signal.SIGTERM, signal.SIG_DFL)
for place in [sys.argv[1], *HIDDEN]:
    if os.path.isdir(place):
        subprocess.run(["mount", "-t", "tmpfs", "room", place], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
print("ready", flush=True)
# A child that stays: without one, waitpid would fail and not wait.
if os.fork() == 0:
    sys.stdout.close()
    while True:
        signal.pause()
while True:
    os.waitpid(-1, 0)
