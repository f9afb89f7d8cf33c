# SPDX-License-Identifier: MIT
"""Methods of the configuration's own behind a JSON-RPC server at `to = unix:`."""

import contextlib
import json
import os
import socket
import threading

import harness
from harness import INVALID_PARAMS, NO_METHOD
from methods import CANCEL, Case


class Server:
    """A JSON-RPC 2.0 server on a Unix socket: one thread for each connection."""

    def __init__(self, test, name="server", backlog=8):
        self.path = os.path.join(test.folder, name)
        self.methods = {}
        self.seen = []  # every message, in the order of arrival
        self.lines = []
        self.connections = []
        self.accepted = 0
        self.changed = threading.Condition()
        self.listener = None
        self.backlog = backlog
        self.listen()
        test.addCleanup(self.close)

    def listen(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(self.backlog)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections.append(connection)
                self.accepted += 1
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        with contextlib.suppress(OSError, ValueError):
            with connection.makefile("rb") as file:
                for line in file:
                    message = json.loads(line.decode("utf-8"))
                    with self.changed:
                        self.lines.append(line)
                        self.seen.append(message)
                        self.changed.notify_all()
                    answer = self.methods.get(message["method"])
                    if answer:
                        answer(connection, message)

    def wait(self, method, count=1):
        """The messages of this method, once there are so many."""
        def found():
            return [m for m in self.seen if m["method"] == method]
        with self.changed:
            if not self.changed.wait_for(lambda: len(found()) >= count, harness.DEADLINE):
                raise AssertionError("not %d of %s: %r" % (count, method, self.seen))
            return found()

    def answer(self, message, result, connection=None):
        self.send({"jsonrpc": "2.0", "id": message["id"], "result": result}, connection)

    def send(self, message, connection=None):
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        (connection or self.connections[-1]).sendall(data)

    def on(self, method, result):
        """Answers a method with result(params)."""
        self.methods[method] = lambda connection, message: self.answer(
            message, result(message["params"]), connection)

    def drop(self):
        """Ends all connections, as its death would."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections = []

    def close(self):
        # A close() alone would leave accept() waiting.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()


class Servers(Case):
    agent = None

    def setUp(self):
        super().setUp()
        self.server = Server(self)
        self.server.on("inventory.echo", lambda params: params)
        self.serve(self.section(), agent=self.agent)

    def section(self, **keys):
        return self.method("inventory.*", to="unix:%s" % self.server.path, **keys)

    def test_calls_go_through_on_one_connection(self):
        other = self.connect(privileged=True)
        for number in range(20):
            params = {"n": number, "text": "\u00e4\"\n/", "list": [1.5, None, {"a": []}]}
            self.assertEqual(self.client.call("inventory.echo", params), params)
            self.assertEqual(other.call("inventory.echo", params), params)
        self.assertEqual(self.server.accepted, 1)

    def test_one_line_a_message_with_ids_of_ours(self):
        self.client.send('{"jsonrpc":"2.0","id":"theirs","method":"inventory.echo",'
                         '"params":{"a":\n1.50e+2}}')
        reply = self.client.read()
        self.assertEqual(reply["id"], "theirs")
        self.client.call("inventory.echo")
        first, second = self.server.lines
        self.assertRegex(first, rb'^\{"jsonrpc":"2\.0","id":\d+,"method":"inventory\.echo",'
                                rb'"params":\{"a":1\.50e\+2\}\}\n$')
        self.assertEqual(self.server.seen[1]["params"], {})
        self.assertNotEqual(self.server.seen[0]["id"], self.server.seen[1]["id"])
        self.assertEqual(len(second.splitlines()), 1)

    def test_a_caller_leaves_just_as_its_server_does(self):
        """Cancelling one of its calls found the server gone, and took the next with it."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = os.path.join(self.folder, "deaf.sock")
        listener.bind(path)
        listener.listen()
        listener.settimeout(harness.DEADLINE)
        self.daemon.reload(self.config(self.main) + self.method("deaf.*", to="unix:%s" % path))
        caller = self.connect(privileged=True)
        for number in range(3):
            caller.send('{"jsonrpc":"2.0","id":%d,"method":"deaf.wait"}' % number)
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.settimeout(harness.DEADLINE)
        lines = b""
        while lines.count(b"\n") < 3:
            lines += server.recv(4096)
        server.shutdown(socket.SHUT_RD)
        caller.close()
        self.daemon.wait_log(r"(?s)(deaf\.wait.*){3}")
        self.assert_answers()

    def test_the_prefix_alone_is_no_method(self):
        for name in ("inventory.", "inventory", "inventoryx.get"):
            self.assertEqual(self.client.error(name)["code"], NO_METHOD, name)
        self.server.on("inventory.a.b.c", lambda params: 1)
        self.assertEqual(self.client.call("inventory.a.b.c"), 1)

    def test_parameters_go_by_name(self):
        """Which ones there are is the server's to say: that it takes none is not."""
        error = self.client.error("inventory.echo", [1])
        self.assertEqual(error["code"], INVALID_PARAMS)
        self.assertIn("by name, not by position", error["message"])
        self.assertNotIn("takes none", error["message"])
        self.assertEqual(self.client.call("inventory.echo", []), {})
        self.assertEqual([message["params"] for message in self.server.seen], [{}])

    def test_errors_are_the_servers_own(self):
        for error in ({"code": -32601, "message": "no such thing"},
                      {"code": -32602, "message": "bad", "data": {"why": [1, 2]}},
                      {"code": 42, "message": "own", "data": None}):
            self.server.methods["inventory.fail"] = \
                lambda connection, message, error=error: self.server.send(
                    {"jsonrpc": "2.0", "id": message["id"], "error": error}, connection)
            self.assertEqual(self.client.error("inventory.fail"), error)

    def test_a_hundred_calls_answered_out_of_order(self):
        clients = [self.connect(privileged=True) for _ in range(2)]
        wanted = [{}, {}]
        for number in range(100):
            ident = self.send("inventory.hold", {"n": number}, clients[number % 2])
            wanted[number % 2][ident] = number
        held = self.server.wait("inventory.hold", 100)
        self.assertEqual(len({m["id"] for m in held}), 100)
        for message in sorted(held, key=lambda m: (m["params"]["n"] * 37) % 101):
            self.server.answer(message, message["params"]["n"])
        for client, expected in zip(clients, wanted):
            replies = [client.read() for _ in expected]
            self.assertEqual({r["id"]: r["result"] for r in replies}, expected)
        self.assertEqual(self.server.accepted, 1)

    def test_a_reply_in_pieces(self):
        def pieces(connection, message):
            text = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": ["\u00e4", {}]},
                              ensure_ascii=False, indent=2).encode()
            for byte in text:
                connection.sendall(bytes([byte]))
        self.server.methods["inventory.slow"] = pieces
        self.assertEqual(self.client.call("inventory.slow"), ["\u00e4", {}])

    def test_a_large_reply_and_a_huge_one(self):
        self.server.on("inventory.large", lambda params: "x" * params["n"])
        text = self.client.call("inventory.large", {"n": 1000000})
        self.assertEqual(text, "x" * 1000000)
        rss = self.daemon.rss()
        self.server.methods["inventory.huge"] = lambda connection, message: \
            [connection.sendall(b'{"id":%d,"result":"' % message["id"])] + \
            [connection.sendall(b"x" * 65536) for _ in range(1000)]
        self.assert_reason(self.client.error("inventory.huge"), "unavailable")
        self.assertLess(self.daemon.rss() - rss, 8 << 20)
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_garbage_ends_what_is_in_flight(self):
        self.server.methods["inventory.garbage"] = lambda connection, message: \
            connection.sendall(b"Traceback (most recent call last):\n")
        first = self.send("inventory.hold")
        second = self.send("inventory.garbage")
        replies = {reply["id"]: reply for reply in (self.client.read(), self.client.read())}
        for ident in (first, second):
            self.assert_reason(replies[ident]["error"], "unavailable")
        self.assertEqual(self.client.call("inventory.echo"), {})
        self.assertEqual(self.server.accepted, 2)

    def test_notifications_of_the_server_are_ignored(self):
        def chatty(connection, message):
            self.server.send({"jsonrpc": "2.0", "method": "log", "params": ["x"]}, connection)
            self.server.send({"jsonrpc": "2.0", "id": 1, "method": "ask"}, connection)
            self.server.answer({"id": 999999}, "to nobody", connection)
            self.server.answer(message, 5, connection)
        self.server.methods["inventory.chat"] = chatty
        self.assertEqual(self.client.call("inventory.chat"), 5)

    def test_death_is_answered_at_once_and_mended(self):
        idents = [self.send("inventory.hold") for _ in range(10)]
        self.server.wait("inventory.hold", 10)
        self.server.drop()
        replies = [self.client.read() for _ in idents]
        self.assertEqual(sorted(r["id"] for r in replies), idents)
        for reply in replies:
            self.assert_reason(reply["error"], "unavailable")
            self.assertIn(self.server.path, reply["error"]["message"])
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})
        self.assertEqual(self.server.accepted, 2)

    def test_restarts_between_calls(self):
        for number in range(30):
            self.assertEqual(self.client.call("inventory.echo", {"n": number}), {"n": number})
            self.server.close()
            self.server.listen()

    def test_nobody_listens(self):
        self.client.call("inventory.echo")
        self.server.close()
        error = self.client.error("inventory.echo")
        self.assert_reason(error, "unavailable")
        self.assertIn(self.server.path, error["message"])
        os.unlink(self.server.path)
        error = self.client.error("inventory.echo")
        self.assertEqual(error["data"]["errno"], "ENOENT")
        self.server.listen()
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_timeout(self):
        self.reload(self.section(timeout="2s"))
        self.assert_reason(self.client.error("inventory.hold"), "timeout")
        held = self.server.wait("inventory.hold")[0]
        self.assertEqual(self.server.wait("rpc.cancel")[0],
                         {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": held["id"]}})
        self.server.answer(held, "late")
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_cancel(self):
        ident = self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.client.send(CANCEL % ident)
        self.assert_reason(self.client.read()["error"], "cancelled")
        self.assertEqual(self.server.wait("rpc.cancel")[0]["params"], {"id": held["id"]})

    def test_the_caller_goes(self):
        self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.client.reset()
        self.assertEqual(self.server.wait("rpc.cancel")[0]["params"], {"id": held["id"]})
        harness.until(lambda: self.stats()["calls"]["running"] == 1, "the call's end")

    def test_a_thousand_and_twenty_four_at_most(self):
        clients = [self.connect(privileged=True) for _ in range(16)]
        for client in clients:
            client.send(b"".join(client.request("inventory.hold")[0] for _ in range(64)))
        held = self.server.wait("inventory.hold", 1024)
        self.assert_reason(self.client.error("inventory.echo"), "busy")
        for message in held:
            self.server.answer(message, 1)
        for client in clients:
            self.assertEqual({client.read()["result"] for _ in range(64)}, {1})
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_a_server_that_does_not_read(self):
        """Memory stays bounded, and others are served."""
        stopped = Server(self, "stopped")
        gate = threading.Event()
        self.addCleanup(gate.set)
        stopped.methods["stopped.first"] = lambda connection, message: gate.wait(harness.TEST_LIMIT)
        self.reload(self.section(), self.method("stopped.*", to="unix:%s" % stopped.path))
        self.send("stopped.first")
        stopped.wait("stopped.first")
        clients = [self.connect(privileged=True) for _ in range(10)]
        for client in clients:
            self.send("stopped.more", {"text": "x" * 900000}, client)

        def answered():
            return [client for client in clients if not client.quiet(0)]
        harness.until(lambda: len(answered()) > 2, "some are refused")
        for client in answered():
            self.assert_reason(client.read()["error"], "busy")
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})

    def test_its_own_document(self):
        self.server.on("rpc.discover", lambda params: {
            "openrpc": "1.2.6", "info": {"title": "inventory", "version": "7"},
            "methods": [{"name": "inventory.list", "summary": "What there is", "params": []},
                        {"name": "agent.ping", "summary": "not its own"}]})
        found = {m["name"]: m for m in self.client.call("rpc.discover")["methods"]}
        self.assertEqual(found["inventory.list"],
                         {"name": "inventory.list", "summary": "What there is", "params": [],
                          "x-privileged": True})
        self.assertNotIn("inventory.*", found)
        self.assertNotEqual(found["agent.ping"]["summary"], "not its own")
        result = self.run_guestwire("methods", self.main.cli)
        self.assertRegex(result.stdout, r"(?m)^inventory\.list +What there is \[privileged\]$")

    def test_without_a_document_the_prefix(self):
        """None, within a second; an error; nonsense; and nobody there."""
        def names():
            return [m["name"] for m in self.client.call("rpc.discover")["methods"]
                    if m["name"].startswith("inventory")]
        self.assertEqual(names(), ["inventory.*"])
        self.server.methods["rpc.discover"] = lambda connection, message: self.server.send(
            {"jsonrpc": "2.0", "id": message["id"],
             "error": {"code": -32601, "message": "what?"}}, connection)
        self.assertEqual(names(), ["inventory.*"])
        self.server.on("rpc.discover", lambda params: {"methods": 7})
        self.assertEqual(names(), ["inventory.*"])
        self.server.close()
        self.assertEqual(names(), ["inventory.*"])

    def test_reload_keeps_the_connection(self):
        self.client.call("inventory.echo")
        ident = self.send("inventory.hold")
        held = self.server.wait("inventory.hold")[0]
        self.reload(self.section(), self.method("other.*", to="unix:%s" % self.server.path))
        self.assertEqual(self.client.call("inventory.echo"), {})
        self.server.on("other.x", lambda params: "x")
        self.assertEqual(self.client.call("other.x"), "x")
        self.reload()
        self.assertEqual(self.client.error("inventory.echo")["code"], NO_METHOD)
        self.server.answer(held, "in the end")
        reply = self.client.read()
        self.assertEqual((reply["id"], reply["result"]), (ident, "in the end"))
        self.assertEqual(self.server.accepted, 1)

    def test_a_method_of_its_own_within_a_prefix(self):
        self.reload(self.section(), self.method("inventory.here", "echo '\"a program\"'"))
        self.assertEqual(self.client.call("inventory.here"), "a program")
        self.assertEqual(self.client.call("inventory.echo"), {})

    def test_restarted_a_hundred_times_under_load(self):
        """Each call gets exactly one reply, whatever becomes of the server."""
        self.daemon.remember()
        for _ in range(100):
            idents = [self.send("inventory.echo", {"n": n}) for n in range(8)]
            self.server.drop()
            replies = [self.client.read() for _ in idents]
            self.assertEqual(sorted(r["id"] for r in replies), idents)
            for reply in replies:
                if "error" in reply:
                    self.assert_reason(reply["error"], "unavailable")
        self.assertEqual(self.client.call("inventory.echo", {"a": 1}), {"a": 1})


if __name__ == "__main__":
    harness.main()
