"""Installs the filter in argv[1] with the flags in argv[2], then tries calls.

Prints one JSON object: the result or -errno of each call of argv[3], a JSON
object of name -> [number, arguments...].
"""

import ctypes
import json
import sys

with open(sys.argv[1], "rb") as file:
    FILTER = file.read()
FLAGS = int(sys.argv[2])
CALLS = json.loads(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def call(number, *args):
    """The result of a system call, or -errno."""
    ctypes.set_errno(0)
    longs = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = libc.syscall(ctypes.c_long(number), *longs)
    return -ctypes.get_errno() if result == -1 else result


PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
seccomp = 317 if sys.argv[4] == "x86_64" else 277
libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
program = Program(len(FILTER) // 8, FILTER)
results = {
    "seccomp": call(seccomp, SECCOMP_SET_MODE_FILTER, FLAGS, ctypes.byref(program))
}
for name, words in CALLS.items():
    results[name] = call(*words)
print(json.dumps(results))
