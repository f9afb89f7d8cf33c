# SPDX-License-Identifier: MIT
"""Runs the tests of a script, and prints what came of them as TAP."""

import faulthandler
import fnmatch
import signal
import sys
import traceback
import unittest

from .settings import MUST_RUN, TEST_LIMIT, TRANSPORT


class TapResult(unittest.TestResult):
    # Seconds after which a test hangs, and ends all with a trace.
    limit = TEST_LIMIT

    def __init__(self):
        super().__init__()
        self.number = 0
        self.notes = []
        self.bad = False
        self.skip = None

    def startTest(self, test):
        super().startTest(test)
        self.notes, self.bad, self.skip = [], False, None
        faulthandler.dump_traceback_later(self.limit, exit=True)

    def _note(self, error):
        self.bad = True
        self.notes += "".join(traceback.format_exception(*error)).rstrip("\n").split("\n")

    def addError(self, test, err):
        super().addError(test, err)
        if not isinstance(test, unittest.TestCase):
            print("Bail out! %s: %s" % (test, err[1]), flush=True)
        self._note(err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.notes.append(str(subtest))
            self._note(err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason

    def addExpectedFailure(self, test, err):
        raise AssertionError("an expected failure is no test")

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.number += 1
        name = "%s.%s" % (type(test).__name__, test._testMethodName)
        if self.skip is not None and MUST_RUN:
            self.bad = True
            self.notes.append("it was skipped, but MUST_RUN=1: %s" % self.skip)
        line = "%s %d - %s" % ("not ok" if self.bad else "ok", self.number, name)
        if self.skip is not None and not self.bad:
            line += " # SKIP %s" % self.skip
        print(line)
        for note in self.notes:
            print("# %s" % note)
        sys.stdout.flush()
        super().stopTest(test)


def wanted(suite, patterns):
    """The tests of the suite that are about this transport and match a pattern."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from wanted(item, patterns)
            continue
        method = getattr(item, item._testMethodName, None)
        transport = getattr(method, "only_transport",
                            getattr(type(item), "only_transport", TRANSPORT))
        name = "%s.%s" % (type(item).__name__, item._testMethodName)
        if transport == TRANSPORT and (
                not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)):
            yield item


def main():
    """Runs the tests of the script; arguments are globs on Class.test_name."""
    # A shell's background job ignores these, and so would what the tests start and send them to.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    tests = list(wanted(unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"]), sys.argv[1:]))
    if not tests:
        print("1..0 # SKIP nothing here is about %s" % TRANSPORT)
        sys.exit(0)
    print("1..%d" % len(tests), flush=True)
    result = TapResult()
    unittest.TestSuite(tests).run(result)
    sys.exit(0 if not (result.failures or result.errors) else 1)
