# SPDX-License-Identifier: MIT
"""guestwire exec: what a program writes, how it ends, and every byte of it."""

import contextlib
import os
import select
import signal
import subprocess
import threading

import harness
from cli import FAILED, OK, USAGE, ExecCase
from harness import DEADLINE, GUESTWIRE, is_asleep, is_gone, peak_rss, until
from streams import LARGE, MIB, digest

BYTES = bytes(range(256)) * 4 + b"\r\n\0\xff"


class Status(ExecCase):
    def test_exit_status_is_the_programs(self):
        for status in (0, 1, 2, 3, 124, 254, 255):
            self.assert_ends(self.sh("exit %d" % status), status)

    def test_a_signal_is_128_and_its_number(self):
        for number in (signal.SIGHUP, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV,
                       signal.SIGUSR1):
            self.assert_ends(self.sh("ulimit -c 0; kill -%d $$" % number), 128 + number)

    def assert_failed(self, pattern, *args):
        self.run_bad(FAILED, pattern, "exec", *args)

    def test_every_failure_is_255(self):
        self.assert_failed("/no/such/program.*ENOENT", self.cli, "--", "/no/such/program")
        self.assert_failed("no-such-program", self.cli, "--", "no-such-program")
        self.assert_failed("EACCES", self.cli, "--", "/etc/passwd")
        self.assert_failed("/no/such/place.*ENOENT", self.cli, "-C", "/no/such/place", "--", "true")
        self.assert_failed("no user nobody-is-called-so", self.cli, "-u", "nobody-is-called-so",
                           "--", "true")
        self.assert_failed("no connection to", "unix:/no/such/socket", "--", "true")
        self.assert_failed("did not answer in time", "unix:/no/such/socket", "--wait=1ms", "--",
                           "true")

    def test_refusals_are_255(self):
        blind = self.target("blind", trust="nobody")
        jail = self.target("jail", root=self.folder)
        self.daemon.stop()
        self.start(blind, jail, agent={"scope": "agent"})
        for target, reason in ((blind, "privileged"), (jail, "root")):
            self.assert_failed(reason, target.cli, "--", "true")
            self.run_bad(FAILED, reason, "exec", "--detach", target.cli, "--", "true")
            self.run_bad(FAILED, reason, "shell", target.cli)

    def test_usage_is_2_and_no_connection_is_made(self):
        for args in ((), ("--", "true"), ("CLI",), ("CLI", "--"), ("CLI", "true"),
                     ("CLI", "true", "--", "x"), ("CLI", "--", ""), ("CLI", "--", b"\xff"),
                     ("CLI", "-e", "A", "--", "true"), ("CLI", "-e", "=A", "--", "true"),
                     ("CLI", "-C", "here", "--", "true"), ("CLI", "-u", "", "--", "true"),
                     ("CLI", "--timeout", "soon", "--", "true"), ("CLI", "--count=1", "--", "true"),
                     ("CLI", "--timeout=0", "--", "true"), ("CLI", "--json", "--", "true"),
                     ("no:such:target", "--", "true"), ("CLI", "-x", "--", "true")):
            args = ["unix:/no/such/socket" if word == "CLI" else word for word in args]
            with self.subTest(args=args):
                self.run_bad(USAGE, "^guestwire: ", "exec", *args)

    def test_timeout(self):
        process, pid = self.popen_sh("exec sleep 1000", "--timeout", "2s")
        self.assertRegex(self.assert_over(process, FAILED, pid), "longer than 2s")
        self.assert_ends(self.sh("echo done", "--timeout=1min"), OK, b"done\n")

    def test_an_exit_is_told_though_others_hold_the_output(self):
        result = self.sh("sleep 1000 & echo $!; exit 4")
        self.assertEqual((result.returncode, result.stderr), (4, b""))
        until(lambda: is_gone(int(result.stdout)), "the end of what was left")


