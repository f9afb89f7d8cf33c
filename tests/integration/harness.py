# SPDX-License-Identifier: MIT
"""What the integration tests stand on: the real daemon, a raw client, TAP.

A test class runs unchanged over Unix sockets and over AF_VSOCK: GUESTWIRE_TEST_TRANSPORT
says which (`unix`, the default, or `vsock`, only ever inside a guest). What holds for one
of them alone is marked with @only(). Nothing here sleeps to synchronise: every wait is for
an event, with a deadline that is far off unless something is broken.
"""

import array
import contextlib
import errno
import faulthandler
import fnmatch
import itertools
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest

TRANSPORT = os.environ.get("GUESTWIRE_TEST_TRANSPORT", "unix")
MUST_RUN = os.environ.get("MUST_RUN", "") == "1"
BUILDDIR = os.environ.get("builddir", os.getcwd())
SRCDIR = os.environ.get(
    "srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GUESTWIRED = os.path.join(BUILDDIR, "guestwired")
GUESTWIRE = os.path.join(BUILDDIR, "guestwire")

# Only a hang reaches these; user-mode Linux traces every system call, so it gets more.
DEADLINE = float(os.environ.get("GUESTWIRE_TEST_DEADLINE", 90 if TRANSPORT == "vsock" else 30))
TEST_LIMIT = 600

CID_LOCAL = 1
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = (
    -32700, -32600, -32601, -32602, -32603)
APPLICATION = -32000

SANITIZERS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior",
              "== Invalid read", "== Invalid write", "definitely lost: ")


def only(transport):
    """Declares a test or a test class to be about one transport; elsewhere it is not a test."""
    def mark(item):
        item.only_transport = transport
        return item
    return mark


def build_kind():
    """What the daemon was built with: "AddressSanitizer" or ""."""
    with open(GUESTWIRED, "rb") as file:
        return "AddressSanitizer" if b"__asan_init" in file.read() else ""


def until(condition, what, deadline=None):
    """Polls condition() until it yields something true, which is returned."""
    end = time.monotonic() + (deadline or DEADLINE)
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain: %s" % (what() if callable(what) else what))
        pause.wait(0.01)


