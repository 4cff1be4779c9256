"""A caller of an OCI runtime, as conmon and containerd's shim are: a subreaper
that keeps pipes and listens on sockets. tests/integration/caller.ts drives it:
one JSON object a line on stdin, one answer a line on stdout.
"""

import array
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
SECONDS = 60 * float(os.environ.get("RUSTYRUN_SLOW", "1"))

libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl")

# What is kept from one request to the next, by name.
streams = {}
sockets = {}
# For reap(): subprocess reaps by itself, at its next start, whom nobody holds.
background = []


def at_path(path, act):
    """bind(2) where the path is longer than an address has room for."""
    dir_fd = os.open(os.path.dirname(path), os.O_PATH)
    try:
        return act(f"/proc/self/fd/{dir_fd}/{os.path.basename(path)}")
    finally:
        os.close(dir_fd)


def prepare(request):
    """What happens in the child before it becomes the runtime."""
    fds = request.get("fds", [])
    activate = request.get("activate", 0)

    def run():
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number, path in enumerate(fds, start=3):
            # Not where another of them shall be.
            fd = os.open(path, os.O_RDONLY)
            os.dup2(fd, number + 100)
            os.close(fd)
        for number in range(3, 3 + len(fds)):
            os.dup2(number + 100, number)
            os.close(number + 100)
        if activate:
            os.environ.clear()
            os.environ.update(request["env"])
            os.environ["LISTEN_FDS"] = str(activate)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.execve(request["argv"][0], request["argv"], os.environ)

    return run


def start(request, **stdio):
    keep = tuple(range(3, 3 + len(request.get("fds", []))))
    return subprocess.Popen(
        request["argv"],
        env=request["env"],
        cwd=request.get("cwd", "/"),
        close_fds=not keep,
        pass_fds=(),
        preexec_fn=prepare(request),
        **stdio,
    )


