# SPDX-License-Identifier: MIT
"""`handler = forward` over TCP: what was cut off is not passed off as whole."""

import harness
from forwarding import MIB, Backend, Case, Flow, receive, reset


class Reset(Case):
    def serve_tcp(self, backend, **keys):
        self.serve(backend, transport="tcp", **keys)
        self.daemon.remember()

    def assert_reset(self, sock):
        """A reset, and nothing before."""
        with self.assertRaises(ConnectionResetError):
            self.fail("%r instead of a reset" % sock.recv(1))

    def test_of_the_target_reaches_the_caller(self):
        backend = Backend(self, "tcp")
        self.serve_tcp(backend)
        near, far = self.pair(backend)
        far.sendall(b"a part")
        self.assertEqual(receive(near, 6), b"a part")
        reset(far)
        self.assert_reset(near)
        near.close()
        self.daemon.assert_back()

    def test_of_the_caller_reaches_the_target(self):
        backend = Backend(self, "tcp")
        self.serve_tcp(backend)
        near, far = self.pair(backend)
        near.sendall(b"a part")
        self.assertEqual(receive(far, 6), b"a part")
        reset(near)
        self.assert_reset(far)
        far.close()
        self.daemon.assert_back()

    def test_of_a_target_that_dies_with_words_unread(self):
        """The one failure that a Unix socket shows."""
        backend = Backend(self)
        self.serve_tcp(backend)
        near, far = self.pair(backend)
        received = self.stats()["bytes"]["received"]
        near.sendall(b"x" * 100000)
        harness.until(lambda: self.stats()["bytes"]["received"] >= received + 100000, "the words")
        far.close()
        self.assert_reset(near)
        near.close()
        self.daemon.assert_back()

    def test_takes_nothing_back(self):
        """The caller has read nothing yet when its target dies."""
        backend = Backend(self)
        self.serve_tcp(backend)
        near, far = self.pair(backend)
        near.sendall(b"unread")
        sending = Flow(lambda flow: [far.sendall(bytes(4096)) for _ in range(MIB // 4096)], far)
        sending.result()
        far.close()
        self.assertEqual(receive(near, MIB), bytes(MIB))
        self.assert_reset(near)
        near.close()
        self.daemon.assert_back()

    def test_for_want_of_a_target(self):
        backend = Backend(self, "tcp")
        self.serve_tcp(backend)
        backend.listener.close()
        # It may come before connect(2) has returned.
        with self.assertRaises(ConnectionResetError):
            near = self.connect(self.forwarded)
            self.fail("%r instead of a reset" % near.sock.recv(1))
        self.daemon.wait_log("not forwarded: .*nobody listens")
        self.daemon.assert_back()

    def test_an_end_stays_an_end(self):
        """Of either side, though the other one has not ended yet."""
        backend = Backend(self, "tcp")
        self.serve_tcp(backend)
        for first in (0, 1):
            ends = self.pair(backend)
            ends[first].sendall(b"all of it")
            ends[first].close()
            self.assertEqual(receive(ends[1 - first], 9), b"all of it")
            self.assertEqual(ends[1 - first].recv(1), b"")
            ends[1 - first].close()
            self.daemon.assert_back()


if __name__ == "__main__":
    harness.main()
