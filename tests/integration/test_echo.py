# SPDX-License-Identifier: MIT
"""`handler = echo`: each read is answered with `prefix` and the bytes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading

import harness

MIB = 1 << 20


class Case(harness.TestCase):
    def serve(self, agent=None, **keys):
        self.echo = self.target("echo", handler="echo", **keys)
        self.start(self.target(), self.echo, agent=agent)
        return self.daemon

    def client(self):
        return self.connect(self.echo)

    def hear(self, client, data):
        """Exactly these bytes come."""
        got = b""
        while len(got) < len(data):
            piece = client.sock.recv(len(data) - len(got))
            self.assertTrue(piece, "the end after %r" % got)
            got += piece
        self.assertEqual(got, data)

    def hear_end(self, client):
        self.assertEqual(client.sock.recv(1), b"")

    def room(self, size):
        return size + ((64 * MIB) if harness.build_kind() else 0)


class Answers(Case):
    def test_world(self):
        """No newline, no end of input: the answer comes."""
        self.serve(prefix="\"Hello: \"")
        client = self.client()
        for _ in range(3):
            client.send(b"World!")
            self.hear(client, b"Hello: World!")

    def test_prefix_is_empty_by_default(self):
        self.serve()
        client = self.client()
        data = bytes(range(256))
        client.send(data)
        self.hear(client, data)

    def test_once(self):
        self.serve(prefix="\"Hello: \"", once="yes")
        self.daemon.remember()
        for _ in range(3):
            client = self.client()
            client.send(b"World!")
            self.hear(client, b"Hello: World!")
            self.hear_end(client)
            client.close()
        self.daemon.assert_back()

    def test_once_to_a_peer_that_goes_on_sending(self):
        """The answer is not lost to the reset that unread input would cause."""
        for transport in (None, "tcp"):
            with self.subTest(transport):
                self.echo = self.target("echo", transport, handler="echo", once="yes")
                self.start(self.target(), self.echo)
                for _ in range(10):
                    client = self.client()
                    client.send(b"x" * 1000)
                    self.hear(client, b"x")
                    with contextlib.suppress(ConnectionError):
                        for _ in range(20):
                            client.send(b"y" * 1000)
                    rest = b""
                    with contextlib.suppress(ConnectionResetError):
                        while True:
                            piece = client.sock.recv(65536)
                            if not piece:
                                break
                            rest += piece
                    self.assertEqual(rest[:999], b"x" * 999)
                    client.close()
                self.daemon.stop()

    def test_end_of_input_is_not_departure(self):
        self.serve(prefix="\"> \"")
        for _ in range(20):
            client = self.client()
            client.send(b"last words")
            client.half_close()
            self.hear(client, b"> last words")
            self.hear_end(client)

    def test_nothing_said_nothing_answered(self):
        self.serve(prefix="\"Hello: \"", once="yes")
        client = self.client()
        client.half_close()
        self.hear_end(client)

    def test_a_long_stream(self):
        self.serve()
        client = self.client()
        data = os.urandom(4 * MIB)

        def send():
            client.send(data)
            client.half_close()

        sender = threading.Thread(target=send)
        sender.start()
        self.hear(client, data)
        self.hear_end(client)
        sender.join()

    def test_stats_count_the_bytes(self):
        self.serve(prefix="\"Hello: \"")
        before = self.stats()["bytes"]
        client = self.client()
        client.send(b"World!" * 1000)
        self.hear(client, b"Hello: World!")
        client.half_close()
        with contextlib.suppress(ConnectionResetError):
            while client.sock.recv(65536):
                pass
        after = self.stats()["bytes"]
        self.assertGreaterEqual(after["received"] - before["received"], 6000)
        self.assertGreaterEqual(after["sent"] - before["sent"], 6007)


class Netcat(Case):
    @harness.only("unix")
    def test_answers(self):
        """A real netcat: what it sends is answered after the end of its input, too."""
        if not shutil.which("nc"):
            self.skipTest("netcat is missing")
        self.serve(prefix="\"Hello: \"", once="yes")
        result = subprocess.run(["nc", "-N", "-U", self.echo.address], input=b"World!",
                                capture_output=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, b"Hello: World!"))


class Limits(Case):
    def test_a_peer_that_does_not_read(self):
        """It is not read either, and memory stays where it was."""
        self.serve(prefix="\"Hello: \"")
        client = self.client()
        before = self.daemon.rss()
        sent = 0
        client.sock.settimeout(0.5)
        with contextlib.suppress(socket.timeout):
            while sent < 64 * MIB:
                sent += client.sock.send(bytes(65536))
        self.assertLess(sent, 64 * MIB)
        self.assertLess(self.daemon.rss() - before, self.room(2 * MIB))
        self.assert_answers()
        client.sock.settimeout(harness.DEADLINE)
        client.half_close()
        got = b""
        while True:
            piece = client.sock.recv(MIB)
            if not piece:
                break
            got += piece
        self.assertEqual(len(got.replace(b"Hello: ", b"")), sent)

    def test_idle_timeout(self):
        self.serve(idle_timeout="2s")
        client = self.client()
        client.send(b"x")
        self.hear(client, b"x")
        self.hear_end(client)

    def test_who_is_not_trusted_is_refused(self):
        self.serve(trust="nobody", prefix="\"Hello: \"")
        self.assert_hung_up_on(self.echo, b"World!")

    def test_gone_at_any_moment(self):
        self.serve(prefix="\"Hello: \"")
        self.daemon.remember()
        for i in range(200):
            client = harness.Client(self.echo)
            if i % 4:
                client.sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    for _ in range(i % 7):
                        client.send(bytes(i * 500))
            if i % 3 == 0:
                client.reset()
            else:
                client.close()
        self.daemon.assert_back()
        self.assert_answers()


class Lifetime(Case):
    def test_a_reload_changes_the_prefix(self):
        self.serve(prefix="\"old \"")
        client = self.client()
        client.send(b"x")
        self.hear(client, b"old x")
        with open(self.daemon.config, encoding="utf-8") as file:
            text = file.read()
        self.daemon.reload(text.replace("old", "new"))
        client.send(b"x")
        self.hear(client, b"new x")

    def test_stop_ends_the_idle_ones(self):
        self.serve(agent={"shutdown-timeout": "10min"})
        client = self.client()
        client.send(b"x")
        self.hear(client, b"x")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.hear_end(client)
        client.close()
        self.daemon.expect_exit(0)

    def test_stop_does_not_wait_for_ever(self):
        """For a peer that never reads its answers."""
        self.serve(agent={"shutdown-timeout": "100ms"})
        client = self.client()
        client.sock.settimeout(0.2)
        with contextlib.suppress(socket.timeout):
            while True:
                client.sock.send(bytes(65536))
        self.daemon.stop()


if __name__ == "__main__":
    harness.main()
