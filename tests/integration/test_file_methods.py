# SPDX-License-Identifier: MIT
"""file.* in JSON: what is there, small contents, and what must not be reached."""

import base64
import contextlib
import errno
import grp
import hashlib
import os
import pwd
import shutil
import socket
import stat
import subprocess
import threading

import harness
from harness import INVALID_PARAMS, as_root
from rawfiles import FileCase, name_of


def b64(data):
    return base64.b64encode(data).decode()


class FileTest(FileCase):
    @contextlib.contextmanager
    def small_file_system(self, size="256k"):
        """A tmpfs of that size, as `small` in our place."""
        small = self.path("small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", small],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("mounting is not allowed here")
        try:
            yield small
        finally:
            subprocess.run(["umount", "-l", small], check=True)


class Facts(FileTest):
    def test_stat_of_every_kind(self):
        self.serve()
        file = self.write("file", b"12345", 0o640)
        os.symlink("file", self.path("link"))
        os.symlink("nowhere", self.path("dangling"))
        os.mkfifo(self.path("fifo"))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.path("socket"))
        for name, kind in (("file", "file"), ("fifo", "fifo"), ("socket", "socket"),
                           ("", "directory"), ("link", "file")):
            self.assertEqual(self.client.call("file.stat", {"path": self.path(name)})["type"], kind)
        self.assertEqual(self.client.call("file.stat", {"path": "/dev/full"})["type"],
                         "character-device")
        facts = self.client.call("file.stat", {"path": file})
        st = os.stat(file)
        self.assertEqual(
            [facts[key] for key in ("size", "mode", "mtime_ns", "atime_ns", "ctime_ns", "uid",
                                    "gid", "links", "inode", "device", "allocated_bytes")],
            [5, 0o640, st.st_mtime_ns, st.st_atime_ns, st.st_ctime_ns, st.st_uid, st.st_gid, 1,
             st.st_ino, st.st_dev, st.st_blocks * 512])
        self.assertEqual((facts["user"], facts["group"]),
                         (pwd.getpwuid(st.st_uid).pw_name, grp.getgrgid(st.st_gid).gr_name))
        link = self.client.call("file.stat", {"path": self.path("link"), "follow": False})
        self.assertEqual((link["type"], link["target"]), ("link", "file"))
        self.fails("file.stat", "not-found", "ENOENT", path=self.path("dangling"))

    @as_root
    def test_owners_without_a_name(self):
        self.serve()
        file = self.write("file")
        os.chown(file, 4000000, 4000001)
        facts = self.client.call("file.stat", {"path": file})
        self.assertEqual((facts["uid"], facts["user"], facts["gid"], facts["group"]),
                         (4000000, None, 4000001, None))

    def test_names_of_any_bytes(self):
        """Newlines, invalid UTF-8, 255 bytes: listed, read, renamed, removed."""
        self.serve()
        names = [b"new\nline", b"\xff\xfe", b"cut\xc3", b"-rf", b"a" * 255, "ä".encode() * 127,
                 b"sp ace", b'"quoted"', b"\x01", b"*", b"\\", b"\xed\xa0\x80"]
        for name in names:
            with open(os.path.join(self.place.encode(), name), "wb") as file:
                file.write(name)
        listed = self.client.call("file.list", {"path": self.place})["entries"]
        self.assertEqual([name_of(entry, "name") for entry in listed], sorted(names))
        for name in names:
            whole = b64(os.path.join(self.place.encode(), name))
            got = self.client.call("file.read", {"path_base64": whole})
            self.assertEqual(got.get("data", "").encode() or base64.b64decode(got["base64"]), name)
            other = b64(os.path.join(self.place.encode(), name[:250] + b"\xf0.2"))
            self.client.call("file.rename", {"path_base64": whole, "to_base64": other})
            self.client.call("file.remove", {"path_base64": other})
        self.assertEqual(os.listdir(self.place), [])

    def list_all(self, limit, between=lambda: None):
        params, seen = {"path": self.place, "limit": limit}, []
        while True:
            page = self.client.call("file.list", params)
            self.assertLessEqual(len(page["entries"]), limit)
            seen += [entry["name"] for entry in page["entries"]]
            if "next" not in page:
                return seen
            params["cursor"] = page["next"]
            between()

    def test_pages(self):
        self.serve()
        names = sorted("n%d" % i for i in range(100))
        for name in names:
            self.write(name)
        for limit in (1, 7, 99, 100, 101, 1 << 40):
            self.assertEqual(self.list_all(limit), names, limit)

    def test_pages_of_a_directory_that_changes(self):
        """What is there throughout comes once, whatever comes and goes."""
        self.serve()
        lasting = sorted("lasting%03d" % i for i in range(60))
        for name in lasting:
            self.write(name)
        count = iter(range(1000))

        def disturb():
            i = next(count)
            for j in range(20):
                self.write("a%d-%d" % (i, j))
                self.write("z%d-%d" % (i, j))
            for name in os.listdir(self.place):
                if not name.startswith("lasting") and not name.split("-")[0].endswith(str(i)):
                    os.unlink(self.path(name))

        seen = self.list_all(10, disturb)
        self.assertEqual([name for name in seen if name in lasting], lasting)

    def test_a_page_stays_within_max_message(self):
        self.start(self.target(trust="peers", trust_unsafe="yes"), agent={"max_message": "16K"})
        self.client = self.connect()
        names = sorted("%03d" % i + "x" * 200 for i in range(200))
        for name in names:
            self.write(name)
        page = self.client.call("file.list", {"path": self.place})
        self.assertLess(len(page["entries"]), 100)
        self.assertEqual(self.list_all(1000), names)

    def test_list_of_what_is_no_directory(self):
        self.serve()
        self.fails("file.list", "failed", "ENOTDIR", path=self.write("file"))
        self.fails("file.list", "not-found", "ENOENT", path=self.path("nothing"))
        os.mkfifo(self.path("fifo"))
        self.fails("file.list", "failed", "ENOTDIR", path=self.path("fifo"))


