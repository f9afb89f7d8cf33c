# SPDX-License-Identifier: MIT
"""The shipped examples, each as it is, installed as a drop-in. Only `peers` is changed, by a
drop-in of its own, since here the host is the loopback. In a guest of our own alone: they name
fixed ports and places."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading

import harness
from harness import GUESTWIRE, GUESTWIRED, only

DROP_INS = "/run/guestwire/conf.d"


@only("vsock")
class Examples(harness.TestCase):
    def start_example(self, name, change=""):
        os.makedirs(DROP_INS, exist_ok=True)
        self.addCleanup(shutil.rmtree, DROP_INS)
        shutil.copy(os.path.join(harness.SRCDIR, "conf", "examples", name + ".conf"),
                    os.path.join(DROP_INS, "50-example.conf"))
        with open(os.path.join(DROP_INS, "90-here.conf"), "w", encoding="utf-8") as file:
            file.write(change)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ready.close)
        ready.bind(os.path.join(self.folder, "ready"))
        ready.settimeout(60)
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self.agent = subprocess.Popen([GUESTWIRED], stdin=subprocess.DEVNULL, stderr=log, env={
                **os.environ, "NOTIFY_SOCKET": os.path.join(self.folder, "ready")})
        self.addCleanup(self.stop)
        while b"READY=1" not in ready.recv(8192):
            pass

    def stop(self):
        self.agent.terminate()
        self.assertEqual(self.agent.wait(60), 0)

    def read_log(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def serve(self, listener, answer):
        """Answers each caller's first bytes, or with no need of any."""
        listener.listen()
        self.addCleanup(listener.close)

        def run():
            while True:
                try:
                    caller = listener.accept()[0]
                except OSError:
                    return
                with caller:
                    caller.sendall(answer)
                    caller.shutdown(socket.SHUT_WR)
                    while caller.recv(4096):
                        pass

        threading.Thread(target=run, daemon=True).start()

    def run_client(self, *arguments):
        return self.run_guestwire(*arguments, text=False)

    def test_ssh(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 22))
        self.serve(listener, b"SSH-2.0-example\r\n")
        self.start_example("ssh", "[port 22]\npeers = local\n")
        self.assertEqual(self.run_client("connect", "local", "22").stdout, b"SSH-2.0-example\r\n")

    def test_docker(self):
        if os.path.exists("/run/docker.sock"):
            os.unlink("/run/docker.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/run/docker.sock")
        self.addCleanup(os.unlink, "/run/docker.sock")
        self.serve(listener, b"HTTP/1.1 200 OK\r\n\r\n")
        self.start_example("docker", "[port 875]\npeers = local\n")
        # Whoever reaches Docker is root: a caller must have shown that he is.
        with socket.socket(socket.AF_VSOCK) as caller:
            caller.bind((socket.VMADDR_CID_ANY, 1022))
            caller.connect((1, 875))
            caller.settimeout(60)
            self.assertEqual(caller.recv(4096), b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertNotEqual(self.run_client("connect", "local", "875").stdout,
                            b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertRegex(self.read_log(), "port 875.*refused.*trust")

    def test_host_proxy(self):
        self.start_example("host-proxy")
        # There is no host beyond this guest: the port is there, and what it leads to is named.
        # A caller that is slow to look sees the reset in place of its connection.
        with contextlib.suppress(ConnectionResetError):
            with socket.create_connection(("127.0.0.1", 3128), timeout=60) as caller:
                self.assertEqual(caller.recv(1), b"")
        self.assertRegex(self.read_log(), "http-proxy.*port 3128 of CID 2")

    def test_rsync(self):
        if not shutil.which("rsync"):
            self.skipTest("rsync is missing")
        # This machine's files cannot be written to: a copy of /etc takes its place.
        etc = os.path.join(self.folder, "etc")
        shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
        data = os.path.join(self.folder, "data")
        os.mkdir(data)
        content = os.urandom(1 << 20)
        with open(os.path.join(data, "file"), "wb") as file:
            file.write(content)
        with open(os.path.join(etc, "rsyncd.conf"), "w", encoding="utf-8") as file:
            file.write("use chroot = no\n[data]\npath = %s\nuid = root\ngid = root\n" % data)
        subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/etc"], check=True)
        self.start_example("rsync", "[port 873]\npeers = local\ntrust-unsafe = yes\n")
        copy = os.path.join(self.folder, "copy")
        result = subprocess.run(["rsync", "-a", "here::data/", copy + "/"], timeout=120,
                                check=False, capture_output=True, env={
                                    **os.environ,
                                    "RSYNC_CONNECT_PROG": "%s connect local 873" % GUESTWIRE})
        self.assertEqual((result.returncode, result.stderr), (0, b""), self.read_log())
        with open(os.path.join(copy, "file"), "rb") as file:
            self.assertEqual(file.read(), content)

    def test_method(self):
        self.start_example("method", "[port 1000]\npeers = local\n")
        result = self.run_client("call", "local", "disk.free")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, rb"Filesystem.*Mounted on")
        self.assertTrue(re.search("disk.free", self.run_client("methods", "local").stdout.decode()))


if __name__ == "__main__":
    harness.main()
