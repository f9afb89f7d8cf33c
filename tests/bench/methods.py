# SPDX-License-Identifier: MIT
"""Methods of one's own, and what each is compared with."""

import os
import sys

from servers import Echo, Guestwired

# Each call of a privileged method is logged: what that costs is the log's, not the call's.
CONFIG = """\
[listen bench]
address = unix:{path}
handler = rpc

[method bench.true]
command = /bin/true
output = text
privileged = no

[method local.*]
to = unix:{server}
privileged = no
"""


class LocalServer(Echo):
    """The server behind `to = unix:`, or called directly."""

    protocol = "local"

    def command(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jsonrpc_server.py")
        return [sys.executable, "-B", script, self.path]


class Methods(Guestwired):
    """The daemon with a method of each kind."""

    def __init__(self, server):
        super().__init__()
        self.server = server

    def write_config(self):
        with open(os.path.join(self.folder, "guestwire.conf"), "w", encoding="utf-8") as f:
            f.write(CONFIG.format(path=self.path, server=self.server.path))
