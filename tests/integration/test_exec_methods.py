# SPDX-License-Identifier: MIT
"""exec.run and what acts on its program: streams, terminals, signals, limits, departure."""

import base64
import json
import os
import pwd
import signal
import socket
import subprocess

import harness
from harness import INVALID_PARAMS, is_there
from programs import STDERR, STDIN, STDOUT, Case, output
from rawfiles import RawCall

HOME = pwd.getpwuid(0).pw_dir


class Run(Case):
    def test_exit_status_and_both_streams(self):
        result = self.shell("echo out; echo err >&2; exit 3")
        self.assertEqual(result["exit_status"], 3)
        self.assertEqual((result["stdout"], result["stderr"]), ("out\n", "err\n"))
        self.assertEqual((result["stdout_bytes"], result["stderr_bytes"]), (4, 4))
        self.assertIs(result["truncated"], False)
        self.assertNotIn("signal", result)

    def test_signal(self):
        result = self.shell("kill -KILL $$")
        self.assertEqual(result["signal"], "SIGKILL")
        self.assertNotIn("exit_status", result)

    def test_usage(self):
        result = self.shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
        self.assertGreater(result["cpu_us"], 1000)
        self.assertGreaterEqual(result["duration_us"] * 2, result["cpu_us"])
        self.assertIn("memory_peak_bytes", result)

    def test_what_failed_to_start(self):
        os.mkdir(self.path("folder"))
        with open(self.path("plain"), "w", encoding="ascii") as file:
            file.write("no program")
        for argv, params, error, said in (
                ([self.path("absent")], {}, "ENOENT", self.path("absent")),
                ([self.path("folder")], {}, "EACCES", self.path("folder")),
                ([self.path("plain")], {}, "EACCES", self.path("plain")),
                (["no-such-program"], {}, "ENOENT", "no-such-program"),
                (["true"], {"cwd": self.path("nowhere")}, "ENOENT", self.path("nowhere")),
                (["true"], {"cwd": self.path("plain")}, "ENOTDIR", self.path("plain"))):
            with self.subTest(argv=argv, **params):
                found = self.fails("failed", argv=argv, **params)
                self.assertEqual(found["data"]["errno"], error)
                self.assertIn(said, found["message"])

    def test_environment_is_like_a_logins(self):
        lines = self.run_program("env")["stdout"].splitlines()
        names = dict(line.split("=", 1) for line in lines)
        self.assertLessEqual(set(names), {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG"})
        self.assertEqual((names["HOME"], names["USER"]), (HOME, "root"))
        added = self.run_program("env", env={"HOME": "/x", "A B": "c=d", "EMPTY": ""})["stdout"]
        self.assertIn("HOME=/x\n", added)
        self.assertIn("A B=c=d\n", added)
        self.assertIn("EMPTY=\n", added)
        self.assertIn("PATH=/usr", added)
        alone = self.run_program("/usr/bin/env", env={"A": "1"}, clear_env=True)["stdout"]
        self.assertEqual(alone, "A=1\n")
        self.assertEqual(self.run_program("/usr/bin/env", clear_env=True)["stdout"], "")

    def test_program_is_looked_for_in_its_own_path(self):
        script = self.path("only-here")
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho found\n")
        os.chmod(script, 0o755)
        os.chmod(self.folder, 0o755)
        result = self.run_program("only-here", env={"PATH": "/nowhere:" + self.folder})
        self.assertEqual(result["stdout"], "found\n")

    def test_working_directory(self):
        self.assertEqual(self.run_program("pwd")["stdout"], HOME + "\n")
        self.assertEqual(self.run_program("pwd", cwd="/usr")["stdout"], "/usr\n")

    def test_user(self):
        nobody = pwd.getpwnam("nobody")
        for user in ("nobody", str(nobody.pw_uid)):
            result = self.shell("id -u; id -g; echo $USER $HOME; pwd", user=user)
            lines = result["stdout"].splitlines()
            self.assertEqual(lines[:3], [str(nobody.pw_uid), str(nobody.pw_gid),
                                         "nobody %s" % nobody.pw_dir])
            # A home that is not there is no reason not to run.
            self.assertEqual(lines[3], nobody.pw_dir if os.path.isdir(nobody.pw_dir) else "/")
        self.assertEqual(self.run_program("id", "-u", user="root")["stdout"], "0\n")
        found = self.fails("not-found", argv=["true"], user="no-such-user")
        self.assertIn("no-such-user", found["message"])

    def test_login_shell(self):
        result = self.client.call("exec.run", {
            "login": True, "stdin": "shopt -q login_shell && echo login; echo $0; exit 5\n"})
        self.assertEqual(result["exit_status"], 5)
        self.assertTrue(result["stdout"], result)

    def test_wrong_parameters_are_named(self):
        argv = ["true"]
        for params, name in (
                ({}, "argv"), ({"argv": []}, "argv"), ({"argv": [""]}, "argv[0]"),
                ({"argv": ["a\0b"]}, "argv[0]"), ({"argv": ["a", 1]}, "argv[1]"),
                ({"argv": argv, "login": True}, "argv"), ({"argv": argv, "cwd": "x"}, "cwd"),
                ({"argv": argv, "env": {"A=B": "c"}}, "env"),
                ({"argv": argv, "env": {"": "c"}}, "env"), ({"argv": argv, "env": {"A": 1}}, "env"),
                ({"argv": argv, "env": {"A": "b\0"}}, "env"),
                ({"argv": argv, "stdin_base64": "%"}, "stdin_base64"),
                ({"argv": argv, "stdin": "", "stdin_base64": ""}, "stdin_base64"),
                ({"argv": argv, "timeout_ms": 0}, "timeout_ms"),
                ({"argv": argv, "timeout_ms": -1}, "timeout_ms"),
                ({"argv": argv, "rows": 10}, "rows"), ({"argv": argv, "term": "vt100"}, "term"),
                ({"argv": argv, "tty": True, "rows": 65536}, "rows"),
                ({"argv": argv, "output": "file"}, "output"),
                ({"argv": argv, "output": "capture", "raw": True}, "raw"),
                ({"argv": argv, "cpu_weight": 10001}, "cpu_weight"),
                ({"argv": argv, "memory_max": 0}, "memory_max"),
                ({"argv": argv, "scope": "here"}, "scope"),
                ({"argv": argv, "properties": {"A": 1}}, "properties")):
            with self.subTest(**params):
                error = self.client.error("exec.run", params)
                self.assertEqual(error["code"], INVALID_PARAMS, error)
                self.assertIn(name, error["message"])

    def test_not_for_the_unprivileged_nor_behind_a_root(self):
        plain = self.target("plain", trust="nobody")
        confined = self.target("confined", root=self.folder)
        self.daemon.reload(self.config(self.main, plain, confined, agent=self.agent))
        for target, reason in ((plain, "not-privileged"), (confined, "not-allowed")):
            client = self.connect(target, privileged=True)
            for method, params in (("exec.run", {"argv": ["true"]}), ("exec.list", None)):
                self.assert_reason(client.error(method, params), reason)


class Streams(Case):
    def test_standard_input(self):
        for text in ("", "hello", "a\0b", "\u00e4\u20ac"):
            self.assertEqual(self.run_program("cat", stdin=text)["stdout"], text)
        raw = bytes(range(256))
        result = self.run_program("cat", stdin_base64=base64.b64encode(raw).decode())
        self.assertEqual(base64.b64decode(result["stdout_base64"]), raw)
        self.assertNotIn("stdout", result)
        self.assertEqual(self.run_program("readlink", "/proc/self/fd/0")["stdout"], "/dev/null\n")
        big = "x" * 700000
        self.assertEqual(self.run_program("cat", stdin=big)["stdout"], big)
        # A program need not read it.
        self.assertEqual(self.run_program("true", stdin=big)["exit_status"], 0)

    def test_captured_up_to_a_limit(self):
        result = self.shell("printf 'a\\303\\244b'", max_output=4)
        self.assertEqual(result["stdout"], "a\u00e4b")
        result = self.shell("printf 'a\\303\\244b'", max_output=2)
        self.assertEqual((result["stdout"], result["truncated"]), ("a", True))
        self.assertEqual(result["stdout_bytes"], 4)
        # The rest is drained: the program ends by itself.
        result = self.shell("yes | head -c 3000000; exit 9", max_output=10)
        self.assertEqual((result["exit_status"], result["stdout"]), (9, "y\n" * 5))
        self.assertEqual(result["stdout_bytes"], 3000000)
        result = self.shell("echo x", max_output=0)
        self.assertEqual((result["stdout"], result["truncated"]), ("", True))
        self.fails("limit", argv=["true"], max_output=4 * 1024 * 1024 + 1)

    def test_all_that_is_allowed(self):
        result = self.shell("yes | head -c 4194304")
        self.assertEqual(result["stdout"], "y\n" * 2097152)
        self.assertIs(result["truncated"], False)

    def test_discarded(self):
        result = self.shell("readlink /proc/$$/fd/1 /proc/$$/fd/2 | cat >%s" % self.path("links"),
                            output="discard")
        self.assertLessEqual({"stdout", "stdout_bytes", "truncated"} & set(result), set())
        with open(self.path("links"), encoding="ascii") as file:
            self.assertEqual(file.read(), "/dev/null\n/dev/null\n")

    def test_streamed_in_order_and_in_whole_characters(self):
        # Each character in two writes, with an answer in between that proves the first was read.
        ident = self.begin(argv=["sh", "-c", "printf 'a\\303'; read x; printf '\\244z'; "
                                             "printf '\\342\\202' >&2"],
                           input=True, output="stream")
        first = self.client.read()
        self.assertEqual(first["params"], {"call": ident, "stream": "stdout", "data": "a"})
        self.begin("exec.input", call=ident, data="\n")
        (reply,), notes = self.replies(ident)
        self.assertEqual(output(notes), b"\xc3\xa4z")
        self.assertEqual(output(notes, "stderr"), b"\xe2\x82")
        for note in notes:
            self.assertIn("data" if note["params"]["stream"] == "stdout" else "base64",
                          note["params"])
        self.assertEqual(reply["result"]["stdout_bytes"], 4)
        self.assertNotIn("stdout", reply["result"])

    def test_much_is_streamed_whole(self):
        ident = self.begin(argv=["seq", "200000"], output="stream")
        (reply,), notes = self.replies(ident)
        data = output(notes)
        self.assertEqual(data, b"".join(b"%d\n" % i for i in range(1, 200001)))
        self.assertEqual(reply["result"]["stdout_bytes"], len(data))

    def test_the_call_is_named_as_it_named_itself(self):
        self.client.send('{"jsonrpc":"2.0","id":1.50e+2,"method":"exec.run","params":'
                         '{"argv":["echo","x"],"output":"stream"}}\n')
        self.assertIn(b'"call":1.50e+2,', self.client.read_line())
        self.assertIn(b'"id":1.50e+2}', self.client.read_line())

    def test_input_while_it_runs(self):
        ident = self.begin(argv=["sh", "-c", "read a; echo got $a; cat"], input=True,
                           stdin="fir", output="stream")
        self.begin("exec.input", call=ident, data="st\n")
        (_,), notes = self.replies(2)
        notes += [self.client.read()] if not notes else []
        self.assertEqual(output(notes), b"got first\n")
        raw = b"\xff\x00" * 10
        self.begin("exec.input", call=ident, base64=base64.b64encode(raw).decode())
        self.begin("exec.close_input", call=ident)
        (last,), notes = self.replies(ident)
        self.assertEqual(output(notes), raw)
        self.assertEqual(last["result"]["exit_status"], 0)
        self.fails("not-found", "exec.input", call=ident, data="x")

    def test_input_beyond_what_the_program_reads(self):
        os.mkfifo(self.path("fifo"))
        ident = self.begin(argv=["sh", "-c", "read go <%s; wc -c" % self.path("fifo")], input=True)
        # What the pipe does not take waits, and its call with it; too much is refused whole.
        big = "x" * 700000
        waiting = self.begin("exec.input", call=ident, data=big)
        refused = self.begin("exec.input", call=ident, data=big)
        reply = self.client.read()
        self.assertEqual(reply["id"], refused)
        self.assert_reason(reply["error"], "busy")
        with open(self.path("fifo"), "w", encoding="ascii") as file:
            file.write("go\n")
        (taken,), _ = self.replies(waiting)
        self.assertEqual(taken["result"], {})
        self.begin("exec.close_input", call=ident)
        (reply,), _ = self.replies(ident)
        self.assertEqual(reply["result"]["stdout"].strip(), "700000")

    def test_input_that_nobody_asked_for(self):
        ident = self.begin(argv=["sleep", "1000"])
        self.fails("failed", "exec.input", call=ident, data="x")
        self.fails("not-found", "exec.input", call=99, data="x")
        for params in ({"data": "x"}, {"call": ident, "job": 1, "data": "x"}, {"call": ident},
                       {"call": ident, "base64": "*"}):
            error = self.client.error("exec.input", params)
            self.assertEqual(error["code"], INVALID_PARAMS, error)


class Terminal(Case):
    def test_a_real_one(self):
        result = self.shell("tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2",
                            tty=True, rows=33, cols=101, term="xterm-256color")
        lines = result["stdout"].split("\r\n")
        self.assertTrue(lines[0].startswith("/dev/pts/"), lines)
        self.assertEqual(lines[1:], ["33 101", "xterm-256color", ""])
        self.assertEqual(result["exit_status"], 0)
        self.assertEqual(result["stderr_bytes"], 0)

    def test_all_that_it_shows_comes(self):
        result = self.run_program("seq", "100000", tty=True)
        self.assertEqual(result["stdout"], "".join("%d\r\n" % i for i in range(1, 100001)))

    def test_of_another_user(self):
        result = self.shell("test -w $(tty) && echo mine; stat -c %U $(tty)", tty=True,
                            user="nobody")
        self.assertEqual(result["stdout"], "mine\r\nnobody\r\n")

    def test_resize_and_interrupt(self):
        ident = self.begin(argv=["sh", "-c", "trap 'stty size' WINCH; trap 'echo int; exit 7' INT; "
                                             "echo ready; while :; do read x || :; done"],
                           tty=True, input=True, output="stream")
        notes = [self.client.read()]
        while b"ready" not in output(notes):
            notes.append(self.client.read())
        resized = self.begin("exec.resize", call=ident, rows=50, cols=132)
        (reply,), more = self.replies(resized)
        self.assertEqual(reply["result"], {})
        while b"50 132" not in output(more):
            more.append(self.client.read())
        # Ctrl-C, by the line discipline.
        self.begin("exec.input", call=ident, data="\x03")
        (reply,), more = self.replies(ident)
        self.assertEqual(reply["result"]["exit_status"], 7)
        self.assertIn(b"int", output(more))

    def test_end_of_input_is_its_character(self):
        result = self.run_program("cat", tty=True, stdin="line\nhalf")
        self.assertEqual(result["exit_status"], 0)
        self.assertIn("half", result["stdout"])
        ident = self.begin(argv=["cat"], tty=True, input=True)
        self.begin("exec.close_input", call=ident)
        (reply,), _ = self.replies(ident)
        self.assertEqual(reply["result"]["exit_status"], 0)

    def test_without_one(self):
        ident = self.begin(argv=["sleep", "1000"])
        self.fails("unsupported", "exec.resize", call=ident, rows=1, cols=1)


class End(Case):
    def test_timeout(self):
        error = self.fails("timeout", argv=["sh", "-c", "echo begun; exec sleep 1000"],
                           timeout_ms=2000)
        self.assertEqual(error["data"]["stdout"], "begun\n")
        self.assertEqual(error["data"]["signal"], "SIGTERM")

    def test_a_program_that_does_not_want_to_end(self):
        error = self.fails("timeout", timeout_ms=2000, kill_timeout_ms=100, argv=[
            "sh", "-c", "trap '' TERM; while :; do sleep 1000; done"])
        self.assertEqual(error["data"]["signal"], "SIGKILL")

    def test_cancelled(self):
        ident = self.begin(argv=["sh", "-c", "echo $$ >%s; exec sleep 1000" % self.path("pid")])
        pid = self.wait_for_pid("pid")
        cancel = self.begin("rpc.cancel", id=ident)
        (reply, _), _ = self.replies(ident, cancel)
        self.assert_reason(reply["error"], "cancelled")
        self.assertFalse(is_there(pid))

    def test_signal(self):
        for number, name in ((15, "SIGTERM"), ("TERM", "SIGTERM"), ("SIGUSR2", "SIGUSR2")):
            ident = self.begin(argv=["sh", "-c", "echo x; exec sleep 1000"], output="stream")
            self.client.read()
            sent = self.begin("exec.signal", call=ident, signal=number)
            (reply, told), _ = self.replies(ident, sent)
            self.assertEqual((reply["result"]["signal"], told["result"]), (name, {}))
        for wrong in ("NONE", 0, 65, -1, None, 1.5):
            error = self.client.error("exec.signal", {"call": 1, "signal": wrong})
            self.assertEqual(error["code"], INVALID_PARAMS, error)
        self.fails("not-found", "exec.signal", call=ident, signal=15)

    def test_output_that_others_hold(self):
        """What the program wrote is there; what it left behind does not keep its end."""
        result = self.shell("(sleep 1000 & echo $! >%s); echo mine" % self.path("pid"))
        self.assertEqual(result["stdout"], "mine\n")
        self.assert_gone(self.wait_for_pid("pid"))

    def test_nothing_is_left(self):
        for script in ("setsid sleep 1000 & echo $! >$1",
                       "nohup sleep 1000 >/dev/null 2>&1 & echo $! >$1",
                       "(setsid sh -c '(sleep 1000 & echo $! >$0)' $1 &)\n"
                       "until test -s $1; do sleep 0.1; done",
                       "sh -c 'trap \"\" TERM HUP; while :; do sleep 1000; done' & echo $! >$1"):
            name = "pid%d" % len(os.listdir(self.folder))
            self.run_program("sh", "-c", script, "sh", self.path(name), kill_timeout_ms=100,
                             output="discard")
            self.assert_gone(self.wait_for_pid(name))

    def test_a_lost_connection_ends_it(self):
        for lose in ("close", "reset"):
            client = self.connect(privileged=True)
            name = "pid-" + lose
            self.begin(client=client, argv=["sh", "-c", "echo $$ >%s; exec sleep 1000" %
                                            self.path(name)])
            pid = self.wait_for_pid(name)
            getattr(client, lose)()
            self.assert_gone(pid)

    def test_a_lost_connection_need_not_end_it(self):
        os.mkfifo(self.path("fifo"))
        for output_to in ("capture", "stream"):
            client = self.connect(privileged=True)
            self.begin(client=client, keep=True, output=output_to, argv=[
                "sh", "-c", "echo $$ >%s; read go <%s; yes | head -c 1000000; echo done >%s" % (
                    self.path("pid"), self.path("fifo"), self.path("done"))])
            pid = self.wait_for_pid("pid")
            client.close()
            harness.until(lambda: self.stats()["connections"]["current"] == 2, "departure")
            self.assertTrue(is_there(pid))
            with open(self.path("fifo"), "w", encoding="ascii") as file:
                file.write("go\n")
            # What it writes is read, though nobody wants it.
            self.assert_gone(pid)
            os.unlink(self.path("done"))
            os.unlink(self.path("pid"))

    def test_input_ends_with_the_connection(self):
        """Nobody can write to it any more: a program that is kept is not to wait for that."""
        for how in ({}, {"raw": True}, {"tty": True}):
            client = self.connect(privileged=True)
            self.begin(client=client, keep=True, input=True, **how, argv=[
                "sh", "-c", "echo $$ >%s; cat; echo done >%s" % (self.path("pid"),
                                                                 self.path("done"))])
            pid = self.wait_for_pid("pid")
            client.close()
            self.assert_gone(pid)
            os.unlink(self.path("done"))
            os.unlink(self.path("pid"))

    def test_the_agent_ends(self):
        ident = self.begin(argv=["sh", "-c", "echo $$ >%s; exec sleep 1000" % self.path("pid")])
        pid = self.wait_for_pid("pid")
        self.daemon.reload(self.config(self.main, agent=dict(self.agent, shutdown_timeout="0")))
        self.daemon.process.send_signal(signal.SIGTERM)
        reply = self.client.read()
        self.assertEqual(reply["id"], ident)
        self.assert_reason(reply["error"], "cancelled")
        self.daemon.expect_exit(0)
        self.assert_gone(pid)


class Many(Case):
    agent = {"scope": "agent", "max_programs": 3}

    def test_max_programs(self):
        idents = [self.begin(argv=["sleep", "1000"]) for _ in range(3)]
        self.fails("busy", argv=["true"])
        self.fails("busy", "exec.start", argv=["true"])
        self.begin("exec.signal", call=idents[0], signal=9)
        self.replies(idents[0])
        self.assertEqual(self.run_program("true")["exit_status"], 0)


class Raw(Case):
    def read_all(self, call, streams):
        """Up to the call's reply; its content by channel."""
        content, ended = {STDOUT: b"", STDERR: b""}, set()
        while True:
            channel, payload = call.read()
            if channel == 0:
                self.assertEqual(ended, set(streams))
                return json.loads(payload.decode()), content
            if payload:
                self.assertNotIn(channel, ended)
                content[channel] += payload
            else:
                ended.add(channel)

    def finish(self, call):
        """Both sides end channel 0, and the connection is JSON again."""
        self.assertEqual(call.read(), (0, b""))
        call.send(0)
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_both_ways(self):
        call = RawCall(self.client, "exec.run", {"argv": ["sh", "-c", "cat; echo e >&2; exit 4"],
                                                 "input": True})
        self.assertTrue(call.begun, call.answer)
        data = bytes(range(256)) * 4000
        for begin in range(0, len(data), 100000):
            call.send(STDIN, data[begin:begin + 100000])
        call.send(STDIN)
        reply, content = self.read_all(call, (STDOUT, STDERR))
        self.assertEqual(content, {STDOUT: data, STDERR: b"e\n"})
        self.assertEqual((reply["id"], reply["result"]["exit_status"]), (call.ident, 4))
        self.finish(call)

    def test_failure_to_start(self):
        call = RawCall(self.client, "exec.run", {"argv": ["/no/such"]})
        self.assertTrue(call.begun, call.answer)
        reply, _ = self.read_all(call, (STDOUT, STDERR))
        self.assert_reason(reply["error"], "failed")
        self.assertEqual(reply["error"]["data"]["errno"], "ENOENT")
        self.finish(call)

    def test_control_goes_on(self):
        call = RawCall(self.client, "exec.run", {"argv": ["sleep", "1000"]})
        call.control("agent.ping", {}, "ping")
        channel, payload = call.read()
        self.assertEqual((channel, json.loads(payload.decode())["id"]), (0, "ping"))
        call.control("exec.signal", {"call": call.ident, "signal": "HUP"}, "signal")
        self.assertEqual(call.read()[0], 0)
        reply, _ = self.read_all(call, (STDOUT, STDERR))
        self.assertEqual(reply["result"]["signal"], "SIGHUP")
        self.finish(call)

    def test_terminal(self):
        call = RawCall(self.client, "exec.run", {"argv": ["sh", "-c", "read a; echo got $a"],
                                                 "tty": True, "input": True})
        call.send(STDIN, b"it\n")
        reply, content = self.read_all(call, (STDOUT, STDERR))
        self.assertIn(b"got it\r\n", content[STDOUT])
        self.assertEqual(reply["result"]["exit_status"], 0)
        self.finish(call)

    def test_not_while_others_run(self):
        ident = self.begin(argv=["sh", "-c", "echo x; read x"], input=True, output="stream")
        self.client.read()
        self.fails("busy", argv=["touch", self.path("touched")], raw=True)
        self.begin("exec.close_input", call=ident)
        self.replies(ident)
        # And what was refused did not run.
        self.assertFalse(os.path.exists(self.path("touched")))

    def test_a_program_that_does_not_read(self):
        os.mkfifo(self.path("fifo"))
        call = RawCall(self.client, "exec.run", {
            "argv": ["sh", "-c", "read go <%s; wc -c" % self.path("fifo")], "input": True})
        client, sent = self.client.sock, 0
        client.settimeout(0.5)
        piece = b"\x00\x10\x00\x00\x01" + b"x" * 1048576
        base = self.daemon.rss()
        try:
            while sent < 64 * len(piece):
                sent += client.send(piece[sent % len(piece):])
        except OSError:
            pass
        # Neither the daemon nor anybody else keeps it.
        self.assertLess(sent, 16 * len(piece))
        self.assertLess(self.daemon.rss() - base, (64 if harness.build_kind() else 8) << 20)
        client.settimeout(self.client.timeout)
        with open(self.path("fifo"), "w", encoding="ascii") as file:
            file.write("go\n")
        if sent % len(piece):
            self.client.send(piece[sent % len(piece):])
        call.send(STDIN)
        _, content = self.read_all(call, (STDOUT, STDERR))
        self.assertEqual(int(content[STDOUT]), -(-sent // len(piece)) * 1048576)
        self.finish(call)


class Launcher(harness.TestCase):
    def test_a_launcher_of_another_version_starts_nothing(self):
        """What it would take for a program's is laid out otherwise."""
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("launch")
        os.truncate(memory, 65536)
        with ours, theirs, open(memory, "wb"):
            socket.send_fds(ours, [b"\0"], [memory])
            result = subprocess.run([harness.GUESTWIRED, "--internal-launch"], stdin=theirs,
                                    capture_output=True, timeout=harness.DEADLINE, check=False)
        self.assertEqual((result.returncode, result.stdout), (127, b""))
        self.assertIn(b"not the version that runs as the daemon", result.stderr)


if __name__ == "__main__":
    harness.main()
