# SPDX-License-Identifier: MIT
"""What the tests of forwarded streams share: streams that are known, the two ends of one."""

import contextlib
import errno
import hashlib
import os
import random
import socket
import struct
import threading

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
