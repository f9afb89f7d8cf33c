# SPDX-License-Identifier: MIT
"""guestwire connect: every byte arrives, whatever stands at either end."""

import contextlib
import fcntl
import getpass
import os
import pty
import shutil
import signal
import socket
import subprocess
import threading
import tty

import harness
from cli import CONNECTION, OK, REFUSED, TIMEOUT, USAGE
from harness import CID_LOCAL, DEADLINE, GUESTWIRE, TRANSPORT, only, until
from streams import MIB, Service, Streams, digest, echo, read_all


class Connect(Streams):
    def test_there_and_back(self):
        service = Service(self, echo)
        self.assertEqual(self.connect_run(service.cli, data=b"hello"), b"hello")
        self.assertEqual(self.connect_run(service.cli), b"")

    def test_large_from_file_to_file(self):
        service, path, out = Service(self, echo), self.large_file(), self.folder + "/out"
        with open(path, "rb") as source, open(out, "wb") as target:
            self.connect_run(service.cli, stdin=source, stdout=target)
        with open(out, "rb") as file:
            self.assert_same(file.read(), path)

    def test_large_through_pipes(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as file:
            self.assert_same(self.connect_run(service.cli, data=file.read()), path)

    def test_a_file_is_read_and_written_from_where_it_stands(self):
        service = Service(self, echo)
        path = os.path.join(self.folder, "file")
        with open(path, "wb") as file:
            file.write(b"before, and after")
        with open(path, "rb", buffering=0) as source, open(path + ".out", "wb",
                                                           buffering=0) as target:
            source.seek(len(b"before, "))
            target.write(b"here: ")
            self.connect_run(service.cli, stdin=source, stdout=target)
        with open(path + ".out", "rb") as file:
            self.assertEqual(file.read(), b"here: and after")
        with open(path + ".out", "ab") as target:
            self.connect_run(service.cli, data=b"!", stdout=target)
        with open(path + ".out", "rb") as file:
            self.assertEqual(file.read(), b"here: and after!")

    def test_the_end_of_input_is_passed_on(self):
        """A service that answers at the end of its input, and not before."""
        service = Service(self, lambda sock: sock.sendall(digest(read_all(sock)).encode()))
        data = os.urandom(MIB)
        self.assertEqual(self.connect_run(service.cli, data=data), digest(data).encode())

    def test_goes_on_reading_after_the_end_of_input(self):
        more = threading.Event()

        def talk(sock):
            self.assertEqual(sock.recv(1), b"")
            sock.sendall(b"one ")
            more.wait(DEADLINE)
            sock.sendall(b"two")
        process = self.popen("connect", Service(self, talk).cli)
        self.assertEqual(process.stdout.read(4), b"one ")
        self.assertIsNone(process.poll())
        more.set()
        self.assertEqual(process.stdout.read(), b"two")
        self.assertEqual(process.wait(DEADLINE), OK)

    def test_goes_on_writing_after_the_guests_end(self):
        """The guest has said all it has to say, but it is still listening."""
        got = []

        def talk(sock):
            sock.sendall(b"ready")
            sock.shutdown(socket.SHUT_WR)
            got.append(read_all(sock))
        service = Service(self, talk)
        process = self.popen("connect", service.cli, stdin=subprocess.PIPE)
        # The output ends before the input does.
        self.assertEqual(process.stdout.read(), b"ready")
        data = os.urandom(MIB)
        process.stdin.write(data)
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), OK)
        until(lambda: got, "what the service read")
        self.assertEqual(digest(got[0]), digest(data))

    def test_ends_when_the_guest_has_gone(self):
        """The input is open still; nobody would take it."""
        process = self.popen("connect", Service(self, lambda sock: sock.sendall(b"bye")).cli,
                             stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.read(), b"bye")
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assertEqual(process.stderr.read(), b"")

    def test_a_guest_that_leaves_with_data_unread_is_no_success(self):
        service = Service(self, lambda sock: sock.recv(1))
        with open(self.large_file(), "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            self.assertEqual(process.wait(DEADLINE), CONNECTION)
        self.assertRegex(process.stderr.read(), b"broke before all was passed on")

    def test_a_slow_reader_loses_nothing(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            pieces = []
            while True:
                piece = os.read(process.stdout.fileno(), 4096 if len(pieces) < 256 else MIB)
                if not piece:
                    break
                pieces.append(piece)
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assert_same(b"".join(pieces), path)

    def test_memory_is_bounded_while_nobody_reads(self):
        service, path = Service(self, echo), self.large_file()
        with open(path, "rb") as source:
            process = self.popen("connect", service.cli, stdin=source)
            self.assertNotEqual(os.read(process.stdout.fileno(), 1), b"")
            peak = []

            def settled():
                with open("/proc/%d/io" % process.pid, encoding="ascii") as file:
                    peak.append(file.read())
                return len(peak) > 3 and peak[-1] == peak[-4]
            until(settled, "it stopped reading")
            rss = harness.peak_rss(process.pid)
        if not harness.build_kind():
            self.assertLess(rss, 24 * MIB)
        process.kill()

    def test_closed_streams(self):
        """What is closed is empty, or swallows; a socket never takes its number."""
        service = Service(self, echo)
        script = 'exec "$0" connect "$1" %s'
        for redirection, data, expected in (("<&-", b"", b""), (">&-", b"lost", b""),
                                            ("<&- >&-", b"", b""), ("2>&-", b"kept", b"kept"),
                                            ("<&- >&- 2>&-", b"", b"")):
            with self.subTest(redirection=redirection):
                result = subprocess.run(["sh", "-c", script % redirection, GUESTWIRE, service.cli],
                                        input=data, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (OK, expected, b""))

    def test_null_device(self):
        service = Service(self, echo)
        with open("/dev/null", "r+b", buffering=0) as null:
            self.assertIsNone(self.connect_run(service.cli, data=bytes(MIB), stdout=null))
            self.assertEqual(self.connect_run(service.cli, stdin=null), b"")

    def test_reader_that_has_had_enough(self):
        service, path = Service(self, echo), self.large_file()
        for restore in (True, False):  # SIGPIPE as it is, and ignored
            old = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                with open(path, "rb") as source:
                    process = self.popen("connect", service.cli, stdin=source,
                                         restore_signals=restore)
            finally:
                signal.signal(signal.SIGPIPE, old)
            process.stdout.read(10)
            process.stdout.close()
            process.stdout = None
            self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (REFUSED, b""))

    def test_ends_when_its_reader_has_gone(self):
        """Though the input is open, and the guest would send for ever."""
        gone = threading.Event()

        def talk(sock):
            try:
                while True:
                    sock.sendall(bytes(65536))
            finally:
                gone.set()
        process = self.popen("connect", Service(self, talk).cli, stdin=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        process.stdout = None
        self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (REFUSED, b""))
        self.assertTrue(gone.wait(DEADLINE))

    def test_a_reader_that_has_gone_stops_no_upload(self):
        """As long as the guest has nothing to say, nothing is lost."""
        got = []
        service = Service(self, lambda sock: got.append(read_all(sock)))
        process = self.popen("connect", service.cli, stdin=subprocess.PIPE)
        process.stdout.close()
        process.stdout = None
        data = os.urandom(MIB)
        process.stdin.write(data)
        process.stdin.close()
        self.assertEqual((process.wait(DEADLINE), process.stderr.read()), (OK, b""))
        until(lambda: got, "what the service read")
        self.assertEqual(digest(got[0]), digest(data))

    def test_full_disk_is_no_success(self):
        service = Service(self, echo)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([GUESTWIRE, "connect", service.cli], input=b"x", stdout=full,
                                    stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
        self.assertEqual(result.returncode, REFUSED)
        self.assertIn(b"No space left", result.stderr)

    def test_one_socket_for_both(self):
        """As inetd and some ssh clients start a program."""
        service = Service(self, echo)
        ours, its = socket.socketpair()
        with ours:
            with its:
                process = self.popen("connect", service.cli, stdin=its, stdout=its)
            ours.settimeout(DEADLINE)
            data = os.urandom(MIB)
            writer = threading.Thread(target=lambda: (ours.sendall(data),
                                                      ours.shutdown(socket.SHUT_WR)))
            writer.start()
            self.assertEqual(digest(read_all(ours)), digest(data))
            writer.join()
        self.assertEqual(process.wait(DEADLINE), OK)

    def test_a_terminal_stays_as_it_was(self):
        service = Service(self, echo)
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        tty.setraw(follower)
        flags = fcntl.fcntl(follower, fcntl.F_GETFL)
        process = self.popen("connect", service.cli, stdin=follower, stdout=follower)
        os.write(leader, b"hello")
        echoed = b""
        while len(echoed) < 5:
            echoed += os.read(leader, 5)
        self.assertEqual(echoed, b"hello")
        # Other programs share it meanwhile.
        self.assertEqual(fcntl.fcntl(follower, fcntl.F_GETFL), flags)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), -signal.SIGTERM)
        self.assertEqual(fcntl.fcntl(follower, fcntl.F_GETFL), flags)

    def test_descriptions_that_others_share_stay_as_they_were(self):
        """Pipes, a named pipe's reader, a socket: none is left non-blocking behind."""
        service = Service(self, echo)
        read, write = os.pipe()
        a, b = socket.socketpair()
        held = [(read, write), (a.detach(), b.detach())]
        for ours, its in held:
            self.addCleanup(os.close, ours)
            self.addCleanup(os.close, its)
            flags = fcntl.fcntl(its, fcntl.F_GETFL)
            self.connect_run(service.cli, data=b"x", stdout=its)
            self.assertEqual(fcntl.fcntl(its, fcntl.F_GETFL), flags)
            self.assertEqual(os.read(ours, 10), b"x")

    def test_named_pipes(self):
        service = Service(self, echo)
        path = os.path.join(self.folder, "fifo")
        os.mkfifo(path)
        process = subprocess.Popen(["sh", "-c", 'exec "$0" connect "$1" <"$2"', GUESTWIRE,
                                    service.cli, path], stdout=subprocess.PIPE)
        with open(path, "wb", buffering=0) as fifo:
            fifo.write(b"through a name")
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"through a name")
        self.assertEqual(process.returncode, OK)

    def test_killed_by_a_signal(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.popen("connect", Service(self, echo).cli, stdin=subprocess.PIPE)
            process.stdin.write(b"x")
            process.stdin.flush()
            self.assertEqual(process.stdout.read(1), b"x")
            process.send_signal(sig)
            self.assertEqual(process.wait(DEADLINE), -sig)

    def test_nobody_listens(self):
        service = Service(self, echo)
        service.close()
        with contextlib.suppress(FileNotFoundError):
            if TRANSPORT == "unix":
                os.unlink(service.cli[len("unix:"):])
        self.run_bad(CONNECTION, "no connection to .*guestwired", "connect", service.cli)
        self.run_bad(TIMEOUT, "in time; at last: no connection", "connect", "--wait=2s",
                     service.cli)

    def test_waits_for_the_service(self):
        path = os.path.join(self.folder, "late.sock")
        target = "unix:" + path
        process = self.popen("connect", "--wait", target)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen(1)
            sock.settimeout(DEADLINE)
            caller = sock.accept()[0]
            with caller:
                # Nothing is asked of what need not be an agent.
                caller.settimeout(DEADLINE)
                self.assertEqual(read_all(caller), b"")
                caller.sendall(b"late")
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"late")
        self.assertEqual(process.returncode, OK)

    @only("unix")
    def test_timeout_is_for_the_connection_alone(self):
        path = os.path.join(self.folder, "full.sock")
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(path)
            sock.listen(0)
            for _ in range(2):  # then the backlog is full
                caller = stack.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    caller.connect(path)
            self.run_bad(TIMEOUT, "no connection", "connect", "--timeout=200ms", "unix:" + path)

        release = threading.Event()

        def talk(sock):
            release.wait(DEADLINE)
            sock.sendall(b"late")
        service = Service(self, talk)
        process = self.popen("connect", "--timeout=2s", service.cli)
        until(lambda: service.peers, "it is connected")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(3)
        release.set()
        self.assertEqual(process.communicate(timeout=DEADLINE)[0], b"late")

    @only("unix")
    def test_port_goes_before_the_targets(self):
        service = Service(self, echo, kind="tcp")
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        for port in (str(service.port), hex(service.port), guid):
            self.assertEqual(self.connect_run("tcp:127.0.0.1", port, data=b"x"), b"x")
        self.assertEqual(self.connect_run("tcp:localhost:1", str(service.port), data=b"x"), b"x")
        self.run_bad(USAGE, "Unix socket has no ports", "connect", "unix:/run/x.sock", "22")
        for port in ("0", "65536"):
            self.run_bad(USAGE, "from 1 to 65535", "connect", "tcp:127.0.0.1", port)
        for port in ("", "x", "-1", "22 ", "4294967295", "00000016-facb-11e6-bd58-000000000000"):
            self.run_bad(USAGE, "port|GUID", "connect", "--", "21", port)
        self.run_bad(USAGE, "takes no 'more'", "connect", "21", "22", "more")
        self.run_bad(USAGE, "is not a target", "connect", "nowhere")
        self.run_bad(USAGE, "is not a target", "connect", "192.0.2.1", "22")
        self.run_bad(USAGE, "is not a target", "info", "0.0.0.21")

    @only("unix")
    def test_through_a_mux(self):
        """The bytes behind "OK" are the guest's, however they come."""
        def talk(sock):
            line = b""
            while not line.endswith(b"\n"):
                line += sock.recv(1)
            if line == b"CONNECT 22\n":
                sock.sendall(b"OK 1073741824\nbanner ")
                echo(sock)
        service = Service(self, talk, kind="unix")
        path = service.cli[len("unix:"):]
        for args in (("mux:" + path, "22"), ("mux:%s:22" % path,), ("mux:%s:5" % path, "0x16")):
            self.assertEqual(self.connect_run(*args, data=b"hello"), b"banner hello")
        self.run_bad(CONNECTION, "nobody listens on port 23", "connect", "mux:" + path, "23")

    @only("unix")
    def test_tcp_on_a_terminal_ends_with_the_guest(self):
        service = Service(self, lambda sock: sock.sendall(b"bye"), kind="tcp")
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        process = self.popen("connect", service.cli, stdin=follower)
        self.assertEqual(process.stdout.read(), b"bye")
        self.assertEqual(process.wait(DEADLINE), OK)


