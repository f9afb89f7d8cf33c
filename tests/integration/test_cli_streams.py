# SPDX-License-Identifier: MIT
"""guestwire connect and guestwire forward: every byte arrives, whatever stands at either end."""

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import tty

import harness
from harness import CID_LOCAL, DEADLINE, GUESTWIRE, TRANSPORT, only, until
from test_cli import CONNECTION, OK, REFUSED, TIMEOUT, USAGE, Case

MIB = 1024 * 1024
# User-mode Linux traces every system call.
LARGE = 8 * MIB if TRANSPORT == "vsock" else 64 * MIB
MANY = 30 if TRANSPORT == "vsock" else 200


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read_all(sock):
    pieces = []
    while True:
        piece = sock.recv(65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def echo(sock):
    """As cat(1): what is read is written, and its end as well."""
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


class Service:
    """A server in the place of the guest: talk(socket) for each connection, in its own thread."""

    def __init__(self, test, talk, kind=TRANSPORT):
        self.kind = kind
        self.talk = talk
        self.peers = []
        self.threads = []
        self.socks = []
        self.closed = False
        if kind == "vsock":
            self.sock = socket.socket(socket.AF_VSOCK)
            self.port = test.free_port()
            self.sock.bind((socket.VMADDR_CID_ANY, self.port))
            self.target = "vsock:%d" % CID_LOCAL
            self.cli = "%s:%d" % (self.target, self.port)
        elif kind == "tcp":
            self.sock = socket.socket()
            self.sock.bind(("127.0.0.1", 0))
            self.port = self.sock.getsockname()[1]
            self.target = "tcp:127.0.0.1"
            self.cli = "%s:%d" % (self.target, self.port)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            path = os.path.join(test.folder, "service%d.sock" % test.free_port())
            self.sock.bind(path)
            self.target = self.cli = "unix:" + path
        self.sock.listen(1024)
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()
        test.addCleanup(self.close)

    def _accept(self):
        while True:
            try:
                sock, peer = self.sock.accept()
            except OSError:
                return
            if self.closed:
                sock.close()
                return
            self.peers.append(peer)
            self.socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, sock):
        with sock, contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
            self.talk(sock)

    def close(self):
        """Nobody listens any more."""
        if self.closed:
            return
        self.closed = True
        # What wakes the thread in accept(): AF_VSOCK does not let listeners be shut down.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        if self.kind == "vsock":
            with contextlib.suppress(OSError), socket.socket(socket.AF_VSOCK) as sock:
                sock.settimeout(DEADLINE)
                sock.connect((CID_LOCAL, self.port))
        self.acceptor.join(DEADLINE)
        self.sock.close()

    def kill(self):
        """The guest dies: its connections break, and nobody listens."""
        self.close()
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Streams(Case):
    def popen(self, *args, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        process = subprocess.Popen([GUESTWIRE, *args], stderr=subprocess.PIPE, **options)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def connect_run(self, *args, data=None, **options):
        """`guestwire connect` to its end: what it wrote. It must succeed and say nothing."""
        if data is not None:
            options["input"] = data
        elif "stdin" not in options:
            options["stdin"] = subprocess.DEVNULL
        options.setdefault("stdout", subprocess.PIPE)
        result = subprocess.run([GUESTWIRE, "connect", *args], stderr=subprocess.PIPE,
                                timeout=4 * DEADLINE, check=False, **options)
        self.assertEqual((result.returncode, result.stderr), (OK, b""), args)
        return result.stdout

    def large_file(self):
        path = os.path.join(self.folder, "large")
        block = os.urandom(MIB)
        with open(path, "wb") as file:
            for i in range(LARGE // MIB):
                file.write(struct.pack("<Q", i) + block[8:])
        return path

    def assert_same(self, data, path):
        with open(path, "rb") as file:
            self.assertEqual(digest(data), digest(file.read()))


# --- connect ------------------------------------------------------------------------------


class Connect(Streams):
    def test_there_and_back(self):
        service = Service(self, echo)
        self.assertEqual(self.connect_run(service.cli, data=b"hello"), b"hello")
        self.assertEqual(self.connect_run(service.cli), b"")

    def test_large_from_file_to_file(self):
        service, path, out = Service(self, echo), self.large_file(), self.folder + "/out"
        with open(path, "rb") as source, open(out, "wb") as target:
            self.connect_run(service.cli, stdin=source, stdout=target)
        with open(out, "rb") as file:
            self.assert_same(file.read(), path)

    def test_large_through_pipes(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as file:
            self.assert_same(self.connect_run(service.cli, data=file.read()), path)

    def test_a_file_is_read_and_written_from_where_it_stands(self):
        service = Service(self, echo)
        path = os.path.join(self.folder, "file")
        with open(path, "wb") as file:
            file.write(b"before, and after")
        with open(path, "rb", buffering=0) as source, open(path + ".out", "wb",
                                                           buffering=0) as target:
            source.seek(len(b"before, "))
            target.write(b"here: ")
            self.connect_run(service.cli, stdin=source, stdout=target)
        with open(path + ".out", "rb") as file:
            self.assertEqual(file.read(), b"here: and after")
        with open(path + ".out", "ab") as target:
            self.connect_run(service.cli, data=b"!", stdout=target)
        with open(path + ".out", "rb") as file:
            self.assertEqual(file.read(), b"here: and after!")

    def test_the_end_of_input_is_passed_on(self):
        """A service that answers at the end of its input, and not before."""
        service = Service(self, lambda sock: sock.sendall(digest(read_all(sock)).encode()))
        data = os.urandom(MIB)
        self.assertEqual(self.connect_run(service.cli, data=data), digest(data).encode())

    def test_goes_on_reading_after_the_end_of_input(self):
        more = threading.Event()

        def talk(sock):
            self.assertEqual(sock.recv(1), b"")
            sock.sendall(b"one ")
            more.wait(DEADLINE)
            sock.sendall(b"two")
        process = self.popen("connect", Service(self, talk).cli)
        self.assertEqual(process.stdout.read(4), b"one ")
        self.assertIsNone(process.poll())
        more.set()
        self.assertEqual(process.stdout.read(), b"two")
        self.assertEqual(process.wait(DEADLINE), OK)

    def test_goes_on_writing_after_the_guests_end(self):
        """The guest has said all it has to say, but it is still listening."""
        got = []

        def talk(sock):
            sock.sendall(b"ready")
            sock.shutdown(socket.SHUT_WR)
            got.append(read_all(sock))
        service = Service(self, talk)
        process = self.popen("connect", service.cli, stdin=subprocess.PIPE)
        # The output ends before the input does.
        self.assertEqual(process.stdout.read(), b"ready")
        data = os.urandom(MIB)
        process.stdin.write(data)
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), OK)
        until(lambda: got, "what the service read")
        self.assertEqual(digest(got[0]), digest(data))

    def test_ends_when_the_guest_has_gone(self):
        """The input is open still; nobody would take it."""
        process = self.popen("connect", Service(self, lambda sock: sock.sendall(b"bye")).cli,
                             stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.read(), b"bye")
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assertEqual(process.stderr.read(), b"")

    def test_a_guest_that_leaves_with_data_unread_is_no_success(self):
        service = Service(self, lambda sock: sock.recv(1))
        with open(self.large_file(), "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            self.assertEqual(process.wait(DEADLINE), CONNECTION)
        self.assertRegex(process.stderr.read(), b"broke before all was passed on")

    def test_a_slow_reader_loses_nothing(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            pieces = []
            while True:
                piece = os.read(process.stdout.fileno(), 4096 if len(pieces) < 256 else MIB)
                if not piece:
                    break
                pieces.append(piece)
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assert_same(b"".join(pieces), path)

    def test_memory_is_bounded_while_nobody_reads(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            self.assertNotEqual(os.read(process.stdout.fileno(), 1), b"")
            peak = []

            def settled():
                with open("/proc/%d/io" % process.pid, encoding="ascii") as file:
                    peak.append(file.read())
                return len(peak) > 3 and peak[-1] == peak[-4]
            until(settled, "it stopped reading")
            with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
                rss = int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024
        if not harness.build_kind():
            self.assertLess(rss, 24 * MIB)
        process.kill()

    def test_closed_streams(self):
        """What is closed is empty, or swallows; a socket never takes its number."""
        service = Service(self, echo)
        script = 'exec "$0" connect "$1" %s'
        for redirection, data, expected in (("<&-", b"", b""), (">&-", b"lost", b""),
                                            ("<&- >&-", b"", b""), ("2>&-", b"kept", b"kept"),
                                            ("<&- >&- 2>&-", b"", b"")):
            with self.subTest(redirection=redirection):
                result = subprocess.run(["sh", "-c", script % redirection, GUESTWIRE, service.cli],
                                        input=data, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (OK, expected, b""))

    def test_null_device(self):
        service = Service(self, echo)
        with open("/dev/null", "r+b", buffering=0) as null:
            self.assertIsNone(self.connect_run(service.cli, data=bytes(MIB), stdout=null))
            self.assertEqual(self.connect_run(service.cli, stdin=null), b"")

    def test_reader_that_has_had_enough(self):
        service, path = Service(self, echo), self.large_file()
        for restore in (True, False):  # SIGPIPE as it is, and ignored
            old = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                with open(path, "rb") as source:
                    process = self.popen("connect", service.cli, stdin=source,
                                         restore_signals=restore)
            finally:
                signal.signal(signal.SIGPIPE, old)
            process.stdout.read(10)
            process.stdout.close()
            process.stdout = None
            self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (REFUSED, b""))

    def test_ends_when_its_reader_has_gone(self):
        """Though the input is open, and the guest would send for ever."""
        gone = threading.Event()

        def talk(sock):
            try:
                while True:
                    sock.sendall(bytes(65536))
            finally:
                gone.set()
        process = self.popen("connect", Service(self, talk).cli, stdin=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        process.stdout = None
        self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (REFUSED, b""))
        self.assertTrue(gone.wait(DEADLINE))

    def test_a_reader_that_has_gone_stops_no_upload(self):
        """As long as the guest has nothing to say, nothing is lost."""
        got = []
        service = Service(self, lambda sock: got.append(read_all(sock)))
        process = self.popen("connect", service.cli, stdin=subprocess.PIPE)
        process.stdout.close()
        process.stdout = None
        data = os.urandom(MIB)
        process.stdin.write(data)
        process.stdin.close()
        self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (OK, b""))
        until(lambda: got, "what the service read")
        self.assertEqual(digest(got[0]), digest(data))

    def test_full_disk_is_no_success(self):
        service = Service(self, echo)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([GUESTWIRE, "connect", service.cli], input=b"x", stdout=full,
                                    stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
        self.assertEqual(result.returncode, REFUSED)
        self.assertIn(b"No space left", result.stderr)

    def test_one_socket_for_both(self):
        """As inetd and some ssh clients start a program."""
        service = Service(self, echo)
        ours, its = socket.socketpair()
        with ours:
            with its:
                process = self.popen("connect", service.cli, stdin=its, stdout=its)
            ours.settimeout(DEADLINE)
            data = os.urandom(MIB)
            writer = threading.Thread(target=lambda: (ours.sendall(data),
                                                      ours.shutdown(socket.SHUT_WR)))
            writer.start()
            self.assertEqual(digest(read_all(ours)), digest(data))
            writer.join()
        self.assertEqual(process.wait(DEADLINE), OK)

    def test_a_terminal_stays_as_it_was(self):
        service = Service(self, echo)
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        tty.setraw(follower)
        flags = fcntl.fcntl(follower, fcntl.F_GETFL)
        process = self.popen("connect", service.cli, stdin=follower, stdout=follower)
        os.write(leader, b"hello")
        echoed = b""
        while len(echoed) < 5:
            echoed += os.read(leader, 5)
        self.assertEqual(echoed, b"hello")
        # Other programs share it meanwhile.
        self.assertEqual(fcntl.fcntl(follower, fcntl.F_GETFL), flags)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), -signal.SIGTERM)
        self.assertEqual(fcntl.fcntl(follower, fcntl.F_GETFL), flags)

    def test_descriptions_that_others_share_stay_as_they_were(self):
        """Pipes, a named pipe's reader, a socket: none is left non-blocking behind."""
        service = Service(self, echo)
        read, write = os.pipe()
        a, b = socket.socketpair()
        held = [(read, write), (a.detach(), b.detach())]
        for ours, its in held:
            self.addCleanup(os.close, ours)
            self.addCleanup(os.close, its)
            flags = fcntl.fcntl(its, fcntl.F_GETFL)
            self.connect_run(service.cli, data=b"x", stdout=its)
            self.assertEqual(fcntl.fcntl(its, fcntl.F_GETFL), flags)
            self.assertEqual(os.read(ours, 10), b"x")

    def test_named_pipes(self):
        service = Service(self, echo)
        path = os.path.join(self.folder, "fifo")
        os.mkfifo(path)
        process = subprocess.Popen(["sh", "-c", 'exec "$0" connect "$1" <"$2"', GUESTWIRE,
                                    service.cli, path], stdout=subprocess.PIPE)
        with open(path, "wb", buffering=0) as fifo:
            fifo.write(b"through a name")
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"through a name")
        self.assertEqual(process.returncode, OK)

    def test_killed_by_a_signal(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.popen("connect", Service(self, echo).cli, stdin=subprocess.PIPE)
            process.stdin.write(b"x")
            process.stdin.flush()
            self.assertEqual(process.stdout.read(1), b"x")
            process.send_signal(sig)
            self.assertEqual(process.wait(DEADLINE), -sig)

    def test_nobody_listens(self):
        service = Service(self, echo)
        service.close()
        with contextlib.suppress(FileNotFoundError):
            if TRANSPORT == "unix":
                os.unlink(service.cli[len("unix:"):])
        self.run_bad(CONNECTION, "no connection to .*guestwired", "connect", service.cli)
        self.run_bad(TIMEOUT, "in time; at last: no connection", "connect", "--wait=200ms",
                     service.cli)

    def test_waits_for_the_service(self):
        path = os.path.join(self.folder, "late.sock")
        target = "unix:" + path
        process = self.popen("connect", "--wait", target)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen(1)
            sock.settimeout(DEADLINE)
            caller = sock.accept()[0]
            with caller:
                # Nothing is asked of what need not be an agent.
                caller.settimeout(DEADLINE)
                self.assertEqual(read_all(caller), b"")
                caller.sendall(b"late")
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"late")
        self.assertEqual(process.returncode, OK)

    @only("unix")
    def test_timeout_is_for_the_connection_alone(self):
        path = os.path.join(self.folder, "full.sock")
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(path)
            sock.listen(0)
            for _ in range(2):  # then the backlog is full
                caller = stack.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    caller.connect(path)
            self.run_bad(TIMEOUT, "no connection", "connect", "--timeout=200ms", "unix:" + path)

        release = threading.Event()

        def talk(sock):
            release.wait(DEADLINE)
            sock.sendall(b"late")
        service = Service(self, talk)
        process = self.popen("connect", "--timeout=50ms", service.cli)
        until(lambda: service.peers, "it is connected")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)  # six times as long
        release.set()
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"late")

    @only("unix")
    def test_port_goes_before_the_targets(self):
        service = Service(self, echo, kind="tcp")
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        for port in (str(service.port), hex(service.port), guid):
            self.assertEqual(self.connect_run("tcp:127.0.0.1", port, data=b"x"), b"x")
        self.assertEqual(self.connect_run("tcp:localhost:1", str(service.port), data=b"x"), b"x")
        self.run_bad(USAGE, "Unix socket has no ports", "connect", "unix:/run/x.sock", "22")
        for port in ("0", "65536"):
            self.run_bad(USAGE, "from 1 to 65535", "connect", "tcp:127.0.0.1", port)
        for port in ("", "x", "-1", "22 ", "4294967295", "00000016-facb-11e6-bd58-000000000000"):
            self.run_bad(USAGE, "port|GUID", "connect", "--", "21", port)
        self.run_bad(USAGE, "takes no 'more'", "connect", "21", "22", "more")
        self.run_bad(USAGE, "is not a target", "connect", "nowhere")
        self.run_bad(USAGE, "is not a target", "connect", "192.0.2.1", "22")
        self.run_bad(USAGE, "is not a target", "info", "0.0.0.21")

    @only("unix")
    def test_through_a_mux(self):
        """The bytes behind "OK" are the guest's, however they come."""
        def talk(sock):
            line = b""
            while not line.endswith(b"\n"):
                line += sock.recv(1)
            if line == b"CONNECT 22\n":
                sock.sendall(b"OK 1073741824\nbanner ")
                echo(sock)
        service = Service(self, talk, kind="unix")
        path = service.cli[len("unix:"):]
        for args in (("mux:" + path, "22"), ("mux:%s:22" % path,), ("mux:%s:5" % path, "0x16")):
            self.assertEqual(self.connect_run(*args, data=b"hello"), b"banner hello")
        self.run_bad(CONNECTION, "nobody listens on port 23", "connect", "mux:" + path, "23")

    @only("unix")
    def test_tcp_on_a_terminal_ends_with_the_guest(self):
        service = Service(self, lambda sock: sock.sendall(b"bye"), kind="tcp")
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        process = self.popen("connect", service.cli, stdin=follower)
        self.assertEqual(process.stdout.read(), b"bye")
        self.assertEqual(process.wait(DEADLINE), OK)


