# SPDX-License-Identifier: MIT
"""system.shutdown and its like, and the verbs shutdown, reboot and time.

systemd's services are those of tests/lib/fake-services.c: what is asked of them is in a file, and
no machine is turned off and no clock is set.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness import only

SERVICES = os.path.join(harness.BUILDDIR, "tests", "lib", "fake-services")
BUS = """<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""


@only("unix")
@unittest.skipUnless(shutil.which("dbus-daemon") and os.path.exists(SERVICES),
                     "dbus-daemon, or the build's fake-services, is missing")
class Power(harness.TestCase):
    def run_beside(self, *command, **options):
        """A process until the test's end; its first line is read."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, **options)

        def end():
            process.terminate()
            process.wait(harness.DEADLINE)
            process.stdout.close()

        self.addCleanup(end)
        self.assertTrue(process.stdout.readline(), command)

    def serve(self, fault="", trust="peers"):
        bus = os.path.join(self.folder, "bus")
        self.calls_path = os.path.join(self.folder, "calls")
        with open(bus + ".conf", "w", encoding="ascii") as file:
            file.write(BUS % bus)
        self.run_beside("dbus-daemon", "--config-file=" + bus + ".conf", "--nofork", "--nopidfile",
                        "--print-address")
        address = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + bus}
        self.run_beside(SERVICES, self.calls_path, fault, env=dict(os.environ, **address))
        self.start(self.target(trust=trust, trust_unsafe="yes"), agent={"scope": "agent"},
                   environment=address)

    def calls(self):
        with open(self.calls_path, encoding="utf-8") as file:
            return file.read().splitlines()

    def until_called(self, *lines):
        harness.until(lambda: self.calls() == list(lines), self.calls)

    def test_shutdown(self):
        self.serve()
        result = self.run_guestwire("shutdown", self.main.cli, "-m", "Good night")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.until_called("CanPowerOff", "SetWallMessage Good night yes", "PowerOff no")

    def test_modes(self):
        self.serve()
        expected = []
        for mode, member in (("reboot", "Reboot"), ("halt", "Halt"), ("suspend", "Suspend"),
                             ("hibernate", "Hibernate"), ("poweroff", "PowerOff")):
            result = self.run_guestwire("shutdown", self.main.cli, mode, "--json")
            self.assertEqual(json.loads(result.stdout), {"mode": mode})
            expected += ["Can" + member, member + " no"]
            self.until_called(*expected)
        self.assertEqual(self.run_guestwire("reboot", self.main.cli).returncode, 0)
        self.until_called(*expected, "CanReboot", "Reboot no")
        result = self.run_guestwire("shutdown", self.main.cli, "off")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("'off' is none of poweroff", result.stderr)

    def test_reply_is_out_before_the_guest_goes(self):
        """The daemon dies by the order itself, in the moment that logind gets it."""
        self.serve("kill")
        with self.connect() as client:
            client.send(b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'
                        b'{"jsonrpc":"2.0","id":2,"method":"system.shutdown",'
                        b'"params":{"mode":"poweroff"}}\n'
                        + b'{"jsonrpc":"2.0","id":3,"method":"agent.ping"}\n' * 20)
            replies = []
            while {"mode": "poweroff"} not in [r.get("result") for r in replies]:
                replies.append(client.read())
            self.assertEqual(self.calls()[0], "CanPowerOff")
            self.daemon.expect_exit(-9)
        self.until_called("CanPowerOff", "PowerOff no")

    def test_refused(self):
        self.serve("refuse")
        result = self.run_guestwire("shutdown", self.main.cli)
        self.assertEqual(result.returncode, 1)
        self.assertIn("org.freedesktop.login1 refuses CanPowerOff(): Not today", result.stderr)

    def test_not_privileged(self):
        self.serve(trust="nobody")
        for verb in ("shutdown", "reboot"):
            result = self.run_guestwire(verb, self.main.cli)
            self.assertEqual(result.returncode, 1)
            self.assertIn("is for privileged callers", result.stderr)
        self.assertEqual(self.calls(), [])

    def test_set(self):
        self.serve()
        with self.connect() as client:
            self.assertEqual(client.call("system.set_hostname", {"hostname": "web2"}),
                             {"hostname": "web2"})
            self.assertEqual(client.call("system.set_timezone", {"timezone": "Asia/Tokyo"}),
                             {"timezone": "Asia/Tokyo"})
            now = time.time_ns() // 1000
            result = client.call("system.set_time", {"time_us": now + 3600000000})
            self.assertEqual(set(result), {"mode", "offset_us", "rtc", "time_us"})
            self.assertEqual(result["mode"], "step")
            self.assertLessEqual(result["offset_us"], 3600000000)
        self.assertEqual(self.calls(),
                         ["SetStaticHostname web2 no", "SetHostname web2 no",
                          "SetTimezone Asia/Tokyo no",
                          "SetTime %d yes no" % result["offset_us"]])

    def test_without_systemd(self):
        if os.path.isdir("/run/systemd/system"):
            self.skipTest("systemd is what runs this machine")
        self.start(self.target(trust="peers", trust_unsafe="yes"))
        with self.connect() as client:
            for method, params in (("shutdown", {"mode": "poweroff"}), ("set_time", {"time_us": 1}),
                                   ("set_timezone", {"timezone": "UTC"}),
                                   ("set_hostname", {"hostname": "x"})):
                error = client.error("system." + method, params)
                self.assert_reason(error, "unsupported")


@only("unix")
class Time(harness.TestCase):
    """`guestwire time`, against a guest whose clock is off as the test says."""

    def serve(self, offset):
        """offset: microseconds. What it is asked to set is in self.asked."""
        path = os.path.join(self.folder, "guest.sock")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(4)
        self.asked = []

        def answer(request):
            now = time.time_ns() // 1000
            if request["method"] == "system.info":
                return {"result": {"time_us": now + offset}}
            if request["method"] == "system.set_time":
                self.asked.append((request["params"], now))
                return {"result": {"mode": request["params"]["mode"], "offset_us": -offset,
                                   "rtc": True, "time_us": now}}
            return {"error": {"code": -32601, "message": "?"}}

        def run():
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller, caller.makefile("rb") as lines:
                    for line in lines:
                        request = json.loads(line)
                        reply = dict(answer(request), jsonrpc="2.0", id=request["id"])
                        caller.sendall(json.dumps(reply).encode() + b"\n")

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join(harness.DEADLINE)

        self.addCleanup(end)
        return "unix:" + path

    def run_time(self, *args):
        result = self.run_guestwire("time", *args)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def run_json(self, *args):
        result = json.loads(self.run_time(*args, "--json"))
        self.assertEqual(set(result),
                         {"guest_time_us", "host_time_us", "offset_us", "rtt_us", "sync"})
        self.assertEqual(result["guest_time_us"] - result["host_time_us"], result["offset_us"])
        return result

    def assert_measured(self, result, offset):
        self.assertLessEqual(abs(result["offset_us"] - offset), result["rtt_us"] / 2 + 1)

    def test_offset(self):
        for offset in (0, 7200000000, -86400000000):
            with self.subTest(offset=offset):
                result = self.run_json(self.serve(offset))
                self.assert_measured(result, offset)
                self.assertIsNone(result["sync"])
                self.assertEqual(self.asked, [])
                self.doCleanups()
                self.setUp()

    def test_text(self):
        text = self.run_time(self.serve(-3600000000))
        self.assertRegex(text, r"guest +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} UTC\n")
        self.assertRegex(text, r"host +\d{4}-\d\d-\d\d ")
        self.assertRegex(text, r"offset +-3\d{3}\.\d{6} s \(the guest is behind\), \+/- \d")

    def test_sync_steps(self):
        result = self.run_json(self.serve(7200000000), "--sync")
        self.assertEqual(result["sync"], "step")
        self.assert_measured(result, 7200000000)
        [(params, now)] = self.asked
        self.assertEqual(params["mode"], "step")
        # Ours by when it is read; half a round trip is the guess.
        self.assertLess(abs(params["time_us"] - now), harness.DEADLINE * 1000000)

    def test_sync_slews(self):
        target = self.serve(100000)
        result = self.run_json(target, "--sync")
        if result["rtt_us"] >= 50000:
            self.skipTest("too slow a machine to tell 100 ms")
        self.assertEqual(result["sync"], "slew")
        self.assertEqual(self.asked[0][0]["mode"], "slew")

    def test_sync_is_not_needed(self):
        """On the same clock the offset may be told by chance alone."""
        result = self.run_json(self.serve(0), "--sync")
        self.assertEqual(result["sync"], "slew" if self.asked else "none")

    def test_not_privileged(self):
        self.start(self.target(trust="nobody"))
        self.assertIn("offset", self.run_time(self.main.cli))


if __name__ == "__main__":
    harness.main()
