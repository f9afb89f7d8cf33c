# SPDX-License-Identifier: MIT
"""`handler = forward`: a byte stream to another address, and back."""

import contextlib
import errno
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import unittest

import harness

MIB = 1 << 20
NATIVE = harness.TRANSPORT == "unix"
STREAM = (1024 if NATIVE and not harness.build_kind() else 32) * MIB
BLOCK = os.urandom(MIB + 4099)
RESETS = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


def pieces(size, seed):
    """Views of random bytes, so many in all; the same for the same seed."""
    order = random.Random(seed)
    while size > 0:
        begin = order.randrange(4099)
        n = min(size, 256 * 1024)
        yield memoryview(BLOCK)[begin:begin + n]
        size -= n


class Flow(threading.Thread):
    """Sends a stream, or receives one to its end; keeps its size and hash."""

    def __init__(self, function, sock, *arguments):
        super().__init__(daemon=True)
        self.function, self.sock, self.arguments = function, sock, arguments
        self.size, self.hash, self.error = 0, hashlib.blake2b(), None
        self.start()

    def run(self):
        try:
            self.function(self, *self.arguments)
        except OSError as error:
            self.error = error

    def send(self, size, seed):
        for piece in pieces(size, seed):
            self.sock.sendall(piece)
            self.hash.update(piece)
            self.size += len(piece)
        self.sock.shutdown(socket.SHUT_WR)

    def receive(self):
        buffer = bytearray(MIB)
        while True:
            n = self.sock.recv_into(buffer)
            if n == 0:
                return
            self.hash.update(memoryview(buffer)[:n])
            self.size += n

    def result(self):
        self.join(harness.TEST_LIMIT)
        if self.error:
            raise self.error
        return self.size, self.hash.hexdigest()


class Backend:
    """What a port forwards to."""

    def __init__(self, test, kind="unix", backlog=128):
        if kind == "tcp":
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.to = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]
        elif kind == "vsock":
            port = test.free_port()
            self.listener = socket.socket(socket.AF_VSOCK)
            self.listener.bind((socket.VMADDR_CID_ANY, port))
            self.to = "vsock:local:%d" % port
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            test.backends += 1
            path = os.path.join(test.folder, "backend%d" % test.backends)
            self.listener.bind(path)
            self.to = "unix:%s" % path
        self.test = test
        self.listener.settimeout(harness.DEADLINE)
        self.listener.listen(backlog)
        test.addCleanup(self.listener.close)

    @property
    def address(self):
        return self.listener.getsockname()

    def accept(self):
        sock = self.listener.accept()[0]
        sock.settimeout(harness.DEADLINE)
        self.test.addCleanup(sock.close)
        return sock


