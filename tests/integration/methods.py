# SPDX-License-Identifier: MIT
"""What the tests of [method] sections stand on: a daemon that has some, and scripts."""

import contextlib
import os

import harness
from harness import is_there

CANCEL = '{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":%d}}\n'


class Case(harness.TestCase):
    """A daemon with [method] sections, and scripts in the scratch folder."""

    def script(self, body, name=None):
        """The path of an executable shell script."""
        name = name or "script%d" % len(os.listdir(self.folder))
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + body + "\n")
        os.chmod(path, 0o755)
        return path

    def method(self, name, body=None, **keys):
        """A [method] section; body: of its script."""
        if body is not None:
            keys["command"] = self.script(body)
        return "\n[method %s]\n" % name + "".join(
            "%s = %s\n" % (key.replace("_", "-"), value) for key, value in keys.items())

    def serve(self, *sections, target=None, agent=None, **options):
        self.main = target or self.target()
        self.agent = agent
        self.daemon = harness.Daemon(
            self, self.config(self.main, agent=agent) + "".join(sections), **options)
        self.client = self.connect(privileged=True)

    def reload(self, *sections):
        self.daemon.reload(self.config(self.main, agent=self.agent) + "".join(sections))

    def send(self, method, params=None, client=None):
        """Begins a call; returns its id."""
        client = client or self.client
        text, ident = client.request(method, params)
        client.send(text)
        return ident

    def wait_for_file(self, name):
        """What a script has written into a file of the scratch folder, once it is whole."""
        path = os.path.join(self.folder, name)

        def read():
            with contextlib.suppress(FileNotFoundError):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                return text if text.endswith("\n") else None
            return None
        return harness.until(read, "file %s" % name)

    def assert_tree_gone(self, *names):
        """The processes whose pids these files name are no more."""
        pids = [int(self.wait_for_file(name)) for name in names]
        harness.until(lambda: not any(map(is_there, pids)),
                      lambda: "end of %r" % [p for p in pids if is_there(p)])
        harness.until(lambda: not self.daemon.children(), "no children")
