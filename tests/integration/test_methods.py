# SPDX-License-Identifier: MIT
"""Methods of the configuration's own: programs, and a JSON-RPC server behind `to = unix:`."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import threading

import harness
from harness import INVALID_PARAMS, NO_METHOD

CANCEL = '{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":%d}}\n'


def process_is_there(pid):
    """A process that runs; one that has died and is not reaped yet does not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Case(harness.TestCase):
    """A daemon with [method] sections, and scripts in the scratch folder."""

    def script(self, body, name=None):
        """The path of an executable shell script."""
        name = name or "script%d" % len(os.listdir(self.folder))
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + body + "\n")
        os.chmod(path, 0o755)
        return path

    def method(self, name, body=None, **keys):
        """A [method] section; body: of its script."""
        if body is not None:
            keys["command"] = self.script(body)
        return "\n[method %s]\n" % name + "".join(
            "%s = %s\n" % (key.replace("_", "-"), value) for key, value in keys.items())

    def serve(self, *sections, target=None, agent=None, **options):
        self.main = target or self.target()
        self.agent = agent
        self.daemon = harness.Daemon(
            self, self.config(self.main, agent=agent) + "".join(sections), **options)
        self.client = self.connect(privileged=True)

    def reload(self, *sections):
        self.daemon.reload(self.config(self.main, agent=self.agent) + "".join(sections))

    def send(self, method, params=None, client=None):
        """Begins a call; returns its id."""
        client = client or self.client
        text, ident = client.request(method, params)
        client.send(text)
        return ident

    def wait_for_file(self, name):
        """What a script has written into a file of the scratch folder, once it is whole."""
        path = os.path.join(self.folder, name)

        def read():
            with contextlib.suppress(FileNotFoundError):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                return text if text.endswith("\n") else None
            return None
        return harness.until(read, "file %s" % name)

    def assert_tree_gone(self, *names):
        """The processes whose pids these files name are no more."""
        pids = [int(self.wait_for_file(name)) for name in names]
        harness.until(lambda: not any(map(process_is_there, pids)),
                      lambda: "end of %r" % [p for p in pids if process_is_there(p)])
        harness.until(lambda: not self.daemon.children(), "no children")


