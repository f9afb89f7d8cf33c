# SPDX-License-Identifier: MIT
"""The test case that all others derive from."""

import errno
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from .client import Client, Target
from .daemon import Daemon
from .settings import (
    APPLICATION, CID_LOCAL, DEADLINE, GUESTWIRE, GUESTWIRED, SANITIZERS, TRANSPORT)


class TestCase(unittest.TestCase):
    """A scratch folder, listeners with addresses of their own, and a daemon on demand."""

    longMessage = True
    maxDiff = None
    ports = 20000 + os.getpid() % 1000 * 40
    tcp_ports = 10000 + os.getpid() % 1000 * 20

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="guestwire-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def free_port(self):
        """A vsock port that no test of this process has had."""
        TestCase.ports += 1
        return TestCase.ports

    def free_tcp_port(self, host="127.0.0.1"):
        """A TCP port that nobody has, nor is given: it is below those of whoever names none."""
        while True:
            TestCase.tcp_ports += 1
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
                try:
                    sock.bind((host, TestCase.tcp_ports))
                    return TestCase.tcp_ports
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise

    def target(self, name="main", transport=None, port=None, **keys):
        """A listener's Target; keys become its settings (idle_timeout="1s")."""
        transport = transport or TRANSPORT
        lines = {key.replace("_", "-"): value for key, value in keys.items()}
        if transport == "vsock":
            port = port or self.free_port()
            lines.setdefault("peers", "local")
            section, address = "port %d" % port, (CID_LOCAL, port)
            family = socket.AF_VSOCK
        elif transport == "tcp":
            address = ("127.0.0.1", self.free_tcp_port())
            lines["address"] = "tcp:%s:%d" % address
            section, family = "listen %s" % name, socket.AF_INET
        else:
            address = os.path.join(self.folder, name + ".sock")
            lines["address"] = "unix:%s" % address
            section, family = "listen %s" % name, socket.AF_UNIX
        text = "[%s]\n" % section
        text += "".join("%s = %s\n" % item for item in lines.items() if item[1] is not None)
        return Target(section, family, address, text)

    def start(self, *targets, agent=None, **options):
        """A daemon with these targets (one default target if none); agent: its settings."""
        if not targets:
            targets = (self.target(),)
        self.main = targets[0]
        self.daemon = Daemon(self, self.config(*targets, agent=agent), **options)
        return self.daemon

    def config(self, *targets, agent=None):
        text = "[agent]\n"
        text += "".join("%s = %s\n" % (k.replace("_", "-"), v) for k, v in (agent or {}).items())
        return text + "".join("\n%s" % target for target in targets)

    def connect(self, target=None, **options):
        """A client, closed when the test ends."""
        client = Client(target or self.main, **options)
        self.addCleanup(client.close)
        return client

    def unprivileged(self):
        """A target whose callers are not privileged, whatever their uid or port is."""
        return self.target(trust="nobody")

    def stats(self, target=None):
        with Client(target or self.main) as client:
            return client.call("agent.stats")

    def assert_answers(self, target=None):
        """A newcomer is served."""
        with Client(target or self.main) as client:
            self.assertEqual(client.call("agent.ping"), {})

    def assert_reason(self, error, reason):
        self.assertEqual(error["code"], APPLICATION, error)
        self.assertEqual(error["data"]["reason"], reason, error)
        self.assertTrue(error["message"], error)

    def assert_closed(self, client):
        """Nothing more comes but the end of the stream."""
        self.assertEqual(client.read_end(), [])

    def assert_hung_up_on(self, target, data=b""):
        """A caller gets the end of the connection, or a reset, and nothing before. Over AF_VSOCK
        that may come before connect(2) has returned."""
        try:
            with Client(target) as client:
                client.send_until_closed(data)
                self.assertEqual(client.read_end(), [])
        except OSError as error:
            self.assertIn(error.errno, (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN))

    def run_guestwired(self, *args, **options):
        """Runs guestwired to its end."""
        result = subprocess.run([GUESTWIRED, *args], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=DEADLINE, check=False, **options)
        for word in SANITIZERS:
            self.assertNotIn(word, result.stderr.decode("utf-8", "replace"))
        return result

    def run_guestwire(self, *args, data=None, text=True, **options):
        """Runs the host's client to its end. data: its input; text: so are both, else bytes."""
        if data is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        else:
            options["input"] = data
        options.setdefault("stdout", subprocess.PIPE)
        result = subprocess.run([GUESTWIRE, *args], stderr=subprocess.PIPE, timeout=DEADLINE,
                                check=False, universal_newlines=text, **options)
        said = result.stderr if text else result.stderr.decode("utf-8", "replace")
        for word in SANITIZERS:
            self.assertNotIn(word, said)
        return result
