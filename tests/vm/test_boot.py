# SPDX-License-Identifier: MIT
"""The package in a guest that has just booted."""

import re

import lab


class Boot(lab.TestCase):
    def test_answers_soon_after_the_kernel(self):
        self.wait_ping(timeout=int(lab.BOOT))
        uptime = self.call("system.info")["uptime_us"] / 1e6
        print("# %.1f s from the kernel's start to the first answered ping" % uptime)
        # It waits for nothing that the boot waits for last.
        self.guest.wait_boot()
        times = {}
        for unit in ("guestwired.service", "multi-user.target"):
            times[unit] = int(self.guest.property("ActiveEnterTimestampMonotonic", unit))
        self.assertLess(times["guestwired.service"], times["multi-user.target"])

    def test_the_whole_boot_is_sound(self):
        self.assertEqual(self.guest.wait_boot().stdout.strip(), "running",
                         self.guest.out("systemctl --failed --no-pager"))
        journal = self.guest.out("journalctl -b -q --grep 'ordering cycle|guestwire.*[Ff]ailed'",
                                 check=False)
        self.assertEqual(journal, "")

    def test_installed_and_enabled(self):
        self.assertEqual(self.guest.out("systemctl is-enabled guestwired"), "enabled")
        self.assertEqual(self.guest.property("ActiveState"), "active")
        self.assertEqual(self.guest.property("NRestarts"), "0")
        state = self.guest.out("dpkg-query -W -f '${Status}\\n' guestwire-agent guestwire")
        self.assertEqual(state.split("\n"), ["install ok installed"] * 2)
        owner = self.guest.out("dpkg-query -S $(readlink -f /proc/$(systemctl show --value "
                               "-p MainPID guestwired)/exe)")
        self.assertEqual(owner, "guestwire-agent: /usr/sbin/guestwired")
        # The files are as the package has them, the configuration too.
        self.assertEqual(self.guest.out("dpkg --verify guestwire-agent guestwire"), "")

    def test_status(self):
        self.wait_ping()
        status = self.guest.out("systemctl --no-pager status guestwired")
        found = re.search(r'^ *Status: "(.*)"$', status, re.M)
        self.assertTrue(found, status)
        self.assertRegex(found.group(1), r"Listening: .*port 1000\b")
        self.assertRegex(found.group(1), r"\b\d+ connections?, \d+ calls? served")

    def test_the_unit_is_well_formed(self):
        done = self.guest.run("systemd-analyze verify --man=no guestwired.service")
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_journal_fields(self):
        started = self.journal("MESSAGE_ID=" + lab.STARTED)
        self.assertEqual(len(started), 1)
        self.assertEqual(started[0]["_EXE"], "/usr/sbin/guestwired")
        listening = self.journal("MESSAGE_ID=" + lab.LISTENING, "GUESTWIRE_LISTENER=port 1000")
        self.assertEqual(listening[0]["GUESTWIRE_PORT"], "1000")
        since = self.now()
        self.call("agent.reload")
        entry = self.wait_message(lab.CALLED, since, "GUESTWIRE_METHOD=agent.reload")
        self.assertEqual(entry["GUESTWIRE_LISTENER"], "port 1001")
        self.assertEqual(entry["GUESTWIRE_PORT"], "1001")
        self.assertEqual(entry["GUESTWIRE_PEER_CID"], "2")
        self.assertRegex(entry["GUESTWIRE_PEER_PORT"], r"^\d+$")
        self.assertEqual(entry["GUESTWIRE_OUTCOME"], "ok")
        self.assertRegex(entry["GUESTWIRE_DURATION_USEC"], r"^\d+$")
        self.assertIn("agent.reload", entry["MESSAGE"])
        self.wait_message(lab.RELOADED, since)
