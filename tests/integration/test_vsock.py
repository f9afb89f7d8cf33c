# SPDX-License-Identifier: MIT
"""What only a kernel with AF_VSOCK can show. Runs in user-mode Linux: tests/vsock/run.sh."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import unittest

import harness
from harness import PING

GET_LOCAL_CID = 0x7b9
CID_ANY = 0xffffffff
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
MODULES = ("vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback")


@harness.only("vsock")
class Case(harness.TestCase):
    def setUp(self):
        super().setUp()
        # A second way in, to ask the daemon what a refused caller cannot.
        self.side = self.target("side", transport="unix")

    def privileged(self, target, low):
        with harness.Client(target, privileged=low) as client:
            return client.call("agent.info")["caller"]["privileged"]


class Address(Case):
    def listening_names(self):
        """getsockname() of the daemon's own vsock listeners."""
        libc = ctypes.CDLL(None, use_errno=True)
        pidfd = libc.syscall(SYS_PIDFD_OPEN, self.daemon.pid, 0)
        self.assertGreaterEqual(pidfd, 0)
        self.addCleanup(os.close, pidfd)
        names = []
        for number, what in self.daemon.fds().items():
            if not what.startswith("socket:"):
                continue
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
            if fd < 0:
                continue
            with socket.socket(fileno=fd) as copy:
                # A caller who has just left may still be there, too.
                if copy.family == socket.AF_VSOCK and copy.getsockopt(
                        socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    names.append(copy.getsockname())
        return names

    def test_listeners_are_bound_to_cid_any(self):
        self.start(self.target(), self.side)
        self.assertEqual(self.listening_names(), [(CID_ANY, self.main.address[1])])

    def test_ioctl(self):
        """Loopback's CID is no guest's own: it is shown raw only."""
        fd = os.open("/dev/vsock", os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = struct.unpack("I", fcntl.ioctl(fd, GET_LOCAL_CID, bytes(4)))[0]
        finally:
            os.close(fd)
        self.assertEqual(raw, 1)
        self.start()
        info = self.connect().call("agent.info")
        self.assertEqual((info["cid"], info["cid_raw"]), (None, raw))

    def test_a_port_named_by_its_guid(self):
        port = self.free_port()
        target = self.target(port=port)
        target.text = target.text.replace(
            "[port %d]" % port, "[port %08X-FACB-11E6-BD58-64006A7986D3]" % port)
        self.start(target)
        info = self.connect().call("agent.info")
        self.assertEqual([(p["port"], p["guid"]) for p in info["ports"]],
                         [(port, "%08x-facb-11e6-bd58-64006a7986d3" % port)])

    def test_a_port_in_hex(self):
        target = self.target(port=0xabcd)
        target.text = target.text.replace("[port 43981]", "[port 0xabcd]")
        self.start(target)
        self.assert_answers()

    def test_a_listen_section(self):
        port = self.free_port()
        target = harness.Target("listen v", socket.AF_VSOCK, (1, port),
                                "[listen v]\naddress = vsock:%d\npeers = local\n" % port)
        self.start(target)
        self.assert_answers()
        self.assertEqual(self.listening_names(), [(CID_ANY, port)])

    def test_a_port_that_is_taken_is_had_when_it_is_free(self):
        target = self.target()
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as other:
            other.bind((CID_ANY, target.address[1]))
            other.listen()
            self.start(target)
            self.daemon.wait_log("port %d.*not listening" % target.address[1])
            self.assertIn("port %d" % target.address[1], self.daemon.status())
        self.daemon.wait_log("port %d: listening" % target.address[1])
        self.assert_answers()

    def test_the_standard_port(self):
        """conf/guestwire.conf as shipped, but for its peers: it listens at 1000."""
        with open(os.path.join(harness.SRCDIR, "conf", "guestwire.conf"), encoding="utf-8") as file:
            shipped = file.read()
        harness.Daemon(self, shipped)
        self.main = harness.Target("port 1000", socket.AF_VSOCK, (1, 1000), "")
        self.assert_hung_up_on(self.main, PING % 1)


class Peers(Case):
    def test_loopback_is_refused_by_host(self):
        self.start(self.target(peers="host"), self.side)
        self.assert_hung_up_on(self.main, PING % 1)
        with harness.Client(self.side) as client:
            self.assertEqual(client.call("agent.stats")["refused_peers"], 1)
        self.daemon.wait_log("vsock:1:.*refused")

    def test_loopback_is_refused_by_default(self):
        self.start(self.target(peers=None), self.side)
        self.assert_hung_up_on(self.main, PING % 1)

    def test_refused_whatever_its_source_port_is(self):
        self.start(self.target(peers="host"))
        with harness.Client(self.main, privileged=True) as client:
            try:
                client.send_until_closed(PING % 1)
                self.assertEqual(client.read_end(), [])
            except ConnectionResetError:
                pass

    def test_loopback_is_let_in(self):
        for peers in ("local", "any", "1", "0-5", "host, local"):
            with self.subTest(peers=peers):
                self.start(self.target(peers=peers, trust="nobody"))
                self.assert_answers()
                self.daemon.stop()

    def test_other_sets_refuse(self):
        for peers in ("2", "5-99", "3-4294967294", "host, 2"):
            with self.subTest(peers=peers):
                self.start(self.target(peers=peers, trust="nobody"), self.side)
                self.assert_hung_up_on(self.main, PING % 1)
                self.daemon.stop()

    def test_records_of_refused_callers_are_limited(self):
        self.start(self.target(peers="host"), self.side)
        for _ in range(200):
            self.assert_hung_up_on(self.main)
        with harness.Client(self.side) as client:
            harness.until(lambda: client.call("agent.stats")["refused_peers"] == 200,
                          "all 200 are refused")
        self.assertLess(self.daemon.stderr.count("refused"), 50)

    def test_refused_callers_leave_nothing(self):
        self.start(self.side, self.target(peers="host"))
        target = self.target("x", port=int(self.daemon_port()))
        self.daemon.remember()
        for _ in range(100):
            self.assert_hung_up_on(target)
        self.daemon.assert_back()

    def daemon_port(self):
        with harness.Client(self.side) as client:
            return client.call("agent.info")["ports"][0]["port"]


class Privilege(Case):
    def test_a_source_port_below_1024_from_local(self):
        self.start(self.target(peers="local"))
        self.assertTrue(self.privileged(self.main, True))
        self.assertFalse(self.privileged(self.main, False))

    def test_only_where_peers_names_local(self):
        for peers in ("any", "0-5"):
            self.start(self.target(peers=peers))
            self.assertFalse(self.privileged(self.main, True), peers)
            self.daemon.stop()

    def test_trust_peers_needs_a_word_more(self):
        target = self.target(peers="local", trust="peers")
        path = os.path.join(self.folder, "unsafe.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.config(target))
        result = self.run_guestwired("--config", path, "--check")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"trust-unsafe", result.stderr)
        target.text += "trust-unsafe = yes\n"
        self.start(target)
        self.assertTrue(self.privileged(self.main, False))

    def as_nobody(self, code):
        """Runs Python as an ordinary user; its output."""
        header = ("import json, os, socket\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
                  "s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n")
        result = subprocess.run(["/usr/bin/python3", "-c", header + code], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=harness.DEADLINE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def test_an_ordinary_user_has_no_such_port(self):
        self.assertEqual(self.as_nobody(
            "try:\n    s.bind((0xffffffff, 1023))\n    print('bound')\n"
            "except PermissionError:\n    print('refused')\n"), "refused\n")

    def test_an_ordinary_user_is_not_privileged(self):
        self.start(self.target(peers="local"))
        reply = json.loads(self.as_nobody(
            "s.connect((1, %d))\n"
            "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.reload\"}')\n"
            "print(s.makefile().readline())\n" % self.main.address[1]))
        self.assert_reason(reply["error"], "not-privileged")

    def test_an_ordinary_users_client(self):
        """guestwire(1) of a user who cannot bind a low port is served, unprivileged."""
        self.start(self.target(peers="local"))
        # By its descriptor: the folder that it was built in may be closed to this user.
        client = os.open(harness.GUESTWIRE, os.O_PATH)
        self.addCleanup(os.close, client)
        result = self.run_guestwire(
            "--json", "info", self.main.cli, pass_fds=[client],
            executable="/proc/self/fd/%d" % client,
            preexec_fn=lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534)))
        self.assertEqual(result.returncode, 0, result.stderr)
        caller = json.loads(result.stdout)["caller"]
        self.assertFalse(caller["privileged"], caller)
        self.assertGreater(caller["port"], 1023)


class Socat(Case):
    def test_a_real_caller(self):
        socat = shutil.which("socat")
        if not socat:
            self.skipTest("socat is missing")
        self.start()
        result = subprocess.run([socat, "-t", str(harness.DEADLINE), "-",
                                 "VSOCK-CONNECT:1:%d" % self.main.address[1]],
                                input=PING % 1 + PING % 2, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=harness.DEADLINE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([json.loads(x) for x in result.stdout.splitlines()],
                         [{"jsonrpc": "2.0", "id": n, "result": {}} for n in (1, 2)])


class Modules(Case):
    """The kernel's vsock comes and goes under the daemon."""

    def setUp(self):
        super().setUp()
        self.modules = os.environ.get("GUESTWIRE_TEST_MODULES")
        if not self.modules or os.getuid() != 0:
            raise unittest.SkipTest("needs a guest of its own: tests/vsock/run.sh")
        # Nothing but the test may load a module.
        with open("/proc/sys/kernel/modprobe", "w", encoding="ascii") as file:
            file.write("\n")
        self.addCleanup(self.insert, *MODULES)
        harness.until(self.remove, "the modules are not in use any more")

    def remove(self):
        # Sockets of an earlier test may take some seconds to be gone.
        subprocess.run(["rmmod", *reversed(MODULES)], check=False, stderr=subprocess.PIPE)
        return not os.path.exists("/sys/module/vsock")

    def insert(self, *names):
        for name in names:
            if not os.path.exists("/sys/module/%s" % name):
                subprocess.run(["insmod", "%s/%s.ko" % (self.modules, name)], check=True)
        if os.path.exists("/dev/vsock"):
            os.chmod("/dev/vsock", 0o666)

    def info(self):
        with harness.Client(self.side) as client:
            return client.call("agent.info")

    def test_vsock_that_comes_late(self):
        with self.assertRaises(OSError) as caught:
            socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.assertEqual(caught.exception.errno, errno.EAFNOSUPPORT)
        target = self.target()
        self.start(target, self.side)
        name = "port %d" % target.address[1]
        self.daemon.wait_log(name + ".*AF_VSOCK.*modprobe")
        self.assertRegex(self.daemon.status(), name + ".*modprobe")
        info = self.info()
        self.assertEqual((info["cid"], info["cid_raw"]), (None, None))

        self.insert("vsock")
        self.daemon.wait_log(name + ": listening")
        self.insert(*MODULES)
        # Connecting fails until the transport is there, which it is now.
        self.assert_answers(target)
        self.daemon.wait_log("transport now")
        self.assertEqual(self.info()["cid_raw"], 1)
        self.daemon.stop()

    def test_vsock_without_a_transport(self):
        """Socket, bind and listen succeed there: that nobody can call is to be said."""
        self.insert("vsock")
        target = self.target()
        self.start(target, self.side)
        self.daemon.wait_log("transport.*modprobe|modprobe.*transport")
        self.assertRegex(self.daemon.status(), "transport")
        info = self.info()
        self.assertEqual((info["cid"], info["cid_raw"]), (None, CID_ANY))
        self.insert(*MODULES)
        self.daemon.wait_log("transport now")
        self.assert_answers(target)
        self.daemon.stop()


if __name__ == "__main__":
    harness.main()
