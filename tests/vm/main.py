# SPDX-License-Identifier: MIT
"""All tests of the laboratory. Those of one lane share its guests and run one after the other, in
a process of their own; lanes run side by side, since a guest that boots waits for itself most of
the time. Each test says which lane is its own."""

import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

# Set in the processes of the lanes.
LANE = os.environ.get("VM_LANE", "")
# So many at once: two processors have no more guests to wait for than these.
AT_ONCE = int(os.environ.get("VM_LANES", 4))
SLOWEST = 10


def modules():
    # The first boot is a test: nothing may come before it. The second guest's is too.
    names = ["test_boot", "test_transport"]
    for path in sorted(glob.glob(os.path.join(lab.HERE, "test_*.py"))):
        name = os.path.splitext(os.path.basename(path))[0]
        if name not in names:
            names.append(name)
    return names


class Lane:
    """A process, and the thread that passes on what it says."""

    lock = threading.Lock()
    slots = threading.Semaphore(AT_ONCE)
    times = []
    number = 0
    failed = False

    def __init__(self, name, tests):
        """When others have ended, if as many as may run do."""
        Lane.slots.acquire()  # pylint: disable=consider-using-with
        self.name, self.begun = name, time.monotonic()
        self.tests = ["%s.%s" % (type(test).__name__, test._testMethodName) for test in tests]
        environment = dict(os.environ, VM_LANE=name)
        if lab.LOGS:
            environment["VM_LOGS"] = os.path.join(lab.LOGS, name)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-B", os.path.abspath(__file__),
             *sys.argv[1:]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment,
            universal_newlines=True, errors="replace")
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        try:
            self._read()
        finally:
            Lane.slots.release()

    def _read(self):
        said = []
        for line in self.process.stdout:
            # A result, and what is said about it before the next one.
            if re.match(r"(not )?ok \d+ ", line):
                self._pass_on(said)
                said = []
            if not re.match(r"1\.\.\d+$", line):
                said.append(line)
        self._pass_on(said)
        status = self.process.wait()
        Lane.failed |= status != 0
        for name in list(self.tests):
            self._pass_on(["not ok 0 - %s\n" % name,
                           "# the lane has ended with status %d before it\n" % status])
        self._pass_on(["# lane %s: status %d after %.0f s\n" % (
            self.name, status, time.monotonic() - self.begun)])

    def _pass_on(self, lines):
        with Lane.lock:
            name = ""
            for line in lines:
                found = re.match(r"(not ok|ok) \d+ - (\S+)(.*\n)", line)
                if found:
                    Lane.number += 1
                    Lane.failed |= found.group(1) != "ok"
                    line = "%s %d - %s%s" % (found.group(1), Lane.number, found.group(2),
                                             found.group(3))
                    name = found.group(2)
                    self.tests.remove(name)
                elif re.match(r"# \d+\.\d s$", line):
                    Lane.times.append((float(line.split()[1]), name))
                elif not line.startswith("#"):
                    # What would end the stream of all ends one lane.
                    line = "# " + line
                sys.stdout.write(line)
            sys.stdout.flush()


def main():
    tests = lab.wanted(modules())
    if LANE:
        lab.main([test for test in tests if test.lane == LANE])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lab.interrupted)
    begun = time.monotonic()
    print("1..%d" % len(tests), flush=True)
    names = [test.lane for test in tests]
    try:
        # Those with most to do first.
        for lane in [Lane(name, [test for test in tests if test.lane == name])
                     for name in sorted(set(names), key=names.count, reverse=True)]:
            lane.thread.join()
    except KeyboardInterrupt:
        # The lanes end with us.
        sys.exit(143)
    print("# The slowest:")
    for each in sorted(Lane.times, reverse=True)[:SLOWEST]:
        print("# %6.1f s  %s" % each)
    print("# %d tests in %d lanes: %.0f s" % (
        len(tests), len(set(names)), time.monotonic() - begun))
    sys.exit(0 if tests and not Lane.failed else 1)


if __name__ == "__main__":
    main()
