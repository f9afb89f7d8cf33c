# SPDX-License-Identifier: MIT
"""file.*: as which user, within which folder, and the helpers that do it."""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import threading

import harness
import rawfiles
from harness import as_root, is_gone
from rawfiles import FileCase


class HelperTest(FileCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.place, 0o777)

    def helper(self, client=None, **params):
        """The process that answers calls with such parameters."""
        before = set(self.daemon.children())
        (client or self.client).call("file.stat", dict(params, path="/"))
        new = set(self.daemon.children()) - before
        self.assertEqual(len(new), 1, new)
        return new.pop()

    def assert_ended(self, pid):
        harness.until(lambda: is_gone(pid), "the end of %d" % pid)


class Users(HelperTest):
    @as_root
    def test_as_a_user_in_every_respect(self):
        self.serve()
        nobody = pwd.getpwnam("nobody")
        secret = self.write(self.path("secret"), b"x")
        os.chmod(secret, 0o600)
        self.fails("file.read", "failed", "EACCES", path=secret, user="nobody")
        self.fails("file.write", "failed", "EACCES", path=secret, user="nobody", data="")
        self.fails("file.chmod", "failed", "EPERM", path=secret, user="nobody", mode="0666")
        self.fails("file.chown", "failed", "EPERM", path=secret, user="nobody", owner="nobody")
        self.fails("file.list", "failed", "EACCES", path="/root", user="nobody")
        self.client.call("file.write", {"path": self.path("mine"), "data": "y", "user": "nobody"})
        st = os.stat(self.path("mine"))
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)),
                         (nobody.pw_uid, nobody.pw_gid, 0o644))
        # Its own, though it may not be opened.
        self.client.call("file.chmod", {"path": self.path("mine"), "mode": 0, "user": "nobody"})
        self.fails("file.read", "failed", "EACCES", path=self.path("mine"), user="nobody")
        self.client.call("file.chmod", {"path": self.path("mine"), "mode": 0o600,
                                        "user": str(nobody.pw_uid)})
        self.assertEqual(self.client.call("file.read", {"path": self.path("mine"),
                                                        "user": "nobody"})["data"], "y")
        reply = rawfiles.put(self.client, self.path("put"), b"z", user="nobody")
        self.assertIn("result", reply)
        self.assertEqual(os.stat(self.path("put")).st_uid, nobody.pw_uid)
        _, reply = rawfiles.get(self.client, secret, user="nobody")
        self.assert_reason(reply["error"], "failed")

    @as_root
    def test_groups_of_the_user(self):
        self.serve()
        with contextlib.ExitStack() as stack:
            pid = self.helper(user="nobody")
            lines = stack.enter_context(open("/proc/%d/status" % pid, encoding="ascii"))
            status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        nobody = pwd.getpwnam("nobody")
        self.assertEqual(set(status["Uid"].split()), {str(nobody.pw_uid)})
        self.assertEqual(set(status["Gid"].split()), {str(nobody.pw_gid)})
        self.assertEqual({int(group) for group in status["Groups"].split()},
                         set(os.getgrouplist("nobody", nobody.pw_gid)))
        for key in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertEqual(int(status[key], 16), 0, key)
        self.assertEqual(status["Umask"], "0022")
        # Nobody who is that user can look into it, or trace it.
        self.assertEqual(os.stat("/proc/%d/fd" % pid).st_uid, 0)

    def test_no_such_user(self):
        self.serve()
        self.assertIn("no-such-user", self.fails("file.stat", "not-found", path="/",
                                                 user="no-such-user")["message"])
        self.fails("file.stat", "not-found", path="/", user="4123456789")
        self.assertEqual(self.client.call("file.stat", {"path": "/"})["type"], "directory")

    def test_each_user_has_a_helper(self):
        self.serve()
        first = self.helper()
        other = self.helper(user="nobody")
        self.client.call("file.stat", {"path": "/"})
        self.client.call("file.stat", {"path": "/", "user": "nobody"})
        with self.connect() as second:
            third = self.helper(client=second)
            self.assertEqual(set(self.daemon.children()), {first, other, third})
        self.assert_ended(third)
        self.client.close()
        self.assert_ended(first)
        self.assert_ended(other)


