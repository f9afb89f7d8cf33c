# SPDX-License-Identifier: MIT
"""guestwired.socket under a real systemd: what an administrator does who enables it."""

import contextlib
import re

import lab

# The ports that the laboratory's configuration has besides 1000.
PORTS = (1001, 22, 7, lab.TOKEN_PORT)
PING = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping"}\n'
# Says something to a socket of the guest's, and prints what comes back.
TALK = """
import socket, sys
host, colon, port = sys.argv[1].partition(":")
if colon:
    sock = socket.create_connection((host, int(port)))
else:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(host)
sock.sendall(sys.argv[2].encode())
print(sock.recv(4096).decode())
"""
UNITS = "/etc/systemd/system/guestwired.socket.d"


class Activation(lab.TestCase):
    """The socket unit is enabled in place of the service, which is not there yet."""

    lane = "upgrades"
    begun = False

    def setUp(self):
        super().setUp()
        if not Activation.begun:
            self.begin()
        self.addCleanup(self.forget)
        self.since = self.now()

    def begin(self):
        self.wait_ping()
        Activation.begun = True
        self.addClassCleanup(self.end)
        self.guest.run("systemctl disable --now guestwired.service; mkdir -p " + UNITS)
        self.listen("laboratory", *("vsock::%d" % port for port in PORTS))
        self.guest.run("systemctl enable --now guestwired.socket")

    def forget(self):
        """Nothing of this test is left; the sockets listen, and the agent is not there."""
        self.guest.run("rm -f %s/further.conf /etc/guestwire/conf.d/activation*; "
                       "systemctl daemon-reload; systemctl reset-failed; "
                       "systemctl stop guestwired.socket; systemctl start guestwired.socket"
                       % UNITS)

    @classmethod
    def end(cls):
        lab.LABORATORY.guest().run(
            "systemctl disable --now guestwired.socket; rm -r %s; systemctl daemon-reload; "
            "systemctl enable --now guestwired.service" % UNITS)

    def listen(self, name, *addresses):
        """A drop-in of the socket unit; in force when that is started anew."""
        self.guest.write("%s/%s.conf" % (UNITS, name), "[Socket]\n" + "".join(
            "ListenStream=%s\n" % address for address in addresses))
        self.guest.run("systemctl daemon-reload")

    def configure(self, text, name="activation"):
        """A drop-in of the agent's; in force when that starts."""
        self.guest.write("/etc/guestwire/conf.d/%s.conf" % name, text)

    def state(self, unit="guestwired.service"):
        return self.guest.property("ActiveState", unit)

    def pid(self):
        return int(self.guest.property("MainPID"))

    def restart_socket(self):
        self.guest.run("systemctl stop guestwired.socket && systemctl start guestwired.socket")

    def wait_end(self):
        """Until the agent has ended of its own accord, and in order."""
        lab.until(lambda: self.state() == "inactive", "the agent's end", lab.DEADLINE)
        self.assertEqual(self.guest.property("Result"), "success")

    def test_a_call_starts_it(self):
        self.assertEqual((self.state(), self.state("guestwired.socket")), ("inactive", "active"))
        # Many at once, and all of them are answered by one.
        calls = [self.connect(1000) for _ in range(20)]
        for sock in calls:
            sock.sendall(PING)
        for sock in calls:
            self.assertIn(b'"result"', sock.recv(4096))
        self.assertEqual(self.state(), "active")
        self.assertEqual(len(self.journal("MESSAGE_ID=" + lab.STARTED, since=self.since)), 1)
        for port in (1000, *PORTS):
            entry = self.journal("MESSAGE_ID=" + lab.LISTENING, "GUESTWIRE_PORT=%d" % port,
                                 since=self.since)[0]
            self.assertEqual(entry["GUESTWIRE_LISTENER"], "port %d" % port)
            self.assertIn("listening on vsock:%d, a socket that was passed to us" % port,
                          entry["MESSAGE"])
        self.assertEqual(self.call("agent.ping"), {})
        status = self.guest.out("systemctl --no-pager status guestwired")
        self.assertRegex(status, r"TriggeredBy: .*guestwired\.socket")
        self.assertRegex(status, r'Status: "Listening: port 1000\b')
        # It has bound nothing, and has nothing to leave behind.
        self.assertEqual(self.guest.property("NFileDescriptorStore"), "0")

    def test_further_sockets(self):
        self.configure("[port 1005]\nhandler = echo\n"
                       "[listen there]\naddress = unix:/run/guestwire/there.sock\n"
                       "mode = 0660\ngroup = someone\n"
                       "[listen loopback]\naddress = tcp:127.0.0.1:1006\nhandler = echo\n")
        self.listen("further", "vsock::1005", "/run/guestwire/there.sock", "127.0.0.1:1006")
        self.restart_socket()
        # SocketMode=: nobody gets in before the agent has said who may.
        look = ("stat", "-c", "%a %U %G", "/run/guestwire/there.sock")
        self.assertEqual(self.guest.out(*look), "600 root root")
        tcp = self.guest.out("python3", "-c", TALK, "127.0.0.1:1006", "over TCP")
        self.assertEqual(tcp, "over TCP")
        self.assertEqual(self.guest.out(*look), "660 root someone")
        reply = self.guest.out("runuser", "-u", "someone", "--", "python3", "-c", TALK,
                               "/run/guestwire/there.sock", PING.decode())
        self.assertIn('"result"', reply)
        echo = self.connect(1005)
        echo.sendall(b"over vsock")
        self.assertEqual(echo.recv(10), b"over vsock")
        passed = {entry["GUESTWIRE_LISTENER"] for entry in self.journal(
            "MESSAGE_ID=" + lab.LISTENING, since=self.since) if "passed to us" in entry["MESSAGE"]}
        self.assertTrue(passed >= {"port 1005", "listen there", "listen loopback"}, passed)

    def test_a_stranger(self):
        self.listen("further", "vsock::4444")
        self.restart_socket()
        # Even who starts the agent by that: nobody waits for an answer that never comes.
        self.assertEqual(self.connect(4444).recv(1), b"")
        self.guestwire("ping", "-c", 1, self.guest.target())
        error, = self.journal("PRIORITY=3", since=self.since)
        self.assertRegex(error["MESSAGE"],
                         r"^passed fd \d+ \(guestwired\.socket\) is refused: it listens on "
                         r"vsock:4444, which is the address of no section.*: write a \[port\]")
        self.assertEqual(error["MESSAGE_ID"], lab.NOT_LISTENING)
        self.assertIn("refused", self.guest.property("StatusText"))
        self.wait_message(lab.REFUSED, self.since)
        # With a section it is one of ours, and nothing has to be stopped for that.
        pid = self.pid()
        self.configure("[port 4444]\nhandler = echo\n", "activation-stranger")
        self.reload()
        sock = self.connect(4444)
        sock.sendall(b"known")
        self.assertEqual(sock.recv(5), b"known")
        self.assertNotIn("refused", self.guest.property("StatusText"))
        self.guest.run("rm /etc/guestwire/conf.d/activation-stranger.conf")
        self.reload()
        self.assertEqual(self.connect(4444).recv(1), b"")
        self.assertEqual(self.pid(), pid)

    def test_exit_on_idle(self):
        self.configure("[agent]\nexit-on-idle = 5s\n"
                       "[listen there]\naddress = unix:/run/guestwire/there.sock\n")
        self.listen("further", "/run/guestwire/there.sock")
        self.restart_socket()
        self.guest.run("mkdir -p /run/guestwire/conf.d && : >/run/guestwire/conf.d/kept.conf")
        self.addCleanup(self.guest.run, "rm -r /run/guestwire/conf.d")
        held = self.connect(7)
        held.sendall(b"x")
        self.assertEqual(held.recv(1), b"x")
        first = self.pid()
        # Not while somebody is connected, however quiet he is.
        self.guest.run("sleep 8")
        held.sendall(b"y")
        self.assertEqual(held.recv(1), b"y")
        self.assertEqual(self.pid(), first)
        held.close()
        self.wait_end()
        self.wait_message(lab.STOPPED, self.since)
        self.assertIn("nobody has needed the agent for the time of exit-on-idle",
                      self.log(self.since))
        # systemd still listens, everywhere, and nothing in the folder has gone.
        self.assertEqual(self.state("guestwired.socket"), "active")
        self.guest.run("test -S /run/guestwire/there.sock && "
                       "test -e /run/guestwire/conf.d/kept.conf")
        again = self.now()
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.wait_message(lab.STARTED, again)
        self.assertNotIn(self.pid(), (0, first))
        self.assertNotRegex(self.log(self.since), "(?i)guestwired.*fail")

    def test_a_job_keeps_it(self):
        self.configure("[agent]\nexit-on-idle = 2s\n")
        job = self.call("exec.start", 'argv=["sleep","600"]')["job"]
        self.guest.run("sleep 5")
        self.assertEqual(self.state(), "active")
        self.call("exec.signal", "job=%d" % job, "signal=KILL")
        self.call("exec.wait", "job=%d" % job)
        self.call("exec.remove", "job=%d" % job)
        self.wait_end()

    def test_restart_and_reload(self):
        self.guestwire("ping", "-c", 1, self.guest.target())
        first = self.pid()
        self.reload()
        self.assertEqual(self.pid(), first)
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.guest.run("systemctl restart guestwired.service")
        self.guestwire("ping", "-c", 1, self.guest.target())
        second = self.pid()
        self.assertNotEqual(second, first)
        # The agent holds these sockets; systemd refuses to make new ones while it does.
        self.guest.run("systemctl restart guestwired.socket")
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.assertNotEqual(self.pid(), second)
        self.assertEqual((self.state(), self.state("guestwired.socket")), ("active", "active"))
        # To stop the service is not the end of it, to stop the socket unit is.
        self.guest.run("systemctl stop guestwired.service")
        self.guestwire("ping", "-c", 1, self.guest.target())
        self.guest.run("systemctl stop guestwired.socket")
        self.assertEqual((self.state(), self.state("guestwired.socket")), ("inactive", "inactive"))
        self.assertRaises(ConnectionRefusedError, self.connect, 1000)

    def test_both_enabled(self):
        """As at a boot: in one transaction, where the sockets come first."""
        target = "/run/systemd/system/both.target"
        self.addCleanup(self.guest.run, "systemctl stop both.target; rm -f " + target)
        self.guest.run("systemctl stop guestwired.socket; systemctl enable guestwired.service")
        self.guest.write(target, "[Unit]\nWants=guestwired.service guestwired.socket\n")
        self.guest.run("systemctl daemon-reload && systemctl start both.target")
        self.guestwire("ping", "-c", 1, self.guest.target())
        entry = self.journal("MESSAGE_ID=" + lab.LISTENING, "GUESTWIRE_PORT=1000",
                             since=self.since)[-1]
        self.assertIn("passed to us", entry["MESSAGE"])
        self.assertEqual((self.state(), self.state("guestwired.socket")), ("active", "active"))
        self.assertEqual(self.guest.out("systemctl show --value -p After guestwired.service | "
                                        "tr ' ' '\\n' | grep -c '^guestwired.socket$'"), "1")

    def test_a_configuration_with_an_error(self):
        """The callers of that time are lost, and it is back as soon as the error is gone."""
        self.configure("[port 1000]\nnonsense = yes\n")
        sock = self.connect(1000)
        sock.sendall(PING)
        lab.until(lambda: int(self.guest.property("NRestarts")) >= 6,
                  "more starts than systemd's own limit", lab.DEADLINE)
        self.assertEqual(self.state("guestwired.socket"), "active")
        self.guest.run("rm /etc/guestwire/conf.d/activation.conf")
        # Nobody has touched a unit, and not even that caller was turned away.
        self.assertIn(b'"result"', sock.recv(4096))

    def test_the_units_are_well_formed(self):
        done = self.guest.run("systemd-analyze verify --man=no guestwired.socket "
                              "guestwired.service")
        self.assertEqual((done.stdout, done.stderr), ("", ""))


