# SPDX-License-Identifier: MIT
"""guestwire cp: files and trees to a guest, from it and between guests, by the real client."""

import contextlib
import fcntl
import os
import pty
import shutil
import stat
import struct
import subprocess
import termios
import threading

import harness
from cli import OK
from copies import MIB, CpCase, listing
from harness import DEADLINE, GUESTWIRE, only


class Files(CpCase):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_there_and_back(self):
        for content in (b"", b"x", self.large()):
            path = self.write(self.here, "a", content=content)
            self.cp_ok(path, self.guest("b"))
            self.assertEqual(self.read(self.there, "b"), content)
            self.cp_ok(self.guest("b"), os.path.join(self.here, "c"))
            self.assertEqual(self.read(self.here, "c"), content)
        self.assert_only(self.there, "b")
        self.assert_only(self.here, "a", "c")

    def test_into_a_directory(self):
        a, b = self.write(self.here, "a"), self.write(self.here, "b", content=b"b")
        self.cp_ok(a, b, self.guest())
        self.assert_only(self.there, "a", "b")
        back = self.make_folder("back")
        self.cp_ok(self.guest("a"), self.guest("b"), back + "/")
        self.assert_only(back, "a", "b")
        self.assertEqual(self.read(back, "b"), b"b")

    def test_several_need_a_directory(self):
        a, b = self.write(self.here, "a"), self.write(self.here, "b")
        self.cp_bad("no directory, which several sources need", a, b, self.guest("c"))
        self.write(self.there, "file")
        self.cp_bad("its last slash says|Not a directory", a, self.guest("file/"))
        self.cp_bad("no such directory", a, self.guest("new/"))
        self.assert_only(self.there, "file")

    def test_relative_names_here(self):
        self.write(self.here, "a:b", content=b"with a colon")
        cwd = {"cwd": self.here}
        self.run_ok("cp", "./a:b", self.guest("x"), **cwd)
        self.assertEqual(self.read(self.there, "x"), b"with a colon")
        self.run_ok("cp", self.guest("x"), "y", **cwd)
        self.run_ok("cp", self.guest("x"), ".", **cwd)
        self.assert_only(self.here, "a:b", "x", "y")

    def test_modes_and_times(self):
        path = self.write(self.here, "a")
        os.chmod(path, 0o4751)
        os.utime(path, ns=(10 ** 18, 10 ** 18 + 7))
        self.cp_ok(path, self.guest("plain"))
        self.cp_ok("-p", path, self.guest("kept"))
        plain, kept = (os.stat(os.path.join(self.there, n)) for n in ("plain", "kept"))
        self.assertEqual(stat.S_IMODE(plain.st_mode), 0o751)
        self.assertNotEqual(plain.st_mtime_ns, 10 ** 18 + 7)
        self.assertEqual(stat.S_IMODE(kept.st_mode), 0o4751)
        self.assertEqual(kept.st_mtime_ns, 10 ** 18 + 7)

    def test_sparse_stays_sparse(self):
        path = os.path.join(self.here, "s")
        with open(path, "wb") as file:
            file.truncate(512 * MIB)
            file.seek(256 * MIB)
            file.write(b"in the middle")
        self.cp_ok(path, self.guest("s"))
        self.cp_ok(self.guest("s"), os.path.join(self.here, "back"))
        for copy in (os.path.join(self.there, "s"), os.path.join(self.here, "back")):
            info = os.stat(copy)
            self.assertEqual(info.st_size, 512 * MIB)
            self.assertLess(info.st_blocks * 512, MIB)
            with open(copy, "rb") as file:
                file.seek(256 * MIB - 1)
                self.assertEqual(file.read(15), b"\0in the middle\0")

    def test_a_link_is_followed_alone(self):
        self.write(self.here, "a")
        os.symlink("a", os.path.join(self.here, "l"))
        self.cp_ok(os.path.join(self.here, "l"), self.guest("f"))
        self.assertFalse(os.path.islink(os.path.join(self.there, "f")))
        os.symlink("f", os.path.join(self.there, "l"))
        self.cp_ok(self.guest("l"), os.path.join(self.here, "f"))
        self.assertEqual(self.read(self.here, "f"), b"content\n")
        self.cp_ok("-r", self.guest("l"), os.path.join(self.here, "l2"))
        self.assertEqual(os.readlink(os.path.join(self.here, "l2")), "f")

    def test_odd_names(self):
        for name in (b"line\nfeed", b"\xff\xfe", b" ", b"x" * 255, b"-r", b"\"q\\"):
            path = os.path.join(os.fsencode(self.here), name)
            with open(path, "wb") as file:
                file.write(name)
            to = os.fsencode(self.main.cli + ":" + self.there)
            self.assertEqual(self.run_guestwire("cp", path, to).returncode, OK)
            with open(os.path.join(os.fsencode(self.there), name), "rb") as file:
                self.assertEqual(file.read(), name)
            os.unlink(path)
            self.assertEqual(self.run_guestwire("cp", to + b"/" + name, self.here).returncode, OK)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), name)

    def test_a_reader_never_sees_half(self):
        self.write(self.there, "f", content=b"old" * 1000)
        path = self.write(self.here, "f", content=self.large())
        seen, stop = set(), threading.Event()

        def look():
            while not stop.is_set():
                seen.add(len(self.read(self.there, "f")))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for _ in range(5):
                self.cp_ok(path, self.guest("f"))
        finally:
            stop.set()
            thread.join()
        self.assertLessEqual(seen, {3000, 8 * MIB + 5})

    def test_streams(self):
        content = self.large()
        result = self.run_guestwire("cp", "-", self.guest("s"), data=content, text=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (OK, b"", b""))
        self.assertEqual(self.read(self.there, "s"), content)
        result = self.run_guestwire("cp", self.guest("s"), "-", text=False)
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        self.assertEqual(result.stdout, content)
        self.cp_bad("no name to go into it", "-", self.guest())

    def test_a_reader_that_has_had_enough(self):
        self.write(self.there, "s", content=self.large())
        result = subprocess.run("%s cp '%s' - | head -c 10 | wc -c" % (GUESTWIRE, self.guest("s")),
                                shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                check=False, timeout=DEADLINE)
        self.assertEqual(result.stdout.strip(), b"10")
        self.assert_only(self.there, "s")