class Tree(FileTest):
    def test_mkdir(self):
        self.serve()
        self.assertEqual(self.client.call("file.mkdir", {"path": self.path("a")}),
                         {"created": True})
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a")).st_mode), 0o755)
        self.fails("file.mkdir", "exists", "EEXIST", path=self.path("a"))
        self.fails("file.mkdir", "not-found", "ENOENT", path=self.path("b", "c"))
        deep = self.path("b", "c", "d")
        for created in (True, False):
            self.assertEqual(self.client.call("file.mkdir", {"path": deep, "parents": True}),
                             {"created": created})
        for mode, bits in (("0700", 0o700), (0o2775, 0o2775), ("1777", 0o1777)):
            self.client.call("file.mkdir", {"path": self.path("m%o" % bits), "mode": mode})
            self.assertEqual(stat.S_IMODE(os.stat(self.path("m%o" % bits)).st_mode), bits)
        file = self.write("file")
        self.fails("file.mkdir", "exists", "EEXIST", path=file, parents=True)
        self.fails("file.mkdir", "failed", "ENOTDIR", path=file + "/x", parents=True)
        self.fails("file.mkdir", "exists", "EEXIST", path="/")

    def test_rename(self):
        self.serve()
        one, two = self.write("one", b"1"), self.write("two", b"2")
        self.fails("file.rename", "exists", "EEXIST", path=one, to=two)
        self.assertEqual(self.read("two"), b"2")
        self.client.call("file.rename", {"path": one, "to": two, "replace": True})
        self.assertEqual(self.read("two"), b"1")
        self.fails("file.rename", "not-found", "ENOENT", path=one, to=two)
        os.mkdir(self.path("d"))
        self.fails("file.rename", "failed", "EINVAL", path=self.path("d"), to=self.path("d", "x"))
        self.fails("file.rename", "failed", "ENOTDIR", path=two + "/", to=one)
        os.symlink("d", self.path("link"))
        self.client.call("file.rename", {"path": self.path("link"), "to": self.path("other")})
        self.assertTrue(os.path.islink(self.path("other")))
        with self.small_file_system() as small:
            self.fails("file.rename", "failed", "EXDEV", path=two, to=small + "/two")

    @as_root
    def test_modes_and_owners(self):
        self.serve()
        file = self.write("file")
        for mode, bits in (("0600", 0o600), (0o755, 0o755), ("4711", 0o4711), ("0", 0)):
            self.client.call("file.chmod", {"path": file, "mode": mode})
            self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), bits)
        self.client.call("file.chown", {"path": file, "owner": "nobody", "group": 12345})
        self.assertEqual((os.stat(file).st_uid, os.stat(file).st_gid),
                         (pwd.getpwnam("nobody").pw_uid, 12345))
        self.client.call("file.chown", {"path": file, "group": "daemon"})
        self.assertEqual(os.stat(file).st_uid, pwd.getpwnam("nobody").pw_uid)
        self.assertIn("no-such", self.fails("file.chown", "not-found", path=file,
                                            owner="no-such")["message"])
        os.symlink("file", self.path("link"))
        self.client.call("file.chown", {"path": self.path("link"), "owner": 7, "follow": False})
        self.assertEqual(os.lstat(self.path("link")).st_uid, 7)
        self.assertNotEqual(os.stat(file).st_uid, 7)

    def test_remove(self):
        self.serve()
        file = self.write("file")
        self.assertEqual(self.client.call("file.remove", {"path": file}), {"removed": 1})
        self.fails("file.remove", "not-found", "ENOENT", path=file)
        os.makedirs(self.path("d", "e"))
        self.fails("file.remove", "failed", "ENOTEMPTY", path=self.path("d"))
        self.client.call("file.remove", {"path": self.path("d", "e")})
        self.client.call("file.remove", {"path": self.path("d") + "/"})
        os.symlink(self.place, self.path("link"))
        self.fails("file.remove", "failed", "ENOTDIR", path=self.path("link") + "/")
        self.client.call("file.remove", {"path": self.path("link"), "recursive": True})
        self.assertEqual(os.listdir(self.place), [])
        self.fails("file.remove", "failed", "EBUSY", path="/", recursive=True)
        for path in (self.place + "/.", self.place + "/.."):
            self.fails("file.remove", "failed", "EINVAL", path=path, recursive=True)

    def test_remove_of_a_tree(self):
        """Forty levels of names of 255 bytes, and a thousand levels: links are not followed."""
        self.serve()
        victim = os.path.join(self.folder, "victim")
        os.mkdir(victim)
        open(os.path.join(victim, "kept"), "w").close()
        for levels, name in ((40, "n" * 255), (1000, "d")):
            here = os.open(self.place, os.O_RDONLY)
            os.mkdir("top", dir_fd=here)
            top = here
            here = os.open("top", os.O_RDONLY, dir_fd=top)
            os.close(top)
            for _ in range(levels):
                os.symlink(victim, "link", dir_fd=here)
                os.close(os.open("file\n", os.O_CREAT | os.O_WRONLY, dir_fd=here))
                os.mkfifo("fifo", dir_fd=here)
                os.mkdir(name, dir_fd=here)
                below = os.open(name, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            os.close(here)
            self.assertEqual(
                self.client.call("file.remove", {"path": self.path("top"), "recursive": True}),
                {"removed": 1 + 4 * levels})
        self.assertEqual(os.listdir(self.place), [])
        self.assertEqual(os.listdir(victim), ["kept"])

    def test_remove_of_many(self):
        self.serve()
        for i in range(3000):
            self.write("f%d" % i)
        self.assertEqual(self.client.call("file.remove", {"path": self.place, "recursive": True}),
                         {"removed": 3001})

    def test_remove_stays_in_its_file_system(self):
        self.serve()
        with self.small_file_system() as small:
            open(small + "/kept", "w").close()
            error = self.fails("file.remove", "failed", "EXDEV", path=self.place, recursive=True)
            self.assertIn("small", error["message"])
            self.assertEqual(os.listdir(small), ["kept"])

    def test_remove_is_not_led_astray(self):
        """A directory turns into a link, again and again, while its tree is removed."""
        self.serve()
        victim = os.path.join(self.folder, "victim")
        os.mkdir(victim)
        for i in range(20):
            open(os.path.join(victim, "kept%d" % i), "w").close()
        os.mkdir(os.path.join(self.folder, "spare"))
        spare = os.path.join(self.folder, "spare", "dir")
        done = threading.Event()

        def plant():
            while not done.is_set():
                with contextlib.suppress(OSError):
                    os.makedirs(self.path("top", "sub"), exist_ok=True)
                    for i in range(4):
                        open(self.path("top", "sub", "kept%d" % i), "w").close()
                    os.rename(self.path("top", "sub"), spare)
                    os.symlink(victim, self.path("top", "sub"))
                    os.unlink(self.path("top", "sub"))
                shutil.rmtree(spare, ignore_errors=True)

        planter = threading.Thread(target=plant)
        planter.start()
        try:
            for _ in range(300):
                self.client.exchange("file.remove", {"path": self.path("top"), "recursive": True})
        finally:
            done.set()
            planter.join()
        self.assertEqual(len(os.listdir(victim)), 20)


class Contents(FileTest):
    def test_read(self):
        self.serve()
        path = self.write("file", "aä€𝄞z".encode())
        whole = self.client.call("file.read", {"path": path})
        self.assertEqual(whole, {"data": "aä€𝄞z", "offset": 0, "length": 11, "size": 11,
                                 "eof": True})
        # However it is cut, the pieces are whole characters, and nothing is lost.
        for length in (4, 5, 6, 7, 10):
            text, offset = "", 0
            while True:
                piece = self.client.call("file.read",
                                         {"path": path, "offset": offset, "length": length})
                text += piece["data"]
                self.assertGreater(piece["length"], 0)
                self.assertEqual(piece["offset"], offset)
                offset += piece["length"]
                if piece["eof"]:
                    break
            self.assertEqual(text, "aä€𝄞z")
        inside = self.client.call("file.read", {"path": path, "offset": 2, "length": 2})
        self.assertEqual(base64.b64decode(inside["base64"]), "aä€𝄞z".encode()[2:4])
        self.assertEqual(self.client.call("file.read", {"path": path, "offset": 11})["length"], 0)
        self.assertEqual(self.client.call("file.read", {"path": path, "offset": 1 << 40})["data"],
                         "")
        self.assertEqual(self.client.call("file.read", {"path": path, "length": 0}),
                         {"data": "", "offset": 0, "length": 0, "size": 11, "eof": False})
        for content in (b"\x00", b"ab\x00cd", b"\xff", b"ok\xc3"):
            path = self.write("binary", content)
            got = self.client.call("file.read", {"path": path})
            self.assertEqual(base64.b64decode(got["base64"]), content)
            self.assertNotIn("data", got)

    def test_read_is_bounded_by_max_message(self):
        self.start(self.target(trust="peers", trust_unsafe="yes"), agent={"max_message": "4K"})
        self.client = self.connect()
        path = self.write("file", b"\x01" * 10000)
        for params in ({}, {"length": 1 << 40}):
            got = self.client.call("file.read", dict(params, path=path))
            self.assertEqual((got["length"], got["size"], got["eof"]), (4096, 10000, False))
            self.assertEqual(got["data"], "\x01" * 4096)

    def test_files_of_the_kernel(self):
        self.serve()
        self.assertIn("Linux", self.client.call("file.read", {"path": "/proc/version"})["data"])

    def test_write(self):
        self.serve()
        path = self.path("file")
        self.assertEqual(self.client.call("file.write", {"path": path, "data": "hällo\n"}),
                         {"written": 7, "size": 7, "created": True})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        self.client.call("file.write", {"path": path, "base64": b64(b"\x00\xff"), "append": True})
        self.assertEqual(self.read("file"), "hällo\n".encode() + b"\x00\xff")
        self.assertEqual(
            self.client.call("file.write", {"path": path, "data": "H", "offset": 0}),
            {"written": 1, "size": 9, "created": False})
        self.assertEqual(self.read("file")[:2], b"H\xc3")
        self.client.call("file.write", {"path": path, "data": "x", "offset": 20})
        self.assertEqual(len(self.read("file")), 21)
        self.client.call("file.write", {"path": path, "data": "y", "offset": 3, "truncate": True})
        self.assertEqual(self.read("file"), b"\x00\x00\x00y")
        self.client.call("file.write", {"path": path, "data": ""})
        self.assertEqual(self.read("file"), b"")
        self.fails("file.write", "not-found", "ENOENT", path=self.path("other"), data="",
                   create=False)
        for mode, bits in (("0600", 0o600), (0o666, 0o666), ("4755", 0o4755)):
            name = "m%o" % bits
            self.client.call("file.write", {"path": self.path(name), "data": "", "mode": mode})
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), bits)

    def test_only_regular_files(self):
        """Whatever would block, or do something, is refused by its name and not opened."""
        self.serve()
        os.mkfifo(self.path("fifo"))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.path("socket"))
        os.symlink("fifo", self.path("link"))
        for path, kind, error in ((self.path("fifo"), "a FIFO", "EINVAL"),
                                  (self.path("link"), "a FIFO", "EINVAL"),
                                  (self.path("socket"), "a socket", "EINVAL"),
                                  ("/dev/full", "a character device", "EINVAL"),
                                  (self.place, "a directory", "EISDIR")):
            for method, params in (("file.read", {}), ("file.hash", {}),
                                   ("file.write", {"data": "x"})):
                message = self.fails(method, "unsupported", error, path=path, **params)["message"]
                self.assertIn(path, message)
                self.assertIn(kind, message)

    def test_a_full_disk_is_named(self):
        self.serve()
        with self.small_file_system() as small:
            error = self.fails("file.write", "failed", "ENOSPC", path=small + "/file",
                               data="x" * 600000)
            self.assertIn("No space left on device", error["message"])
            self.assertEqual(error["data"]["written"], os.stat(small + "/file").st_size)
            subprocess.run(["mount", "-o", "remount,ro", small], check=True)
            error = self.fails("file.write", "failed", "EROFS", path=small + "/other", data="x")
            self.assertIn("Read-only file system", error["message"])

    def test_too_large_an_offset(self):
        self.serve()
        self.fails("file.write", "failed", "EFBIG", path=self.path("file"), data="x",
                   offset=(1 << 63) - 1)
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_hash(self):
        self.serve()
        content = os.urandom(700001)
        path = self.write("file", content)
        self.assertEqual(self.client.call("file.hash", {"path": path}),
                         {"algorithm": "sha256", "hash": hashlib.sha256(content).hexdigest(),
                          "length": 700001, "size": 700001, "changed": False})
        part = self.client.call("file.hash", {"path": path, "offset": 100000, "length": 300000})
        self.assertEqual(part["hash"], hashlib.sha256(content[100000:400000]).hexdigest())
        part = self.client.call("file.hash", {"path": path, "offset": 700000, "length": 1 << 62})
        self.assertEqual((part["hash"], part["length"]),
                         (hashlib.sha256(content[-1:]).hexdigest(), 1))
        empty = self.client.call("file.hash", {"path": path, "offset": 1 << 50})
        self.assertEqual((empty["hash"], empty["length"]), (hashlib.sha256().hexdigest(), 0))


