# SPDX-License-Identifier: MIT
"""exec.start and what follows it: jobs, which outlive their connections, and who reads them."""

import fcntl
import json
import os
import signal

import harness
from harness import INVALID_PARAMS, is_asleep, is_there
from programs import STDERR, STDIN, STDOUT, Case, output
from rawfiles import RawCall

RING = 65536


class JobCase(Case):
    agent = {"scope": "agent", "job_output": str(RING)}

    def start_job(self, script, **params):
        return self.client.call("exec.start", dict(params, argv=["sh", "-c", script]))["job"]

    def job(self, number):
        """Its entry in exec.list, or None."""
        jobs = self.client.call("exec.list")["jobs"]
        return next((job for job in jobs if job["job"] == number), None)

    def wait(self, number):
        return self.client.call("exec.wait", {"job": number})

    def attach(self, number, client=None, **params):
        """The result, and the notifications before it."""
        ident = self.begin("exec.attach", client=client, job=number, **params)
        notes = []
        while True:
            message = (client or self.client).read()
            if message.get("id") == ident:
                return message["result"], notes
            notes.append(message)

    def fifo(self):
        os.mkfifo(self.path("fifo"))
        return self.path("fifo")

    def say(self, text):
        """To a script that reads the fifo."""
        with open(self.path("fifo"), "w", encoding="ascii") as file:
            file.write(text)


def pieces(notes, stream="stdout"):
    """[(cursor, bytes)] of one stream; each begins where the one before has ended."""
    found = []
    for note in notes:
        if note["params"]["stream"] != stream or "lost" in note["params"]:
            continue
        cursor, data = note["params"]["cursor"], output([note], stream)
        assert not found or cursor == found[-1][0] + len(found[-1][1]), notes
        found.append((cursor, data))
    return found


def lost(notes, stream="stdout"):
    return sum(note["params"].get("lost", 0) for note in notes
               if note["params"]["stream"] == stream)