def receive(sock, size):
    """Exactly so many bytes."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise AssertionError("%r and then the end, instead of %d bytes" % (data, size))
        data += piece
    return data


def receive_all(sock):
    """The number of bytes up to the end; a reset counts as one."""
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while True:
            n = len(sock.recv(MIB))
            if n == 0:
                break
            size += n
    return size


def send_until_full(sock, quiet=0.5):
    """Sends what is taken until nothing more is for a while; how much that was."""
    sent = 0
    sock.settimeout(quiet)
    with contextlib.suppress(socket.timeout):
        while True:
            sent += sock.send(memoryview(BLOCK)[:65536])
    sock.settimeout(harness.DEADLINE)
    return sent


def reset(sock):
    if sock.family != getattr(socket, "AF_VSOCK", None):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Case(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.backends = 0

    def forward(self, to, name="forward", transport=None, **keys):
        keys.setdefault("max_connections", "1200")
        return self.target(name, transport=transport, handler="forward", to=to, **keys)

    def serve(self, backend, agent=None, transport=None, **keys):
        """A daemon that forwards to the backend, beside a port to ask it by."""
        self.forwarded = self.forward(backend.to, transport=transport, **keys)
        agent = dict({"max-connections": "2000"}, **(agent or {}))
        self.start(self.target(), self.forwarded, agent=agent)
        return self.daemon

    def pair(self, backend, target=None):
        """Both ends of a forwarded connection, which works."""
        near = self.connect(target or self.forwarded).sock
        far = backend.accept()
        near.sendall(b"?")
        self.assertEqual(receive(far, 1), b"?")
        far.sendall(b"!")
        self.assertEqual(receive(near, 1), b"!")
        return near, far

    def assert_gone(self, sock):
        """The end, or a reset, and nothing before."""
        try:
            self.assertEqual(sock.recv(1), b"")
        except OSError as error:
            self.assertIn(error.errno, RESETS)


class Stream(Case):
    def both_ways(self, backend, size, transport=None):
        self.serve(backend, transport=transport)
        self.daemon.remember()
        near, far = self.pair(backend)
        flows = [Flow(Flow.send, near, size, 1), Flow(Flow.receive, far),
                 Flow(Flow.send, far, size, 2), Flow(Flow.receive, near)]
        there, there_got, back, back_got = [flow.result() for flow in flows]
        self.assertEqual(there[0], size)
        self.assertEqual(there, there_got)
        self.assertEqual(back[0], size)
        self.assertEqual(back, back_got)
        near.close()
        far.close()
        self.daemon.assert_back()

    def test_both_ways_at_once_compared_by_hash(self):
        self.both_ways(Backend(self, "tcp"), STREAM)

    def test_to_a_unix_socket(self):
        self.both_ways(Backend(self, "unix"), 32 * MIB)

    def test_from_tcp(self):
        self.both_ways(Backend(self, "unix"), 32 * MIB, transport="tcp")

    def test_names_are_looked_up(self):
        backend = Backend(self, "tcp")
        backend.to = backend.to.replace("127.0.0.1", "localhost")
        self.serve(backend)
        self.pair(backend)

    def test_small_pieces_in_order(self):
        backend = Backend(self)
        self.serve(backend)
        near, far = self.pair(backend)
        text = b"".join(b"%d," % i for i in range(3000))
        flow = Flow(Flow.receive, far)
        for i in range(0, len(text), 7):
            near.sendall(text[i:i + 7])
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(flow.result(), (len(text), hashlib.blake2b(text).hexdigest()))

    def test_stats_count_the_bytes(self):
        backend = Backend(self)
        self.serve(backend)
        near, far = self.pair(backend)
        before = self.stats()
        near.sendall(bytes(100000))
        receive(far, 100000)
        far.sendall(bytes(5000))
        receive(near, 5000)
        after = self.stats()
        self.assertGreaterEqual(after["bytes"]["received"] - before["bytes"]["received"], 100000)
        self.assertGreaterEqual(after["bytes"]["sent"] - before["bytes"]["sent"], 5000)


class HalfClose(Case):
    def test_of_the_caller(self):
        """The target sees the end, and its answer still comes."""
        backend = Backend(self)
        self.serve(backend)
        near, far = self.pair(backend)
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(far, 8), b"question")
        self.assertEqual(far.recv(1), b"")
        answer = Flow(Flow.send, far, 3 * MIB, 1)
        self.assertEqual(receive_all(near), 3 * MIB)
        answer.result()

    def test_of_the_target(self):
        backend = Backend(self)
        self.serve(backend)
        near, far = self.pair(backend)
        far.sendall(b"banner")
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(near, 6), b"banner")
        self.assertEqual(near.recv(1), b"")
        words = Flow(Flow.send, near, 3 * MIB, 1)
        self.assertEqual(receive_all(far), 3 * MIB)
        words.result()

    def test_is_not_needed(self):
        """Who cannot end one way alone closes: both ends are let go."""
        backend = Backend(self)
        self.serve(backend)
        self.daemon.remember()
        for first in (0, 1):
            ends = self.pair(backend)
            ends[first].close()
            self.assert_gone(ends[1 - first])
            ends[1 - first].close()
            self.daemon.assert_back()

    def test_a_full_close_is_noticed_by_a_silent_target(self):
        """The caller has ended his input and then left; the target never says a word."""
        backend = Backend(self)
        self.serve(backend)
        near, far = self.pair(backend)
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(far.recv(1), b"")
        near.close()
        harness.until(lambda: self.stats()["connections"]["current"] == 1, "the connection's end")


class Pressure(Case):
    def room(self, size):
        return size + ((64 * MIB) if harness.build_kind() else 0)

    def test_a_reader_that_stops(self):
        """It stops its writer; memory stays where it was; nothing is lost."""
        backend = Backend(self, "tcp")
        self.serve(backend)
        near, far = self.pair(backend)
        before = self.daemon.rss()
        sent = send_until_full(near, 3)
        self.assertLess(self.daemon.rss() - before, self.room(2 * MIB))
        self.assert_answers()
        far.sendall(b"the other way")
        self.assertEqual(receive(near, 13), b"the other way")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(far), sent)

    def test_a_caller_that_does_not_read(self):
        backend = Backend(self, "tcp")
        self.serve(backend)
        near, far = self.pair(backend)
        before = self.daemon.rss()
        sent = send_until_full(far, 1)
        self.assertLess(self.daemon.rss() - before, self.room(2 * MIB))
        far.close()
        self.assertEqual(receive_all(near), sent)

    def test_nothing_is_read_before_the_target_is_there(self):
        """The target's queue is full: the caller is held by the kernel, and nothing is lost."""
        backend = Backend(self, backlog=0)
        self.serve(backend, connect_timeout="infinity")
        with socket.socket(socket.AF_UNIX) as filler:
            filler.connect(backend.address)
            near = self.connect(self.forwarded).sock
            before = self.daemon.rss()
            sent = send_until_full(near)
            self.assertLess(self.daemon.rss() - before, self.room(MIB))
            self.assertEqual(self.stats()["bytes"]["received"] // 4096, 0)
            backend.accept()
            far = backend.accept()
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(far), sent)

    def test_a_thousand_idle_ones(self):
        count = 1000 if NATIVE else 200
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4096:
            raise unittest.SkipTest("no more than %d descriptors" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        backend = Backend(self)
        self.serve(backend)
        self.pair(backend)
        before = self.daemon.rss()
        pairs = [self.pair(backend) for _ in range(count)]
        self.assertLess(self.daemon.rss() - before, self.room(count * 4096))
        self.assertEqual(self.stats()["connections"]["current"], count + 2)
        for near, far in pairs:
            near.close()
            self.assert_gone(far)
            far.close()
        harness.until(lambda: self.stats()["connections"]["current"] == 2, "all to be gone")


class Killed(Case):
    TIMES = 200

    def flood(self, sock):
        """In a child: sends and receives for as long as it lives."""
        sock.setblocking(False)
        while True:
            with contextlib.suppress(BlockingIOError):
                sock.send(memoryview(BLOCK)[:50000])
            with contextlib.suppress(BlockingIOError):
                sock.recv(50000)

    def kill_one(self, victim, other, limit):
        """A process holds the victim alone, and is killed when so many bytes have come of it."""
        pid = os.fork()
        if pid == 0:
            try:
                other.close()
                self.flood(victim)
            finally:
                os._exit(1)
        victim.close()
        try:
            got = 0
            other.setblocking(False)
            while got < limit:
                with contextlib.suppress(BlockingIOError):
                    other.send(memoryview(BLOCK)[:30000])
                with contextlib.suppress(BlockingIOError):
                    got += len(other.recv(65536))
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        other.settimeout(harness.DEADLINE)
        receive_all(other)
        other.close()

    def test_either_end_at_a_random_moment(self):
        backend = Backend(self, "tcp")
        self.serve(backend)
        self.daemon.remember()
        order = random.Random(3)
        for i in range(self.TIMES):
            ends = self.pair(backend)
            self.kill_one(ends[i % 2], ends[1 - i % 2], order.choice((1, 3000, 70000, 900000)))
        self.daemon.assert_back()
        self.assert_answers()

    def test_before_the_target_has_answered(self):
        """Callers who are gone before the target is connected."""
        backend = Backend(self)
        self.serve(backend)
        self.daemon.remember()
        for i in range(self.TIMES):
            client = harness.Client(self.forwarded)
            if i % 3:
                client.send(b"x" * (i % 5))
            if i % 2:
                client.close()
            else:
                client.reset()
            far = backend.accept()
            receive_all(far)
            far.close()
        self.daemon.assert_back()

    def test_by_a_reset(self):
        backend = Backend(self, "tcp")
        self.serve(backend)
        self.daemon.remember()
        for i in range(20):
            near, far = self.pair(backend)
            far.sendall(b"last words")
            self.assertEqual(receive(near, 10), b"last words")
            reset(far)
            self.assert_gone(near)
            near.close()
        self.daemon.assert_back()


class Target(Case):
    """The target that refuses, hangs and vanishes."""

    def refused(self, client):
        client.send_until_closed(b"hello")
        self.assert_gone(client.sock)

    def test_refuses(self):
        path = os.path.join(self.folder, "nobody")
        self.forwarded = self.forward("unix:%s" % path)
        self.start(self.target(), self.forwarded)
        self.daemon.remember()
        with harness.Client(self.forwarded) as client:
            self.refused(client)
        self.daemon.wait_log(r"not forwarded: .*%s" % path)
        for _ in range(100):
            with harness.Client(self.forwarded) as client:
                self.refused(client)
        self.daemon.assert_back()
        self.assertLessEqual(self.daemon.stderr.count("not forwarded"), 20)

    def test_refuses_tcp(self):
        backend = Backend(self, "tcp")
        backend.listener.close()
        self.serve(backend)
        with harness.Client(self.forwarded) as client:
            self.refused(client)
        self.daemon.wait_log(r"not forwarded: .*127\.0\.0\.1")

    def test_name_that_does_not_resolve(self):
        self.forwarded = self.forward("tcp:no-such-host.invalid:80")
        self.start(self.target(), self.forwarded)
        with harness.Client(self.forwarded) as client:
            self.assert_answers()
            self.refused(client)
        self.daemon.wait_log(r"not forwarded: .*no-such-host\.invalid")

    def test_hangs(self):
        """Its queue stays full: given up after connect-timeout, and others are served."""
        backend = Backend(self, backlog=0)
        self.serve(backend, connect_timeout="300ms")
        self.daemon.remember()
        with socket.socket(socket.AF_UNIX) as filler:
            filler.connect(backend.address)
            with harness.Client(self.forwarded) as client:
                self.assert_answers()
                self.refused(client)
        self.daemon.wait_log("not forwarded: ")
        self.daemon.assert_back()

    def test_vanishes(self):
        """What it has said is all delivered; what it never read is dropped."""
        for kind in ("unix", "tcp"):
            with self.subTest(kind):
                backend = Backend(self, kind)
                self.serve(backend)
                near, far = self.pair(backend)
                far.sendall(BLOCK[:100000])
                near.sendall(b"unread")
                far.shutdown(socket.SHUT_WR)
                far.close()
                backend.listener.close()
                self.assertEqual(receive_all(near), 100000)
                near.close()
                with harness.Client(self.forwarded) as client:
                    self.refused(client)
                self.daemon.stop()

    def test_says_goodbye_to_a_busy_tcp_caller(self):
        """Its last words must not be lost to the reset that unread input would cause."""
        backend = Backend(self)
        self.serve(backend, transport="tcp")
        for _ in range(20):
            near, far = self.pair(backend)
            far.sendall(BLOCK[:100000])
            far.close()
            near.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                near.send(BLOCK)
            near.settimeout(harness.DEADLINE)
            self.assertEqual(receive_all(near), 100000)
            near.close()


class Lifetime(Case):
    def test_idle_timeout(self):
        backend = Backend(self)
        self.serve(backend, idle_timeout="200ms")
        near, far = self.pair(backend)
        self.assert_gone(near)
        self.assert_gone(far)

    def test_a_reload_is_for_those_who_come(self):
        old, new = Backend(self), Backend(self)
        self.serve(old)
        near, far = self.pair(old)
        text = self.daemon_text().replace(old.to, new.to)
        self.daemon.reload(text)
        near.sendall(b"still")
        self.assertEqual(receive(far, 5), b"still")
        self.pair(new)

    def daemon_text(self):
        with open(self.daemon.config, encoding="utf-8") as file:
            return file.read()

    def test_stop_waits_for_the_end(self):
        backend = Backend(self)
        self.serve(backend, agent={"shutdown-timeout": "10min"})
        near, far = self.pair(backend)
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.wait_notify("STOPPING=1")
        near.sendall(b"last")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(far, 4), b"last")
        far.sendall(b"words")
        far.close()
        self.assertEqual(receive(near, 5), b"words")
        near.close()
        self.daemon.expect_exit(0)

    def test_stop_does_not_wait_for_ever(self):
        backend = Backend(self)
        self.serve(backend, agent={"shutdown-timeout": "100ms"})
        near, far = self.pair(backend)
        self.daemon.stop()
        self.assert_gone(near)
        self.assert_gone(far)

    def test_who_is_not_trusted_is_refused(self):
        backend = Backend(self)
        self.serve(backend, trust="nobody")
        with harness.Client(self.forwarded) as client:
            client.send_until_closed(b"hello")
            self.assert_gone(client.sock)
        backend.listener.settimeout(0)
        with self.assertRaises(BlockingIOError):
            backend.listener.accept()


