# SPDX-License-Identifier: MIT
"""Programs and files: the daemon and the real client beside qemu-ga, a bare copy and scp."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time

from servers import BenchError, Echo, Guestwired, QemuGa, Server

MIB = 1024 * 1024

CONFIG = """\
[agent]
scope = agent

[listen bench]
address = unix:{path}
trust = peers
trust-unsafe = yes

[listen tar]
address = unix:{path}.tar
handler = exec
# to the end of its input: what it leaves unread would break the connection
command = /bin/tar -C {received} --ignore-zeros -xf -
scope = agent
"""


def peak(pid):
    """VmHWM in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise BenchError("no VmHWM")


class Agent(Guestwired):
    """The daemon, with everything allowed to this user, and a tar that unpacks into `received`."""

    def __init__(self, received="/"):
        super().__init__()
        self.received = received

    def write_config(self):
        with open(os.path.join(self.folder, "guestwire.conf"), "w", encoding="utf-8") as f:
            f.write(CONFIG.format(path=self.path, received=self.received))


class Lines:
    """A connection to a server that answers each line with a line."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(server.path)
        self.file = self.socket.makefile("rb", buffering=MIB)

    def ask_unread(self, text):
        self.socket.sendall(text)
        return self.file.readline()

    def ask(self, text):
        return json.loads(self.ask_unread(text))

    def close(self):
        self.file.close()
        self.socket.close()


class Rpc(Lines):
    @staticmethod
    def request(method, **params):
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                           "params": params}).encode() + b"\n"

    def call(self, method, **params):
        answer = self.ask(self.request(method, **params))
        if "result" not in answer:
            raise BenchError(f"{method}: {answer}")
        return answer["result"]


class Qga(Lines):
    def call(self, command, **arguments):
        answer = self.ask(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        if "return" not in answer:
            raise BenchError(f"{command}: {answer}")
        return answer["return"]

    def run(self, path, *arguments, capture=False):
        """As its callers must: started, then asked for until it has ended; its last answer, as
        it came."""
        pid = self.call("guest-exec", path=path, arg=list(arguments),
                        **{"capture-output": capture})["pid"]
        asked = b'{"execute": "guest-exec-status", "arguments": {"pid": %d}}\n' % pid
        while True:
            line = self.ask_unread(asked)
            if b'"exited": true' in line[:200] or b'"exited": true' in line[-200:]:
                return line
            if b'"exited": false' not in line:
                raise BenchError(f"guest-exec-status: {line[:200]}")

    def fetch(self, path, size):
        handle = self.call("guest-file-open", path=path, mode="r")
        got = 0
        while got < size:
            data = self.call("guest-file-read", handle=handle, count=4 * MIB)
            got += len(base64.b64decode(data["buf-b64"]))
        self.call("guest-file-close", handle=handle)

    def store(self, path, data):
        handle = self.call("guest-file-open", path=path, mode="w")
        for at in range(0, len(data), 2 * MIB):
            text = base64.b64encode(data[at:at + 2 * MIB]).decode()
            self.call("guest-file-write", handle=handle, **{"buf-b64": text})
        self.call("guest-file-flush", handle=handle)
        self.call("guest-file-close", handle=handle)


class BareCopy(Echo):
    """tests/bench/bench-copy.c, which sends one file to whoever comes."""

    program = None

    def __init__(self, file):
        super().__init__()
        self.file = file

    def command(self):
        return [self.program, "serve", self.path, self.file]


class Sshd(Server):
    """sshd for this user alone, on a Unix socket's stand-in: `scp` starts it by ProxyCommand."""

    sshd = shutil.which("sshd", path="/usr/sbin:/sbin")

    def start(self):
        key = os.path.join(self.folder, "key")
        if not self.sshd or not shutil.which("scp"):
            raise BenchError("sshd and scp are not installed: there is nothing to compare with")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        shutil.copy(key + ".pub", os.path.join(self.folder, "authorized"))
        os.makedirs("/run/sshd", exist_ok=True)
        with open(os.path.join(self.folder, "config"), "w", encoding="ascii") as f:
            f.write(f"HostKey {key}\nAuthorizedKeysFile {self.folder}/authorized\n"
                    "StrictModes no\nPermitRootLogin yes\nUsePAM no\n"
                    "Subsystem sftp internal-sftp\n")
        with open(os.path.join(self.folder, "stderr"), "wb"):
            pass

    def __exit__(self, *exception):
        shutil.rmtree(self.folder)

    def copy(self, source, target):
        proxy = f"{self.sshd} -i -f {self.folder}/config"
        subprocess.run(["scp", "-q", "-i", f"{self.folder}/key", "-o", f"ProxyCommand={proxy}",
                        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                        "-o", "LogLevel=ERROR", source, f"guest:{target}"],
                       check=True, stdin=subprocess.DEVNULL, timeout=600)


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def run(*command, **options):
    subprocess.run(command, check=True, stdin=options.pop("stdin", subprocess.DEVNULL),
                   timeout=600, **options)


def make_file(path, size, text):
    with open(path, "wb") as f:
        f.write((b"0123456789abcde\n" * (size // 16)) if text else os.urandom(size))


def make_tree(folder, files):
    """Small files, a hundred to a directory."""
    for i in range(files):
        at = os.path.join(folder, str(i // 100))
        if i % 100 == 0:
            os.makedirs(at)
        with open(os.path.join(at, str(i)), "wb") as f:
            f.write(b"%d\n" % i * 200)


__all__ = ["Agent", "BareCopy", "Qga", "QemuGa", "Rpc", "Sshd", "make_file", "make_tree", "peak",
           "run", "seconds"]