class Jobs(JobCase):
    def test_start_wait_list_remove(self):
        number = self.start_job("echo out; echo err >&2; exit 5")
        result = self.wait(number)
        self.assertEqual((result["job"], result["exit_status"]), (number, 5))
        self.assertEqual((result["stdout_cursor"], result["stderr_cursor"]), (4, 4))
        entry = self.job(number)
        self.assertEqual((entry["state"], entry["exit_status"]), ("finished", 5))
        self.assertEqual(entry["argv"], ["sh", "-c", "echo out; echo err >&2; exit 5"])
        self.assertEqual((entry["pid"], entry["unit"], entry["user"]), (None, None, "root"))
        self.assertEqual(self.wait(number), result)
        self.assertEqual(self.client.call("exec.remove", {"job": number}), {})
        self.assertIsNone(self.job(number))
        for method in ("exec.wait", "exec.attach", "exec.remove"):
            self.fails("not-found", method, job=number)
        self.fails("not-found", "exec.signal", job=number, signal="TERM")

    def test_it_goes_on_without_its_connection_and_through_a_reload(self):
        fifo = self.fifo()
        client = self.connect(privileged=True)
        number = client.call("exec.start", {
            "argv": ["sh", "-c", "echo first; read go <%s; echo second" % fifo]})["job"]
        client.reset()
        self.daemon.reload()
        self.assertEqual(self.job(number)["state"], "running")
        self.assertTrue(is_there(self.job(number)["pid"]))
        self.say("go\n")
        result, notes = self.attach(number)
        self.assertEqual(output(notes), b"first\nsecond\n")
        self.assertEqual(result["exit_status"], 0)

    def test_running_ones(self):
        number = self.start_job("exec sleep 1000")
        self.assertEqual(self.job(number)["state"], "running")
        self.fails("busy", "exec.remove", job=number)
        self.fails("timeout", "exec.wait", job=number, timeout_ms=1)
        waiting = [self.begin("exec.wait", job=number) for _ in range(10)]
        sent = self.begin("exec.signal", job=number, signal="INT")
        replies, _ = self.replies(*waiting, sent)
        for reply in replies[:-1]:
            self.assertEqual(reply["result"]["signal"], "SIGINT")

    def test_failures(self):
        slow = self.start_job("echo x; exec sleep 1000", timeout_ms=100)
        error = self.fails("timeout", "exec.wait", job=slow)
        self.assertEqual(error["data"]["signal"], "SIGTERM")

    def test_input(self):
        number = self.start_job("read a; echo got $a; cat", input=True, stdin="be")
        self.client.call("exec.input", {"job": number, "data": "gun\nrest"})
        self.client.call("exec.close_input", {"job": number})
        _, notes = self.attach(number)
        self.assertEqual(output(notes), b"got begun\nrest")

    def test_terminal(self):
        number = self.start_job("trap 'stty size; exit' WINCH; echo ready\n"
                                "while :; do sleep 1; done", tty=True)
        ident = self.begin("exec.attach", job=number)
        notes = [self.client.read()]
        while b"ready" not in output(notes):
            notes.append(self.client.read())
        self.begin("exec.resize", job=number, rows=7, cols=8)
        _, more = self.replies(ident)
        self.assertIn(b"7 8\r\n", output(more))

    def test_they_end_with_the_agent(self):
        pids = []
        for script in ("exec sleep 1000", "trap '' TERM; while :; do sleep 1000; done",
                       "setsid sleep 1000 & wait"):
            number = self.start_job(script, kill_timeout_ms=200)
            pids.append(self.job(number)["pid"])
        self.client.close()
        self.daemon.stop()
        self.assert_gone(*pids)

    def test_who_waits_is_told_that_the_agent_stops(self):
        """Not that the job goes on, which it does for those who only leave."""
        self.daemon.stop()
        self.start(self.target(), agent=dict(self.agent, shutdown_timeout="100ms"))
        self.client = self.connect(privileged=True)
        number = self.start_job("trap '' TERM; echo ready; while :; do sleep 1000; done")
        waits = [self.begin("exec.attach", job=number)]
        self.assertEqual(output([self.client.read()]), b"ready\n")
        waits += [self.begin("exec.wait", job=number), self.begin(argv=["sleep", "1000"])]
        self.client.call("agent.ping")
        self.daemon.process.send_signal(signal.SIGTERM)
        told = {}
        for _ in waits:
            message = self.client.read()
            told[message["id"]] = message["error"]
        for ident, what in zip(waits, ("job", "job", "program")):
            self.assert_reason(told[ident], "cancelled")
            self.assertEqual(told[ident]["message"],
                             "The agent stops: the %s is being ended" % what)
        self.client.close()
        self.daemon.expect_exit(0)

    def test_wrong_parameters(self):
        for method, params in (
                ("exec.start", {}), ("exec.start", {"argv": ["true"], "output": "capture"}),
                ("exec.start", {"argv": ["true"], "keep": True}), ("exec.wait", {}),
                ("exec.wait", {"job": "1"}), ("exec.attach", {"job": 1, "stdout_cursor": "x"}),
                ("exec.list", {"job": 1})):
            error = self.client.error(method, params)
            self.assertEqual(error["code"], INVALID_PARAMS, error)
        for number in (-1, 0, 77, 1 << 62):
            self.fails("not-found", "exec.wait", job=number)


