# SPDX-License-Identifier: MIT
"""What the tests of guestwire(1) stand on: the client run, and agents that are none."""

import contextlib
import json
import os
import socket
import subprocess
import threading

import harness
from harness import DEADLINE, GUESTWIRE, is_gone, until

OK, REFUSED, USAGE, CONNECTION, TIMEOUT = 0, 1, 2, 3, 124
# What every failure of `exec` itself ends with.
FAILED = 255
GUID = "000003e8-facb-11e6-bd58-64006a7986d3"
SOURCE = harness.SRCDIR


class Case(harness.TestCase):
    def run_ok(self, *args, **options):
        """Standard output of a run that must succeed and say nothing else."""
        result = self.run_guestwire(*args, **options)
        self.assertEqual((result.returncode, result.stderr), (OK, ""), args)
        return result.stdout

    def run_json(self, *args):
        output = self.run_ok(*args, "--json")
        self.assertEqual(output.count("\n"), 1, "not one line")
        return json.loads(output)

    def run_bad(self, code, pattern, *args, **options):
        """A run that must fail with this code and a sentence on stderr."""
        result = self.run_guestwire(*args, **options)
        self.assertEqual(result.returncode, code, "%r: %s" % (args, result.stderr))
        self.assertRegex(result.stderr, pattern)
        self.assertTrue(result.stderr.startswith("guestwire: "), result.stderr)
        return result

    def spawn(self, *args, **options):
        process = subprocess.Popen([GUESTWIRE, *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True, **options)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
        process.communicate()


class ExecCase(Case):
    def setUp(self):
        super().setUp()
        self.start(self.target(), agent={"scope": "agent"})
        self.cli = self.main.cli

    def exec(self, *args, data=None, **options):
        """Runs `guestwire exec` to its end; what it printed is bytes."""
        return self.run_guestwire("exec", self.cli, *args, data=data, text=False, **options)

    def sh(self, script, *args, **options):
        return self.exec(*args, "--", "sh", "-c", script, **options)

    def assert_ends(self, result, code, out=b"", err=b""):
        self.assertEqual((result.returncode, result.stdout, result.stderr), (code, out, err))

    def popen(self, *args, **options):
        """`guestwire exec` with pipes, which is killed when the test ends."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([GUESTWIRE, "exec", self.cli, *args], stdout=options.pop(
            "stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()

    def popen_sh(self, script, *args, **options):
        """The same, and the process id of the shell, which it prints first."""
        process = self.popen(*args, "--", "sh", "-c", "echo $$; " + script, **options)
        return process, int(process.stdout.readline())

    def assert_over(self, process, code, pid):
        """Ours has ended so, and the guest's program is no more. Returns what was on stderr."""
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, code, err)
        until(lambda: is_gone(pid), "the program's end")
        return err.decode()


class Stranger:
    """A Unix socket on which a function of the test talks to each caller; `calls` counts them."""

    def __init__(self, test, talk):
        self.path = os.path.join(test.folder, "stranger.sock")
        self.talk = talk
        self.calls = 0
        self.lines = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        test.addCleanup(self.close)

    cli = property(lambda self: "unix:" + self.path)

    def _serve(self):
        while True:
            try:
                caller, _ = self.sock.accept()
            except OSError:
                return
            self.calls += 1
            with caller, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.talk(self, caller, caller.makefile("rb"))

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(DEADLINE)
        self.sock.close()

    def read(self, reader):
        """The next request, or None at the end."""
        line = reader.readline()
        if not line:
            return None
        self.lines.append(line)
        return json.loads(line)


def answering(make):
    """A talk that answers each request by the bytes which make(request) returns."""
    def talk(stranger, caller, reader):
        request = stranger.read(reader)
        while request:
            caller.sendall(make(request))
            request = stranger.read(reader)
    return talk


def result_of(value):
    return answering(lambda r: json.dumps(
        {"jsonrpc": "2.0", "id": r["id"], "result": value}).encode() + b"\n")


def error_of(error):
    return answering(lambda r: json.dumps(
        {"jsonrpc": "2.0", "id": r["id"], "error": error}).encode() + b"\n")
