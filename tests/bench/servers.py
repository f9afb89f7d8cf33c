# SPDX-License-Identifier: MIT
"""The three servers that are measured, each started in a scratch folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 60  # under callgrind, on a busy machine

CONFIG = """\
[agent]
max-connections = 4000

[listen bench]
address = unix:{path}
handler = rpc
max-connections = 2000
"""


class BenchError(Exception):
    """A figure could not be taken."""


class Server:
    """A server process with a Unix socket to connect to; ends with its `with` block."""

    protocol = None

    def __init__(self, wrapper=()):
        self.wrapper = list(wrapper)
        self.folder = None
        self.process = None
        self.errors = None

    @property
    def path(self):
        return os.path.join(self.folder, "socket")

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="guestwire-bench-")
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, kind, value, traceback):
        status = None
        try:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(START_SECONDS)
        finally:
            said = self.said()
            self.clean_up()
        if kind is None and status not in self.good_status():
            raise BenchError(f"{self.wrapper + self.command()} ended with {status}\n{said}")

    def clean_up(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process and self.process.stdout:
            self.process.stdout.close()
        if self.errors:
            self.errors.close()
        shutil.rmtree(self.folder)

    def said(self):
        with open(os.path.join(self.folder, "stderr"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def spawn(self, environment=None, **options):
        self.errors = open(os.path.join(self.folder, "stderr"), "wb")
        self.process = subprocess.Popen(
            self.wrapper + self.command(), stdin=subprocess.DEVNULL, stderr=self.errors,
            env=dict(os.environ, **(environment or {})), **options)

    def refuse_to_start(self):
        raise BenchError(f"{self.command()} did not start:\n{self.said()}")

    def good_status(self):
        return (0,)

    def command(self):
        raise NotImplementedError

    def start(self):
        raise NotImplementedError


class Guestwired(Server):
    """The daemon of this build, with the one listener that the figures need."""

    protocol = "jsonrpc"
    program = None  # set once, by the command line

    def command(self):
        return [self.program, "--config", os.path.join(self.folder, "guestwire.conf")]

    def write_config(self):
        with open(os.path.join(self.folder, "guestwire.conf"), "w", encoding="utf-8") as f:
            f.write(CONFIG.format(path=self.path))

    def start(self):
        self.write_config()
        with NotifySocket(self.folder) as notify:
            self.spawn({"NOTIFY_SOCKET": notify.path})
            while not notify.receive_ready(0.1):
                if self.process.poll() is not None:
                    self.refuse_to_start()
                notify.check_time()


class Echo(Server):
    """The floor: tests/bench/bench-echo.c."""

    protocol = "echo"
    program = None

    def command(self):
        return [self.program, self.path]

    def start(self):
        self.spawn(stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            self.refuse_to_start()

    def good_status(self):
        return (-signal.SIGTERM,)


class EpollEcho(Echo):
    """The same for many connections at once."""

    def command(self):
        return [self.program, "--epoll", self.path]


class QemuGa(Server):
    """The peer: QEMU's guest agent as the distribution ships it."""

    protocol = "qga"
    program = shutil.which("qemu-ga", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def command(self):
        return [self.program, "-m", "unix-listen", "-p", self.path, "-t", self.folder]

    def start(self):
        self.spawn(stdout=subprocess.DEVNULL)
        # It has no way to say that it is ready.
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.refuse_to_start()
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(self.path)
                    return
                except (FileNotFoundError, ConnectionRefusedError):
                    time.sleep(0.005)


class NotifySocket:
    """What systemd's NOTIFY_SOCKET is to a service."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.deadline = time.monotonic() + START_SECONDS

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()
        os.unlink(self.path)

    def receive_ready(self, seconds):
        """Whether READY=1 came within so many seconds."""
        self.socket.settimeout(seconds)
        try:
            return b"READY=1" in self.socket.recv(4096).split(b"\n")
        except TimeoutError:
            return False

    def check_time(self):
        if time.monotonic() > self.deadline:
            raise BenchError("no READY=1")


def memory(pid):
    """/proc/PID/smaps_rollup in bytes, by name."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            name, _, rest = line.partition(":")
            if rest.endswith(" kB\n"):
                sizes[name] = int(rest.split()[0]) * 1024
    return sizes