class Parameters(FileTest):
    def test_what_makes_no_sense(self):
        self.serve()
        for method, params, word in (
                ("file.stat", {}, "path"),
                ("file.stat", {"path": "/", "path_base64": b64(b"/")}, "exclude"),
                ("file.stat", {"path": ""}, "absolute"),
                ("file.stat", {"path": "etc/passwd"}, "absolute"),
                ("file.stat", {"path_base64": "%%%"}, "base64"),
                ("file.stat", {"path_base64": b64(b"/a\0b")}, "NUL"),
                ("file.stat", {"path": "/", "user": ""}, "user"),
                ("file.stat", {"path": "/", "users": "x"}, "users"),
                ("file.read", {"path": "/", "offset": -1}, "offset"),
                ("file.read", {"path": "/", "length": 1 << 63}, "length"),
                ("file.list", {"path": "/", "limit": 0}, "limit"),
                ("file.list", {"path": "/", "cursor": "?"}, "cursor"),
                ("file.chmod", {"path": "/x"}, "mode"),
                ("file.chmod", {"path": "/x", "mode": "888"}, "mode"),
                ("file.chmod", {"path": "/x", "mode": 4096}, "mode"),
                ("file.chmod", {"path": "/x", "mode": None}, "mode"),
                ("file.chown", {"path": "/x"}, "owner"),
                ("file.chown", {"path": "/x", "owner": -1}, "owner"),
                ("file.chown", {"path": "/x", "owner": 4294967295}, "owner"),
                ("file.rename", {"path": "/x"}, "to"),
                ("file.write", {"path": "/x"}, "data"),
                ("file.write", {"path": "/x", "data": "", "base64": ""}, "exclude"),
                ("file.write", {"path": "/x", "data": "", "append": True, "offset": 0}, "append"),
                ("file.get", {"path": "/x"}, "raw"),
                ("file.get", {"path": "/x", "raw": False}, "raw"),
                ("file.put", {"path": "/x", "raw": True, "hash": "XX"}, "hash")):
            error = self.client.error(method, params)
            self.assertEqual(error["code"], INVALID_PARAMS, (method, params, error))
            self.assertIn(word, error["message"], (method, params))

    def test_all_are_privileged(self):
        self.start(self.unprivileged())
        client = self.connect()
        methods = [m for m in client.call("rpc.discover")["methods"]
                   if m["name"].startswith("file.")]
        self.assertEqual(len(methods), 12)
        for method in methods:
            self.assertTrue(method["x-privileged"], method["name"])
            self.assert_reason(client.error(method["name"], {"path": "/"}), "not-privileged")
        self.assertEqual(self.daemon.children(), [])

    def test_results_are_as_described(self):
        self.serve()
        path = self.write("file", b"x")
        described = {m["name"]: m["result"]["schema"]
                     for m in self.client.call("rpc.discover")["methods"]}
        for method, params in (("file.stat", {}), ("file.read", {}), ("file.hash", {}),
                               ("file.write", {"data": "x"}), ("file.chmod", {"mode": 420}),
                               ("file.rename", {"to": path + "2"})):
            result = self.client.call(method, dict(params, path=path))
            schema = described[method]
            self.assertLessEqual(set(result), set(schema["properties"]), method)
            self.assertLessEqual(set(schema.get("required", [])), set(result), method)

    def test_errno_names_are_the_systems(self):
        self.serve()
        self.fails("file.stat", "failed", errno.errorcode[errno.ENAMETOOLONG],
                   path="/" + "x" * 256)
        self.fails("file.stat", "failed", "ENAMETOOLONG", path="/x" * 3000)
        os.symlink("loop", self.path("loop"))
        self.fails("file.stat", "failed", "ELOOP", path=self.path("loop"))


if __name__ == "__main__":
    harness.main()
