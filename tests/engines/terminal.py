"""Runs a command on a terminal of its own and types to it: waits for a text,
writes a line, and so on, as tests/engines/room.ts tells.

    python3 terminal.py SECONDS '[["wait for", "type this\\n"], ...]' COMMAND ARGS...

Prints what the terminal showed; exits as the command did. When that takes
longer, ends the command, says on standard error what did not come, exits 124.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

# How long an engine may take to remove its container when it is told to end.
GRACE = 20

seconds = float(sys.argv[1])
steps = json.loads(sys.argv[2])
pid, master = pty.fork()
if pid == 0:
    # Before anybody looks: an engine reads the size once, at its start.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])
shown = b""
done = 0
until = time.monotonic() + seconds
late = 0
while True:
    left = until - time.monotonic()
    if left <= 0:
        os.kill(pid, signal.SIGTERM if late == 0 else signal.SIGKILL)
        late += 1
        until = time.monotonic() + GRACE
        if late > 2:
            break
        continue
    if not select.select([master], [], [], left)[0]:
        continue
    try:
        data = os.read(master, 4096)
    except OSError:
        # The last holder of the other end has closed it: EIO.
        break
    if not data:
        break
    shown += data
    while late == 0 and steps and steps[0][0].encode() in shown[done:]:
        want, line = steps.pop(0)
        done = shown.index(want.encode(), done) + len(want.encode())
        os.write(master, line.encode())
# What still runs on the terminal is hung up on.
os.close(master)
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
if late > 0:
    missing = repr(steps[0][0]) if steps else "the end of the command"
    print(f"late: {missing} did not come in {seconds:g} s", file=sys.stderr)
    sys.exit(124)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
