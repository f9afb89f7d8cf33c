# SPDX-License-Identifier: MIT
"""What /proc tells of a process."""

import contextlib
import os
import re


def stat(pid):
    """The fields of its stat from the third on, which is its state."""
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def children(parent):
    """The children of a process, by their numbers."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            if int(stat(pid)[1]) == parent:
                found.append(pid)
    return found


def cpu_ticks(pid):
    """User and system time used so far, in clock ticks."""
    fields = stat(pid)
    return int(fields[11]) + int(fields[12])


def peak_rss(pid):
    """The most resident memory that it ever had, in bytes."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        return int(re.search(r"^VmHWM:\s*(\d+) kB$", file.read(), re.M).group(1)) * 1024


def is_there(pid):
    """It runs; one that has died and is not reaped yet does not."""
    try:
        return stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_gone(pid):
    """Neither running nor a zombie that nobody has buried."""
    return not os.path.exists("/proc/%d" % pid)


def is_asleep(pid):
    return stat(pid)[0] == "S"
