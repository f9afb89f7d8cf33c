# SPDX-License-Identifier: MIT
"""guestwire(1), against the real agent and against others that are no agent at all."""

import contextlib
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading

import harness
from harness import GUESTWIRE, only

OK, REFUSED, USAGE, CONNECTION, TIMEOUT = 0, 1, 2, 3, 124
GUID = "000003e8-facb-11e6-bd58-64006a7986d3"
SOURCE = harness.SRCDIR


class Case(harness.TestCase):
    def run_ok(self, *args, **options):
        """Standard output of a run that must succeed and say nothing else."""
        result = self.run_guestwire(*args, **options)
        self.assertEqual((result.returncode, result.stderr), (OK, ""), args)
        return result.stdout

    def run_json(self, *args):
        output = self.run_ok(*args, "--json")
        self.assertEqual(output.count("\n"), 1, "not one line")
        return json.loads(output)

    def run_bad(self, code, pattern, *args, **options):
        """A run that must fail with this code and a sentence on stderr."""
        result = self.run_guestwire(*args, **options)
        self.assertEqual(result.returncode, code, "%r: %s" % (args, result.stderr))
        self.assertRegex(result.stderr, pattern)
        self.assertTrue(result.stderr.startswith("guestwire: "), result.stderr)
        return result

    def spawn(self, *args, **options):
        process = subprocess.Popen([GUESTWIRE, *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True, **options)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
        process.communicate()


class Stranger:
    """A Unix socket on which a function of the test talks to each caller; `calls` counts them."""

    def __init__(self, test, talk):
        self.path = os.path.join(test.folder, "stranger.sock")
        self.talk = talk
        self.calls = 0
        self.lines = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        test.addCleanup(self.close)

    cli = property(lambda self: "unix:" + self.path)

    def _serve(self):
        while True:
            try:
                caller, _ = self.sock.accept()
            except OSError:
                return
            self.calls += 1
            with caller, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.talk(self, caller, caller.makefile("rb"))

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(harness.DEADLINE)
        self.sock.close()

    def read(self, reader):
        """The next request, or None at the end."""
        line = reader.readline()
        if not line:
            return None
        self.lines.append(line)
        return json.loads(line)


def answering(make):
    """A talk that answers each request by the bytes which make(request) returns."""
    def talk(stranger, caller, reader):
        request = stranger.read(reader)
        while request:
            caller.sendall(make(request))
            request = stranger.read(reader)
    return talk


def result_of(value):
    return answering(lambda r: json.dumps(
        {"jsonrpc": "2.0", "id": r["id"], "result": value}).encode() + b"\n")


def error_of(error):
    return answering(lambda r: json.dumps(
        {"jsonrpc": "2.0", "id": r["id"], "error": error}).encode() + b"\n")


# --- against the agent --------------------------------------------------------------------


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
        output = self.run_ok("ping", "--timeout=1s", "-i", "1h", self.cli)
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
                              "ping", "--wait=1s", "-c1", self.cli)
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
        self.start()
        with self.connect(privileged=True) as client:
            taken = client.sock.getsockname()[1]
            caller = self.run_json("info", self.main.cli)["caller"]
            self.assertLess(caller["port"], taken)

    def test_ordinary_user_is_not(self):
        self.start()
        result = self.run_guestwire("info", "--json", self.main.cli,
                                    preexec_fn=lambda: os.setuid(65534))
        caller = json.loads(result.stdout)["caller"]
        self.assertFalse(caller["privileged"], caller)
        self.assertGreater(caller["port"], 1023)

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


# --- against others -----------------------------------------------------------------------


