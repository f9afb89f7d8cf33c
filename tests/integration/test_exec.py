# SPDX-License-Identifier: MIT
"""`handler = exec`: a program for each connection."""

import os
import pwd
import re
import signal
import threading
import unittest

import harness
from harness import TRANSPORT, is_gone, until

VSOCK = TRANSPORT == "vsock"
# User-mode Linux traces every system call.
GREAT = (16 if VSOCK else 1024) * 1024 * 1024
CROWD = 40 if VSOCK else 200
# Processes of every way to get out of one's tree; each says its number first. What they run
# ends with the daemon at the latest: no test that fails leaves anything behind.
FAMILY = """
%(trap)s
echo $$
sh -c '%(trap)s; echo $$; while :; do sleep 1; done' &
setsid sh -c '%(trap)s; echo $$; while :; do sleep 1; done' &
(setsid env -i /bin/sh -c '%(trap)s; echo $$; while :; do /bin/sleep 1; done' &) &
(exec </dev/null 2>&0
setsid sh -c '(%(trap)s; exec sh -c "echo \\$\\$; while :; do sleep 1; done") &') &
"""
FAMILY_SIZE = 5


class Case(harness.TestCase):
    def script(self, text, name="script"):
        """A shell script; returns the command that runs it."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.folder, 0o755)
        return "/bin/sh %s" % path

    def exec_target(self, command, name="exec", trust="peers", **keys):
        if VSOCK and trust == "peers":
            keys["trust_unsafe"] = "yes"
        return self.target(name, handler="exec", command=command, trust=trust, **keys)

    def start_exec(self, command, agent=None, **keys):
        """A daemon with one port that runs the command, and one to ask it."""
        self.port = self.exec_target(command, **keys)
        self.start(self.target(), self.port, agent=agent)
        self.daemon.remember()

    def open(self, target=None, **options):
        return self.connect(target or self.port, **options)

    def read_all(self, client):
        """Up to the end of the stream, which must be no reset."""
        text = client.pending
        while True:
            piece = client.sock.recv(65536)
            if not piece:
                return text
            text += piece

    def run_script(self, text, send=b"", **keys):
        """What a program answers to `send` and the end of input."""
        self.start_exec(self.script(text), **keys)
        client = self.open()
        client.send(send)
        client.half_close()
        return self.read_all(client).decode()

    def read_pids(self, client, n):
        pids = [int(client.read_line()) for _ in range(n)]
        for pid in pids:
            self.assertFalse(is_gone(pid), pid)
        return pids

    def assert_gone(self, pids):
        for pid in pids:
            until(lambda: is_gone(pid), "the end of process %d" % pid)
        self.daemon.assert_back()


class Program(Case):
    """What a program is given."""

    def test_the_connection_is_its_input_and_output(self):
        text = self.run_script("cat; echo end", b"World!\n" * 3)
        self.assertEqual(text, "World!\n" * 3 + "end\n")
        self.daemon.assert_back()

    def test_it_answers_without_the_end_of_input(self):
        self.start_exec(self.script('while read -r line; do echo "got $line"; done'))
        client = self.open()
        for word in ("one", "two", "three"):
            client.send(word + "\n")
            self.assertEqual(client.read_line(), b"got %s\n" % word.encode())
        client.close()
        self.daemon.assert_back()

    def test_output_after_the_end_of_input_is_delivered(self):
        # Longer than the daemon waits between two looks for the peer.
        text = self.run_script("cat >/dev/null; sleep 2; echo late", b"x" * 1000)
        self.assertEqual(text, "late\n")
        self.daemon.assert_back()

    def test_environment_is_clean(self):
        text = self.run_script("exec /usr/bin/env -0", environment="A=b 'C=d e'")
        client_port = r"\d+" if VSOCK else ""
        variables = dict(v.split("=", 1) for v in text.split("\0") if v)
        me = pwd.getpwuid(os.geteuid())
        self.assertRegex(variables.pop("GUESTWIRE_PEER_PORT"), "^%s$" % client_port)
        # dash adds PWD.
        variables.pop("PWD", None)
        variables.pop("OLDPWD", None)
        self.assertEqual(variables, {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": me.pw_dir, "USER": me.pw_name, "LOGNAME": me.pw_name,
            "LANG": os.environ.get("LANG") or "C.UTF-8", "A": "b", "C": "d e",
            "GUESTWIRE_PEER_CID": "1" if VSOCK else "",
            "GUESTWIRE_PORT": str(self.port.address[1]) if VSOCK else "",
        })

    def test_nothing_of_the_daemon_is_inherited(self):
        text = self.run_script("umask; ulimit -n; pwd; grep -E '^Sig(Blk|Ign)' /proc/self/status\n"
                               "exec ls -l /proc/self/fd")
        self.assertRegex(text, r"\A0022\n1024\n/\nSigBlk:\t0{16}\nSigIgn:\t0{16}\n")
        # What ls opened to look is the fourth.
        self.assertEqual(
            [re.sub(r"\d+", "N", target) for target in re.findall(r" \d+ -> (.*)", text)],
            ["socket:[N]", "socket:[N]", "pipe:[N]", "/proc/N/fd"])

    def test_input_and_output_block(self):
        # O_NONBLOCK is 04000.
        text = self.run_script("grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1")
        for flags in re.findall(r"flags:\s+0(\d+)", text):
            self.assertFalse(int(flags, 8) & os.O_NONBLOCK, text)
        self.assertEqual(text.count("flags:"), 2)

    def test_command_line_has_no_shell(self):
        self.start_exec("""/bin/echo "a  b" 'c"d' * | cat &""")
        self.assertEqual(self.read_all(self.open()), b"a  b c\"d * | cat &\n")

    def test_directory(self):
        where = os.path.join(self.folder, "a place")
        os.mkdir(where)
        self.assertEqual(self.run_script("pwd", directory=where), where + "\n")

    @unittest.skipUnless(os.geteuid() == 0, "root only")
    def test_user(self):
        nobody = pwd.getpwnam("nobody")
        text = self.run_script("id -u; id -g; id -G; echo $HOME $USER; grep Cap /proc/self/status",
                               user="nobody")
        self.assertEqual(text.split("\n")[:4], [
            str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid),
            "%s nobody" % nobody.pw_dir])
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertIn("%s:\t0000000000000000" % name, text)

    @unittest.skipUnless(os.geteuid() == 0, "root only")
    def test_group_alone(self):
        self.assertEqual(self.run_script("id -u; id -g", group="nogroup").split("\n")[0], "0")

    def test_user_that_does_not_exist(self):
        config = self.config(self.exec_target("/bin/true", user="no-such-user"))
        path = os.path.join(self.folder, "bad.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        result = self.run_guestwired("--config", path)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"bad\.conf:\d+: .*no-such-user")


class CannotStart(Case):
    def expect(self, problem, command, **keys):
        self.start_exec(command, **keys)
        client = self.open()
        self.assertEqual(self.read_all(client), b"")
        client.close()
        self.daemon.wait_log(re.escape(problem))
        self.daemon.assert_back()
        self.assert_answers()

    def test_does_not_exist(self):
        self.expect("cannot execute /no/such: No such file or directory", "/no/such argument")

    def test_is_not_executable(self):
        self.expect("cannot execute /etc/passwd: Permission denied", "/etc/passwd")

    def test_is_no_program(self):
        path = os.path.join(self.folder, "text")
        with open(path, "w", encoding="utf-8") as file:
            file.write("hello\n")
        os.chmod(path, 0o755)
        self.expect("cannot execute %s: Exec format error" % path, path)

    def test_directory_does_not_exist(self):
        self.expect("cannot change to directory /no/such: No such file or directory",
                    "/bin/true", directory="/no/such")


class Output(Case):
    def test_a_great_deal_of_output(self):
        self.start_exec("/bin/dd if=/dev/zero bs=65536 count=%d" % (GREAT // 65536))
        before, ticks, n = self.daemon.rss(), self.daemon.cpu_ticks(), 0
        client, buffer = self.open(), bytearray(1 << 20)
        while True:
            got = client.sock.recv_into(buffer)
            if not got:
                break
            n += got
        self.assertEqual(n, GREAT)
        # None of it went through the daemon.
        self.assertLess(self.daemon.rss() - before, 4 * 1024 * 1024)
        self.assertLess(self.daemon.cpu_ticks() - ticks, os.sysconf("SC_CLK_TCK"))
        client.close()
        self.daemon.assert_back()

    def test_output_survives_unread_input(self):
        """A socket that is closed with unread input is reset: what was written must not be."""
        self.start_exec("/bin/dd if=/dev/zero bs=65536 count=1")
        client = self.open()
        client.send(b"x" * 10000)
        got = 0
        while got < 65536:
            piece = client.sock.recv(1000)
            self.assertTrue(piece, "the output was cut at %d" % got)
            got += len(piece)
        self.assertEqual(self.read_all(client), b"")
        client.close()
        self.daemon.assert_back()

    def test_output_survives_a_sender_that_never_stops(self):
        self.start_exec("/bin/dd if=/dev/zero bs=65536 count=1")
        client = self.open()
        sender = threading.Thread(
            target=client.send_until_closed, args=(b"x" * (2 if VSOCK else 64) * 1024 * 1024,))
        sender.start()
        got = 0
        while got < 65536:
            piece = client.sock.recv(65536)
            self.assertTrue(piece, "the output was cut at %d" % got)
            got += len(piece)
        sender.join()
        client.close()
        self.daemon.assert_back()

    def test_closes_its_input_early(self):
        self.start_exec(self.script("exec 0<&-; echo one; sleep 0.3; echo two"))
        client = self.open()
        client.send(b"x" * 1000)
        self.assertEqual(self.read_all(client), b"one\ntwo\n")
        client.close()
        self.daemon.assert_back()

    def test_closes_its_output_early(self):
        """The program goes on, and is not taken for ended."""
        done = os.path.join(self.folder, "done")
        self.start_exec(self.script("echo one; exec 1>&-; cat; echo >%s" % done))
        client = self.open()
        self.assertEqual(client.read_line(), b"one\n")
        client.half_close()
        until(lambda: os.path.exists(done), done)
        self.assertEqual(self.read_all(client), b"")
        client.close()
        self.daemon.assert_back()

    def test_standard_error_is_logged_line_by_line(self):
        self.start_exec(self.script("echo first >&2; printf 'sec\\033ond' >&2; echo out"))
        client = self.open()
        self.assertEqual(self.read_all(client), b"out\n")
        self.daemon.wait_log(r"^%s: .*: /bin/sh: first$" % self.port.section)
        self.daemon.wait_log(r"^%s: .*: /bin/sh: sec\\x1bond$" % self.port.section)

    def test_flood_of_standard_error(self):
        self.start_exec(self.script("yes 'much ado' | head -n 100000 >&2; echo out"))
        client = self.open()
        self.assertEqual(self.read_all(client), b"out\n")
        self.daemon.wait_log(r"\d+ lines were not logged")
        self.assertLess(self.daemon.stderr.count("much ado"), 1000)
        client.close()
        self.daemon.assert_back()

    def test_standard_error_outlives_the_connection(self):
        self.start_exec(self.script("trap 'sleep 0.3; echo last words >&2; exit 0' TERM\n"
                                    "echo ready; while :; do sleep 0.1; done"))
        client = self.open()
        client.read_line()
        client.close()
        self.daemon.wait_log("last words")
        self.daemon.assert_back()

    def test_one_record_for_each_run(self):
        self.start_exec(self.script("exit 3") + " secret-argument")
        client = self.open()
        self.read_all(client)
        self.daemon.wait_log(r"%s: .* ran /bin/sh: exit status 3 after \d+ us$"
                             % self.port.section)
        self.assertNotIn("secret-argument", self.daemon.stderr)


class Departure(Case):
    """The whole tree goes when the peer does."""

    def family(self, trap=":"):
        return self.script(FAMILY % {"trap": trap} + "while :; do sleep 1; done")

    def test_peer_closes(self):
        self.start_exec(self.family())
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        client.close()
        self.assert_gone(pids)
        self.daemon.wait_log("signal 15 after .* us, since the peer has gone")

    def test_peer_resets(self):
        self.start_exec(self.family())
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        client.reset()
        self.assert_gone(pids)

    def test_peer_closes_after_the_end_of_its_input(self):
        self.start_exec(self.family())
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        client.half_close()
        # It is there still, and so are they.
        self.assertTrue(client.quiet(1.5))
        self.assertFalse(any(is_gone(pid) for pid in pids))
        client.close()
        self.assert_gone(pids)

    def test_who_ignores_term_is_killed(self):
        self.start_exec(self.family('trap "" TERM'), kill_timeout="300ms")
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        client.close()
        self.assert_gone(pids)
        self.daemon.wait_log("signal 9 after .* us, since the peer has gone")

    def test_who_daemonises_does_not_stay(self):
        self.start_exec(self.script(FAMILY % {"trap": ":"} + "read -r line; exit 0"))
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        client.send("\n")
        self.assertEqual(self.read_all(client), b"")
        client.close()
        self.assert_gone(pids)

    def test_others_stay(self):
        self.start_exec(self.family())
        first, second = self.open(), self.open()
        one, two = self.read_pids(first, FAMILY_SIZE), self.read_pids(second, FAMILY_SIZE)
        first.close()
        for pid in one:
            until(lambda: is_gone(pid), "the end of process %d" % pid)
        self.assertFalse(any(is_gone(pid) for pid in two))
        second.close()
        self.assert_gone(two)

    def test_the_daemon_ends(self):
        self.start_exec(self.family('trap "" TERM'), agent={"shutdown_timeout": "200ms"})
        client = self.open()
        pids = self.read_pids(client, FAMILY_SIZE)
        self.daemon.stop()
        for pid in pids:
            until(lambda: is_gone(pid), "the end of process %d" % pid)
        # Its loop has ended by then, and was asked for timers all the same.
        self.assertNotIn("cannot", self.daemon.stderr)

    def test_the_daemon_waits_for_what_ends_by_itself(self):
        self.start_exec(self.script("echo ready; sleep 0.5; echo done"),
                        agent={"shutdown_timeout": "10min"})
        client = self.open()
        client.read_line()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.read_line(), b"done\n")
        client.close()
        self.daemon.expect_exit(0)


class Limits(Case):
    def test_timeout(self):
        self.start_exec(self.script("trap '' TERM; echo $$; while :; do sleep 1; done"),
                        timeout="5s", kill_timeout="100ms")
        client = self.open()
        pids = self.read_pids(client, 1)
        self.assertEqual(self.read_all(client), b"")
        self.daemon.wait_log("since timeout is over")
        client.close()
        self.assert_gone(pids)

    def test_max_instances(self):
        other = self.exec_target("/bin/cat", name="other", max_instances="1")
        self.port = self.exec_target("/bin/cat", max_instances="2")
        self.start(self.target(), self.port, other)
        self.daemon.remember()
        clients = [self.open(), self.open(), self.open(other)]
        for client in clients:
            client.send("here\n")
            self.assertEqual(client.read_line(), b"here\n")
        for target in (self.port, other):
            late = self.open(target)
            self.assertEqual(self.read_all(late), b"")
            late.close()
        self.daemon.wait_log("max-instances")
        clients[0].half_close()
        self.assertEqual(self.read_all(clients[0]), b"")
        again = self.open()
        again.send("again\n")
        self.assertEqual(again.read_line(), b"again\n")
        for client in clients + [again]:
            client.close()
        self.daemon.assert_back()

    def test_many_at_once(self):
        self.start_exec(self.script('echo $$; read -r line; echo "$line"; exec cat'),
                        max_instances="1000", max_connections="1000",
                        agent={"max_connections": "1000"})
        clients = [self.open() for _ in range(CROWD)]
        pids = [int(client.read_line()) for client in clients]
        self.assertEqual(len(set(pids)), CROWD)
        for i, client in enumerate(clients):
            client.send("%d\n" % i)
        for i, client in enumerate(clients):
            self.assertEqual(client.read_line(), b"%d\n" % i)
        self.assert_answers()
        # Half of them end, the others are left.
        for client in clients[::2]:
            client.half_close()
            self.assertEqual(self.read_all(client), b"")
        for client in clients:
            client.close()
        self.assert_gone(pids)

    def test_who_is_not_trusted(self):
        self.start_exec("/bin/cat", trust="nobody")
        self.assert_hung_up_on(self.port, b"hello\n")
        self.assertEqual(self.daemon.children(), [])

    @harness.only("vsock")
    def test_only_root_by_default(self):
        self.start_exec("/bin/cat", trust=None)
        with harness.Client(self.port) as client:
            client.send_until_closed(b"hello\n")
            try:
                self.assertEqual(client.sock.recv(100), b"")
            except ConnectionResetError:
                pass
        with harness.Client(self.port, privileged=True) as client:
            client.send(b"hello\n")
            self.assertEqual(client.read_line(), b"hello\n")
        self.daemon.assert_back()

    def test_reload_leaves_it_running(self):
        self.start_exec("/bin/cat")
        client = self.open()
        client.send("one\n")
        self.assertEqual(client.read_line(), b"one\n")
        text = str(self.port).replace("/bin/cat", "/bin/echo new")
        self.daemon.reload(self.config(self.main, text))
        client.send("two\n")
        self.assertEqual(client.read_line(), b"two\n")
        self.assertEqual(self.read_all(self.open()), b"new\n")
        client.half_close()
        self.assertEqual(self.read_all(client), b"")
        client.close()


@harness.only("unix")
class OverTcp(Case):
    """A reset is what destroys output there."""

    def start_tcp(self, command):
        self.start_exec(command, transport="tcp", trust_unsafe="yes")

    def test_output_survives_unread_input(self):
        self.start_tcp("/bin/dd if=/dev/zero bs=65536 count=16")
        client = self.open()
        client.send(b"x" * 10000)
        self.assertEqual(len(self.read_all(client)), 16 * 65536)
        client.close()
        self.daemon.assert_back()

    def test_peer_resets(self):
        self.start_tcp(self.script("echo $$; while :; do sleep 1; done"))
        client = self.open()
        pids = self.read_pids(client, 1)
        client.reset()
        self.assert_gone(pids)


if __name__ == "__main__":
    harness.main()
