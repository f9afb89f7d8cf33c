# SPDX-License-Identifier: MIT
"""The command line of guestwire(1) itself: words, help, completion, terminals and pipes."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess

import harness
from cli import CONNECTION, GUID, OK, REFUSED, SOURCE, TIMEOUT, USAGE, Case
from harness import GUESTWIRE, only


class CommandLine(Case):
    def verbs(self):
        return [line.split("\t")[0] for line in self.run_ok("--complete", "").splitlines()]

    def options_of(self, *words):
        return [line.split("\t")[0].rstrip("=")
                for line in self.run_ok("--complete", *words, "--").splitlines()]

    def test_usage(self):
        for args in ((), ("none",), ("ping",), ("ping", "a", "b"), ("ping", "--none", "1"),
                     ("-z",), ("ping", "-c", "0", "1"), ("ping", "-c", "x", "1"), ("ping", "-c"),
                     ("ping", "-i", "0", "1"), ("ping", "--timeout=5parsecs", "1"),
                     ("ping", "--json=1", "1"), ("cid", "1"), ("cid", "--wait"), ("doctor", "x"),
                     ("info", "-c1", "1"), ("call", "1"), ("guid",), ("guid", "x"),
                     ("guid", "4294967295"), ("guid", "00000001-0000-0000-0000-000000000000"),
                     ("ping", "x"), ("ping", "vsock:"), ("ping", "unix:"), ("ping", "tcp:"),
                     ("ping", "mux:")):
            with self.subTest(args=args):
                result = self.run_bad(USAGE, ".", *args)
                self.assertEqual(result.stdout, "")

    def test_help(self):
        output = self.run_ok("--help")
        for verb in self.verbs():
            self.assertRegex(output, r"(?m)^  %s " % verb)
            text = self.run_ok(verb, "--help")
            self.assertTrue(text.startswith("guestwire %s" % verb), text)
            for option in self.options_of(verb):
                self.assertIn(option, text)
            self.assertEqual(text, self.run_ok("--help", verb))
        self.assertLessEqual(max(map(len, output.split("\n"))), 100)

    def test_version(self):
        self.assertRegex(self.run_ok("--version"), r"^guestwire [0-9]+\.[0-9]+\.[0-9]+\n$")

    def test_guid_both_ways(self):
        self.assertEqual(self.run_ok("guid", "1000"), GUID + "\n")
        self.assertEqual(self.run_ok("guid", "0x3e8"), GUID + "\n")
        self.assertEqual(self.run_ok("guid", GUID), "1000\n")
        self.assertEqual(self.run_ok("guid", GUID.upper()), "1000\n")
        self.assertEqual(self.run_ok("guid", "2761"), "00000ac9-facb-11e6-bd58-64006a7986d3\n")
        for text in ("1000", GUID):
            self.assertEqual(self.run_json("guid", text), {"port": 1000, "guid": GUID})

    def test_cid(self):
        result = self.run_guestwire("cid", "--json")
        found = json.loads(result.stdout)
        self.assertEqual(set(found), {"cid", "cid_raw", "meaning"})
        self.assertTrue(found["meaning"])
        self.assertEqual(result.returncode, REFUSED if found["cid_raw"] is None else OK)

    def test_doctor(self):
        result = self.run_guestwire("doctor", "--json")
        found = json.loads(result.stdout)
        for line in found:
            self.assertEqual(set(line), {"check", "status", "text", "todo"})
            self.assertIn(line["status"], ("ok", "warn", "fail"))
            self.assertTrue(line["text"])
            self.assertTrue(line["todo"] or line["status"] == "ok", line)
        self.assertLessEqual({"kernel", "transport", "device", "cid", "callers", "config",
                              "port"},
                             {line["check"] for line in found})
        failed = any(line["status"] == "fail" for line in found)
        self.assertEqual(result.returncode, REFUSED if failed else OK)

        text = self.run_guestwire("doctor")
        self.assertEqual(text.returncode, result.returncode)
        statuses = re.findall(r"(?m)^(ok|warn|fail) ", text.stdout)
        self.assertEqual(statuses, [line["status"] for line in found])

    def on_terminal(self, *args, **variables):
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment.update({"TERM": "xterm"}, **variables)
        leader, follower = pty.openpty()
        process = subprocess.Popen([GUESTWIRE, *args], stdin=subprocess.DEVNULL, stdout=follower,
                                   stderr=follower, env=environment)
        os.close(follower)
        output = b""
        with contextlib.suppress(OSError):  # EIO is the terminal's end
            while True:
                output += os.read(leader, 65536)
        process.wait()
        os.close(leader)
        return output

    def test_colours_only_on_a_terminal(self):
        self.assertIn(b"\x1b[", self.on_terminal("doctor"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", NO_COLOR="1"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", TERM="dumb"))
        self.assertNotIn(b"\x1b", self.on_terminal("doctor", "--json"))
        self.assertNotIn("\x1b", self.run_guestwire("doctor").stdout)

    def test_call_is_indented_on_a_terminal(self):
        self.start()
        output = self.on_terminal("call", self.main.cli, "agent.info")
        self.assertGreater(output.count(b"\n"), 5)
        self.assertEqual(json.loads(output)["name"], "guestwire")
        self.assertEqual(self.on_terminal("call", "--json", self.main.cli,
                                          "agent.info").count(b"\n"), 1)

    def test_closed_pipe_is_quiet(self):
        for restore in (True, False):  # SIGPIPE as it is, and ignored
            read, write = os.pipe()
            os.close(read)
            old = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                result = subprocess.run([GUESTWIRE, "--help"], stdout=write,
                                        stderr=subprocess.PIPE, restore_signals=restore,
                                        timeout=harness.DEADLINE, check=False)
            finally:
                signal.signal(signal.SIGPIPE, old)
                os.close(write)
            self.assertEqual(result.stderr, b"")
            self.assertEqual(result.returncode, -signal.SIGPIPE if restore else REFUSED)

    def test_full_disk_is_no_success(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([GUESTWIRE, "--help"], stdout=full, stderr=subprocess.PIPE,
                                    timeout=harness.DEADLINE, check=False)
        self.assertEqual(result.returncode, REFUSED)
        self.assertIn(b"cannot write", result.stderr)

    def test_manual_has_every_verb_and_option(self):
        with open(os.path.join(SOURCE, "man", "guestwire.1"), encoding="utf-8") as file:
            text = file.read()
        for verb in self.verbs():
            self.assertRegex(text, r"(?m)^\.It Cm %s\b" % verb)
            for option in self.options_of(verb):
                self.assertRegex(text, r"(?m)^\.It Fl (. , Fl )?-%s\b" % option[2:])
        for code in (OK, REFUSED, USAGE, CONNECTION, TIMEOUT):
            self.assertRegex(text, r"(?m)^\.It %d$" % code)

    def test_manual_is_sound(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is missing")
        result = subprocess.run(["mandoc", "-Tlint", "-Wwarning",
                                 os.path.join(SOURCE, "man", "guestwire.1")],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                universal_newlines=True)
        self.assertEqual((result.returncode, result.stdout), (0, ""))


@only("unix")
class Completion(Case):
    BASH = os.path.join(SOURCE, "conf", "completions", "guestwire")
    ZSH = os.path.join(SOURCE, "conf", "completions", "_guestwire")

    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.folder, "vm"))
        open(os.path.join(self.folder, "vmfile"), "w", encoding="utf-8").close()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.path.join(self.folder, "vm.sock"))

    def bash(self, line, breaks=None):
        script = """
            . "$1"
            complete -p guestwire >/dev/null || exit 1
            test -z "$3" || COMP_WORDBREAKS=$3
            COMP_LINE=$2 COMP_POINT=${#2}
            _guestwire
            test ${#COMPREPLY[@]} -eq 0 || printf '%s\\n' "${COMPREPLY[@]}"
            """
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", self.BASH, line,
                                 breaks or ""], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.path(), universal_newlines=True, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def path(self):
        return dict(os.environ, PATH="%s:%s" % (os.path.dirname(GUESTWIRE), os.environ["PATH"]))

    def test_bash(self):
        self.assertEqual(self.bash("guestwire "),
                         ["ping", "info", "call", "methods", "connect", "forward", "exec", "shell",
                          "cp", "jobs", "attach", "wait", "kill", "shutdown", "reboot",
                          "time", "cid", "guid", "hyperv", "doctor"])
        self.assertEqual(self.bash("guestwire pi"), ["ping"])
        self.assertEqual(self.bash("guestwire cid -"), ["--json", "--help", "--version"])
        self.assertEqual(self.bash("guestwire ping --cou"), ["--count="])
        self.assertEqual(self.bash("guestwire --timeout 5s ping lo"), ["local"])
        self.assertEqual(self.bash("guestwire --timeout "), [])
        self.assertEqual(self.bash("guestwire ping -c 3 "),
                         ["local", "host", "vsock:", "mux:", "unix:", "tcp:"])
        self.assertEqual(self.bash("guestwire cid "), [])
        self.assertEqual(self.bash("guestwire call local "), [])
        self.assertEqual(self.bash("guestwire connect --"),
                         ["--timeout=", "--wait", "--help", "--version"])
        self.assertEqual(self.bash("guestwire forward lo"), ["local"])
        self.assertEqual(self.bash("guestwire hyperv --config agent.conf lo"), ["local"])
        self.assertEqual(self.bash("guestwire hyperv --un"), ["--unregister"])

    def test_files_as_values(self):
        """Where an option's value is a file, files are offered."""
        found = ["%s/%s" % (self.folder, name) for name in ("vmfile", "vm/", "vm.sock")]
        for line in ("guestwire ping --token %s/vm", "guestwire hyperv --config %s/vm"):
            self.assertEqual(sorted(self.bash(line % self.folder)), sorted(found))
        line = "guestwire ping --token=%s/vmf" % self.folder
        self.assertEqual(self.bash(line), found[:1])
        self.assertEqual(self.bash(line, " \t\n"), ["--token=" + found[0]])
        self.assertEqual(self.bash("guestwire ping --count=%s/vm" % self.folder), [])

    def test_bash_paths(self):
        line = "guestwire ping unix:%s/vm" % self.folder
        whole = ["%s/vm%s" % (self.folder, tail) for tail in ("/", ".sock")]
        self.assertEqual(sorted(self.bash(line)), sorted(whole))
        # Where ':' does not break words the reply is the whole word.
        self.assertEqual(sorted(self.bash(line, " \t\n")), sorted("unix:" + w for w in whole))

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is missing")
        # Completion runs in zsh's line editor only: what it would add is printed instead.
        script = """
            compadd() { print -rl -- "${(@P)@[-1]}" }
            words=("${@[2,-1]}")
            CURRENT=${#words}
            . "$1"
            """
        for line, expected in ((["guestwire", "p"], ["ping"]),
                               (["guestwire", "guid", "--j"], ["--json"]),
                               (["guestwire", "ping", "--cou"], ["--count="]),
                               (["guestwire", "info", "unix:%s/vm." % self.folder],
                                ["unix:%s/vm.sock" % self.folder])):
            result = subprocess.run(["zsh", "-f", "-c", script, "zsh", self.ZSH, *line],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=self.path(), universal_newlines=True, check=False)
            self.assertEqual((result.stderr, result.stdout.split()), ("", expected), line)


if __name__ == "__main__":
    harness.main()
