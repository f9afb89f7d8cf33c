# SPDX-License-Identifier: MIT
"""The laboratory itself: what a failure leaves for who reads about it, and a guest for a person."""

import os
import subprocess
import tempfile

import lab


class Laboratory(lab.TestCase):
    def test_what_a_failure_leaves(self):
        # In its sandbox it cannot write one itself.
        self.wait_ping()
        pid = self.guest.property("MainPID")
        self.guest.run("kill", "-SEGV", pid)
        lab.until(lambda: self.guest.property("MainPID") not in (pid, "0"), "the next agent")
        self.assertEqual(self.guest.out("ls /var/crash"), "core.guestwired." + pid)
        self.guest.run("echo a last word >/dev/console")
        with tempfile.TemporaryDirectory() as folder:
            self.guest.keep(folder)
            self.guest.run("rm /var/crash/*")
            with open(os.path.join(folder, "21.journal"), encoding="utf-8") as file:
                self.assertRegex(file.read(),
                                 r"(?m)^\[ *\d+\.\d{6}\] guestwired\[\d+\]: guestwired .* started$")
            with open(os.path.join(folder, "21.console"), "rb") as file:
                self.assertIn(b"a last word", file.read())
            core, = (os.path.join(path, name) for path, _, names in
                     os.walk(os.path.join(folder, "21.cores")) for name in names)
            with open(core, "rb") as file:
                self.assertEqual(file.read(4), b"\x7fELF")

    def test_the_journal_is_the_guests(self):
        """What this side has read of it, beside what journalctl says there."""
        self.wait_ping()
        self.guest.wait_boot()
        since = self.now()
        self.guest.run("logger -t laboratory 'one line'; printf 'of \\377 bytes' | logger -t other")
        lab.until(lambda: len(self.guest.journal.find(
            since, {"SYSLOG_IDENTIFIER": ("laboratory", "other")})) == 2, "both entries")
        self.assertIn("one line\nof \N{REPLACEMENT CHARACTER} bytes", self.log(since))
        for identifier in ("guestwired", "sshd"):
            there = self.guest.out("journalctl", "-b", "-q", "-o", "cat", "-t", identifier)
            self.now()
            here = [entry["MESSAGE"] for entry in self.guest.journal.find(
                0, {"SYSLOG_IDENTIFIER": (identifier,)})]
            self.assertNotEqual(here, [])
            self.assertTrue("\n".join(here).startswith(there), (here, there))


class Person(lab.HostCase):
    def test_a_guest_of_ones_own(self):
        """Another one, with a host of its own."""
        done = subprocess.run([os.path.join(lab.HERE, "shell"), "cat", "/etc/hostname"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=2 * lab.BOOT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"guest\n"), done.stderr)
