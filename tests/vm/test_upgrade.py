# SPDX-License-Identifier: MIT
"""An upgrade or a restart while others call: what runs is finished, who comes is answered."""

import contextlib
import hashlib
import json
import os
import subprocess
import threading

import lab
import test_package

PING = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'
# Long enough on any machine, and asked for by nothing but its name.
WAIT = "until test -e /root/upgrade/go; do sleep 0.2; done; echo finished %s"
PROGRAM = "#!/bin/sh\n: >/root/upgrade/begun-$1\n" + WAIT % "$1" + "\n"


class Callers:
    """Newcomers that never stop: each connects, calls once and hangs up. One that is refused, or
    is not answered, is an error."""

    def __init__(self, test, n=4):
        self.mux = test.guest.mux
        self.errors = []
        self.answered = 0
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._call, daemon=True) for _ in range(n)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.stop)

    def _call(self):
        while not self.ending.is_set():
            try:
                with lab.dial(self.mux, 1000) as sock:
                    sock.sendall(PING)
                    line = b""
                    while not line.endswith(b"\n"):
                        piece = sock.recv(4096)
                        if not piece:
                            raise AssertionError("connected, and not answered: %r" % line)
                        line += piece
                if json.loads(line)["result"] != {}:
                    raise AssertionError("a wrong reply: %r" % line)
                with self.lock:
                    self.answered += 1
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)

    def wait(self, n):
        """Until so many more have been answered."""
        enough = self.answered + n
        lab.until(lambda: self.answered >= enough, "%d callers are answered" % n, lab.DEADLINE)

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(lab.DEADLINE)


