# SPDX-License-Identifier: MIT
"""Sockets that were there before the daemon: of a socket unit, and of its service's store."""

import errno
import os
import signal
import socket
import stat
import threading
import time

import harness

UNIT = "guestwired.socket"
STORE = {"FDSTORE": "64"}


class Activation(harness.TestCase):
    def listening(self, target, backlog=16):
        """A socket that listens where the target says, as a socket unit's."""
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        self.addCleanup(sock.close)
        if target.family == socket.AF_VSOCK:
            sock.bind((socket.VMADDR_CID_ANY, target.address[1]))
        else:
            sock.bind(target.address)
        sock.listen(backlog)
        return sock

    def listening_elsewhere(self, target):
        """Such a socket that no section can take, for another file is where its own should be."""
        sock = self.listening(target)
        os.rename(target.address, target.address + ".away")
        with open(target.address, "wb"):
            pass
        return sock

    def put_back(self, target):
        os.rename(target.address + ".away", target.address)

    def inode(self, sock):
        return "socket:[%d]" % os.fstat(sock.fileno()).st_ino

    def assert_nobody(self, target):
        with self.assertRaises(OSError) as caught:
            harness.Client(target)
        self.assertIn(caught.exception.errno,
                      (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT))


class Passed(Activation):
    def test_a_socket_is_matched_by_its_address(self):
        first, second = self.target("main"), self.target("second", handler="echo")
        # In another order than the sections', under names that say nothing.
        socks = [self.listening(second), self.listening(first)]
        self.start(first, second, passed=[(sock, "x") for sock in socks])
        held = list(self.daemon.fds().values())
        for sock in socks:
            self.assertIn(self.inode(sock), held)
        self.assert_answers(first)
        with harness.Client(second) as client:
            client.send("hello\n")
            self.assertEqual(client.read_line(), b"hello\n")
        self.daemon.wait_log("a socket that was passed to us")

    def test_tcp_too(self):
        main, tcp = self.target(), self.target("tcp", transport="tcp", trust="nobody")
        sock = self.listening(tcp)
        self.start(main, tcp, passed=[(sock, UNIT)])
        self.assertIn(self.inode(sock), self.daemon.fds().values())
        self.assert_answers(tcp)
        self.assert_answers(main)

    def test_who_waited_is_answered(self):
        target = self.target()
        sock = self.listening(target)
        client = harness.Client(target)
        self.addCleanup(client.close)
        text, _ = client.request("agent.ping")
        client.send(text)
        self.start(target, passed=[(sock, UNIT)])
        self.assertEqual(client.read()["result"], {})

    def test_a_section_without_one_is_bound(self):
        main, other = self.target("main"), self.target("other")
        sock = self.listening(other)
        self.start(main, other, passed=[(sock, UNIT)])
        self.assert_answers(main)
        self.assert_answers(other)

    def test_a_stranger_is_refused(self):
        main, stranger = self.target("main"), self.target("stranger")
        socks = [self.listening(stranger), self.listening(main)]
        self.start(main, passed=[(sock, UNIT) for sock in socks])
        line = self.daemon.wait_log(r"^.*is refused.*$").group()
        self.assertIn("fd 3", line)
        self.assertIn(UNIT, line)
        self.assertIn(str(stranger.address[1]) if isinstance(stranger.address, tuple)
                      else stranger.address, line)
        self.assertIn("write a [port] or [listen] for it", line)
        self.assertIn("refused", self.daemon.status())
        self.assert_answers(main)
        # The unit goes on listening. Who calls there is hung up on, rather than left waiting.
        self.assert_hung_up_on(stranger)
        self.daemon.wait_log("fd 3 .*: a caller was turned away")
        self.daemon.stop()
        socks[0].close()
        self.assert_nobody(stranger)

    def test_who_waited_with_a_stranger_is_turned_away(self):
        main, stranger = self.target("main"), self.target("stranger")
        socks = [self.listening(stranger), self.listening(main)]
        client = harness.Client(stranger)
        self.addCleanup(client.close)
        self.start(main, passed=[(sock, UNIT) for sock in socks])
        self.assertEqual(client.read_end(), [])

    def test_a_flood_of_a_strangers_callers_is_no_flood_of_records(self):
        main, stranger = self.target("main"), self.target("stranger")
        socks = [self.listening(stranger, 256), self.listening(main)]
        self.start(main, passed=[(sock, UNIT) for sock in socks])
        for _ in range(100):
            self.assert_hung_up_on(stranger)
        self.assert_answers(main)
        self.daemon.stop()
        self.assertLessEqual(self.daemon.stderr.count("turned away"), 6)

    def test_a_reload_takes_a_stranger_in(self):
        main, stranger = self.target("main"), self.target("stranger")
        socks = [self.listening(stranger), self.listening(main)]
        self.start(main, passed=[(sock, UNIT) for sock in socks])
        self.assert_hung_up_on(stranger)
        self.daemon.reload(self.config(main, stranger))
        self.assert_answers(stranger)
        self.assertNotIn("refused", self.daemon.status())
        # And gives it back, as often as that is asked.
        for _ in range(2):
            self.daemon.reload(self.config(main))
            self.assert_hung_up_on(stranger)
            self.assertIn("refused", self.daemon.status())
            self.daemon.reload(self.config(main, stranger))
            self.assert_answers(stranger)

    def test_what_does_not_listen_is_refused(self):
        pair = socket.socketpair()
        datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with pair[0], pair[1], datagram, open("/dev/null", "rb") as file:
            self.start(passed=[(pair[0], "a"), (datagram, "b"), (file, "c")])
            for number in (3, 4, 5):
                self.daemon.wait_log(r"fd %d \(.\) is refused: it is not a stream socket" % number)
            self.assert_answers()

    def test_two_of_one_address(self):
        target = self.target()
        sock = self.listening(target)
        self.start(target, passed=[(sock, UNIT), (sock, UNIT)])
        self.daemon.wait_log(r"fd 4 \(%s\) is refused" % UNIT)
        # It is the same queue: nobody is taken out of it to be turned away.
        for _ in range(20):
            self.assert_answers()

    def test_a_stranger_twice(self):
        main, stranger = self.target("main"), self.target("stranger")
        sock = self.listening(stranger)
        self.start(main, passed=[(self.listening(main), UNIT), (sock, UNIT), (sock, UNIT)])
        self.daemon.wait_log(r"fd 4 \(%s\) is refused" % UNIT)
        self.daemon.wait_log(r"fd 5 \(%s\) is refused" % UNIT)
        self.assert_hung_up_on(stranger)

    def test_packets_and_names_without_a_file_are_refused(self):
        """ListenSequentialPacket= and ListenStream=@name: they listen, and nobody waits there."""
        packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = os.path.join(self.folder, "packets")
        with packets, abstract:
            packets.bind(path)
            abstract.bind("\0guestwire-test-%d" % os.getpid())
            for sock in (packets, abstract):
                sock.listen(4)
            self.start(passed=[(packets, UNIT), (abstract, UNIT)])
            self.daemon.wait_log(r"fd 3 .* is refused: it is not a stream socket")
            self.daemon.wait_log(r"fd 4 .* is refused: it listens on no kind of address")
            for sock, kind in ((packets, socket.SOCK_SEQPACKET), (abstract, socket.SOCK_STREAM)):
                with socket.socket(socket.AF_UNIX, kind) as caller:
                    caller.settimeout(harness.DEADLINE)
                    caller.connect(sock.getsockname())
                    self.assertEqual(caller.recv(1), b"")
            self.assert_answers()

    def test_reload_keeps_it(self):
        target, other = self.target(), self.target("other")
        sock = self.listening(target)
        self.start(target, passed=[(sock, UNIT)])
        client = self.connect()
        self.daemon.reload(self.config(target, other))
        self.assertIn(self.inode(sock), self.daemon.fds().values())
        self.assertEqual(client.call("agent.ping"), {})
        self.assert_answers(target)
        self.assert_answers(other)

    def test_a_reload_that_drops_it_is_told(self):
        target, other = self.target(), self.target("other")
        sock = self.listening(target)
        self.start(target, passed=[(sock, UNIT)])
        self.daemon.reload(self.config(other))
        self.daemon.wait_log("%s: its socket unit goes on listening" % target.section)
        self.assert_hung_up_on(target)
        self.main = other
        self.assert_answers()

    @harness.only("unix")
    def test_the_file_stays_and_gets_its_mode(self):
        target = self.target(mode="0640")
        sock = self.listening(target)
        os.chmod(target.address, 0o666)
        self.start(target, passed=[(sock, UNIT)])
        self.assertEqual(stat.S_IMODE(os.stat(target.address).st_mode), 0o640)
        self.daemon.stop()
        self.assertTrue(os.path.exists(target.address))
        # Another one takes over where this one has ended.
        self.start(target, passed=[(sock, UNIT)])
        self.assert_answers()

    @harness.only("unix")
    def test_a_file_that_cannot_be_given_its_mode(self):
        """Its section waits, and says why; the others are served."""
        target, other = self.target(), self.target("other")
        sock = self.listening_elsewhere(target)
        self.start(other, target, passed=[(sock, UNIT)])
        self.daemon.wait_log("%s: not listening: cannot give '%s'" % (
            target.section, target.address))
        self.assertIn("%s waits: " % target.section, self.daemon.status())
        self.assertNotIn("refused", self.daemon.stderr)
        self.assert_answers(other)
        self.put_back(target)
        self.daemon.reload()
        self.assertIn(self.inode(sock), self.daemon.fds().values())
        self.assert_answers(target)

    @harness.only("unix")
    def test_a_section_that_waits_and_goes(self):
        """It has asked more than once; when it goes the socket is a stranger like any other."""
        target, other = self.target(), self.target("other")
        sock = self.listening_elsewhere(target)
        self.start(other, target, passed=[(sock, UNIT)])
        first = self.daemon.wait_log("%s: not listening: .*" % target.section)
        # Another reason, so that the second try is told too: a timer's, not a reload's.
        folder = os.path.dirname(target.address)
        os.chmod(folder, 0o777)
        second = self.daemon.wait_log("%s: not listening: .*" % target.section, first.end())
        self.assertNotEqual(second.group(), first.group())
        os.chmod(folder, 0o700)
        self.daemon.reload(self.config(other))
        self.put_back(target)
        self.assert_hung_up_on(target)
        self.daemon.wait_log(r"fd 3 \(%s\) is refused: it listens on .* no section" % UNIT)

    @harness.only("unix")
    def test_a_path_that_is_written_otherwise(self):
        """systemd makes /run/x of /var/run/x, and of two slashes one."""
        target = self.target()
        sock = self.listening(target)
        link = os.path.join(self.folder, "link")
        os.symlink(self.folder, link)
        path = target.address
        for other in (path.replace("/", "//"), path.replace("/", "/./"),
                      os.path.join(link, os.path.basename(path))):
            with self.subTest(other):
                target.address = other
                self.start(target, passed=[(sock, UNIT)])
                self.assertIn(self.inode(sock), self.daemon.fds().values())
                self.assertNotIn("refused", self.daemon.stderr)
                self.assert_answers(target)
                self.daemon.stop()
                target.address = path

    @harness.only("unix")
    def test_a_file_that_is_gone(self):
        """Nobody can call there any more: there is a new one, and a word about the unit."""
        target = self.target()
        sock = self.listening(target)
        os.unlink(target.address)
        self.start(target, passed=[(sock, UNIT)])
        self.daemon.wait_log(r"fd 3 \(%s\) is refused: its file is gone" % UNIT)
        self.assert_answers(target)
        self.daemon.reload()
        self.assert_answers(target)
        self.daemon.stop()
        self.assertEqual(self.daemon.stderr.count("its file is gone"), 1)

    @harness.only("unix")
    def test_callers_see_the_daemon_behind_it(self):
        target = self.target()
        sock = self.listening(target)
        self.start(target, passed=[(sock, UNIT)])
        with harness.Client(target) as client:
            cred = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.assertEqual(int.from_bytes(cred[:4], "little"), self.daemon.pid)

    def test_for_another_process(self):
        """LISTEN_PID of a parent's: these are not for us."""
        target = self.target()
        self.start(target, environment={"LISTEN_FDS": "3", "LISTEN_PID": "1"})
        self.assertNotIn("refused", self.daemon.stderr)
        self.assert_answers()

    def test_a_number_that_makes_no_sense(self):
        self.start(environment={"LISTEN_FDS": "many", "LISTEN_PID": "self"})
        self.daemon.wait_log("LISTEN_FDS")
        self.assert_answers()