@harness.only("vsock")
class Outward(Case):
    """From a socket of the guest to a port of the host: here, of its loopback."""

    def serve_outward(self, to, transport="tcp"):
        self.forwarded = self.forward(to, transport=transport)
        self.start(self.target(), self.forwarded)

    def test_both_ways(self):
        backend = Backend(self, "vsock")
        self.serve_outward(backend.to)
        self.daemon.remember()
        near, far = self.pair(backend)
        flows = [Flow(Flow.send, near, 8 * MIB, 1), Flow(Flow.receive, far),
                 Flow(Flow.send, far, 8 * MIB, 2), Flow(Flow.receive, near)]
        there, there_got, back, back_got = [flow.result() for flow in flows]
        self.assertEqual((there, back), (there_got, back_got))
        near.close()
        far.close()
        self.daemon.assert_back()

    def test_no_privileged_source_port(self):
        backend = Backend(self, "vsock")
        self.serve_outward(backend.to)
        _, far = self.pair(backend)
        self.assertGreaterEqual(far.getpeername()[1], 1024)

    def test_a_peer_that_closed_for_good(self):
        """On vsock that looks like the end of its input alone."""
        backend = Backend(self, "vsock")
        self.serve_outward(backend.to)
        near, far = self.pair(backend)
        far.close()
        self.assertEqual(near.recv(1), b"")
        harness.until(lambda: self.stats()["connections"]["current"] == 1, "the connection's end")

    def test_nobody_listens(self):
        self.serve_outward("vsock:local:%d" % self.free_port())
        with harness.Client(self.forwarded) as client:
            client.send_until_closed(b"hello")
            self.assert_gone(client.sock)
        self.daemon.wait_log("not forwarded: ")