class Helpers(HelperTest):
    def test_one_that_dies_is_replaced(self):
        self.serve()
        pid = self.helper()
        os.kill(pid, signal.SIGKILL)
        self.assert_ended(pid)
        self.assertNotEqual(self.helper(), pid)

    def test_one_that_dies_at_work(self):
        """Its call is answered; those that waited are done by another."""
        self.serve()
        pid = self.helper()
        os.kill(pid, signal.SIGSTOP)
        texts = [self.client.request("file.stat", {"path": "/"}) for _ in range(3)]
        self.client.send(b"".join(text for text, _ in texts))
        os.kill(pid, signal.SIGKILL)
        replies = {reply["id"]: reply for reply in (self.client.read() for _ in texts)}
        idents = [ident for _, ident in texts]
        self.assert_reason(replies[idents[0]]["error"], "unavailable")
        self.assertIn("signal 9", replies[idents[0]]["error"]["message"])
        for ident in idents[1:]:
            self.assertEqual(replies[ident]["result"]["type"], "directory")

    def test_one_that_hangs_holds_up_nobody_else(self):
        self.serve()
        pid = self.helper()
        os.kill(pid, signal.SIGSTOP)
        held, ident = self.client.request("file.stat", {"path": "/"})
        self.client.send(held)
        waiting, waiting_ident = self.client.request("file.stat", {"path": "/"})
        self.client.send(waiting)
        self.assertEqual(self.client.call("agent.ping"), {})
        self.assertEqual(self.client.call("file.stat", {"path": "/", "user": "nobody"})["type"],
                         "directory")
        with self.connect() as other:
            self.assertEqual(other.call("file.stat", {"path": "/"})["type"], "directory")
        # Ended early, it gives way to another, and the next of its calls is done.
        self.client.send(self.client.request("rpc.cancel", {"id": ident}, "c")[0])
        replies = {reply["id"]: reply for reply in (self.client.read() for _ in range(3))}
        self.assert_reason(replies[ident]["error"], "cancelled")
        self.assertEqual(replies["c"]["result"], {})
        self.assertEqual(replies[waiting_ident]["result"]["type"], "directory")
        self.assert_ended(pid)

    def test_a_call_that_waits_is_cancelled(self):
        self.serve()
        pid = self.helper()
        os.kill(pid, signal.SIGSTOP)
        texts = [self.client.request("file.stat", {"path": "/"}) for _ in range(2)]
        self.client.send(b"".join(text for text, _ in texts))
        self.client.send(self.client.request("rpc.cancel", {"id": texts[1][1]}, "c")[0])
        replies = {reply["id"]: reply for reply in (self.client.read() for _ in range(2))}
        self.assert_reason(replies[texts[1][1]]["error"], "cancelled")
        os.kill(pid, signal.SIGCONT)
        reply = self.client.read()
        self.assertEqual((reply["id"], reply["result"]["type"]), (texts[0][1], "directory"))

    def test_one_that_hangs_ends_with_its_connection(self):
        self.serve()
        self.daemon.remember()
        with self.connect() as other:
            pid = self.helper(client=other)
            os.kill(pid, signal.SIGSTOP)
            other.send(other.request("file.stat", {"path": "/"})[0])
            other.send(other.request("file.stat", {"path": "/"})[0])
        # Stopped, it does not hear SIGTERM; SIGKILL comes after kill-timeout.
        self.assert_ended(pid)
        self.daemon.assert_back()

    @as_root
    def test_a_limited_number_for_a_connection(self):
        self.serve()
        users = [entry.pw_name for entry in pwd.getpwall()][:9]
        self.assertEqual(len(users), 9)
        for user in users[:8]:
            os.kill(self.helper(user=user), signal.SIGSTOP)
            self.client.send(self.client.request("file.stat", {"path": "/", "user": user}, user)[0])
        self.fails("file.stat", "busy", path="/", user=users[8])
        for pid in self.daemon.children():
            os.kill(pid, signal.SIGCONT)
        for _ in range(8):
            self.assertIn("result", self.client.read())
        # One that has nothing to do makes room.
        self.assertEqual(self.client.call("file.stat", {"path": "/", "user": users[8]})["type"],
                         "directory")
        harness.until(lambda: len(self.daemon.children()) == 8, "eight helpers")

    def test_calls_of_one_connection_at_once(self):
        self.serve()
        texts = [self.client.request("file.write", {"path": self.path("f%d" % i), "data": str(i)})
                 for i in range(60)]
        self.client.send(b"".join(text for text, _ in texts))
        for _ in texts:
            self.assertIn("result", self.client.read())
        self.assertEqual(len(os.listdir(self.place)), 60)

    def test_in_a_batch(self):
        self.serve()
        self.client.send('[{"jsonrpc":"2.0","id":1,"method":"file.stat","params":{"path":"/"}},'
                         '{"jsonrpc":"2.0","id":2,"method":"file.get","params":'
                         '{"path":"/","raw":true}},'
                         '{"jsonrpc":"2.0","method":"file.stat","params":{"path":"/"}}]\n')
        replies = {reply["id"]: reply for reply in self.client.read()}
        self.assertEqual(set(replies), {1, 2})
        self.assertIn("result", replies[1])
        self.assertIn("error", replies[2])
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_helpers_end_with_the_daemon(self):
        self.serve()
        pids = [self.helper(), self.helper(user="nobody")]
        self.daemon.stop()
        for pid in pids:
            self.assert_ended(pid)

    def test_helpers_end_though_the_daemon_is_killed(self):
        self.serve()
        pids = [self.helper(), self.helper(user="nobody")]
        self.daemon.process.kill()
        for pid in pids:
            self.assert_ended(pid)
        self.daemon.expect_exit(-signal.SIGKILL)

    def test_nothing_is_left_of_a_thousand_calls(self):
        self.serve()
        self.client.call("file.stat", {"path": "/"})
        self.daemon.remember()
        for i in range(50):
            with self.connect() as other:
                for _ in range(20):
                    other.send(other.request("file.stat", {"path": "/"})[0])
                if i % 2:
                    for _ in range(20):
                        other.read()
        self.daemon.assert_back()