@only("vsock")
class ConnectVsock(Streams):
    def test_no_privileged_port(self):
        service = Service(self, echo)
        self.assertEqual(os.geteuid(), 0)
        self.assertEqual(self.connect_run("1", str(service.port), data=b"x"), b"x")
        (cid, port), = service.peers
        self.assertEqual(cid, CID_LOCAL)
        self.assertGreaterEqual(port, 1024)

    def test_forms_of_the_port(self):
        service = Service(self, echo)
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        for port in (str(service.port), hex(service.port), guid):
            self.assertEqual(self.connect_run("local", port, data=b"x"), b"x")
        self.assertEqual(self.connect_run("0.0.0.1", str(service.port), data=b"x"), b"x")
        self.assertEqual(self.connect_run("vsock:1:1", str(service.port), data=b"x"), b"x")

    def test_socat_listens(self):
        """A real peer of another make: cat(1) behind socat's VSOCK-LISTEN."""
        if not shutil.which("socat"):
            self.skipTest("socat is missing")
        port, path = self.free_port(), self.large_file()
        socat = subprocess.Popen(["socat", "VSOCK-LISTEN:%d,fork" % port, "EXEC:cat"],
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(socat.wait)
        self.addCleanup(socat.kill)
        with open(path, "rb") as source:
            self.assert_same(self.connect_run("--wait", "1", str(port), stdin=source), path)
        self.assertEqual(self.connect_run("1", str(port), data=b"x"), b"x")
        self.assertEqual(self.connect_run("1", str(port)), b"")


# --- ssh ----------------------------------------------------------------------------------


class Ssh(Streams):
    """A real sshd behind a port of the agent, by ssh's ProxyCommand."""

    def setUp(self):
        super().setUp()
        self.sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.sshd or not shutil.which("ssh") or not shutil.which("scp"):
            self.skipTest("ssh or sshd is missing (Debian: openssh-client, openssh-server)")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # its own; compiled in
        self.key = self.make_key("key")
        shutil.copy(self.key + ".pub", self.path("authorized"))
        with open(self.path("sshd_config"), "w", encoding="utf-8") as file:
            file.write("HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"
                       "PermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
                       "PrintMotd no\nPrintLastLog no\nSubsystem sftp internal-sftp\n"
                       % (self.make_key("host"), self.path("authorized")))

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_key(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)],
                       check=True, stdin=subprocess.DEVNULL)
        return self.path(name)

    def serve(self, kind=TRANSPORT):
        """sshd -i for each connection, its standard input and output the connection itself."""
        def talk(sock):
            subprocess.run([self.sshd, "-i", "-e", "-f", self.path("sshd_config")], stdin=sock,
                           stdout=sock, stderr=subprocess.DEVNULL, check=False)
        return Service(self, talk, kind)

    def options(self, proxy):
        with open(self.path("host.pub"), encoding="ascii") as file:
            known = " ".join(file.read().split()[:2])
        with open(self.path("known"), "w", encoding="ascii") as file:
            file.write("guest %s\n" % known)
        found = ["-F", "/dev/null"]
        for option in ("ProxyCommand=" + proxy, "UserKnownHostsFile=" + self.path("known"),
                       "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=guest",
                       "StrictHostKeyChecking=yes", "IdentityFile=" + self.key,
                       "IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR",
                       "User=" + getpass.getuser()):
            found += ["-o", option]
        return found

    def ssh(self, options, *command, **more):
        return subprocess.run(["ssh", *options, *command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=4 * DEADLINE, check=False, **more)

    def check_session(self, options, host):
        result = self.ssh(options, host, "echo in && exit 42", stdin=subprocess.DEVNULL)
        self.assertEqual((result.returncode, result.stdout), (42, b"in\n"), result.stderr)
        data = os.urandom(MIB)
        result = self.ssh(options, host, "sha256sum", input=data)
        self.assertEqual(result.stdout.split()[0].decode(), digest(data), result.stderr)

        path = self.large_file()
        for source, target in ((path, "%s:%s" % (host, self.path("there"))),
                               ("%s:%s" % (host, path), self.path("back"))):
            result = subprocess.run(["scp", *options, source, target], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    timeout=4 * DEADLINE, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("there", "back"):
            with open(self.path(name), "rb") as file:
                self.assert_same(file.read(), path)

    def test_proxy_command(self):
        service = self.serve()
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, service.cli)), "guest")

    @only("vsock")
    def test_host_and_port_are_the_targets(self):
        """As it stands in the manual: %h is the CID."""
        service = self.serve()
        options = self.options("%s connect %%h %d" % (GUESTWIRE, service.port))
        result = self.ssh(options, "1", "exit 7", stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 7, result.stderr)

    def agent_port(self, **keys):
        """A port of the agent that is a stream, and one to talk to the agent by."""
        target = self.target("ssh", **keys)
        self.start(self.target(), target)
        return target

    def test_forwarded_by_the_agent(self):
        """To a server in the guest: `handler = forward`."""
        port = self.agent_port(handler="forward", to=self.local_server())
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, port.cli)), "guest")

    def local_server(self):
        return self.serve("unix").cli

    def test_started_by_the_agent(self):
        """A server for each connection, inetd's way: `handler = exec`."""
        unsafe = {"trust_unsafe": "yes"} if TRANSPORT == "vsock" else {}
        port = self.agent_port(handler="exec", trust="peers", **unsafe, command="%s -i -e -f %s" % (
            self.sshd, self.path("sshd_config")))
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, port.cli)), "guest")

    def test_no_guest(self):
        """ssh tells why, in our words."""
        service = self.serve()
        service.close()
        options = self.options("%s connect %s" % (GUESTWIRE, service.cli))
        result = self.ssh(options, "guest", "true", stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"guestwire: no connection to " + service.cli.encode(), result.stderr)