class Options(ExecCase):
    def test_user_directory_environment(self):
        script = "id -un; pwd; echo \"$A,$B,$HOME\""
        result = self.sh(script, "-u", "nobody", "-C", "/tmp", "-e", "A=1 2=3", "-e", "B=x",
                         "-e", "B=", "-e", "HOME=/elsewhere")
        self.assert_ends(result, OK, b"nobody\n/tmp\n1 2=3,,/elsewhere\n")

    def test_options_stand_anywhere_before_the_dashes(self):
        for args in (("-i", "exec", self.cli, "--", "cat"), ("exec", "-i", self.cli, "--", "cat"),
                     ("exec", self.cli, "-i", "--", "cat"),
                     ("--input", "-u", "0", "exec", "-C/", self.cli, "-eA=b", "--", "cat"),
                     ("-C", "/", "-i", "exec", self.cli, "--", "cat"),
                     ("--env", "A=ping", "exec", "-i", self.cli, "--", "cat")):
            result = subprocess.run([GUESTWIRE, *args], input=b"here", stdout=subprocess.PIPE,
                                    timeout=DEADLINE, check=True)
            self.assertEqual(result.stdout, b"here", args)

    def test_what_stands_behind_the_dashes_is_the_programs(self):
        result = self.exec("--", "printf", "<%s>", "-i", "--", "", "a b", "$HOME\n", "--json", "ü")
        self.assert_ends(result, OK, "<-i><--><><a b><$HOME\n><--json><ü>".encode())

    def test_a_letter_means_what_its_verb_takes(self):
        self.run_ok("-i", "1ms", "-c", "2", "ping", self.cli)
        self.run_ok("ping", "-c2", "-i1ms", self.cli)
        self.run_bad(USAGE, "'5x' is no time", "ping", "-i", "5x", self.cli)
        self.run_bad(USAGE, "takes no --input", "ping", "--input", self.cli)
        self.assertIn("--timeout TIME", self.run_ok("exec", "--help"))
        self.assertNotIn("124", self.run_ok("exec", "--help").split("Options:")[1].split(
            "TARGET:")[0])
        words = self.run_ok("--complete", "exec", "-")
        self.assertIn("--chdir=", words)
        self.assertNotIn("--interval", words)
        self.assertIn("attach\t", self.run_ok("--complete", "a"))
        self.assertIn("unix:", self.run_ok("--complete", "exec", "-i", ""))


