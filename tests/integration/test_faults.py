# SPDX-License-Identifier: MIT
"""Peers that break the rules, and resources that run out.

Each test ends the same way (tearDown): a newcomer is answered, the daemon holds as many fds
and children as before, it exits with 0, and no sanitizer has spoken.
"""

import json
import resource
import socket

import harness
from harness import BIG, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, PING


class Case(harness.TestCase):
    agent = {}
    nofile = None

    def setUp(self):
        super().setUp()
        self.start(agent=self.agent, nofile=self.nofile)
        self.daemon.remember()

    def tearDown(self):
        # Where fds are scarce, a newcomer may have to wait until the last guest is gone.
        self.daemon.assert_back()
        self.assert_answers()
        self.daemon.assert_back()
        self.daemon.stop()


class Split(Case):
    MESSAGES = (
        b'{"jsonrpc":"2.0","id":"\\u00e9\xc3\xa9\xf0\x9f\x98\x80","method":"agent.ping",'
        b'"params":{}}\n',
        b' [{"jsonrpc":"2.0","id":1.5e1,"method":"agent.ping"},'
        b'\t{"jsonrpc":"2.0","method":"x"}]\r\n',
        b'{"jsonrpc":"2.0","id":null,"method":"rpc.cancel",'
        b'"params":{"id":true,"\\ud83d\\ude00":-0.1}}\n',
        b'{"jsonrpc":"2.0","id":3,"method":"agent.ping"} '
        b'{"jsonrpc":"2.0","id":4,"method":"nope"}\n',
    )

    def split(self, message):
        """Sends the message cut in two at every byte; the replies never differ."""
        with harness.Client(self.main) as client:
            client.send(message)
            count = message.count(b'"id":') - message.count(b'params":{"id"')
            count = 1 if message.lstrip().startswith(b"[") else count
            whole = [client.read_line() for _ in range(count)]
            for cut in range(1, len(message)):
                client.send(message[:cut])
                client.send(message[cut:])
                self.assertEqual([client.read_line() for _ in whole], whole, cut)
        return whole

    def test_every_message_at_every_byte(self):
        for message in self.MESSAGES:
            self.split(message)

    def test_bad_text_at_every_byte(self):
        whole = self.split(b'{"jsonrpc":"2.0","id":"\xe2\x82","method":"agent.ping"}\n')
        self.assertEqual(json.loads(whole[0])["error"]["code"], PARSE_ERROR)

    def test_one_byte_a_packet(self):
        for message in self.MESSAGES[:2]:
            with harness.Client(self.main) as client:
                client.send_pieces(message, [1] * len(message))
                client.half_close()
                self.assertEqual(len(client.read_end()), 1)

    def test_every_cut_followed_by_the_end(self):
        message = self.MESSAGES[0].rstrip()
        for cut in range(1, len(message)):
            with harness.Client(self.main) as client:
                client.send(message[:cut])
                client.half_close()
                self.assertEqual([r["error"]["code"] for r in client.read_end()], [PARSE_ERROR])

    def test_every_cut_followed_by_departure(self):
        message = self.MESSAGES[0]
        for cut in range(len(message) + 1):
            with harness.Client(self.main) as client:
                client.send(message[:cut])