# --- forward ------------------------------------------------------------------------------


class Forward(Streams):
    KIND = "vsock" if TRANSPORT == "vsock" else "tcp"
    LINE = re.compile(r"guestwire: (\S+) -> (\S+): (\d+) connections, (\d+) current, (\d+) failed, "
                      r"(\d+) bytes to the guest, (\d+) bytes from the guest")

    def service(self, talk=echo):
        return Service(self, talk, kind=self.KIND)

    def free_tcp_port(self, host="127.0.0.1"):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.bind((host, 0))
            return sock.getsockname()[1]

    def forward(self, *args, n=1, **options):
        """A `guestwire forward` that listens on n addresses."""
        process = self.popen("forward", *args, **options)
        for _ in range(n):
            line = process.stderr.readline()
            self.assertRegex(line, rb"^guestwire: listening on \S+ for \S+\n$")
        return process

    def open(self, port, host="127.0.0.1"):
        sock = socket.create_connection((host, port), DEADLINE)
        self.addCleanup(sock.close)
        return sock

    def round_trip(self, sock, data):
        writer = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        writer.start()
        received = read_all(sock)
        writer.join(DEADLINE)
        return received

    def statistics(self, process, n=1):
        """[(local, remote, connections, current, failed, to, from)] of n lines on stderr."""
        found = []
        while len(found) < n:
            line = process.stderr.readline().decode()
            self.assertNotEqual(line, "", "no statistics")
            match = self.LINE.match(line)
            if match:
                found.append((match.group(1), match.group(2),
                              *(int(x) for x in match.groups()[2:])))
        return found

    def finish(self, process, n=1, sig=signal.SIGTERM):
        process.send_signal(sig)
        found = self.statistics(process, n)
        self.assertEqual(process.wait(DEADLINE), OK)
        return found

    def test_a_port_is_the_guests(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        self.assertEqual(self.round_trip(self.open(port), b"hello"), b"hello")
        (found,) = self.finish(process)
        self.assertEqual(found, ("tcp:127.0.0.1:%d" % port, service.cli, 1, 0, 0, 5, 5))

    def test_an_agent_behind_it(self):
        """guestwire itself, as a client of it."""
        target = self.target("agent", transport=self.KIND)
        self.start(target)
        port, remote = self.free_tcp_port(), target.address[1]
        self.forward(target.cli.rpartition(":")[0], "%d:%d" % (port, remote))
        self.assertEqual(self.run_ok("call", "tcp:127.0.0.1:%d" % port, "agent.ping"), "{}\n")

    def test_large_both_ways(self):
        service, port, path = self.service(), self.free_tcp_port(), self.large_file()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(digest(self.round_trip(self.open(port), data)), digest(data))
        (found,) = self.finish(process)
        self.assertEqual(found[2:], (1, 0, 0, LARGE, LARGE))

    def test_many_clients_at_once(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        clients = [self.open(port) for _ in range(MANY)]
        for i, sock in enumerate(clients):
            sock.sendall(b"%d " % i)
        for i, sock in enumerate(clients):
            self.assertEqual(sock.recv(16), b"%d " % i)
        process.send_signal(signal.SIGUSR1)
        (found,) = self.statistics(process)
        self.assertEqual(found[2:5], (MANY, MANY, 0))
        bad = []

        def talk(sock):
            data = os.urandom(100000)
            if self.round_trip(sock, data) != data:
                bad.append(sock)
        threads = [threading.Thread(target=talk, args=(sock,)) for sock in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        self.assertEqual(bad, [])
        (found,) = self.finish(process)
        sent = sum(len(b"%d " % i) for i in range(MANY)) + MANY * 100000
        self.assertEqual(found[2:], (MANY, 0, 0, sent, sent))

    def test_statistics_on_demand(self):
        service, ports = self.service(), [self.free_tcp_port(), self.free_tcp_port()]
        routes = ["%d:%d" % (port, service.port) for port in ports]
        process = self.forward(service.target, *routes, n=2)
        sock = self.open(ports[1])
        sock.sendall(b"hello")
        self.assertEqual(sock.recv(5), b"hello")
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            found = self.statistics(process, 2)
            self.assertEqual([line[2:] for line in found], [(0, 0, 0, 0, 0), (1, 1, 0, 5, 5)])
        self.assertEqual([line[0] for line in found], ["tcp:127.0.0.1:%d" % p for p in ports])
        # Whoever is connected in the end is still counted.
        found = self.finish(process, 2, signal.SIGINT)
        self.assertEqual(found[1][2:4], (1, 1))

    def test_json(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.popen("forward", "--json", service.target, "%d:%d" % (port, service.port))
        names = {"local": "tcp:127.0.0.1:%d" % port, "remote": service.cli}
        self.assertEqual(json.loads(process.stdout.readline()), dict(names, event="listening"))
        self.assertEqual(self.round_trip(self.open(port), b"x"), b"x")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(json.loads(process.stdout.readline()),
                         dict(names, event="statistics", connections=1, current=0, failed=0,
                              bytes_to_guest=1, bytes_from_guest=1))
        self.assertEqual((process.wait(DEADLINE), process.stdout.read(), process.stderr.read()),
                         (OK, b"", b""))

    def test_a_unix_socket(self):
        service, path = self.service(), os.path.join(self.folder, "local.sock")
        process = self.forward(service.target, "%s:%d" % (path, service.port))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            self.assertEqual(self.round_trip(sock, b"hello"), b"hello")
        self.finish(process)
        self.assertFalse(os.path.exists(path))
        # A relative path, and one with colons of its own.
        process = self.forward(service.target, "./a:b.sock:%d" % service.port, cwd=self.folder)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(os.path.join(self.folder, "a:b.sock"))
            self.assertEqual(self.round_trip(sock, b"hello"), b"hello")

    def test_a_path_is_shown_as_it_was_given(self):
        service = self.service()
        process = self.forward(service.target, "./near.sock:%d" % service.port, cwd=self.folder)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(os.path.join(self.folder, "near.sock"))
            self.assertEqual(self.round_trip(sock, b"x"), b"x")
        (found,) = self.finish(process)
        self.assertEqual(found, ("unix:./near.sock", service.cli, 1, 0, 0, 1, 1))

    def test_forms_of_addresses(self):
        service = self.service()
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        hosts = ["127.0.0.1", "127.0.0.2", "0.0.0.0"]
        with contextlib.suppress(OSError):
            self.free_tcp_port("::1")
            hosts.append("[::1]")
        routes, ports = [], []
        for host, remote in zip(hosts, (hex(service.port), guid, str(service.port), guid)):
            ports.append(self.free_tcp_port(host.strip("[]")))
            routes.append("%s:%d:%s" % (host, ports[-1], remote))
        process = self.forward(service.target, *routes, n=len(routes))
        for host, port in zip(hosts, ports):
            sock = self.open(port, host.strip("[]"))
            self.assertEqual(self.round_trip(sock, b"x"), b"x")
        found = self.finish(process, len(routes))
        self.assertEqual([line[1:3] for line in found], [(service.cli, 1)] * len(routes))

    def test_a_bare_port_is_for_this_machine_alone(self):
        service, port = self.service(), self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        with self.assertRaises(ConnectionRefusedError):
            self.open(port, "127.0.0.2")

    def test_half_close(self):
        service = self.service(lambda sock: sock.sendall(digest(read_all(sock)).encode()))
        port = self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        data = os.urandom(MIB)
        self.assertEqual(self.round_trip(self.open(port), data), digest(data).encode())

    def test_nobody_listens_in_the_guest(self):
        service, port = self.service(), self.free_tcp_port()
        service.close()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        with self.assertRaises(ConnectionResetError):
            self.open(port).recv(1)
        self.assertRegex(process.stderr.readline(), b"no connection to .*nobody listens")
        (found,) = self.finish(process)
        self.assertEqual(found[2:], (1, 0, 1, 0, 0))

    @only("unix")
    def test_a_reset_of_the_guest_is_passed_on(self):
        """An end would say that all is there. (AF_VSOCK itself shows a reset as an end.)"""
        def talk(sock):
            sock.sendall(b"a part")
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        service, port = self.service(talk), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        client = self.open(port)
        self.assertEqual(client.recv(6, socket.MSG_WAITALL), b"a part")
        client.sendall(b"?")
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        self.finish(process)

    def test_failures_do_not_flood(self):
        service, port = self.service(), self.free_tcp_port()
        service.close()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        for _ in range(100):
            with contextlib.suppress(ConnectionResetError):
                self.open(port).recv(1)
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read().decode()
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assertLess(errors.count("no connection to"), 30)
        self.assertIn("100 connections, 0 current, 100 failed", errors)

    def test_target_dies_and_comes_back(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        sock = self.open(port)
        sock.sendall(b"hello")
        self.assertEqual(sock.recv(5), b"hello")
        service.kill()
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(sock.recv(5), b"")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(self.open(port).recv(1), b"")
        again = self.service()
        # The same port, as a guest that was started anew has it.
        process.send_signal(signal.SIGUSR1)
        (found,) = self.statistics(process)
        self.assertEqual((found[2], found[4]), (2, 1))
        other = self.free_tcp_port()
        self.forward(again.target, "%d:%d" % (other, again.port))
        self.assertEqual(self.round_trip(self.open(other), b"x"), b"x")
        self.finish(process)

    def test_killed_client_leaves_nothing(self):
        ended = []

        def talk(sock):
            with contextlib.suppress(ConnectionResetError):
                echo(sock)
            ended.append(sock)
        service, port = self.service(talk), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        folder = "/proc/%d/fd" % process.pid
        before = len(os.listdir(folder))
        for i in range(20):
            sock = self.open(port)
            sock.sendall(bytes(i * 1000 + 1))
            self.assertNotEqual(sock.recv(1), b"")
            # A reset, as of a process that was killed with data unread.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        until(lambda: len(ended) == 20, "the guest's side has ended too")

        def idle():
            process.send_signal(signal.SIGUSR1)
            return self.statistics(process)[0][3] == 0
        until(idle, "no connection is left")
        until(lambda: len(os.listdir(folder)) <= before + 2, "its descriptors are closed")

    def test_more_clients_than_descriptors(self):
        """They wait in the queue, nobody is turned away, and the processor rests."""
        service, port = self.service(), self.free_tcp_port()

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        process = self.forward(service.target, "%d:%d" % (port, service.port), preexec_fn=limit)
        clients = [self.open(port) for _ in range(40)]
        for i, sock in enumerate(clients):
            sock.sendall(b"%02d" % i)
        self.assertEqual(clients[0].recv(2), b"00")
        self.assertRegex(process.stderr.readline(), b"Too many open files")

        def ticks():
            with open("/proc/%d/stat" % process.pid, encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])
        begin = ticks()
        threading.Event().wait(1)
        self.assertLess(ticks() - begin, os.sysconf("SC_CLK_TCK") // 2)
        for i, sock in enumerate(clients):
            received = b"" if i else b"00"
            while len(received) < 2:
                received += sock.recv(2)
            self.assertEqual(received, b"%02d" % i)
            sock.close()
        (found,) = self.finish(process)
        self.assertEqual((found[2], found[4]), (40, 0))

    def test_raises_its_limit_of_descriptors(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(
            service.target, "%d:%d" % (port, service.port),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)))
        self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_NOFILE), (hard, hard))

    def test_address_in_use(self):
        service = self.service()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(1)
            taken, free = sock.getsockname()[1], self.free_tcp_port()
            result = self.run_bad(CONNECTION, "TCP port %d is taken" % taken, "forward",
                                  service.target, "%d:%d" % (free, service.port),
                                  "%d:%d" % (taken, service.port))
            self.assertNotIn("listening", result.stderr)
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="ascii"):
            pass
        self.run_bad(CONNECTION, re.escape(path), "forward", service.target,
                     "%s:%d" % (path, service.port))
        self.assertTrue(os.path.exists(path))

    def test_usage(self):
        for route in ("22", ":22", "8080:", "", "x:22", "0:22", "65536:22", "1.2.3:80:22",
                      "name:80:22", "::1:80:22", "8080:x", "8080:-1"):
            with self.subTest(route=route):
                self.run_bad(USAGE, ".", "forward", "--", "21", route)
        self.run_bad(USAGE, "needs TARGET LOCAL:REMOTE", "forward", "21")
        self.run_bad(USAGE, "Unix socket has no ports to", "forward", "unix:/run/x", "8080:22")
        self.run_bad(USAGE, "is not a target", "forward", "nowhere", "8080:22")
        self.run_bad(USAGE, "takes no --wait", "forward", "--wait", "21", "8080:22")


    @only("vsock")
    def test_no_privileged_port(self):
        service, port = self.service(), self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        self.assertEqual(self.round_trip(self.open(port), b"x"), b"x")
        (cid, source), = service.peers
        self.assertEqual(cid, CID_LOCAL)
        self.assertGreaterEqual(source, 1024)


if __name__ == "__main__":
    harness.main()
