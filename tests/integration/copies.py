# SPDX-License-Identifier: MIT
"""What the tests of `guestwire cp` stand on: two folders, and an agent between them."""

import os
import random
import stat

from cli import REFUSED, Case

MIB = 1 << 20
PARTIAL = ".%s.guestwire-part"


def listing(path):
    """All that is in a tree: {relative path: what it is}, as bytes."""
    top = os.fsencode(path)
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            full = os.path.join(folder, name)
            info = os.lstat(full)
            what = [stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_mtime_ns,
                    info.st_uid, info.st_gid]
            if stat.S_ISLNK(info.st_mode):
                what.append(os.readlink(full))
                what[1] = 0
            elif stat.S_ISREG(info.st_mode):
                with open(full, "rb") as file:
                    what.append(file.read())
            found[os.path.relpath(full, top)] = what
    return found


class CpCase(Case):
    def setUp(self):
        super().setUp()
        self.here = self.make_folder("here")
        self.there = self.make_folder("there")

    def make_folder(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def serve(self, **keys):
        self.start(self.target(trust="peers", trust_unsafe="yes", **keys))
        return self.main.cli

    def write(self, *names, content=b"content\n"):
        path = os.path.join(*names)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def read(self, *names):
        with open(os.path.join(*names), "rb") as file:
            return file.read()

    def guest(self, *names):
        return "%s:%s" % (self.main.cli, os.path.join(self.there, *names))

    def cp_ok(self, *args):
        self.assertEqual(self.run_ok("cp", *args), "")

    def cp_bad(self, pattern, *args, code=REFUSED):
        result = self.run_bad(code, pattern, "cp", *args)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def assert_only(self, folder, *names):
        """No temporary file, no partial one: nothing but these."""
        self.assertEqual(sorted(os.listdir(folder)), sorted(names))

    def large(self, size=8 * MIB + 5):
        return random.Random(size).getrandbits(size * 8).to_bytes(size, "little")