class Bytes(ExecCase):
    def test_both_outputs_byte_for_byte(self):
        script = "head -c %d; cat >&2" % len(BYTES)
        result = self.sh(script, "-i", data=BYTES + BYTES[::-1])
        self.assertEqual(result.returncode, OK)
        self.assertEqual(digest(result.stdout), digest(BYTES))
        self.assertEqual(digest(result.stderr), digest(BYTES[::-1]))

    def test_nothing_is_added(self):
        self.assert_ends(self.sh(":"), OK)
        self.assert_ends(self.sh("printf x"), OK, b"x")
        self.assert_ends(self.sh("printf x >&2; exit 5"), 5, b"", b"x")

    def test_large_there_and_back(self):
        data = os.urandom(LARGE)
        for _ in range(3):
            result = self.exec("-i", "--", "cat", data=data)
            self.assertEqual((result.returncode, result.stderr), (OK, b""))
            self.assertEqual(digest(result.stdout), digest(data))

    def test_from_file_to_file(self):
        path = os.path.join(self.folder, "data")
        with open(path, "wb") as file:
            file.write(os.urandom(LARGE + 1))
        with open(path, "rb") as source, open(path + ".out", "wb") as target:
            result = self.exec("-i", "--", "cat", stdin=source, stdout=target)
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        with open(path, "rb") as source, open(path + ".out", "rb") as target:
            self.assertEqual(digest(source.read()), digest(target.read()))

    def test_without_i_input_is_empty_and_ours_is_left_alone(self):
        script = ("while read -r line; do %s exec %s -- sh -c 'cat; echo \"$1\"' sh \"$line\"; done"
                  % (GUESTWIRE, self.cli))
        result = subprocess.run(["sh", "-c", script], input=b"1\n2\n3\n", stdout=subprocess.PIPE,
                                timeout=DEADLINE, check=True)
        self.assertEqual(result.stdout, b"1\n2\n3\n")
        self.assert_ends(self.sh("readlink /proc/self/fd/0"), OK, b"/dev/null\n")

    def test_input_that_the_program_does_not_read(self):
        for script in ("exec <&-; sleep 0", "head -c 1 >/dev/null", ":"):
            result = self.sh(script, "-i", data=b"x" * (4 * MIB))
            self.assert_ends(result, OK)

    def test_the_program_ends_though_our_input_does_not(self):
        process = self.popen("-i", "--", "true", stdin=subprocess.PIPE)
        self.assertEqual(process.wait(DEADLINE), OK)
        process.stdin.close()

    def test_an_output_is_closed_when_the_program_closes_it(self):
        process = self.popen("-i", "--", "sh", "-c", "echo x; exec >&-; cat", stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.read(), b"x\n")
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 1, "cat has nowhere to write to")

    def test_streams_that_are_closed(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            path = os.path.join(self.folder, "closed")
            script = "%s exec -i %s -- sh -c 'cat; echo out; echo err >&2; echo x >%s; exit 3' %s"
            result = subprocess.run(["sh", "-c", script % (GUESTWIRE, self.cli, path, closed)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
            self.assertEqual(result.returncode, 3, (closed, result))
            os.unlink(path)

    def test_many_at_once(self):
        n = 20
        processes = [self.popen("-i", "--", "sh", "-c", "echo here; exec cat",
                                stdin=subprocess.PIPE) for _ in range(n)]
        # All are there before one ends: over AF_VSOCK the next from its source port may be reset.
        for process in processes:
            self.assertEqual(process.stdout.readline(), b"here\n")
        data = [os.urandom(300000) for _ in range(n)]

        def feed(i):
            processes[i].stdin.write(data[i])
            processes[i].stdin.close()
        threads = [threading.Thread(target=feed, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for i in range(n):
            found = processes[i].stdout.read()
            self.assertEqual((processes[i].wait(DEADLINE), processes[i].stderr.read()), (OK, b""))
            self.assertEqual(digest(found), digest(data[i]))
        for thread in threads:
            thread.join()


class Pressure(ExecCase):
    @staticmethod
    def wait_full(pipe):
        """Until a pipe takes no more. How many bytes that is depends on how its writer cut them:
        one page holds the end of one piece, and seldom the beginning of the next."""
        path = "/proc/self/fd/%d" % pipe.fileno()

        def full():
            writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                return not select.select([], [writer], [], 0)[1]
            finally:
                os.close(writer)
        until(full, "a full pipe")

    def test_a_slow_reader_costs_no_memory(self):
        size = 4 * LARGE
        process = self.popen("--", "head", "-c", str(size), "/dev/zero")
        self.wait_full(process.stdout)
        total = len(process.stdout.read(1))
        self.wait_full(process.stdout)
        while total < size:
            total += len(process.stdout.read(min(MIB, size - total)))
            if total == size // 2:
                self.assertLess(peak_rss(process.pid), 16 * MIB)
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(DEADLINE), OK)
        if not harness.build_kind():
            self.assertLess(self.daemon.peak_rss(), 16 * MIB)

    def test_input_goes_on_while_the_output_is_full(self):
        path = os.path.join(self.folder, "count")
        script = "head -c %d /dev/zero & wc -c >%s; wait" % (LARGE, path)
        process = self.popen("-i", "--", "sh", "-c", script, stdin=subprocess.PIPE)
        self.wait_full(process.stdout)
        process.stdin.write(b"x" * LARGE)
        process.stdin.close()
        until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "the input's end")
        with open(path, encoding="ascii") as file:
            self.assertEqual(int(file.read()), LARGE)
        self.assertIsNone(process.poll())
        self.assertEqual(len(process.stdout.read()), LARGE)
        self.assertEqual(process.wait(DEADLINE), OK)

    def test_signals_pass_while_the_output_is_full(self):
        process, pid = self.popen_sh("exec cat /dev/zero")
        self.wait_full(process.stdout)
        process.send_signal(signal.SIGTERM)
        self.assert_over(process, 128 + signal.SIGTERM, pid)

    def test_the_guests_end_while_the_output_is_full(self):
        """It is slept through, and told once the output has been read."""
        process, _ = self.popen_sh("exec cat /dev/zero")
        self.wait_full(process.stdout)
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon.process.returncode = 0
        until(lambda: is_asleep(process.pid), "a client that waits for its reader")
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, FAILED)
        self.assertRegex(err.decode(), "closed the connection|connection reset")

    def test_a_reader_that_leaves_ends_the_program(self):
        process, pid = self.popen_sh("exec yes")
        process.stdout.close()
        process.stdout = None
        err = self.assert_over(process, 128 + signal.SIGPIPE, pid)
        self.assertEqual(err, "")

    def test_a_reader_that_leaves_a_full_pipe(self):
        process, pid = self.popen_sh("exec yes")
        self.wait_full(process.stdout)
        process.stdout.close()
        process.stdout = None
        self.assert_over(process, 128 + signal.SIGPIPE, pid)

    def test_an_output_that_fails(self):
        path = os.path.join(self.folder, "pid")
        with open("/dev/full", "wb") as full:
            result = self.sh("echo $$ >%s; exec yes" % path, stdout=full)
        self.assertEqual(result.returncode, FAILED)
        self.assertRegex(result.stderr.decode(), "standard output: No space left")
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        until(lambda: is_gone(pid), "the program's end")

    def test_an_input_that_fails(self):
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        result = self.sh("cat; sleep 1000", "-i", stdin=folder)
        self.assertEqual(result.returncode, FAILED)
        self.assertRegex(result.stderr.decode(), "standard input: Is a directory")


class Signals(ExecCase):
    def test_they_reach_the_program(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process, pid = self.popen_sh("exec sleep 1000")
            process.send_signal(number)
            self.assertEqual(self.assert_over(process, 128 + number, pid), "")

    def test_a_program_may_answer_them(self):
        process, pid = self.popen_sh("trap 'echo caught; exit 7' INT; echo ready; cat", "-i",
                                     stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        process.stdin = None
        self.assertEqual(process.stdout.read(), b"caught\n")
        self.assert_over(process, 7, pid)

    def test_a_second_one_gives_up(self):
        process, pid = self.popen_sh(
            "trap 'echo caught' INT; echo ready; while :; do sleep 0.01; done")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"caught\n")
        process.send_signal(signal.SIGINT)
        self.assertRegex(self.assert_over(process, FAILED, pid), "given up at SIGINT")

    def test_a_signal_that_is_ignored_stays_so(self):
        process, pid = self.popen_sh("trap 'exit 5' TERM; echo; while :; do sleep 0.01; done",
                                     preexec_fn=lambda: signal.signal(signal.SIGHUP,
                                                                      signal.SIG_IGN))
        self.assertEqual(process.stdout.readline(), b"\n")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        self.assert_over(process, 5, pid)

    def test_our_death_is_the_programs(self):
        process, pid = self.popen_sh("trap '' TERM HUP; sleep 1000 & echo $!; wait")
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        until(lambda: is_gone(child), "the end of the child", 2 * DEADLINE)
        until(lambda: is_gone(pid), "the end of the program", 2 * DEADLINE)

    def test_the_guests_end_is_a_failure(self):
        process, _ = self.popen_sh("exec sleep 1000")
        self.daemon.process.kill()
        self.daemon.process.wait()
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, FAILED)
        self.assertRegex(err.decode(), "closed the connection")
        self.daemon.process.returncode = 0

    def test_nothing_is_left_of_many_that_are_cut_short(self):
        self.daemon.remember()
        for i in range(10):
            process, pid = self.popen_sh("cat /dev/zero & exec cat", "-i", stdin=subprocess.PIPE)
            process.stdout.read(1 + 30000 * i)
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            until(lambda pid=pid: is_gone(pid), "the program's end")
        self.daemon.assert_back()


if __name__ == "__main__":
    harness.main()
