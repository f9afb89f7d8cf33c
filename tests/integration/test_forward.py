# SPDX-License-Identifier: MIT
"""`handler = forward`: a byte stream to another address, and back."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest
import unittest.mock

import harness
from forwarding import BLOCK, MIB, STREAM, Backend, Case, Flow, receive, receive_all


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
        self.assert_hung_up_on(self.forwarded, b"hello")
        self.daemon.wait_log(r"not forwarded: .*%s" % path)
        for _ in range(100):
            self.assert_hung_up_on(self.forwarded, b"hello")
        self.daemon.assert_back()
        self.assertLessEqual(self.daemon.stderr.count("not forwarded"), 20)

    def test_refuses_tcp(self):
        backend = Backend(self, "tcp")
        backend.listener.close()
        self.serve(backend)
        self.assert_hung_up_on(self.forwarded, b"hello")
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
                self.assert_hung_up_on(self.forwarded, b"hello")
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


class Vmm:
    """A VMM's Unix socket, as Firecracker's: a line says which port of the guest is wanted."""

    def __init__(self, test):
        self.backend = Backend(test)
        self.to = "mux:%s:5000" % self.backend.address

    def accept(self):
        """The stream behind the handshake, and the line that asked for it."""
        sock = self.backend.accept()
        line = b""
        while not line.endswith(b"\n"):
            line += receive(sock, 1)
        return sock, line


class MuxTarget(Case):
    """`to = mux:PATH:PORT`: a port of a guest whose VMM is on this machine."""

    def test_both_ways(self):
        vmm = Vmm(self)
        self.serve(vmm)
        self.daemon.remember()
        near = self.connect(self.forwarded).sock
        near.sendall(b"early,")
        far, line = vmm.accept()
        self.assertEqual(line, b"CONNECT 5000\n")
        # What follows the answer, in the same packet too, is the guest's.
        far.sendall(b"OK 1073741824\nbanner")
        self.assertEqual(receive(near, 6), b"banner")
        self.assertEqual(receive(far, 6), b"early,")
        flows = [Flow(Flow.send, near, 8 * MIB, 1), Flow(Flow.receive, far),
                 Flow(Flow.send, far, 8 * MIB, 2), Flow(Flow.receive, near)]
        there, there_got, back, back_got = [flow.result() for flow in flows]
        self.assertEqual(there, there_got)
        self.assertEqual(back, back_got)
        near.close()
        far.close()
        self.daemon.assert_back()

    def test_nothing_is_sent_before_the_answer(self):
        """An answer in pieces; until its end the VMM would take our bytes for its own protocol."""
        vmm = Vmm(self)
        self.serve(vmm)
        near = self.connect(self.forwarded).sock
        near.sendall(b"hello")
        far, _ = vmm.accept()
        far.setblocking(False)
        for piece in (b"O", b"K 107374", b"1824"):
            far.sendall(piece)
            self.assert_answers()
            with self.assertRaises(BlockingIOError):
                far.recv(1)
        far.settimeout(harness.DEADLINE)
        far.sendall(b"\n")
        self.assertEqual(receive(far, 5), b"hello")

    def refused(self, client, words):
        client.send_until_closed(b"hello")
        self.assert_gone(client.sock)
        self.daemon.wait_log("not forwarded: .*" + words)
        self.daemon.assert_back()

    def test_nobody_in_the_guest(self):
        """The VMM closes where no program of its guest listens on that port."""
        vmm = Vmm(self)
        self.serve(vmm)
        self.daemon.remember()
        with harness.Client(self.forwarded) as client:
            far, _ = vmm.accept()
            far.close()
            self.refused(client, "nobody listens on port 5000")

    def test_what_is_no_mux(self):
        vmm = Vmm(self)
        self.serve(vmm)
        self.daemon.remember()
        with harness.Client(self.forwarded) as client:
            far, _ = vmm.accept()
            far.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            self.refused(client, "HTTP/1.1 400")
            far.close()

    def test_an_answer_that_never_comes(self):
        """connect-timeout is for the handshake as well."""
        vmm = Vmm(self)
        self.serve(vmm, connect_timeout="2s")
        self.daemon.remember()
        with harness.Client(self.forwarded) as client:
            far, _ = vmm.accept()
            far.sendall(b"OK 1073741824")
            self.refused(client, vmm.backend.address)
            far.close()


class Name(Case):
    """A name whose look-up does not end: its name server takes the query and is silent."""

    def setUp(self):
        super().setUp()
        wrapper = [sys.executable, "-B", os.path.join(os.path.dirname(__file__),
                                                      "silent_resolver.py"), self.folder]
        if subprocess.run([*wrapper, "true"], check=False).returncode != 0:
            self.skipTest("no network and mounts of one's own here")
        wrapper += os.environ.get("GUESTWIRE_TEST_WRAPPER", "").split()
        patch = unittest.mock.patch.dict(os.environ, GUESTWIRE_TEST_WRAPPER=" ".join(wrapper))
        patch.start()
        self.addCleanup(patch.stop)

    def assert_asked(self):
        """A query is in the queue of the daemon's name server."""
        def waits():
            with open("/proc/%d/net/udp" % self.daemon.pid, encoding="ascii") as file:
                queues = re.findall(r" 0100007F:0035 \S+ \S+ [0-9A-F]+:([0-9A-F]+)", file.read())
            return any(int(queue, 16) for queue in queues)
        harness.until(waits, "a query")

    def test_does_not_block_the_loop(self):
        self.forwarded = self.forward("tcp:guestwire.example:80", connect_timeout="infinity")
        self.start(self.target(), self.forwarded, agent={"shutdown-timeout": "100ms"})
        with harness.Client(self.forwarded) as client:
            self.assert_asked()
            for _ in range(20):
                self.assert_answers()
            # It is looked up still.
            self.assertTrue(client.quiet())
            self.assertEqual(self.stats()["connections"]["current"], 2)
            self.assertNotIn("not forwarded", self.daemon.stderr)
            # Nor does it hold up the daemon's end.
            self.daemon.stop()
            self.assert_gone(client.sock)

    def test_there_are_only_so_many(self):
        """Look-ups outlive who asked; when as many are at it as may be, no more are begun."""
        self.forwarded = self.forward("tcp:guestwire.example:80", connect_timeout="300ms")
        other = self.forward("tcp:other.example:80", name="other", connect_timeout="infinity")
        self.start(self.target(), self.forwarded, other)
        clients = [harness.Client(self.forwarded) for _ in range(256)]
        for client in clients:
            self.assert_gone(client.sock)
            client.close()

        def told():
            with harness.Client(other) as more:
                self.assert_gone(more.sock)
            return "'other.example' is not looked up: 256 others are" in self.daemon.stderr
        # The log tells of a few failures at once only.
        harness.until(told, "a record")
        self.assert_answers()

    def test_connect_timeout(self):
        self.forwarded = self.forward("tcp:guestwire.example:80", connect_timeout="2s")
        self.start(self.target(), self.forwarded)
        with harness.Client(self.forwarded) as client:
            self.assert_asked()
            self.assert_gone(client.sock)
        self.daemon.wait_log("not forwarded: .*guestwire.example")


class Lifetime(Case):
    def test_idle_timeout(self):
        backend = Backend(self)
        self.serve(backend, idle_timeout="2s")
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

    def assert_not_forwarded(self, backend):
        """Closed before the target hears of anybody."""
        self.assert_hung_up_on(self.forwarded, b"hello")
        backend.listener.settimeout(0)
        with self.assertRaises(BlockingIOError):
            backend.listener.accept()

    def test_who_is_not_trusted_is_refused(self):
        backend = Backend(self)
        self.serve(backend, trust="nobody")
        self.assert_not_forwarded(backend)

    @harness.only("vsock")
    def test_who_is_no_peer_is_refused(self):
        backend = Backend(self)
        self.serve(backend, peers="host")
        self.assert_not_forwarded(backend)
        self.assertEqual(self.stats()["refused_peers"], 1)


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
        self.assert_hung_up_on(self.forwarded, b"hello")
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