class Without(lab.HostCase):
    """The socket unit in a guest that has no vsock when it starts."""

    MODULES = "vmw_vsock_virtio_transport vmw_vsock_virtio_transport_common vsock_loopback vsock"

    def setUp(self):
        super().setUp()
        self.sibling = lab.LABORATORY.sibling()
        self.addCleanup(self.restore)
        self.loaded = self.sibling.out("lsmod | grep -c vsock", check=False) != "0"
        self.sibling.run("systemctl disable --now guestwired.service")
        for module in self.MODULES.split():
            self.sibling.run("rmmod", module, check=False)
        self.assertEqual(self.sibling.out("lsmod | grep vsock", check=False), "")

    def restore(self):
        self.sibling.run("systemctl disable --now guestwired.socket; systemctl reset-failed")
        if self.loaded:
            self.sibling.run("modprobe -a vsock vmw_vsock_virtio_transport")
        self.sibling.run("systemctl enable --now guestwired.service")

    def test_it_fails_and_can_be_started_later(self):
        state = ("systemctl", "is-active", "guestwired.socket", "guestwired.service")
        self.sibling.run("systemctl enable guestwired.socket")
        done = self.sibling.run("systemctl start guestwired.socket", check=False)
        self.assertNotEqual(done.status, 0)
        self.assertEqual(self.sibling.out(*state, check=False), "failed\ninactive")
        # Both enabled: the agent is there without the socket unit, and takes what comes.
        self.sibling.run("systemctl start guestwired.service")
        self.assertEqual(self.sibling.out(*state, check=False), "failed\nactive")
        self.sibling.run("systemctl stop guestwired.service")
        self.sibling.run("modprobe -a vsock vmw_vsock_virtio_transport && "
                         "systemctl start guestwired.socket")
        self.assertEqual(self.sibling.out(*state, check=False), "active\ninactive")
        with contextlib.closing(lab.dial(self.sibling.mux, 1000)) as sock:
            sock.sendall(PING)
            self.assertRegex(sock.recv(4096), re.compile(b'"result"'))
