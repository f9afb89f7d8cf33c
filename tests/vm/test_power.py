# SPDX-License-Identifier: MIT
"""Power, time and names of a whole guest, by systemd's own services."""

import json
import os
import signal
import subprocess
import time

import harness
import lab

HOUR = 3600 * 1000000


class Clock(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def offset(self, *options):
        done = self.guestwire("time", "--json", *options, self.guest.target(1001))
        return json.loads(done.stdout)

    def guest_time(self):
        return int(self.guest.out("date +%s"))

    def test_sync(self):
        self.addCleanup(self.offset, "--sync")
        self.guest.run("date -s '2 hours ago'")
        measured = self.offset()
        self.assertAlmostEqual(measured["offset_us"] / HOUR, -2, delta=0.1)
        self.assertIsNone(measured["sync"])
        self.assertEqual(self.offset("--sync")["sync"], "step")
        self.assertLess(abs(self.offset()["offset_us"]), HOUR / 60)
        self.assertLess(abs(self.guest_time() - time.time()), 60)

    def test_set_time_without_timedated(self):
        """As where an NTP service has the clock: by a process of the agent's own, as a unit."""
        self.addCleanup(self.offset, "--sync")
        wanted = time.time_ns() // 1000 + 5 * HOUR
        result = self.call("system.set_time", "time_us=%d" % wanted, "rtc=false")
        self.assertEqual((result["mode"], result["rtc"]), ("step", False))
        self.assertAlmostEqual(result["offset_us"] / HOUR, 5, delta=0.1)
        self.assertAlmostEqual(self.offset()["offset_us"] / HOUR, 5, delta=0.1)
        wanted = time.time_ns() // 1000 + 5 * HOUR
        result = self.call("system.set_time", "time_us=%d" % wanted, "slew=true")
        self.assertEqual((result["mode"], result["rtc"]), ("slew", True))
        rtc = int(self.guest.out("cat /sys/class/rtc/rtc0/since_epoch"))
        self.assertLess(abs(rtc - wanted / 1000000), 300)

    def test_timezone(self):
        before = self.call("system.info")["timezone"]
        self.addCleanup(self.call, "system.set_timezone", "timezone=" + before)
        self.call("system.set_timezone", "timezone=Asia/Tokyo")
        self.assertEqual(self.guest.out("date +%Z"), "JST")
        self.assertEqual(self.call("system.info")["timezone"], "Asia/Tokyo")
        error = self.call("system.set_timezone", "timezone=No/Where", status=1)
        self.assertEqual(error["code"], harness.INVALID_PARAMS)

    def test_hostname(self):
        before = self.guest.out("hostname")
        self.addCleanup(self.call, "system.set_hostname", "hostname=" + before)
        self.call("system.set_hostname", "hostname=renamed")
        self.assertEqual(self.guest.out("hostname; cat /etc/hostname"), "renamed\nrenamed")
        self.assertEqual(self.call("system.info")["hostname"], "renamed")
        error = self.call("system.set_hostname", "hostname=no host", status=1)
        self.assertEqual(error["code"], harness.INVALID_PARAMS)


class Power(lab.HostCase):
    def setUp(self):
        # A guest of its own, in the sibling's place.
        self.forget()
        self.other = lab.LABORATORY.guest(lab.SIBLING)
        self.addCleanup(self.forget)
        self.target = self.other.target(1001)
        self.guestwire("ping", "-c", 1, "--wait", "--timeout", "%ds" % lab.BOOT, self.target,
                       timeout=lab.BOOT + 10)

    def forget(self):
        guest = lab.LABORATORY.guests.pop(lab.SIBLING, None)
        if guest:
            guest.kill()

    def wait_end(self, word):
        """QEMU ends with its guest (-no-reboot), whose kernel has said how."""
        self.assertEqual(self.other.process.wait(lab.BOOT), 0)
        with open(self.other.path("console"), encoding="utf-8", errors="replace") as console:
            self.assertIn("reboot: " + word, console.read())

    def begin(self, *words):
        """The client with something that runs on, which has said `begun`."""
        process = subprocess.Popen(
            [os.path.join(lab.IMAGE, "host/usr/bin/guestwire"), *words], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def begun(self, *words):
        process = self.begin(*words)
        self.assertEqual(process.stdout.readline(), b"begun\n")
        return process

    def end(self, process):
        """Its exit status and what it has said about it."""
        status = process.wait(lab.BOOT)
        return status, process.stderr.read().decode()

    def dial(self, port, text):
        """A connection on which that was sent, and something has come back."""
        sock = lab.dial(self.other.mux, port)
        self.addCleanup(sock.close)
        sock.sendall(text)
        self.assertTrue(sock.recv(4096))
        sock.settimeout(lab.BOOT)
        return sock

    def test_shutdown(self):
        """A host that waits for more of a stream, of whatever kind, is told that there is no
        more; nobody is left hanging."""
        program = ("sh", "-c", "echo begun; exec sleep 98765")
        streams = [self.begun("exec", self.target, "--", *program),
                   self.begun("exec", self.target, "--", "sh", "-c",
                              "trap '' TERM; echo begun; while :; do sleep 98765; done")]
        job = self.guestwire("exec", "--detach", self.target, "--", *program).stdout.strip()
        streams += [self.begun("attach", self.target, job), self.begin("wait", self.target, job)]
        waiting = [self.dial(1001, b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'),
                   self.dial(7, b"echo"), self.dial(22, b"SSH-2.0-laboratory\r\n")]
        connected = self.begin("connect", self.target, "7")
        connected.stdin.write(b"begun\n")
        connected.stdin.flush()
        self.assertEqual(connected.stdout.readline(), b"begun\n")
        copied = self.begin("cp", "--resume", "-", self.target + ":/root/copied")
        copied.stdin.write(b"x" * (1 << 20))
        copied.stdin.flush()
        lab.until(lambda: self.other.out("ls -A /root | grep -c copied", check=False) == "1",
                  "the copy has begun", lab.DEADLINE)

        done = self.guestwire("shutdown", "--json", self.target, "-m", "Good night")
        self.assertEqual(json.loads(done.stdout), {"mode": "poweroff"})
        for process in streams:
            status, said = self.end(process)
            with self.subTest(process.args[1], status=status, said=said):
                # systemd may end a program before the agent has to.
                self.assertIn(status, (255, 128 + signal.SIGTERM, 128 + signal.SIGKILL))
                if status == 255:
                    self.assertRegex(said, "The agent stops: the (program|job) is being ended")
        self.assertEqual(self.end(connected), (0, ""))
        status, said = self.end(copied)
        self.assertIn(status, (1, 3), said)
        self.assertRegex(said, "cut off: .* is kept")
        for sock in waiting:
            while sock.recv(4096):
                pass
        self.wait_end("Power down")

    def test_reboot(self):
        self.guestwire("reboot", self.target)
        self.wait_end("Restarting system")


class Sleep(lab.TestCase):
    def test_what_the_guest_cannot(self):
        """Refused by name, before anything happens."""
        self.wait_ping()
        # There is no swap to hibernate to; and so that it cannot suspend either:
        folder = "/run/systemd/sleep.conf.d"
        self.addCleanup(self.guest.run, "rm", "-rf", folder)
        self.guest.run("mkdir", "-p", folder)
        self.guest.write(folder + "/laboratory.conf", "[Sleep]\nAllowSuspend=no\n")
        for mode in ("suspend", "hibernate"):
            with self.subTest(mode):
                error = self.call("system.shutdown", "mode=" + mode, status=1)
                self.assertEqual(error["data"]["reason"], "unsupported", error)
                done = self.guestwire("shutdown", self.guest.target(1001), mode, status=1)
                self.assertIn("this guest cannot " + mode, done.stderr)
        self.assertEqual(self.guest.out("systemctl is-active sleep.target", check=False),
                         "inactive")