class Programs(Case):
    def test_params_are_one_object_on_stdin(self):
        self.serve(self.method("backup.start", "exec cat",
                               params="target:string, level:integer?, ratio:number?, "
                                      "full:boolean?, tags:array?, more:object?"))
        for params in ({"target": "/home \u00e4\"\\\n"},
                       {"target": "x", "level": -9223372036854775808, "ratio": 1.5,
                        "full": False, "tags": [1, [], {"a": None}], "more": {"b": "c/d"}}):
            self.assertEqual(self.client.call("backup.start", params), params)

    def test_without_params_the_object_is_empty(self):
        self.serve(self.method("a.b", "exec cat"))
        self.assertEqual(self.client.call("a.b"), {})
        self.assertEqual(self.client.call("a.b", {}), {})
        self.assertEqual(self.client.call("a.b", []), {})

    def test_params_are_checked_before_a_program_starts(self):
        self.serve(self.method("a.b", "echo $$ >%s/ran; echo 1" % self.folder,
                               params="target:string, level:integer?"))
        for params in (None, {}, {"target": 1}, {"target": "x", "level": "1"},
                       {"target": "x", "level": 1.5}, {"target": "x", "other": 1},
                       {"target": None}, ["x"]):
            error = self.client.error("a.b", params)
            self.assertEqual(error["code"], INVALID_PARAMS, params)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "ran")))

    def test_a_megabyte_of_params(self):
        self.serve(self.method("a.b", "exec wc -c", params="text:string"))
        text = "x" * 1000000
        self.assertEqual(self.client.call("a.b", {"text": text}), 1000000 + len('{"text":""}\n'))

    def test_a_program_that_does_not_read(self):
        self.serve(self.method("a.b", "exec <&-; echo true", params="text:string"))
        self.assertIs(self.client.call("a.b", {"text": "x" * 1000000}), True)

    def test_json_goes_through_as_it_is(self):
        self.serve(self.method("a.b", "printf '\\n[1.50e+2, \"\\\\u0041\",\\n 18446744073709551616]\\n'"))
        text, _ = self.client.request("a.b")
        self.client.send(text)
        self.assertEqual(self.client.read_line(),
                         b'{"jsonrpc":"2.0","result":[1.50e+2, "\\u0041",  18446744073709551616],'
                         b'"id":1}\n')

    def test_output_that_is_no_json(self):
        for body in ("true", "echo hello", "echo '{} {}'", "echo \"{'a':1}\"", "echo NaN",
                     "printf '\"\\377\"'", "printf '{\"a\":1'"):
            with self.subTest(body=body):
                self.serve(self.method("a.b", body))
                error = self.client.error("a.b")
                self.assert_reason(error, "failed")
                self.assertIn("not JSON", error["message"])
                self.daemon.stop()

    def test_text(self):
        self.serve(self.method("a.b", "printf 'a \"b\"\\n\\303\\244\\001'", output="text"),
                   self.method("a.c", "printf '\\377'", output="text"),
                   self.method("a.d", "true", output="text"))
        self.assertEqual(self.client.call("a.b"), "a \"b\"\n\u00e4\u0001")
        self.assertEqual(self.client.call("a.d"), "")
        error = self.client.error("a.c")
        self.assert_reason(error, "failed")
        self.assertIn("UTF-8", error["message"])

    def test_exit_status(self):
        self.serve(self.method("a.b", "echo '{}'; echo 'no tape' >&2; exit 3"))
        error = self.client.error("a.b")
        self.assert_reason(error, "failed")
        self.assertEqual(error["data"], {"reason": "failed", "exit_status": 3,
                                         "stderr": "no tape\n"})
        self.daemon.wait_log("a\\.b.*no tape")

    def test_signal(self):
        self.serve(self.method("a.b", "echo going >&2; kill -SEGV $$"))
        error = self.client.error("a.b")
        self.assertEqual(error["data"], {"reason": "failed", "signal": "SIGSEGV",
                                         "stderr": "going\n"})

    def test_the_end_of_stderr(self):
        self.serve(self.method(
            "a.b", "head -c 1000000 /dev/zero | tr '\\0' x >&2; printf '\\303\\244END' >&2; exit 1"))
        tail = self.client.error("a.b")["data"]["stderr"]
        self.assertTrue(tail.endswith("xxx\u00e4END"), tail[-20:])
        self.assertLessEqual(len(tail.encode()), 4096)
        self.assertGreater(len(tail), 4000)

    def test_a_program_that_is_not_there(self):
        path = os.path.join(self.folder, "gone")
        self.serve(self.method("a.b", command=path))
        error = self.client.error("a.b")
        self.assert_reason(error, "failed")
        self.assertEqual(error["data"]["errno"], "ENOENT")
        self.assertIn(path, error["message"])

    def test_a_program_that_may_not_be_executed(self):
        path = self.script("true")
        os.chmod(path, 0o644)
        self.serve(self.method("a.b", command=path))
        error = self.client.error("a.b")
        self.assertEqual(error["data"]["errno"], "EACCES")
        self.assertIn(path, error["message"])

    def test_output_without_end(self):
        self.serve(self.method("a.b", "echo $$ >%s/pid; exec yes" % self.folder))
        rss = self.daemon.rss()
        self.assert_reason(self.client.error("a.b"), "limit")
        self.assert_tree_gone("pid")
        self.assertLess(self.daemon.rss() - rss, 8 << 20)

    def test_output_up_to_max_message(self):
        self.serve(self.method("a.b", "printf '\"'; head -c 1022 /dev/zero | tr '\\0' x; printf '\"'"),
                   self.method("a.c", "printf '\"'; head -c 1023 /dev/zero | tr '\\0' x; printf '\"'"),
                   agent={"max_message": "1K"})
        self.assertEqual(self.client.call("a.b"), "x" * 1022)
        self.assert_reason(self.client.error("a.c"), "limit")

    def test_timeout_ends_the_tree(self):
        """TERM is ignored, and one of them has left for a session of its own."""
        self.serve(self.method(
            "a.b", "trap '' TERM; echo $$ >{0}/one\n"
                   "setsid sh -c 'trap \"\" TERM; echo $$ >{0}/two; while :; do sleep 1; done' &\n"
                   "while :; do sleep 1; done".format(self.folder),
            timeout="1s", kill_timeout="300ms"))
        self.assert_reason(self.client.error("a.b"), "timeout")
        self.assert_tree_gone("one", "two")

    def test_what_a_program_leaves_behind_is_ended(self):
        self.serve(self.method(
            "a.b", "setsid sleep 1000 </dev/null & echo $! >{0}/one; echo 1".format(self.folder)))
        self.assertEqual(self.client.call("a.b"), 1)
        self.assert_tree_gone("one")

    def test_cancel(self):
        self.serve(self.method(
            "a.b", "sleep 1000 & echo $! >{0}/two; echo $$ >{0}/one; wait".format(self.folder)))
        ident = self.send("a.b")
        self.wait_for_file("one")
        self.client.send(CANCEL % ident)
        reply = self.client.read()
        self.assertEqual(reply["id"], ident)
        self.assert_reason(reply["error"], "cancelled")
        self.assert_tree_gone("one", "two")

    def test_the_caller_goes(self):
        self.serve(self.method(
            "a.b", "sleep 1000 & echo $! >{0}/two; echo $$ >{0}/one; wait".format(self.folder)))
        self.send("a.b")
        self.wait_for_file("one")
        self.client.reset()
        self.assert_tree_gone("one", "two")
        self.assertEqual(self.stats()["calls"]["running"], 1)

    def test_the_daemon_stops(self):
        self.serve(self.method("a.b", "trap '' TERM; echo $$ >%s/one; sleep 1000" % self.folder),
                   agent={"shutdown_timeout": "100ms"})
        self.send("a.b")
        pid = int(self.wait_for_file("one"))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assert_reason(self.client.read()["error"], "cancelled")
        self.daemon.expect_exit(0)
        harness.until(lambda: not process_is_there(pid), "end of %d" % pid)

    def test_max_instances(self):
        self.serve(self.method("a.b", "echo $$ >%s/one; sleep 1000" % self.folder,
                               max_instances=1))
        first = self.send("a.b")
        self.wait_for_file("one")
        self.assert_reason(self.client.error("a.b"), "busy")
        self.reload(self.method("a.b", "echo 2", max_instances=1))
        self.assert_reason(self.client.error("a.b"), "busy")
        self.client.send(CANCEL % first)
        self.assert_reason(self.client.read()["error"], "cancelled")
        self.assertEqual(self.client.call("a.b"), 2)

    def test_two_hundred_at_once(self):
        self.serve(self.method("a.b", "read -r line; echo \"$line\" >>{0}/seen\n"
                                      "flock -s {0}/go echo \"$line\""
                               .format(self.folder), params="n:integer"))
        self.daemon.remember()
        gate = open(os.path.join(self.folder, "go"), "w", encoding="utf-8")
        self.addCleanup(gate.close)
        fcntl.flock(gate, fcntl.LOCK_EX)
        clients = [self.connect(privileged=True) for _ in range(4)]
        for number in range(200):
            self.send("a.b", {"n": number}, clients[number % 4])

        def all_run():
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(self.folder, "seen"), encoding="utf-8") as file:
                    return len(file.readlines()) == 200
            return False
        harness.until(all_run, "200 programs")
        fcntl.flock(gate, fcntl.LOCK_UN)
        seen = sorted(clients[i % 4].read()["result"]["n"] for i in range(200))
        self.assertEqual(seen, list(range(200)))
        for client in clients:
            client.close()
        self.daemon.assert_back()

    def test_a_clean_environment(self):
        self.serve(self.method("a.b", "env", output="text", environment="COLOUR=green",
                               directory=self.folder),
                   environment={"SECRET": "daemon's"})
        found = dict(line.split("=", 1) for line in self.client.call("a.b").splitlines())
        for name in ("NOTIFY_SOCKET", "SECRET", "LISTEN_FDS", "WATCHDOG_USEC"):
            self.assertNotIn(name, found)
        for name in ("PATH", "HOME", "USER", "GUESTWIRE_METHOD"):
            self.assertIn(name, found)
        self.assertEqual((found["GUESTWIRE_METHOD"], found["COLOUR"]), ("a.b", "green"))
        self.assertEqual(found.get("PWD", self.folder), self.folder)
        self.assertEqual("GUESTWIRE_PEER_CID" in found, harness.TRANSPORT == "vsock")

    @harness.only("vsock")
    def test_the_environment_says_who_calls(self):
        self.serve(self.method("a.b", "env", output="text"))
        found = dict(line.split("=", 1) for line in self.client.call("a.b").splitlines())
        port = self.client.sock.getsockname()[1]
        self.assertEqual((found["GUESTWIRE_PEER_CID"], found["GUESTWIRE_PEER_PORT"],
                          found["GUESTWIRE_PORT"]), ("1", str(port), str(self.main.address[1])))

    def test_no_descriptor_but_three(self):
        self.serve(self.method("a.b", "ls -l /proc/self/fd | sed 's/.* \\([0-9]*\\) ->.*/\\1/'",
                               output="text"))
        numbers = [int(n) for n in re.findall(r"^(\d+)$", self.client.call("a.b"), re.M)]
        # The fourth is that of ls itself.
        self.assertEqual(numbers, [0, 1, 2, 3])

    def test_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        os.chmod(self.folder, 0o755)
        self.serve(self.method("a.b", "id -un; id -G; echo $USER", output="text", user="nobody"))
        name, groups, user = self.client.call("a.b").splitlines()
        self.assertEqual((name, user), ("nobody", "nobody"))
        self.assertNotIn("0", groups.split())

    def test_commands_are_split_without_a_shell(self):
        self.serve(self.method("a.b", command="/usr/bin/printf %s|%s|%s 'a b' \"$HOME\" &&",
                               output="text"))
        parts = self.client.call("a.b").split("|")
        self.assertEqual((parts[0], parts[2]), ("a b", "&&"))

    def test_notifications_run_too(self):
        self.serve(self.method("a.b", "echo $$ >%s/one; echo 1" % self.folder))
        self.client.send('{"jsonrpc":"2.0","method":"a.b"}\n')
        self.wait_for_file("one")
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_in_a_batch(self):
        self.serve(self.method("a.b", "echo 1"), self.method("a.c", "exit 1"))
        self.client.send('[{"jsonrpc":"2.0","id":1,"method":"a.b"},'
                         '{"jsonrpc":"2.0","id":2,"method":"a.c"}]\n')
        replies = {reply["id"]: reply for reply in self.client.read()}
        self.assertEqual(replies[1]["result"], 1)
        self.assert_reason(replies[2]["error"], "failed")


