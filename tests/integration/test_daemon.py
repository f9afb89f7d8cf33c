# SPDX-License-Identifier: MIT
"""guestwired as a service manager and an administrator see it."""

import contextlib
import glob
import os
import resource
import signal
import socket
import stat
import subprocess
import threading

import harness
from harness import PING


class Options(harness.TestCase):
    def write(self, text, name="test.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def check(self, text, *options):
        return self.run_guestwired("--config", self.write(text), "--check", *options)

    def test_version_and_help(self):
        result = self.run_guestwired("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout.decode(), r"guestwire\S* \d+\.\d+\.\d+")
        result = self.run_guestwired("--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--config", "--check", "--log-level", "--version", "--help"):
            self.assertIn(option, result.stdout.decode())

    def test_unknown_option_or_argument(self):
        for arguments in (["--bogus"], ["surplus"], ["--config"], ["--log-level", "loud"]):
            with self.subTest(arguments=arguments):
                result = self.run_guestwired(*arguments)
                self.assertEqual(result.returncode, 2)
                self.assertTrue(result.stderr)
                self.assertEqual(result.stdout, b"")

    def test_check_prints_the_effective_configuration(self):
        result = self.check("[port 1000]\ntrust = nobody\n")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        text = result.stdout.decode()
        for line in ("[agent]", "max-connections = 1024", "max-message = 1M", "max-calls = 64",
                     "max-values = 16384", "message-timeout = 30s", "shutdown-timeout = 5s",
                     "exit-on-idle = 0",
                     "log-level = info", "[port 1000]", "handler = rpc", "peers = host",
                     "trust = nobody", "methods = *", "max-connections = 64", "idle-timeout = 0"):
            self.assertIn(line + "\n", text)

    def test_what_check_prints_is_read_back_the_same(self):
        first = self.check("[agent]\nmessage-timeout = 1min 30s\n[port 0x10]\n"
                           "description = \" a \\x20\\x3b b\"\npeers = 5-9, host\n[listen x]\n"
                           "address = unix:/run/x\nmode = 0660\nmethods = a.*, b.*\n")
        self.assertEqual(first.returncode, 0, first.stderr)
        again = self.check(first.stdout.decode())
        self.assertEqual((again.returncode, again.stdout), (0, first.stdout))

    def test_check_reports_all_errors_with_file_and_line(self):
        path = self.write("[agent]\nmax-calls = many\nbogus = 1\n\n[port 4294967295]\n[what]\n")
        result = self.run_guestwired("--config", path, "--check")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        errors = result.stderr.decode()
        for line in (2, 3, 5, 6):
            self.assertRegex(errors, r"(?m)^(\S+: )?%s:%d: ." % (path, line))

    def test_check_prints_the_level_that_would_hold(self):
        result = self.check("[agent]\nlog-level = error\n", "--log-level", "debug")
        self.assertIn(b"log-level = debug\n", result.stdout)

    def test_check_opens_nothing(self):
        path = os.path.join(self.folder, "check.sock")
        result = self.check("[listen a]\naddress = unix:%s\n" % path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertFalse(os.path.exists(path))

    def test_a_missing_file_is_an_error(self):
        for extra in ((), ("--check",)):
            result = self.run_guestwired("--config", os.path.join(self.folder, "none"), *extra)
            self.assertEqual(result.returncode, 1)
            self.assertIn("none", result.stderr.decode())

    def test_config_means_that_file_only(self):
        self.write("[port 77]\n", "guestwire.conf.d-is-not-read.conf")
        result = self.check("[agent]\n")
        self.assertEqual(result.returncode, 0)
        self.assertNotIn("[port", result.stdout.decode())

    def test_a_broken_file_does_not_start(self):
        path = self.write("[agent]\nbogus = 1\n")
        result = self.run_guestwired("--config", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("%s:2:" % path, result.stderr.decode())

    def test_shipped_files_pass_the_check(self):
        conf = os.path.join(harness.SRCDIR, "conf")
        files = [os.path.join(conf, "guestwire.conf")] + glob.glob(conf + "/examples/*.conf")
        self.assertEqual(len(files), 8)
        for path in files:
            result = self.run_guestwired("--config", path, "--check")
            self.assertEqual((result.returncode, result.stderr), (0, b""), path)
        result = self.run_guestwired("--config", files[0], "--check")
        self.assertIn("[port 1000]", result.stdout.decode())

    def test_log_level_option_wins(self):
        self.start(agent={"log_level": "error"}, args=("--log-level", "debug"))
        self.assert_answers()
        self.daemon.wait_log("closed")


class Service(harness.TestCase):
    def test_ready_and_status(self):
        target = self.target(trust="nobody")
        self.start(target)
        self.assertIn(target.section.split()[-1], self.daemon.status())
        before = len(self.daemon.messages)
        client = self.connect()
        for _ in range(7):
            client.call("agent.ping")
        # STATUS names connections and calls, some time after they have changed.
        self.daemon.wait_notify("STATUS=*1 connection*", before)
        self.assertRegex(self.daemon.status(), r"\d+ calls")

    def test_stopping(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            self.start()
            client = self.connect()
            client.call("agent.ping")
            self.daemon.stop(sig)
            self.assert_closed(client)

    def test_calls_already_read_are_answered_before_it_stops(self):
        self.start()
        client = self.connect()
        client.send(b"".join(PING % i for i in range(200)))
        self.assertEqual(client.read()["id"], 0)
        self.daemon.stop()
        numbers = [r["id"] for r in client.read_end()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_a_peer_that_never_reads_does_not_hold_it_back(self):
        self.start(agent={"shutdown_timeout": "500ms"})
        client = self.connect()
        client.sock.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            while True:
                client.sock.send(b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n')
        self.daemon.stop()

    def test_a_reload_asked_for_does_not_undo_the_stop(self):
        """A call that was read before the signal, and is run after it."""
        for count in (2, 3, 4):
            self.start()
            clients = [self.connect(privileged=True) for _ in range(count)]
            for client in clients:
                client.call("agent.ping")
            # All of it is there when the daemon looks again, in whatever order it takes it.
            self.daemon.process.send_signal(signal.SIGSTOP)
            for client in clients:
                client.send(client.request("agent.reload")[0])
            self.daemon.process.send_signal(signal.SIGTERM)
            self.daemon.process.send_signal(signal.SIGCONT)
            self.daemon.expect_exit(0)
            messages = self.daemon.messages
            self.assertNotIn("READY=1", messages[messages.index("STOPPING=1"):])

    def test_nothing_is_left_behind(self):
        target = self.target()
        self.start(target)
        self.daemon.stop()
        with self.assertRaises(OSError):
            harness.Client(target, timeout=2)
        if harness.TRANSPORT == "unix":
            self.assertFalse(os.path.exists(target.address))

    def test_watchdog(self):
        self.start(environment={"WATCHDOG_USEC": "200000"})
        first = self.daemon.wait_notify("WATCHDOG=1")
        self.daemon.wait_notify("WATCHDOG=1", first + 1)

    def test_no_watchdog_where_none_is_asked_for(self):
        self.start()
        self.assert_answers()
        self.daemon.stop()
        self.assertNotIn("WATCHDOG=1", self.daemon.messages)

    def start_by_hand(self, target, notify=None, **options):
        """A daemon that nobody watches; returns its process. notify: its NOTIFY_SOCKET."""
        self.main = target
        path = os.path.join(self.folder, "plain.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config(target))
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        if notify:
            environment["NOTIFY_SOCKET"] = notify
        process = subprocess.Popen([harness.GUESTWIRED, "--config", path], env=environment,
                                   stderr=subprocess.PIPE, **options)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)

        def answers():
            try:
                self.assert_answers()
                return True
            except OSError:
                return False
        harness.until(answers, "the daemon answers")
        return process

    def test_it_runs_without_a_notification_socket(self):
        process = self.start_by_hand(self.target())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.DEADLINE), 0)

    def fill(self, path):
        """Leaves no room in the queue of the datagram socket at path."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.connect(path)
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.send(b"x")

    def test_a_manager_that_does_not_read_does_not_hold_it_up(self):
        """The queue of its socket is short, and sd_notify(3) waits for room."""
        path = os.path.join(self.folder, "unread")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            process = self.start_by_hand(self.target(), notify=path)
            self.assertIn(b"READY=1", manager.recv(4096))
            self.fill(path)
            client = self.connect(privileged=True)
            self.assertEqual(client.call("agent.reload"), {})
            # READY=1 is said once there is room.
            manager.settimeout(harness.DEADLINE)
            while not manager.recv(4096).startswith(b"READY=1"):
                pass
            self.fill(path)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(harness.DEADLINE), 0)

    def test_half_a_text_is_waited_for_though_no_fd_is_left(self):
        """The loop's clock is a descriptor too, and is there before the callers are."""
        process = self.start_by_hand(
            self.target(max_connections="500"),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
        client = self.connect(privileged=True)
        self.assertEqual(client.call("agent.ping"), {})
        others = [self.connect(privileged=True) for _ in range(60)]
        self.assert_closed(others[-1])
        text = PING % 7
        client.send(text[:10])
        self.assertTrue(client.quiet())
        client.send(text[10:])
        self.assertEqual(client.read()["id"], 7)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.DEADLINE), 0)

    def test_limit_of_fds_is_raised(self):
        """The soft limit is for programs that use select()."""
        self.start(nofile=(64, 512))
        with open("/proc/%d/limits" % self.daemon.pid, encoding="ascii") as file:
            line = [x for x in file if x.startswith("Max open files")][0]
        self.assertEqual(line.split()[3:5], ["512", "512"])

    def test_every_fd_is_close_on_exec(self):
        self.start()
        client = self.connect()
        client.call("agent.ping")
        for fd in self.daemon.fds():
            if fd <= 2:
                continue
            with open("/proc/%d/fdinfo/%d" % (self.daemon.pid, fd), encoding="ascii") as file:
                flags = [x for x in file if x.startswith("flags:")][0]
            self.assertTrue(int(flags.split()[1], 8) & os.O_CLOEXEC, (fd, self.daemon.fds()))


class NoListener(harness.TestCase):
    @harness.only("unix")
    def test_it_is_ready_though_many_listeners_do_not_work(self):
        """systemd ignores messages of 4096 bytes and more, READY=1 or not."""
        for nowhere in ("/nowhere/at/all", "/nowhere/%d/at/all/\u00e9"):
            paths = [(nowhere % n if "%" in nowhere else nowhere) + "/%d" % n
                     for n in range(150)]
            target = harness.Target("listen n0", socket.AF_UNIX, paths[0], "".join(
                "[listen n%d]\naddress = unix:%s\n" % x for x in enumerate(paths)))
            with self.subTest(nowhere=nowhere):
                self.start(target)
                status = self.daemon.status()
                self.assertLess(len(("READY=1\nSTATUS=" + status).encode()), 4096)
                self.assertRegex(status, "n0 waits: .*0 connections, 0 calls served$")
                self.assertNotIn("\ufffd", status)
                self.daemon.stop()

    @harness.only("unix")
    def test_it_is_ready_though_no_listener_works_and_tries_again(self):
        late = os.path.join(self.folder, "late")
        target = harness.Target("listen late", socket.AF_UNIX, late + "/agent.sock",
                                "[listen late]\naddress = unix:%s/agent.sock\n" % late)
        with open(late, "w", encoding="ascii"):
            pass
        self.start(target)
        self.assertIn("late", self.daemon.status())
        self.daemon.wait_log("late.*not listening: .")
        before = len(self.daemon.messages)
        os.unlink(late)
        os.mkdir(late, 0o700)
        self.daemon.wait_log("listening on unix:%s" % late)
        self.assert_answers(target)
        self.daemon.wait_notify("STATUS=*late*", before)

    @harness.only("unix")
    def test_one_that_fails_does_not_hold_the_others_back(self):
        bad = harness.Target("listen bad", socket.AF_UNIX, "/nonexistent/deeper/x",
                             "[listen bad]\naddress = unix:/nonexistent/deeper/x\n")
        self.start(self.target("good"), bad)
        self.assert_answers()
        self.assertIn("bad", self.daemon.status())

    @harness.only("unix")
    def test_no_vsock_is_said(self):
        """What a kernel without AF_VSOCK, or with it taken, gets: the port waits, and why."""
        try:
            socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        except OSError:
            port = harness.Target("port 1000", None, None, "[port 1000]\n")
            self.start(self.target("good"), port)
            self.daemon.wait_log("port 1000.*modprobe")
            self.assertIn("port 1000", self.daemon.status())

    def test_a_configuration_without_ports(self):
        self.main = self.target()
        daemon = harness.Daemon(self, "[agent]\n")
        self.assertTrue(daemon.status())
        daemon.reload(self.config(self.main))
        self.assert_answers()


@harness.only("unix")
class UnixSockets(harness.TestCase):
    def test_mode(self):
        for mode, text in ((0o600, None), (0o666, "0666"), (0o640, "0640")):
            self.start(self.target(mode=text))
            self.assertEqual(stat.S_IMODE(os.stat(self.main.address).st_mode), mode)
            self.daemon.stop()

    def test_owner_and_group(self):
        if os.getuid() != 0:
            self.skipTest("only root can give a socket away")
        self.start(self.target(owner="nobody", group="nogroup"))
        found = os.stat(self.main.address)
        self.assertEqual((found.st_uid, found.st_gid), (65534, 65534))

    def test_a_dead_socket_is_replaced(self):
        target = self.target()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(target.address)
        self.start(target)
        self.assert_answers()

    def test_a_living_socket_is_not(self):
        target = self.target()
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(target.address)
            living.listen()
            inode = os.stat(target.address).st_ino
            self.start(target)
            self.daemon.wait_log("main.*not listening")
            self.assertEqual(os.stat(target.address).st_ino, inode)

    def test_another_file_is_not(self):
        target = self.target()
        with open(target.address, "w", encoding="ascii") as file:
            file.write("precious")
        self.start(target)
        self.daemon.wait_log("main.*not listening")
        self.daemon.stop()
        with open(target.address, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_folder_that_others_can_write_is_refused(self):
        target = self.target()
        os.chmod(self.folder, 0o777)
        self.start(target)
        self.daemon.wait_log("main.*not listening")
        self.assertFalse(os.path.exists(target.address))
        os.chmod(self.folder, 0o700)
        self.daemon.wait_log("listening on unix:")
        self.assert_answers()

    def test_other_users_are_not_privileged(self):
        if os.getuid() != 0:
            self.skipTest("only root can become another user")
        os.chmod(self.folder, 0o755)
        self.start(self.target(mode="0666"))
        code = ("import json,os,socket\nos.setgid(65534)\nos.setuid(65534)\n"
                "s=socket.socket(socket.AF_UNIX)\ns.connect(%r)\n"
                "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.reload\"}"
                "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"agent.info\"}')\n"
                "f=s.makefile()\nr=[json.loads(f.readline()) for _ in range(2)]\n"
                "r.sort(key=lambda x: x['id'])\n"
                "assert r[0]['error']['data']['reason']=='not-privileged', r\n"
                "assert r[1]['result']['caller']=={'cid':None,'port':None,'uid':65534,"
                "'privileged':False}, r\n" % self.main.address)
        result = subprocess.run(["/usr/bin/python3", "-c", code], stderr=subprocess.PIPE,
                                timeout=harness.DEADLINE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)


class Reload(harness.TestCase):
    def sockets(self, client):
        """The inodes of the daemon's lasting sockets: its listeners', its callers'."""
        looks = []
        # One by which a notification is just being sent is not in each of these.
        for _ in range(3):
            client.call("agent.ping")
            looks.append({x for x in self.daemon.fds().values() if x.startswith("socket:")})
        return set.intersection(*looks)

    def load(self, client):
        """Pings without end in the background; returns a function that ends and checks it."""
        done, failed = threading.Event(), []

        def run():
            try:
                while not done.is_set():
                    if client.call("agent.ping") != {}:
                        raise AssertionError("a wrong reply")
            except BaseException as error:
                failed.append(error)
        thread = threading.Thread(target=run)
        thread.start()

        def end():
            done.set()
            thread.join(harness.DEADLINE)
            self.assertFalse(thread.is_alive())
            self.assertEqual(failed, [])
        return end

    def test_a_broken_file_keeps_the_old_configuration(self):
        self.start(self.target(block_methods="agent.stats"))
        client = self.connect()
        offset = len(self.daemon.stderr)
        self.daemon.reload("[agent]\nlog-level = info\nbogus = 1\n")
        self.daemon.wait_log(r"guestwire\.conf:3: .*bogus", offset)
        self.assertEqual(client.call("agent.ping"), {})
        self.assert_reason(client.error("agent.stats"), "not-allowed")
        self.assert_answers()
        # And the next good file is taken.
        self.daemon.reload(self.config(self.main).replace("block-methods = agent.stats\n", ""))
        self.assertIn("calls", client.call("agent.stats"))

    def test_a_missing_file_keeps_the_old_configuration(self):
        self.start()
        os.unlink(self.daemon.config)
        self.daemon.reload()
        self.assert_answers()

    def test_a_port_is_added_and_removed_while_another_is_kept_under_load(self):
        kept, other = self.target("kept", trust="nobody"), self.target("other", trust="nobody")
        self.start(kept)
        client = self.connect(kept)
        before = self.sockets(client)
        self.assertEqual(len(before), 2)
        end = self.load(client)
        for _ in range(10):
            self.daemon.reload(self.config(kept, other))
            self.assert_answers(other)
            guest = harness.Client(other)
            guest.call("agent.ping")
            self.daemon.reload(self.config(kept))
            with self.assertRaises(OSError):
                harness.Client(other, timeout=2)
            self.assert_answers(kept)
            guest.close()
        end()
        self.assertLessEqual(before, self.sockets(client))

    def test_a_kept_listener_keeps_its_socket_and_its_file(self):
        self.start()
        client = self.connect()
        sockets = self.sockets(client)
        self.assertEqual(len(sockets), 2)
        if harness.TRANSPORT == "unix":
            file = os.stat(self.main.address).st_ino
        self.daemon.reload()
        self.daemon.reload(self.config(self.target("main", port=(
            self.main.address[1] if harness.TRANSPORT == "vsock" else None), max_connections="7")))
        self.assertLessEqual(sockets, self.sockets(client))
        self.assertEqual(client.call("agent.ping"), {})
        if harness.TRANSPORT == "unix":
            self.assertEqual(os.stat(self.main.address).st_ino, file)

    def test_connections_of_a_removed_port_go_on(self):
        one, two = self.target("one"), self.target("two")
        self.start(one, two)
        self.daemon.remember()
        client = self.connect(two)
        client.call("agent.ping")
        self.daemon.reload(self.config(one))
        with self.assertRaises(OSError):
            harness.Client(two, timeout=2)
        self.assertEqual(client.call("agent.ping"), {})
        client.close()
        self.assert_answers(one)
        # Nothing remembers the port: its listener and its last connection are gone.
        harness.until(lambda: len(self.daemon.fds()) < self.daemon.held[0],
                      "the port's fds are closed")

    def test_privilege_is_judged_anew(self):
        self.start()
        client = self.connect(privileged=True)
        self.assertTrue(client.call("agent.info")["caller"]["privileged"])
        text = self.config(self.main)
        self.daemon.reload(text + "trust = nobody\n")
        self.assertFalse(client.call("agent.info")["caller"]["privileged"])
        self.assert_reason(client.error("agent.reload"), "not-privileged")
        self.daemon.reload(text)
        self.assertTrue(client.call("agent.info")["caller"]["privileged"])

    def test_methods_are_judged_anew(self):
        self.start()
        client = self.connect()
        client.call("system.info")
        self.daemon.reload(self.config(self.main) + "block-methods = system.*\n")
        self.assert_reason(client.error("system.info"), "not-allowed")

    @harness.only("vsock")
    def test_narrowed_peers_close_who_is_refused_now(self):
        self.start()
        client = self.connect()
        client.call("agent.ping")
        self.daemon.reload(self.config(self.main).replace("peers = local", "peers = host"))
        self.assert_closed(client)
        self.daemon.wait_log("peers")
        self.daemon.reload(self.config(self.main))
        self.assert_answers()

    def test_by_method(self):
        self.start()
        client = self.connect(privileged=True)
        self.daemon.write_config(self.config(self.main) + "block-methods = system.*\n")
        self.assertEqual(client.call("agent.reload"), {})
        self.assert_reason(client.error("system.info"), "not-allowed")
        self.daemon.write_config("[agent\n")
        self.assert_reason(client.error("agent.reload"), "failed")
        self.assert_reason(client.error("system.info"), "not-allowed")

    def test_many_at_once(self):
        """Signals that come together may fall into one; the daemon is ready in the end."""
        self.start()
        self.daemon.remember()
        for _ in range(50):
            self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.reload()
        self.assert_answers()
        self.daemon.assert_back()

    def test_reloads_leak_nothing(self):
        kept, other = self.target("kept"), self.target("other")
        self.start(kept)
        self.daemon.remember()
        for _ in range(20):
            self.daemon.reload(self.config(kept, other))
            self.daemon.reload("[agent]\nbogus = 1\n")
            self.daemon.reload(self.config(kept))
        self.daemon.assert_back()

    def test_log_level(self):
        self.start()
        self.daemon.reload(self.config(self.main, agent={"log_level": "debug"}))
        offset = len(self.daemon.stderr)
        harness.Client(self.main).close()
        self.daemon.wait_log("closed", offset)


if __name__ == "__main__":
    harness.main()