def call(request):
    """Runs the runtime to its end, and to the end of what it prints."""
    child = start(
        request,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if request.get("merged") else subprocess.PIPE,
    )
    try:
        out, err = child.communicate(
            request.get("stdin", "").encode(), timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        out += b"(and went on for ever)"
    return {
        "code": child.returncode,
        "stdout": out.decode(),
        "stderr": (err or b"").decode(),
    }


def hold(request):
    """Runs the runtime with pipes that the container is to inherit, and waits
    for the runtime alone."""
    ends = {name: os.pipe() for name in ("stdout", "stderr")}
    child = start(
        request,
        stdin=subprocess.DEVNULL,
        stdout=ends["stdout"][1],
        stderr=ends["stderr"][1],
    )
    for name, (reader, writer) in ends.items():
        os.close(writer)
        if name in streams:
            os.close(streams[name])
        streams[name] = reader
    if request.get("background"):
        background.append(child)
        return {"pid": child.pid}
    return {"code": child.wait(timeout=SECONDS), "pid": child.pid}


def read(request):
    """Reads a stream to its end, or until it shows a text."""
    fd = streams[request["stream"]]
    want = request.get("until")
    shown, end, over = b"", False, time.monotonic() + SECONDS
    while want is None or want.encode() not in shown:
        left = over - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if data == b"":
            end = True
            break
        shown += data
    return {"text": shown.decode(), "end": end}


def write(request):
    os.write(streams[request["stream"]], request["text"].encode())
    return {}


def listen(request):
    """Listens as runtimes are told to connect; "datagram" for readiness."""
    kind = socket.SOCK_DGRAM if request.get("datagram") else socket.SOCK_STREAM
    it = socket.socket(socket.AF_UNIX, kind)
    at_path(request["path"], it.bind)
    if kind == socket.SOCK_STREAM:
        it.listen(5)
    it.settimeout(SECONDS)
    sockets[request["path"]] = it
    return {}


def receive(it):
    data, control, _, _ = it.recvmsg(4096, socket.CMSG_SPACE(16 * 4))
    fds = array.array("i")
    for level, kind, body in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
    return data, list(fds)


def accept(request):
    """Takes everything that one connection brings, and looks for a second."""
    it = sockets.pop(request["path"])
    connection, _ = it.accept()
    connection.settimeout(SECONDS)
    payload, fds = b"", []
    while True:
        data, more = receive(connection)
        if not data:
            break
        payload += data
        fds += more
    it.settimeout(0.05)
    try:
        it.accept()
        others = 1
    except OSError:
        others = 0
    it.close()
    if fds:
        streams[request.get("stream", "console")] = fds[0]
    info = ""
    if fds:
        with open(f"/proc/self/fdinfo/{fds[0]}", encoding="ascii") as file:
            info = file.read()
    return {
        "payload": payload.decode(),
        "fds": len(fds),
        "others": others,
        "info": info,
        "link": os.readlink(f"/proc/self/fd/{fds[0]}") if fds else "",
    }


def datagrams(request):
    """Takes messages until one brings a descriptor: the barrier."""
    it = sockets.pop(request["path"])
    found = []
    try:
        while True:
            data, fds = receive(it)
            found.append(data.decode())
            for fd in fds:
                os.close(fd)
            if fds:
                break
    except OSError:
        found.append("(no barrier)")
    it.close()
    return {"messages": found}


def send(request):
    """Sends a datagram to a path, wherever it leads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it:
        it.sendto(request["text"].encode(), request["path"])
    return {}


def reap(request):
    """wait4(2) on a process: only its parent may."""
    over = time.monotonic() + SECONDS
    while True:
        try:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
        except ChildProcessError:
            return {"error": "not our child"}
        if pid:
            return {"code": os.waitstatus_to_exitcode(status)}
        if time.monotonic() > over:
            return {"error": "it does not end"}
        time.sleep(0.005)


def live(request, name):
    """One life of a container; returns what went wrong, "" for nothing."""
    base = request["argv"]
    pid_file = f"{request['dir']}/{name}.pid"
    bundle = f"{request['dir']}/{name}"
    # One config.json each: its cgroup has the container's name.
    os.mkdir(bundle)
    with open(f"{request['bundle']}/config.json", encoding="utf-8") as file:
        spec = json.load(file)
    spec["root"]["path"] = f"{request['bundle']}/rootfs"
    spec["linux"]["cgroupsPath"] = f"/{name}"
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
        json.dump(spec, file)
    calls = [
        ["create", "--bundle", bundle, "--pid-file", pid_file, name],
        ["start", name],
        ["kill", name, "KILL"],
        None,
        ["delete", name],
    ]
    for words in calls:
        if words is None:
            with open(pid_file, encoding="ascii") as file:
                _, status = os.waitpid(int(file.read()), 0)
            if os.waitstatus_to_exitcode(status) != -9:
                return f"{name}: wait status {status}"
            continue
        with open(f"{bundle}/out", "w+b") as out:
            child = subprocess.run(
                base + words,
                env=request["env"],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
            )
            out.seek(0)
            text = out.read().decode()
        if child.returncode != 0 or text:
            return f"{name}: {words[0]} {child.returncode}: {text}"
    for path in (pid_file, f"{bundle}/config.json", f"{bundle}/out"):
        os.unlink(path)
    os.rmdir(bundle)
    return ""


def cycle(request):
    """Many lives, some at once."""
    todo = iter(range(request["count"]))
    lock = threading.Lock()
    results = []

    def work():
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            result = live(request, f"{request['prefix']}-{number}")
            with lock:
                results.append(result)
            if result:
                return

    threads = [
        threading.Thread(target=work) for _ in range(request["workers"])
    ]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    return {
        "done": len(results),
        "wrong": "; ".join(it for it in results if it),
    }


def descendants(_):
    """Everything below us that lives: we are the subreaper of all of it."""
    over = time.monotonic() + SECONDS
    while True:
        found, todo = [], [os.getpid()]
        while todo:
            pid = todo.pop()
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                    children = [int(word) for word in f.read().split()]
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    name, _, rest = f.read().rpartition(")")
            except OSError:
                continue
            todo += children
            if pid != os.getpid() and rest.split()[0] not in "ZX":
                found.append(name.replace("(", "") or str(pid))
        if not found or time.monotonic() > over:
            return {"left": found}
        time.sleep(0.02)


COMMANDS = {
    it.__name__: it
    for it in (
        call,
        hold,
        read,
        write,
        listen,
        accept,
        cycle,
        datagrams,
        send,
        reap,
        descendants,
    )
}
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = COMMANDS[request["do"]](request)
    except Exception as error:  # pylint: disable=broad-except
        answer = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
