# SPDX-License-Identifier: MIT
"""Where and over what the tests run, and what all of them may wait for."""

import os
import threading
import time
import unittest

TRANSPORT = os.environ.get("GUESTWIRE_TEST_TRANSPORT", "unix")
MUST_RUN = os.environ.get("MUST_RUN", "") == "1"
BUILDDIR = os.environ.get("builddir", os.getcwd())
SRCDIR = os.environ.get(
    "srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
GUESTWIRED = os.path.join(BUILDDIR, "guestwired")
GUESTWIRE = os.path.join(BUILDDIR, "guestwire")

# Only a hang reaches these; user-mode Linux traces every system call, so it gets more.
DEADLINE = float(os.environ.get("GUESTWIRE_TEST_DEADLINE", 120 if TRANSPORT == "vsock" else 60))
TEST_LIMIT = 600

CID_LOCAL = 1
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = (
    -32700, -32600, -32601, -32602, -32603)
APPLICATION = -32000

# Requests that only lack their number; the reply to the second is large.
PING = b'{"jsonrpc":"2.0","id":%d,"method":"agent.ping"}\n'
BIG = b'{"jsonrpc":"2.0","id":%d,"method":"rpc.discover"}\n'

SANITIZERS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior",
              "== Invalid read", "== Invalid write", "definitely lost: ")


def only(transport):
    """Declares a test or a test class to be about one transport; elsewhere it is not a test."""
    def mark(item):
        item.only_transport = transport
        return item
    return mark


as_root = unittest.skipUnless(os.geteuid() == 0, "only root can do this")


def build_kind():
    """What the daemon was built with: "AddressSanitizer" or ""."""
    with open(GUESTWIRED, "rb") as file:
        return "AddressSanitizer" if b"__asan_init" in file.read() else ""


def until(condition, what, deadline=None, pause=0.01):
    """Polls condition() until it yields something true, which is returned."""
    end = time.monotonic() + (deadline or DEADLINE)
    never = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain: %s" % (what() if callable(what) else what))
        never.wait(pause)
