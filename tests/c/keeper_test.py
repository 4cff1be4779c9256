#!/usr/bin/env python3
"""Runs the helper's child stage, keeper and warden for real: signals, exit codes,
the terminal, teardown, and what SIGKILL leaves.

    tests/c/keeper_test.py HELPER [-v] [TEST...]

Needs root; uses whatever cgroup hierarchies this machine has.
"""
import ctypes
import fcntl
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.dont_write_bytecode = True

from keeper_box import (Box, HERE, LIMIT, alive, find_cgroups, read, rss,
                        state_of, wait_until)


class Case(unittest.TestCase):
    def tearDown(self):
        """What a failed test left; the warden does the rest."""
        while Box.all:
            box = Box.all.pop()
            if box.proc.poll() is None:
                box.proc.kill()
                box.proc.wait()

    def interrupt_until_the_end(self, box, press):
        """Three within 2 s end the container. On a busy machine more may pass
        between them, and what was the third is none."""
        def ended():
            if box.proc.poll() is not None:
                return True
            press()
            time.sleep(0.1)

        wait_until(ended, "the end of who ignores Ctrl-C")


SH = "/bin/sh"
# EBUSY or EXDEV, as musl or glibc word them.
BUSY = r"(Resource busy|Device or resource busy|.*[Cc]ross-device link)"
# Of what is made beside temporary directories: a pid comes again.
TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"


