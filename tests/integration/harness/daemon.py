# SPDX-License-Identifier: MIT
"""The real daemon, its notifications, its log, and what it holds."""

import array
import contextlib
import fnmatch
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from .client import Client
from .process import children, cpu_ticks, peak_rss
from .settings import DEADLINE, GUESTWIRED, SANITIZERS, until

# Makes of itself what systemd makes of a process that it passes sockets to: sd_listen_fds(3).
PASS_ON = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
    os.set_inheritable(number, True)
    os.close(fd)
for fd in map(int, sys.argv[1].split(",")):
    if fd >= 3 + len(fds):
        os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)),
                  LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Daemon:
    """A guestwired in the foreground, with a notification socket and its stderr watched."""

    def __init__(self, test, config, args=(), environment=None, nofile=None, ready=True,
                 passed=()):
        """passed: sockets and their names, as a service manager gives them to what it starts."""
        self.test = test
        self.folder = test.folder
        self.config = os.path.join(self.folder, "guestwire.conf")
        self.write_config(config)
        self.notify_path = tempfile.mktemp(prefix="notify", dir=self.folder)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_path)
        self.changed = threading.Condition()
        self.messages = []
        self.store = {}
        self.stderr = ""
        self.ended = False
        variables = {k: v for k, v in os.environ.items()
                     if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC",
                                  "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID",
                                  "CREDENTIALS_DIRECTORY")}
        variables["NOTIFY_SOCKET"] = self.notify_path
        variables.update(environment or {})
        command = os.environ.get("GUESTWIRE_TEST_WRAPPER", "").split()
        command += [GUESTWIRED, "--config", self.config, *args]
        numbers = [passed_socket.fileno() for passed_socket, _ in passed]
        if passed:
            command = [sys.executable, "-c", PASS_ON, ",".join(map(str, numbers)),
                       ":".join(name for _, name in passed), *command]

        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, nofile)

        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=variables, preexec_fn=limit, pass_fds=numbers)
        self.pid = self.process.pid
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        test.addCleanup(self._cleanup)
        if ready:
            self.wait_notify("READY=1")

    def write_config(self, text):
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def _watch(self):
        streams = selectors.DefaultSelector()
        streams.register(self.notify, selectors.EVENT_READ)
        streams.register(self.process.stderr, selectors.EVENT_READ)
        while True:
            for key, _ in streams.select():
                if key.fileobj is self.notify:
                    with self.changed:
                        self._take_message()
                        self.changed.notify_all()
                    continue
                piece = os.read(self.process.stderr.fileno(), 65536)
                with self.changed:
                    self.stderr += piece.decode("utf-8", "replace")
                    if not piece:
                        self._take_last_messages()
                        self.ended = True
                    self.changed.notify_all()
                    if self.ended:
                        return

    def _take_message(self, flags=0):
        # Not socket.recv_fds(), which forgets its flags.
        data, control, _, _ = self.notify.recvmsg(65536, socket.CMSG_SPACE(64), flags)
        fds = array.array("i", b"".join(part for _, _, part in control))
        lines = [line for line in data.decode("utf-8", "replace").split("\n") if line]
        name = "".join(x[len("FDNAME="):] for x in lines if x.startswith("FDNAME="))
        for fd in fds:
            self.store[name] = socket.socket(fileno=fd)
        if "FDSTOREREMOVE=1" in lines:
            # One that an earlier daemon has put in is that one's here.
            removed = self.store.pop(name, None)
            if removed:
                removed.close()
        self.messages += lines

    def _take_last_messages(self):
        """What it said right before its end may still be in the queue."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take_message(socket.MSG_DONTWAIT)

    def _wait(self, condition, what):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.ended, DEADLINE)
            value = condition()
            if not value:
                raise AssertionError("the daemon %s without %s\nnotified: %r\nstderr:\n%s" % (
                    "ended" if self.ended else "went on", what, self.messages, self.stderr))
            return value

    def wait_notify(self, pattern, after=0):
        """The index of the first notification from `after` on that matches the glob."""
        def find():
            for i in range(after, len(self.messages)):
                if fnmatch.fnmatchcase(self.messages[i], pattern):
                    return i + 1
            return 0
        return self._wait(find, "notification %s" % pattern) - 1

    def wait_log(self, pattern, after=0):
        """The match of a regular expression in stderr from offset `after` on."""
        return self._wait(lambda: re.compile(pattern, re.M).search(self.stderr, after),
                          "log /%s/" % pattern)

    def status(self):
        """The last STATUS= text."""
        with self.changed:
            found = [m for m in self.messages if m.startswith("STATUS=")]
        return found[-1][len("STATUS="):] if found else ""

    def reload(self, config=None):
        """SIGHUP; returns when the daemon is ready again."""
        if config is not None:
            self.write_config(config)
        with self.changed:
            begin = len(self.messages)
        self.process.send_signal(signal.SIGHUP)
        self.wait_notify("READY=1", self.wait_notify("RELOADING=1", begin))

    def wait_exit(self):
        """The exit status (negative: the signal's number), when all of stderr is read."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DEADLINE)
        if self.process.returncode is None:
            raise AssertionError("the daemon does not end\nstderr:\n%s" % self.stderr)
        self.watcher.join(DEADLINE)
        return self.process.returncode

    def stop(self, sig=signal.SIGTERM, status=0):
        """Ends the daemon and looks at how it went."""
        self.process.send_signal(sig)
        self.expect_exit(status)
        if status == 0 and "STOPPING=1" not in self.messages:
            raise AssertionError("it stopped without STOPPING=1: %r" % self.messages)

    def expect_exit(self, status):
        code = self.wait_exit()
        self.assert_sound()
        if code != status:
            raise AssertionError("exit status %d instead of %d\nstderr:\n%s" % (
                code, status, self.stderr))

    def assert_sound(self):
        for word in SANITIZERS:
            if word in self.stderr:
                raise AssertionError("a sanitizer spoke:\n%s" % self.stderr)

    def _cleanup(self):
        try:
            if self.process.returncode is None:
                if self.process.poll() is None:
                    self.stop()
                else:
                    raise AssertionError("the daemon died (%d)\nstderr:\n%s" % (
                        self.wait_exit(), self.stderr))
        finally:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()
            self.watcher.join(DEADLINE)
            self.process.stderr.close()
            self.notify.close()
            for kept in self.store.values():
                kept.close()

    # What it holds

    def fds(self):
        """{fd: what it is} of the daemon."""
        found = {}
        folder = "/proc/%d/fd" % self.pid
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found[int(fd)] = os.readlink(os.path.join(folder, fd))
        return found

    def children(self):
        return children(self.pid)

    def remember(self):
        """The number of fds and children to which assert_back() wants to return."""
        # After an answer the daemon is in its loop; yet a notification just being sent holds
        # an fd for an instant, so the least of several looks counts.
        looks = []
        with Client(self.test.main) as client:
            for _ in range(3):
                client.exchange("agent.ping")
                looks.append((len(self.fds()) - 1, len(self.children())))
        self.held = min(looks)

    def assert_back(self):
        """fds and children are as many as at remember(), at once or soon."""
        def back():
            return (len(self.fds()), len(self.children())) == self.held
        until(back, lambda: "fds and children back to %r; now %r, children %r" % (
            self.held, self.fds(), self.children()))

    def rss(self):
        """Resident memory in bytes."""
        with open("/proc/%d/statm" % self.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def peak_rss(self):
        """The most resident memory that it ever had, in bytes."""
        return peak_rss(self.pid)

    def cpu_ticks(self):
        """User and system time used so far, in clock ticks."""
        return cpu_ticks(self.pid)
