# SPDX-License-Identifier: MIT
"""Methods of the configuration's own that are programs, and who may call them."""

import contextlib
import fcntl
import os
import re
import signal

import harness
from harness import INVALID_PARAMS, NO_METHOD, is_there
from methods import CANCEL, Case


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
        self.serve(self.method(
            "a.b", "printf '\\n[1.50e+2, \"\\\\u0041\",\\n 18446744073709551616]\\n'"))
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
            "a.b", "head -c 1000000 /dev/zero | tr '\\0' x >&2\n"
                   "printf '\\303\\244END' >&2; exit 1"))
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
        body = "printf '\"'; head -c %d /dev/zero | tr '\\0' x; printf '\"'"
        self.serve(self.method("a.b", body % 1022), self.method("a.c", body % 1023),
                   agent={"max_message": "1K"})
        self.assertEqual(self.client.call("a.b"), "x" * 1022)
        self.assert_reason(self.client.error("a.c"), "limit")

    def test_timeout_ends_the_tree(self):
        """TERM is ignored, and one of them has left for a session of its own."""
        self.serve(self.method(
            "a.b", "trap '' TERM; echo $$ >{0}/one\n"
                   "setsid sh -c 'trap \"\" TERM; echo $$ >{0}/two; while :; do sleep 1; done' &\n"
                   "while :; do sleep 1; done".format(self.folder),
            timeout="3s", kill_timeout="300ms"))
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
        harness.until(lambda: self.stats()["calls"]["running"] == 1, "the call's end")

    def test_the_daemon_stops(self):
        self.serve(self.method("a.b", "trap '' TERM; echo $$ >%s/one; sleep 1000" % self.folder),
                   agent={"shutdown_timeout": "100ms"})
        self.send("a.b")
        pid = int(self.wait_for_file("one"))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assert_reason(self.client.read()["error"], "cancelled")
        self.daemon.expect_exit(0)
        harness.until(lambda: not is_there(pid), "end of %d" % pid)

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
                               .format(self.folder), params="n:integer", timeout="10min"))
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
        for name in ("GUESTWIRE_PEER_CID", "GUESTWIRE_PEER_PORT", "GUESTWIRE_PORT"):
            self.assertEqual(found[name] != "", harness.TRANSPORT == "vsock", name)

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
        self.assertRegex(result.stdout,
                         r"(?m)^a\.b +Start a backup \[privileged\]\n +target \(string\)")
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


if __name__ == "__main__":
    harness.main()