class Start(JobCase):
    """The answer comes with the exec, whatever becomes of that."""

    def leased(self, script):
        """A program whose exec waits until the file is closed, as one on a dead network's disk."""
        path = self.path("hanging")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(path, 0o755)
        self.addCleanup(signal.signal, signal.SIGIO, signal.signal(signal.SIGIO, signal.SIG_IGN))
        file = open(path, "rb")
        self.addCleanup(file.close)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        return path, file

    def jobs(self):
        return self.client.call("exec.list")["jobs"]

    def test_what_cannot_be_executed_is_said_at_once(self):
        """In the words of exec.run; and there is no job of it."""
        self.daemon.remember()
        users = ["nobody"] if os.geteuid() == 0 else []
        for path, errno in (("/no/such", "ENOENT"), ("/etc/passwd", "EACCES"),
                            ("no-such-program", "ENOENT")):
            for more in [{}, {"tty": True}, {"input": True}] + [{"user": u} for u in users]:
                error = self.fails("failed", "exec.start", argv=[path], **more)
                self.assertEqual(error["data"]["errno"], errno)
                self.assertIn("cannot execute " + path, error["message"])
                self.assertEqual(error, self.fails("failed", argv=[path], **more))
        error = self.fails("failed", "exec.start", argv=["true"], cwd="/no/such")
        self.assertIn("cannot change to directory /no/such", error["message"])
        if users:
            error = self.fails("not-found", "exec.start", argv=["true"], user="no-such-user")
            self.assertIn("no-such-user", error["message"])
        self.assertEqual(self.jobs(), [])
        self.daemon.assert_back()

    def test_an_exec_that_hangs_keeps_its_own_answer_waiting(self):
        path, file = self.leased("echo here")
        start = self.begin("exec.start", argv=[path])
        job = self.jobs()[0]["job"]
        self.assertEqual(self.shell("echo other")["stdout"], "other\n")
        wait = self.begin("exec.wait", job=job)
        file.close()
        (started, ended), _ = self.replies(start, wait)
        self.assertEqual(started["result"], {"job": job})
        self.assertEqual(ended["result"]["exit_status"], 0)
        self.assertEqual(output(self.attach(job)[1]), b"here\n")

    def test_an_exec_that_hangs_is_ended_in_time(self):
        path, file = self.leased("echo here")
        with file:
            self.fails("timeout", "exec.start", argv=[path], timeout_ms=100)
            self.assertEqual(self.jobs(), [])
            start = self.begin("exec.start", argv=[path])
            job = self.jobs()[0]["job"]
            wait = self.begin("exec.wait", job=job)
            cancel = self.begin("rpc.cancel", id=start)
            (start, wait, cancel), _ = self.replies(start, wait, cancel)
            self.assert_reason(start["error"], "cancelled")
            self.assertEqual(wait["result"]["signal"], "SIGTERM")

    def test_whoever_asked_may_leave(self):
        path, file = self.leased("exec sleep 1000")
        client = self.connect(privileged=True)
        self.begin("exec.start", client=client, argv=[path])
        harness.until(self.jobs, "the job")
        client.reset()
        wait = self.begin("exec.wait", job=self.jobs()[0]["job"])
        file.close()
        job = self.jobs()[0]
        harness.until(lambda: is_asleep(job["pid"]), "the program")
        self.client.call("exec.signal", {"job": job["job"], "signal": "INT"})
        (wait,), _ = self.replies(wait)
        self.assertEqual(wait["result"]["signal"], "SIGINT")


