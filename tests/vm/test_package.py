# SPDX-License-Identifier: MIT
"""What the package brings for autopkgtest, run in the guest where it is installed."""

import os

import lab

TESTS = os.path.join(lab.HERE, "..", "..", "debian", "tests")


class Package(lab.TestCase):
    def autopkgtest(self, name):
        with open(os.path.join(TESTS, name), "rb") as file:
            self.guest.write("/run/autopkgtest", file.read(), 0o755)
        # /run may not be executed from.
        return self.guest.run("sh /run/autopkgtest; status=$?; rm /run/autopkgtest; exit $status")

    def test_unix_socket(self):
        self.autopkgtest("unix-socket")

    def test_service(self):
        self.wait_ping()
        self.addCleanup(self.wait_ping)
        self.addCleanup(self.guest.run, "systemctl enable --now guestwired")
        self.guest.run("systemctl disable --now guestwired")
        self.autopkgtest("service")

    def test_upgrade_restarts_what_runs(self):
        self.wait_ping()
        before = self.guest.property("MainPID")
        later = self.later_package()
        self.guest.run("dpkg", "-i", later)
        self.wait_ping()
        self.assertNotEqual(self.guest.property("MainPID"), before)
        self.assertEqual(self.guest.property("Result"), "success")
        self.assertEqual(self.guest.out("systemctl is-enabled guestwired"), "enabled")

    def test_upgrade_starts_nothing(self):
        self.addCleanup(self.wait_ping)
        self.addCleanup(self.guest.run, "systemctl start guestwired")
        self.guest.run("systemctl stop guestwired")
        self.guest.run("dpkg", "-i", self.later_package())
        self.assertEqual(self.guest.property("ActiveState"), "inactive")

    def later_package(self):
        """The package once more, made in the guest as of a later version; its path."""
        return self.guest.out(
            "cd /run && rm -rf later && dpkg-deb -R /packages/guestwire-agent_*.deb later && "
            "sed -i 's/^Version: .*/&+later/' later/DEBIAN/control && "
            "dpkg-deb -Znone -b later later.deb >/dev/null && rm -rf later && echo /run/later.deb")