class Trees(CpCase):
    def setUp(self):
        super().setUp()
        self.serve()
        self.tree = self.make_folder("here/tree")

    def fill(self):
        os.makedirs(os.path.join(self.tree, "a/b/empty"))
        self.write(self.tree, "a/x")
        self.write(self.tree, "a/b/large", content=self.large(MIB))
        os.symlink("../nowhere", os.path.join(self.tree, "a/dangling"))
        for name in (b"line\nfeed", b"\xff", b"x" * 255):
            with open(os.path.join(os.fsencode(self.tree), name), "wb") as file:
                file.write(name)
        os.chmod(os.path.join(self.tree, "a/x"), 0o600)
        os.chmod(os.path.join(self.tree, "a/b"), 0o555)
        for path in (b"a/x", b"line\nfeed", b"a/b/large", b"a/b", b"a", b""):
            os.utime(os.path.join(os.fsencode(self.tree), path), ns=(10 ** 18, 10 ** 18 + 1))

    def test_preserved_there_and_back(self):
        self.fill()
        self.cp_ok("-rp", self.tree, self.guest())
        self.assertEqual(listing(os.path.join(self.there, "tree")), listing(self.tree))
        self.assertEqual(os.stat(os.path.join(self.there, "tree")).st_mtime_ns, 10 ** 18 + 1)
        self.cp_ok("-r", "-p", self.guest("tree"), os.path.join(self.here, "back"))
        self.assertEqual(listing(os.path.join(self.here, "back")), listing(self.tree))

    def test_names_and_places_as_cp_has_them(self):
        self.fill()
        names = set(listing(self.tree))
        self.cp_ok("-r", self.tree, self.guest("new"))
        self.assertEqual(set(listing(os.path.join(self.there, "new"))), names)
        self.cp_ok("-r", self.tree + "/", self.guest("new"))
        self.assertIn("tree", os.listdir(os.path.join(self.there, "new")))
        self.cp_ok("-r", self.tree + "/.", self.guest())
        self.assertIn("a", os.listdir(self.there))
        back = self.make_folder("back")
        self.cp_ok("-r", self.guest("."), back)
        self.assertIn("a", os.listdir(back))

    def test_needs_to_be_said(self):
        self.fill()
        self.cp_bad("-r copies it", self.tree, self.guest("new"))
        shutil.copytree(self.tree, os.path.join(self.there, "tree"), symlinks=True)
        self.cp_bad("is a directory", self.guest("tree"), os.path.join(self.here, "back"))
        self.assert_only(self.here, "tree")

    @only("unix")
    def test_ten_thousand_files(self):
        for i in range(10000):
            self.write(self.tree, "%d" % i, content=b"%d" % i)
        self.cp_ok("-r", self.tree, self.guest())
        self.cp_ok("-r", self.guest("tree"), os.path.join(self.here, "back"))
        back = os.path.join(self.here, "back")
        self.assertEqual(len(os.listdir(back)), 10000)
        for i in range(0, 10000, 97):
            self.assertEqual(self.read(back, "%d" % i), b"%d" % i)

    def test_what_cannot_be_copied_is_named(self):
        self.fill()
        os.mkfifo(os.path.join(self.tree, "fifo"))
        said = self.cp_bad("fifo: it is a FIFO", "-r", self.tree, self.guest())
        self.assertEqual(said.count("fifo: it is a FIFO"), 1)
        self.assertEqual(len(listing(os.path.join(self.there, "tree"))),
                         len(listing(self.tree)) - 1)
        os.mkfifo(os.path.join(self.there, "tree/fifo2"))
        said = self.cp_bad("fifo2: it is a FIFO", "-r", self.guest("tree"),
                           os.path.join(self.here, "back"))
        self.assertEqual(said.count("fifo2: it is a FIFO"), 1)

    def test_a_planted_link_leads_nowhere(self):
        outside = self.make_folder("outside")
        os.makedirs(os.path.join(self.tree, "d"))
        self.write(self.tree, "d/x")
        os.makedirs(os.path.join(self.there, "tree"))
        os.symlink(outside, os.path.join(self.there, "tree/d"))
        self.cp_bad("d: there is a symbolic link of that name", "-r", self.tree, self.guest())
        self.assert_only(outside)

    def test_into_itself(self):
        self.fill()
        shutil.copytree(self.tree, os.path.join(self.there, "tree"), symlinks=True)
        before = listing(self.there)
        self.cp_bad("cannot be copied into itself", "-r", self.guest("tree"),
                    self.guest("tree/a/copy"))
        self.cp_bad("same directory", "-r", self.guest("tree"), self.guest())
        self.assertEqual(set(listing(self.there)), set(before))