class Peers(Case):
    agent = {"message_timeout": "1s"}

    def test_closes_with_replies_unread(self):
        for _ in range(20):
            with harness.Client(self.main) as client:
                client.send_until_closed(BIG % 1 * 200)

    def test_closes_after_reading_a_part(self):
        for _ in range(20):
            with harness.Client(self.main) as client:
                client.send(BIG % 1 * 20)
                client.sock.recv(100)

    def test_never_reads(self):
        """It is no longer read from, others are served, and it goes away as any other."""
        stuck = self.connect()
        stuck.sock.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            for _ in range(100000):
                stuck.sock.sendall(BIG % 1 * 100)
        for _ in range(50):
            self.assert_answers()
        stuck.close()

    def test_sends_half_a_text_and_stays(self):
        client = self.connect()
        client.send((PING % 1)[:20])
        self.assert_answers()
        reply = client.read()
        self.assert_reason(reply["error"], "timeout")
        self.assertIsNone(reply["id"])
        self.assert_closed(client)

    def test_sends_a_text_too_slowly(self):
        """Each byte does not buy a new message-timeout."""
        client = self.connect()
        replies = []
        try:
            for byte in b"[" + b"1," * 100000:
                client.sock.sendall(bytes([byte]))
                client.quiet(0.01)
                if client.pending or not client.quiet(0):
                    break
            replies = client.read_end()
        except (BrokenPipeError, ConnectionResetError):
            replies = client.read_end()
        self.assertEqual([r["error"]["data"]["reason"] for r in replies], ["timeout"])

    def test_stays_silent_and_is_left_alone(self):
        """message-timeout counts from a text's first byte, not from the connection's."""
        client = self.connect()
        late = self.connect()
        late.send("[")
        self.assert_reason(late.read()["error"], "timeout")
        self.assertEqual(client.call("agent.ping"), {})
        client.close()
        late.close()

    def test_resets(self):
        for text in (b"", b"{", PING % 1, BIG % 1 * 50):
            for _ in range(10):
                client = harness.Client(self.main)
                client.send_until_closed(text)
                client.reset()

    def test_half_closes(self):
        for text, replies in ((b"", 0), (PING % 1, 1), (PING % 1 * 50, 50), (b" \n ", 0)):
            with harness.Client(self.main) as client:
                client.send(text)
                client.half_close()
                self.assertEqual(len(client.read_end()), replies)

    def test_half_closes_the_other_way(self):
        """It will not read, but goes on asking."""
        for _ in range(10):
            with harness.Client(self.main) as client:
                client.sock.shutdown(socket.SHUT_RD)
                client.send_until_closed(PING % 1 * 100)

    def test_connects_and_leaves(self):
        for _ in range(300):
            harness.Client(self.main).close()


class Crowd(Case):
    agent = {"max_connections": 2000}

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 4096:
            self.skipTest("fewer than 4096 fds are allowed here (%d)" % hard)
        if soft < 4096:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        super().setUp()

    def target(self, *args, **keys):
        return super().target(*args, max_connections="2000", **keys)

    def test_a_thousand_connections_at_once(self):
        clients = [self.connect() for _ in range(1000)]
        for number, client in enumerate(clients):
            client.send(PING % number)
        for number, client in enumerate(clients):
            self.assertEqual(client.read()["id"], number)
        self.assertGreaterEqual(self.stats()["connections"]["current"], 1000)
        for client in clients:
            client.close()

    def test_a_thousand_that_leave_at_once_unread(self):
        clients = [self.connect() for _ in range(1000)]
        for client in clients:
            client.send(BIG % 1)
        for client in clients:
            client.close()


class NoFds(Case):
    agent = {"max_connections": 2000}
    nofile = (64, 64)

    def target(self, *args, **keys):
        return super().target(*args, max_connections="2000", **keys)

    def assert_answers(self, target=None):
        """Served as soon as those who have left are gone from the queue, too."""
        def answers():
            try:
                super(NoFds, self).assert_answers(target)
                return True
            except (ConnectionError, AssertionError):
                return False
        harness.until(answers, "a newcomer is served")

    def test_callers_past_the_limit_are_not_left_waiting(self):
        """Each of them is served or turned away; those who ask are answered."""
        clients = [self.connect() for _ in range(200)]
        outcomes = {"answered": 0, "turned away": 0}
        for number, client in enumerate(clients):
            client.send_until_closed(PING % number)
            try:
                line = client.read_line()
            except ConnectionResetError:
                line = b""
            outcomes["answered" if line else "turned away"] += 1
            if line:
                self.assertEqual(json.loads(line), {"jsonrpc": "2.0", "id": number, "result": {}})
        self.assertGreater(outcomes["answered"], 10, outcomes)
        self.assertGreater(outcomes["turned away"], 0, outcomes)
        for client in clients:
            client.close()

    def test_it_does_not_spin(self):
        """A queue that cannot be accepted from does not cost the CPU."""
        clients = [self.connect() for _ in range(200)]
        self.daemon.wait_log("fd|file descriptor|EMFILE|made room|max-connections|idle")
        before = self.daemon.cpu_ticks()
        clients[0].quiet(1.0)
        self.assertLess(self.daemon.cpu_ticks() - before, 50)
        for client in clients:
            client.close()

    def test_again_and_again(self):
        for _ in range(5):
            clients = [self.connect() for _ in range(100)]
            for client in clients:
                client.close()


