# SPDX-License-Identifier: MIT
"""A terminal far away: guestwire shell and exec -t, seen by a person who sits before tmux."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios

import harness
from cli import Case
from harness import DEADLINE, GUESTWIRE, is_gone, only, until

VIM = shutil.which("vim.tiny") or shutil.which("vim") or shutil.which("vi")
TMUX = shutil.which("tmux")
LESS = shutil.which("less")


class TerminalCase(Case):
    def setUp(self):
        super().setUp()
        self.start(self.target(), agent={"scope": "agent"})
        self.cli = self.main.cli


@only("unix")
class Tmux(TerminalCase):
    """One pane with a shell of ours, in which guestwire is typed like anything else.

    Over AF_VSOCK nothing differs but the time that it takes: Pty shows terminals there.
    """

    def setUp(self):
        super().setUp()
        for tool, name in ((TMUX, "tmux"), (VIM, "vim"), (LESS, "less")):
            if not tool:
                self.skipTest("%s is missing" % name)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
                  "env PS1='here> ' ENV= HISTFILE= sh")
        self.addCleanup(self.tmux, "kill-server")
        self.wait_back()

    def tmux(self, *args):
        # TERM is what tmux tells its pane; the socket is the test's own.
        return subprocess.run([TMUX, "-S", self.folder + "/tmux", *args], check=True,
                              timeout=DEADLINE, stdout=subprocess.PIPE,
                              universal_newlines=True, env=dict(os.environ, LC_ALL="C.UTF-8"),
                              stderr=subprocess.PIPE).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)
        self.keys("Enter")

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait_for(self, *texts):
        """Until the screen shows all of them; returns it."""
        def shown():
            screen = self.screen()
            return screen if all(text in screen for text in texts) else ""
        return until(shown, lambda: "%r on the screen:\n%s" % (texts, self.screen()))

    def wait_back(self):
        """Until the pane's own shell asks for more; what was typed at earlier prompts is shown
        still, so only the last line tells."""
        until(lambda: re.search(r"(^|\s)here>$", self.screen().rstrip()),
              lambda: "the prompt on the screen:\n%s" % self.screen())

    def shell(self):
        """guestwire shell, with a prompt of its own."""
        self.type("%s shell %s" % (GUESTWIRE, self.cli))
        # What is typed before the shell is there would be echoed twice.
        self.wait_for("#")
        self.type("PS1='there> ' ENV= HISTFILE= exec sh")
        self.wait_for("\nthere>")

    def modes(self):
        """How the pane's own terminal is set."""
        path = self.tmux("display", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-F", path, "-a"], check=True, stdout=subprocess.PIPE,
                              timeout=DEADLINE).stdout

    def test_shell_ends_with_its_exit_status(self):
        before = self.modes()
        self.shell()
        self.assertNotEqual(self.modes(), before, "it is raw meanwhile")
        self.type("tty; echo \"$TERM\" $((6 * 7))")
        self.wait_for("/dev/pts/", " 42", "tmux" if "tmux" in self.tmux(
            "show", "-gv", "default-terminal") else "screen")
        self.type("exit 3")
        self.wait_back()
        self.type("echo status=$?")
        self.wait_for("status=3")
        self.assertEqual(self.modes(), before, "as it was before")

    def test_interrupt_and_job_control(self):
        self.shell()
        self.type("sh -c 'echo go; exec sleep 1000'")
        self.wait_for("\ngo\n")
        self.keys("C-c")
        self.type("echo last=$?")
        self.wait_for("last=130\n")
        self.type("sh -c 'echo again; exec sleep 1000'")
        self.wait_for("\nagain\n")
        self.keys("C-z")
        self.wait_for("topped")
        self.type("jobs -p >/dev/null && fg; echo brought=$?")
        self.wait_for("fg; echo brought=$?\nsh -c")
        self.keys("C-c")
        self.type("echo fg=$?")
        self.wait_for("fg=130\n")
        self.keys("C-d")
        self.wait_back()
        self.type("echo status=$?")
        self.wait_for("status=0")

    def test_resize(self):
        self.shell()
        self.type("stty size")
        self.wait_for("24 80")
        self.tmux("resize-window", "-x", "101", "-y", "33")
        self.type("until stty size | grep '33 10''1'; do :; done")
        self.wait_for("33 101")
        # Who has the terminal is told.
        self.type("sh -c 'trap \"stty size; exit\" WINCH; echo rea\\dy; "
                  "while :; do sleep 0.1; done'")
        self.wait_for("\nready\n")
        self.tmux("resize-window", "-x", "90", "-y", "30")
        self.wait_for("30 90")
        self.type("exit")
        self.wait_back()

    def test_vim(self):
        path = os.path.join(self.folder, "text")
        self.type("%s exec -t %s -- %s -u NONE -i NONE -N %s" % (GUESTWIRE, self.cli, VIM, path))
        self.wait_for("~\n")
        self.keys("i")
        self.type("first line")
        self.tmux("send-keys", "-l", "grün")
        self.wait_for("first line\n", "grün\n")
        # It fills the screen, whatever its size becomes.
        self.tmux("resize-window", "-x", "70", "-y", "15")
        until(lambda: self.screen().count("~") == 12, self.screen)
        self.keys("Escape")
        self.type(":wq")
        self.wait_back()
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "first line\ngrün\n")
        self.type("echo status=$?")
        self.wait_for("status=0")

    def test_less(self):
        path = os.path.join(self.folder, "lines")
        with open(path, "w", encoding="ascii") as file:
            file.write("".join("line %d.\n" % i for i in range(1, 1001)))
        before = self.modes()
        self.type("%s exec -t %s -- less %s" % (GUESTWIRE, self.cli, path))
        self.wait_for("line 1.", "line 23.")
        self.keys("Space")
        self.wait_for("line 24.", "line 46.")
        self.type("/line 700")
        self.wait_for("line 700.")
        self.keys("G")
        self.wait_for("line 1000.")
        self.keys("q")
        self.wait_back()
        self.assertEqual(self.modes(), before)

    def test_the_terminal_is_restored_whatever_happens(self):
        before = self.modes()
        # AddressSanitizer takes SIGSEGV for itself.
        for how in ["TERM", "HUP", "INT", "QUIT", "USR1"] + ["SEGV"] * (not harness.build_kind()):
            # Each has a word of its own: what the one before has shown may be there still. The
            # number is guestwire's, since the shell that writes it becomes it.
            path = os.path.join(self.folder, "pid-" + how)
            self.type("clear; sh -c 'echo $$ >%s; exec %s exec -t %s -- "
                      "sh -c \"echo rea\"dy-%s\"; exec sleep 1000\"'" % (
                          path, GUESTWIRE, self.cli, how))
            self.wait_for("ready-%s\n" % how)
            with open(path, encoding="ascii") as file:
                pid = int(file.read())
            self.assertNotEqual(self.modes(), before)
            os.kill(pid, getattr(signal, "SIG" + how))
            until(lambda pid=pid: is_gone(pid), "its end")
            self.wait_back()
            self.assertEqual(self.modes(), before, how)

    def test_the_terminal_is_restored_where_the_guest_dies(self):
        before = self.modes()
        self.type("%s exec -t %s -- sh -c 'echo ready; exec sleep 1000'" % (GUESTWIRE, self.cli))
        self.wait_for("\nready\n")
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.wait_for("closed the connection")
        self.wait_back()
        self.assertEqual(self.modes(), before)
        self.daemon.process.returncode = 0

    def test_a_job_with_a_terminal(self):
        path = os.path.join(self.folder, "job")
        self.run_ok("exec", "--detach", "-t", self.cli, "--", VIM, "-u", "NONE",
                    "-i", "NONE", "-N", path)
        self.type("%s attach -i %s 1" % (GUESTWIRE, self.cli))
        until(lambda: self.screen().count("~") == 22, self.screen)
        self.keys("i")
        self.type("by hand")
        self.keys("Escape")
        self.type(":wq")
        self.wait_back()
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "by hand\n\n")


