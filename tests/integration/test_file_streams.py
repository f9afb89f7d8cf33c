# SPDX-License-Identifier: MIT
"""file.get and file.put from outside: frames on a connection that a helper borrows."""

import contextlib
import json
import os
import random
import signal
import stat
import struct
import subprocess

import harness
from harness import as_root, peak_rss
import rawfiles
from rawfiles import CONTROL, DATA, HOLE, RECORDS, FileCase, RawCall, frame, xxh3


class StreamTest(FileCase):
    def begin_put(self, name="file", client=None, **params):
        call = RawCall(client or self.client, "file.put", dict(params, path=self.path(name)))
        self.assertTrue(call.begun, call.answer)
        return call

    def begin_get(self, name="file", client=None, **params):
        call = RawCall(client or self.client, "file.get", dict(params, path=self.path(name)))
        self.assertTrue(call.begun, call.answer)
        return call

    def assert_clean(self, *names):
        """Nothing is there but these: no temporary file above all."""
        self.assertEqual(sorted(os.listdir(self.place)), sorted(names))


class Whole(StreamTest):
    def test_there_and_back(self):
        self.serve()
        for size in (0, 1, 65535, 5 << 20):
            content = random.Random(size).randbytes(size)
            reply = rawfiles.put(self.client, self.path("file"), content, mode=0o640)
            self.assertEqual(reply["result"], {
                "files": 1, "directories": 0, "links": 0, "bytes": size, "resumed": 0, "failed": 0,
                "changed": 0, "hash": xxh3(content), "errors": []})
            self.assertEqual(self.read("file"), content)
            self.assertEqual(stat.S_IMODE(os.stat(self.path("file")).st_mode), 0o640)
            [(record, got, end)], reply = rawfiles.get(self.client, self.path("file"))
            self.assertEqual((record["type"], record["size"], record["mode"]),
                             ("file", size, 0o640))
            self.assertEqual((got, end), (content, {"size": size, "hash": xxh3(content)}))
            self.assertEqual(reply["result"]["hash"], xxh3(content))
        # The connection is one of JSON again.
        self.assertEqual(self.client.call("agent.ping"), {})
        self.assert_clean("file")

    @as_root
    def test_what_the_caller_says_of_the_file(self):
        self.serve()
        rawfiles.put(self.client, self.path("file"), b"x", owner="nobody", group=7,
                     mtime_ns=1234567890123456789)
        st = os.stat(self.path("file"))
        self.assertEqual((st.st_gid, st.st_mtime_ns), (7, 1234567890123456789))
        call = RawCall(self.client, "file.put", {"path": self.path("file"), "owner": "no-such"})
        self.assert_reason(call.answer["error"], "not-found")

    def test_what_cannot_be_sent(self):
        self.serve()
        os.mkfifo(self.path("fifo"))
        for path, reason in ((self.path("fifo"), None), ("/dev/full", None), (self.place, None),
                             (self.path("nothing"), "not-found")):
            call = RawCall(self.client, "file.get", {"path": path})
            self.assertIn("error", call.answer, path)
            self.assertIn(path, call.answer["error"]["message"])
            if reason:
                self.assert_reason(call.answer["error"], reason)
        for path in (self.path("fifo"), "/dev/full", self.place, self.path("nothing", "x")):
            call = RawCall(self.client, "file.put", {"path": path})
            self.assertIn("error", call.answer, path)
            self.assertIn(path, call.answer["error"]["message"])
        self.assertEqual(self.client.call("agent.ping"), {})
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo")).st_mode))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))

    def test_replaced_at_once_or_not_at_all(self):
        self.serve()
        self.write("file", b"old")
        call = self.begin_put()
        call.record(path="", type="file", mode=0o600, size=6)
        call.send(DATA, b"new")
        call.control("agent.ping", {}, "p")
        self.assertEqual(call.read_control()["id"], "p")
        self.assertEqual(self.read("file"), b"old")
        call.send(DATA, b"new")
        call.record(size=6, hash=xxh3(b"newnew"))
        for channel in (DATA, HOLE, RECORDS):
            call.send(channel)
        self.assertIn("result", call.finish())
        self.assertEqual(self.read("file"), b"newnew")
        self.assert_clean("file")

    def test_a_wrong_hash(self):
        self.serve()
        self.write("file", b"old")
        call = self.begin_put()
        call.record(path="", type="file", size=3)
        call.send(DATA, b"new")
        call.record(size=3, hash="0" * 32)
        for channel in (DATA, HOLE, RECORDS):
            call.send(channel)
        end = call.finish()
        self.assertTrue("error" in end or end["result"]["failed"] == 1, end)
        self.assertEqual(self.read("file"), b"old")
        self.assert_clean("file")
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_a_full_disk_is_named(self):
        self.serve()
        small = self.path("small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("mounting is not allowed here")
        try:
            with open(small + "/file", "wb") as file:
                file.write(b"old")
            for size in (300000, 3 << 20):
                call = self.begin_put("small/file")
                call.record(path="", type="file", size=size)
                content = bytes(range(256)) * (size // 256)
                for i in range(0, len(content), 65536):
                    call.send(DATA, content[i:i + 65536])
                call.record(size=len(content), hash=xxh3(content))
                for channel in (DATA, HOLE, RECORDS):
                    call.send(channel)
                end = call.finish()
                self.assertEqual(end["error"]["data"]["errno"], "ENOSPC", end)
                self.assertIn("disk is full", end["error"]["message"])
                self.assertIn(small + "/file", end["error"]["message"])
                self.assertEqual(os.listdir(small), ["file"])
            with open(small + "/file", "rb") as file:
                self.assertEqual(file.read(), b"old")
        finally:
            subprocess.run(["umount", "-l", small], check=True)
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_resumed(self):
        self.serve()
        content = random.Random(7).randbytes(3 << 20)
        self.write("file", content)
        offset = 1 << 20
        [(record, got, _)], reply = rawfiles.get(self.client, self.path("file"), offset=offset,
                                                 hash=xxh3(content[:offset]))
        self.assertEqual((record["offset"], got), (offset, content[offset:]))
        self.assertEqual(reply["result"]["hash"], xxh3(content))
        _, reply = rawfiles.get(self.client, self.path("file"), offset=offset, hash="0" * 32)
        self.assert_reason(reply["error"], "failed")

    def test_a_file_that_changes_while_it_is_read(self):
        self.serve()
        self.write("file", bytes(8 << 20))
        call = self.begin_get()
        # No more than the socket holds has been read of it.
        self.write("file", b"x" * (9 << 20))
        ended, record = set(), None
        while len(ended) < 3:
            channel, payload = call.read()
            self.assertNotEqual(channel, CONTROL)
            if not payload:
                ended.add(channel)
            elif channel == RECORDS:
                record = json.loads(payload.decode())
        self.assertTrue(record.get("changed"), record)
        self.assertEqual(call.finish()["result"]["changed"], 1)


class Conversation(StreamTest):
    def test_calls_in_the_middle(self):
        """Channel 0 is answered while content goes either way, and nothing of it is lost."""
        self.serve()
        content = random.Random(1).randbytes(4 << 20)
        self.write("file", content)
        call = self.begin_get()
        got, answers, ended = b"", [], set()
        for i in range(5):
            call.control("agent.ping", {}, "p%d" % i)
        while len(ended) < 3:
            channel, payload = call.read()
            if channel == CONTROL:
                answers.append(json.loads(payload.decode())["id"])
            elif not payload:
                ended.add(channel)
            elif channel == DATA:
                got += payload
        self.assertEqual(got, content)
        call.end = None
        while len(answers) < 5:
            answers.append(call.read_control()["id"])
        self.assertEqual(answers, ["p%d" % i for i in range(5)])
        self.assertIn("result", call.finish())

        call = self.begin_put("other")
        call.record(path="", type="file", size=len(content))
        for i in range(0, len(content), 262144):
            # The text comes in two pieces, so that a part of a frame is all there is for a while.
            text = frame(CONTROL, json.dumps({"jsonrpc": "2.0", "id": i,
                                              "method": "agent.ping"}).encode())
            self.client.send(text[:9])
            self.client.send(text[9:] + frame(DATA, content[i:i + 262144]))
            self.assertEqual(call.read_control()["id"], i)
        call.record(size=len(content), hash=xxh3(content))
        for channel in (DATA, HOLE, RECORDS):
            call.send(channel)
        self.assertIn("result", call.finish())
        self.assertEqual(self.read("other"), content)

    def test_busy(self):
        self.serve()
        self.write("file", bytes(8 << 20))
        call = self.begin_get()
        call.control("file.get", {"path": self.path("file"), "raw": True}, "second")
        reply = call.read_control()
        self.assertEqual(reply["id"], "second")
        self.assert_reason(reply["error"], "busy")
        # In JSON calls go on, of the same user too.
        for user in ({"user": "nobody"}, {}):
            call.control("file.stat", dict(user, path="/"), "third")
            reply = call.read_control()
            self.assertEqual((reply["id"], reply["result"]["type"]), ("third", "directory"))
        call.control("rpc.cancel", {"id": call.ident}, "c")
        self.assert_reason(call.finish()["error"], "cancelled")

    def test_not_alone(self):
        self.serve()
        self.client.call("file.stat", {"path": "/", "user": "nobody"})
        [pid] = self.daemon.children()
        os.kill(pid, signal.SIGSTOP)
        self.client.send(
            self.client.request("file.stat", {"path": "/", "user": "nobody"}, "held")[0])
        call = RawCall(self.client, "file.get", {"path": self.write("file", b"x")})
        self.assert_reason(call.answer["error"], "busy")
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.client.read()["id"], "held")
        [(_, content, _)], _ = rawfiles.get(self.client, self.path("file"))
        self.assertEqual(content, b"x")

    def test_cancelled(self):
        self.serve()
        self.write("file", bytes(32 << 20))
        for begin, names in ((self.begin_get, ["file"]),
                             (lambda: self.begin_put("new"), ["file"])):
            call = begin()
            if names and begin != self.begin_get:
                call.record(path="", type="file", size=1000)
                call.send(DATA, b"x" * 500)
            call.control("rpc.cancel", {"id": call.ident}, "c")
            self.assert_reason(call.finish()["error"], "cancelled")
            self.assert_clean(*names)
            self.assertEqual(self.client.call("agent.ping"), {})

    def test_a_caller_that_has_said_all(self):
        """Channel 0 ended at once, and the next request behind it: it is read when all is out."""
        self.serve()
        content = random.Random(2).randbytes(2 << 20)
        self.write("file", content)
        call = self.begin_get()
        call.send(CONTROL)
        self.client.send(self.client.request("agent.ping", None, "next")[0])
        got, ended = b"", set()
        while len(ended) < 4:
            channel, payload = call.read()
            if not payload:
                ended.add(channel)
            elif channel == DATA:
                got += payload
            elif channel == CONTROL:
                self.assertEqual(json.loads(payload.decode())["id"], call.ident)
        self.assertEqual(got, content)
        self.assertEqual(self.client.read()["id"], "next")

    def test_frames_that_make_no_sense(self):
        self.serve()
        for junk in (frame(9, b"x"), struct.pack(">IB", 1 << 30, DATA), frame(RECORDS, b"{"),
                     frame(DATA, b"no entry"), frame(HOLE, b"short"),
                     frame(RECORDS, b'{"path":"../x","type":"file"}')):
            with self.connect() as client:
                call = self.begin_put("file", client)
                client.send_until_closed(junk)
                with contextlib.suppress(OSError):
                    client.half_close()
                with contextlib.suppress(ConnectionResetError):
                    while client._receive() > 0:
                        pass
            self.assert_clean()
        self.assertEqual(self.client.call("agent.ping"), {})


class Lost(StreamTest):
    def lose(self, rng, client, content):
        """A transfer of either kind that is cut off at some point, in some way."""
        kind = rng.randrange(4)
        method = "file.get" if kind == 0 else "file.put"
        params = {"path": self.path("source" if kind == 0 else "target"), "raw": True}
        if kind == 3:
            params["user"] = "nobody"
        stream = client.request(method, params)[0]
        if kind > 0:
            stream += frame(RECORDS, b'{"path":"","type":"file","size":%d}' % len(content))
            size = rng.choice((1000, 65536, 1 << 20))
            for i in range(0, len(content), size):
                stream += frame(DATA, content[i:i + size])
                if rng.randrange(3) == 0:
                    stream += frame(CONTROL, b'{"jsonrpc":"2.0","id":9,"method":"agent.ping"}')
        client.sock.settimeout(0.02)
        with contextlib.suppress(OSError):
            if rng.randrange(4) == 0:
                client.sock.sendall(stream[:rng.randrange(400)])
            else:
                client.sock.sendall(stream[:rng.randrange(len(stream))])
        with contextlib.suppress(OSError):
            for _ in range(rng.randrange(3)):
                client.sock.recv(rng.randrange(1, 200000))
        if rng.randrange(2):
            client.reset()
        else:
            client.close()

    def test_two_hundred_times_at_random(self):
        """No process, no temporary file, no descriptor is left."""
        seed = int.from_bytes(os.urandom(4), "big")
        rng = random.Random(seed)
        self.serve()
        content = rng.randbytes(3 << 20)
        self.write("source", content)
        self.write("target", b"old")
        os.chmod(self.folder, 0o755)
        os.chmod(self.place, 0o777)
        self.client.close()
        self.daemon.remember()
        for _ in range(200):
            self.lose(rng, harness.Client(self.main), content)
        self.daemon.assert_back()
        names = sorted(os.listdir(self.place))
        self.assertEqual(names, ["source", "target"], "seed %d" % seed)
        self.assertEqual(self.read("target"), b"old", "seed %d" % seed)
        self.assertEqual(harness.Client(self.main).call("agent.ping"), {})

    def test_the_daemon_stops_in_the_middle(self):
        self.start(self.target(trust="peers", trust_unsafe="yes"),
                   agent={"shutdown_timeout": "50ms"})
        clients = [self.connect() for _ in range(2)]
        self.write("big", bytes(32 << 20))
        call = self.begin_put("file", clients[0])
        call.record(path="", type="file", size=1000)
        call.send(DATA, b"x" * 500)
        call.control("agent.ping", {}, "p")
        self.assertEqual(call.read_control()["id"], "p")
        self.begin_get("big", clients[1])
        self.daemon.stop()
        harness.until(lambda: os.listdir(self.place) == ["big"], lambda: os.listdir(self.place))

    def test_the_daemon_is_killed_in_the_middle(self):
        self.serve()
        call = self.begin_put()
        call.record(path="", type="file", size=1000)
        call.send(DATA, b"x" * 500)
        call.control("agent.ping", {}, "p")
        self.assertEqual(call.read_control()["id"], "p")
        self.daemon.process.kill()
        self.daemon.expect_exit(-signal.SIGKILL)
        harness.until(lambda: os.listdir(self.place) == [], lambda: os.listdir(self.place))

    def test_the_helper_is_ended_in_the_middle(self):
        self.serve()
        for number in (signal.SIGTERM, signal.SIGKILL):
            client = self.connect()
            call = self.begin_put("file", client)
            call.record(path="", type="file", size=2 << 20)
            call.send(DATA, b"x" * 500)
            call.control("agent.ping", {}, "p")
            self.assertEqual(call.read_control()["id"], "p")
            [pid] = self.daemon.children()
            os.kill(pid, number)
            # It ends the connection, unless that was the daemon's just then.
            with contextlib.suppress(ConnectionResetError):
                while client._receive() > 0 and b'"unavailable"' not in client.pending:
                    pass
            client.close()
            harness.until(lambda: not self.daemon.children(), self.daemon.children)
            self.assert_clean()
        self.assertEqual(self.client.call("file.stat", {"path": "/"})["type"], "directory")

    def test_a_helper_that_hangs_ends_with_its_connection(self):
        """As in a network file system whose server is away: nobody looks at the connection."""
        self.serve()
        self.daemon.remember()
        client = self.connect()
        call = self.begin_put("file", client)
        call.record(path="", type="file", size=1000)
        [pid] = self.daemon.children()
        os.kill(pid, signal.SIGSTOP)
        call.send(DATA, b"x" * 500)
        client.close()
        self.daemon.assert_back()
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_a_helper_that_does_not_stop_is_ended(self):
        self.serve()
        self.client.call("file.stat", {"path": "/", "user": "nobody"})
        [other] = self.daemon.children()
        call = self.begin_put()
        [pid] = set(self.daemon.children()) - {other}
        # While another call is running the connection is not lent on.
        os.kill(other, signal.SIGSTOP)
        call.control("file.stat", {"path": "/", "user": "nobody"}, "held")
        call.control("agent.ping", {}, "p")
        self.assertEqual(call.read_control()["id"], "p")
        os.kill(pid, signal.SIGSTOP)
        call.control("rpc.cancel", {"id": call.ident}, "c")
        self.assertEqual(call.read_control()["id"], "c")
        reply = call.read_control()
        self.assertEqual(reply["id"], call.ident)
        self.assert_reason(reply["error"], "cancelled")
        os.kill(other, signal.SIGCONT)
        self.assertEqual(call.read_control()["id"], "held")
        self.assertIsNone(call.read_control())
        call.send(CONTROL)
        self.assertEqual(self.client.call("file.stat", {"path": "/"})["type"], "directory")

    def test_a_reader_that_stops(self):
        """It holds up its own helper, in which next to nothing piles up."""
        self.serve()
        with open(self.path("file"), "wb") as file:
            file.truncate(1 << 40)
            file.write(b"x" * (64 << 20))
        call = self.begin_get()
        [pid] = self.daemon.children()
        self.assertEqual(self.connect().call("agent.ping"), {})
        self.assertLess(peak_rss(pid), 32 << 20)
        self.client.close()
        harness.until(lambda: not self.daemon.children(), self.daemon.children)
        self.assertTrue(call.begun)


if __name__ == "__main__":
    harness.main()
