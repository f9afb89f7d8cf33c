# SPDX-License-Identifier: MIT
"""guestwire shell from a terminal of the host's, into a unit of the guest's."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import lab


class Person:
    """Who sits before a terminal in which guestwire runs."""

    def __init__(self, test, *words, rows=30, columns=100):
        program = os.path.join(lab.IMAGE, "host/usr/bin/guestwire")
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.environ.update(TERM="vt220", LC_ALL="C.UTF-8")
                size = struct.pack("HHHH", rows, columns, 0, 0)
                fcntl.ioctl(0, termios.TIOCSWINSZ, size)
                os.execv(program, [program, *words])
            finally:
                os._exit(127)
        self.screen = ""
        self.status = None
        test.addCleanup(self.close)

    def type(self, text):
        os.write(self.master, text.encode())

    def command(self, text):
        self.type(text + "\r")

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, pattern):
        """Until what was shown since the last time has it; the match."""
        end = time.monotonic() + lab.DEADLINE
        while not (found := re.search(pattern, self.screen)):
            if not self.read(end - time.monotonic()):
                raise AssertionError("%r is not shown: %r" % (pattern, self.screen))
        self.screen = self.screen[found.end():]
        return found

    def read(self, timeout):
        """What is shown next; False at its end or after that time."""
        if not select.select([self.master], [], [], max(timeout, 0))[0]:
            return False
        with contextlib.suppress(OSError):
            piece = os.read(self.master, 65536)
            self.screen += piece.decode("utf-8", "replace")
            return bool(piece)
        return False

    def wait(self):
        """The exit status, once all has been shown."""
        end = time.monotonic() + lab.DEADLINE
        while self.read(end - time.monotonic()):
            pass
        if time.monotonic() >= end:
            raise AssertionError("the client goes on; the last it has shown: %r" % self.screen)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


class Shell(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def open(self, *user):
        """A shell in which nothing is shown twice: what was typed has other words in it."""
        person = Person(self, "shell", self.guest.target(1001), *user)
        person.wait_for(r"[#$] ")
        person.command("PS1=; bind 'set enable-bracketed-paste off' 2>/dev/null; echo be\"gin\"")
        person.wait_for(r"begin\r\n")
        return person

    def units(self):
        return self.guest.out(
            "systemctl list-units --all --plain --no-legend 'guestwire-*.service'")

    def wait_gone(self):
        lab.until(lambda: not self.units(), self.units, lab.DEADLINE)
        self.assertEqual(self.guest.out("pgrep -f '[s]leep 98765'", check=False), "")

    def test_commands(self):
        person = self.open()
        person.command("echo $TERM:$(id -un):$PWD:$$; tty")
        found = person.wait_for(r"vt220:root:/root:(\d+)\r\n(/dev/pts/\d+)\r\n")
        # It is what systemd says it is: a unit, whose main process that is.
        unit = self.units().split()[0]
        self.assertEqual(self.guest.property("MainPID", unit), found.group(1))
        # Outside of the sandbox.
        person.command("echo text >/tmp/laboratory.shell && echo writ\"ten\"")
        person.wait_for("written")
        self.assertEqual(self.guest.out("cat /tmp/laboratory.shell; rm /tmp/laboratory.shell"),
                         "text")
        person.command("exit 7")
        self.assertEqual(person.wait(), 7)
        self.wait_gone()

    def test_of_a_user(self):
        person = self.open("someone")
        person.command("echo $(id -un):$(id -Gn):$PWD:$(stat -c %U $(tty))")
        person.wait_for(r"someone:someone:/home/someone:someone\r\n")
        person.command("exit")
        self.assertEqual(person.wait(), 0)
        self.wait_gone()

    def test_the_size_of_the_window(self):
        person = self.open()
        person.command("stty size")
        person.wait_for(r"30 100\r\n")
        person.command("trap 'stty size' WINCH; echo trap\"ped\"")
        person.wait_for(r"trapped\r\n")
        person.resize(41, 133)
        person.command("")
        person.wait_for(r"41 133\r\n")
        person.command("exit")
        self.assertEqual(person.wait(), 0)

    def test_ctrl_c(self):
        person = self.open()
        person.command("sh -c 'echo sle\"eps\"; exec sleep 98765'")
        person.wait_for(r"sleeps\r\n")
        person.type("\x03")
        person.command("echo sta\"tus\"=$?")
        person.wait_for(r"status=130\r\n")
        # Before bash asks, its terminal takes this for the end of a line that it then has no more.
        person.command("PS1='rea''dy> '")
        person.wait_for(r"ready> $")
        person.type("\x04")
        self.assertEqual(person.wait(), 0)
        self.wait_gone()

    def test_the_client_is_killed(self):
        person = self.open()
        person.command("trap '' HUP TERM; setsid sleep 98765 & sleep 98765")
        lab.until(lambda: len(self.guest.out("pgrep -fx 'sleep 98765'",
                                                 check=False).split()) == 2,
                  "both sleep", lab.DEADLINE)
        os.kill(person.pid, signal.SIGKILL)
        person.wait()
        self.wait_gone()
