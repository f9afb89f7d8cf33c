# SPDX-License-Identifier: MIT
"""guestwire(1) against the real agent, and its doctor."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess

import harness
from cli import CONNECTION, OK, REFUSED, TIMEOUT, Case
from harness import only


class Agent(Case):
    def setUp(self):
        super().setUp()
        self.start(self.target(), self.target("blind", trust="nobody", block_methods="agent.stats"))
        self.cli = self.main.cli

    def test_ping(self):
        output = self.run_ok("ping", "-c", "3", "-i", "1ms", self.cli)
        lines = output.split("\n")
        self.assertEqual(lines[0], "PING " + self.cli)
        for i in (1, 2, 3):
            self.assertRegex(lines[i], r"^answer from \S+: seq=%d time=[0-9]+\.[0-9]{3} ms$" % i)
        self.assertEqual(lines[5], "--- %s ping statistics ---" % self.cli)
        self.assertRegex(lines[6], r"^3 sent, 3 answered, 0% lost, time [0-9]+ ms$")
        self.assertRegex(lines[7], r"^rtt min/avg/max/mdev = ([0-9.]+/){3}[0-9.]+ ms$")

    def test_ping_json(self):
        found = self.run_json("ping", "--count=2", "--interval=1ms", self.cli)
        self.assertEqual(set(found), {"target", "sent", "answered", "lost_percent", "min_us",
                                      "avg_us", "max_us", "mdev_us"})
        self.assertEqual((found["sent"], found["answered"], found["lost_percent"]), (2, 2, 0))
        self.assertTrue(0 < found["min_us"] <= found["avg_us"] <= found["max_us"], found)

    def test_ping_ends_at_ctrl_c_with_summary(self):
        for sig in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=sig):
                process = self.spawn("ping", "-i", "1h", self.cli)
                self.assertIn("PING", process.stdout.readline())
                self.assertIn("seq=1", process.stdout.readline())
                process.send_signal(sig)
                output, errors = process.communicate(timeout=harness.DEADLINE)
                self.assertEqual((process.returncode, errors), (OK, ""))
                self.assertIn("1 sent, 1 answered, 0% lost", output)

    def test_ping_ends_with_the_time(self):
        output = self.run_ok("ping", "--timeout=4s", "-i", "1h", self.cli)
        self.assertIn("1 sent, 1 answered", output)
        result = self.run_guestwire("ping", "--timeout=1s", "-c2", "-i", "1h", self.cli)
        self.assertEqual(result.returncode, TIMEOUT)

    def test_ping_tells_when_the_agent_stops(self):
        process = self.spawn("ping", "-i", "1h", self.cli)
        while "seq=1" not in process.stdout.readline():
            pass
        self.daemon.stop()
        output, errors = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, CONNECTION)
        self.assertIn("closed the connection. Did the agent stop", errors)
        self.assertIn("1 sent, 1 answered", output)

    def test_info(self):
        output = self.run_ok("info", self.cli)
        self.assertRegex(output, r"(?m)^agent$")
        self.assertRegex(output, r"(?m)^system$")
        self.assertRegex(output, r"(?m)^  hostname +%s$" % re.escape(os.uname().nodename))
        self.assertRegex(output, r"(?m)^  architecture +%s$" % os.uname().machine)
        self.assertRegex(output, r"(?m)^  caller +.*privileged (yes|no)$")
        columns = {re.match(r"  .*?  +(?=\S)", line).end() for line in output.split("\n")
                   if re.match(r"  \S.*?  +\S", line) and not line.startswith("  ports")}
        self.assertEqual(len(columns), 1, "the values are not aligned:\n" + output)

    def test_info_json(self):
        found = self.run_json("info", self.cli)
        self.assertLessEqual({"name", "version", "cid", "caller", "system"}, set(found))
        with self.connect() as client:
            self.assertEqual(found["version"], client.call("agent.info")["version"])
            self.assertEqual(found["system"]["kernel"], client.call("system.info")["kernel"])

    def test_call(self):
        self.assertEqual(self.run_ok("call", self.cli, "agent.ping"), "{}\n")
        self.assertEqual(self.run_json("call", self.cli, "agent.ping"), {})
        self.assertEqual(self.run_ok("call", self.cli, "agent.ping", "{}"), "{}\n")

    def test_methods(self):
        output = self.run_ok("methods", self.cli)
        self.assertRegex(output, r"(?m)^agent\.ping  +\S")
        self.assertRegex(output, r"(?m)^agent\.reload .*\[privileged\]$")
        self.assertNotRegex(output, r"(?m)^agent\.info .*\[privileged\]$")
        self.assertRegex(output, r"(?m)^      id \(")
        with self.connect() as client:
            self.assertEqual(self.run_json("methods", self.cli), client.call("rpc.discover"))

    def test_options_anywhere(self):
        for args in (("--json", "call", self.cli, "agent.ping"),
                     ("call", "--timeout", "30s", self.cli, "--json", "agent.ping"),
                     ("call", self.cli, "agent.ping", "--json"),
                     ("call", self.cli, "--json", "--", "agent.ping")):
            with self.subTest(args=args):
                self.assertEqual(self.run_ok(*args), "{}\n")
                self.assertEqual(self.run_ok(
                    *args, env=dict(os.environ, POSIXLY_CORRECT="1")), "{}\n")
        self.run_bad(REFUSED, "no method `--json`", "call", self.cli, "--", "--json")

    def test_guest_said_no(self):
        result = self.run_bad(REFUSED, "the guest has no method `no.such`; `guestwire methods %s` "
                              "lists them" % re.escape(self.cli), "call", self.cli, "no.such")
        self.assertEqual(result.stdout, "")
        self.run_bad(REFUSED, r"parameter.*`x`.*guestwire methods",
                     "call", self.cli, "agent.ping", "x=1")
        self.run_bad(REFUSED, r"does not take these parameters",
                     "call", self.cli, "agent.ping", "[1]")

    def test_refusals_say_what_to_do(self):
        blind = self.daemon_target("blind")
        self.run_bad(REFUSED, "`block-methods`", "call", blind, "agent.stats")
        self.run_bad(REFUSED, "run guestwire as root.*`trust`", "call", blind, "agent.reload")

    def test_errors_of_the_configuration_are_listed(self):
        self.daemon.write_config("nonsense\n")
        self.run_bad(REFUSED, r"(?s)1 error.*\n  \S+:1: ", "call", self.cli, "agent.reload")

    def daemon_target(self, name):
        return next(t for t in self.targets if t.name == name).cli

    def target(self, name="main", **keys):
        found = super().target(name, **keys)
        found.name = name
        self.targets = getattr(self, "targets", []) + [found]
        return found

    def test_error_as_json(self):
        result = self.run_bad(REFUSED, "no method", "call", "--json", self.cli, "no.such")
        error = json.loads(result.stdout)["error"]
        self.assertEqual(error["code"], harness.NO_METHOD)

    def test_wait_until_the_agent_comes(self):
        self.daemon.stop()
        process = self.spawn("call", "--wait", self.cli, "agent.ping")
        self.daemon = harness.Daemon(self, self.config(*self.targets))
        output, errors = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual((process.returncode, output, errors), (OK, "{}\n", ""))

    def test_nobody_listens(self):
        self.daemon.stop()
        self.run_bad(CONNECTION, "no connection to %s: .*guestwired" % re.escape(self.cli),
                     "ping", "-c1", self.cli)
        result = self.run_bad(TIMEOUT, "did not answer in time; at last: no connection",
                              "ping", "--wait=2s", "-c1", self.cli)
        self.assertEqual(result.stdout, "")
        self.run_bad(TIMEOUT, "did not answer in time", "info", "--wait", "--timeout=1s",
                     self.cli)


class Tcp(Case):
    def test_tcp_target(self):
        self.start(self.target("web", transport="tcp"))
        self.assertEqual(self.run_ok("call", self.main.cli, "agent.ping"), "{}\n")
        host, port = self.main.address[:2]
        self.assertEqual(host, "127.0.0.1")
        self.assertEqual(self.run_ok("call", "tcp:localhost:%d" % port, "agent.ping"), "{}\n")
        self.run_bad(REFUSED, "run guestwire as root", "call", self.main.cli, "agent.reload")


@only("vsock")
class Vsock(Case):
    def test_root_is_privileged(self):
        self.start()
        caller = self.run_json("info", self.main.cli)["caller"]
        self.assertTrue(caller["privileged"], caller)
        self.assertTrue(1 <= caller["port"] <= 1023 and caller["port"] != 1000, caller)
        self.run_ok("call", self.main.cli, "agent.reload")

    def test_source_port_in_use_is_passed_over(self):
        """Of all but two: the one is found, wherever the search begins, and the other is 1000."""
        self.start()
        free, held = 77, []
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
        self.addCleanup(lambda: [sock.close() for sock in held])
        for port in set(range(1, 1024)) - {free, 1000}:
            sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            held.append(sock)
            with contextlib.suppress(OSError):
                sock.bind((socket.VMADDR_CID_ANY, port))
        caller = self.run_json("info", self.main.cli)["caller"]
        self.assertEqual(caller["port"], free)
        self.assertTrue(caller["privileged"])

    def test_each_caller_has_another_source_port(self):
        """While the agent has not seen the end of a port's connection, the next from there is
        reset."""
        self.start()
        ports = [self.run_json("info", self.main.cli)["caller"]["port"] for _ in range(10)]
        self.assertEqual(len(set(ports)), len(ports), ports)
        self.assertNotIn(1000, ports)

    def test_refused_peer_is_told_of_peers(self):
        self.start(self.target(peers="host"))
        self.run_bad(CONNECTION, "closed the connection before any answer.*`peers`.*journalctl",
                     "ping", "-c1", self.main.cli)

    def test_names_of_cids(self):
        self.start()
        for name in ("1", "local", "loopback", "lo"):
            self.run_ok("ping", "-c1", "vsock:%s:%d" % (name, self.main.address[1]))

    def test_cid_of_loopback(self):
        found = self.run_json("cid")
        self.assertEqual((found["cid"], found["cid_raw"]), (None, 1))
        self.assertIn("loopback", found["meaning"])
        self.assertRegex(self.run_ok("cid"), "^CID 1: .*loopback")

    def test_doctor_knows_loopback(self):
        found = self.run_json("doctor")
        self.assertIn(("kernel", "ok"), [(f["check"], f["status"]) for f in found])
        self.assertIn("vsock_loopback", " ".join(f["text"] for f in found
                                                 if f["check"] == "transport"))
        self.assertNotIn("fail", [f["status"] for f in found])


@only("vsock")
class Doctor(Case):
    """The doctor reads the installed configuration: in this guest /run is a tmpfs of its own."""

    FOLDER = "/run/guestwire/conf.d"

    def setUp(self):
        super().setUp()
        os.makedirs(self.FOLDER, exist_ok=True)
        self.addCleanup(shutil.rmtree, "/run/guestwire")
        self.path = os.path.join(self.FOLDER, "90-doctor.conf")
        if not os.path.exists("/sys/module/vsock_diag"):
            subprocess.run(["insmod", os.path.join(os.environ["GUESTWIRE_TEST_MODULES"],
                                                   "vsock_diag.ko")], check=True)

    def configure(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def findings(self, check, code=OK):
        result = self.run_guestwire("doctor", "--json")
        self.assertEqual(result.returncode, code, result.stdout)
        return [f for f in json.loads(result.stdout) if f["check"] == check]

    def test_port_taken_by_another(self):
        port = self.free_port()
        self.configure("[port %d]\npeers = host\n" % port)
        with socket.socket(socket.AF_VSOCK) as sock:
            sock.bind((socket.VMADDR_CID_ANY, port))
            self.assertRegex(self.findings("port")[0]["text"], "nobody listens")
            sock.listen()
            found = self.findings("port", REFUSED)[0]
            self.assertEqual(found["status"], "fail")
            self.assertRegex(found["text"], r"port %d: taken by python.* \(pid %d\)" % (
                port, os.getpid()))
        self.assertEqual(self.findings("port")[0]["status"], "warn")

    def test_port_of_the_agent(self):
        self.start()
        self.configure("[port %d]\npeers = local\n" % self.main.address[1])
        found = self.findings("port")[0]
        self.assertEqual(found["status"], "ok")
        self.assertIn("guestwired listens (pid %d)" % self.daemon.pid, found["text"])
        self.assertIn("warn", [f["status"] for f in self.findings("callers")])

    def test_sockets_of_other_kinds(self):
        path = os.path.join(self.folder, "a.sock")
        with socket.socket(socket.AF_UNIX) as one, socket.socket() as other:
            one.bind(path)
            other.bind(("127.0.0.1", 0))
            self.configure("[listen a]\naddress = unix:%s\n[listen b]\naddress = "
                           "tcp:127.0.0.1:%d\n" % (path, other.getsockname()[1]))
            self.assertEqual([f["status"] for f in self.findings("port")], ["warn", "warn"])
            one.listen()
            other.listen()
            self.assertEqual([f["status"] for f in self.findings("port", REFUSED)],
                             ["fail", "fail"])

    def test_no_configuration(self):
        self.assertEqual([f["status"] for f in self.findings("port")], ["ok"])
        with socket.socket(socket.AF_VSOCK) as sock:
            sock.bind((socket.VMADDR_CID_ANY, 1000))
            sock.listen()
            self.assertIn("taken by", self.findings("port", REFUSED)[0]["text"])

    def test_broken_configuration(self):
        self.configure("[port 5]\nnonsense = 1\n[nonsense]\n")
        found = self.findings("config", REFUSED)
        self.assertEqual([f["status"] for f in found], ["fail", "fail"])
        self.assertIn(self.path + ":2: ", found[0]["text"])
        self.assertIn(self.path + ":3: ", found[1]["text"])


if __name__ == "__main__":
    harness.main()