class Unit(HelperTest):
    """With scope = unit helpers are services of systemd's, outside the agent's own sandbox."""

    FAKE_SYSTEMD = os.path.join(harness.BUILDDIR, "tests", "lib", "fake-systemd")
    BUS = """<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""

    def run_beside(self, *command, **options):
        """A process until the test's end, which is returned; its first line is read."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   start_new_session=True, **options)

        def end():
            process.terminate()
            process.wait(harness.DEADLINE)
            process.stdout.close()

        self.addCleanup(end)
        self.assertTrue(process.stdout.readline(), command)
        return process

    def serve_units(self, **keys):
        if not shutil.which("dbus-daemon") or not os.path.exists(self.FAKE_SYSTEMD):
            self.skipTest("dbus-daemon, or the build's fake-systemd, is missing")
        bus = os.path.join(self.folder, "bus")
        self.write(bus + ".conf", (self.BUS % bus).encode())
        self.run_beside("dbus-daemon", "--config-file=" + bus + ".conf", "--nofork", "--nopidfile",
                        "--print-address", stderr=subprocess.DEVNULL)
        address = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + bus}
        self.systemd = self.run_beside(self.FAKE_SYSTEMD, env=dict(os.environ, **address))
        self.start(self.target(trust="peers", trust_unsafe="yes", **keys),
                   agent={"scope": "unit"}, environment=address)
        self.client = self.connect()

    def helpers(self):
        """The units that are helpers: other tests that run now have theirs under another's."""
        found = set()
        for pid in harness.children(self.systemd.pid):
            with contextlib.suppress(OSError):
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    words = file.read().split(b"\0")
                if words[1:2] == [b"--internal-files"]:
                    found.add(pid)
        return found

    @as_root
    def test_helpers_are_units(self):
        self.serve_units(root=self.place)
        self.client.call("file.write", {"path": "/file", "data": "x", "user": "nobody"})
        [pid] = self.helpers()
        self.assertNotIn(pid, self.daemon.children())
        content = os.urandom(3 << 20)
        self.assertIn("result", rawfiles.put(self.client, "/put", content, user="nobody"))
        [(_, got, _)], _ = rawfiles.get(self.client, "/put")
        self.assertEqual(got, content)
        call = rawfiles.RawCall(self.client, "file.put", {"path": "/part"})
        call.record(path="", type="file", size=1000)
        call.send(rawfiles.DATA, b"x" * 500)
        call.control("agent.ping", {}, "p")
        self.assertEqual(call.read_control()["id"], "p")
        self.assertEqual(len(os.listdir(self.place)), 3)
        self.client.close()
        harness.until(lambda: not self.helpers(), lambda: "the end of %r" % self.helpers())
        self.assertEqual(sorted(os.listdir(self.place)), ["file", "put"])


