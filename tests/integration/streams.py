# SPDX-License-Identifier: MIT
"""What the tests of `guestwire connect` and `forward` share: servers to reach, the client run."""

import contextlib
import hashlib
import os
import socket
import struct
import subprocess
import threading

from cli import OK, Case
from harness import CID_LOCAL, DEADLINE, GUESTWIRE, TRANSPORT

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
