# SPDX-License-Identifier: MIT
"""guestwire cp: what is refused, and what is left where a copy is cut off."""

import contextlib
import os
import random
import signal
import stat
import subprocess

import harness
from cli import CONNECTION, USAGE
from copies import MIB, PARTIAL, CpCase
from harness import DEADLINE, GUESTWIRE, as_root, until


class Refused(CpCase):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_usage(self):
        for pattern, *args in (
                ("cp needs SRC... DST",), ("cp needs", "a"),
                ("neither 'a' nor 'b' is in a guest", "a", "b"),
                ("neither", "-", "-"), ("neither", "./a:b", "c"),
                ("begins with a slash", "a", "21:b"), ("begins with a slash", "21:", "b"),
                ("begins with a slash", "unix:/a", "b"),
                ("nonsense", "nonsense:/a", "b"), ("empty", "", "21:/a")):
            self.cp_bad(pattern, *args, code=USAGE)

    def test_special_files(self):
        fifo, path = os.path.join(self.there, "fifo"), self.write(self.here, "a")
        os.mkfifo(fifo)
        full = os.path.join(self.there, "full")
        os.symlink("/dev/full", full)
        for pattern, *args in (
                ("it is a FIFO", path, self.guest("fifo")),
                ("it is a FIFO", self.guest("fifo"), os.path.join(self.here, "x")),
                ("a character device", path, self.guest("full")),
                ("it is a FIFO", fifo, self.guest("x")),
                ("a character device", self.guest("full"), os.path.join(self.here, "x")),
                ("a character device", "/dev/zero", self.guest("x")),
                ("a character device", path, "%s:/dev/full" % self.main.cli),
                ("No such file", self.guest("none"), os.path.join(self.here, "x")),
                ("No such file", os.path.join(self.here, "none"), self.guest("x")),
                ("No such file", path, self.guest("none/x")),
                ("No such file", self.guest("fifo"), os.path.join(self.here, "none/x"))):
            self.cp_bad(pattern, *args)
        self.assert_only(self.there, "fifo", "full")
        self.assert_only(self.here, "a")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))

    def test_not_privileged(self):
        path = self.write(self.here, "a")
        self.daemon.stop()
        self.start(self.target(trust="nobody"))
        self.cp_bad("run guestwire as root", path, self.guest("x"))
        self.assert_only(self.there)

    def test_nobody_there(self):
        path = self.write(self.here, "a")
        self.daemon.stop()
        self.cp_bad("no connection", path, self.guest("x"), code=CONNECTION)

    @as_root
    def test_as_a_user(self):
        os.chmod(self.folder, 0o755)
        path = self.write(self.here, "a")
        self.cp_bad("Permission denied", "-u", "nobody", path, self.guest("x"))
        os.chmod(self.there, 0o777)
        self.cp_ok("-u", "nobody", path, self.guest("x"))
        self.assertEqual(os.stat(os.path.join(self.there, "x")).st_uid, 65534)
        secret = self.write(self.there, "secret")
        os.chmod(secret, 0o600)
        self.cp_bad("Permission denied", "-u", "nobody", self.guest("secret"),
                    os.path.join(self.here, "b"))

    @as_root
    def test_a_full_disk(self):
        disk = self.make_folder("disk")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("cannot mount here")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        path = self.write(self.here, "a", content=self.large())
        to = "%s:%s" % (self.main.cli, disk)
        self.cp_bad("the disk is full", path, to)
        self.assert_only(disk)
        self.write(self.there, "a", content=self.large())
        self.cp_bad("the disk is full", self.guest("a"), disk)
        self.assert_only(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        small = self.write(self.here, "small")
        self.cp_bad("read-only", small, to)


class CutOff(CpCase):
    """Interrupts, and connections that end."""

    def setUp(self):
        super().setUp()
        self.serve()
        self.daemon.remember()

    def spawn_cp(self, *args, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([GUESTWIRE, "cp", *args], stdout=options.pop(
            "stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options)
        self.addCleanup(self.reap_bytes, process)
        return process

    @staticmethod
    def reap_bytes(process):
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()

    def begun_put(self, *args, name="s"):
        """A copy from our pipe of which much has arrived, and which waits for more."""
        process = self.spawn_cp(*args, "-", self.guest(name), stdin=subprocess.PIPE)
        process.stdin.write(self.large())
        process.stdin.flush()
        return process

    def test_interrupted_put(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.begun_put()
            until(lambda: len(self.daemon.children()) > 0, lambda: "a helper")
            process.send_signal(sig)
            _, said = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, -sig)
            self.assertRegex(said.decode(), r"cut off: .* had been sent; .* removed")
            self.daemon.assert_back()
            self.assert_only(self.there)

    def test_interrupted_get(self):
        """Our reader has stopped: what arrived is taken away."""
        self.write(self.there, "s", content=self.large(64 * MIB))
        process = self.spawn_cp(self.guest("s"), "-")
        process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE), -signal.SIGINT)
        said = process.stderr.read().decode()
        process.stderr.close()
        self.assertRegex(said, r"cut off: \S+ [KM]iB of 64\.0 MiB had arrived\n")
        self.daemon.assert_back()

    def test_the_agent_ends(self):
        process = self.begun_put()
        until(lambda: len(self.daemon.children()) > 0, lambda: "a helper")
        self.daemon.process.kill()
        self.daemon.process.wait()
        # Our end of its standard input stays open: it hears of it from the connection alone.
        code = process.wait(DEADLINE)
        _, said = process.communicate(timeout=DEADLINE)
        self.assertEqual(code, CONNECTION, said)
        self.assertRegex(said.decode(), "closed the connection|broke")
        self.assertRegex(said.decode(), r"cut off: .* had been sent")
        until(lambda: os.listdir(self.there) == [], lambda: os.listdir(self.there))

    def test_two_hundred_kills(self):
        """At any moment: the old file or the new one, and nothing else, on either side."""
        content, chance = self.large(MIB), random.Random(4)
        path = self.write(self.here, "f", content=content)
        self.write(self.there, "f", content=b"old")
        self.write(self.there, "g", content=content)
        for i in range(200):
            args = (path, self.guest("f")) if i % 2 else (self.guest("g"), self.here)
            process = self.spawn_cp(*args)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 0.02))
            process.kill()
            process.communicate()
            self.assertIn(self.read(self.there, "f"), (b"old", content))
            if os.path.exists(os.path.join(self.here, "g")):
                self.assertEqual(self.read(self.here, "g"), content)
        self.daemon.assert_back()
        until(lambda: sorted(os.listdir(self.there)) == ["f", "g"], lambda: os.listdir(self.there))
        # Where there is a file to replace, a whole one gets a name and then that one's place: who
        # is killed between the two steps, which is rare, leaves it whole under the other name.
        left = set(os.listdir(self.here)) - {"f", "g"}
        self.assertLessEqual(len(left), 2)
        for name in left:
            self.assertEqual(self.read(self.here, name), content)

    def test_resumed_put(self):
        content = self.large()
        path = self.write(self.here, "f", content=content)
        partial = self.write(self.there, PARTIAL % "f", content=content[:MIB])
        os.chmod(partial, 0o600)
        self.cp_ok("--resume", path, self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        self.assert_only(self.there, "f")
        # One whose beginning is another's is begun anew.
        self.write(self.there, PARTIAL % "f", content=b"x" * MIB)
        self.cp_ok("--resume", path, self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        self.assert_only(self.there, "f")

    def test_resumed_get(self):
        content = self.large()
        self.write(self.there, "f", content=content)
        for begin in (content[:MIB], b"x" * MIB, content + b"longer"):
            self.write(self.here, PARTIAL % "f", content=begin)
            self.cp_ok("--resume", self.guest("f"), self.here)
            self.assertEqual(self.read(self.here, "f"), content)
            self.assert_only(self.here, "f")

    def test_cut_and_resumed(self):
        content = self.large()
        process = self.spawn_cp("--resume", "-", self.guest("f"), stdin=subprocess.PIPE)
        process.stdin.write(content[:4 * MIB])
        process.stdin.flush()
        partial = os.path.join(self.there, PARTIAL % "f")
        until(lambda: os.path.exists(partial) and os.path.getsize(partial) > MIB,
              lambda: "a partial file")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=DEADLINE)
        self.assertIn("is kept", said.decode())
        self.daemon.assert_back()
        kept = self.read(partial)
        self.assertTrue(content.startswith(kept) and kept)
        self.cp_ok("--resume", self.write(self.here, "f", content=content), self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        self.assert_only(self.there, "f")

    def test_resumed_between_guests(self):
        content = self.large()
        path = self.write(self.here, "f", content=content)
        source = "%s:%s" % (self.main.cli, path)
        self.write(self.there, PARTIAL % "f", content=content[:5 * MIB])
        self.cp_ok("--resume", source, self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        # Longer than the source: begun anew.
        self.write(self.there, PARTIAL % "f", content=content + b"x")
        self.cp_ok("--resume", source, self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        # Another beginning: found in the end, and not kept.
        self.write(self.there, PARTIAL % "f", content=b"x" * MIB)
        self.cp_bad("its hash is another", "--resume", source, self.guest("f"))
        self.assertEqual(self.read(self.there, "f"), content)
        self.assert_only(self.there, "f")


if __name__ == "__main__":
    harness.main()
