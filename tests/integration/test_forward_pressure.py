# SPDX-License-Identifier: MIT
"""`handler = forward` under pressure: readers that stop, crowds, ends that are killed."""

import contextlib
import os
import random
import resource
import signal
import socket
import threading
import time
import unittest

import harness
from forwarding import (BLOCK, MIB, NATIVE, Backend, Case, Flow, receive, receive_all, reset,
                        send_until_full)

# Of the reader that stops: a minute where others have the processor meanwhile. More than all the
# queues between the two ends can hold.
STOPPED_SECONDS = 60 if NATIVE and not harness.build_kind() else 2
STOPPED_STREAM = 64 * MIB


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

    def reader_in_a_process(self, sock):
        """Receives to the end of the stream; says how it began, and at last its size and hash."""
        heard, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(tell, receive(sock, 1))
                flow = Flow(Flow.receive, sock)
                os.write(tell, b"%d %s" % (flow.result()[0], flow.result()[1].encode()))
            finally:
                os._exit(0)
        os.close(tell)
        sock.close()
        self.addCleanup(os.close, heard)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        return pid, heard

    def test_a_reader_that_stops_for_a_minute(self):
        """Memory stays where it was, others are served all the while, and nothing is lost."""
        backend = Backend(self, "tcp")
        self.serve(backend)
        near, far = self.pair(backend)
        others = self.pair(backend)
        before = self.daemon.rss()
        pid, heard = self.reader_in_a_process(far)
        near.settimeout(None)
        near.sendall(b"!")
        self.assertEqual(os.read(heard, 1), b"!")
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        flow = Flow(Flow.send, near, STOPPED_STREAM, 1)
        end = time.monotonic() + STOPPED_SECONDS
        highest = rounds = 0
        while time.monotonic() < end:
            for one, other in (others, others[::-1]):
                one.sendall(BLOCK[:100000])
                self.assertEqual(receive(other, 100000), BLOCK[:100000])
            self.assert_answers()
            highest = max(highest, self.daemon.rss())
            rounds += 1
            threading.Event().wait(0.05)
        self.assertGreater(rounds, 1)
        self.assertLess(highest - before, self.room(2 * MIB))
        # The writer stands still, and has all the time: what it sent is in the kernel's queues.
        self.assertTrue(flow.is_alive())
        self.assertLess(flow.size, STOPPED_STREAM)
        os.kill(pid, signal.SIGCONT)
        size, digest = flow.result()
        self.assertEqual(size, STOPPED_STREAM)
        self.assertEqual(os.read(heard, 1000), b"%d %s" % (size, digest.encode()))

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


if __name__ == "__main__":
    harness.main()