@only("vsock")
class ConnectVsock(Streams):
    def test_no_privileged_port(self):
        service = Service(self, echo)
        self.assertEqual(os.geteuid(), 0)
        self.assertEqual(self.connect_run("1", str(service.port), data=b"x"), b"x")
        (cid, port), = service.peers
        self.assertEqual(cid, CID_LOCAL)
        self.assertGreaterEqual(port, 1024)

    def test_forms_of_the_port(self):
        service = Service(self, echo)
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        for port in (str(service.port), hex(service.port), guid):
            self.assertEqual(self.connect_run("local", port, data=b"x"), b"x")
        self.assertEqual(self.connect_run("0.0.0.1", str(service.port), data=b"x"), b"x")
        self.assertEqual(self.connect_run("vsock:1:1", str(service.port), data=b"x"), b"x")

    def test_socat_listens(self):
        """A real peer of another make: cat(1) behind socat's VSOCK-LISTEN."""
        if not shutil.which("socat"):
            self.skipTest("socat is missing")
        port, path = self.free_port(), self.large_file()
        # Without -t it gives cat half a second after the end of its input, and that is too little.
        socat = subprocess.Popen(["socat", "-t", "60", "VSOCK-LISTEN:%d,fork" % port, "EXEC:cat"],
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(socat.wait)
        self.addCleanup(socat.kill)
        with open(path, "rb") as source:
            self.assert_same(self.connect_run("--wait", "1", str(port), stdin=source), path)
        self.assertEqual(self.connect_run("1", str(port), data=b"x"), b"x")
        self.assertEqual(self.connect_run("1", str(port)), b"")


# --- ssh ----------------------------------------------------------------------------------


class Ssh(Streams):
    """A real sshd behind a port of the agent, by ssh's ProxyCommand."""

    def setUp(self):
        super().setUp()
        self.sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.sshd or not shutil.which("ssh") or not shutil.which("scp"):
            self.skipTest("ssh or sshd is missing (Debian: openssh-client, openssh-server)")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # its own; compiled in
        self.key = self.make_key("key")
        shutil.copy(self.key + ".pub", self.path("authorized"))
        with open(self.path("sshd_config"), "w", encoding="utf-8") as file:
            file.write("HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"
                       "PermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
                       "PrintMotd no\nPrintLastLog no\nSubsystem sftp internal-sftp\n"
                       % (self.make_key("host"), self.path("authorized")))

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_key(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)],
                       check=True, stdin=subprocess.DEVNULL)
        return self.path(name)

    def serve(self, kind=TRANSPORT):
        """sshd -i for each connection, its standard input and output the connection itself."""
        def talk(sock):
            subprocess.run([self.sshd, "-i", "-e", "-f", self.path("sshd_config")], stdin=sock,
                           stdout=sock, stderr=subprocess.DEVNULL, check=False)
        return Service(self, talk, kind)

    def options(self, proxy):
        with open(self.path("host.pub"), encoding="ascii") as file:
            known = " ".join(file.read().split()[:2])
        with open(self.path("known"), "w", encoding="ascii") as file:
            file.write("guest %s\n" % known)
        found = ["-F", "/dev/null"]
        for option in ("ProxyCommand=" + proxy, "UserKnownHostsFile=" + self.path("known"),
                       "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=guest",
                       "StrictHostKeyChecking=yes", "IdentityFile=" + self.key,
                       "IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR",
                       "User=" + getpass.getuser()):
            found += ["-o", option]
        return found

    def ssh(self, options, *command, **more):
        return subprocess.run(["ssh", *options, *command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=4 * DEADLINE, check=False, **more)

    def check_session(self, options, host):
        result = self.ssh(options, host, "echo in && exit 42", stdin=subprocess.DEVNULL)
        self.assertEqual((result.returncode, result.stdout), (42, b"in\n"), result.stderr)
        data = os.urandom(MIB)
        result = self.ssh(options, host, "sha256sum", input=data)
        self.assertEqual(result.stdout.split()[0].decode(), digest(data), result.stderr)

        path = self.large_file()
        for source, target in ((path, "%s:%s" % (host, self.path("there"))),
                               ("%s:%s" % (host, path), self.path("back"))):
            result = subprocess.run(["scp", *options, source, target], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    timeout=4 * DEADLINE, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("there", "back"):
            with open(self.path(name), "rb") as file:
                self.assert_same(file.read(), path)

    def test_proxy_command(self):
        service = self.serve()
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, service.cli)), "guest")

    @only("vsock")
    def test_host_and_port_are_the_targets(self):
        """As it stands in the manual: %h is the CID."""
        service = self.serve()
        options = self.options("%s connect %%h %d" % (GUESTWIRE, service.port))
        result = self.ssh(options, "1", "exit 7", stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 7, result.stderr)

    def agent_port(self, **keys):
        """A port of the agent that is a stream, and one to talk to the agent by."""
        target = self.target("ssh", **keys)
        self.start(self.target(), target)
        return target

    def test_forwarded_by_the_agent(self):
        """To a server in the guest: `handler = forward`."""
        port = self.agent_port(handler="forward", to=self.local_server())
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, port.cli)), "guest")

    def local_server(self):
        return self.serve("unix").cli

    def test_started_by_the_agent(self):
        """A server for each connection, inetd's way: `handler = exec`."""
        unsafe = {"trust_unsafe": "yes"} if TRANSPORT == "vsock" else {}
        port = self.agent_port(handler="exec", trust="peers", **unsafe, command="%s -i -e -f %s" % (
            self.sshd, self.path("sshd_config")))
        self.check_session(self.options("%s connect %s" % (GUESTWIRE, port.cli)), "guest")

    def test_no_guest(self):
        """ssh tells why, in our words."""
        service = self.serve()
        service.close()
        options = self.options("%s connect %s" % (GUESTWIRE, service.cli))
        result = self.ssh(options, "guest", "true", stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"guestwire: no connection to " + service.cli.encode(), result.stderr)


if __name__ == "__main__":
    harness.main()
