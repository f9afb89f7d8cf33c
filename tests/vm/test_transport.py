# SPDX-License-Identifier: MIT
"""A guest whose vsock comes late, or never: the second guest boots without its modules."""

import re

import lab


class Transport(lab.HostCase):
    """In this order: what is loaded stays loaded."""

    def setUp(self):
        self.sibling = lab.LABORATORY.sibling()

    def loaded(self, module):
        return self.sibling.run("test", "-d", "/sys/module/" + module, check=False).status == 0

    def status(self):
        return self.sibling.property("StatusText")

    def test_1_no_vsock_at_all(self):
        """Ready, though nothing can be had: the boot does not wait, and the log says why."""
        self.assertFalse(self.loaded("vsock"))
        self.assertEqual(self.sibling.property("ActiveState"), "active")
        self.assertEqual(self.sibling.property("NRestarts"), "0")
        self.assertRegex(self.status(), "port 1000")
        self.assertNotRegex(self.status(), r"Listening: [^;]*port 1000\b")
        log = self.sibling.out("journalctl -b -q -u guestwired MESSAGE_ID=" + lab.NOT_LISTENING)
        self.assertRegex(log, "port 1000.*vsock")
        self.assertNotEqual(self.sibling.run("guestwire doctor", check=False).status, 0)

    def test_2_nobody_asks_for_it(self):
        """The agent tries again, but each socket(2) would have the kernel start modprobe."""
        program, asked = "/usr/local/sbin/modprobe-tells", "/run/modprobe-asked"
        self.sibling.write(program, "#!/bin/sh\necho \"$*\" >>%s\n" % asked, 0o755)
        self.addCleanup(self.sibling.run, "echo /sbin/modprobe >/proc/sys/kernel/modprobe; "
                        "rm -f %s %s" % (program, asked))
        self.sibling.run("echo %s >/proc/sys/kernel/modprobe" % program)
        # Twice in this time, and once for each port.
        count = "touch %s; grep -c net-pf-40 %s" % (asked, asked)
        self.sibling.run("sleep 7")
        self.assertEqual(self.sibling.out(count, check=False), "0")
        # A reload asks: the module may have been installed.
        self.sibling.run("systemctl reload guestwired")
        lab.until(lambda: self.sibling.out(count, check=False) != "0", "somebody asks")

    def test_3_vsock_without_a_transport(self):
        """Sockets listen, and nobody can call: that is said."""
        self.sibling.run("modprobe vsock")
        # Ports try again one after the other.
        lab.until(lambda: re.search(r"Listening: [^;]*port 1000\b.*vsock has no transport",
                                        self.status()),
                  lambda: "the status tells: %s" % self.status(), lab.DEADLINE)

    def test_4_a_transport_that_comes_late(self):
        pid = self.sibling.property("MainPID")
        self.guestwire("ping", "-c", 1, "--timeout", "5s", self.sibling.target(), status=3)
        self.sibling.run("modprobe vmw_vsock_virtio_transport")
        self.guestwire("ping", "-c", 1, "--wait", "--timeout", "30s", self.sibling.target())
        lab.until(lambda: "no transport" not in self.status(),
                  lambda: "the status tells: %s" % self.status(), lab.DEADLINE)
        self.assertEqual(self.sibling.property("MainPID"), pid)
        self.assertEqual(self.sibling.property("NRestarts"), "0")
