"""What tests/c/keeper_test.py starts: the helper's child stage, warden and keeper,
with this script in the place of the host stage.

    keeper_box.py HELPER SPEC    becomes a keeper, as SPEC (JSON) says
"""
import array
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OPS = {
    m[1]: (int(m[2]), m[3])
    for m in re.finditer(r'X\((\w+), (\d+), "(\w*)"\)',
                         open(f"{HERE}/../../c/plan.h").read())
}
CLONE_NEWPID = 0x20000000
CLONE_NEWNS = 0x00020000
SYNC_CGROUPS = 1
SYNC_START = 5
SYNC_MAPS = 2
# How long what must happen may take: a busy machine takes its time, and one that
# hangs is found all the same.
LIMIT = 60 * float(os.environ.get("RUSTYRUN_SLOW", "1"))


def encode(ops, fds=()):
    """A plan: ops are (NAME, args...); slots are numbers."""
    out = bytearray()

    def blob(data, count, nul):
        out.extend(struct.pack("<II", len(data), count) + data)
        if nul:
            out.append(0)
        out.extend(bytes(-len(out) % 8))

    for name, *args in ops:
        code, kinds = OPS[name]
        assert len(args) == len(kinds), name
        head = len(out)
        out.extend(bytes(8))
        for kind, value in zip(kinds, args):
            if kind in "nf":
                out.extend(struct.pack("<q", value))
            elif kind == "s":
                blob(value.encode(), 0, True)
            elif kind == "b":
                blob(bytes(value), 0, False)
            else:
                data = b"".join(s.encode() + b"\0" for s in value)
                blob(data, len(value), False)
        struct.pack_into("<HHI", out, head, code, 0, len(out) - head)
    table = b"".join(struct.pack("<i", fd) for fd in fds)
    table += bytes(-len(table) % 8)
    size = 24 + len(table) + len(out)
    return struct.pack("<8sIIII", b"RUSTYPLN", 1, size, len(ops),
                       len(fds)) + table + bytes(out)


def sealed(data, name):
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, 1033, 15)  # F_ADD_SEALS
    return fd


def teardown_ops(spec, state_slot):
    ops = [("K_CGROUP", *c) for c in spec.get("cgroups", [])]
    ops += [("K_TREE", *t, spec.get("owner", -1))
            for t in spec.get("trees", [])]
    if spec.get("state"):
        ops.append(("K_STATE", *spec["state"], state_slot))
    flags = (not spec.get("pidns", True), spec.get("ends"), spec.get("init"),
             spec.get("tty"))
    ops.append(("K_FLAGS", sum(1 << n for n, on in enumerate(flags) if on)))
    return ops


def child_ops(spec, config):
    """slots: 0 channel, 1 control, 2 the state up to the warden, then devpts,
    3 master, 4 peer"""
    ops = []
    if spec.get("warden", True):
        ops.append(("WARDEN", 1, config))
    ops.append(("SYNC", SYNC_CGROUPS))
    if spec.get("userns"):
        ops += [("UNSHARE", 0x10000000), ("SYNC", SYNC_MAPS)]
    ops.append(("FORK", CLONE_NEWPID | CLONE_NEWNS
                if spec.get("pidns", True) else CLONE_NEWNS, -1))
    for root, path, _, kind in spec.get("cgroups", []):
        name = "cgroup.procs" if kind == 2 else "tasks"
        ops.append(("WRITE", -1, f"{root}/{path}/{name}", b"0", os.O_WRONLY))
    ops.append(("SETSID",))
    if spec.get("tty"):
        ops += [("OPEN", 2, -1, "/dev/pts", os.O_PATH | os.O_DIRECTORY, 0, 0),
                ("PTY", 3, 4, 2, 24, 80), ("SEND_FD", 3, 1), ("CTTY", 4)]
        ops += [("DUP", 4, fd) for fd in range(3)]
    if spec.get("init"):
        ops.append(("INIT", 0))
    ops += [("CLOSE_FDS", 0, -1), ("FIND_EXEC", [spec["argv"][0]]),
            ("SYNC", SYNC_START), ("SIGNALS", 0),
            ("EXEC", spec["argv"], [f"{k}={v}" for k, v in os.environ.items()])]
    return ops


