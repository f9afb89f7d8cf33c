# SPDX-License-Identifier: MIT
"""A raw client, and where it connects to."""

import errno
import itertools
import json
import selectors
import socket
import struct
import threading
import time

from .settings import DEADLINE


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
