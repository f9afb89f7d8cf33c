# SPDX-License-Identifier: MIT
"""JSON-RPC 2.0 over a byte stream, and the methods, as a caller sees them."""

import json
import os
import platform
import socket
import subprocess
import time

import harness
from harness import INVALID_PARAMS, INVALID_REQUEST, NO_METHOD, PARSE_ERROR

REASONS = {"not-allowed", "not-privileged", "unsupported", "not-ready", "unavailable", "busy",
           "limit", "timeout", "cancelled", "not-found", "exists", "failed"}
PING = b'{"jsonrpc":"2.0","id":%d,"method":"agent.ping"}'


class Case(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.client = self.connect()

    def answer(self, text):
        """The reply to a text, which gets a newline."""
        self.client.send(text if isinstance(text, bytes) else text.encode())
        self.client.send(b"\n")
        return self.client.read()

    def assert_code(self, reply, code, ident=None):
        self.assertEqual(reply.get("jsonrpc"), "2.0", reply)
        self.assertIn("error", reply)
        self.assertEqual(reply["error"]["code"], code, reply)
        self.assertTrue(reply["error"]["message"], reply)
        self.assertIn("id", reply)
        self.assertEqual(reply["id"], ident, reply)

    def assert_still_serves(self):
        self.assertEqual(self.client.call("agent.ping"), {})


class Requests(Case):
    def test_reply_is_one_line(self):
        self.client.send(PING % 7 + b"\n")
        line = self.client.read_line()
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(json.loads(line), {"jsonrpc": "2.0", "id": 7, "result": {}})
        self.assertTrue(self.client.quiet())

    def test_id_comes_back_byte_for_byte(self):
        for ident in ("1", "0", "-0", "1.0", "1.50e+2", "1E400", "123456789012345678901234567890",
                      "null", '""', '"a"', '"\\u0041\\/"', '"\\ud83d\\ude00"', '"\u00fc\U0001f600"',
                      '"' + "x" * 3000 + '"'):
            with self.subTest(id=ident):
                self.client.send('{"id":%s,"method":"agent.ping","jsonrpc":"2.0"}\n' % ident)
                line = self.client.read_line()
                self.assertIn(b'"id":' + ident.encode(), line)
                self.assertIn(b'"result":{}', line)

    def test_id_of_another_type_is_invalid(self):
        for ident in ("true", "false", "[1]", "{}", '{"a":1}'):
            with self.subTest(id=ident):
                self.assert_code(self.answer(
                    '{"jsonrpc":"2.0","id":%s,"method":"agent.ping"}' % ident), INVALID_REQUEST)

    def test_notification_has_no_reply(self):
        self.client.send('{"jsonrpc":"2.0","method":"agent.ping"}\n'
                         '{"jsonrpc":"2.0","method":"no.such"}\n'
                         '{"jsonrpc":"2.0","method":"agent.ping","params":{"x":1}}\n')
        self.assert_still_serves()

    def test_version_must_be_2(self):
        for member in ("", '"jsonrpc":"1.0",', '"jsonrpc":2.0,', '"jsonrpc":null,',
                       '"jsonrpc":"2.0\\u0000",'):
            with self.subTest(member=member):
                self.assert_code(self.answer('{%s"id":5,"method":"agent.ping"}' % member),
                                 INVALID_REQUEST, 5)

    def test_method_must_be_a_string(self):
        for member in ("", ',"method":1', ',"method":null', ',"method":["agent.ping"]'):
            with self.subTest(member=member):
                self.assert_code(self.answer('{"jsonrpc":"2.0","id":5%s}' % member),
                                 INVALID_REQUEST, 5)

    def test_escapes_in_the_envelope_mean_what_they_say(self):
        reply = self.answer('{"json\\u0072pc":"2\\u002e0","\\u0069d":3,"m\\u0065thod":'
                            '"agent\\u002eping"}')
        self.assertEqual(reply, {"jsonrpc": "2.0", "id": 3, "result": {}})

    def test_unknown_members_are_ignored(self):
        self.assertEqual(self.answer('{"jsonrpc":"2.0","id":1,"method":"agent.ping","x":[1,{}]}'),
                         {"jsonrpc": "2.0", "id": 1, "result": {}})

    def test_unknown_method(self):
        for name in ("no.such", "", "agent", "agent.ping ", "AGENT.PING", "agent.ping\\u0000",
                     "x" * 5000, "\u00e9"):
            with self.subTest(method=name):
                self.assert_code(self.answer(
                    '{"jsonrpc":"2.0","id":1,"method":"%s"}' % name), NO_METHOD, 1)

    def test_not_a_request(self):
        for text in ("1", "1.5e3", '"agent.ping"', "true", "null", "{}", '{"foo":"boo"}'):
            with self.subTest(text=text):
                self.assert_code(self.answer(text), INVALID_REQUEST)

    def test_doubled_envelope_key(self):
        for text in ('{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"agent.ping"}',
                     '{"jsonrpc":"2.0","id":1,"method":"agent.ping","method":"agent.info"}',
                     '{"jsonrpc":"2.0","id":1,"id":1,"method":"agent.ping"}',
                     '{"jsonrpc":"2.0","id":1,"method":"agent.ping","params":{},"params":{}}',
                     '{"jsonrpc":"2.0","id":1,"method":"agent.ping","m\\u0065thod":"x"}'):
            with self.subTest(text=text):
                reply = self.answer(text)
                self.assertEqual(reply["error"]["code"], INVALID_REQUEST)
                self.assertIn(reply["id"], (1, None))

    def test_nul_in_a_key(self):
        for text in ('{"jsonrpc":"2.0","id":1,"method":"agent.ping","a\\u0000":1}',
                     '{"jsonrpc":"2.0","id":1,"method":"agent.ping","params":{"\\u0000":1}}',
                     '{"jsonrpc":"2.0","id":1,"method\\u0000":"agent.ping"}'):
            with self.subTest(text=text):
                self.assertEqual(self.answer(text)["error"]["code"], INVALID_REQUEST)
        self.assert_still_serves()


class Parameters(Case):
    def test_empty_object_is_no_parameters(self):
        self.assertEqual(self.client.call("agent.ping", {}), {})

    def test_unknown_parameter_is_named(self):
        error = self.client.error("agent.ping", {"bogus": 1})
        self.assertEqual(error["code"], INVALID_PARAMS)
        self.assertIn("bogus", error["message"])

    def test_ill_typed_parameter_is_named(self):
        for value in (True, [1], {"a": 1}):
            error = self.client.error("rpc.cancel", {"id": value})
            self.assertEqual(error["code"], INVALID_PARAMS)
            self.assertIn("id", error["message"])

    def test_missing_parameter_is_named(self):
        error = self.client.error("rpc.cancel", {})
        self.assertEqual(error["code"], INVALID_PARAMS)
        self.assertIn("id", error["message"])

    def test_by_position(self):
        for method in ("agent.ping", "rpc.cancel"):
            self.assertEqual(self.client.error(method, [1])["code"], INVALID_PARAMS)

    def test_params_of_another_type(self):
        for value in ("1", '"a"', "null", "true"):
            with self.subTest(params=value):
                reply = self.answer(
                    '{"jsonrpc":"2.0","id":1,"method":"agent.ping","params":%s}' % value)
                self.assertIn(reply["error"]["code"], (INVALID_REQUEST, INVALID_PARAMS))
                self.assertEqual(reply["id"], 1)

    def test_integer_past_64_bits(self):
        for number in ("18446744073709551616", "-9223372036854775809", "9" * 400):
            with self.subTest(number=number):
                self.assert_code(self.answer(
                    '{"jsonrpc":"2.0","id":1,"method":"rpc.cancel","params":{"id":%s}}' % number),
                    INVALID_PARAMS, 1)
        # The largest that fit are judged by the method.
        for number in ("18446744073709551615", "9223372036854775808", "-9223372036854775808"):
            with self.subTest(number=number):
                self.assert_reason(self.client.error("rpc.cancel", {"id": int(number)}),
                                   "not-found")

    def test_doubled_parameter_is_refused(self):
        reply = self.answer('{"jsonrpc":"2.0","id":1,"method":"rpc.cancel",'
                            '"params":{"id":1,"id":2}}')
        self.assert_code(reply, INVALID_PARAMS, 1)


class Batches(Case):
    def test_mixed(self):
        reply = self.answer('[{"jsonrpc":"2.0","method":"agent.ping","id":"1"},'
                            '{"jsonrpc":"2.0","method":"agent.ping"},'
                            '{"foo":"boo"},'
                            '{"jsonrpc":"2.0","method":"no.such","id":"5"},'
                            '{"jsonrpc":"2.0","method":"agent.info","id":9}, 7]')
        self.assertIsInstance(reply, list)
        self.assertEqual(len(reply), 5)
        by_id = {str(r["id"]): r for r in reply if r["id"] is not None}
        self.assertEqual(by_id["1"]["result"], {})
        self.assertEqual(by_id["5"]["error"]["code"], NO_METHOD)
        self.assertEqual(by_id["9"]["result"]["name"], "guestwire")
        self.assertEqual([r["error"]["code"] for r in reply if r["id"] is None],
                         [INVALID_REQUEST] * 2)

    def test_is_one_line(self):
        self.client.send(b"[" + PING % 1 + b",\n" + PING % 2 + b"]")
        line = self.client.read_line()
        self.assertEqual([r["id"] for r in json.loads(line)], [1, 2])

    def test_empty(self):
        self.assert_code(self.answer("[]"), INVALID_REQUEST)

    def test_of_notifications_only(self):
        self.client.send('[{"jsonrpc":"2.0","method":"agent.ping"},'
                         '{"jsonrpc":"2.0","method":"no.such"}]\n')
        self.assert_still_serves()

    def test_of_no_requests(self):
        reply = self.answer("[1,2,3]")
        self.assertEqual(len(reply), 3)
        for one in reply:
            self.assert_code(one, INVALID_REQUEST)

    def test_that_is_cut(self):
        self.assert_code(self.answer('[{"jsonrpc":"2.0","method":"agent.ping","id":"1"},'
                                     '{"jsonrpc":"2.0","method"]'), PARSE_ERROR)
        self.assert_still_serves()

    def test_nested_arrays_are_no_requests(self):
        reply = self.answer("[[%s]]" % (PING % 1).decode())
        self.assertEqual(len(reply), 1)
        self.assert_code(reply[0], INVALID_REQUEST)

    def test_of_a_thousand(self):
        self.client.send(b"[" + b",".join(PING % i for i in range(1000)) + b"]")
        self.assertEqual(sorted(r["id"] for r in self.client.read()), list(range(1000)))


class Framing(Case):
    def test_no_newline_at_all(self):
        self.client.send(PING % 1)
        self.assertEqual(self.client.read()["id"], 1)
        self.client.send(PING % 2 + PING % 3)
        self.assertEqual([self.client.read()["id"], self.client.read()["id"]], [2, 3])

    def test_many_in_one_packet(self):
        self.client.send(b"".join(PING % i + b"\n" for i in range(200)))
        self.assertEqual(sorted(self.client.read()["id"] for _ in range(200)), list(range(200)))

    def test_white_space_between(self):
        self.client.send(b" \t\r\n\n" + PING % 1 + b"\r\n\r\n \t" + PING % 2 + b"\r\n")
        self.assertEqual([self.client.read()["id"], self.client.read()["id"]], [1, 2])

    def test_spread_over_lines(self):
        self.client.send(json.dumps(json.loads(PING % 4), indent=4))
        self.assertEqual(self.client.read()["id"], 4)

    def test_one_byte_a_packet(self):
        for byte in PING % 11:
            self.client.send(bytes([byte]))
        self.assertEqual(self.client.read()["id"], 11)

    def test_end_of_input_is_not_departure(self):
        self.client.send(b"".join(PING % i for i in range(100)))
        self.client.half_close()
        self.assertEqual(sorted(r["id"] for r in self.client.read_end()), list(range(100)))

    def test_number_at_the_end_of_input(self):
        self.client.send("12")
        self.client.half_close()
        replies = self.client.read_end()
        self.assertEqual([r["error"]["code"] for r in replies], [INVALID_REQUEST])

    def test_text_cut_by_the_end_of_input(self):
        self.client.send(PING[:20])
        self.client.half_close()
        self.assertEqual([r["error"]["code"] for r in self.client.read_end()], [PARSE_ERROR])


class Garbage(Case):
    # What JSON libraries are known to let pass, and more.
    BAD = (b"{'id':1}", b"{\"a\":NaN}", b"[Infinity]", b"[-Infinity]", b"[1.]", b"[.5]", b"[+1]",
           b"[01]", b"[-01]", b"[1e]", b"[0x10]", b"[\"\x01\"]", b"[\"\t\"]", b"[\"\x00\"]",
           b"[\"\\x41\"]", b"[\"\\u12G4\"]", b"[\"\xc0\xaf\"]", b"[\"\xe0\x80\xaf\"]",
           b"[\"\xed\xa0\x80\"]", b"[\"\xf4\x90\x80\x80\"]", b"[\"\xff\"]", b"[\"\xe2\x82\"]",
           b"[\"\\ud800\"]", b"[\"\\udc00\"]", b"[\"\\ud800\\u0041\"]", b"[1,]", b"[,1]",
           b"{\"a\":1,}", b"{\"a\"}", b"{a:1}", b"{1:1}", b"{\"a\" 1}", b"[1 2]", b"[tru]",
           b"[True]", b"[nul]", b"[/* c */]", b"// c", b"]", b"}", b"[}", b"\x00",
           b"\xef\xbb\xbf{}", b"#", b"hello", b"GET / HTTP/1.1\r", b"[\x0c1]",
           b"[\xc2\xa01]", b"[\"a\\\x00\"]")

    def test_each_is_a_parse_error_and_the_next_line_is_read(self):
        for number, text in enumerate(self.BAD):
            with self.subTest(text=text):
                self.client.send(text + b"\n" + PING % number + b"\n")
                self.assert_code(self.client.read(), PARSE_ERROR)
                self.assertEqual(self.client.read(), {"jsonrpc": "2.0", "id": number, "result": {}})

    def test_the_rest_of_the_line_is_passed_over(self):
        self.client.send(b"{bad} " + PING % 1 + b" more\n" + PING % 2 + b"\n")
        self.assert_code(self.client.read(), PARSE_ERROR)
        self.assertEqual(self.client.read()["id"], 2)

    def test_an_endless_bad_line_costs_one_reply(self):
        for _ in range(64):
            self.client.send(b"x" * 65536)
        self.client.send(b"\n" + PING % 3 + b"\n")
        self.assert_code(self.client.read(), PARSE_ERROR)
        self.assertEqual(self.client.read()["id"], 3)


class Cancel(Case):
    def test_of_no_running_call(self):
        for ident in (99, "x", None):
            self.assert_reason(self.client.error("rpc.cancel", {"id": ident}), "not-found")

    def test_as_notification(self):
        self.client.send('{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":99}}\n')
        self.assert_still_serves()


class Policy(harness.TestCase):
    def test_block_methods_wins(self):
        self.start(self.target(methods="agent.*, rpc.*", block_methods="agent.st*"))
        client = self.connect()
        self.assertEqual(client.call("agent.ping"), {})
        self.assert_reason(client.error("agent.stats"), "not-allowed")
        self.assert_reason(client.error("system.info"), "not-allowed")
        self.assertEqual(client.error("no.such")["code"], NO_METHOD)

    def test_policy_is_judged_before_parameters(self):
        self.start(self.target(block_methods="agent.ping"))
        self.assert_reason(self.connect().error("agent.ping", {"bogus": 1}), "not-allowed")

    def test_discovery_lists_what_the_port_allows(self):
        self.start(self.target(block_methods="system.*"))
        names = {m["name"] for m in self.connect().call("rpc.discover")["methods"]}
        self.assertIn("agent.ping", names)
        self.assertNotIn("system.info", names)

    def test_trust_nobody(self):
        self.start(self.target(trust="nobody"))
        client = self.connect(privileged=True)
        self.assert_reason(client.error("agent.reload"), "not-privileged")
        self.assertFalse(client.call("agent.info")["caller"]["privileged"])

    def test_trust_privileged(self):
        self.start()
        client = self.connect(privileged=True)
        self.assertTrue(client.call("agent.info")["caller"]["privileged"])
        self.assertEqual(client.call("agent.reload"), {})

    def test_privileged_calls_are_logged_without_arguments(self):
        self.start()
        client = self.connect(privileged=True)
        client.call("agent.reload")
        client.error("agent.reload", {"secret": "hunter2"})
        self.daemon.wait_log(r"agent\.reload(.|\n)*agent\.reload")
        self.assertNotIn("hunter2", self.daemon.stderr)

    def test_refused_calls_do_not_fill_the_log(self):
        self.start(self.target(trust="nobody"))
        client = self.connect()
        for _ in range(200):
            self.assert_reason(client.error("agent.reload"), "not-privileged")
        self.daemon.stop()
        self.assertEqual(self.daemon.stderr.count("called agent.reload: not-privileged"), 20)

    def test_application_errors_have_a_reason_of_the_list(self):
        self.start(self.target(block_methods="agent.info", trust="nobody"))
        client = self.connect()
        for error in (client.error("agent.info"), client.error("agent.reload"),
                      client.error("rpc.cancel", {"id": 1})):
            self.assertIn(error["data"]["reason"], REASONS)

    @harness.only("unix")
    def test_tcp_is_never_privileged(self):
        self.start(self.target(transport="tcp"))
        caller = self.connect().call("agent.info")["caller"]
        self.assertEqual((caller["cid"], caller["uid"], caller["privileged"]),
                         (None, None, False))


class Methods(Case):
    def test_ping(self):
        self.assertEqual(self.client.call("agent.ping"), {})

    def test_info(self):
        info = self.client.call("agent.info")
        self.assertEqual(set(info), {
            "name", "version", "cid", "cid_raw", "hostname", "boot_id", "machine_id",
            "virtualization", "uptime_us", "dialects", "ports", "caller"})
        self.assertEqual(info["name"], "guestwire")
        self.assertEqual(info["hostname"], socket.gethostname())
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.assertEqual(info["boot_id"].replace("-", ""), file.read().strip().replace("-", ""))
        self.assertGreater(info["uptime_us"], 0)
        self.assertIsInstance(info["dialects"], list)
        self.assertTrue(info["dialects"])
        self.assertEqual(set(info["caller"]), {"cid", "port", "uid", "privileged"})
        later = self.client.call("agent.info")
        self.assertGreater(later["uptime_us"], info["uptime_us"])

    def test_machine_id_is_not_shown(self):
        info = self.client.call("agent.info")
        self.assertIn("machine_id", info)
        try:
            with open("/etc/machine-id", encoding="ascii") as file:
                self.assertNotEqual((info["machine_id"] or "").replace("-", ""),
                                    file.read().strip())
        except FileNotFoundError:
            self.assertIsNone(info["machine_id"])

    @harness.only("unix")
    def test_caller_on_a_unix_socket(self):
        self.assertEqual(self.client.call("agent.info")["caller"], {
            "cid": None, "port": None, "uid": os.getuid(), "privileged": True})

    @harness.only("vsock")
    def test_caller_on_vsock(self):
        port = self.client.sock.getsockname()[1]
        self.assertEqual(self.client.call("agent.info")["caller"], {
            "cid": 1, "port": port, "uid": None, "privileged": False})

    @harness.only("vsock")
    def test_ports(self):
        port = self.main.address[1]
        self.assertEqual(self.client.call("agent.info")["ports"], [{
            "port": port, "guid": "%08x-facb-11e6-bd58-64006a7986d3" % port,
            "handler": "rpc", "description": "Guest agent"}])

    def test_stats(self):
        before = self.client.call("agent.stats")
        for key in ("connections", "calls", "errors", "bytes", "refused_peers", "memory"):
            self.assertIn(key, before)
        self.answer("{bad")
        self.client.error("no.such")
        self.connect().call("agent.ping")
        after = self.client.call("agent.stats")
        self.assertEqual(after["errors"]["parse_error"], before["errors"]["parse_error"] + 1)
        self.assertEqual(after["errors"]["method_not_found"],
                         before["errors"]["method_not_found"] + 1)
        self.assertEqual(after["connections"]["accepted"],
                         before["connections"]["accepted"] + 1)
        self.assertGreater(after["calls"]["total"], before["calls"]["total"])
        self.assertGreater(after["bytes"]["received"], before["bytes"]["received"])
        self.assertGreater(after["bytes"]["sent"], before["bytes"]["sent"])
        self.assertEqual(after["refused_peers"], 0)

    def test_system_info(self):
        info = self.client.call("system.info")
        text = json.dumps(info)
        self.assertEqual(info["hostname"], socket.gethostname())
        self.assertEqual(info["architecture"], platform.machine())
        self.assertEqual(info["cpus"], os.sysconf("SC_NPROCESSORS_ONLN"))
        self.assertIn(platform.release(), text)
        self.assertIn("debian" if os.path.exists("/etc/debian_version") else "", text)
        self.assertLess(abs(info["time_us"] / 1e6 - time.time()), 60)
        with open("/proc/uptime", encoding="ascii") as file:
            self.assertLess(abs(info["uptime_us"] / 1e6 - float(file.read().split()[0])), 60)
        with open("/proc/meminfo", encoding="ascii") as file:
            self.assertEqual(info["memory"]["total_bytes"],
                             int(file.readline().split()[1]) * 1024)
        for key in ("virtualization", "timezone"):
            self.assertIn(key, info)

    def test_system_network(self):
        interfaces = {i["name"]: i for i in self.client.call("system.network")["interfaces"]}
        self.assertEqual(set(interfaces), set(os.listdir("/sys/class/net")))
        for name, interface in interfaces.items():
            with open("/sys/class/net/%s/mtu" % name, encoding="ascii") as file:
                self.assertEqual(interface["mtu"], int(file.read()))
            for key in ("addresses", "mac", "state", "counters"):
                self.assertIn(key, interface)
        loopback = interfaces["lo"]["addresses"]
        if socket.if_nametoindex("lo") and interfaces["lo"]["state"] != "down":
            self.assertIn(("127.0.0.1", 8), [(a["address"], a["prefix"]) for a in loopback])

    def test_discover(self):
        document = self.client.call("rpc.discover")
        self.assertRegex(document["openrpc"], r"^1\.\d+\.\d+$")
        self.assertEqual(set(document["info"]) & {"title", "version"}, {"title", "version"})
        methods = {m["name"]: m for m in document["methods"]}
        self.assertLessEqual({"agent.ping", "agent.info", "agent.stats", "agent.reload",
                              "system.info", "system.network", "rpc.discover", "rpc.cancel"},
                             set(methods))
        for method in methods.values():
            self.assertTrue(method["summary"])
            for param in method["params"]:
                self.assertIn("name", param)
                self.assertIn("schema", param)
            self.assertIn("schema", method["result"])
        self.assertEqual([p["name"] for p in methods["rpc.cancel"]["params"]], ["id"])
        # Each key that a method gives is described.
        described = methods["agent.info"]["result"]["schema"]["properties"]
        self.assertEqual(set(described), set(self.client.call("agent.info")))

    def test_keys_are_snake_case(self):
        def walk(value, path):
            if isinstance(value, dict):
                for key, inner in value.items():
                    self.assertRegex(key, r"^[a-z][a-z0-9_]*$", path)
                    walk(inner, path + "." + key)
            elif isinstance(value, list):
                for inner in value:
                    walk(inner, path)
        for method in ("agent.info", "agent.stats", "system.info", "system.network"):
            walk(self.client.call(method), method)


class HostSide(harness.TestCase):
    """The host's client against the real daemon, on this transport."""

    def test_ping_info_call_methods(self):
        self.start()
        result = self.run_guestwire("ping", "-c", "3", self.main.cli)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("3", result.stdout.splitlines()[-2])
        result = self.run_guestwire("--json", "info", self.main.cli)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)["name"], "guestwire")
        result = self.run_guestwire("call", self.main.cli, "agent.ping")
        self.assertEqual((result.returncode, json.loads(result.stdout)), (0, {}), result.stderr)
        result = self.run_guestwire("methods", self.main.cli)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("system.network", result.stdout)

    def test_root_is_privileged(self):
        self.start()
        if os.getuid() != 0 and harness.TRANSPORT == "vsock":
            self.skipTest("not root")
        result = self.run_guestwire("call", self.main.cli, "agent.reload")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_guest_says_no(self):
        self.start(self.target(trust="nobody"))
        result = self.run_guestwire("call", self.main.cli, "agent.reload")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertTrue(result.stderr)

    def test_nobody_listens(self):
        result = self.run_guestwire("ping", "-c", "1", self.target().cli)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertTrue(result.stderr)

    def test_wait_until_the_daemon_comes(self):
        target = self.target()
        waiting = subprocess.Popen([harness.GUESTWIRE, "--wait=60s", "ping", "-c", "1", target.cli],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(waiting.stdout.close)
        self.start(target)
        output = waiting.communicate(timeout=harness.DEADLINE)[0]
        self.assertEqual(waiting.returncode, 0, output)


if __name__ == "__main__":
    harness.main()