class ExitOnIdle(Activation):
    def start_idle(self, *targets, limit="200ms", **options):
        socks = [self.listening(target) for target in targets]
        self.start(*targets, agent={"exit_on_idle": limit},
                   passed=[(sock, UNIT) for sock in socks], **options)
        return socks

    def test_it_ends(self):
        target = self.target()
        self.start_idle(target)
        self.daemon.expect_exit(0)
        self.assertIn("STOPPING=1", self.daemon.messages)

    def test_it_ends_after_the_last_connection(self):
        target = self.target()
        sock = self.listening(target)
        # Ahead of the daemon, which might be gone before it is called.
        client = self.connect(target)
        self.start(target, agent={"exit_on_idle": "2s"}, passed=[(sock, UNIT)])
        self.assertEqual(client.call("agent.ping"), {})
        # Longer than the limit, and it is there.
        threading.Event().wait(2.2)
        self.assertEqual(client.call("agent.ping"), {})
        client.close()
        self.daemon.expect_exit(0)
        # And is back for the next caller.
        late = harness.Client(target)
        self.addCleanup(late.close)
        self.start(target, passed=[(sock, UNIT)])
        self.assertEqual(late.call("agent.ping"), {})

    def test_a_job_keeps_it(self):
        target = self.target(trust="peers", trust_unsafe="yes")
        sock = self.listening(target)
        with harness.Client(target) as client:
            self.start(target, agent={"exit_on_idle": "1s"}, passed=[(sock, UNIT)])
            job = client.call("exec.start", {"argv": ["/bin/sleep", "600"], "scope": "agent"})
        threading.Event().wait(1.5)
        with harness.Client(target) as client:
            client.call("exec.signal", {"job": job["job"], "signal": "KILL"})
            client.call("exec.wait", {"job": job["job"]})
            client.call("exec.remove", {"job": job["job"]})
        self.daemon.expect_exit(0)

    def test_the_end_of_a_job_begins_it_anew(self):
        target = self.target(trust="peers", trust_unsafe="yes")
        sock = self.listening(target)
        with harness.Client(target) as client:
            self.start(target, agent={"exit_on_idle": "3s", "job_keep": "1ms"},
                       passed=[(sock, UNIT)])
            begun = time.monotonic()
            client.call("exec.start", {"argv": ["/bin/sleep", "2"], "scope": "agent"})
        self.daemon.expect_exit(0)
        # Of the job's end and the whole time after it; not of the caller's.
        self.assertGreaterEqual(time.monotonic() - begun, 5)

    @harness.only("unix")
    def test_a_socket_that_is_had_later(self):
        target = self.target()
        sock = self.listening_elsewhere(target)
        self.start(target, agent={"exit_on_idle": "50ms"}, passed=[(sock, UNIT)])
        self.daemon.wait_log("exit-on-idle has no effect: .*callers of %s" % target.section)
        self.put_back(target)
        self.daemon.expect_exit(0)
        self.assertEqual(self.daemon.stderr.count("exit-on-idle has no effect"), 1)

    def test_not_where_a_port_would_be_lost(self):
        main, other = self.target(), self.target("other")
        sock = self.listening(main)
        self.start(main, other, agent={"exit_on_idle": "50ms"}, passed=[(sock, UNIT)])
        self.daemon.wait_log("exit-on-idle has no effect: .*callers of %s" % other.section)
        threading.Event().wait(0.3)
        self.assert_answers()
        # Without that port it may end.
        self.daemon.write_config(self.config(main, agent={"exit_on_idle": "50ms"}))
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.expect_exit(0)

    def test_in_spite_of_a_stranger(self):
        """Who calls there starts the agent again, is turned away, and waits for nobody."""
        main, stranger = self.target("main"), self.target("stranger")
        socks = [self.listening(main), self.listening(stranger)]
        for _ in range(2):
            client = harness.Client(stranger)
            self.addCleanup(client.close)
            self.start(main, agent={"exit_on_idle": "200ms"},
                       passed=[(sock, UNIT) for sock in socks])
            self.assertEqual(client.read_end(), [])
            self.daemon.expect_exit(0)

    def test_not_where_nobody_reads(self):
        """A socket unit's datagrams would start it again at once, for ever."""
        main = self.target()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.bind(os.path.join(self.folder, "datagrams"))
            self.start(main, agent={"exit_on_idle": "50ms"},
                       passed=[(self.listening(main), UNIT), (datagram, UNIT)])
            self.daemon.wait_log("exit-on-idle has no effect: .* a passed socket that was refused")
            threading.Event().wait(0.3)
            self.assert_answers()

    def test_not_without_activation(self):
        self.start(agent={"exit_on_idle": "50ms"})
        said = self.daemon.wait_log("exit-on-idle has no effect")
        threading.Event().wait(0.3)
        self.assert_answers()
        # Told again where it was taken back in the meantime.
        self.daemon.reload(self.config(self.main))
        self.daemon.reload(self.config(self.main, agent={"exit_on_idle": "50ms"}))
        self.daemon.wait_log("exit-on-idle has no effect", said.end())


