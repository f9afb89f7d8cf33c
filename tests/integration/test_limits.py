# SPDX-License-Identifier: MIT
"""Every limit has a named answer, and none of them lets one caller harm another."""

import json
import os
import socket

import harness
from harness import BIG, PARSE_ERROR, PING


class Connections(harness.TestCase):
    def idle(self, target, count, **options):
        """Connections that have been served, in the order of their last activity."""
        clients = []
        for _ in range(count):
            client = self.connect(target, **options)
            self.assertEqual(client.call("agent.ping"), {})
            clients.append(client)
        return clients

    def test_a_full_port_closes_its_longest_idle(self):
        self.start(self.target(trust="nobody", max_connections="3"))
        clients = self.idle(self.main, 3)
        clients[0].call("agent.ping")
        newcomer = self.connect()
        self.assertEqual(newcomer.call("agent.ping"), {})
        self.assert_closed(clients[1])
        for client in (clients[0], clients[2], newcomer):
            self.assertEqual(client.call("agent.ping"), {})
        stats = newcomer.call("agent.stats")
        self.assertEqual((stats["connections"]["current"], stats["connections"]["evicted"]), (3, 1))

    def test_silent_strangers_cannot_lock_the_host_out(self):
        self.start(self.target(trust="nobody", max_connections="8"))
        strangers = [self.connect() for _ in range(8)]
        for stranger in strangers:
            newcomer = self.connect()
            self.assertEqual(newcomer.call("agent.ping"), {})
            self.assert_closed(stranger)

    def test_privileged_connections_are_not_closed_for_others(self):
        self.start(self.target(max_connections="2"))
        clients = self.idle(self.main, 2, privileged=True)
        newcomer = self.connect()
        try:
            newcomer.send(PING % 1)
            self.assertEqual(newcomer.read_end(), [])
        except (BrokenPipeError, ConnectionResetError):
            pass
        for client in clients:
            self.assertEqual(client.call("agent.ping"), {})
        stats = clients[0].call("agent.stats")["connections"]
        self.assertEqual((stats["accepted"], stats["full"]), (2, 1))

    def test_the_agents_own_limit_is_over_all_ports(self):
        one, two = self.target("one", trust="nobody"), self.target("two", trust="nobody")
        self.start(one, two, agent={"max_connections": 3})
        first, second = self.idle(one, 2)
        third, fourth = self.idle(two, 2)
        self.assert_closed(first)
        for client in (second, third, fourth):
            self.assertEqual(client.call("agent.ping"), {})
        self.assertEqual(fourth.call("agent.stats")["connections"]["current"], 3)

    def test_strangers_of_another_port_cannot_use_up_the_fds(self):
        """At the limit of fds, too, it is the longest idle of all ports who goes."""
        crowd = self.target("crowd", trust="nobody", max_connections="500")
        calm = self.target("calm")
        self.start(crowd, calm, nofile=(40, 40))
        strangers = [self.connect(crowd) for _ in range(60)]
        # They are taken in the order they came: now all of them have been.
        self.assertEqual(strangers[-1].call("agent.ping"), {})
        clients = [self.connect(calm) for _ in range(5)]
        for client in clients:
            self.assertEqual(client.call("agent.ping"), {})
        self.assertEqual(clients[0].call("agent.ping"), {})

    def test_a_newcomer_is_not_closed_for_nobody(self):
        """accept4() fails for want of an fd before it sees that no further caller waits."""
        crowd = self.target("crowd", trust="nobody", max_connections="500")
        other = self.target("other", trust="nobody")
        self.start(crowd, other, nofile=(40, 40))
        strangers = [self.connect(crowd) for _ in range(60)]
        # They are taken in the order they came: now all of them have been.
        self.assertEqual(strangers[-1].call("agent.ping"), {})
        clients = [self.connect(other) for _ in range(5)]
        for client in clients:
            self.assertEqual(client.call("agent.ping"), {})

    def test_idle_timeout(self):
        self.start(self.target(idle_timeout="2s"))
        client = self.connect()
        self.assertEqual(client.call("agent.ping"), {})
        self.assert_closed(client)
        self.assert_closed(self.connect())

    def test_idle_timeout_spares_the_busy(self):
        self.start(self.target(idle_timeout="4s"))
        client, silent = self.connect(), self.connect()
        # Until the silent one is closed; each ping begins the time anew.
        while silent.quiet(0.1):
            self.assertEqual(client.call("agent.ping"), {})
        self.assert_closed(silent)
        self.assertEqual(client.call("agent.ping"), {})


