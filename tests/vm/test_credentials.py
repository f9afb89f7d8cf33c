# SPDX-License-Identifier: MIT
"""Credentials that a host gives its guest by SMBIOS, and the token among them."""

import os
import tempfile

import lab


class Credentials(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def token_file(self, text):
        """On this side, for --token."""
        fd, path = tempfile.mkstemp(prefix="guestwire-token.")
        self.addCleanup(os.unlink, path)
        with open(fd, "w", encoding="ascii") as file:
            file.write(text + "\n")
        return path

    def reload_over(self, port, *options, status=0):
        """agent.reload, which only privileged callers may call."""
        return self.guestwire("call", self.guest.target(port), "agent.reload", *options,
                              status=status)

    def drain_low_ports(self):
        """From here on no source port looks like that of a host's root (see test_peers.py)."""
        caller = self.call("agent.info", port=1000)["caller"]
        for _ in range(caller["port"], 1024):
            lab.dial(self.guest.mux, 7).close()

    def test_the_guest_has_them(self):
        folder = self.guest.out("systemctl show -P MainPID guestwired.service")
        environment = self.guest.out("tr '\\0' '\\n' </proc/%s/environ" % folder)
        self.assertIn("CREDENTIALS_DIRECTORY=/run/credentials/guestwired.service", environment)
        info = self.call("agent.info")
        port = next(p for p in info["ports"] if p["port"] == lab.TOKEN_PORT)
        self.assertEqual(port["description"], "Configured from outside")

    def test_who_proves_the_token_is_privileged(self):
        self.drain_low_ports()
        done = self.reload_over(lab.TOKEN_PORT, status=1)
        self.assertIn("for privileged callers", done.stderr)
        self.reload_over(lab.TOKEN_PORT, "--token", self.token_file(lab.TOKEN))
        done = self.reload_over(lab.TOKEN_PORT, "--token", self.token_file("x" * 64), status=1)
        self.assertIn("token is not this guest's", done.stderr)
        # A port that asks for no token takes none.
        self.reload_over(1000, "--token", self.token_file(lab.TOKEN), status=1)

    def test_verbs_that_need_privilege(self):
        self.drain_low_ports()
        token = self.token_file(lab.TOKEN)
        target = self.guest.target(lab.TOKEN_PORT)
        done = self.guestwire("exec", "--token", token, target, "--", "id", "-u")
        self.assertEqual(done.stdout, "0\n")
        self.guestwire("exec", target, "--", "id", "-u", status=255)

    def test_a_token_on_the_disk_goes_before_it(self):
        other = "another token, which is as long as it must be"
        self.drain_low_ports()
        self.guest.write("/etc/guestwire/token", other + "\n", mode=0o600)
        self.addCleanup(self.guest.run, "rm -f /etc/guestwire/token")
        self.drop_in("token", "[agent]\ntoken-file = /etc/guestwire/token\n")
        self.reload_over(lab.TOKEN_PORT, "--token", self.token_file(other))
        self.reload_over(lab.TOKEN_PORT, "--token", self.token_file(lab.TOKEN), status=1)

    def test_it_is_told_nowhere(self):
        self.reload_over(lab.TOKEN_PORT, "--token", self.token_file(lab.TOKEN))
        self.guest.run("journalctl --sync")
        self.assertNotIn(lab.TOKEN, self.guest.out("journalctl -b -u guestwired -o export"))
        entry = self.journal("MESSAGE_ID=3825e55da8ad4a2b99b17fe773af927c")[-1]
        self.assertEqual((entry["GUESTWIRE_LISTENER"], entry["GUESTWIRE_OUTCOME"]),
                         ("port %d" % lab.TOKEN_PORT, "ok"))
        for name in ("environ", "cmdline"):
            text = self.guest.out("cat /proc/$(pidof guestwired)/%s | tr '\\0' ' '" % name)
            self.assertNotIn(lab.TOKEN, text)