class Upgrade(lab.TestCase):
    lane = "upgrades"

    def setUp(self):
        super().setUp()
        self.wait_ping()
        self.before = self.guest.property("MainPID")

    def begin(self, *words, **options):
        """A client of port 1001 that goes on beside this."""
        process = subprocess.Popen(
            [os.path.join(lab.IMAGE, "host/usr/bin/guestwire"), *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, **options)

        def end():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=lab.DEADLINE)
        return process.returncode, out, err

    def wait_other(self):
        lab.until(lambda: self.guest.property("MainPID") not in (self.before, "0"),
                  "another agent", lab.DEADLINE)
        self.wait_ping()

    def assert_installed(self):
        """Nothing was left half done."""
        self.assertEqual(self.guest.out("dpkg --audit"), "")
        self.assertRegex(self.guest.out("dpkg-query -W -f '${Status} ${Version}' guestwire-agent"),
                         r"^install ok installed .*\+later$")

    def programs(self, timeout):
        """Programs that run until they are let go."""
        self.guest.run("rm -rf /root/upgrade; mkdir /root/upgrade")
        self.addCleanup(self.guest.run, "rm -rf /root/upgrade")
        self.guest.write("/root/upgrade/program", PROGRAM, 0o755)
        self.drop_in("upgrade", "[agent]\nshutdown-timeout = %s\n[method upgrade.wait]\n"
                     "command = /root/upgrade/program method\noutput = text\ntimeout = 10min\n"
                     % timeout)
        target, program = self.guest.target(1001), "/root/upgrade/program"
        running = {
            "unit": self.begin("exec", target, "--", program, "unit"),
            "agent": self.begin("call", "--timeout", "10min", target, "exec.run", "scope=agent",
                                "argv=" + json.dumps(["/bin/sh", "-c", WAIT % "agent"])),
            "method": self.begin("call", "--timeout", "10min", target, "upgrade.wait"),
        }
        lab.until(lambda: self.guest.out("ls /root/upgrade") ==
                  "begun-method\nbegun-unit\nprogram", "programs run", lab.DEADLINE)
        return running

    def upgrade(self):
        """dpkg -i, in a unit of its own."""
        self.addCleanup(self.guest.run, "systemctl stop upgrade.service")
        package = test_package.later_package(self.guest)
        self.guest.run("systemd-run --quiet --collect --no-block --unit=upgrade -p Type=oneshot "
                       "-p RemainAfterExit=yes dpkg -i " + package)

    def wait_upgrade(self):
        lab.until(lambda: self.guest.property("ActiveState", "upgrade.service") not in
                  ("activating", "inactive"), "dpkg's end", lab.DEADLINE)
        self.assertEqual(self.guest.property("Result", "upgrade.service"), "success")
        self.assert_installed()

    def test_newcomers(self):
        callers = Callers(self)
        callers.wait(20)
        self.guest.run("dpkg", "-i", test_package.later_package(self.guest))
        callers.wait(20)
        self.wait_other()
        self.before = self.guest.property("MainPID")
        self.guest.run("systemctl restart guestwired")
        callers.wait(20)
        self.wait_other()
        self.assertEqual(callers.errors, [])
        # A crash takes those with it whom it had let in, but nobody else.
        self.before = self.guest.property("MainPID")
        self.guest.run("kill", "-KILL", self.before)
        self.wait_other()
        callers.wait(20)
        callers.stop()
        self.assertLessEqual(len(callers.errors), len(callers.threads), callers.errors)
        self.assertNotIn(ConnectionRefusedError, [type(error) for error in callers.errors])
        print("# %d newcomers were answered" % callers.answered)

    def test_what_runs_is_finished(self):
        running = self.programs("5min")
        folder = os.path.join(self.guest.host.folder, "upgrade")
        with open(folder, "wb") as file:
            for i in range(64):
                file.write(hashlib.sha512(b"%d" % i).digest() * 8192)
        running["copy"] = self.begin("cp", folder, self.guest.target(1001) + ":/home/upgrade")
        self.addCleanup(self.guest.run, "rm -f /home/upgrade")
        self.upgrade()
        lab.until(lambda: self.guest.property("StatusText").startswith("Stopping"),
                  "the old agent is to stop", lab.DEADLINE)
        # It takes nobody in any more, and nobody is refused.
        late = self.connect(1000)
        late.sendall(PING)
        self.assertEqual(self.end(running.pop("copy"))[0], 0)
        self.assertEqual(self.guest.property("MainPID"), self.before)
        self.guest.run("touch /root/upgrade/go")
        for name, process in running.items():
            status, out, err = self.end(process)
            self.assertEqual((status, "finished " + name in out), (0, True), (name, out, err))
        self.assertIn(b'"result"', late.recv(4096))
        self.wait_upgrade()
        self.wait_other()
        with open(folder, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.assertEqual(self.guest.out("sha256sum /home/upgrade").split()[0], digest)
        os.unlink(folder)

    def test_what_does_not_end_is_told(self):
        running = self.programs("1s")
        self.upgrade()
        for name, process in running.items():
            status, out, err = self.end(process)
            self.assertNotEqual(status, 0, name)
            self.assertNotIn("finished", out)
            self.assertRegex(err, "(?i)agent|ended|shutdown|cancel", name)
            print("# %s: %d, %s" % (name, status, err.strip().replace("\n", "; ")))
        self.wait_upgrade()
        self.wait_other()
        self.assertEqual(self.guest.out("systemctl list-units --no-legend 'guestwire-exec*'"), "")

    def test_through_the_agent(self):
        """The one that runs dpkg is replaced when dpkg has ended, not while it works."""
        package = test_package.later_package(self.guest)
        target = self.guest.target(1001)
        done = self.guestwire("exec", target, "--", "dpkg", "-i", package)
        self.assertIn("Setting up guestwire-agent", done.stdout)
        self.assertIn("called through the agent", done.stdout)
        self.assert_installed()
        self.wait_other()
        self.assertEqual(self.guest.property("Result"), "success")
        # Nothing is left of what waited.
        lab.until(lambda: self.guest.out("systemctl list-units --no-legend 'run-*.service'")
                  == "", "what waited has ended", lab.DEADLINE)

    def test_through_a_session_of_its_own(self):
        """As su and sudo make one: there the package manager is in no group of the agent's."""
        package = test_package.later_package(self.guest)
        done = self.guestwire("exec", self.guest.target(1001), "--", "systemd-run", "--quiet",
                              "--scope", "--unit=session-99", "dpkg", "-i", package)
        self.assertIn("called through the agent", done.stdout)
        self.assert_installed()
        self.wait_other()

    def test_not_through_the_agent(self):
        """Nothing is put off where nobody would be cut off."""
        package = test_package.later_package(self.guest)
        self.assertNotIn("called through", self.guest.out("dpkg", "-i", package))
        self.assert_installed()
        self.wait_other()

    def test_removed_and_installed_again_through_the_agent(self):
        """What was put off for the first has no meaning for the second."""
        self.addCleanup(self.guest.run, "rm -rf /etc/guestwire && mv /root/kept /etc/guestwire && "
                        "systemctl restart guestwired")
        self.guest.run("cp -a /etc/guestwire /root/kept")
        since = self.now()
        done = self.guestwire("exec", self.guest.target(1001), "--", "sh", "-c",
                              "dpkg -P guestwire-agent && dpkg -i /packages/guestwire-agent_*.deb")
        self.assertEqual(done.stdout.count("called through the agent"), 2, done.stdout)
        self.wait_other()
        lab.until(lambda: self.guest.out("systemctl list-units --no-legend 'run-*.service'")
                  == "", "what waited has ended", lab.DEADLINE)
        self.assertEqual(self.guest.property("ActiveState"), "active")
        self.guestwire("ping", "-c", 1, self.guest.target())
        # What systemd was told to run later it could read.
        self.assertNotRegex(self.log(since), "(?i)run-[^ ]*service.*(missing|invalid|vanished)")

    def test_removal_through_the_agent(self):
        self.addCleanup(self.guest.run, "dpkg -i /packages/guestwire-agent_*.deb && "
                        "systemctl start guestwired")
        target = self.guest.target(1001)
        self.guestwire("exec", target, "--", "dpkg", "-r", "guestwire-agent")
        lab.until(lambda: self.guest.property("ActiveState") == "inactive", "its end",
                  lab.DEADLINE)
        self.assertEqual(self.guest.out("dpkg --audit"), "")
        self.assertEqual(self.guest.out("systemctl --failed --no-legend"), "")