class Content(Case):
    def reply(self, data):
        """The first reply to data; the connection may or may not go on."""
        with harness.Client(self.main) as client:
            client.send_until_closed(data)
            return client.read()

    def ends(self, data):
        """All replies to data, after which the daemon must close."""
        with harness.Client(self.main) as client:
            client.send_until_closed(data)
            return client.read_end()

    def test_garbage(self):
        # A generator of its own: the same bytes in each run, on each machine.
        state, noise = 1, bytearray()
        for _ in range(200000):
            state = (state * 1103515245 + 12345) & 0x7fffffff
            noise.append(state >> 16 & 0xff)
        with harness.Client(self.main) as client:
            for begin in range(0, len(noise), 1000):
                client.send_until_closed(bytes(noise[begin:begin + 1000]))
            client.send_until_closed(b"\n" + PING % 77)
            while True:
                reply = client.read()
                if reply["id"] == 77:
                    break
                # A digit alone on its line is JSON, though no request.
                self.assertIn(reply["error"]["code"], (PARSE_ERROR, INVALID_REQUEST))

    def test_nul_bytes(self):
        for data in (b"\0", b"\0" * 100000 + b"\n", b'{"jsonrpc":\0"2.0"}\n', b'"\0"\n'):
            self.assertEqual(self.reply(data)["error"]["code"], PARSE_ERROR)

    def test_invalid_utf8(self):
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80",
                    b"\xe2\x82"):
            for where in (b'{"jsonrpc":"2.0","id":"%s","method":"agent.ping"}\n',
                          b'{"jsonrpc":"2.0","id":1,"method":"%s"}\n',
                          b'{"jsonrpc":"2.0","id":1,"method":"agent.ping","%s":1}\n',
                          b'{"jsonrpc":"2.0","id":1,"method":"agent.ping","params":{"a":"%s"}}\n'):
                self.assertEqual(self.reply(where % bad)["error"]["code"], PARSE_ERROR)

    def test_numbers_past_64_bits(self):
        for number in (2**64, -2**63 - 1, 10**400):
            reply = self.reply(b'{"jsonrpc":"2.0","id":1,"method":"rpc.cancel","params":{"id":%d}}'
                               % number)
            self.assertEqual(reply["error"]["code"], INVALID_PARAMS)
            with harness.Client(self.main) as client:
                client.send(b'{"jsonrpc":"2.0","id":%d,"method":"agent.ping"}' % number)
                self.assertIn(b'"id":%d' % number, client.read_line())

    def test_a_hundred_thousand_nested_arrays(self):
        for data in (b"[" * 100000, b'{"a":' * 100000, b"[" * 100000 + b"]" * 100000 + b"\n"):
            replies = self.ends(data)
            self.assertEqual(len(replies), 1)
            self.assert_reason(replies[0]["error"], "limit")

    def test_nesting_of_32_and_of_33(self):
        """The envelope's braces are the first level."""
        text = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping","x":%s}\n'
        with harness.Client(self.main) as client:
            client.send(text % (b"[" * 31 + b"]" * 31))
            self.assertEqual(client.read()["result"], {})
        self.assert_reason(self.reply(text % (b"[" * 32 + b"]" * 32))["error"], "limit")

    def test_doubled_keys(self):
        self.assertEqual(self.reply(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"agent.ping"}')
                         ["error"]["code"], INVALID_REQUEST)

    def test_a_megabyte_of_empty_objects(self):
        before = self.daemon.rss()
        count = (1 << 20) // 3
        replies = self.ends(b"[" + b"{}," * (count - 10) + b"{}]\n")
        self.assertEqual(len(replies), 1)
        self.assert_reason(replies[0]["error"], "limit")
        # The same outside an array: texts of their own, and a comma where one should begin.
        with harness.Client(self.main) as client:
            client.send_until_closed(b"{}," * count + b"\n" + PING % 5)
            self.assertEqual(client.read()["error"]["code"], INVALID_REQUEST)
            self.assertEqual(client.read()["error"]["code"], PARSE_ERROR)
            self.assertEqual(client.read()["id"], 5)
        if "AddressSanitizer" not in harness.build_kind():
            self.assertLess(self.daemon.rss() - before, 8 << 20)

    def test_a_megabyte_of_requests_that_are_none(self):
        with harness.Client(self.main) as client:
            client.send(b"{}\n" * 20000 + b" " + PING % 1)
            client.half_close()
            replies = client.read_end()
        self.assertEqual(len(replies), 20001)
        self.assertEqual(replies[-1]["result"], {})

    def test_a_deep_reply_is_not_asked_of_us(self):
        """Long names are not given back at full length without limit."""
        reply = self.reply(b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % (b"m" * 900000))
        self.assertLess(len(json.dumps(reply)), 10000)


if __name__ == "__main__":
    harness.main()