class Policy(Case):
    def test_privileged_by_default(self):
        self.serve(self.method("a.b", "echo 1"), self.method("a.c", "echo 2", privileged="no"),
                   self.method("s.*", to="unix:%s/s" % self.folder),
                   target=self.unprivileged())
        self.assert_reason(self.client.error("a.b"), "not-privileged")
        self.assert_reason(self.client.error("s.x"), "not-privileged")
        self.assertEqual(self.client.call("a.c"), 2)

    def test_privileged_calls_are_logged_under_their_names(self):
        self.serve(self.method("a.b", "exit 7"), self.method("s.*", to="unix:%s/s" % self.folder))
        self.client.error("a.b")
        self.client.error("s.some.name")
        self.daemon.wait_log("called a\\.b: failed after")
        self.daemon.wait_log("called s\\.some\\.name: unavailable after")

    def test_methods_and_block_methods(self):
        self.serve(self.method("a.b", "echo 1"), self.method("a.c", "echo 2"),
                   self.method("s.*", to="unix:%s/s" % self.folder),
                   target=self.target(methods="a.*, s.get, rpc.discover", block_methods="a.c"))
        self.assertEqual(self.client.call("a.b"), 1)
        self.assert_reason(self.client.error("a.c"), "not-allowed")
        self.assert_reason(self.client.error("s.set"), "not-allowed")
        self.assert_reason(self.client.error("s.get"), "unavailable")
        names = [m["name"] for m in self.client.call("rpc.discover")["methods"]]
        self.assertEqual(names, ["a.b", "rpc.discover"])

    def test_discover(self):
        self.serve(self.method("a.b", "echo 1", summary="Start a backup",
                               params="target:string, tags:array?"),
                   self.method("a.c", "echo 1", output="text", privileged="no"))
        found = {m["name"]: m for m in self.client.call("rpc.discover")["methods"]}
        self.assertEqual(found["a.b"]["summary"], "Start a backup")
        self.assertEqual([(p["name"], p["required"], p["schema"]) for p in found["a.b"]["params"]],
                         [("target", True, {"type": "string"}), ("tags", False, {"type": "array"})])
        self.assertEqual(found["a.b"]["result"]["schema"], {})
        self.assertEqual(found["a.c"]["result"]["schema"], {"type": "string"})
        self.assertEqual((found["a.b"]["x-privileged"], found["a.c"]["x-privileged"]),
                         (True, False))

    def test_the_client_lists_them(self):
        self.serve(self.method("a.b", "echo 1", summary="Start a backup", params="target:string"),
                   self.method("s.*", to="unix:%s/s" % self.folder, summary="Stock"))
        result = self.run_guestwire("methods", self.main.cli)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^a\.b +Start a backup \[privileged\]\n +target \(string\)")
        self.assertRegex(result.stdout, r"(?m)^s\.\* +Stock")

    def test_reload(self):
        self.serve(self.method("a.b", "echo $$ >{0}/one; while ! test -e {0}/go; do sleep 0.1; "
                                      "done; echo 1".format(self.folder)))
        ident = self.send("a.b")
        self.wait_for_file("one")
        self.reload(self.method("a.c", "echo 3"))
        self.assertEqual(self.client.error("a.b")["code"], NO_METHOD)
        self.assertEqual(self.client.call("a.c"), 3)
        with open(os.path.join(self.folder, "go"), "w", encoding="utf-8"):
            pass
        reply = self.client.read()
        self.assertEqual((reply["id"], reply["result"]), (ident, 1))
        self.reload()
        self.assertEqual(self.client.error("a.c")["code"], NO_METHOD)
        self.assertNotIn("a.c", str(self.client.call("rpc.discover")))

    def test_a_clash_is_a_configuration_error(self):
        for name, keys in (("agent.ping", {"command": "/bin/true"}),
                           ("rpc.discover", {"command": "/bin/true"}),
                           ("agent.*", {"to": "unix:/run/x"}),
                           ("system.*", {"to": "unix:/run/x"})):
            with self.subTest(name=name):
                path = os.path.join(self.folder, "clash.conf")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(self.config(self.target()) + self.method(name, **keys))
                result = self.run_guestwired("--config", path, "--check")
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(b"clash.conf:", result.stderr)
                self.assertIn(name.encode(), result.stderr)