def receive(sock):
    data, anc, _, _ = sock.recvmsg(272, 256)
    fds = array.array("i")
    for _, _, more in anc:
        fds.frombytes(more[:len(more) - len(more) % 4])
    if len(data) < 272:
        return None, 0, 0, []
    kind, _, err, detail = struct.unpack_from("<IIii", data)
    return kind, err, detail, list(fds)


def stop_here(spec, place, **more):
    if spec.get("stop_at") == place:
        tell(spec, place, **more)
        signal.pause()


def tell(spec, place, **more):
    with open(spec["tell"] + ".new", "w") as f:
        json.dump({"place": place, **more}, f)
    os.rename(spec["tell"] + ".new", spec["tell"])


def stop_maps(spec, pid, channel):
    """The test, which is root, writes the maps."""
    tell(spec, "maps", pid=pid)
    wait_until(lambda: open(f"/proc/{pid}/gid_map").read())
    os.unlink(spec["tell"])
    channel.send(b"g")


def keeper_ops(spec, pid, warden, master):
    ops = [("K_RUN", pid, warden, 0, 1, 2 if master >= 0 else -1)]
    ops += teardown_ops(spec, 3)
    ops += [("K_TEXT", *t, *[""] * (5 - len(t))) for t in spec.get("texts", [])]
    ops += [("K_COUNT", *c) for c in spec.get("counts", [])]
    if "result" in spec:
        ops.append(("K_RESULT", 4, *spec["result"][1:]))
    for key, name in (("oom", "K_OOM"), ("json", "K_JSON"),
                      ("refuse", "K_REFUSE"), ("delete", "K_DELETE"),
                      ("time", "K_TIME")):
        if key in spec:
            ops.append((name, *spec[key]))
    return ops


def send_pending(spec):
    if spec.get("pending"):
        signal.pthread_sigmask(signal.SIG_BLOCK, spec["pending"])
        for sig in spec["pending"]:
            os.system(f"kill -{sig} {os.getpid()}")


def linger(spec, theirs, others):
    """A process of the helper that has yet to end: it holds the channel until
    the test opens the pipe."""
    if os.fork() == 0:
        for it in others:
            it.close()
        os.close(1)
        os.close(os.open(spec["lingers"], os.O_RDONLY))
        os._exit(0)
    theirs.close()