@only("unix")
class Strangers(Case):
    def test_parameters_as_words(self):
        stranger = Stranger(self, result_of({}))
        for words, params in (
                (["a=1"], {"a": 1}),
                (["a=-1.5e3", "b=true", "c=null"], {"a": -1.5e3, "b": True, "c": None}),
                (["a=word", "b=two words", "c="], {"a": "word", "b": "two words", "c": ""}),
                (['a="5"', "b='5'", "c=05", "d=0x5"], {"a": "5", "b": "'5'", "c": "05", "d": "0x5"}),
                (["a=[1,{\"b\":2}]", "c={}"], {"a": [1, {"b": 2}], "c": {}}),
                (["a=b=c", "d=NaN", "e=True"], {"a": "b=c", "d": "NaN", "e": "True"}),
                (["a=ü\U0001f600"], {"a": "ü\U0001f600"}),
                (["a=9223372036854775807", "b=18446744073709551615"],
                 {"a": 9223372036854775807, "b": 18446744073709551615}),
                (['{"a": {"b": [1, 2]}}'], {"a": {"b": [1, 2]}}),
                (["[1, 2]"], [1, 2])):
            with self.subTest(words=words):
                self.run_ok("call", stranger.cli, "x.y", *words)
                request = json.loads(stranger.lines[-1])
                self.assertEqual(request, {"jsonrpc": "2.0", "id": request["id"],
                                           "method": "x.y", "params": params})
                self.assertEqual(repr(request["params"]), repr(params))
        self.run_ok("call", stranger.cli, "x.y")
        self.assertNotIn(b"params", stranger.lines[-1])

    def test_parameters_from_input(self):
        stranger = Stranger(self, result_of({}))
        for text, code in (('{"a":\n [1]}\n', OK), ("[1]", OK), ("", USAGE), ("5", USAGE),
                           ("{'a':1}", USAGE), ('{"a":1} {}', USAGE), ('{"a":1,"a":2}', USAGE),
                           ('{"a":18446744073709551616}', USAGE), ("[" * 100000, USAGE),
                           ('{"a":1},"b":{}', USAGE), ("{}}", USAGE)):
            with self.subTest(text=text[:40]):
                calls = stranger.calls
                result = subprocess.run([GUESTWIRE, "call", stranger.cli, "m", "-"], input=text,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        universal_newlines=True, timeout=harness.DEADLINE,
                                        check=False)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertEqual(stranger.calls - calls, 1 if code == OK else 0)
                if code == OK:
                    self.assertEqual(json.loads(stranger.lines[-1])["params"], json.loads(text))

    def test_bad_parameters_make_no_call(self):
        stranger = Stranger(self, result_of({}))
        for words in (["a"], ["=1"], ["a=1", "a=2"], ["{"], ["{'a':1}"], ["{}", "a=1"],
                      ["a=18446744073709551616"], ["a=1", "-"], ['{"a":1,"a":1}'],
                      [b"a=\xff"], ["[" * 40 + "]" * 40]):
            with self.subTest(words=words):
                self.run_bad(USAGE, ".", "call", stranger.cli, "m", *words)
        self.run_bad(USAGE, "method", "call", stranger.cli, "")
        self.assertEqual(stranger.calls, 0)

    def test_close_before_any_answer(self):
        stranger = Stranger(self, lambda *_: None)
        self.run_bad(CONNECTION, "closed the connection before any answer.*`peers`.*"
                     "journalctl -u guestwired", "info", stranger.cli)

    def test_close_within_an_answer(self):
        stranger = Stranger(self, lambda s, c, r: s.read(r) and c.sendall(b'{"jsonrpc":"2.0"'))
        self.run_bad(CONNECTION, "closed the connection", "info", stranger.cli)

    def test_silence_is_a_timeout(self):
        stranger = Stranger(self, lambda s, c, r: s.read(r) and s.read(r))
        self.run_bad(TIMEOUT, "did not answer in time", "call", "--timeout=50ms", stranger.cli, "m")
        result = self.run_guestwire("ping", "-c1", "--timeout=50ms", stranger.cli)
        self.assertEqual(result.returncode, TIMEOUT)
        self.assertIn("1 sent, 0 answered, 100% lost", result.stdout)

    def test_wait_for_the_first_answer_calls_once(self):
        def talk(stranger, caller, reader):
            request = stranger.read(reader)
            while request and stranger.calls > 3:
                caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                                           "result": 5}).encode() + b"\n")
                request = stranger.read(reader)
        stranger = Stranger(self, talk)
        self.assertEqual(self.run_ok("call", "--wait", stranger.cli, "do.it"), "5\n")
        self.assertEqual(stranger.calls, 4)
        methods = [json.loads(line)["method"] for line in stranger.lines]
        self.assertEqual(methods.count("do.it"), 1, methods)

    def test_wait_backs_off(self):
        stranger = Stranger(self, lambda *_: None)
        self.run_bad(TIMEOUT, "at last: .* before any answer", "ping", "--wait=1s", stranger.cli)
        # 20 + 40 + ... + 640 ms are more than a second; a slow machine makes fewer.
        self.assertLessEqual(stranger.calls, 8)

    def test_wait_does_not_help_everywhere(self):
        self.run_bad(USAGE, ".", "ping", "--wait", "nonsense:5")
        stranger = Stranger(self, answering(lambda r: b"220 mail.example ESMTP\r\n"))
        self.run_bad(CONNECTION, "does not speak JSON-RPC", "ping", "--wait", stranger.cli)

    def test_answers_that_make_no_sense(self):
        bad = [b"HTTP/1.1 400 Bad Request\r\n", b"\xff\n", b"5\n", b"[5]\n", b"{}\n", b'"x"\n',
               b'{"jsonrpc":"2.0","id":1}\n',
               b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}\n',
               b'{"jsonrpc":"1.0","id":1,"result":1}\n', b'{"id":1,"result":1}\n',
               b'{"jsonrpc":"2.0","result":1}\n', b'{"jsonrpc":"2.0","id":1,"error":null}\n',
               b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}\n',
               b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}\n',
               b'{"jsonrpc":"2.0","id":1,"id":1,"result":1}\n',
               b'{"jsonrpc":"2.0","id":1,"result":18446744073709551616}\n',
               b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100 + b"]" * 100 + b"}\n",
               b'{"jsonrpc":"2.0","id":1,"result":{\'a\':1}}\n', b"\0" * 100]
        stranger = Stranger(self, answering(lambda _: bad[stranger.calls - 1]))
        for text in bad:
            with self.subTest(text=text[:70]):
                self.run_bad(CONNECTION, "does not speak JSON-RPC", "call", stranger.cli, "m")

    def test_other_texts_are_passed_over(self):
        def make(request):
            ident = request["id"]
            return ('\n {"jsonrpc":"2.0","method":"exec.output","params":{"x":1}}'
                    '{"jsonrpc":"2.0","id":%d,"result":"other"}\n'
                    '[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":"%d","result":0}]'
                    '{"jsonrpc":"2.0","id":%d,"method":"ask.us"}\n'
                    '{"result":"right","id":%d,"jsonrpc":"2.0"}'
                    '{"jsonrpc":"2.0","id":%d,"result":"late"}' % (
                        ident + 1, ident, ident, ident, ident)).encode()
        stranger = Stranger(self, answering(make))
        self.assertEqual(self.run_ok("call", stranger.cli, "m"), '"right"\n')

    def test_late_answers_are_passed_over(self):
        def make(request):
            if stranger.calls and len(stranger.lines) == 1:
                return b""
            return b"".join(b'{"jsonrpc":"2.0","id":%d,"result":%d}\n' % (i, i)
                            for i in range(1, request["id"] + 1))
        stranger = Stranger(self, answering(make))
        process = self.spawn("ping", "-c2", "-i", "1ms", stranger.cli)
        output, _ = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, TIMEOUT)
        self.assertIn("2 sent, 1 answered, 50% lost", output)

    def test_error_without_id_is_ours(self):
        stranger = Stranger(self, answering(
            lambda _: b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}\n'))
        self.run_bad(REFUSED, r"what\? \(code -32700\)", "call", stranger.cli, "m")

    def test_answer_in_single_bytes(self):
        text = '{"jsonrpc":"2.0","id":1,"result":{"a":"\\u00e9ü","b":[1.5,null]}}\n'.encode()

        def talk(stranger, caller, reader):
            stranger.read(reader)
            for i in range(len(text)):
                caller.sendall(text[i:i + 1])
            stranger.read(reader)
        stranger = Stranger(self, talk)
        self.assertEqual(json.loads(self.run_ok("call", stranger.cli, "m")),
                         json.loads(text)["result"])

    def test_values_come_through(self):
        stranger = Stranger(self, None)
        for value in (None, True, 0, -1, 1.5, "", "a/b", [], {}, 2**63 - 1, -2**63, 2**64 - 1):
            with self.subTest(value=value):
                stranger.talk = result_of(value)
                self.assertEqual(json.loads(self.run_ok("call", stranger.cli, "m")), value)

    def test_guest_does_not_command_the_terminal(self):
        evil = "\x1b]0;owned\x07\x9b31m\u202e\x7f\r\u2028"
        stranger = Stranger(self, error_of({"code": -32000, "message": evil, "data": {
            "reason": evil, "errno": evil}}))
        result = self.run_bad(REFUSED, r"\\x1b\]0;owned", "call", "--json", stranger.cli, evil)
        for text in (result.stdout, result.stderr):
            for char in evil.replace("0;owned]31m", ""):
                if not char.isprintable():
                    self.assertNotIn(char, text.rstrip("\n"))
        self.assertEqual(json.loads(result.stdout)["error"]["message"], evil)

        stranger.talk = result_of({evil: [evil]})
        output = self.run_ok("call", stranger.cli, "m")
        self.assertTrue(output.rstrip("\n").isprintable(), repr(output))
        self.assertEqual(json.loads(output), {evil: [evil]})
        for verb in ("info", "methods"):
            stranger.talk = result_of({evil: evil, "x": {evil: evil}, "l": [{evil: evil}],
                                       "methods": [{"name": evil, "summary": evil, "params": [
                                           {"name": evil, "schema": {"type": [evil]}}]}, evil]})
            output = self.run_ok(verb, stranger.cli)
            self.assertTrue(output.replace("\n", "").isprintable(), repr(output))

    def test_large_answers_are_bounded(self):
        def flood(stranger, caller, reader):
            request = stranger.read(reader)
            caller.sendall(b'{"jsonrpc":"2.0","id":%d,"result":"' % request["id"])
            while True:
                caller.sendall(b"x" * 65536)
        stranger = Stranger(self, flood)
        self.run_bad(CONNECTION, "larger than guestwire takes", "call", stranger.cli, "m")

        values = b'{"jsonrpc":"2.0","id":1,"result":[' + b"{}," * 10000000 + b"0]}\n"
        stranger.talk = lambda s, c, r: s.read(r) and c.sendall(values)

        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))
        options = {} if b"__asan_init" in open(GUESTWIRE, "rb").read() else {"preexec_fn": limit}
        self.run_bad(CONNECTION, "larger than guestwire takes", "call", stranger.cli, "m",
                     **options)

    def test_large_parameters_get_through(self):
        stranger = Stranger(self, answering(lambda r: json.dumps(
            {"jsonrpc": "2.0", "id": r["id"], "result": r["params"]}).encode() + b"\n"))
        text = json.dumps({"a": "x" * (4 << 20)})
        result = subprocess.run([GUESTWIRE, "call", stranger.cli, "m", "-"], input=text,
                                stdout=subprocess.PIPE, universal_newlines=True, check=True,
                                timeout=harness.DEADLINE)
        self.assertEqual(json.loads(result.stdout), json.loads(text))

    def test_refusal_is_read_though_sending_failed(self):
        def talk(stranger, caller, reader):
            caller.sendall(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"full",'
                           b'"data":{"reason":"limit"}}}\n')
            caller.shutdown(socket.SHUT_RDWR)
        stranger = Stranger(self, talk)
        self.run_bad(REFUSED, "full; a limit", "call", stranger.cli, "m")

    def test_sentences_for_every_reason(self):
        stranger = Stranger(self, None)
        for reason in ("not-allowed", "not-privileged", "unsupported", "not-ready", "unavailable",
                       "busy", "limit", "timeout", "cancelled", "not-found", "exists", "failed",
                       "of-the-future"):
            with self.subTest(reason=reason):
                stranger.talk = error_of({"code": -32000, "message": "It went wrong.",
                                          "data": {"reason": reason, "errno": "ENOENT"}})
                result = self.run_bad(REFUSED, r"no to `m`: It went wrong \(ENOENT\)(;|$)",
                                      "call", stranger.cli, "m")
                self.assertEqual(result.stderr.count("\n"), 1)