@harness.only("vsock")
class Socat(Case):
    """The peer that people have."""

    def setUp(self):
        super().setUp()
        if not shutil.which("socat"):
            raise unittest.SkipTest("socat is not installed")

    def test_connect(self):
        backend = Backend(self)
        self.serve(backend)
        port = self.forwarded.address[1]
        with subprocess.Popen(["socat", "-t", "30", "-", "VSOCK-CONNECT:1:%d" % port],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            far = backend.accept()
            flow = Flow(Flow.receive, far)
            answer = Flow(Flow.send, far, MIB, 2)
            client.stdin.write(BLOCK)
            client.stdin.close()
            self.assertEqual(flow.result(), (len(BLOCK), hashlib.blake2b(BLOCK).hexdigest()))
            got = client.stdout.read()
            size, digest = answer.result()
            self.assertEqual((len(got), hashlib.blake2b(got).hexdigest()), (size, digest))
        self.assertEqual(client.returncode, 0)

    def test_listen(self):
        port = self.free_port()
        path = os.path.join(self.folder, "received")
        with subprocess.Popen(["socat", "-d", "-d", "-t", "30", "VSOCK-LISTEN:%d" % port,
                               "SYSTEM:cat >%s; echo done" % path],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
            line = server.stderr.readline()
            while line and b"listening" not in line:
                line = server.stderr.readline()
            self.assertTrue(line)
            self.forwarded = self.forward("vsock:1:%d" % port, transport="unix")
            self.start(self.target(), self.forwarded)
            near = self.connect(self.forwarded).sock
            near.sendall(BLOCK)
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(receive(near, 5), b"done\n")
            near.close()
            server.stderr.read()
        with open(path, "rb") as file:
            self.assertEqual(file.read(), BLOCK)


if __name__ == "__main__":
    harness.main()