def launch(spec):
    """The host stage's part: never returns."""
    for sig in spec.get("ignore", []):
        signal.signal(sig, signal.SIG_IGN)
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    state = -1
    if spec.get("state"):
        state = os.open("/".join(spec["state"]), os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(state, fcntl.LOCK_EX)
        os.set_inheritable(state, True)
    # Its descriptors are slots of the plan around it.
    config = encode(teardown_ops(spec, 0), [2] if state >= 0 else [])
    # The warden's are the plan's as well: anything else is closed.
    slots = [theirs.fileno(), far.fileno()] + [state] * (state >= 0)
    fd = sealed(encode(child_ops(spec, config), slots), "plan")
    helper = subprocess.Popen([Box.helper, "child", str(fd)],
                              pass_fds=[fd] + slots)
    lingering = theirs.dup() if spec.get("lingers") else None
    theirs.close()
    far.close()
    for root, path, *_ in spec.get("cgroups", []):
        os.makedirs(f"{root}/{path}", exist_ok=True)
    stop_here(spec, "made")
    if spec.get("not_ours"):
        control.send(b"N")
        sys.exit(1)
    control.send(b"C")
    stop_here(spec, "owned")
    channel.send(b"g")
    pid, master, ready = 0, -1, False
    while not (pid and ready):  # either may report first
        kind, err, detail, fds = receive(channel)
        if kind == 3:
            pid = detail
            stop_here(spec, "forked", init=pid)
        elif kind == 8:  # the warden has split off
            pass
        elif kind == 5:
            master = fds[0]
        elif kind == 2:
            if detail == SYNC_MAPS:  # errno: the pid that is to be mapped
                stop_maps(spec, err, channel)
            ready = detail == SYNC_START
        else:
            sys.exit(f"launch: report {kind} errno {err}")
    tell(spec, "start", init=pid, warden=helper.pid)
    stop_here(spec, "start", init=pid, warden=helper.pid)
    if spec.get("kill_init"):
        os.kill(pid, spec["kill_init"])
    inherited = [channel.fileno(), control.fileno(), master, state,
                 spec.get("result", [-1])[0]]
    for i, n in enumerate(inherited):
        if n < 0:
            inherited[i] = channel.fileno()
        os.set_inheritable(inherited[i], True)
    if spec.get("lingers"):
        linger(spec, lingering, (channel, control))
    warden = helper.pid if spec.get("warden", True) else 0
    fd = sealed(encode(keeper_ops(spec, pid, warden, master), inherited),
                "keeper")
    os.set_inheritable(fd, True)
    send_pending(spec)
    os.execv(Box.helper, [Box.helper, "keeper", str(fd)])


def alive(pid):
    try:
        return state_of(pid) not in "ZX"
    except OSError:
        return False


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def wait_until(what, why="", seconds=LIMIT):
    """Returns what `what` returns, once that is true. A process that it looks
    at may not be there yet, or just end."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = what()
        except (FileNotFoundError, ProcessLookupError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            why = why() if callable(why) else why or what
            raise AssertionError(f"waited in vain for {why}")
        time.sleep(0.01)


def read(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


def state_of(pid):
    """The letter: R, S, T, Z; proc_pid_stat(5)."""
    return read(pid, "stat").rsplit(")", 1)[1].split()[0]


def find_cgroups():
    """[(root, kind)]: what this machine has to kill and to be removed."""
    found = []
    if os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        found.append(("/sys/fs/cgroup", 2))
    for name, kind in (("freezer", 1), ("pids", 0), ("unified", 2)):
        if os.path.exists(f"/sys/fs/cgroup/{name}/cgroup.procs"):
            found.append((f"/sys/fs/cgroup/{name}", kind))
    return found


class Box:
    """One launched container."""

    all = []
    helper = ""

    def __init__(self, argv, **spec):
        self.dir = tempfile.TemporaryDirectory()
        os.chmod(self.dir.name, 0o777)
        popen = spec.pop("popen", {})
        self.spec = {"argv": argv, "tell": f"{self.dir.name}/tell", **spec}
        self.proc = subprocess.Popen(
            ["/usr/bin/python3", f"{HERE}/keeper_box.py", Box.helper,
             json.dumps(self.spec)],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, **popen})
        self.pid = self.proc.pid
        Box.all.append(self)

    def told(self, place=None):
        """What the host stage told last, of that place if one is named: the one
        before it is taken back."""
        def look():
            ended = self.proc.poll() is not None
            try:
                with open(self.spec["tell"]) as f:
                    said = json.load(f)
            except FileNotFoundError:
                said = None
            if said and place in (None, said["place"]):
                return said
            if ended:
                raise AssertionError(f"no container: {self.end()}")

        return wait_until(look, f"{place or 'a word of the host stage'}")

    def sockets(self):
        """How many the keeper has open beside its stdio: the channel until the
        command runs, and the one to the warden."""
        found = 0
        for n in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found += int(n) > 2 and os.readlink(
                    f"/proc/{self.pid}/fd/{n}").startswith("socket:")
            except OSError:
                continue  # it has just been closed
        return found

    def wait_for_command(self):
        """Until the keeper has seen that the command runs: the end of the
        channel, which comes when execve(2) is over."""
        wait_until(lambda: read(self.pid, "comm") == "rustyrun\n" and
                   self.sockets() == 1, "the command")

    def running(self):
        """The pid of init, once the keeper knows that the command runs."""
        init = self.told("start")["init"]
        self.wait_for_command()
        return init

    def took_signals(self):
        """Waits until the keeper has taken every signal and done with it: none
        is pending, and it sleeps again, or it is over."""
        def done():
            if self.proc.poll() is not None:
                return True
            pending = re.findall(r"^S[a-zA-Z]*Pnd:\s*(\w+)",
                                 read(self.pid, "status"), re.M)
            return not any(int(it, 16) for it in pending) and (
                state_of(self.pid) in "SZ")

        wait_until(done, "the keeper's sleep")

    def end(self, seconds=LIMIT):
        out, err = self.proc.communicate(timeout=seconds)
        return self.proc.returncode, out.decode(), err.decode()


if __name__ == "__main__":
    Box.helper = sys.argv[1]
    launch(json.loads(sys.argv[2]))