class Texts(harness.TestCase):
    def exact(self, size):
        """A ping of just so many bytes."""
        frame = '{"jsonrpc":"2.0","id":1,"method":"agent.ping","x":"%s"}'
        return (frame % ("y" * (size - len(frame) + 2))).encode()

    def assert_limit_then_end(self, client):
        replies = client.read_end()
        self.assertEqual(len(replies), 1, replies)
        self.assert_reason(replies[0]["error"], "limit")
        self.assertIsNone(replies[0]["id"])

    def test_max_message(self):
        self.start(agent={"max_message": "1K"})
        client = self.connect()
        client.send(self.exact(1024) + b"\n")
        self.assertEqual(client.read()["result"], {})
        client.send_until_closed(self.exact(1025) + b"\n")
        self.assert_limit_then_end(client)

    def test_default_max_message_is_a_mebibyte(self):
        self.start()
        client = self.connect()
        client.send(self.exact(1 << 20) + b"\n")
        self.assertEqual(client.read()["result"], {})
        client.send_until_closed(self.exact((1 << 20) + 1) + b"\n")
        self.assert_limit_then_end(client)

    def test_the_error_arrives_though_the_peer_goes_on_sending(self):
        """What follows is drained, so that the reply is not lost in a reset."""
        self.start(agent={"max_message": "1K"})
        client = self.connect()
        client.send_until_closed(b"[" + b" " * 300000)
        self.assert_limit_then_end(client)

    def test_max_values(self):
        self.start(agent={"max_values": 100})
        text = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping","x":[%s]}\n'
        client = self.connect()
        # The request, its three members and x itself are five values.
        client.send(text % b",".join([b"0"] * 95))
        self.assertEqual(client.read()["result"], {})
        client.send_until_closed(text % b",".join([b"0"] * 96))
        self.assert_limit_then_end(client)

    def test_default_max_values(self):
        self.start()
        client = self.connect()
        client.send_until_closed(b"[" + b",".join([b"{}"] * 16384) + b"]\n")
        self.assert_limit_then_end(client)

    def test_depth(self):
        self.start()
        client = self.connect()
        client.send(b"[" * 32 + b"]" * 32 + b"\n")
        self.assertEqual(client.read()[0]["error"]["code"], -32600)
        client.send_until_closed(b"[" * 33)
        self.assert_limit_then_end(client)

    def test_after_a_limit_nothing_more_is_answered(self):
        self.start(agent={"max_message": "1K"})
        client = self.connect()
        client.send_until_closed(b"[" + b" " * 2000 + b"]\n" + PING % 9)
        self.assert_limit_then_end(client)

    def test_one_callers_limit_is_not_anothers(self):
        self.start(agent={"max_message": "1K"})
        other = self.connect()
        client = self.connect()
        client.send_until_closed(b"[" + b" " * 2000)
        self.assert_limit_then_end(client)
        self.assertEqual(other.call("agent.ping"), {})

    def test_message_timeout(self):
        self.start(agent={"message_timeout": "200ms"})
        client = self.connect()
        client.send(b'{"jsonrpc"')
        reply = client.read()
        self.assert_reason(reply["error"], "timeout")
        self.assert_closed(client)

    def test_message_timeout_does_not_count_between_texts(self):
        self.start(agent={"message_timeout": "200ms"})
        client, other = self.connect(), self.connect()
        client.send(PING % 1 + b" \n ")
        self.assertEqual(client.read()["id"], 1)
        other.send(b"[")
        self.assert_reason(other.read()["error"], "timeout")
        self.assertEqual(client.call("agent.ping"), {})

    def test_a_line_passed_over_has_no_end(self):
        """After what is no JSON only a newline counts, however long that takes."""
        self.start(agent={"max_message": "1K"})
        client = self.connect()
        client.send(b"bad" + b"x" * 100000 + b"\n" + PING % 1)
        self.assertEqual(client.read()["error"]["code"], PARSE_ERROR)
        self.assertEqual(client.read()["id"], 1)