class Root(HelperTest):
    def setUp(self):
        super().setUp()
        self.outside = self.write(os.path.join(self.folder, "outside"), b"outside")
        self.write(self.path("inside"), b"inside")
        os.mkdir(self.path("dir"))
        os.mkdir(self.path("etc"))
        self.write(self.path("etc", "passwd"), b"ours")
        os.symlink("/etc/passwd", self.path("absolute"))
        os.symlink("../outside", self.path("relative"))
        os.symlink("../../../../../../etc/passwd", self.path("dir", "far"))
        os.symlink("/", self.path("top"))
        os.symlink("/proc/self/root/etc/passwd", self.path("magic"))

    def read(self, path, **params):
        return self.client.call("file.read", dict(params, path=path))["data"]

    def test_the_root_is_all_there_is(self):
        self.serve(root=self.place)
        names = {entry["name"] for entry in self.client.call("file.list", {"path": "/"})["entries"]}
        self.assertEqual(names, set(os.listdir(self.place)))
        self.assertEqual(self.read("/inside"), "inside")
        for path in ("/absolute", "/dir/far", "/etc/passwd", "/../../etc/passwd",
                     "/top/etc/passwd", "/dir/../../../etc/passwd"):
            self.assertEqual(self.read(path), "ours", path)
        for path in ("/relative", "/outside", "/../outside", self.outside, "/magic",
                     "/proc/self/status"):
            self.fails("file.read", "not-found", "ENOENT", path=path)
        self.assertEqual(self.read("/absolute", user="nobody"), "ours")

    def test_nothing_outside_is_changed(self):
        self.serve(root=self.place)
        before = os.stat(self.outside)
        for method, params in (("file.chmod", {"mode": "0777"}), ("file.chown", {"owner": 1}),
                               ("file.write", {"data": "bad", "create": False}),
                               ("file.remove", {}), ("file.rename", {"to": "/x"})):
            for path in ("/../outside", "/dir/../../outside", self.outside, "/top/../outside"):
                self.fails(method, "not-found", "ENOENT", path=path, **params)
        self.fails("file.rename", "not-found", "ENOENT", path="/inside",
                   to=self.folder + "/stolen")
        # What is made by way of a link is made inside.
        self.client.call("file.write", {"path": "/relative", "data": "made"})
        self.assertEqual(open(self.path("outside"), encoding="ascii").read(), "made")
        self.client.call("file.mkdir", {"path": "/../a/../b", "parents": True})
        self.assertTrue(os.path.isdir(self.path("b")))
        self.assertIn("result", rawfiles.put(self.client, "/top/../put", b"x"))
        self.assertTrue(os.path.exists(self.path("put")))
        self.assertEqual(os.stat(self.outside), before)
        self.assertEqual(sorted(set(os.listdir(self.folder)) & {"stolen", "a", "b", "put"}), [])

    def test_streams_are_confined(self):
        self.serve(root=self.place)
        entries, reply = rawfiles.get(self.client, "/absolute")
        self.assertEqual(entries[0][1], b"ours", reply)
        _, reply = rawfiles.get(self.client, "/relative")
        self.assert_reason(reply["error"], "not-found")
        entries, reply = rawfiles.get(self.client, "/", recursive=True)
        self.assertIn("result", reply)
        self.assertNotIn(b"outside", [content for _, content, _ in entries])
        os.symlink(self.folder, self.path("planted"))
        reply = rawfiles.put(self.client, "/planted/new", b"x")
        self.assert_reason(reply["error"], "not-found")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "new")))

    def test_the_root_need_not_be_open_to_the_user(self):
        os.chmod(self.folder, 0o700)
        self.serve(root=self.place)
        self.assertEqual(self.read("/inside", user="nobody"), "inside")
        self.fails("file.read", "not-found", "ENOENT", path=self.outside, user="nobody")

    def test_a_root_that_is_not_there(self):
        self.serve(root=self.place)
        os.rename(self.place, self.place + ".away")
        message = self.fails("file.stat", "not-found", "ENOENT", path="/")["message"]
        self.assertIn(self.place, message)
        os.rename(self.place + ".away", self.place)
        self.assertEqual(self.read("/inside"), "inside")

    def test_a_reload_moves_the_root(self):
        self.serve(root=self.place)
        self.assertEqual(self.read("/inside"), "inside")
        self.main.text = self.main.text.replace("root = %s" % self.place,
                                                "root = %s" % self.path("etc"))
        self.daemon.reload(self.config(self.main))
        self.assertEqual(self.read("/passwd"), "ours")
        self.fails("file.read", "not-found", "ENOENT", path="/inside")

    def test_a_link_planted_between_check_and_use(self):
        """A directory becomes a link to the outside and back, as fast as may be."""
        self.serve(root=self.place)
        hidden = os.path.join(self.folder, "hidden")
        os.mkdir(hidden)
        self.write(os.path.join(hidden, "file"), b"outside")
        os.mkdir(self.path("real"))
        self.write(self.path("real", "file"), b"inside")
        os.symlink("real", self.path("flip"))
        done = threading.Event()

        def flip():
            while not done.is_set():
                for target in (hidden, "../hidden", "real"):
                    os.symlink(target, self.path("next"))
                    os.rename(self.path("next"), self.path("flip"))

        flipper = threading.Thread(target=flip)
        flipper.start()
        seen = set()
        try:
            for i in range(1500):
                reply = self.client.exchange("file.read", {"path": "/flip/file"})
                seen.add(reply["result"]["data"] if "result" in reply
                         else reply["error"]["data"]["reason"])
                self.client.exchange("file.write", {"path": "/flip/made%d" % (i % 9), "data": "x"})
        finally:
            done.set()
            flipper.join()
        self.assertLessEqual(seen, {"inside", "not-found"})
        self.assertIn("inside", seen)
        self.assertEqual(os.listdir(hidden), ["file"])


if __name__ == "__main__":
    harness.main()
