"""Runs a command in a terminal and drives it: pty_driver.py STEPS COMMAND...

STEPS is a JSON list: ["expect", TEXT], ["send", TEXT], ["resize", ROWS, COLS],
["raw", true|false] (waits until the terminal is or is not in raw mode),
["signal", NAME], ["press", TEXT] (again and again, until the command has
ended). Prints one JSON object: what the terminal showed, the exit
code, whether the terminal is as it was before. Ends with 1 when a step waits
longer than 60 s."""

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

END = "\x1e(the end)\x1e"
LIMIT = 60 * float(os.environ.get("RUSTYRUN_SLOW", "1"))


def is_raw(fd):
    flags = termios.tcgetattr(fd)[3]
    return not flags & (termios.ECHO | termios.ICANON | termios.ISIG)


def main():
    steps, command = json.loads(sys.argv[1]), sys.argv[2:]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 100)
        os.execvp(command[0], command)
    shown, seen, exited = "", 0, None

    def read(wait):
        nonlocal shown, exited
        if select.select([master], [], [], wait)[0]:
            shown += os.read(master, 65536).decode(errors="replace")
            return True
        if exited is None:
            got, status = os.waitpid(pid, os.WNOHANG)
            exited = os.waitstatus_to_exitcode(status) if got else None
        return False

    def drain():
        """What was written last may still be on its way through the kernel: a
        word of our own behind it tells when all has come."""
        nonlocal shown
        os.write(slave, END.encode())
        until = time.monotonic() + LIMIT
        while END not in shown and time.monotonic() < until:
            read(0.02)
        shown = shown.replace(END, "")

    def wait_for(step, done):
        until = time.monotonic() + LIMIT
        while not done():
            if exited is not None or time.monotonic() > until:
                # What it wrote between our last look and its end.
                drain()
                if done():
                    return
                print(json.dumps({"stuck": step, "shown": shown, "code": exited}))
                if exited is None:
                    os.kill(pid, signal.SIGKILL)
                sys.exit(1)
            read(0.02)

    for step in steps:
        kind, *args = step
        if kind == "expect":
            wait_for(step, lambda: args[0] in shown[seen:])
            seen = shown.index(args[0], seen) + len(args[0])
        elif kind == "send":
            os.write(master, args[0].encode())
        elif kind == "resize":
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *args, 0, 0))
        elif kind == "raw":
            wait_for(step, lambda: is_raw(slave) == args[0])
        elif kind == "press":
            until = time.monotonic() + LIMIT
            while exited is None and time.monotonic() < until:
                os.write(master, args[0].encode())
                until_next = time.monotonic() + 0.1
                while exited is None and time.monotonic() < until_next:
                    read(0.02)
        elif kind == "signal":
            os.kill(pid, getattr(signal, args[0]))
    wait_for("end", lambda: exited is not None)
    drain()
    until = time.monotonic() + LIMIT
    # After SIGKILL it is another that puts it back.
    while exited == -9 and is_raw(slave) and time.monotonic() < until:
        time.sleep(0.01)
    same = termios.tcgetattr(slave) == before
    print(json.dumps({"shown": shown, "code": exited, "restored": same}))


main()
