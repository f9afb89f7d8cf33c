# SPDX-License-Identifier: MIT
"""guestwire forward: a port here is one of the guest's."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import stat
import struct
import threading

import harness
from cli import CONNECTION, OK, USAGE
from harness import CID_LOCAL, DEADLINE, TRANSPORT, only, until
from streams import LARGE, MANY, MIB, Service, Streams, digest, echo, read_all


class Forward(Streams):
    KIND = "vsock" if TRANSPORT == "vsock" else "tcp"
    LINE = re.compile(r"guestwire: (\S+) -> (\S+): (\d+) connections, (\d+) current, (\d+) failed, "
                      r"(\d+) bytes to the guest, (\d+) bytes from the guest")

    def service(self, talk=echo):
        return Service(self, talk, kind=self.KIND)

    def forward(self, *args, n=1, **options):
        """A `guestwire forward` that listens on n addresses."""
        process = self.popen("forward", *args, **options)
        for _ in range(n):
            line = process.stderr.readline()
            self.assertRegex(line, rb"^guestwire: listening on \S+ for \S+\n$")
        return process

    def open(self, port, host="127.0.0.1"):
        sock = socket.create_connection((host, port), DEADLINE)
        self.addCleanup(sock.close)
        return sock

    def round_trip(self, sock, data):
        writer = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        writer.start()
        received = read_all(sock)
        writer.join(DEADLINE)
        return received

    def statistics(self, process, n=1):
        """[(local, remote, connections, current, failed, to, from)] of n lines on stderr."""
        found = []
        while len(found) < n:
            line = process.stderr.readline().decode()
            self.assertNotEqual(line, "", "no statistics")
            match = self.LINE.match(line)
            if match:
                found.append((match.group(1), match.group(2),
                              *(int(x) for x in match.groups()[2:])))
        return found

    def finish(self, process, n=1, sig=signal.SIGTERM):
        process.send_signal(sig)
        found = self.statistics(process, n)
        self.assertEqual(process.wait(DEADLINE), OK)
        return found

    def test_a_port_is_the_guests(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        self.assertEqual(self.round_trip(self.open(port), b"hello"), b"hello")
        (found,) = self.finish(process)
        self.assertEqual(found, ("tcp:127.0.0.1:%d" % port, service.cli, 1, 0, 0, 5, 5))

    def test_an_agent_behind_it(self):
        """guestwire itself, as a client of it."""
        target = self.target("agent", transport=self.KIND)
        self.start(target)
        port, remote = self.free_tcp_port(), target.address[1]
        self.forward(target.cli.rpartition(":")[0], "%d:%d" % (port, remote))
        self.assertEqual(self.run_ok("call", "tcp:127.0.0.1:%d" % port, "agent.ping"), "{}\n")

    def test_large_both_ways(self):
        service, port, path = self.service(), self.free_tcp_port(), self.large_file()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(digest(self.round_trip(self.open(port), data)), digest(data))
        (found,) = self.finish(process)
        self.assertEqual(found[2:], (1, 0, 0, LARGE, LARGE))

    def test_many_clients_at_once(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        clients = [self.open(port) for _ in range(MANY)]
        for i, sock in enumerate(clients):
            sock.sendall(b"%d " % i)
        for i, sock in enumerate(clients):
            self.assertEqual(sock.recv(16), b"%d " % i)
        process.send_signal(signal.SIGUSR1)
        (found,) = self.statistics(process)
        self.assertEqual(found[2:5], (MANY, MANY, 0))
        bad = []

        def talk(sock):
            data = os.urandom(100000)
            if self.round_trip(sock, data) != data:
                bad.append(sock)
        threads = [threading.Thread(target=talk, args=(sock,)) for sock in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        self.assertEqual(bad, [])
        (found,) = self.finish(process)
        sent = sum(len(b"%d " % i) for i in range(MANY)) + MANY * 100000
        self.assertEqual(found[2:], (MANY, 0, 0, sent, sent))

    def test_statistics_on_demand(self):
        service, ports = self.service(), [self.free_tcp_port(), self.free_tcp_port()]
        routes = ["%d:%d" % (port, service.port) for port in ports]
        process = self.forward(service.target, *routes, n=2)
        sock = self.open(ports[1])
        sock.sendall(b"hello")
        self.assertEqual(sock.recv(5), b"hello")
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            found = self.statistics(process, 2)
            self.assertEqual([line[2:] for line in found], [(0, 0, 0, 0, 0), (1, 1, 0, 5, 5)])
        self.assertEqual([line[0] for line in found], ["tcp:127.0.0.1:%d" % p for p in ports])
        # Whoever is connected in the end is still counted.
        found = self.finish(process, 2, signal.SIGINT)
        self.assertEqual(found[1][2:4], (1, 1))

    def test_json(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.popen("forward", "--json", service.target, "%d:%d" % (port, service.port))
        names = {"local": "tcp:127.0.0.1:%d" % port, "remote": service.cli}
        self.assertEqual(json.loads(process.stdout.readline()), dict(names, event="listening"))
        self.assertEqual(self.round_trip(self.open(port), b"x"), b"x")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(json.loads(process.stdout.readline()),
                         dict(names, event="statistics", connections=1, current=0, failed=0,
                              bytes_to_guest=1, bytes_from_guest=1))
        self.assertEqual((process.wait(DEADLINE), process.stdout.read(), process.stderr.read()),
                         (OK, b"", b""))

    def test_a_unix_socket(self):
        service, path = self.service(), os.path.join(self.folder, "local.sock")
        process = self.forward(service.target, "%s:%d" % (path, service.port))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            self.assertEqual(self.round_trip(sock, b"hello"), b"hello")
        self.finish(process)
        self.assertFalse(os.path.exists(path))
        # A relative path, and one with colons of its own.
        process = self.forward(service.target, "./a:b.sock:%d" % service.port, cwd=self.folder)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(os.path.join(self.folder, "a:b.sock"))
            self.assertEqual(self.round_trip(sock, b"hello"), b"hello")

    def test_a_path_is_shown_as_it_was_given(self):
        service = self.service()
        process = self.forward(service.target, "./near.sock:%d" % service.port, cwd=self.folder)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(os.path.join(self.folder, "near.sock"))
            self.assertEqual(self.round_trip(sock, b"x"), b"x")
        (found,) = self.finish(process)
        self.assertEqual(found, ("unix:./near.sock", service.cli, 1, 0, 0, 1, 1))

    def test_forms_of_addresses(self):
        service = self.service()
        guid = "%08x-facb-11e6-bd58-64006a7986d3" % service.port
        hosts = ["127.0.0.1", "127.0.0.2", "0.0.0.0"]
        with contextlib.suppress(OSError):
            self.free_tcp_port("::1")
            hosts.append("[::1]")
        routes, ports = [], []
        for host, remote in zip(hosts, (hex(service.port), guid, str(service.port), guid)):
            ports.append(self.free_tcp_port(host.strip("[]")))
            routes.append("%s:%d:%s" % (host, ports[-1], remote))
        process = self.forward(service.target, *routes, n=len(routes))
        for host, port in zip(hosts, ports):
            sock = self.open(port, host.strip("[]"))
            self.assertEqual(self.round_trip(sock, b"x"), b"x")
        found = self.finish(process, len(routes))
        self.assertEqual([line[1:3] for line in found], [(service.cli, 1)] * len(routes))

    def test_a_bare_port_is_for_this_machine_alone(self):
        service, port = self.service(), self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        with self.assertRaises(ConnectionRefusedError):
            self.open(port, "127.0.0.2")

    def test_half_close(self):
        service = self.service(lambda sock: sock.sendall(digest(read_all(sock)).encode()))
        port = self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        data = os.urandom(MIB)
        self.assertEqual(self.round_trip(self.open(port), data), digest(data).encode())

    def test_nobody_listens_in_the_guest(self):
        service, port = self.service(), self.free_tcp_port()
        service.close()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        with self.assertRaises(ConnectionResetError):
            self.open(port).recv(1)
        self.assertRegex(process.stderr.readline(), b"no connection to .*nobody listens")
        (found,) = self.finish(process)
        self.assertEqual(found[2:], (1, 0, 1, 0, 0))

    @only("unix")
    def test_a_reset_of_the_guest_is_passed_on(self):
        """An end would say that all is there. (AF_VSOCK itself shows a reset as an end.)"""
        def talk(sock):
            sock.sendall(b"a part")
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        service, port = self.service(talk), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        client = self.open(port)
        self.assertEqual(client.recv(6, socket.MSG_WAITALL), b"a part")
        client.sendall(b"?")
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        self.finish(process)

    def test_failures_do_not_flood(self):
        service, port = self.service(), self.free_tcp_port()
        service.close()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        for _ in range(100):
            with contextlib.suppress(ConnectionResetError):
                self.open(port).recv(1)
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read().decode()
        self.assertEqual(process.wait(DEADLINE), OK)
        self.assertLess(errors.count("no connection to"), 30)
        self.assertIn("100 connections, 0 current, 100 failed", errors)

    def test_target_dies_and_comes_back(self):
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        sock = self.open(port)
        sock.sendall(b"hello")
        self.assertEqual(sock.recv(5), b"hello")
        service.kill()
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(sock.recv(5), b"")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(self.open(port).recv(1), b"")
        again = self.service()
        # The same port, as a guest that was started anew has it.
        process.send_signal(signal.SIGUSR1)
        (found,) = self.statistics(process)
        self.assertEqual((found[2], found[4]), (2, 1))
        other = self.free_tcp_port()
        self.forward(again.target, "%d:%d" % (other, again.port))
        self.assertEqual(self.round_trip(self.open(other), b"x"), b"x")
        self.finish(process)

    def test_killed_client_leaves_nothing(self):
        ended = []

        def talk(sock):
            with contextlib.suppress(ConnectionResetError):
                echo(sock)
            ended.append(sock)
        service, port = self.service(talk), self.free_tcp_port()
        process = self.forward(service.target, "%d:%d" % (port, service.port))
        folder = "/proc/%d/fd" % process.pid
        before = len(os.listdir(folder))
        for i in range(20):
            sock = self.open(port)
            sock.sendall(bytes(i * 1000 + 1))
            self.assertNotEqual(sock.recv(1), b"")
            # A reset, as of a process that was killed with data unread.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        until(lambda: len(ended) == 20, "the guest's side has ended too")

        def idle():
            process.send_signal(signal.SIGUSR1)
            return self.statistics(process)[0][3] == 0
        until(idle, "no connection is left")
        until(lambda: len(os.listdir(folder)) <= before + 2, "its descriptors are closed")

    def test_more_clients_than_descriptors(self):
        """They wait in the queue, nobody is turned away, and the processor rests."""
        service, port = self.service(), self.free_tcp_port()

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        process = self.forward(service.target, "%d:%d" % (port, service.port), preexec_fn=limit)
        clients = [self.open(port) for _ in range(40)]
        for i, sock in enumerate(clients):
            sock.sendall(b"%02d" % i)
        self.assertEqual(clients[0].recv(2), b"00")
        self.assertRegex(process.stderr.readline(), b"Too many open files")
        begin = harness.cpu_ticks(process.pid)
        threading.Event().wait(1)
        self.assertLess(harness.cpu_ticks(process.pid) - begin, os.sysconf("SC_CLK_TCK") // 2)
        for i, sock in enumerate(clients):
            received = b"" if i else b"00"
            while len(received) < 2:
                received += sock.recv(2)
            self.assertEqual(received, b"%02d" % i)
            sock.close()
        (found,) = self.finish(process)
        self.assertEqual((found[2], found[4]), (40, 0))

    def test_raises_its_limit_of_descriptors(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        service, port = self.service(), self.free_tcp_port()
        process = self.forward(
            service.target, "%d:%d" % (port, service.port),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)))
        self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_NOFILE), (hard, hard))

    def test_address_in_use(self):
        service = self.service()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(1)
            taken, free = sock.getsockname()[1], self.free_tcp_port()
            result = self.run_bad(CONNECTION, "TCP port %d is taken" % taken, "forward",
                                  service.target, "%d:%d" % (free, service.port),
                                  "%d:%d" % (taken, service.port))
            self.assertNotIn("listening", result.stderr)
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="ascii"):
            pass
        self.run_bad(CONNECTION, re.escape(path), "forward", service.target,
                     "%s:%d" % (path, service.port))
        self.assertTrue(os.path.exists(path))

    def test_usage(self):
        for route in ("22", ":22", "8080:", "", "x:22", "0:22", "65536:22", "1.2.3:80:22",
                      "name:80:22", "::1:80:22", "8080:x", "8080:-1"):
            with self.subTest(route=route):
                self.run_bad(USAGE, ".", "forward", "--", "21", route)
        self.run_bad(USAGE, "needs TARGET LOCAL:REMOTE", "forward", "21")
        self.run_bad(USAGE, "Unix socket has no ports to", "forward", "unix:/run/x", "8080:22")
        self.run_bad(USAGE, "is not a target", "forward", "nowhere", "8080:22")
        self.run_bad(USAGE, "takes no --wait", "forward", "--wait", "21", "8080:22")


    @only("vsock")
    def test_no_privileged_port(self):
        service, port = self.service(), self.free_tcp_port()
        self.forward(service.target, "%d:%d" % (port, service.port))
        self.assertEqual(self.round_trip(self.open(port), b"x"), b"x")
        (cid, source), = service.peers
        self.assertEqual(cid, CID_LOCAL)
        self.assertGreaterEqual(source, 1024)


if __name__ == "__main__":
    harness.main()