class Calls(harness.TestCase):
    def test_max_calls_of_one_still_serves_all_in_turn(self):
        """Calls that end at once never meet the limit, however many are sent together."""
        self.start(agent={"max_calls": 1})
        client = self.connect()
        client.send(b"".join(PING % i for i in range(500)))
        for number in range(500):
            self.assertEqual(client.read(), {"jsonrpc": "2.0", "id": number, "result": {}})


class Backpressure(harness.TestCase):
    def fill(self, text):
        """Sends until the daemon takes no more; how many bytes it took."""
        client = self.connect()
        client.sock.settimeout(1.0)
        sent = 0
        try:
            while sent < 256 << 20:
                sent += client.sock.send(text)
        except socket.timeout:
            return client, sent
        raise AssertionError("256 MiB of requests were taken from a peer that never reads")

    def test_memory_is_bounded_when_a_peer_never_reads(self):
        self.start()
        self.assert_answers()
        before = self.daemon.rss()
        stuck = [self.fill(BIG % 1 * 1000) for _ in range(4)]
        self.assertLess(self.daemon.rss() - before, self.room(24 << 20))
        self.assert_answers()
        for client, _ in stuck:
            client.close()

    def room(self, size):
        """AddressSanitizer keeps what is freed for a while."""
        return size + ((256 << 20) if harness.build_kind() else 0)

    def test_batches_too(self):
        """A batch whose replies would not fit is answered in part, each call with an answer."""
        self.start(agent={"max_message": "64K"})
        self.assert_answers()
        before = self.daemon.rss()
        count = 1000
        with harness.Client(self.main) as client:
            client.send(b"[" + b",".join((BIG % i).rstrip() for i in range(count)) + b"]\n")
            replies = client.read()
        self.assertEqual(sorted(r["id"] for r in replies), list(range(count)))
        for reply in replies:
            if "error" in reply:
                self.assert_reason(reply["error"], "limit")
        self.assertLess(self.daemon.rss() - before, self.room(16 << 20))

    def test_a_peer_that_never_reads_costs_no_time(self):
        self.start()
        self.fill(BIG % 1 * 1000)
        before = self.daemon.cpu_ticks()
        other = self.connect()
        other.quiet(1.0)
        self.assertLess(self.daemon.cpu_ticks() - before, os.sysconf("SC_CLK_TCK") // 2)

    def test_what_was_asked_is_answered_when_it_reads_again(self):
        self.start()
        client, sent = self.fill(BIG % 1)
        client.sock.settimeout(harness.DEADLINE)
        size = len(BIG % 1)
        self.assertGreater(sent, 10 * size)
        for _ in range(sent // size):
            self.assertIn("result", client.read())
        # The last request may have been cut: it is completed, as a real peer would.
        if sent % size:
            client.send((BIG % 1)[sent % size:])
            self.assertIn("result", client.read())
        self.assertEqual(client.call("agent.ping"), {})

    def test_memory_of_an_idle_connection_is_given_back(self):
        self.start()
        client = self.connect()
        large = b'{"jsonrpc":"2.0","id":1,"method":"agent.ping","x":"%s"}\n' % (b"y" * 900000)
        for _ in range(20):
            client.send(large)
            self.assertEqual(client.read()["result"], {})
        before = client.call("agent.stats")["memory"]["resident_bytes"]
        others = [self.connect() for _ in range(20)]
        for other in others:
            other.send(large)
            self.assertEqual(other.read()["result"], {})
        after = client.call("agent.stats")["memory"]["resident_bytes"]
        self.assertLess(after - before, self.room(4 << 20), json.dumps([before, after]))


if __name__ == "__main__":
    harness.main()
