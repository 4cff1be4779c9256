"""Runs a command on a terminal of its own and types to it: waits for a text,
writes a line, and so on, as tests/engines/room.ts tells.

    python3 terminal.py '[["wait for", "type this\\n"], ...]' COMMAND ARGS...

Prints what the terminal showed; exits as the command did, 124 when a text does
not come.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

SECONDS = 20

steps = json.loads(sys.argv[1])
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
shown = b""
done = 0
until = time.monotonic() + SECONDS
late = False
while True:
    left = until - time.monotonic()
    if left <= 0:
        late = True
        os.kill(pid, 9)
        break
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
    while steps and steps[0][0].encode() in shown[done:]:
        want, line = steps.pop(0)
        done = shown.index(want.encode(), done) + len(want.encode())
        os.write(master, line.encode())
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(124 if late else os.waitstatus_to_exitcode(status) & 0xFF)