class Pty(TerminalCase):
    """The same without tmux: what the descriptors alone show."""

    def run_in_pty(self, *args, rows=40, cols=132, keys=b""):
        """guestwire with a terminal for its three: its exit code and what was shown."""
        pid, master = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "vt220"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            os.execv(GUESTWIRE, [GUESTWIRE, *args])
        shown = b""
        os.write(master, keys)
        with contextlib.suppress(OSError):
            while True:
                piece = os.read(master, 65536)
                if not piece:
                    break
                shown += piece
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_kind_and_size_are_ours(self):
        code, shown = self.run_in_pty("exec", "-t", self.cli, "--", "sh", "-c",
                                      "tty >/dev/null && stty size; echo $TERM; exit 9")
        self.assertEqual((code, shown), (9, b"40 132\r\nvt220\r\n"))

    def test_without_t_there_is_none(self):
        code, shown = self.run_in_pty("exec", self.cli, "--", "sh", "-c", "tty; tty <&1; exit 4")
        self.assertEqual((code, shown), (4, b"not a tty\r\nnot a tty\r\n"))

    def run_without(self, *args, data=b""):
        return self.run_guestwire(*args, data=data, text=False)

    def test_a_terminal_there_and_none_here(self):
        result = self.run_without("exec", "-t", self.cli, "--", "sh", "-c", "stty size; cat; tty")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertRegex(result.stdout, rb"^24 80\r\n/dev/pts/\d+\r\n$")

    def test_input_from_no_terminal(self):
        result = self.run_without("exec", "-ti", self.cli, "--", "sh", "-c",
                                  "stty -echo; echo; cat", data=b"a line\nand a piece")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertTrue(result.stdout.endswith(b"a line\r\nand a piece"), result.stdout)

    def test_shell_from_no_terminal(self):
        result = self.run_without("shell", self.cli, data=b"tty; echo $((6*7)); exit 3\n")
        self.assertEqual((result.returncode, result.stderr), (3, b""))
        self.assertIn(b"\r\n42\r\n", result.stdout)
        self.assertIn(b"/dev/pts/", result.stdout)

    def test_shell_of_a_user(self):
        result = self.run_without("shell", self.cli, "nobody")
        # Its shell lets nobody in, as on every system.
        self.assertEqual(result.returncode, 1, result)
        self.run_bad(255, "no user nobody-is-called-so", "shell", self.cli, "nobody-is-called-so")
        self.run_bad(2, "user's name", "shell", self.cli, "")

    def test_a_login_shell(self):
        result = self.run_without("shell", self.cli, "root",
                                  data=b"shopt login_shell; echo \"$0 $HOME $PWD\"; exit\n")
        self.assertEqual(result.returncode, 0, result)
        self.assertIn(b"login_shell    \ton", result.stdout)

    def test_a_terminal_that_goes_away_takes_the_program_along(self):
        pid, master = pty.fork()
        if pid == 0:
            os.execv(GUESTWIRE, [GUESTWIRE, "exec", "-t", self.cli, "--", "sh", "-c",
                                 "echo $$; trap '' HUP; while :; do sleep 1; done"])
        program = int(os.read(master, 100))
        os.close(master)
        os.waitpid(pid, 0)
        until(lambda: is_gone(program), "the program's end", 2 * DEADLINE)


if __name__ == "__main__":
    harness.main()