def children(parent):
    """The children of a process, by their numbers."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % pid, encoding="utf-8", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(pid))
    return found


# --- the client ---------------------------------------------------------------------------


class Target:
    """Where a section of the configuration listens, seen from outside."""

    def __init__(self, section, family, address, text):
        self.section = section
        self.family = family
        self.address = address
        self.text = text

    def __str__(self):
        return self.text

    @property
    def cli(self):
        """As a TARGET of guestwire(1)."""
        if self.family == socket.AF_UNIX:
            return "unix:%s" % self.address
        if self.family == socket.AF_VSOCK:
            return "vsock:%d:%d" % self.address
        return "tcp:%s:%d" % self.address[:2]


class Client:
    """A connection of raw bytes. Every wait ends at the deadline with an error."""

    def __init__(self, target, privileged=False, timeout=None):
        self.timeout = timeout or DEADLINE
        self.pending = b""
        self.next_id = 0
        self.sock = socket.socket(target.family, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            if privileged and target.family == socket.AF_VSOCK:
                bind_low(self.sock)
            self._connect(target.address)
        except BaseException:
            self.sock.close()
            raise

    def _connect(self, address):
        # A listener's backlog may be full for a moment where a thousand come at once.
        end = time.monotonic() + self.timeout
        while True:
            try:
                return self.sock.connect(address)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                threading.Event().wait(0.005)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes at once, what is unread or unsent thrown away."""
        if self.sock.family != socket.AF_VSOCK:
            # AF_VSOCK has no such option, and resets where a closed socket had unread data.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.sock.sendall(data)

    def send_pieces(self, data, sizes):
        """Sends data cut into pieces of these sizes; what is left goes in one last piece."""
        begin = 0
        for size in sizes:
            self.send(data[begin:begin + size])
            begin += size
        if begin < len(data):
            self.send(data[begin:])

    def send_until_closed(self, data):
        """Sends what the daemon will take; it may refuse midway."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self):
        piece = self.sock.recv(65536)
        self.pending += piece
        return len(piece)

    def read_line(self):
        """One line with its end. b"" at the end of the stream; a cut line is an error."""
        while b"\n" not in self.pending:
            if self._receive() == 0:
                if self.pending:
                    raise AssertionError("the stream ended within a line: %r" % self.pending)
                return b""
        line, self.pending = self.pending.split(b"\n", 1)
        return line + b"\n"

    def read(self):
        """One reply, as Python values. Fails at the end of the stream."""
        line = self.read_line()
        if not line:
            raise AssertionError("the daemon closed the connection; a reply was expected")
        return json.loads(line.decode("utf-8"))

    def read_end(self):
        """Every line up to the end of the stream, decoded; a reset counts as the end."""
        lines = []
        try:
            while True:
                line = self.read_line()
                if not line:
                    return lines
                lines.append(json.loads(line.decode("utf-8")))
        except ConnectionResetError:
            return lines

    def quiet(self, seconds=0.05):
        """Whether nothing arrives within so short a time: never a proof, only a hint."""
        if self.pending:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            return not selector.select(seconds)

    def request(self, method, params=None, ident=None):
        """The text of a request (bytes, with a newline) and its id."""
        if ident is None:
            self.next_id += 1
            ident = self.next_id
        message = {"jsonrpc": "2.0", "id": ident, "method": method}
        if params is not None:
            message["params"] = params
        return json.dumps(message).encode() + b"\n", ident

    def exchange(self, method, params=None):
        """The whole reply to one request."""
        text, ident = self.request(method, params)
        self.send(text)
        reply = self.read()
        if reply.get("id") != ident or reply.get("jsonrpc") != "2.0":
            raise AssertionError("not the reply to %r: %r" % (text, reply))
        if ("result" in reply) == ("error" in reply):
            raise AssertionError("neither or both of result and error: %r" % reply)
        return reply

    def call(self, method, params=None):
        """The result; an error reply fails the test."""
        reply = self.exchange(method, params)
        if "error" in reply:
            raise AssertionError("%s: %r" % (method, reply["error"]))
        return reply["result"]

    def error(self, method, params=None):
        """The error object; a result fails the test."""
        reply = self.exchange(method, params)
        if "result" in reply:
            raise AssertionError("%s was to fail: %r" % (method, reply["result"]))
        return reply["error"]


low_ports = itertools.cycle(range(1023, 0, -1))


def bind_low(sock):
    """Gives an AF_VSOCK socket a source port below 1024, as the host's root has."""
    # Each time another: while the daemon has not seen the end of the last connection from a port,
    # the next one from there is reset.
    for port in itertools.islice(low_ports, 1023):
        try:
            return sock.bind((socket.VMADDR_CID_ANY, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("all source ports below 1024 are taken")


# --- the daemon ---------------------------------------------------------------------------


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
        with open("/proc/%d/status" % self.pid, encoding="utf-8") as file:
            return int(re.search(r"^VmHWM:\s*(\d+) kB$", file.read(), re.M).group(1)) * 1024

    def cpu_ticks(self):
        """User and system time used so far, in clock ticks."""
        with open("/proc/%d/stat" % self.pid, encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


# --- the test case ------------------------------------------------------------------------


class TestCase(unittest.TestCase):
    """A scratch folder, listeners with addresses of their own, and a daemon on demand."""

    longMessage = True
    maxDiff = None
    ports = 20000 + os.getpid() % 1000 * 40

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="guestwire-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def free_port(self):
        """A vsock port that no test of this process has had."""
        TestCase.ports += 1
        return TestCase.ports

    def target(self, name="main", transport=None, port=None, **keys):
        """A listener's Target; keys become its settings (idle_timeout="1s")."""
        transport = transport or TRANSPORT
        lines = {key.replace("_", "-"): value for key, value in keys.items()}
        if transport == "vsock":
            port = port or self.free_port()
            lines.setdefault("peers", "local")
            section, address = "port %d" % port, (CID_LOCAL, port)
            family = socket.AF_VSOCK
        elif transport == "tcp":
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                address = sock.getsockname()
            lines["address"] = "tcp:%s:%d" % address
            section, family = "listen %s" % name, socket.AF_INET
        else:
            address = os.path.join(self.folder, name + ".sock")
            lines["address"] = "unix:%s" % address
            section, family = "listen %s" % name, socket.AF_UNIX
        text = "[%s]\n" % section
        text += "".join("%s = %s\n" % item for item in lines.items() if item[1] is not None)
        return Target(section, family, address, text)

    def start(self, *targets, agent=None, **options):
        """A daemon with these targets (one default target if none); agent: its settings."""
        if not targets:
            targets = (self.target(),)
        self.main = targets[0]
        self.daemon = Daemon(self, self.config(*targets, agent=agent), **options)
        return self.daemon

    def config(self, *targets, agent=None):
        text = "[agent]\n"
        text += "".join("%s = %s\n" % (k.replace("_", "-"), v) for k, v in (agent or {}).items())
        return text + "".join("\n%s" % target for target in targets)

    def connect(self, target=None, **options):
        """A client, closed when the test ends."""
        client = Client(target or self.main, **options)
        self.addCleanup(client.close)
        return client

    def unprivileged(self):
        """A target whose callers are not privileged, whatever their uid or port is."""
        return self.target(trust="nobody")

    def stats(self, target=None):
        with Client(target or self.main) as client:
            return client.call("agent.stats")

    def assert_answers(self, target=None):
        """A newcomer is served."""
        with Client(target or self.main) as client:
            self.assertEqual(client.call("agent.ping"), {})

    def assert_reason(self, error, reason):
        self.assertEqual(error["code"], APPLICATION, error)
        self.assertEqual(error["data"]["reason"], reason, error)
        self.assertTrue(error["message"], error)

    def assert_closed(self, client):
        """Nothing more comes but the end of the stream."""
        self.assertEqual(client.read_end(), [])

    def run_guestwired(self, *args, **options):
        """Runs guestwired to its end."""
        result = subprocess.run([GUESTWIRED, *args], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=DEADLINE, check=False, **options)
        for word in SANITIZERS:
            self.assertNotIn(word, result.stderr.decode("utf-8", "replace"))
        return result

    def run_guestwire(self, *args, **options):
        """Runs the host's client to its end."""
        result = subprocess.run([GUESTWIRE, *args], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=DEADLINE, check=False, universal_newlines=True,
                                **options)
        for word in SANITIZERS:
            self.assertNotIn(word, result.stderr)
        return result


# --- TAP ----------------------------------------------------------------------------------


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.notes = []
        self.bad = False
        self.skip = None

    def startTest(self, test):
        super().startTest(test)
        self.notes, self.bad, self.skip = [], False, None
        faulthandler.dump_traceback_later(TEST_LIMIT, exit=True)

    def _note(self, error):
        self.bad = True
        self.notes += "".join(traceback.format_exception(*error)).rstrip("\n").split("\n")

    def addError(self, test, err):
        super().addError(test, err)
        if not isinstance(test, unittest.TestCase):
            print("Bail out! %s: %s" % (test, err[1]), flush=True)
        self._note(err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.notes.append(str(subtest))
            self._note(err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason

    def addExpectedFailure(self, test, err):
        raise AssertionError("an expected failure is no test")

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.number += 1
        name = "%s.%s" % (type(test).__name__, test._testMethodName)
        if self.skip is not None and MUST_RUN:
            self.bad = True
            self.notes.append("it was skipped, but MUST_RUN=1: %s" % self.skip)
        line = "%s %d - %s" % ("not ok" if self.bad else "ok", self.number, name)
        if self.skip is not None and not self.bad:
            line += " # SKIP %s" % self.skip
        print(line)
        for note in self.notes:
            print("# %s" % note)
        sys.stdout.flush()
        super().stopTest(test)


def wanted(suite, patterns):
    """The tests of the suite that are about this transport and match a pattern."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from wanted(item, patterns)
            continue
        method = getattr(item, item._testMethodName, None)
        transport = getattr(method, "only_transport",
                            getattr(type(item), "only_transport", TRANSPORT))
        name = "%s.%s" % (type(item).__name__, item._testMethodName)
        if transport == TRANSPORT and (
                not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)):
            yield item


def main():
    """Runs the tests of the script; arguments are globs on Class.test_name."""
    # A shell's background job ignores these, and so would what the tests start and send them to.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    tests = list(wanted(unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"]), sys.argv[1:]))
    if not tests:
        print("1..0 # SKIP nothing here is about %s" % TRANSPORT)
        sys.exit(0)
    print("1..%d" % len(tests), flush=True)
    result = TapResult()
    unittest.TestSuite(tests).run(result)
    sys.exit(0 if not (result.failures or result.errors) else 1)
