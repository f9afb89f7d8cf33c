# SPDX-License-Identifier: MIT
"""exec.run under pressure: many at once, callers that go, readers that are slow, fork bombs."""

import os
import random

import harness
from harness import TRANSPORT, is_asleep, is_there
from programs import Case, output
from rawfiles import RawCall

# User-mode Linux traces every system call.
LOST = 200 if TRANSPORT == "unix" else 50
GREAT = (1024 if TRANSPORT == "unix" else 128) << 20


class Hundred(Case):
    def test_a_hundred_at_once(self):
        self.daemon.remember()
        clients = [self.connect(privileged=True) for _ in range(4)]
        for client in clients:
            for i in range(25):
                self.begin(client=client, argv=["sh", "-c", "echo %d; exit %d" % (i, i)])
        for client in clients:
            found = {}
            for _ in range(25):
                reply = client.read()
                found[reply["id"]] = reply["result"]
            for i in range(25):
                self.assertEqual((found[i + 1]["exit_status"], found[i + 1]["stdout"]),
                                 (i, "%d\n" % i))
            client.close()
        self.daemon.assert_back()

    def test_connections_lost_at_random(self):
        """No process and no descriptor is left, whenever the caller goes."""
        dice = random.Random(4)
        self.daemon.remember()
        pids = []
        for i in range(LOST):
            client = self.connect(privileged=True)
            name = "pid%d" % i
            params = {"argv": ["sh", "-c", "echo $$ >%s; yes & exec sleep 1000" %
                               self.path(name)]}
            if dice.random() < 0.5:
                params["raw"] = True
            else:
                params["output"] = dice.choice(("capture", "stream", "discard"))
            params["tty"] = dice.random() < 0.3
            params["input"] = dice.random() < 0.5
            self.begin(client=client, **params)
            if dice.random() < 0.7:
                pids.append(self.wait_for_pid(name))
            if dice.random() < 0.5 and params.get("output") in (None, "stream"):
                client.sock.recv(dice.randint(1, 100000))
            (client.reset if dice.random() < 0.5 else client.close)()
        self.assert_gone(*pids)
        self.daemon.assert_back()


class Slow(Case):
    def test_a_slow_reader_slows_the_program(self):
        """However much it writes, the daemon keeps little of it; and all of it comes."""
        for params, fraction in (({"raw": True}, 1), ({"output": "stream"}, 16)):
            size = GREAT // fraction
            client = self.connect(privileged=True)
            name = "pid%d" % fraction
            base = self.daemon.rss()
            self.begin(client=client, argv=["sh", "-c", "echo $$ >%s; exec head -c %d /dev/zero" % (
                self.path(name), size)], **params)
            pid = self.wait_for_pid(name)
            harness.until(lambda: is_asleep(pid), "program waits")
            got, tail = 0, b""
            while b'"exit_status":0' not in tail:
                piece = client.sock.recv(1 << 20)
                self.assertTrue(piece)
                got, tail = got + len(piece), tail[-100:] + piece
                if got % (16 << 20) < len(piece):
                    # AddressSanitizer keeps 256M of what is freed, and an account of it.
                    self.assertLess(self.daemon.rss() - base,
                                    (288 if harness.build_kind() else 12) << 20)
            self.assertGreater(got, size)
            client.close()
        self.assert_small()

    def assert_small(self):
        if not harness.build_kind():
            self.assertLessEqual(self.daemon.peak_rss(), 16 << 20)

    def test_ten_gigabytes_for_one_who_takes_little(self):
        """The program gets no further than the pipes between; it ends when its call does."""
        call = RawCall(self.client, "exec.run", {
            "argv": ["sh", "-c", "echo $$ >%s; exec head -c 10G /dev/zero" % self.path("pid")]})
        pid = self.wait_for_pid("pid")
        got = 0
        for _ in range(200):
            got += len(call.read()[1])
            self.assertTrue(is_there(pid))
        harness.until(lambda: is_asleep(pid), "program waits")
        # Not every kernel counts it.
        if os.path.exists("/proc/self/io"):
            with open("/proc/%d/io" % pid, encoding="ascii") as file:
                written = int(dict(line.split(": ") for line in file)["wchar"])
            self.assertLess(written, got + (16 << 20))
        self.assert_small()
        call.control("rpc.cancel", {"id": call.ident}, "cancel")
        found = {}
        while set(found) != {"cancel", call.ident}:
            reply = call.read_control()
            found[reply["id"]] = reply
        self.assert_reason(found[call.ident]["error"], "cancelled")
        self.assertIsNone(call.read_control())
        call.send(0)
        self.assertEqual(self.client.call("agent.ping"), {})
        self.assert_gone(pid)
        self.assert_small()


@harness.only("vsock")
class Groups(Case):
    """Limits, by control groups of version 2, where a kernel has them: in user-mode Linux."""

    BOMB = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
told = False
while True:
    try:
        os.fork()
    except OSError:
        told or os.write(1, b"full\\n")
        told = True
"""

    def groups(self):
        return [folder for folder, _, _ in os.walk("/sys/fs/cgroup")
                if os.path.basename(folder).startswith("run-")]

    def test_a_fork_bomb(self):
        """It stays within its bound, holds up nobody else, and ends at a stroke."""
        ident = self.begin(argv=["/usr/bin/python3", "-c", self.BOMB], output="stream",
                           tasks_max=20, kill_timeout_ms=100)
        self.assertEqual(output([self.client.read()])[:5], b"full\n")
        [group] = self.groups()
        for name in ("pids.max", "pids.current"):
            with open(os.path.join(group, name), encoding="ascii") as file:
                self.assertLessEqual(int(file.read()), 20, name)
        with open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
            pids = [int(line) for line in file]
        self.assertGreater(len(pids), 1)
        with self.connect(privileged=True) as other:
            self.assertEqual(self.run_program("echo", "x", client=other)["stdout"], "x\n")
        cancelled = self.begin("rpc.cancel", id=ident)
        replies, _ = self.replies(ident, cancelled)
        self.assert_reason(replies[0]["error"], "cancelled")
        self.assert_gone(*pids)
        harness.until(lambda: not self.groups(), lambda: "the end of %r" % self.groups())

    def test_a_fork_bomb_with_a_timeout(self):
        self.fails("timeout", argv=["/usr/bin/python3", "-c", self.BOMB], tasks_max=20,
                   timeout_ms=500, kill_timeout_ms=100)
        harness.until(lambda: not self.groups(), lambda: "the end of %r" % self.groups())


if __name__ == "__main__":
    harness.main()