class Server:
    """A JSON-RPC 2.0 server on a Unix socket: one thread for each connection."""

    def __init__(self, test, name="server", backlog=8):
        self.path = os.path.join(test.folder, name)
        self.methods = {}
        self.seen = []  # every message, in the order of arrival
        self.lines = []
        self.connections = []
        self.accepted = 0
        self.changed = threading.Condition()
        self.listener = None
        self.backlog = backlog
        self.listen()
        test.addCleanup(self.close)

    def listen(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(self.backlog)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections.append(connection)
                self.accepted += 1
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        with contextlib.suppress(OSError, ValueError):
            with connection.makefile("rb") as file:
                for line in file:
                    message = json.loads(line.decode("utf-8"))
                    with self.changed:
                        self.lines.append(line)
                        self.seen.append(message)
                        self.changed.notify_all()
                    answer = self.methods.get(message["method"])
                    if answer:
                        answer(connection, message)

    def wait(self, method, count=1):
        """The messages of this method, once there are so many."""
        def found():
            return [m for m in self.seen if m["method"] == method]
        with self.changed:
            if not self.changed.wait_for(lambda: len(found()) >= count, harness.DEADLINE):
                raise AssertionError("not %d of %s: %r" % (count, method, self.seen))
            return found()

    def answer(self, message, result, connection=None):
        self.send({"jsonrpc": "2.0", "id": message["id"], "result": result}, connection)

    def send(self, message, connection=None):
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        (connection or self.connections[-1]).sendall(data)

    def on(self, method, result):
        """Answers a method with result(params)."""
        self.methods[method] = lambda connection, message: self.answer(
            message, result(message["params"]), connection)

    def drop(self):
        """Ends all connections, as its death would."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections = []

    def close(self):
        # A close() alone would leave accept() waiting.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()


class Servers(Case):
    agent = None

    def setUp(self):
        super().setUp()
        self.server = Server(self)
        self.server.on("inventory.echo", lambda params: params)
        self.serve(self.section(), agent=self.agent)

    def section(self, **keys):
        return self.method("inventory.*", to="unix:%s" % self.server.path, **keys)

    def test_calls_go_through_on_one_connection(self):
        other = self.connect(privileged=True)
        for number in range(20):
            params = {"n": number, "text": "\u00e4\"\n/", "list": [1.5, None, {"a": []}]}
            self.assertEqual(self.client.call("inventory.echo", params), params)
            self.assertEqual(other.call("inventory.echo", params), params)
        self.assertEqual(self.server.accepted, 1)

    def test_one_line_a_message_with_ids_of_ours(self):
        self.client.send('{"jsonrpc":"2.0","id":"theirs","method":"inventory.echo",'
                         '"params":{"a":\n1.50e+2}}')
        reply = self.client.read()
        self.assertEqual(reply["id"], "theirs")
        self.client.call("inventory.echo")
        first, second = self.server.lines
        self.assertRegex(first, rb'^\{"jsonrpc":"2\.0","id":\d+,"method":"inventory\.echo",'
                                rb'"params":\{"a":1\.50e\+2\}\}\n$')
        self.assertEqual(self.server.seen[1]["params"], {})
        self.assertNotEqual(self.server.seen[0]["id"], self.server.seen[1]["id"])
        self.assertEqual(len(second.splitlines()), 1)

    def test_a_caller_leaves_just_as_its_server_does(self):
        """Cancelling one of its calls found the server gone, and took the next with it."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = os.path.join(self.folder, "deaf.sock")
        listener.bind(path)
        listener.listen()
        listener.settimeout(harness.DEADLINE)
        self.daemon.reload(self.config(self.main) + self.method("deaf.*", to="unix:%s" % path))
        caller = self.connect(privileged=True)
        for number in range(3):
            caller.send('{"jsonrpc":"2.0","id":%d,"method":"deaf.wait"}' % number)
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.settimeout(harness.DEADLINE)
        lines = b""
        while lines.count(b"\n") < 3:
            lines += server.recv(4096)
        server.shutdown(socket.SHUT_RD)
        caller.close()
        self.daemon.wait_log(r"(?s)(deaf\.wait.*){3}")
        self.assert_answers()

    def test_the_prefix_alone_is_no_method(self):
        for name in ("inventory.", "inventory", "inventoryx.get"):
            self.assertEqual(self.client.error(name)["code"], NO_METHOD, name)
        self.server.on("inventory.a.b.c", lambda params: 1)
        self.assertEqual(self.client.call("inventory.a.b.c"), 1)

    def test_parameters_go_by_name(self):
        """Which ones there are is the server's to say: that it takes none is not."""
        error = self.client.error("inventory.echo", [1])
        self.assertEqual(error["code"], INVALID_PARAMS)
        self.assertIn("by name, not by position", error["message"])
        self.assertNotIn("takes none", error["message"])
        self.assertEqual(self.client.call("inventory.echo", []), {})
        self.assertEqual([message["params"] for message in self.server.seen], [{}])

    def test_errors_are_the_servers_own(self):
        for error in ({"code": -32601, "message": "no such thing"},
                      {"code": -32602, "message": "bad", "data": {"why": [1, 2]}},
                      {"code": 42, "message": "own", "data": None}):
            self.server.methods["inventory.fail"] = lambda connection, message, error=error: \
                self.server.send({"jsonrpc": "2.0", "id": message["id"], "error": error}, connection)
            self.assertEqual(self.client.error("inventory.fail"), error)

    def test_a_hundred_calls_answered_out_of_order(self):
        clients = [self.connect(privileged=True) for _ in range(2)]
        wanted = [{}, {}]
        for number in range(100):
            ident = self.send("inventory.hold", {"n": number}, clients[number % 2])
            wanted[number % 2][ident] = number
        held = self.server.wait("inventory.hold", 100)
        self.assertEqual(len({m["id"] for m in held}), 100)
        for message in sorted(held, key=lambda m: (m["params"]["n"] * 37) % 101):
            self.server.answer(message, message["params"]["n"])
        for client, expected in zip(clients, wanted):
            replies = [client.read() for _ in expected]
            self.assertEqual({r["id"]: r["result"] for r in replies}, expected)
        self.assertEqual(self.server.accepted, 1)

    def test_a_reply_in_pieces(self):
        def pieces(connection, message):
            text = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": ["\u00e4", {}]},
                              ensure_ascii=False, indent=2).encode()
            for byte in text:
                connection.sendall(bytes([byte]))
        self.server.methods["inventory.slow"] = pieces
        self.assertEqual(self.client.call("inventory.slow"), ["\u00e4", {}])

    def test_a_large_reply_and_a_huge_one(self):
        self.server.on("inventory.large", lambda params: "x" * params["n"])
        text = self.client.call("inventory.large", {"n": 1000000})
        self.assertEqual(text, "x" * 1000000)
        rss = self.daemon.rss()
        self.server.methods["inventory.huge"] = lambda connection, message: \
            [connection.sendall(b'{"id":%d,"result":"' % message["id"])] + \
            [connection.sendall(b"x" * 65536) for _ in range(1000)]
        self.assert_reason(self.client.error("inventory.huge"), "unavailable")
        self.assertLess(self.daemon.rss() - rss, 8 << 20)
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_garbage_ends_what_is_in_flight(self):
        self.server.methods["inventory.garbage"] = lambda connection, message: \
            connection.sendall(b"Traceback (most recent call last):\n")
        first = self.send("inventory.hold")
        second = self.send("inventory.garbage")
        replies = {reply["id"]: reply for reply in (self.client.read(), self.client.read())}
        for ident in (first, second):
            self.assert_reason(replies[ident]["error"], "unavailable")
        self.assertEqual(self.client.call("inventory.echo"), {})
        self.assertEqual(self.server.accepted, 2)

    def test_notifications_of_the_server_are_ignored(self):
        def chatty(connection, message):
            self.server.send({"jsonrpc": "2.0", "method": "log", "params": ["x"]}, connection)
            self.server.send({"jsonrpc": "2.0", "id": 1, "method": "ask"}, connection)
            self.server.answer({"id": 999999}, "to nobody", connection)
            self.server.answer(message, 5, connection)
        self.server.methods["inventory.chat"] = chatty
        self.assertEqual(self.client.call("inventory.chat"), 5)

    def test_death_is_answered_at_once_and_mended(self):
        idents = [self.send("inventory.hold") for _ in range(10)]
        self.server.wait("inventory.hold", 10)
        self.server.drop()
        replies = [self.client.read() for _ in idents]
        self.assertEqual(sorted(r["id"] for r in replies), idents)
        for reply in replies:
            self.assert_reason(reply["error"], "unavailable")
            self.assertIn(self.server.path, reply["error"]["message"])
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})
        self.assertEqual(self.server.accepted, 2)

    def test_restarts_between_calls(self):
        for number in range(30):
            self.assertEqual(self.client.call("inventory.echo", {"n": number}), {"n": number})
            self.server.close()
            self.server.listen()

    def test_nobody_listens(self):
        self.client.call("inventory.echo")
        self.server.close()
        error = self.client.error("inventory.echo")
        self.assert_reason(error, "unavailable")
        self.assertIn(self.server.path, error["message"])
        os.unlink(self.server.path)
        error = self.client.error("inventory.echo")
        self.assertEqual(error["data"]["errno"], "ENOENT")
        self.server.listen()
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_timeout(self):
        self.reload(self.section(timeout="300ms"))
        self.assert_reason(self.client.error("inventory.hold"), "timeout")
        held = self.server.wait("inventory.hold")[0]
        self.assertEqual(self.server.wait("rpc.cancel")[0],
                         {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": held["id"]}})
        self.server.answer(held, "late")
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_cancel(self):
        ident = self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.client.send(CANCEL % ident)
        self.assert_reason(self.client.read()["error"], "cancelled")
        self.assertEqual(self.server.wait("rpc.cancel")[0]["params"], {"id": held["id"]})

    def test_the_caller_goes(self):
        self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.client.reset()
        self.assertEqual(self.server.wait("rpc.cancel")[0]["params"], {"id": held["id"]})
        self.assertEqual(self.stats()["calls"]["running"], 1)

    def test_a_thousand_and_twenty_four_at_most(self):
        clients = [self.connect(privileged=True) for _ in range(16)]
        for client in clients:
            client.send(b"".join(client.request("inventory.hold")[0] for _ in range(64)))
        held = self.server.wait("inventory.hold", 1024)
        self.assert_reason(self.client.error("inventory.echo"), "busy")
        for message in held:
            self.server.answer(message, 1)
        for client in clients:
            self.assertEqual({client.read()["result"] for _ in range(64)}, {1})
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_a_server_that_does_not_read(self):
        """Memory stays bounded, and others are served."""
        stopped = Server(self, "stopped")
        gate = threading.Event()
        self.addCleanup(gate.set)
        stopped.methods["stopped.first"] = lambda connection, message: gate.wait(harness.TEST_LIMIT)
        self.reload(self.section(), self.method("stopped.*", to="unix:%s" % stopped.path))
        self.send("stopped.first")
        stopped.wait("stopped.first")
        clients = [self.connect(privileged=True) for _ in range(10)]
        for client in clients:
            self.send("stopped.more", {"text": "x" * 900000}, client)
        busy = [c for c in clients if not c.quiet(0.5)]
        for client in busy:
            self.assert_reason(client.read()["error"], "busy")
        self.assertGreater(len(busy), 2)
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_its_own_document(self):
        self.server.on("rpc.discover", lambda params: {
            "openrpc": "1.2.6", "info": {"title": "inventory", "version": "7"},
            "methods": [{"name": "inventory.list", "summary": "What there is", "params": []},
                        {"name": "agent.ping", "summary": "not its own"}]})
        found = {m["name"]: m for m in self.client.call("rpc.discover")["methods"]}
        self.assertEqual(found["inventory.list"],
                         {"name": "inventory.list", "summary": "What there is", "params": [],
                          "x-privileged": True})
        self.assertNotIn("inventory.*", found)
        self.assertNotEqual(found["agent.ping"]["summary"], "not its own")
        result = self.run_guestwire("methods", self.main.cli)
        self.assertRegex(result.stdout, r"(?m)^inventory\.list +What there is \[privileged\]$")

    def test_without_a_document_the_prefix(self):
        """None, within a second; an error; nonsense; and nobody there."""
        def names():
            return [m["name"] for m in self.client.call("rpc.discover")["methods"]
                    if m["name"].startswith("inventory")]
        self.assertEqual(names(), ["inventory.*"])
        self.server.methods["rpc.discover"] = lambda connection, message: self.server.send(
            {"jsonrpc": "2.0", "id": message["id"],
             "error": {"code": -32601, "message": "what?"}}, connection)
        self.assertEqual(names(), ["inventory.*"])
        self.server.on("rpc.discover", lambda params: {"methods": 7})
        self.assertEqual(names(), ["inventory.*"])
        self.server.close()
        self.assertEqual(names(), ["inventory.*"])

    def test_reload_keeps_the_connection(self):
        self.client.call("inventory.echo")
        ident = self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.reload(self.section(), self.method("other.*", to="unix:%s" % self.server.path))
        self.assertEqual(self.client.call("inventory.echo"), {})
        self.server.on("other.x", lambda params: "x")
        self.assertEqual(self.client.call("other.x"), "x")
        self.reload()
        self.assertEqual(self.client.error("inventory.echo")["code"], NO_METHOD)
        self.server.answer(held, "in the end")
        reply = self.client.read()
        self.assertEqual((reply["id"], reply["result"]), (ident, "in the end"))
        self.assertEqual(self.server.accepted, 1)

    def test_a_method_of_its_own_within_a_prefix(self):
        self.reload(self.section(), self.method("inventory.here", "echo '\"a program\"'"))
        self.assertEqual(self.client.call("inventory.here"), "a program")
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_restarted_a_hundred_times_under_load(self):
        """Each call gets exactly one reply, whatever becomes of the server."""
        self.daemon.remember()
        for _ in range(100):
            idents = [self.send("inventory.echo", {"n": n}) for n in range(8)]
            self.server.drop()
            replies = [self.client.read() for _ in idents]
            self.assertEqual(sorted(r["id"] for r in replies), idents)
            for reply in replies:
                if "error" in reply:
                    self.assert_reason(reply["error"], "unavailable")
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})


if __name__ == "__main__":
    harness.main()
