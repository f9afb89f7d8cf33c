# SPDX-License-Identifier: MIT
"""guestwire jobs, attach, wait and kill; and guests that break the rules of raw calls."""

import json
import os
import signal
import subprocess

import harness
from cli import FAILED, OK, REFUSED, USAGE, ExecCase, Stranger
from harness import DEADLINE, GUESTWIRE, is_gone, only, until
from rawfiles import frame

CONTROL, STDIN, STDOUT, STDERR = range(4)


class Jobs(ExecCase):
    def begin(self, script, *args):
        """The number of a job that runs this."""
        output = self.run_ok("exec", "--detach", *args, self.cli, "--", "sh", "-c", script)
        self.assertRegex(output, r"^[1-9][0-9]*\n$")
        return output.strip()

    def client(self, *args, data=None):
        result = self.run_guestwire(*args, data=data, text=False)
        return result.returncode, result.stdout, result.stderr

    def row(self, job):
        for row in json.loads(self.run_ok("jobs", "--json", self.cli))["jobs"]:
            if row["job"] == int(job):
                return row
        raise AssertionError("no job %s" % job)

    def test_a_job_goes_on_without_us(self):
        path = os.path.join(self.folder, "go")
        job = self.begin("echo out; echo err >&2; until test -e %s; do sleep 0.01; done; "
                         "echo end; exit 3" % path)
        self.assertEqual(self.row(job)["state"], "running")
        self.assertRegex(self.run_ok("jobs", self.cli), r"(?m)^ +%s  running +20\d\d-\S+ \S+ +root "
                         r" +sh -c echo out" % job)
        with open(path, "w", encoding="ascii"):
            pass
        self.assertEqual(self.client("wait", self.cli, job), (3, b"", b""))
        for _ in range(2):
            self.assertEqual(self.client("attach", self.cli, job), (3, b"out\nend\n", b"err\n"))
        self.assertRegex(self.run_ok("jobs", self.cli), r"(?m)^ +%s  exit 3 " % job)

    def test_a_job_that_cannot_begin(self):
        """As exec says it without --detach; and there is no job."""
        for options in ((), ("--detach",)):
            status, out, err = self.client("exec", *options, self.cli, "--", "/no/such")
            self.assertEqual((status, out), (255, b""))
            self.assertIn(b"cannot execute /no/such: No such file or directory (ENOENT)", err)
        self.assertEqual(json.loads(self.run_ok("jobs", "--json", self.cli)), {"jobs": []})

    def test_attach_follows(self):
        path = os.path.join(self.folder, "fifo")
        os.mkfifo(path)
        job = self.begin("echo first; cat %s" % path)
        watcher = subprocess.Popen([GUESTWIRE, "attach", self.cli, job], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end, watcher)
        self.assertEqual(watcher.stdout.readline(), b"first\n")
        with open(path, "wb", buffering=0) as fifo:
            fifo.write(b"second\n")
            self.assertEqual(watcher.stdout.readline(), b"second\n")
        self.assertEqual(watcher.stdout.read(), b"")
        self.assertEqual(watcher.wait(DEADLINE), OK)

    def test_who_leaves_leaves_the_job(self):
        job = self.begin("echo $$; exec sleep 1000")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            watcher = subprocess.Popen([GUESTWIRE, "attach", self.cli, job],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            self.addCleanup(self.end, watcher)
            pid = int(watcher.stdout.readline())
            watcher.send_signal(number)
            self.assertEqual(watcher.wait(DEADLINE), FAILED)
            self.assertIn(b"the job goes on", watcher.stderr.read())
            self.assertFalse(is_gone(pid))
        self.run_ok("kill", self.cli, job)
        self.assertEqual(self.client("wait", self.cli, job), (128 + signal.SIGTERM, b"", b""))
        self.assertRegex(self.run_ok("jobs", self.cli), r"(?m)^ +%s  SIGTERM " % job)

    def test_what_is_lost_is_counted(self):
        self.daemon.stop()
        self.start(self.target(), agent={"scope": "agent", "job-output": "64K"})
        self.cli = self.main.cli
        job = self.begin("i=0; while test $i -lt 20000; do echo line $i; i=$((i + 1)); done")
        self.assertEqual(self.client("wait", self.cli, job)[0], OK)
        code, out, err = self.client("attach", self.cli, job)
        whole = b"".join(b"line %d\n" % i for i in range(20000))
        self.assertEqual((code, len(out), out), (OK, 65536, whole[-65536:]))
        self.assertEqual(err, b"guestwire: the first %d bytes of its standard output are no longer "
                         b"kept\n" % (len(whole) - 65536))

    def test_input_of_a_job(self):
        job = self.begin("wc -c; cat >&2", "-i")
        self.assertTrue(self.row(job)["input"])
        self.assertEqual(self.client("attach", "-i", self.cli, job, data=b"x" * 300000),
                         (OK, b"300000\n", b""))
        job = self.begin("cat")
        self.assertEqual(self.client("attach", "-i", self.cli, job)[0], FAILED)

    def test_kill_by_name_and_number(self):
        for word, number in (("KILL", 9), ("SIGHUP", 1), ("12", 12)):
            job = self.begin("ulimit -c 0; exec sleep 1000")
            # Until then it is the shell's, which may not be there yet.
            until(lambda job=job: self.row(job)["pid"], "its process")
            self.run_ok("kill", self.cli, job, word)
            self.assertEqual(self.client("wait", self.cli, job)[0], 128 + number)

    def test_wait_in_json_and_in_time(self):
        job = self.begin("exit 5")
        code, out, _ = self.client("wait", "--json", self.cli, job)
        self.assertEqual((code, json.loads(out)["exit_status"]), (5, 5))
        job = self.begin("exec sleep 1000")
        code, out, err = self.client("wait", "--timeout", "1s", self.cli, job)
        self.assertEqual((code, out), (FAILED, b""))
        self.assertIn(b"not ended within 1s: it goes on", err)
        self.assertEqual(self.row(job)["state"], "running")

    def test_a_job_of_a_user_with_a_time_limit(self):
        job = self.begin("exec sleep 1000", "-u", "nobody", "--timeout", "100ms")
        self.assertEqual(self.row(job)["user"], "nobody")
        code, _, err = self.client("wait", self.cli, job)
        self.assertEqual(code, FAILED)
        self.assertIn(b"longer than", err)

    def test_no_such_job(self):
        self.assertEqual(self.run_ok("jobs", self.cli), "")
        self.run_bad(FAILED, "no job 9", "attach", self.cli, "9")
        self.run_bad(FAILED, "no job 9", "wait", self.cli, "9")
        self.run_bad(REFUSED, "no job 9", "kill", self.cli, "9")
        for args in (("attach", self.cli, "x"), ("wait", self.cli, "-1"), ("wait", self.cli),
                     ("kill", self.cli, "1", "NOSUCH"), ("kill", self.cli, "1", "TERM", "x"),
                     ("attach", self.cli, "18446744073709551616"), ("jobs", self.cli, "1")):
            self.run_bad(USAGE, "^guestwire: ", *args)

    def test_started_in_json(self):
        output = self.run_ok("exec", "--detach", "--json", self.cli, "--", "true")
        self.assertEqual(json.loads(output), {"job": 1})


def text(value):
    return frame(CONTROL, json.dumps(value).encode())


@only("unix")
class Liars(ExecCase):
    """The guest is not trusted: whatever it sends, the client ends, and says what was wrong."""

    def setUp(self):
        super().setUp()
        self.stranger = Stranger(self, self.talk)
        self.after = self.cut = None

    def talk(self, stranger, caller, reader):
        request = stranger.read(reader)["id"]
        data = json.dumps({"jsonrpc": "2.0", "id": request, "result": {"raw": True}}).encode()
        data += b"\n" + (self.after(request) if callable(self.after) else self.after)
        size = self.cut or len(data)
        for i in range(0, len(data), size):
            caller.sendall(data[i:i + size])

    def run_against(self, after, cut=None):
        """`exec` against a guest that sends this behind its first answer. Bytes `cut` at a time."""
        self.after, self.cut = after, cut
        return subprocess.run([GUESTWIRE, "exec", self.stranger.cli, "--", "x"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE, check=False)

    @staticmethod
    def end(request, **result):
        return text({"jsonrpc": "2.0", "id": request, "result": result})

    def test_any_cut(self):
        def after(request):
            return (b" \r\n" + frame(STDOUT, b"out") + text({"jsonrpc": "2.0", "method": "news"}) +
                    frame(STDERR, b"e" * 300) + frame(STDERR) + frame(STDOUT, b"put") +
                    frame(STDOUT) + self.end(request, exit_status=6))
        for cut in (1, 2, 3, 5, 7, 64, None):
            self.assert_ends(self.run_against(after, cut), 6, b"output", b"e" * 300)

    def assert_refused(self, after, pattern):
        result = self.run_against(after)
        self.assertEqual(result.returncode, FAILED, result)
        self.assertRegex(result.stderr.decode(), pattern)
        return result

    def test_broken_frames(self):
        ends = frame(STDOUT) + frame(STDERR)
        for after, pattern in (
                (b"", "closed the connection"),
                (frame(STDOUT, b"xyz")[:-1], "closed the connection"),
                (b"\0\x10\0\1\2" + b"x" * 100, "larger than"),
                (b"\xff\xff\xff\xff\2", "larger than"),
                (frame(STDIN, b"x"), "does not speak"),
                (frame(9, b"x"), "does not speak"),
                (frame(255), "does not speak"),
                (ends + frame(STDOUT, b"x"), "does not speak"),
                (frame(STDOUT) + frame(STDOUT), "does not speak"),
                (frame(CONTROL, b"{"), "does not speak"),
                (frame(CONTROL), "does not speak"),
                (lambda r: ends + self.end(r), "does not say how"),
                (lambda r: ends + self.end(r, exit_status="0"), "does not say how"),
                (lambda r: ends + self.end(r, signal="SIGNOT"), "does not say how"),
                (lambda r: frame(STDOUT) + self.end(r, exit_status=0), "does not speak"),
                (lambda r: ends + self.end(r + 1, exit_status=0), "closed the connection"),
                (lambda r: text({"jsonrpc": "2.0", "id": r, "error": {
                    "code": -32000, "message": "it\x1b[2J is over", "data": {"reason": "failed"}}}),
                 r"it\\x1b\[2J is over")):
            self.assert_refused(after, pattern)

    def test_output_before_the_connection_breaks_is_not_lost(self):
        result = self.assert_refused(frame(STDOUT, b"so far\n") + frame(STDERR, b"and here\n"),
                                     "closed the connection")
        self.assertEqual(result.stdout, b"so far\n")
        self.assertTrue(result.stderr.startswith(b"and here\n"))

    def test_a_call_that_is_not_raw(self):
        self.stranger.talk = lambda s, caller, reader: caller.sendall(json.dumps(
            {"jsonrpc": "2.0", "id": s.read(reader)["id"], "result": {"exit_status": 0}}).encode())
        self.run_bad(FAILED, "does not speak", "exec", self.stranger.cli, "--", "x")


if __name__ == "__main__":
    harness.main()