class Attach(JobCase):
    def test_from_any_place(self):
        number = self.start_job("seq 1000; seq 10 >&2")
        self.wait(number)
        whole = b"".join(b"%d\n" % i for i in range(1, 1001))
        for cursor in (0, 1, 100, len(whole) - 1, len(whole)):
            result, notes = self.attach(number, stdout_cursor=cursor, stderr_cursor=21)
            self.assertEqual(output(notes), whole[cursor:])
            self.assertEqual(output(notes, "stderr"), b"")
            found = pieces(notes)
            self.assertEqual(found[0][0] if found else len(whole), cursor)
            self.assertEqual((result["stdout_lost"], result["stderr_lost"]), (0, 0))
            self.assertEqual(result["stdout_cursor"], len(whole))
        for cursor in (len(whole) + 1, -1):
            error = self.client.error("exec.attach", {"job": number, "stdout_cursor": cursor})
            self.assertEqual(error["code"], INVALID_PARAMS, error)
            self.assertIn("stdout_cursor", error["message"])

    def test_after_the_ring_has_wrapped(self):
        """What is lost is told to the byte, by notification and in the result; the rest comes."""
        number = self.start_job("seq 100000; head -c 70000 /dev/zero | tr '\\0' e >&2")
        self.wait(number)
        whole = b"".join(b"%d\n" % i for i in range(1, 100001))
        gone = len(whole) - RING
        for cursor in (0, 1, gone - 1, gone, gone + 1):
            result, notes = self.attach(number, stdout_cursor=cursor, stderr_cursor=70000)
            begin = max(cursor, gone)
            self.assertEqual(result["stdout_lost"], begin - cursor)
            self.assertEqual(lost(notes), begin - cursor)
            self.assertEqual(pieces(notes)[0][0], begin)
            self.assertEqual(output(notes), whole[begin:])
        result, notes = self.attach(number, stdout_cursor=len(whole))
        self.assertEqual((result["stderr_lost"], lost(notes, "stderr")), (70000 - RING,) * 2)
        self.assertEqual(output(notes, "stderr"), b"e" * RING)

    def test_live_without_a_gap_or_a_double(self):
        """Readers come and go at any time; each has all from where it began."""
        number = self.start_job("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done")
        client, cursor, data = None, 0, b""
        for _ in range(20):
            client = self.connect(privileged=True)
            self.begin("exec.attach", client=client, job=number, stdout_cursor=cursor)
            note = client.read()
            if "params" in note:
                self.assertEqual(note["params"]["cursor"], cursor)
                self.assertNotIn("lost", note["params"])
                piece = output([note])
                data, cursor = data + piece, cursor + len(piece)
            client.reset()
        result, notes = self.attach(number, stdout_cursor=cursor)
        data += output(notes)
        self.assertEqual(data, b"".join(b"line %d\n" % i for i in range(1, 3001)))
        self.assertEqual(result["stdout_lost"], 0)

    def test_two_at_once_and_one_leaves(self):
        fifo = self.fifo()
        number = self.start_job("echo one; read go <%s; echo two" % fifo)
        first, second = self.connect(privileged=True), self.connect(privileged=True)
        idents = [self.begin("exec.attach", client=c, job=number) for c in (first, second)]
        for client in (first, second):
            self.assertEqual(output([client.read()]), b"one\n")
        text, cancel = first.request("rpc.cancel", {"id": idents[0]})
        first.send(text)
        replies = {reply["id"]: reply for reply in (first.read(), first.read())}
        self.assert_reason(replies[idents[0]]["error"], "cancelled")
        self.assertEqual(replies[cancel]["result"], {})
        self.say("go\n")
        self.assertEqual(output([second.read()]), b"two\n")
        self.assertEqual(second.read()["result"]["exit_status"], 0)

    def test_who_does_not_read_along_slows_the_job(self):
        """And when he goes the job goes on; meanwhile the agent keeps no more than its ring."""
        size = 64 << 20
        number = self.start_job("exec head -c %d /dev/zero" % size)
        pid = self.job(number)["pid"]
        self.wait(number)
        base = self.daemon.rss()
        number = self.start_job("read go; exec head -c %d /dev/zero" % size, input=True)
        client = self.connect(privileged=True)
        call = RawCall(client, "exec.attach", {"job": number})
        self.assertIs(call.answer["result"]["raw"], True)
        self.client.call("exec.input", {"job": number, "data": "\n"})
        pid = self.job(number)["pid"]
        harness.until(lambda: self.job(number)["stdout_cursor"] > 0 and is_asleep(pid), "it waits")
        self.assertLess(self.job(number)["stdout_cursor"], size // 2)
        self.assertLess(self.daemon.rss() - base, 8 << 20)
        client.close()
        self.assertEqual(self.wait(number)["stdout_cursor"], size)

    def test_bytes_that_are_no_text(self):
        number = self.start_job("printf 'a\\377'; printf '\\303' >&2")
        self.wait(number)
        _, notes = self.attach(number)
        self.assertEqual((output(notes), output(notes, "stderr")), (b"a\xff", b"\xc3"))

    def test_characters_are_not_cut(self):
        fifo = self.fifo()
        number = self.start_job("printf 'a\\342\\202'; read go <%s; printf '\\254z'" % fifo)
        ident = self.begin("exec.attach", job=number)
        first = self.client.read()["params"]
        self.assertEqual((first["data"], first["cursor"]), ("a", 0))
        self.say("go\n")
        second = self.client.read()["params"]
        self.assertEqual((second["data"], second["cursor"]), ("\u20acz", 1))
        self.assertEqual(self.client.read()["id"], ident)


class RawAttach(JobCase):
    def read_to_end(self, call):
        content, ended = {STDOUT: b"", STDERR: b""}, set()
        while True:
            channel, payload = call.read()
            if channel == 0:
                self.assertEqual(ended, {STDOUT, STDERR})
                self.assertEqual(call.read(), (0, b""))
                call.send(0)
                return json.loads(payload.decode()), content
            if payload:
                content[channel] += payload
            else:
                ended.add(channel)

    def test_replay(self):
        number = self.start_job("head -c 70000 /dev/zero; echo e >&2; exit 3")
        self.wait(number)
        call = RawCall(self.client, "exec.attach", {"job": number, "stdout_cursor": 10})
        answer = call.answer["result"]
        gone = 70000 - RING
        self.assertEqual((answer["raw"], answer["job"]), (True, number))
        self.assertEqual((answer["stdout_cursor"], answer["stdout_lost"]), (gone, gone - 10))
        self.assertEqual((answer["stderr_cursor"], answer["stderr_lost"]), (0, 0))
        reply, content = self.read_to_end(call)
        self.assertEqual(content, {STDOUT: b"\0" * RING, STDERR: b"e\n"})
        self.assertEqual((reply["id"], reply["result"]["exit_status"]), (call.ident, 3))
        self.assertEqual(reply["result"]["stdout_lost"], gone - 10)
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_input(self):
        number = self.start_job("cat", input=True)
        call = RawCall(self.client, "exec.attach", {"job": number, "input": True})
        data = os.urandom(500000)
        call.send(STDIN, data)
        call.send(STDIN)
        reply, content = self.read_to_end(call)
        self.assertEqual(content[STDOUT], data)
        self.assertEqual(reply["result"]["stdout_lost"], 0)

    def test_input_that_is_not_there(self):
        number = self.start_job("exec sleep 1000")
        for params in ({"raw": True, "input": True}, {"input": True}):
            error = self.client.error("exec.attach", dict(params, job=number))
            self.assertEqual(error["code"], INVALID_PARAMS, error)


class Limits(JobCase):
    agent = {"scope": "agent", "max_jobs": 3}

    def test_max_jobs(self):
        """The one that finished first makes room; where all run there is none."""
        numbers = [self.start_job("exec sleep 1000") for _ in range(3)]
        self.fails("limit", "exec.start", argv=["true"])
        for number in (numbers[1], numbers[0]):
            self.client.call("exec.signal", {"job": number, "signal": 9})
            self.wait(number)
        newer = self.start_job("true")
        self.assertEqual([j["job"] for j in self.client.call("exec.list")["jobs"]],
                         [numbers[0], numbers[2], newer])
        self.assertNotIn(newer, numbers)


class Keep(JobCase):
    agent = {"scope": "agent", "job_keep": "3s"}

    def test_job_keep(self):
        running = self.start_job("exec sleep 1000")
        number = self.start_job("true")
        self.wait(number)
        harness.until(lambda: self.job(number) is None, "end of job-keep")
        self.assertEqual(self.job(running)["state"], "running")


class Departure(JobCase):
    def test_many_readers_and_waiters_leave(self):
        self.daemon.remember()
        number = self.start_job("yes & exec sleep 1000")
        for i in range(20):
            client = self.connect(privileged=True)
            self.begin("exec.attach", client=client, job=number, raw=bool(i % 2))
            if not i % 2:
                self.begin("exec.wait", client=client, job=number)
            if i % 3:
                client.sock.recv(4096)
            (client.reset if i % 4 else client.close)()
        self.client.call("exec.signal", {"job": number, "signal": "TERM"})
        self.assertEqual(self.wait(number)["signal"], "SIGTERM")
        self.client.call("exec.remove", {"job": number})
        self.daemon.assert_back()

    def test_the_agent_ends_while_jobs_are_read(self):
        number = self.start_job("trap 'echo last; exit 4' TERM; echo x\n"
                                "while :; do sleep 0.05; done")
        ident = self.begin("exec.attach", job=number)
        self.assertEqual(output([self.client.read()]), b"x\n")
        self.daemon.process.send_signal(signal.SIGTERM)
        (reply,), notes = self.replies(ident)
        self.assertEqual(output(notes), b"last\n")
        self.assertEqual(reply["result"]["exit_status"], 4)
        self.daemon.expect_exit(0)


if __name__ == "__main__":
    harness.main()
