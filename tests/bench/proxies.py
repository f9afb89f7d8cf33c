# SPDX-License-Identifier: MIT
"""`handler = forward` and the proxies that it is compared with: a Unix socket in, TCP out."""

import os
import shutil
import signal
import socket
import subprocess
import time

from servers import START_SECONDS, BenchError, Guestwired, Server, memory

CONFIG = """\
[agent]
max-connections = 4000

[listen bench]
address = unix:{path}
handler = forward
to = tcp:127.0.0.1:{port}
max-connections = 2000
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process and of the children that it has waited for."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


class Proxy:
    """What all have: the TCP port to go to, and what they cost."""

    name = None

    def __init__(self, port):
        super().__init__()
        self.port = port

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def memory(self):
        """Pss_Anon of it all, in bytes."""
        pid = self.process.pid
        return sum(memory(p)["Pss_Anon"] for p in [pid, *children(pid)])


class Forward(Proxy, Guestwired):
    name = "guestwired"

    def write_config(self):
        with open(os.path.join(self.folder, "guestwire.conf"), "w", encoding="utf-8") as f:
            f.write(CONFIG.format(path=self.path, port=self.port))


class OtherProxy(Proxy, Server):
    program = None

    def __init__(self, port):
        if not self.program:
            raise BenchError(f"{self.name} is not installed: there is nothing to compare with")
        super().__init__(port)

    def start(self):
        self.spawn(stdout=subprocess.DEVNULL)
        # It has no way to say that it is ready. The first connection finds nobody behind it.
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.refuse_to_start()
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(self.path)
                    s.recv(1)
                    return
                except (FileNotFoundError, ConnectionRefusedError):
                    time.sleep(0.005)
                except ConnectionResetError:
                    return


class Socat(OtherProxy):
    name = "socat -b 65536"
    program = shutil.which("socat")

    def command(self):
        return [self.program, "-b", "65536", f"UNIX-LISTEN:{self.path},fork,backlog=128",
                f"TCP:127.0.0.1:{self.port}"]

    def good_status(self):
        return (143, -signal.SIGTERM)


class SocketProxyd(OtherProxy):
    name = "systemd-socket-proxyd"
    activate = shutil.which("systemd-socket-activate")
    program = shutil.which("systemd-socket-proxyd", path="/usr/lib/systemd:/lib/systemd")

    def command(self):
        return [self.activate, "-l", self.path, self.program, "--connections-max=4000",
                f"127.0.0.1:{self.port}"]

    def good_status(self):
        return (0, -signal.SIGTERM)


class Direct:
    """The same two ends without a proxy: what the machine can do."""

    name = "direct"
    path = "direct"
    process = None

    def __init__(self, port):
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def cpu(self):
        return 0

    def said(self):
        return ""
