# SPDX-License-Identifier: MIT
"""guestwire cp between the host and its guest, under the unit as it is shipped."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile

import lab

MIB = 1 << 20
PARTIAL = ".%s.guestwire-part"


class Cp(lab.TestCase):
    # What takes minutes does not hold up the rest.
    lane = "others"

    def setUp(self):
        super().setUp()
        self.wait_ping()
        self.here = tempfile.mkdtemp(prefix="guestwire-cp.", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.here)

    def there(self, path, port=1001):
        """A file of the guest's, as cp wants it."""
        return "%s:%s" % (self.guest.target(port), path)

    def forget_after(self, *paths):
        self.addCleanup(self.guest.run, "rm", "-rf", *paths)

    def cp(self, *words, **options):
        return self.guestwire("cp", *words, timeout=3 * lab.DEADLINE, **options)

    def random(self, name, size):
        """A file here with nothing in it that repeats: its path and its hash."""
        path, digest = os.path.join(self.here, name), hashlib.sha256()
        with open(path, "wb") as file:
            for _ in range(size // MIB):
                piece = os.urandom(MIB)
                digest.update(piece)
                file.write(piece)
        return path, digest.hexdigest()

    def hash_here(self, path):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while piece := file.read(MIB):
                digest.update(piece)
        return digest.hexdigest()

    def hash_there(self, path):
        """As the guest's own tools see it."""
        return self.guest.out("sha256sum", path, timeout=2 * lab.DEADLINE).split()[0]

    def test_256_mib_by_hash(self):
        source, wanted = self.random("source", 256 * MIB)
        home, tmp, etc = ("%s/laboratory.cp" % f for f in ("/home/someone", "/tmp", "/etc"))
        self.forget_after(home, tmp, etc)
        self.cp(source, self.there(home))
        self.assertEqual(self.hash_there(home), wanted)
        back = os.path.join(self.here, "back")
        self.cp(self.there(home), back)
        self.assertEqual(self.hash_here(back), wanted)
        for path in (tmp, etc):
            self.cp(back, self.there(path))
            self.assertEqual(self.hash_there(path), wanted, path)
        # Beside them nothing is left of how they came.
        self.assertEqual(self.guest.out("ls -A /home/someone /tmp /etc | grep -c guestwire-",
                                        check=False), "0")

    def test_back_from_tmp_and_etc(self):
        for folder in ("/tmp", "/etc"):
            with self.subTest(folder):
                path = folder + "/laboratory.cp"
                self.forget_after(path)
                wanted = self.guest.out(
                    "head -c %d /dev/urandom | tee %s | sha256sum" % (16 * MIB, path)).split()[0]
                back = os.path.join(self.here, "back")
                self.cp(self.there(path), back)
                self.assertEqual(self.hash_here(back), wanted)

    def test_a_tree(self):
        """As another user, and with what a tree has besides files."""
        tree = os.path.join(self.here, "tree")
        for folder in ("", "a", "a/b", "empty"):
            os.mkdir(os.path.join(tree, folder))
        for i in range(40):
            with open("%s/a/b/%d" % (tree, i), "w", encoding="ascii") as file:
                file.write("%d\n" % i)
        os.symlink("b/7", tree + "/a/link")
        with open(tree + "/holes", "wb") as file:
            file.truncate(1 << 30)
        os.chmod(tree + "/a", 0o750)
        os.utime(tree + "/a/b/7", ns=(10 ** 18, 10 ** 18))
        self.forget_after("/home/someone/tree")
        self.cp("-rp", "-u", "someone", tree, self.there("/home/someone"))
        self.assertEqual(self.guest.out(
            "cd /home/someone/tree && find . -type f | wc -l; readlink a/link; stat -c %a:%U a; "
            "stat -c %Y:%U a/b/7; find empty -type d; du -m holes | cut -f 1"),
            "41\nb/7\n750:someone\n1000000000:someone\nempty\n0")
        back = os.path.join(self.here, "back")
        self.cp("-rp", self.there("/home/someone/tree"), back)
        os.unlink(back + "/holes")
        os.unlink(tree + "/holes")
        subprocess.run(["diff", "-r", "--no-dereference", tree, back], check=True)
        self.assertEqual(os.stat(back + "/a/b/7").st_mtime_ns, 10 ** 18)
        self.assertEqual(os.lstat(back + "/a").st_mode & 0o7777, 0o750)

    def test_from_the_guest_to_itself(self):
        self.forget_after("/tmp/laboratory.cp", "/home/someone/laboratory.cp")
        self.guest.run("head -c %d /dev/urandom >/tmp/laboratory.cp" % (4 * MIB))
        self.cp(self.there("/tmp/laboratory.cp"), self.there("/home/someone/laboratory.cp"))
        self.guest.run("cmp /tmp/laboratory.cp /home/someone/laboratory.cp")

    def test_cut_and_resumed(self):
        """By us; what had arrived is kept, and the next one goes on from there."""
        path, partial = "/home/someone/laboratory.cp", "/home/someone/" + PARTIAL % "laboratory.cp"
        self.forget_after(path, partial)
        source, wanted = self.random("source", 32 * MIB)
        with open(source, "rb") as file:
            content = file.read()
        process = self.begin("--resume", "-", self.there(path))
        self.feed(process, content[:8 * MIB])
        lab.until(lambda: self.guest.run("test $(stat -c %%s %s) -gt %d" % (partial, MIB),
                                             check=False).status == 0,
                  "a part of it has arrived", lab.DEADLINE)
        process.send_signal(signal.SIGTERM)
        status = process.wait(lab.DEADLINE)
        said = process.stderr.read().decode()
        self.assertEqual(status, -signal.SIGTERM, said)
        self.assertIn("is kept", said)
        lab.until(lambda: not self.helpers(), "the helper has gone", lab.DEADLINE)
        size, inode = map(int, self.guest.out("stat", "-c", "%s %i", partial).split())
        self.assertGreater(size, MIB)
        self.guest.run("test ! -e " + path)

        self.cp("--resume", source, self.there(path))
        # It has become the file.
        self.assertEqual(int(self.guest.out("stat", "-c", "%i", path)), inode)
        self.assertEqual(self.hash_there(path), wanted)
        self.guest.run("test ! -e " + partial)

    def test_a_restart_cuts_it(self):
        path = "/tmp/laboratory.cp"
        self.forget_after(path)
        process = self.begin("-", self.there(path))
        self.feed(process, os.urandom(4 * MIB))
        lab.until(self.unnamed, "a file without a name yet", lab.DEADLINE)
        self.guest.run("systemctl restart guestwired")
        # Our end of its standard input stays open: it hears of it from the connection alone.
        status = process.wait(lab.DEADLINE)
        said = process.stderr.read().decode()
        self.assertRegex(said, "Cancelled: |closed the connection")
        self.assertRegex(said, "cut off: .* had been sent")
        self.assertIn(status, (1, 3), said)
        self.wait_ping()
        lab.until(lambda: not self.unnamed(), self.unnamed, lab.DEADLINE)
        self.assertEqual(self.guest.out("ls -A /tmp | grep laboratory", check=False), "")

    def begin(self, *words):
        process = subprocess.Popen(
            [os.path.join(lab.IMAGE, "host/usr/bin/guestwire"), "cp", *words],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def feed(self, process, data):
        process.stdin.write(data)
        process.stdin.flush()

    def unnamed(self):
        """Files in /tmp that somebody writes and that have no name there."""
        return self.guest.out("find /proc/[0-9]*/fd -lname '/tmp/#*' 2>/dev/null", check=False)

    def helpers(self):
        return self.guest.out("pgrep -f '[i]nternal-files'", check=False)
