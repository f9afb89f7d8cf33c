# SPDX-License-Identifier: MIT
"""An upgrade or a restart while others call: what runs is finished, who comes is answered."""

import json
import threading

import harness
import lab
import test_package

PING = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'


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
        harness.until(lambda: self.answered >= enough, "%d callers are answered" % n, lab.DEADLINE)

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(lab.DEADLINE)


class Upgrade(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()
        self.before = self.guest.property("MainPID")

    def wait_other(self):
        harness.until(lambda: self.guest.property("MainPID") not in (self.before, "0"),
                      "another agent", lab.DEADLINE)
        self.wait_ping()

    def assert_installed(self):
        """Nothing was left half done."""
        self.assertEqual(self.guest.out("dpkg --audit"), "")
        self.assertRegex(self.guest.out("dpkg-query -W -f '${Status} ${Version}' guestwire-agent"),
                         r"^install ok installed .*\+later$")

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
        harness.until(lambda: self.guest.out("systemctl list-units --no-legend 'run-*.service'")
                      == "", "what waited has ended", lab.DEADLINE)