class Between(CpCase):
    def test_guest_to_guest(self):
        first = self.target("first", trust="peers", trust_unsafe="yes")
        second = self.target("second", trust="peers", trust_unsafe="yes")
        self.start(first, second)
        content = self.large()
        os.mkdir(os.path.join(self.here, "tree"))
        self.write(self.here, "tree/large", content=content)
        os.symlink("large", os.path.join(self.here, "tree/link"))
        tree = os.path.join(self.here, "tree")
        self.cp_ok("-rp", "%s:%s" % (first.cli, tree), "%s:%s" % (second.cli, self.there))
        self.assertEqual(listing(os.path.join(self.there, "tree")), listing(tree))
        self.cp_ok("%s:%s/large" % (first.cli, tree), "%s:%s/x" % (first.cli, self.there))
        self.assertEqual(self.read(self.there, "x"), content)
        self.cp_bad("No such file", "%s:%s/none" % (first.cli, tree),
                    "%s:%s/y" % (second.cli, self.there))
        self.cp_bad("No such file", "%s:%s/large" % (first.cli, tree),
                    "%s:%s/none/y" % (second.cli, self.there))
        self.assert_only(self.there, "tree", "x")

    def test_onto_itself(self):
        """Whatever ways lead there."""
        self.serve()
        path = self.write(self.there, "f", content=b"precious")
        os.link(path, os.path.join(self.there, "hard"))
        for args in ((path, self.guest("f")), (self.guest("f"), path),
                     (self.guest("f"), self.guest("hard")), (self.guest("f"), self.there)):
            self.cp_bad("same file as the source", *args)
            self.assertEqual(self.read(path), b"precious")
        self.assert_only(self.there, "f", "hard")


class Completion(CpCase):
    def test_names_here_and_targets(self):
        self.write(self.here, "one")
        os.mkdir(os.path.join(self.here, "two"))
        said = self.run_ok("--complete", "cp", self.here + "/")
        self.assertEqual(sorted(line.split("\t")[0] for line in said.splitlines()),
                         [self.here + "/one", self.here + "/two/"])
        self.assertIn("local\t", self.run_ok("--complete", "cp", "-r", "x", "lo"))
        self.assertIn("--resume\t", self.run_ok("--complete", "cp", "--re"))


class Bar(CpCase):
    def on_terminal(self, *args):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        process = subprocess.Popen([GUESTWIRE, "cp", *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=slave,
                                   env=dict(os.environ, TERM="xterm"))
        os.close(slave)
        said = b""
        with contextlib.suppress(OSError):
            while True:
                said += os.read(master, 65536)
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, OK, said)
        return said.decode()

    def test_on_a_terminal_only(self):
        self.serve()
        path = self.write(self.here, "f", content=self.large())
        for args in ((path, self.guest("f")), (self.guest("f"), os.path.join(self.here, "g"))):
            last = self.on_terminal(*args).split("\r")[-2]
            self.assertRegex(last, r"\[=+\] 100%\s+8\.0 MiB\s+[\d.]+ [KMG]iB/s\s+\d+:\d\d")
            self.cp_ok(*args)

    def test_a_tree_has_a_total(self):
        self.serve()
        os.mkdir(os.path.join(self.here, "t"))
        self.write(self.here, "t/f", content=self.large())
        for args in (("-r", os.path.join(self.here, "t"), self.guest("t")),
                     ("-r", self.guest("t"), os.path.join(self.here, "u"))):
            self.assertRegex(self.on_terminal(*args).split("\r")[-2], "100%")


if __name__ == "__main__":
    harness.main()