@only("unix")
class Mux(Case):
    """A VMM's socket, as Firecracker has it, in front of the agent."""

    def vmm(self, answer=b"OK 1073741824\n"):
        def talk(stranger, caller, reader):
            stranger.lines.append(reader.readline())
            if stranger.lines[-1] != b"CONNECT 1000\n":
                return
            caller.sendall(answer)
            if not answer.startswith(b"OK "):
                return
            with socket.socket(socket.AF_UNIX) as agent:
                agent.connect(self.main.address)
                self.pump(caller, agent)
        return Stranger(self, talk)

    @staticmethod
    def pump(a, b):
        while True:
            for sock in select.select([a, b], [], [], harness.DEADLINE)[0]:
                data = sock.recv(65536)
                if not data:
                    return
                (b if sock is a else a).sendall(data)

    def test_mux_target(self):
        self.start()
        vmm = self.vmm()
        for target in ("mux:" + vmm.path, "mux:%s:1000" % vmm.path):
            self.assertEqual(self.run_ok("call", target, "agent.ping"), "{}\n")
        self.assertEqual(vmm.lines, [b"CONNECT 1000\n"] * 2)

    def test_nobody_in_the_guest(self):
        self.run_bad(CONNECTION, "nobody listens on port 5", "ping", "mux:%s:5" % self.vmm().path)

    def test_no_vmm(self):
        self.run_bad(CONNECTION, "no socket", "ping", "mux:%s/none" % self.folder)
        vmm = self.vmm(b"\x1b[31mhello\n")
        result = self.run_bad(CONNECTION, "unix:", "ping", "mux:" + vmm.path)
        self.assertNotIn("\x1b", result.stderr)