class Codes(Case):
    def run_sh(self, script, **spec):
        return Box([SH, "-c", script], **spec).end()

    def test_exit_code(self):
        self.assertEqual(self.run_sh("exit 7"), (7, "", ""))

    def test_output(self):
        self.assertEqual(self.run_sh("echo out; echo err >&2"),
                         (0, "out\n", "err\n"))

    def test_signal_is_128_plus_n(self):
        self.assertEqual(self.run_sh("kill -9 $$", pidns=False)[0], 137)
        self.assertEqual(self.run_sh("kill -TERM $$", pidns=False)[0], 143)

    def test_pid_1_drops_its_own_sigterm(self):
        self.assertEqual(self.run_sh("kill -TERM $$")[0], 0)

    def test_sigkill_from_the_host(self):
        box = Box(["/bin/sleep", "600"])
        os.kill(box.running(), signal.SIGKILL)
        self.assertEqual(box.end()[0], 137)

    def test_without_warden(self):
        self.assertEqual(self.run_sh("exit 3", warden=False)[0], 3)

    def test_late_error_text(self):
        with tempfile.NamedTemporaryFile("w", suffix=".x") as f:
            f.write("#!/no/such/interpreter\n")
            f.flush()
            os.chmod(f.name, 0o755)
            # A copy that nobody has open for writing.
            path = f.name + ".copy"
            with open(path, "w") as g:
                g.write("#!/no/such/interpreter\n")
            os.chmod(path, 0o755)
            self.addCleanup(os.unlink, path)
            code, _, err = Box([path], texts=[
                (-1, 13, 126, "not this\n"), (-1, 2, 127, "no interpreter\n"),
                (-1, -1, 99, "nor this\n")]).end()
            self.assertEqual((code, err), (127, "no interpreter\n"))

    def test_late_error_without_text(self):
        with tempfile.TemporaryDirectory() as d:
            with open(f"{d}/x", "w") as f:
                f.write("#!/no/such/interpreter\n")
            os.chmod(f"{d}/x", 0o755)
            code, _, err = Box([f"{d}/x"]).end()
            self.assertEqual(code, 125)
            self.assertRegex(err, r"^rustyrun: Cannot start the command: "
                             r"operation \d+ failed with errno 2\n$")

    def test_helper_died(self):
        self.assertEqual(
            self.run_sh("echo ran", kill_init=9),
            (125, "", "rustyrun: Cannot start the command: the helper ended "
             "with signal 9\n"))
        self.assertEqual(
            self.run_sh("echo ran", kill_init=9,
                        texts=[(-1, -1, 1, "no"), (-2, 9, 126, "died\n")]),
            (126, "", "died\n"))

    def test_json(self):
        names = ["null"] + [f'"S{n}"' for n in range(1, 10)]
        code, _, err = self.run_sh("exit 5", json=('{"id":"a",', names))
        self.assertEqual(json.loads(err), {"id": "a", "exitCode": 5,
                                           "signal": None, "oom": False})
        code, _, err = self.run_sh("kill -9 $$", pidns=False,
                                   json=('{"id":"a",', names))
        self.assertEqual(json.loads(err), {"id": "a", "exitCode": 137,
                                           "signal": "S9", "oom": False})

    def test_oom_text(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
            f.flush()
            oom = (f.name, "oom_kill", "out of memory: 64 MiB\n")
            names = ["null"]
            code, _, err = self.run_sh("exit 137", oom=oom)
            self.assertEqual((code, err), (137, "out of memory: 64 MiB\n"))
            code, _, err = self.run_sh("exit 1", oom=oom)
            self.assertEqual((code, err), (1, ""))
            # One object: the words are members of the result.
            code, _, err = self.run_sh("exit 137", json=("{", names),
                                       oom=(*oom[:2], '"error":"killed",'))
            self.assertEqual(err, '{"error":"killed","exitCode":137,'
                             '"signal":null,"oom":true}\n')
            f.seek(0)
            f.write("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
            f.flush()
            code, _, err = self.run_sh("exit 137", oom=oom,
                                       json=("{", names))
            self.assertEqual(json.loads(err)["oom"], False)

    def test_delete_runs_and_keeps_the_code(self):
        with tempfile.TemporaryDirectory() as d:
            code, _, err = self.run_sh("exit 4", delete=(
                [SH, "-c", f"echo $X >&2; touch {d}/ran; exit 1"], ["X=y"]))
            self.assertEqual((code, err), (4, "y\n"))
            self.assertTrue(os.path.exists(f"{d}/ran"))

    def test_ignored_sigchld_of_the_caller(self):
        self.assertEqual(self.run_sh("exit 6", ignore=[signal.SIGCHLD])[0], 6)

    def test_caller_sees_the_end_of_stdout(self):
        box = Box([SH, "-c", "exec >&-; sleep 600"])
        self.assertTrue(select.select([box.proc.stdout], [], [], LIMIT)[0])
        self.assertEqual(box.proc.stdout.read(), b"")
        box.wait_for_command()
        box.proc.send_signal(signal.SIGTERM)  # dropped by pid 1
        os.kill(box.told("start")["init"], signal.SIGKILL)
        self.assertEqual(box.proc.wait(LIMIT), 137)
        box.proc.stderr.close()

    def test_command_substitution_never_hangs(self):
        # A background process of the container has stdout, and dies with it.
        self.assertEqual(self.run_sh("sleep 600 & echo hi"), (0, "hi\n", ""))


class Results(Case):
    """kTime, kResult, kCount."""

    NAMES = ["null"] + [f'"S{n}"' for n in range(1, 65)]

    def run_for_result(self, script, argv=None, cpu=-1, **spec):
        """Its exit code and standard error, and its result."""
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        box = Box(argv or [SH, "-c", script], popen={"pass_fds": [theirs]},
                  result=[theirs, cpu, self.NAMES, '{"error":"none"}\n'],
                  **spec)
        os.close(theirs)
        code, _, err = box.end()
        # Nobody else has it open.
        with os.fdopen(os.dup(ours)) as f:
            text = f.read()
        return code, err, json.loads(text)

    def test_time_is_up(self):
        time_up = (200, 124, "time is up\n")
        code, err, got = self.run_for_result("sleep 600", time=time_up)
        self.assertEqual((code, err), (124, "time is up\n"))
        self.assertGreaterEqual(got["wallMs"], 200)
        self.assertEqual(
            [got[it] for it in ("code", "signal", "limit", "timedOut")],
            [124, "S9", "time", True])

    def test_time_is_up_for_who_handles_or_stops(self):
        for script in ("trap '' TERM INT HUP; while :; do sleep 0.1; done",
                       "kill -STOP $$; sleep 600",
                       "sleep 600 & setsid sleep 600 & exec >&- 2>&-; wait"):
            box = Box([SH, "-c", script], time=(200, 124, ""), pidns=True)
            self.assertEqual(box.end()[0], 124)
        box = Box([SH, "-c", "kill -STOP $$"], time=(200, 124, ""), pidns=False)
        self.assertEqual(box.end()[0], 124)

    def test_time_is_up_under_our_init(self):
        code, err, got = self.run_for_result("sleep 600", init=True,
                                             time=(200, 124, "up\n"))
        self.assertEqual((code, err, got["limit"]), (124, "up\n", "time"))

    def test_time_is_not_up(self):
        code, err, got = self.run_for_result("exit 9", time=(600000, 124, "x"))
        self.assertEqual((code, err), (9, ""))
        self.assertEqual(
            [got[it] for it in ("code", "signal", "limit", "timedOut")],
            [9, None, None, False])

    def test_time_is_up_as_json(self):
        code, _, err = Box([SH, "-c", "sleep 600"], json=('{', self.NAMES),
                           time=(200, 124, '"error":"up",')).end()
        self.assertEqual((code, json.loads(err)), (
            124, {"error": "up", "exitCode": 124, "signal": "S9",
                  "oom": False}))

    def test_signal(self):
        code, _, got = self.run_for_result("kill -11 $$", pidns=False)
        self.assertEqual((code, got["code"], got["signal"], got["limit"]),
                         (139, 139, "S11", None))

    def test_signal_before_the_start(self):
        code, _, got = self.run_for_result("echo ran",
                                           pending=[signal.SIGTERM])
        self.assertEqual((code, got["code"], got["signal"]), (143, 143, "S15"))

    def test_start_that_fails(self):
        texts = [(-1, -1, 99, "no\n", '{"error":"no"}\n'),
                 (-2, 9, 98, "died\n", '{"error":"died"}\n')]
        self.assertEqual(
            self.run_for_result("", kill_init=9, texts=texts),
            (98, "died\n", {"error": "died"}))
        code, _, got = self.run_for_result("", kill_init=9, texts=texts[:1])
        self.assertEqual((code, got), (125, {"error": "none"}))

    def test_processor_time(self):
        """Without a cgroup it is what wait4(2) says, of all descendants."""
        spin = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
        _, _, got = self.run_for_result(f"({spin}) & wait; ({spin})")
        self.assertGreater(got["cpuMs"], 10)
        self.assertIsNone(got["peakBytes"])

    def counter(self, text):
        f = tempfile.NamedTemporaryFile("w")
        self.addCleanup(f.close)
        f.write(text)
        f.flush()
        os.chmod(f.name, 0o666)
        return f.name

    def test_counters(self):
        """Of what was counted before, nothing is the command's."""
        cpu = self.counter("user_usec 1\nusage_usec 5000\n")
        pids = self.counter("max 3\n")
        peak = self.counter("4096\n")
        counts = [(1, pids, "max", 1), (2, cpu, "usage_usec", 1000),
                  (3, peak, "", 1)]
        more = f"echo usage_usec 12345 >{cpu}; echo max 4 >{pids};"
        _, _, got = self.run_for_result(f"{more} exit 1", counts=counts)
        self.assertEqual([got[it] for it in ("cpuMs", "peakBytes", "limit")],
                         [7, 4096, "pids"])
        for script in (f"{more} exit 0", "exit 1"):
            for name, text in ((pids, "max 4\n"), (cpu, "usage_usec 0\n")):
                with open(name, "w") as f:
                    f.write(text)
            _, _, got = self.run_for_result(script, counts=counts)
            self.assertIsNone(got["limit"], script)

    def test_memory_before_time(self):
        # A machine that stands still may not come to it in time.
        for ms in (300, 3000, 30000):
            oom = self.counter("oom_kill 0\n")
            code, err, got = self.run_for_result(
                f"echo oom_kill 1 >{oom}; sleep 600", time=(ms, 124, "up\n"),
                counts=[(0, oom, "oom_kill", 1)])
            if got["limit"] == "memory":
                break
        self.assertEqual((code, err, got["limit"], got["timedOut"]),
                         (124, "up\n", "memory", True))

    def test_no_counter_is_null(self):
        missing = [(n, f, key, 1) for n, f, key in (
            (0, "/nonexistent", "x"), (1, self.counter("a 1\n"), "b"),
            (3, self.counter("max\n"), ""))]
        _, _, got = self.run_for_result("exit 1", counts=missing)
        self.assertEqual((got["limit"], got["peakBytes"]), (None, None))

    def test_processor_limit(self):
        for script, cpu, want in (("exit 152", 1, "cpu"), ("exit 152", -1, None),
                                  ("exit 137", 0, "cpu"),
                                  ("exit 137", 1000, None)):
            got = self.run_for_result(script, cpu=cpu)[2]
            self.assertEqual(got["limit"], want, script)
        got = self.run_for_result("kill -XCPU $$", pidns=False)[2]
        self.assertEqual((got["limit"], got["signal"]), ("cpu", "S24"))

    def lose(self, theirs, why):
        box = Box([SH, "-c", "exit 4"], popen={"pass_fds": [theirs]},
                  result=[theirs, -1, self.NAMES, ""])
        code, _, err = box.end()
        self.assertEqual(code, 4)
        self.assertRegex(err, rf"^rustyrun: Cannot write the result to "
                         rf"descriptor \d+: {why}\n$")

    def test_nobody_reads(self):
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(theirs, bytes(4096))
        os.set_blocking(theirs, True)
        self.lose(theirs, "it is full, and nobody reads it")
        os.close(ours)
        self.lose(theirs, "Broken pipe")
        os.close(theirs)

    def test_nobody_reads_a_socket(self):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                theirs.send(bytes(4096))
        theirs.setblocking(True)
        self.lose(theirs.fileno(), "it is full, and nobody reads it")
        ours.close()
        self.lose(theirs.fileno(), "Broken pipe")

    def test_a_file_is_written_at_its_place(self):
        with tempfile.TemporaryFile() as f:
            f.write(b"before\n")
            f.flush()
            Box([SH, "-c", "exit 4"], popen={"pass_fds": [f.fileno()]},
                result=[f.fileno(), -1, self.NAMES, ""]).end()
            f.seek(0)
            self.assertRegex(f.read(), rb'^before\n{"code":4,')


class Signals(Case):
    TRAP = r"""
import os, signal, sys, time
def on(n, f):
    os.write(1, b"%d\n" % n)
    if n == 15: sys.exit(9)
for n in range(1, 65):
    if n not in (9, 17, 19, 32, 33):
        signal.signal(n, on)
os.write(1, b"ready\n")
while True: time.sleep(0.02)  # pause() would race with the handler
"""

    def start(self, **spec):
        box = Box([sys.executable, "-c", self.TRAP], **spec)
        self.assertEqual(box.proc.stdout.readline(), b"ready\n")
        # Who made init may still have the channel: signals would be held.
        box.wait_for_command()
        return box

    def test_every_signal(self):
        box = self.start()
        want = [n for n in range(1, 65)
                if n not in (9, 15, 17, 19, 32, 33)]
        for n in want:
            os.kill(box.pid, n)
            self.assertEqual(box.proc.stdout.readline(), b"%d\n" % n)
        os.kill(box.pid, signal.SIGTERM)
        code, out, err = box.end()
        self.assertEqual((code, out, err), (9, "15\n", ""))

    def test_queued_value_goes_along(self):
        script = ("import signal, os; signal.pthread_sigmask(signal.SIG_BLOCK,"
                  "{40}); os.write(1, b'ready\\n');"
                  "i = signal.sigwaitinfo({40}); print(i.si_code)")
        box = Box([sys.executable, "-c", script])
        line = box.proc.stdout.readline()
        self.assertEqual(line, b"ready\n", line or box.end())
        box.wait_for_command()
        ctypes.CDLL(None).sigqueue(box.pid, 40, ctypes.c_void_p(1234))
        self.assertEqual(box.end()[:2], (0, "-1\n"))

    def test_pending_sigterm_runs_nothing(self):
        box = Box([SH, "-c", "echo ran"], pending=[signal.SIGTERM])
        self.assertEqual(box.end(), (143, "", ""))

    def test_ignored_sighup_does_not_abort(self):
        box = Box([SH, "-c", "echo ran"], pending=[signal.SIGHUP],
                  ignore=[signal.SIGHUP])
        self.assertEqual(box.end(), (0, "ran\n", ""))

    def stays(self, box, *signals):
        """None of the signals ends it."""
        for sig in signals:
            os.kill(box.pid, sig)
            box.took_signals()
        self.assertIsNone(box.proc.poll())
        os.kill(box.told("start")["init"], signal.SIGKILL)
        self.assertEqual(box.end()[0::2], (137, ""))

    def started(self, script, **spec):
        """A python program that has said so, as the first process."""
        box = Box([sys.executable, "-c", "import os, signal, time\n" + script],
                  **spec)
        line = box.proc.stdout.readline()
        self.assertEqual(line, b"ready\n", line or box.end())
        box.wait_for_command()
        return box

    def test_what_pid_1_would_drop_ends_the_container(self):
        for sig in (1, 2, 3, 6, 10, 11, 14, 15, 40, 64):
            box = Box(["/bin/sleep", "600"], ends=True)
            box.running()
            os.kill(box.pid, sig)
            self.assertEqual(box.end(), (128 + sig, "", ""))

    def test_the_result_names_that_signal(self):
        names = ["null"] + [f'"S{n}"' for n in range(1, 65)]
        box = Box(["/bin/sleep", "600"], ends=True, json=("{", names))
        box.running()
        os.kill(box.pid, signal.SIGTERM)
        code, _, err = box.end()
        self.assertEqual((code, json.loads(err)), (
            143, {"exitCode": 143, "signal": "S15", "oom": False}))

    def test_twice_at_once_is_once(self):
        # GNU timeout: to the child, and to the group.
        for times in range(2, 4):
            box = Box(["/bin/sleep", "600"], ends=True)
            box.running()
            for _ in range(times):
                os.kill(box.pid, signal.SIGTERM)
            self.assertEqual(box.end(), (143, "", ""))

    def test_what_ends_no_process_ends_no_container(self):
        box = Box(["/bin/sleep", "600"], ends=True)
        box.running()
        self.stays(box, 17, 18, 20, 21, 22, 23, 28)

    def test_an_engines_signal_is_passed_on_and_no_more(self):
        box = Box(["/bin/sleep", "600"], refuse=("third\n",))
        box.running()
        self.stays(box, 15, 2, 2, 2, 2, 3, 1)

    def test_who_takes_a_signal_is_not_ended_by_it(self):
        for take in (
                "signal.signal(15, signal.SIG_IGN)",
                "signal.signal(15, lambda *a: None)",
                "signal.pthread_sigmask(signal.SIG_BLOCK, {15})"):
            box = self.started(
                f"{take}; os.write(1, b'ready\\n')\n"
                "while True: time.sleep(1000)", ends=True)
            self.stays(box, 15, 15)

    def test_who_sits_in_sigwait_takes_a_signal(self):
        # In there it is not blocked: a small init, tini for instance.
        box = self.started(
            "all = {2, 15}; signal.pthread_sigmask(signal.SIG_BLOCK, all)\n"
            "os.write(1, b'ready\\n')\n"
            "while True: os.write(1, b'%d\\n' % signal.sigwait(all))",
            ends=True)
        init = box.told("start")["init"]
        for sig in (2, 15, 2, 2, 2):
            wait_until(lambda: state_of(init) == "S")
            os.kill(box.pid, sig)
            self.assertEqual(box.proc.stdout.readline(), b"%d\n" % sig)
        self.stays(box)

    def test_who_sits_in_sigwait_for_another_drops_it(self):
        box = self.started(
            "signal.pthread_sigmask(signal.SIG_BLOCK, {10})\n"
            "os.write(1, b'ready\\n')\n"
            "signal.sigwait({10})", ends=True)
        os.kill(box.pid, signal.SIGTERM)
        self.assertEqual(box.end()[0], 143)

    def test_what_the_caller_ignores_ends_nothing(self):
        box = Box(["/bin/sleep", "600"], ends=True,
                  ignore=[signal.SIGHUP, signal.SIGINT])
        box.running()
        self.stays(box, 1, 2, 2, 2)

    def test_init_passes_every_interrupt_on(self):
        box = self.start(ends=True, init=True, refuse=("third\n",))
        for _ in range(4):
            os.kill(box.pid, signal.SIGINT)
            self.assertEqual(box.proc.stdout.readline(), b"2\n")
        os.kill(box.pid, signal.SIGTERM)
        self.assertEqual(box.end(), (9, "15\n", ""))

    def test_init_passes_a_value_on(self):
        box = self.started(
            "signal.pthread_sigmask(signal.SIG_BLOCK, {40})\n"
            "os.write(1, b'ready\\n'); print(signal.sigwaitinfo({40}).si_code)",
            init=True)
        ctypes.CDLL(None).sigqueue(box.pid, 40, ctypes.c_void_p(1234))
        self.assertEqual(box.end()[:2], (0, "-1\n"))

    def test_second_interrupt_to_who_handles_it(self):
        box = self.start(refuse=("third\n",), ends=True)
        for _ in range(3):
            os.kill(box.pid, signal.SIGINT)
            self.assertEqual(box.proc.stdout.readline(), b"2\n")
        os.kill(box.pid, signal.SIGTERM)
        self.assertEqual(box.end()[0], 9)

    def start_lingering(self, argv, says, **spec):
        """A command that runs while somebody still has the channel."""
        pipes = tempfile.TemporaryDirectory()
        self.addCleanup(pipes.cleanup)
        self.pipe = f"{pipes.name}/lingers"
        os.mkfifo(self.pipe)
        box = Box(argv, lingers=self.pipe, **spec)
        self.assertEqual(box.proc.stdout.readline(), says)
        self.assertEqual(box.sockets(), 2)
        return box

    def let_go(self, box):
        os.close(os.open(self.pipe, os.O_WRONLY))
        box.wait_for_command()

    def test_a_signal_as_the_command_starts_is_the_commands(self):
        script = ("import signal, os; signal.pthread_sigmask(signal.SIG_BLOCK,"
                  "{15}); os.write(1, b'ready\\n'); i = signal.sigwaitinfo({15});"
                  "os.write(1, b'%d' % i.si_code)")
        box = self.start_lingering([sys.executable, "-c", script], b"ready\n")
        ctypes.CDLL(None).sigqueue(box.pid, 15, ctypes.c_void_p(1234))
        box.took_signals()
        os.close(os.open(self.pipe, os.O_WRONLY))
        self.assertEqual(box.end(), (0, "-1", ""))

    def test_a_signal_that_comes_again_ends_the_start(self):
        box = self.start_lingering(
            [SH, "-c", "trap '' TERM; echo ready; sleep 600"], b"ready\n")
        os.kill(box.pid, signal.SIGTERM)
        box.took_signals()
        self.assertIsNone(box.proc.poll())
        os.kill(box.pid, signal.SIGTERM)
        box.took_signals()
        os.close(os.open(self.pipe, os.O_WRONLY))
        self.assertEqual(box.end(), (143, "", ""))

    def test_an_interrupt_as_the_command_starts_is_the_commands(self):
        box = self.start_lingering([SH, "-c", "echo ready; exec sleep 600"],
                                   b"ready\n", ends=True)
        wait_until(lambda: read(box.told("start")["init"], "comm") == "sleep\n")
        os.kill(box.pid, signal.SIGINT)
        box.took_signals()
        self.assertIsNone(box.proc.poll())
        os.close(os.open(self.pipe, os.O_WRONLY))
        self.assertEqual(box.end(), (130, "", ""))


class Terminal(Case):
    def start(self, argv, **spec):
        self.master, peer = pty.openpty()
        self.rest = b""
        self.addCleanup(os.close, self.master)
        fcntl.ioctl(peer, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        self.before = termios.tcgetattr(peer)

        def front():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        box = Box(argv, **{"tty": True, "popen": {
            "stdin": peer, "stdout": peer, "stderr": peer,
            "preexec_fn": front}, **spec})
        self.close_peer()  # of the box before
        self.peer = peer
        self.addCleanup(self.close_peer)
        return box

    peer = -1

    def close_peer(self):
        if self.peer >= 0:
            os.close(self.peer)
        self.peer = -1

    def read_until(self, text, seconds=LIMIT):
        data, self.rest = self.rest, b""
        end = time.monotonic() + seconds
        while text not in data and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                data += os.read(self.master, 65536)
        self.assertIn(text, data)
        at = data.index(text) + len(text)
        self.rest = data[at:]
        return data[:at]

    def test_size_and_resize(self):
        box = self.start([SH, "-c", "stty size; trap 'stty size; exit 5' WINCH;"
                          "echo ready; while :; do sleep 0.05; done"])
        self.read_until(b"33 99\r\n")
        self.read_until(b"ready")
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 44, 120, 0, 0))
        self.read_until(b"44 120\r\n")
        self.assertEqual(box.proc.wait(LIMIT), 5)

    def test_raw_then_restored(self):
        box = self.start([SH, "-c", "echo ready; read x; exit 3"])
        self.read_until(b"ready")
        self.assertFalse(termios.tcgetattr(self.peer)[3] & termios.ICANON)
        os.write(self.master, b"x\r")
        self.assertEqual(box.proc.wait(LIMIT), 3)
        self.assertEqual(termios.tcgetattr(self.peer), self.before)

    def test_restored_after_sigkill_of_init(self):
        box = self.start([SH, "-c", "echo ready; read x"])
        self.read_until(b"ready")
        os.kill(box.told("start")["init"], signal.SIGKILL)
        self.assertEqual(box.proc.wait(LIMIT), 137)
        self.assertEqual(termios.tcgetattr(self.peer), self.before)

    def kill_keeper(self, change=None):
        box = self.start([SH, "-c", "echo ready; read x"])
        init = box.told("start")["init"]
        self.read_until(b"ready")
        if change:
            change()

        def others():
            return [int(pid) for pid in filter(str.isdigit, os.listdir("/proc"))
                    if self.is_child(int(pid), box.pid) and alive(int(pid))
                    and int(pid) != init]

        wait_until(lambda: len(others()) == 1)
        who, = others()
        os.kill(box.pid, signal.SIGKILL)
        self.assertEqual(box.proc.wait(LIMIT), -9)
        wait_until(lambda: not alive(who), "who puts it back")

    def test_put_back_after_sigkill_of_the_keeper(self):
        self.kill_keeper()
        self.assertEqual(termios.tcgetattr(self.peer), self.before)

    def test_what_another_made_of_the_terminal_stays(self):
        def change():
            now = termios.tcgetattr(self.peer)
            now[3] |= termios.ECHO
            termios.tcsetattr(self.peer, termios.TCSANOW, now)
            self.changed = termios.tcgetattr(self.peer)

        self.kill_keeper(change)
        self.assertEqual(termios.tcgetattr(self.peer), self.changed)

    def test_control_c_reaches_the_container(self):
        box = self.start([SH, "-c", "trap 'exit 8' INT; echo ready;"
                          "while :; do sleep 0.05; done"])
        self.read_until(b"ready")
        os.write(self.master, b"\x03")
        self.assertEqual(box.proc.wait(LIMIT), 8)

    def is_third_the_end(self, box, key=b"\x03"):
        for _ in range(2):
            os.write(self.master, key)
            wait_until(lambda: not select.select([self.peer], [], [], 0)[0])
            box.took_signals()
        self.assertIsNone(box.proc.poll())
        self.interrupt_until_the_end(
            box, lambda: os.write(self.master, key))
        self.read_until(b"third")
        self.assertEqual(box.proc.wait(LIMIT), 137)

    def test_third_control_c_ends_who_gets_none(self):
        for argv in (["/bin/sleep", "600"],
                     [SH, "-c", "trap '' INT; echo ready; exec sleep 600"]):
            box = self.start(argv, refuse=("third\r\n",))
            init = box.running()
            wait_until(lambda: read(init, "comm") == "sleep\n")
            self.is_third_the_end(box)

    def test_third_control_c_ends_who_ignores_it_below_init(self):
        box = self.start([SH, "-c", "trap '' INT; echo ready; exec sleep 600"],
                         init=True, refuse=("third\r\n",))
        self.read_until(b"ready")
        self.is_third_the_end(box)

    def test_three_control_c_in_one_read(self):
        box = self.start(["/bin/sleep", "600"], refuse=("third\r\n",))
        box.running()
        os.write(self.master, b"\x03\x03\x03")
        self.assertEqual(box.proc.wait(LIMIT), 137)

    def test_a_typed_signal_that_pid_1_drops_ends_the_container(self):
        for key, code in ((b"\x03", 130), (b"\x1c", 131)):
            box = self.start(["/bin/sleep", "600"], ends=True)
            box.running()
            os.write(self.master, key)
            self.assertEqual(box.proc.wait(LIMIT), code)

    def test_any_number_of_control_c_for_who_takes_it(self):
        for init in (False, True):
            box = self.start(
                [SH, "-c", "n=0; trap 'n=$((n+1)); echo got $n.' INT;"
                 "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done"],
                init=init, ends=True, refuse=("third\r\n",))
            self.read_until(b"ready")
            for n in range(1, 5):
                os.write(self.master, b"\x03")
                self.read_until(b"got %d." % n)
            os.kill(box.pid, signal.SIGTERM)
            self.assertEqual(box.proc.wait(LIMIT), 9)

    # From here on the terminal is the caller's own; there is none inside.

    def test_control_c_reaches_all_that_a_terminal_would(self):
        for init in (False, True):
            for key in (b"\x03", b"\x1c"):
                box = self.start(
                    [SH, "-c", "trap : INT QUIT; echo ready; sleep 600;"
                     "echo code $?; trap : INT QUIT; exit 4"],
                    tty=False, init=init, ends=True)
                init_pid = box.running()
                self.read_until(b"ready")
                wait_until(lambda: self.has_child(init_pid, "sleep"))
                os.write(self.master, key)
                self.read_until(b"code 1%d" % (30 if key == b"\x03" else 31))
                self.assertEqual(box.proc.wait(LIMIT), 4)

    def has_child(self, ancestor, name):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if read(pid, "comm") != f"{name}\n":
                    continue
                while int(pid) > 1 and int(pid) != ancestor:
                    pid = read(pid, "stat").rsplit(")", 1)[1].split()[1]
                if int(pid) == ancestor:
                    return True
            except OSError:
                continue
        return False

    def test_third_control_c_ends_whoever_goes_on(self):
        for init in (False, True):
            box = self.start(
                [SH, "-c", "trap : INT; echo ready;"
                 "while :; do sleep 0.02; done"],
                tty=False, init=init, ends=True, refuse=("third\r\n",))
            box.running()
            self.read_until(b"ready")
            self.is_third_the_end(box)

    def test_third_after_2_s_is_a_first(self):
        box = self.start(
            [SH, "-c", "n=0; trap 'n=$((n+1)); echo got $n.' INT;"
             "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done"],
            tty=False, ends=True, refuse=("third\r\n",))
        box.running()
        self.read_until(b"ready")
        for n in range(1, 4):
            os.write(self.master, b"\x03")
            self.read_until(b"got %d." % n)
            if n == 1:
                time.sleep(2.2)
        os.kill(box.pid, signal.SIGTERM)
        self.assertEqual(box.proc.wait(LIMIT), 9)

    def test_control_c_that_pid_1_would_drop_ends_the_container(self):
        box = self.start(["/bin/sleep", "600"], tty=False, ends=True)
        box.running()
        os.write(self.master, b"\x03")
        self.assertEqual(box.proc.wait(LIMIT), 130)

    def test_control_c_that_the_caller_ignores_is_for_nobody(self):
        box = self.start([SH, "-c", "trap 'echo got' INT; trap 'exit 9' TERM;"
                          "echo ready; while :; do sleep 0.02; done"],
                         tty=False, ends=True, ignore=[signal.SIGINT])
        box.running()
        self.read_until(b"ready")
        for _ in range(4):
            os.write(self.master, b"\x03")
            box.took_signals()
        self.assertIsNone(box.proc.poll())
        os.kill(box.pid, signal.SIGTERM)
        self.assertEqual(box.proc.wait(LIMIT), 9)

    # pid 1 sits in sigwait(3), and its set's page never comes: userfaultfd(2).
    MISSING = """
import ctypes, mmap, os, signal, struct, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = ctypes.addressof(ctypes.c_char.from_buffer(page))
page[:8] = struct.pack("Q", 1 << 9)  # SIGUSR1
main = os.readlink("/proc/self")  # as /proc has it
threading.excepthook = lambda it: os._exit(1)

def take():
    while open(f"/proc/self/task/{main}/syscall").read().split()[0] != "128":
        time.sleep(0.01)
    fd = libc.syscall(323, 0)
    for request, arg in ((0xc018aa3f, struct.pack("QQQ", 0xaa, 0, 0)),
                         (0xc020aa00, struct.pack("QQQQ", at, 4096, 1, 0))):
        if libc.ioctl(fd, ctypes.c_ulong(request), ctypes.create_string_buffer(arg)):
            raise OSError(ctypes.get_errno(), "userfaultfd")
    libc.madvise(ctypes.c_void_p(at), 4096, 4)
    print("ready", flush=True)

threading.Thread(target=take, daemon=True).start()
os._exit(libc.syscall(128, ctypes.c_void_p(at), None, None, 8))
"""

    @unittest.skipUnless(os.uname().machine == "x86_64", "numbers of x86_64")
    def test_memory_that_never_comes_does_not_make_it_deaf(self):
        box = Box(["/usr/bin/python3", "-c", self.MISSING], ends=True)
        self.addCleanup(box.proc.stderr.close)
        self.addCleanup(box.proc.stdout.close)
        box.running()
        self.assertEqual(box.proc.stdout.readline(), b"ready\n")
        box.proc.send_signal(signal.SIGUSR1)
        self.assertEqual(box.proc.wait(LIMIT), 10)

    def copy_master(self, box):
        """A copy of the keeper's end of the container's terminal, as a tracer
        inside takes it from the process that makes it."""
        fd = next(int(it) for it in os.listdir(f"/proc/{box.pid}/fd")
                  if os.readlink(f"/proc/{box.pid}/fd/{it}").endswith("ptmx"))
        pidfd = os.pidfd_open(box.pid)
        copy = ctypes.CDLL(None, use_errno=True).syscall(
            438, pidfd, fd, 0)  # pidfd_getfd
        os.close(pidfd)
        self.assertGreaterEqual(copy, 0, os.strerror(ctypes.get_errno()))
        self.addCleanup(os.close, copy)
        return copy

    def test_a_terminal_made_to_block_does_not_make_it_deaf(self):
        box = Box([SH, "-c", "stty raw -echo; echo ready; exec sleep 600"],
                  tty=True, ends=True, popen={"stdin": subprocess.PIPE})
        stdin = box.proc.stdin.fileno()
        self.addCleanup(box.proc.stdin.close)
        self.addCleanup(box.proc.stderr.close)
        self.addCleanup(box.proc.stdout.close)
        box.running()
        self.assertEqual(box.proc.stdout.readline(), b"ready\n")
        copy = self.copy_master(box)
        os.set_blocking(copy, True)
        os.set_blocking(stdin, False)
        full = select.poll()
        full.register(copy, select.POLLOUT)

        def fill():
            """Nobody reads in there: what the keeper has taken waits with it."""
            try:
                os.write(stdin, bytes(65536))
            except BlockingIOError:
                pass
            return struct.unpack("i", fcntl.ioctl(
                stdin, termios.FIONREAD, bytes(4)))[0] == 65536 and (
                    not full.poll(0))

        wait_until(fill, "a full terminal")
        box.proc.send_signal(signal.SIGTERM)
        self.assertEqual(box.proc.wait(LIMIT), 143)

    def test_large_output_is_whole(self):
        box = self.start([SH, "-c", "stty -onlcr; head -c 300000 /dev/zero"
                          " | tr '\\0' x; echo; echo end"])
        data = self.read_until(b"\nend")
        self.assertEqual(data.count(b"x"), 300000)
        self.assertEqual(box.proc.wait(LIMIT), 0)

    def test_slow_reader_still_gets_signals_through(self):
        box = self.start([SH, "-c", "trap 'exit 6' TERM; echo ready; "
                          "while :; do sleep 0.02; done & "
                          "i=0; while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                          "; [ $((i=i+1)) -gt 4000 ] && sleep 0.02; done"])
        self.read_until(b"ready")
        time.sleep(0.5)  # nobody reads: everything is full
        init = box.told("start")["init"]
        os.kill(init, signal.SIGKILL)
        # What comes before the keeper has reaped init is for init.
        wait_until(lambda: not self.is_child(init, box.pid))
        os.kill(box.pid, signal.SIGTERM)  # ends the drain
        self.assertEqual(box.proc.wait(LIMIT), 137)

    def is_child(self, pid, parent):
        try:
            stat = read(pid, "stat")
        except OSError:
            return False
        return int(stat.rsplit(")", 1)[1].split()[1]) == parent

    def test_large_input(self):
        box = self.start([SH, "-c", "stty raw -echo; echo ready; head -c 200000"
                          " | md5sum; exit 2"])
        self.read_until(b"ready")
        sent = 0
        while sent < 200000:
            self.assertTrue(select.select([], [self.master], [], LIMIT)[1])
            sent += os.write(self.master, b"z" * min(4000, 200000 - sent))
        self.read_until(b"  -")
        self.assertEqual(box.proc.wait(LIMIT), 2)

    def test_no_busy_loop_when_nobody_has_the_terminal(self):
        box = self.start([SH, "-c",
                          "exec <&- >&- 2>&-; exec sleep 600"])
        init = box.running()
        wait_until(lambda: read(init, "comm") == "sleep\n")

        def used():
            fields = read(box.pid, "stat").rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        before = used()
        time.sleep(2)
        self.assertLess(used() - before, 15)
        os.kill(init, signal.SIGKILL)
        self.assertEqual(box.proc.wait(LIMIT), 137)

    def hang_up(self, argv, says=None, **spec):
        box = self.start(argv, **spec)
        init = box.running()
        if says:  # its trap is there
            self.read_until(says)
        self.close_peer()
        os.close(self.master)
        self.master = os.open("/dev/null", os.O_RDONLY)
        return box, init

    def test_hangup_ends_the_container_terminal(self):
        box, init = self.hang_up(["/bin/cat"])
        box.proc.wait(LIMIT)
        wait_until(lambda: not alive(init))

    def test_hangup_ends_who_does_not_look(self):
        for ends in (False, True):
            box, _ = self.hang_up(["/bin/sleep", "600"], ends=ends)
            self.assertEqual(box.proc.wait(LIMIT), 129)

    def test_hangup_is_for_the_container_to_handle(self):
        box, _ = self.hang_up([SH, "-c", "trap 'sleep 0.3; exit 5' HUP;"
                               "echo ready; while :; do sleep 0.05; done"],
                              says=b"ready")
        self.assertEqual(box.proc.wait(LIMIT), 5)

    def test_hangup_as_the_command_starts(self):
        with tempfile.TemporaryDirectory() as pipes:
            os.mkfifo(f"{pipes}/lingers")
            box = self.start([SH, "-c", "echo ready; exec sleep 600"],
                             lingers=f"{pipes}/lingers")
            self.read_until(b"ready")
            self.close_peer()
            os.close(self.master)
            self.master = os.open("/dev/null", os.O_RDONLY)
            box.took_signals()
            os.close(os.open(f"{pipes}/lingers", os.O_WRONLY))
            self.assertEqual(box.proc.wait(LIMIT), 129)

    def test_hangup_under_nohup(self):
        box, init = self.hang_up(["/bin/sleep", "600"],
                                 ignore=[signal.SIGHUP])
        time.sleep(0.3)
        self.assertIsNone(box.proc.poll())
        os.kill(init, signal.SIGKILL)
        self.assertEqual(box.proc.wait(LIMIT), 137)

    def test_pipe_as_stdin_ends_the_input(self):
        box = Box([SH, "-c", "cat; exit 4"], tty=True,
                  popen={"stdin": subprocess.PIPE})
        out, _ = box.proc.communicate(b"half", timeout=LIMIT)
        self.assertIn(b"half", out)
        self.assertEqual(box.proc.returncode, 4)

    def test_output_into_a_pipe_that_closed(self):
        box = Box([SH, "-c", "i=0; while [ $i -lt 2000 ]; do echo yyyyyyyyyyyy;"
                   " i=$((i+1)); done; exit 5"], tty=True)
        box.proc.stdout.close()
        self.assertEqual(box.proc.wait(LIMIT), 5)
        box.proc.stderr.close()


class Teardown(Case):
    number = 0

    def setUp(self):
        Teardown.number += 1
        self.name = f"rustyrun-test-{TOKEN}-{Teardown.number}"
        self.cgroups = [(root, self.name, 1, kind)
                        for root, kind in find_cgroups()]
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def paths(self):
        return [f"{root}/{path}" for root, path, *_ in self.cgroups]

    def gone(self):
        return not any(os.path.exists(p) for p in self.paths())

    def test_cgroups_go(self):
        code, _, err = Box([SH, "-c", "exit 3"], cgroups=self.cgroups).end()
        self.assertEqual((code, err), (3, ""))
        self.assertTrue(self.gone())

    def test_a_counter_is_known_when_its_cgroup_went_first(self):
        """systemd removes a cgroup as soon as nobody is in it. Another file that
        the kernel tells of stands for memory.events."""
        root = next(root for root, kind in find_cgroups() if kind == 2)
        dirs = [f"{root}/{self.name}", f"{root}/{self.name}-counter"]
        for it in dirs:
            os.mkdir(it)
            self.addCleanup(lambda it=it: os.path.exists(it) and os.rmdir(it))
        box = Box(["/bin/sleep", "600"], cgroups=[(root, self.name, 0, 2)],
                  oom=(f"{dirs[1]}/cgroup.events", "frozen", "no memory\n"))
        init = box.running()

        def rests():
            """Of poll(2), or ppoll(2) of aarch64."""
            number = read(box.pid, "syscall").split()[0]
            return number in ("7", "73") and re.search(
                r"^voluntary_ctxt_switches:\s*(\d+)",
                read(box.pid, "status"), re.M)[1]

        before = wait_until(rests, "the keeper's sleep")
        with open(f"{dirs[1]}/cgroup.freeze", "w") as f:
            f.write("1")
        wait_until(lambda: rests() not in (False, before), "its look")
        os.rmdir(dirs[1])
        os.kill(init, signal.SIGKILL)
        self.assertEqual(box.end(), (137, "", "no memory\n"))

    def test_cgroups_below_go(self):
        deep = "/a/b/c"
        box = Box(["/bin/sleep", "600"], cgroups=self.cgroups)
        init = box.running()
        for p in self.paths():
            os.makedirs(p + deep)
            os.makedirs(p + "/a/d/e")
            os.mkdir(p + "/x")
        os.kill(init, signal.SIGKILL)
        self.assertEqual(box.end()[0::2], (137, ""))
        self.assertTrue(self.gone())

    def test_cgroups_of_another_stay(self):
        for p in self.paths():
            os.mkdir(p)
            self.addCleanup(os.rmdir, p)
        warden = Box([SH, "-c", "exit 0"], not_ours=True, cgroups=self.cgroups)
        self.assertEqual(warden.end()[0], 1)
        time.sleep(0.3)
        for p in self.paths():
            self.assertTrue(os.path.exists(p))

    def test_busy_cgroups_are_waited_for_once(self):
        """A process of the host's in two of them: neither can be removed."""
        for p in self.paths():
            self.addCleanup(os.rmdir, p)
        other = subprocess.Popen(["/bin/sleep", "600"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        box = Box(["/bin/sleep", "600"], cgroups=self.cgroups)
        init = box.running()
        for p in self.paths():
            with open(f"{p}/cgroup.procs", "w") as f:
                f.write(str(other.pid))
        os.kill(init, signal.SIGKILL)
        code, _, err = box.end(LIMIT)
        self.assertEqual(code, 137)
        self.assertRegex(
            err, rf'^rustyrun: Cannot remove "/.*/{self.name}": {BUSY}\n$')

    def test_own_parent_goes_with_its_last_child(self):
        cgroups = [(root, f"{self.name}/one", 2, kind)
                   for root, _, _, kind in self.cgroups]
        Box([SH, "-c", "exit 0"], cgroups=cgroups).end()
        self.assertTrue(self.gone())

    def test_foreign_child_keeps_the_parent(self):
        cgroups = [(root, f"{self.name}/one", 2, kind)
                   for root, _, _, kind in self.cgroups]
        for p in self.paths():
            os.makedirs(p + "/two")
            self.addCleanup(os.rmdir, p)
            self.addCleanup(os.rmdir, p + "/two")
        code, _, err = Box([SH, "-c", "exit 0"], cgroups=cgroups).end()
        self.assertEqual((code, err), (0, ""))
        for p in self.paths():
            self.assertEqual([e.name for e in os.scandir(p) if e.is_dir()],
                             ["two"])

    def test_without_pid_namespace_nothing_survives(self):
        tag = f"7{os.getpid()}"
        box = Box([SH, "-c", f"setsid sleep {tag} >/dev/null 2>&1 & "
                   f"(setsid sleep {tag} >/dev/null 2>&1 &); sleep 0.2; exit 2"],
                  pidns=False, cgroups=self.cgroups)
        self.assertEqual(box.end()[0::2], (2, ""))
        self.assertEqual(self.sleepers(tag), [])
        self.assertTrue(self.gone())

    def sleepers(self, tag):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    words = f.read().split("\0")
            except OSError:
                continue
            if words[:1] == ["sleep"] and tag in words and alive(pid):
                found.append(int(pid))
        return found

    def kill_and_look(self, box, tag, also=()):
        def left():
            return [*self.sleepers(tag), *filter(alive, also),
                    *filter(os.path.exists, self.paths())]

        box.proc.kill()
        wait_until(lambda: not left(), lambda: f"the end of {left()}")
        box.proc.communicate()

    def test_sigkill_of_the_keeper(self):
        for pidns in (True, False):
            with self.subTest(pidns=pidns):
                tag = f"8{os.getpid()}{int(pidns)}"
                # Clears its parent-death signal (prctl is not there in sh:
                # setsid children stand for whoever is no child any more).
                box = Box([SH, "-c", f"setsid sleep {tag} & (setsid sleep {tag}"
                           f" &) ; sleep {tag}"], pidns=pidns,
                          cgroups=self.cgroups)
                told = box.told("start")
                wait_until(lambda: len(self.sleepers(tag)) == 3)
                self.kill_and_look(box, tag, (told["init"], told["warden"]))

    def test_sigkill_of_the_keeper_while_paused(self):
        freezer = [c for c in self.cgroups if c[3] == 1]
        if not freezer:
            self.skipTest("needs a v1 freezer")
        tag = f"9{os.getpid()}"
        box = Box([SH, "-c", f"sleep {tag} & sleep {tag}"],
                  cgroups=self.cgroups)
        wait_until(lambda: len(self.sleepers(tag)) == 2)
        with open(f"{freezer[0][0]}/{self.name}/freezer.state", "w") as f:
            f.write("FROZEN")
        self.kill_and_look(box, tag, (box.told("start")["warden"],))

    def test_sigkill_of_the_host_stage(self):
        for place in ("made", "owned", "forked", "start"):
            with self.subTest(place=place):
                box = Box([SH, "-c", "exit 0"], stop_at=place,
                          cgroups=self.cgroups)
                box.told(place)
                self.kill_and_look(box, "no-sleeper")

    def test_warden_that_died_does_not_matter(self):
        box = Box([SH, "-c", "sleep 0.5; exit 6"], cgroups=self.cgroups)
        os.kill(box.told()["warden"], signal.SIGKILL)
        self.assertEqual(box.end()[0::2], (6, ""))
        self.assertTrue(self.gone())

    def test_state_goes_with_its_lock(self):
        os.mkdir(f"{self.dir.name}/box")
        with open(f"{self.dir.name}/box/state.json", "w") as f:
            f.write("{}")
        Box([SH, "-c", "exit 0"], state=[self.dir.name, "box"]).end()
        self.assertEqual(os.listdir(self.dir.name), [])

    def test_state_of_another_with_the_same_name_stays(self):
        os.mkdir(f"{self.dir.name}/box")
        box = Box(["/bin/sleep", "600"], state=[self.dir.name, "box"])
        init = box.running()
        os.rename(f"{self.dir.name}/box", f"{self.dir.name}/moved")
        os.mkdir(f"{self.dir.name}/box")
        with open(f"{self.dir.name}/box/state.json", "w") as f:
            f.write("another")
        os.kill(init, signal.SIGKILL)
        self.assertEqual(box.end()[0::2], (137, ""))
        self.assertEqual(os.listdir(f"{self.dir.name}/box"), ["state.json"])

    def test_tree_goes_and_follows_nothing(self):
        outside = tempfile.TemporaryDirectory()
        self.addCleanup(outside.cleanup)
        with open(f"{outside.name}/keep", "w") as f:
            f.write("kept")
        top = f"{self.dir.name}/upper"
        os.makedirs(f"{top}/work/work")
        os.chmod(f"{top}/work/work", 0)
        os.symlink(outside.name, f"{top}/link")
        os.symlink(outside.name, f"{top}/work/link")
        os.symlink(f"{outside.name}/keep", f"{top}/work/file")
        for i in range(300):
            os.makedirs(f"{top}/many/{i}/sub/sub")
            with open(f"{top}/many/{i}/sub/file", "w") as f:
                f.write("x")
        Box([SH, "-c", "exit 0"], trees=[(self.dir.name, "upper")]).end()
        self.assertEqual(os.listdir(self.dir.name), [])
        self.assertEqual(os.listdir(outside.name), ["keep"])

    def make_deep(self, top, levels):
        os.mkdir(top)
        fd = os.open(top, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir("d" * 100, dir_fd=fd)
            with open(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "w"):
                pass
            down = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = down
        os.close(fd)

    def test_deep_tree_goes(self):
        self.make_deep(f"{self.dir.name}/upper", 5000)
        code, _, err = Box([SH, "-c", "exit 0"],
                           trees=[(self.dir.name, "upper")]).end(2 * LIMIT)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(os.listdir(self.dir.name), [])

    def test_mount_in_a_tree_is_told_not_entered(self):
        top = f"{self.dir.name}/upper"
        os.makedirs(f"{top}/a/b")
        os.makedirs(f"{self.dir.name}/kept/x")
        subprocess.check_call(["mount", "--bind", f"{self.dir.name}/kept",
                               f"{top}/a/b"])
        self.addCleanup(subprocess.call, ["umount", f"{top}/a/b"])
        code, _, err = Box([SH, "-c", "exit 0"],
                           trees=[(self.dir.name, "upper")]).end()
        self.assertEqual(code, 0)
        self.assertRegex(
            err, rf'rustyrun: Cannot remove "/.*/upper": {BUSY}')
        self.assertTrue(os.path.exists(f"{self.dir.name}/kept/x"))

    def make_private(self, mode=0o700):
        """A private directory with a tree in it, by the same name."""
        top = f"{self.dir.name}/upper"
        os.makedirs(f"{top}/upper/a/b")
        os.chmod(top, mode)

    def test_tree_in_a_private_directory_goes(self):
        self.make_private()
        code, _, err = Box([SH, "-c", "exit 0"], owner=0,
                           trees=[(self.dir.name, "upper")]).end()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(os.listdir(self.dir.name), [])

    def test_tree_where_others_may_write_stays(self):
        top = f"{self.dir.name}/upper"
        for what in (lambda: os.chmod(top, 0o711),
                     lambda: os.chown(top, 1000, 1000),
                     lambda: os.rename(f"{top}/upper", f"{top}/other"),
                     lambda: (os.rename(top, f"{top}2"),
                              os.symlink("upper2", top))):
            self.make_private()
            what()
            code, _, err = Box([SH, "-c", "exit 0"], owner=0,
                               trees=[(self.dir.name, "upper")]).end()
            self.assertEqual(
                (code, err),
                (0, f'rustyrun: Cannot remove "{top}": it is not what was '
                    "made for the container\n"))
            below = os.listdir(top)[0]
            self.assertTrue(os.path.isdir(f"{top}/{below}/a/b"))
            subprocess.check_call(["rm", "-rf", top, f"{top}2"])

    def start_as_user(self, argv, top="upper", **spec):
        """uid 1000 with 1000 ids more from 200000; its tree holds some."""
        os.chmod(self.dir.name, 0o755)
        home = f"{self.dir.name}/home"
        os.makedirs(f"{home}/{top}/a")
        with open(f"{home}/{top}/a/file", "w") as f:
            f.write("x")
        for path, owner in ((home, 1000),
                            (f"{home}/upper", spec.get("owner", 1000)),
                            (f"{home}/{top}", spec.get("owner", 1000)),
                            (f"{home}/{top}/a", 200005),
                            (f"{home}/{top}/a/file", 200006)):
            os.chown(path, owner, owner)
            os.chmod(path, 0o700)

        def drop():
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)

        box = Box(argv, userns=True, trees=[(home, "upper")],
                  popen={"preexec_fn": drop}, **spec)
        told = box.told("maps")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{told['pid']}/{name}", "w") as f:
                f.write("0 1000 1\n1 200000 1000\n")
        return box, home

    def test_users_tree_goes_through_the_user_namespace(self):
        for script in ("exit 3", "sleep 0.3; exit 3"):
            with self.subTest(script=script):
                box, home = self.start_as_user([SH, "-c", script])
                self.assertEqual(box.end(), (3, "", ""))
                self.assertEqual(os.listdir(home), [])
                os.rmdir(home)

    def test_users_tree_in_a_private_directory(self):
        for owner in (1000, 200000):
            with self.subTest(owner=owner):
                box, home = self.start_as_user(
                    [SH, "-c", "exit 3"], top="upper/upper", owner=owner)
                self.assertEqual(box.end(), (3, "", ""))
                self.assertEqual(os.listdir(home), [])
                os.rmdir(home)

    def test_users_tree_after_sigkill_of_the_keeper(self):
        tag = f"6{os.getpid()}"
        box, home = self.start_as_user(["/bin/sleep", tag])
        self.kill_and_look(box, tag, (box.running(),))
        wait_until(lambda: not os.listdir(home))

    def test_small(self):
        box = Box(["/bin/sleep", "600"], cgroups=self.cgroups)
        init = box.running()
        warden = box.told("start")["warden"]
        # It has let go of everything, and waits.
        wait_until(lambda: read(warden, "comm") == "rustyrun-warden\n" and
                   state_of(warden) == "S")
        box.took_signals()
        sizes = rss(box.pid), rss(warden)
        print(f"resident: keeper {sizes[0]} KB, warden {sizes[1]} KB",
              file=sys.stderr)
        fds = wait_until(lambda: {
            os.readlink(f"/proc/{warden}/fd/{n}")
            for n in os.listdir(f"/proc/{warden}/fd")})
        os.kill(init, signal.SIGKILL)
        box.end()
        if max(sizes) > 200 and os.path.getsize(Box.helper) > 400000:
            self.skipTest("the size is a goal for the musl build")
        self.assertLess(max(sizes), 200)
        self.assertFalse([f for f in fds if f.startswith(("pipe", "/dev"))])


def run_copy(helper):
    """Some launchers run as another user, who may not read this clone."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        for path in ("c/plan.h", "tests/c/keeper_box.py",
                     "tests/c/keeper_test.py"):
            os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
            shutil.copy(f"{HERE}/../../{path}", f"{top}/{path}")
        shutil.copy(helper, f"{top}/rustyrun-helper")
        os.chmod(f"{top}/rustyrun-helper", 0o755)
        sys.exit(subprocess.call(
            [sys.executable, f"{top}/tests/c/keeper_test.py", f"{top}/rustyrun-helper",
             *sys.argv[2:]], env={**os.environ, "KEEPER_TEST_COPY": "1"}))


if __name__ == "__main__":
    # As a terminal would start it: what a shell starts in the background ignores
    # Ctrl-C, and so would every container.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT,
                   signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    Box.helper = os.path.abspath(sys.argv[1])
    if "KEEPER_TEST_COPY" not in os.environ:
        run_copy(Box.helper)
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], warnings="ignore")
