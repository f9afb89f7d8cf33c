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
from .process import children, cpu_ticks, is_asleep, is_gone, is_there, peak_rss
from .settings import (
    BIG, BUILDDIR, CID_LOCAL, DEADLINE, GUESTWIRE, GUESTWIRED, INVALID_PARAMS, INVALID_REQUEST,
    NO_METHOD, PARSE_ERROR, PING, SANITIZERS, SRCDIR, TEST_LIMIT, TRANSPORT, as_root, build_kind,
    only, until)
from .tap import TapResult, main, wanted

__all__ = (
    "BIG", "BUILDDIR", "CID_LOCAL", "Client", "DEADLINE", "Daemon", "GUESTWIRE", "GUESTWIRED",
    "INVALID_PARAMS", "INVALID_REQUEST", "NO_METHOD", "PARSE_ERROR", "PING", "SANITIZERS", "SRCDIR",
    "TEST_LIMIT", "TRANSPORT", "TapResult", "Target", "TestCase", "as_root", "build_kind",
    "children", "cpu_ticks", "is_asleep", "is_gone", "is_there", "main", "only", "peak_rss",
    "until", "wanted")
