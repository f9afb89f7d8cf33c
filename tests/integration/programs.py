# SPDX-License-Identifier: MIT
"""What the tests of exec.* stand on: a daemon, programs, and what they leave behind."""

import base64
import contextlib
import os

import harness
from harness import is_there

STDIN, STDOUT, STDERR = 1, 2, 3


class Case(harness.TestCase):
    agent = {"scope": "agent"}

    def setUp(self):
        super().setUp()
        self.start(agent=self.agent)
        self.client = self.connect(privileged=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_program(self, *argv, client=None, **params):
        return (client or self.client).call("exec.run", dict(params, argv=list(argv)))

    def shell(self, script, **params):
        return self.run_program("sh", "-c", script, **params)

    def fails(self, reason, method="exec.run", **params):
        error = self.client.error(method, params)
        self.assert_reason(error, reason)
        return error

    def begin(self, method="exec.run", client=None, **params):
        """Sends a request; returns its id."""
        client = client or self.client
        text, ident = client.request(method, params)
        client.send(text)
        return ident

    def replies(self, *idents):
        """Reads until these have been answered: their replies, and all notifications before."""
        found, notes = {}, []
        while set(idents) - set(found):
            message = self.client.read()
            if "id" in message:
                found[message["id"]] = message
            else:
                notes.append(message)
        return [found[ident] for ident in idents], notes

    def wait_for_pid(self, name):
        """The number that a program has written into a file."""
        def read():
            with contextlib.suppress(FileNotFoundError):
                with open(self.path(name), encoding="ascii") as file:
                    text = file.read()
                return int(text) if text.endswith("\n") else None
            return None
        return harness.until(read, "file %s" % name)

    def assert_gone(self, *pids):
        harness.until(lambda: not any(map(is_there, pids)),
                      lambda: "end of %r" % [p for p in pids if is_there(p)])


def output(notes, stream="stdout"):
    """What notifications exec.output carried of one stream."""
    data = b""
    for note in notes:
        assert note["method"] == "exec.output", note
        params = note["params"]
        if params["stream"] != stream:
            continue
        if "base64" in params:
            data += base64.b64decode(params["base64"])
        else:
            data += params.get("data", "").encode()
    return data
