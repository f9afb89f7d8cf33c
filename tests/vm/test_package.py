# SPDX-License-Identifier: MIT
"""What the package brings for autopkgtest, run in the guest where it is installed."""

import os

import lab

TESTS = os.path.join(lab.HERE, "..", "..", "debian", "tests")


class Package(lab.TestCase):
    lane = "upgrades"

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

    def test_presets_enable_nothing(self):
        """Nor would a first boot, by them."""
        self.addCleanup(self.guest.run, "systemctl enable guestwired.service")
        self.guest.run("systemctl enable guestwired.socket && systemctl preset guestwired.socket "
                       "guestwired.service")
        self.assertEqual(self.guest.out("systemctl is-enabled guestwired.socket "
                                        "guestwired.service", check=False), "disabled\ndisabled")

    def test_upgrade_restarts_what_runs(self):
        self.wait_ping()
        before = self.guest.property("MainPID")
        later = later_package(self.guest)
        self.guest.run("dpkg", "-i", later)
        self.wait_ping()
        self.assertNotEqual(self.guest.property("MainPID"), before)
        self.assertEqual(self.guest.property("Result"), "success")
        self.assertEqual(self.guest.out("systemctl is-enabled guestwired"), "enabled")

    def test_upgrade_starts_nothing(self):
        self.addCleanup(self.wait_ping)
        self.addCleanup(self.guest.run, "systemctl start guestwired")
        self.guest.run("systemctl stop guestwired")
        self.guest.run("dpkg", "-i", later_package(self.guest))
        self.assertEqual(self.guest.property("ActiveState"), "inactive")

    def test_upgrade_while_only_the_socket_unit_is_there(self):
        self.activate()
        self.guest.run("dpkg", "-i", later_package(self.guest))
        self.assertEqual(self.states(), ["active", "inactive"])
        self.guestwire("ping", "-c", 1, self.guest.target())
        # While both are there, only the agent is another.
        before = self.guest.property("MainPID")
        since = self.guest.property("ActiveEnterTimestampMonotonic", "guestwired.socket")
        self.guest.run("dpkg", "-i", later_package(self.guest))
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.assertNotEqual(self.guest.property("MainPID"), before)
        self.assertEqual(self.guest.property("ActiveEnterTimestampMonotonic", "guestwired.socket"),
                         since)

    def test_removal(self):
        self.activate()
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.addCleanup(self.guest.run, "dpkg -i /packages/guestwire-agent_*.deb && "
                        "rm -rf /etc/guestwire && mv /root/etc-guestwire /etc/guestwire")
        self.guest.run("cp -a /etc/guestwire /root/etc-guestwire")
        self.guest.run("dpkg -r guestwire-agent")
        self.assertEqual(self.states(), ["inactive", "inactive"])
        self.assertRaises(ConnectionRefusedError, self.connect, 1000)
        self.guest.run("dpkg -P guestwire-agent")
        self.assertEqual(self.guest.out("systemctl list-units --all --no-legend 'guestwired*'"), "")
        left = self.guest.out("find / /run -xdev -name '*guestwire*' -not -path '/packages/*' "
                              "-not -path '/root/*' -not -path '/var/lib/dpkg/*' "
                              "-not -path '/var/cache/*' -not -path '/var/log/*' "
                              "-not -path '/usr/share/*' -not -path '/usr/bin/guestwire'")
        self.assertEqual(left, "")

    def activate(self):
        """The socket unit is active, and the service not yet."""
        self.wait_ping()
        self.addCleanup(self.wait_ping)
        self.addCleanup(self.guest.run, "systemctl disable --now guestwired.socket; "
                        "systemctl enable --now guestwired.service")
        self.guest.run("systemctl disable --now guestwired.service; "
                       "systemctl enable --now guestwired.socket")
        self.assertEqual(self.states(), ["active", "inactive"])

    def states(self):
        return self.guest.out("systemctl is-active guestwired.socket guestwired.service",
                              check=False).split("\n")


def later_package(guest):
    """The package once more, made in the guest as of a later version; its path."""
    return guest.out(
        "cd /run && rm -rf later && dpkg-deb -R /packages/guestwire-agent_*.deb later && "
        "sed -i 's/^Version: .*/&+later/' later/DEBIAN/control && "
        "dpkg-deb -Znone -b later later.deb >/dev/null && rm -rf later && echo /run/later.deb")
