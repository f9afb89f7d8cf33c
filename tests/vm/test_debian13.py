# SPDX-License-Identifier: MIT
"""The package that was built on Debian 12, installed in Debian 13."""

import threading

import lab


class Debian13(lab.TestCase):
    lane = "debian13"

    def boot(self):
        # The kernel of 13 uses CMPXCHG16B in its allocator, which QEMU 7.2 emulates badly: EFLAGS
        # are not right behind it, and the kernel panics some time or other.
        # systemd 257 itself offers ssh on port 22 of vsock, which the laboratory's drop-in wants.
        return lab.LABORATORY.guest(image=lab.made("image", VM_SUITE="trixie"), cpu="max,-cx16",
                                    append="systemd.ssh_auto=no")

    def setUp(self):
        super().setUp()
        self.wait_ping(timeout=int(lab.BOOT))

    def pid(self):
        return self.guest.property("MainPID")

    def execute(self, scope, text):
        return self.call("exec.run", "argv=[\"/bin/sh\", \"-c\", \"%s\"]" % text,
                         "scope=" + scope)

    def test_boot(self):
        self.assertEqual(self.guest.wait_boot().stdout.strip(), "running",
                         self.guest.out("systemctl --failed --no-pager"))
        self.assertRegex(self.guest.out("cat /etc/debian_version"), r"^13\b")
        self.assertEqual(self.guest.property("NRestarts"), "0")
        self.assertEqual(self.guest.out("dpkg --verify guestwire-agent guestwire"), "")
        self.assertEqual(self.call("agent.info")["cid"], lab.CID)
        self.assertIn("trixie", self.guest.out("cat /etc/os-release"))

    def test_status(self):
        status = self.guest.out("systemctl --no-pager status guestwired")
        self.assertRegex(status, r'Status: "Listening: .*port 1000\b')
        self.assertNotIn("unknown key", self.guest.out("journalctl -b -q").lower())

    def test_the_unit_is_well_formed(self):
        done = self.guest.run("systemd-analyze verify --man=no guestwired.service")
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_programs(self):
        cgroup = {"unit": r"^0::/guestwire\.slice/guestwire-[^/]+\.service\n$",
                  "agent": r"^0::/system\.slice/guestwired\.service/.+\n$"}
        for scope, pattern in cgroup.items():
            with self.subTest(scope=scope):
                done = self.execute(scope, "cat /proc/self/cgroup; exit 3")
                self.assertEqual(done["exit_status"], 3)
                self.assertRegex(done["stdout"], pattern)
                # systemd tells of a unit's peak since 255.
                self.assertGreater(done["memory_peak_bytes"], 4096)
        lab.until(lambda: not self.guest.out(
            "systemctl list-units --all --plain --no-legend 'guestwire-*.service'"),
            "no unit is left", lab.DEADLINE)

    def test_reload(self):
        before = self.pid()
        self.assertRaises(ConnectionRefusedError, self.connect, 4000)
        self.drop_in("more", "[port 4000]\nhandler = echo\n")
        sock = self.connect(4000)
        sock.sendall(b"there")
        self.assertEqual(sock.recv(5), b"there")
        self.assertEqual(self.pid(), before)

    def test_a_restart_turns_nobody_away(self):
        """The listening sockets stay with systemd, so that callers only wait."""
        ending, errors, dialled = threading.Event(), [], []

        def dial():
            while not ending.is_set():
                try:
                    lab.dial(self.guest.mux, 1000).close()
                    dialled.append(None)
                except OSError as error:
                    errors.append(error)
                ending.wait(0.02)
        thread = threading.Thread(target=dial, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(ending.set)
        lab.until(lambda: dialled, "a first caller", lab.DEADLINE)
        before = self.pid()
        self.guest.run("systemctl restart guestwired")
        self.wait_ping()
        count = len(dialled)
        lab.until(lambda: len(dialled) > count, "a last caller", lab.DEADLINE)
        self.assertNotEqual(self.pid(), before)
        self.assertEqual(errors, [])

    def test_kill_and_back(self):
        before, restarts = self.pid(), int(self.guest.property("NRestarts"))
        self.guest.run("kill", "-KILL", before)
        lab.until(lambda: int(self.guest.property("NRestarts")) > restarts and
                  self.guest.property("ActiveState") == "active", "a restart", lab.DEADLINE)
        self.wait_ping()
        self.assertNotEqual(self.pid(), before)
