# SPDX-License-Identifier: MIT
"""What the integration tests stand on: the real daemon, a raw client, TAP.

A test class runs unchanged over Unix sockets and over AF_VSOCK: GUESTWIRE_TEST_TRANSPORT
says which (`unix`, the default, or `vsock`, only ever inside a guest). What holds for one
of them alone is marked with @only(). Nothing here sleeps to synchronise: every wait is for
an event, with a deadline that is far off unless something is broken.
"""

from .case import TestCase
from .client import Client, Target
from .daemon import Daemon
from .settings import (
    BUILDDIR, CID_LOCAL, DEADLINE, GUESTWIRE, GUESTWIRED, INVALID_PARAMS, INVALID_REQUEST,
    NO_METHOD, PARSE_ERROR, SANITIZERS, SRCDIR, TEST_LIMIT, TRANSPORT, build_kind, children, only,
    until)
from .tap import TapResult, main, wanted

__all__ = (
    "BUILDDIR", "CID_LOCAL", "Client", "DEADLINE", "Daemon", "GUESTWIRE", "GUESTWIRED",
    "INVALID_PARAMS", "INVALID_REQUEST", "NO_METHOD", "PARSE_ERROR", "SANITIZERS", "SRCDIR",
    "TEST_LIMIT", "TRANSPORT", "TapResult", "Target", "TestCase", "build_kind", "children", "main",
    "only", "until", "wanted")