# --- the command line itself --------------------------------------------------------------


class CommandLine(Case):
    def verbs(self):
        return [line.split("\t")[0] for line in self.run_ok("--complete", "").splitlines()]

    def options_of(self, *words):
        return [line.split("\t")[0].rstrip("=")
                for line in self.run_ok("--complete", *words, "--").splitlines()]

    def test_usage(self):
        for args in ((), ("none",), ("ping",), ("ping", "a", "b"), ("ping", "--none", "1"),
                     ("-z",), ("ping", "-c", "0", "1"), ("ping", "-c", "x", "1"), ("ping", "-c"),
                     ("ping", "-i", "0", "1"), ("ping", "--timeout=5parsecs", "1"),
                     ("ping", "--json=1", "1"), ("cid", "1"), ("cid", "--wait"), ("doctor", "x"),
                     ("info", "-c1", "1"), ("call", "1"), ("guid",), ("guid", "x"),
                     ("guid", "4294967295"), ("guid", "00000001-0000-0000-0000-000000000000"),
                     ("ping", "x"), ("ping", "vsock:"), ("ping", "unix:"), ("ping", "tcp:"),
                     ("ping", "mux:")):
            with self.subTest(args=args):
                result = self.run_bad(USAGE, ".", *args)
                self.assertEqual(result.stdout, "")

    def test_help(self):
        output = self.run_ok("--help")
        for verb in self.verbs():
            self.assertRegex(output, r"(?m)^  %s " % verb)
            text = self.run_ok(verb, "--help")
            self.assertTrue(text.startswith("guestwire %s" % verb), text)
            for option in self.options_of(verb):
                self.assertIn(option, text)
            self.assertEqual(text, self.run_ok("--help", verb))
        self.assertLessEqual(max(map(len, output.split("\n"))), 100)

    def test_version(self):
        self.assertRegex(self.run_ok("--version"), r"^guestwire [0-9]+\.[0-9]+\.[0-9]+\n$")

    def test_guid_both_ways(self):
        self.assertEqual(self.run_ok("guid", "1000"), GUID + "\n")
        self.assertEqual(self.run_ok("guid", "0x3e8"), GUID + "\n")
        self.assertEqual(self.run_ok("guid", GUID), "1000\n")
        self.assertEqual(self.run_ok("guid", GUID.upper()), "1000\n")
        self.assertEqual(self.run_ok("guid", "2761"), "00000ac9-facb-11e6-bd58-64006a7986d3\n")
        for text in ("1000", GUID):
            self.assertEqual(self.run_json("guid", text), {"port": 1000, "guid": GUID})

    def test_cid(self):
        result = self.run_guestwire("cid", "--json")
        found = json.loads(result.stdout)
        self.assertEqual(set(found), {"cid", "cid_raw", "meaning"})
        self.assertTrue(found["meaning"])
        self.assertEqual(result.returncode, REFUSED if found["cid_raw"] is None else OK)

    def test_doctor(self):
        result = self.run_guestwire("doctor", "--json")
        found = json.loads(result.stdout)
        for line in found:
            self.assertEqual(set(line), {"check", "status", "text", "todo"})
            self.assertIn(line["status"], ("ok", "warn", "fail"))
            self.assertTrue(line["text"])
            self.assertTrue(line["todo"] or line["status"] == "ok", line)
        self.assertLessEqual({"kernel", "transport", "device", "cid", "callers", "config",
                              "port"},
                             {line["check"] for line in found})
        failed = any(line["status"] == "fail" for line in found)
        self.assertEqual(result.returncode, REFUSED if failed else OK)

        text = self.run_guestwire("doctor")
        self.assertEqual(text.returncode, result.returncode)
        statuses = re.findall(r"(?m)^(ok|warn|fail) ", text.stdout)
        self.assertEqual(statuses, [line["status"] for line in found])

    def on_terminal(self, *args, **variables):
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment.update({"TERM": "xterm"}, **variables)
        leader, follower = pty.openpty()
        process = subprocess.Popen([GUESTWIRE, *args], stdin=subprocess.DEVNULL, stdout=follower,
                                   stderr=follower, env=environment)
        os.close(follower)
        output = b""
        with contextlib.suppress(OSError):  # EIO is the terminal's end
            while True:
                output += os.read(leader, 65536)
        process.wait()
        os.close(leader)
        return output

    def test_colours_only_on_a_terminal(self):
        self.assertIn(b"\x1b[", self.on_terminal("doctor"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", NO_COLOR="1"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", TERM="dumb"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", "--json"))
        self.assertNotIn("\x1b", self.run_guestwire("doctor").stdout)

    def test_call_is_indented_on_a_terminal(self):
        self.start()
        output = self.on_terminal("call", self.main.cli, "agent.info")
        self.assertGreater(output.count(b"\n"), 5)
        self.assertEqual(json.loads(output)["name"], "guestwire")
        self.assertEqual(self.on_terminal("call", "--json", self.main.cli,
                                          "agent.info").count(b"\n"), 1)

    def test_closed_pipe_is_quiet(self):
        for restore in (True, False):  # SIGPIPE as it is, and ignored
            read, write = os.pipe()
            os.close(read)
            old = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                result = subprocess.run([GUESTWIRE, "--help"], stdout=write,
                                        stderr=subprocess.PIPE, restore_signals=restore,
                                        timeout=harness.DEADLINE, check=False)
            finally:
                signal.signal(signal.SIGPIPE, old)
                os.close(write)
            self.assertEqual(result.stderr, b"")
            self.assertEqual(result.returncode, -signal.SIGPIPE if restore else REFUSED)

    def test_full_disk_is_no_success(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([GUESTWIRE, "--help"], stdout=full, stderr=subprocess.PIPE,
                                    timeout=harness.DEADLINE, check=False)
        self.assertEqual(result.returncode, REFUSED)
        self.assertIn(b"cannot write", result.stderr)

    def test_manual_has_every_verb_and_option(self):
        with open(os.path.join(SOURCE, "man", "guestwire.1"), encoding="utf-8") as file:
            text = file.read()
        for verb in self.verbs():
            self.assertRegex(text, r"(?m)^\.It Cm %s\b" % verb)
            for option in self.options_of(verb):
                self.assertRegex(text, r"(?m)^\.It Fl (. , Fl )?-%s\b" % option[2:])
        for code in (OK, REFUSED, USAGE, CONNECTION, TIMEOUT):
            self.assertRegex(text, r"(?m)^\.It %d$" % code)

    def test_manual_is_sound(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is missing")
        result = subprocess.run(["mandoc", "-Tlint", "-Wwarning",
                                 os.path.join(SOURCE, "man", "guestwire.1")],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                universal_newlines=True)
        self.assertEqual((result.returncode, result.stdout), (0, ""))


@only("unix")
class Completion(Case):
    BASH = os.path.join(SOURCE, "conf", "completions", "guestwire")
    ZSH = os.path.join(SOURCE, "conf", "completions", "_guestwire")

    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.folder, "vm"))
        open(os.path.join(self.folder, "vmfile"), "w", encoding="utf-8").close()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.path.join(self.folder, "vm.sock"))

    def bash(self, line, breaks=None):
        script = """
            . "$1"
            complete -p guestwire >/dev/null || exit 1
            test -z "$3" || COMP_WORDBREAKS=$3
            COMP_LINE=$2 COMP_POINT=${#2}
            _guestwire
            test ${#COMPREPLY[@]} -eq 0 || printf '%s\\n' "${COMPREPLY[@]}"
            """
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", self.BASH, line,
                                 breaks or ""], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.path(), universal_newlines=True, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def path(self):
        return dict(os.environ, PATH="%s:%s" % (os.path.dirname(GUESTWIRE), os.environ["PATH"]))

    def test_bash(self):
        self.assertEqual(self.bash("guestwire "),
                         ["ping", "info", "call", "methods", "connect", "forward", "exec", "shell",
                          "cp", "jobs", "attach", "wait", "kill", "shutdown", "reboot",
                          "time", "cid", "guid", "hyperv", "doctor"])
        self.assertEqual(self.bash("guestwire pi"), ["ping"])
        self.assertEqual(self.bash("guestwire cid -"), ["--json", "--help", "--version"])
        self.assertEqual(self.bash("guestwire ping --cou"), ["--count="])
        self.assertEqual(self.bash("guestwire --timeout 5s ping lo"), ["local"])
        self.assertEqual(self.bash("guestwire --timeout "), [])
        self.assertEqual(self.bash("guestwire ping -c 3 "),
                         ["local", "host", "vsock:", "mux:", "unix:", "tcp:"])
        self.assertEqual(self.bash("guestwire cid "), [])
        self.assertEqual(self.bash("guestwire call local "), [])
        self.assertEqual(self.bash("guestwire connect --"),
                         ["--timeout=", "--wait", "--help", "--version"])
        self.assertEqual(self.bash("guestwire forward lo"), ["local"])
        self.assertEqual(self.bash("guestwire hyperv --config agent.conf lo"), ["local"])
        self.assertEqual(self.bash("guestwire hyperv --un"), ["--unregister"])

    def test_files_as_values(self):
        """Where an option's value is a file, files are offered."""
        found = ["%s/%s" % (self.folder, name) for name in ("vmfile", "vm/", "vm.sock")]
        for line in ("guestwire ping --token %s/vm", "guestwire hyperv --config %s/vm"):
            self.assertEqual(sorted(self.bash(line % self.folder)), sorted(found))
        line = "guestwire ping --token=%s/vmf" % self.folder
        self.assertEqual(self.bash(line), found[:1])
        self.assertEqual(self.bash(line, " \t\n"), ["--token=" + found[0]])
        self.assertEqual(self.bash("guestwire ping --count=%s/vm" % self.folder), [])

    def test_bash_paths(self):
        line = "guestwire ping unix:%s/vm" % self.folder
        whole = ["%s/vm%s" % (self.folder, tail) for tail in ("/", ".sock")]
        self.assertEqual(sorted(self.bash(line)), sorted(whole))
        # Where ':' does not break words the reply is the whole word.
        self.assertEqual(sorted(self.bash(line, " \t\n")), sorted("unix:" + w for w in whole))

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is missing")
        # Completion runs in zsh's line editor only: what it would add is printed instead.
        script = """
            compadd() { print -rl -- "${(@P)@[-1]}" }
            words=("${@[2,-1]}")
            CURRENT=${#words}
            . "$1"
            """
        for line, expected in ((["guestwire", "p"], ["ping"]),
                               (["guestwire", "guid", "--j"], ["--json"]),
                               (["guestwire", "ping", "--cou"], ["--count="]),
                               (["guestwire", "info", "unix:%s/vm." % self.folder],
                                ["unix:%s/vm.sock" % self.folder])):
            result = subprocess.run(["zsh", "-f", "-c", script, "zsh", self.ZSH, *line],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=self.path(), universal_newlines=True, check=False)
            self.assertEqual((result.stderr, result.stdout.split()), ("", expected), line)


if __name__ == "__main__":
    harness.main()
