# SPDX-License-Identifier: MIT
"""Streams through the guest: its sshd for the host, the host's servers for the guest."""

import hashlib
import os
import socket
import subprocess
import threading

import lab


class Streams(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def ssh(self, *command, **options):
        client = os.path.join(lab.IMAGE, "host/usr/bin/guestwire")
        return subprocess.run(
            ["ssh", "-i", os.path.join(lab.IMAGE, "key"), "-F", "none", "-o", "BatchMode=yes",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "-o", "LogLevel=ERROR",
             "-o", "ProxyCommand=%s" % lab.quote(client, "connect", self.guest.target(), 22),
             "root@guest", *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * lab.DEADLINE, check=False,
            **options)

    def test_ssh_from_the_host(self):
        self.guest.wait_boot()
        done = self.ssh("cat /proc/sys/kernel/random/boot_id; exit 7",
                        stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 7, done)
        self.assertEqual(done.stdout.decode().strip(),
                         self.guest.out("cat /proc/sys/kernel/random/boot_id"))

    def test_ssh_carries_bytes_whole(self):
        self.guest.wait_boot()
        data = os.urandom(8 << 20)
        done = self.ssh("sha256sum", input=data)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stdout.decode().split()[0], hashlib.sha256(data).hexdigest())

    def test_echo(self):
        sock, data = self.connect(7), os.urandom(1 << 20)
        thread = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
        thread.start()
        back = b""
        while len(back) < len(data):
            piece = sock.recv(65536)
            self.assertTrue(piece, "the stream ended after %d bytes" % len(back))
            back += piece
        thread.join()
        self.assertEqual(hashlib.sha256(back).digest(), hashlib.sha256(data).digest())

    def test_outward_to_a_server_of_the_host(self):
        """A program in the guest reaches a server of the host through a local port."""
        # Where the guest connects to CID 2, the host's side of the mux listens.
        path = self.guest.mux + "_3128"
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(server.close)
        self.addCleanup(os.unlink, path)
        server.bind(path)
        server.listen()
        server.settimeout(lab.DEADLINE)
        asked = []

        def serve():
            sock, _ = server.accept()
            with sock:
                asked.append(sock.recv(4096))
                sock.sendall(b"from the host")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.drop_in("out", "[listen out]\naddress = tcp:127.0.0.1:3128\nhandler = forward\n"
                     "to = vsock:host:3128\n")
        answer = self.guest.out(
            "runuser -u someone -- python3 -c 'import socket; "
            "s = socket.create_connection((\"127.0.0.1\", 3128)); s.sendall(b\"from the guest\"); "
            "print(s.makefile().read())'")
        thread.join(lab.DEADLINE)
        self.assertEqual((asked, answer), ([b"from the guest"], "from the host"))
