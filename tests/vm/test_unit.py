# SPDX-License-Identifier: MIT
"""guestwired.service under a real systemd: reload, restart, watchdog, death."""

import json
import threading

import lab

PING = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'


class Load:
    """Callers that never stop: each connects, calls until the connection ends, and connects
    again. A reply that is cut or wrong is an error; an end between replies is not."""

    def __init__(self, test, callers=8):
        self.mux = test.guest.mux
        self.errors = []
        self.ending = threading.Event()
        self.answered = [0] * callers
        self.ends = 0
        self.threads = [threading.Thread(target=self._call, args=(i,), daemon=True)
                        for i in range(callers)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.stop)

    def _call(self, index):
        while not self.ending.is_set():
            try:
                with lab.dial(self.mux, 1000) as sock:
                    self._talk(sock, index)
            except (ConnectionError, BrokenPipeError):
                self.ending.wait(0.02)
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)
                return

    def _talk(self, sock, index):
        while not self.ending.is_set():
            sock.sendall(PING)
            line = b""
            while not line.endswith(b"\n"):
                piece = sock.recv(4096)
                if not piece:
                    self.ends += 1
                    if line:
                        raise AssertionError("a reply was cut: %r" % line)
                    return
                line += piece
            if json.loads(line)["result"] != {}:
                raise AssertionError("a wrong reply: %r" % line)
            self.answered[index] += 1

    def wait_answers(self):
        """Until every caller has been answered anew."""
        before = list(self.answered)
        lab.until(lambda: self.errors or all(
            now > then for now, then in zip(self.answered, before)), "all callers are answered",
            lab.DEADLINE)
        if self.errors:
            raise self.errors[0]

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(lab.DEADLINE)


class Unit(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def pid(self):
        return int(self.guest.property("MainPID"))

    def wait_restart(self, restarts):
        """Until systemd has started it anew by itself and it answers."""
        lab.until(lambda: int(self.guest.property("NRestarts")) > restarts and
                  self.guest.property("ActiveState") == "active", "a restart", lab.DEADLINE)
        self.wait_ping()

    def test_reload_of_good_configuration(self):
        before, old = self.pid(), self.connect(1000)
        self.assertRaises(ConnectionRefusedError, self.connect, 4000)
        self.drop_in("more", "[port 4000]\nhandler = echo\n")
        new = self.connect(4000)
        new.sendall(b"there")
        self.assertEqual(new.recv(5), b"there")
        self.assertIn("port 4000", self.guest.property("StatusText"))
        # Neither the process nor the connections of before have gone.
        self.assertEqual(self.pid(), before)
        old.sendall(PING)
        self.assertTrue(old.recv(4096).endswith(b"\n"))
        self.guest.run("rm /etc/guestwire/conf.d/more.conf")
        self.reload()
        self.assertRaises(ConnectionRefusedError, self.connect, 4000)

    def test_reload_of_bad_configuration(self):
        before = self.pid()
        path = "/etc/guestwire/conf.d/wrong.conf"
        self.addCleanup(self.reload)
        self.addCleanup(self.guest.run, "rm", "-f", path)
        self.guest.write(path, "[port 4000]\nhandler = nonsense\n")
        since = self.now()
        self.reload(lab.NOT_RELOADED)
        messages = [entry["MESSAGE"] for entry in self.journal(since=since)]
        self.assertTrue(any("%s:2: " % path in text for text in messages), messages)
        self.assertEqual((self.pid(), self.guest.property("ActiveState")), (before, "active"))
        self.assertEqual(self.call("agent.ping"), {})
        self.assertRaises(ConnectionRefusedError, self.connect, 4000)

    def test_restart_under_load(self):
        load, before = Load(self), self.pid()
        load.wait_answers()
        since = self.now()
        self.guest.run("systemctl restart guestwired")
        load.wait_answers()
        load.stop()
        self.assertEqual(load.errors, [])
        self.assertGreater(load.ends, 0)
        self.assertNotEqual(self.pid(), before)
        # It stopped by itself and in order, in the time that it has for that.
        self.wait_message(lab.STOPPED, since)
        log = self.log(since)
        self.assertNotRegex(log, "(?i)guestwired.*(killed|timed out|failed)")

    def test_watchdog_after_a_stop(self):
        folder = "/run/systemd/system/guestwired.service.d"

        def restore():
            self.guest.run("rm -rf %s; systemctl daemon-reload; systemctl restart guestwired"
                           % folder)
            self.wait_ping()
        self.addCleanup(restore)
        self.guest.run("mkdir", "-p", folder)
        self.guest.write(folder + "/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
        self.guest.run("systemctl daemon-reload && systemctl restart guestwired")
        before, restarts = self.pid(), int(self.guest.property("NRestarts"))
        since = self.now()
        self.guest.run("kill", "-STOP", before)
        self.wait_restart(restarts)
        self.assertNotEqual(self.pid(), before)
        log = self.log(since)
        self.assertIn("guestwired.service: Watchdog timeout", log)
        # The manager asked for the core: it is not one of a fault.
        self.guest.run("rm -f /var/crash/core.guestwired.%d" % before)

    def test_the_watchdog_is_fed(self):
        self.assertEqual(self.guest.property("WatchdogUSec"), "30s")
        stamp = self.guest.property("WatchdogTimestampMonotonic")
        # Twice in the time it has; so one that is late is not yet dead.
        lab.until(lambda: self.guest.property("WatchdogTimestampMonotonic") != stamp,
                  "the watchdog is told", 30)

    def test_kill_and_back(self):
        before, restarts = self.pid(), int(self.guest.property("NRestarts"))
        held = self.connect(1000)
        self.guest.run("kill", "-KILL", before)
        self.wait_restart(restarts)
        self.assertNotEqual(self.pid(), before)
        self.assertEqual(held.recv(1), b"", "a connection to the dead is at its end")
        self.assertIn("port 1000", self.guest.property("StatusText"))

    def test_stop_and_start(self):
        self.addCleanup(self.guest.run, "systemctl start guestwired")
        since = self.now()
        self.guest.run("systemctl stop guestwired")
        self.wait_message(lab.STOPPED, since)
        self.assertEqual(self.guest.property("Result"), "success")
        self.assertEqual(self.guest.property("ExecMainStatus"), "0")
        self.guestwire("ping", "-c", 1, self.guest.target(), status=3)
        self.guest.run("systemctl start guestwired")
        self.wait_ping()