class Store(Activation):
    def again(self, *targets, **options):
        """A daemon in the place of this one, with what the manager has kept."""
        old = self.daemon
        kept = [(sock, name) for name, sock in old.store.items()]
        self.start(*targets, environment=STORE, passed=kept, **options)
        return kept

    def test_none_without_a_store(self):
        self.start()
        self.assertEqual(self.daemon.store, {})

    def test_a_restart_loses_no_caller(self):
        target, other = self.target(), self.target("other")
        self.start(target, other, environment=STORE)
        self.assertEqual(len(self.daemon.store), 2)
        before = sorted(self.inode(sock) for sock in self.daemon.store.values())
        self.daemon.stop()
        # Nobody is there, and yet a caller comes through.
        client = harness.Client(target)
        self.addCleanup(client.close)
        kept = self.again(target, other)
        self.assertEqual(client.call("agent.ping"), {})
        held = self.daemon.fds().values()
        self.assertEqual(sorted(x for x in held if x in before), before)
        # They are in the store already.
        self.assertEqual((len(kept), self.daemon.store), (2, {}))
        self.assertNotIn("refused", self.daemon.stderr)

    def test_calls_end_while_callers_wait(self):
        target = self.target(trust="peers", trust_unsafe="yes")
        self.start(target, agent={"shutdown_timeout": "1min"}, environment=STORE)
        client = self.connect()
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        text, ident = client.request("exec.run", {
            "argv": ["/bin/sh", "-c", "read x <%s; echo $x" % fifo], "scope": "agent"})
        client.send(text)
        harness.until(lambda: self.daemon.children(), "the program runs")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.wait_notify("STOPPING=1")
        late = harness.Client(target)
        self.addCleanup(late.close)
        with open(fifo, "w", encoding="ascii") as file:
            file.write("done\n")
        replies = {reply["id"]: reply for reply in client.read_end()}
        self.assertEqual(replies[ident]["result"]["stdout"], "done\n")
        self.daemon.expect_exit(0)
        self.again(target)
        self.assertEqual(late.call("agent.ping"), {})

    def test_who_had_just_come_is_answered_by_the_old_one(self):
        """Connected, accepted, and the agent is told to stop before the first byte."""
        target = self.target()
        self.start(target, environment=STORE)
        client = self.connect()
        harness.until(lambda: self.stats()["connections"]["current"] == 2, "it is accepted")
        idle = self.connect()
        self.assertEqual(idle.call("agent.ping"), {})
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.wait_notify("STOPPING=1")
        # Who has been answered and has nothing more to say is not waited for.
        self.assertEqual(idle.read_end(), [])
        self.assertEqual(client.call("agent.ping"), {})
        client.close()
        self.daemon.expect_exit(0)

    def test_who_comes_and_says_nothing_does_not_hold_it_back(self):
        target = self.target()
        self.start(target, agent={"shutdown_timeout": "infinity"})
        client = self.connect()
        harness.until(lambda: self.stats()["connections"]["current"] == 2, "it is accepted")
        self.daemon.stop()
        self.assertEqual(client.read_end(), [])

    def test_a_crash_loses_no_caller(self):
        target = self.target()
        self.start(target, environment=STORE)
        self.daemon.process.kill()
        self.daemon.wait_exit()
        client = harness.Client(target)
        self.addCleanup(client.close)
        self.again(target)
        self.assertEqual(client.call("agent.ping"), {})

    def test_a_section_that_goes_goes_out_of_it(self):
        target, other = self.target(), self.target("other")
        self.start(target, other, environment=STORE)
        self.daemon.reload(self.config(target))
        self.assertEqual(len(self.daemon.store), 1)
        self.assert_nobody(other)
        self.daemon.reload(self.config(target, other))
        self.assertEqual(len(self.daemon.store), 2)
        self.assert_answers(other)

    def test_a_section_that_went_meanwhile(self):
        target, other = self.target(), self.target("other")
        self.start(target, other, environment=STORE)
        self.daemon.stop()
        store = dict(self.daemon.store)
        self.again(target)
        removed = [m[len("FDNAME="):] for m in self.daemon.messages if m.startswith("FDNAME=")]
        self.assertEqual(len(removed), 1)
        self.assertIn("FDSTOREREMOVE=1", self.daemon.messages)
        store[removed[0]].close()
        self.assert_nobody(other)
        self.assert_answers(target)

    def test_a_full_store(self):
        targets = [self.target("n%d" % i) for i in range(3)]
        self.start(*targets, environment={"FDSTORE": "2"})
        self.assertEqual(len(self.daemon.store), 2)
        self.daemon.wait_log("FileDescriptorStoreMax=")
        for target in targets:
            self.assert_answers(target)

    def test_a_store_that_has_become_smaller(self):
        """The unit's FileDescriptorStoreMax= was lowered: what was kept is served all the same."""
        targets = [self.target("n%d" % i) for i in range(3)]
        self.start(*targets, environment=STORE)
        self.daemon.stop()
        kept = [(sock, name) for name, sock in self.daemon.store.items()]
        self.start(*targets, self.target("new"), environment={"FDSTORE": "1"}, passed=kept)
        self.daemon.wait_log("FileDescriptorStoreMax=")
        held = self.daemon.fds().values()
        for sock, _ in kept:
            self.assertIn(self.inode(sock), held)
        for target in targets:
            self.assert_answers(target)
        self.assertNotIn("refused", self.daemon.stderr)

    def test_names_that_repeat(self):
        """As the manager keeps them under one, or as somebody else has put them there."""
        first, second = self.target("first"), self.target("second", handler="echo")
        socks = [self.listening(first), self.listening(second)]
        name = "stored"
        self.start(first, second, environment=STORE, passed=[(sock, name) for sock in socks])
        held = self.daemon.fds().values()
        for sock in socks:
            self.assertIn(self.inode(sock), held)
        self.assert_answers(first)

    @harness.only("unix")
    def test_a_file_that_was_removed_is_made_anew(self):
        target = self.target()
        self.start(target, environment=STORE)
        self.daemon.stop()
        os.unlink(target.address)
        self.again(target)
        self.assertIn("FDSTOREREMOVE=1", self.daemon.messages)
        self.assertEqual(len(self.daemon.store), 1)
        self.assert_answers()

    @harness.only("unix")
    def test_more_than_the_managers_queue_holds(self):
        targets = [self.target("n%d" % i) for i in range(40)]
        self.start(*targets, environment=STORE)
        harness.until(lambda: len(self.daemon.store) == 40, "all are in the store")


if __name__ == "__main__":
    harness.main()
