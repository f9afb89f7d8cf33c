# SPDX-License-Identifier: MIT
"""guestwire(1) against others that are no agent at all, and through a VMM's socket."""

import json
import resource
import select
import socket

import harness
from cli import (
    CONNECTION, OK, REFUSED, TIMEOUT, USAGE, Case, Stranger, answering, error_of, result_of)
from harness import GUESTWIRE, only


@only("unix")
class Strangers(Case):
    def test_parameters_as_words(self):
        stranger = Stranger(self, result_of({}))
        for words, params in (
                (["a=1"], {"a": 1}),
                (["a=-1.5e3", "b=true", "c=null"], {"a": -1.5e3, "b": True, "c": None}),
                (["a=word", "b=two words", "c="], {"a": "word", "b": "two words", "c": ""}),
                (['a="5"', "b='5'", "c=05", "d=0x5"],
                 {"a": "5", "b": "'5'", "c": "05", "d": "0x5"}),
                (["a=[1,{\"b\":2}]", "c={}"], {"a": [1, {"b": 2}], "c": {}}),
                (["a=b=c", "d=NaN", "e=True"], {"a": "b=c", "d": "NaN", "e": "True"}),
                (["a=ü\U0001f600"], {"a": "ü\U0001f600"}),
                (["a=9223372036854775807", "b=18446744073709551615"],
                 {"a": 9223372036854775807, "b": 18446744073709551615}),
                (['{"a": {"b": [1, 2]}}'], {"a": {"b": [1, 2]}}),
                (["[1, 2]"], [1, 2])):
            with self.subTest(words=words):
                self.run_ok("call", stranger.cli, "x.y", *words)
                request = json.loads(stranger.lines[-1])
                self.assertEqual(request, {"jsonrpc": "2.0", "id": request["id"],
                                           "method": "x.y", "params": params})
                self.assertEqual(repr(request["params"]), repr(params))
        self.run_ok("call", stranger.cli, "x.y")
        self.assertNotIn(b"params", stranger.lines[-1])

    def test_parameters_from_input(self):
        stranger = Stranger(self, result_of({}))
        for text, code in (('{"a":\n [1]}\n', OK), ("[1]", OK), ("", USAGE), ("5", USAGE),
                           ("{'a':1}", USAGE), ('{"a":1} {}', USAGE), ('{"a":1,"a":2}', USAGE),
                           ('{"a":18446744073709551616}', USAGE), ("[" * 100000, USAGE),
                           ('{"a":1},"b":{}', USAGE), ("{}}", USAGE)):
            with self.subTest(text=text[:40]):
                calls = stranger.calls
                result = self.run_guestwire("call", stranger.cli, "m", "-", data=text)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertEqual(stranger.calls - calls, 1 if code == OK else 0)
                if code == OK:
                    self.assertEqual(json.loads(stranger.lines[-1])["params"], json.loads(text))

    def test_bad_parameters_make_no_call(self):
        stranger = Stranger(self, result_of({}))
        for words in (["a"], ["=1"], ["a=1", "a=2"], ["{"], ["{'a':1}"], ["{}", "a=1"],
                      ["a=18446744073709551616"], ["a=1", "-"], ['{"a":1,"a":1}'],
                      [b"a=\xff"], ["[" * 40 + "]" * 40]):
            with self.subTest(words=words):
                self.run_bad(USAGE, ".", "call", stranger.cli, "m", *words)
        self.run_bad(USAGE, "method", "call", stranger.cli, "")
        self.assertEqual(stranger.calls, 0)

    def test_close_before_any_answer(self):
        stranger = Stranger(self, lambda *_: None)
        self.run_bad(CONNECTION, "closed the connection before any answer.*`peers`.*"
                     "journalctl -u guestwired", "info", stranger.cli)

    def test_close_within_an_answer(self):
        stranger = Stranger(self, lambda s, c, r: s.read(r) and c.sendall(b'{"jsonrpc":"2.0"'))
        self.run_bad(CONNECTION, "closed the connection", "info", stranger.cli)

    def test_silence_is_a_timeout(self):
        stranger = Stranger(self, lambda s, c, r: s.read(r) and s.read(r))
        self.run_bad(TIMEOUT, "did not answer in time", "call", "--timeout=1s", stranger.cli, "m")
        result = self.run_guestwire("ping", "-c1", "--timeout=1s", stranger.cli)
        self.assertEqual(result.returncode, TIMEOUT)
        self.assertIn("1 sent, 0 answered, 100% lost", result.stdout)

    def test_wait_for_the_first_answer_calls_once(self):
        def talk(stranger, caller, reader):
            request = stranger.read(reader)
            while request and stranger.calls > 3:
                caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                                           "result": 5}).encode() + b"\n")
                request = stranger.read(reader)
        stranger = Stranger(self, talk)
        self.assertEqual(self.run_ok("call", "--wait", stranger.cli, "do.it"), "5\n")
        self.assertEqual(stranger.calls, 4)
        methods = [json.loads(line)["method"] for line in stranger.lines]
        self.assertEqual(methods.count("do.it"), 1, methods)

    def test_wait_backs_off(self):
        stranger = Stranger(self, lambda *_: None)
        self.run_bad(TIMEOUT, "at last: .* before any answer", "ping", "--wait=2s", stranger.cli)
        # 20 + 40 + ... + 1280 ms are more than two seconds; a slow machine makes fewer.
        self.assertLessEqual(stranger.calls, 8)

    def test_wait_does_not_help_everywhere(self):
        self.run_bad(USAGE, ".", "ping", "--wait", "nonsense:5")
        stranger = Stranger(self, answering(lambda r: b"220 mail.example ESMTP\r\n"))
        self.run_bad(CONNECTION, "does not speak JSON-RPC", "ping", "--wait", stranger.cli)

    def test_answers_that_make_no_sense(self):
        bad = [b"HTTP/1.1 400 Bad Request\r\n", b"\xff\n", b"5\n", b"[5]\n", b"{}\n", b'"x"\n',
               b'{"jsonrpc":"2.0","id":1}\n',
               b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}\n',
               b'{"jsonrpc":"1.0","id":1,"result":1}\n', b'{"id":1,"result":1}\n',
               b'{"jsonrpc":"2.0","result":1}\n', b'{"jsonrpc":"2.0","id":1,"error":null}\n',
               b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}\n',
               b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}\n',
               b'{"jsonrpc":"2.0","id":1,"id":1,"result":1}\n',
               b'{"jsonrpc":"2.0","id":1,"result":18446744073709551616}\n',
               b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100 + b"]" * 100 + b"}\n",
               b'{"jsonrpc":"2.0","id":1,"result":{\'a\':1}}\n', b"\0" * 100]
        stranger = Stranger(self, answering(lambda _: bad[stranger.calls - 1]))
        for text in bad:
            with self.subTest(text=text[:70]):
                self.run_bad(CONNECTION, "does not speak JSON-RPC", "call", stranger.cli, "m")

    def test_other_texts_are_passed_over(self):
        def make(request):
            ident = request["id"]
            return ('\n {"jsonrpc":"2.0","method":"exec.output","params":{"x":1}}'
                    '{"jsonrpc":"2.0","id":%d,"result":"other"}\n'
                    '[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":"%d","result":0}]'
                    '{"jsonrpc":"2.0","id":%d,"method":"ask.us"}\n'
                    '{"result":"right","id":%d,"jsonrpc":"2.0"}'
                    '{"jsonrpc":"2.0","id":%d,"result":"late"}' % (
                        ident + 1, ident, ident, ident, ident)).encode()
        stranger = Stranger(self, answering(make))
        self.assertEqual(self.run_ok("call", stranger.cli, "m"), '"right"\n')

    def test_late_answers_are_passed_over(self):
        def make(request):
            if stranger.calls and len(stranger.lines) == 1:
                return b""
            return b"".join(b'{"jsonrpc":"2.0","id":%d,"result":%d}\n' % (i, i)
                            for i in range(1, request["id"] + 1))
        stranger = Stranger(self, answering(make))
        process = self.spawn("ping", "-c2", "-i", "1ms", stranger.cli)
        output, _ = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, TIMEOUT)
        self.assertIn("2 sent, 1 answered, 50% lost", output)

    def test_error_without_id_is_ours(self):
        stranger = Stranger(self, answering(
            lambda _: b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}\n'))
        self.run_bad(REFUSED, r"what\? \(code -32700\)", "call", stranger.cli, "m")

    def test_answer_in_single_bytes(self):
        text = '{"jsonrpc":"2.0","id":1,"result":{"a":"\\u00e9ü","b":[1.5,null]}}\n'.encode()

        def talk(stranger, caller, reader):
            stranger.read(reader)
            for i in range(len(text)):
                caller.sendall(text[i:i + 1])
            stranger.read(reader)
        stranger = Stranger(self, talk)
        self.assertEqual(json.loads(self.run_ok("call", stranger.cli, "m")),
                         json.loads(text)["result"])

    def test_values_come_through(self):
        stranger = Stranger(self, None)
        for value in (None, True, 0, -1, 1.5, "", "a/b", [], {}, 2**63 - 1, -2**63, 2**64 - 1):
            with self.subTest(value=value):
                stranger.talk = result_of(value)
                self.assertEqual(json.loads(self.run_ok("call", stranger.cli, "m")), value)

    def test_guest_does_not_command_the_terminal(self):
        evil = "\x1b]0;owned\x07\x9b31m\u202e\x7f\r\u2028"
        stranger = Stranger(self, error_of({"code": -32000, "message": evil, "data": {
            "reason": evil, "errno": evil}}))
        result = self.run_bad(REFUSED, r"\\x1b\]0;owned", "call", "--json", stranger.cli, evil)
        for text in (result.stdout, result.stderr):
            for char in evil.replace("0;owned]31m", ""):
                if not char.isprintable():
                    self.assertNotIn(char, text.rstrip("\n"))
        self.assertEqual(json.loads(result.stdout)["error"]["message"], evil)

        stranger.talk = result_of({evil: [evil]})
        output = self.run_ok("call", stranger.cli, "m")
        self.assertTrue(output.rstrip("\n").isprintable(), repr(output))
        self.assertEqual(json.loads(output), {evil: [evil]})
        for verb in ("info", "methods"):
            stranger.talk = result_of({evil: evil, "x": {evil: evil}, "l": [{evil: evil}],
                                       "methods": [{"name": evil, "summary": evil, "params": [
                                           {"name": evil, "schema": {"type": [evil]}}]}, evil]})
            output = self.run_ok(verb, stranger.cli)
            self.assertTrue(output.replace("\n", "").isprintable(), repr(output))

    def test_large_answers_are_bounded(self):
        def flood(stranger, caller, reader):
            request = stranger.read(reader)
            caller.sendall(b'{"jsonrpc":"2.0","id":%d,"result":"' % request["id"])
            while True:
                caller.sendall(b"x" * 65536)
        stranger = Stranger(self, flood)
        self.run_bad(CONNECTION, "larger than guestwire takes", "call", stranger.cli, "m")

        values = b'{"jsonrpc":"2.0","id":1,"result":[' + b"{}," * 10000000 + b"0]}\n"
        stranger.talk = lambda s, c, r: s.read(r) and c.sendall(values)

        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))
        options = {} if b"__asan_init" in open(GUESTWIRE, "rb").read() else {"preexec_fn": limit}
        self.run_bad(CONNECTION, "larger than guestwire takes", "call", stranger.cli, "m",
                     **options)

    def test_large_parameters_get_through(self):
        stranger = Stranger(self, answering(lambda r: json.dumps(
            {"jsonrpc": "2.0", "id": r["id"], "result": r["params"]}).encode() + b"\n"))
        text = json.dumps({"a": "x" * (4 << 20)})
        result = self.run_guestwire("call", stranger.cli, "m", "-", data=text)
        self.assertEqual(result.returncode, OK, result.stderr)
        self.assertEqual(json.loads(result.stdout), json.loads(text))

    def test_refusal_is_read_though_sending_failed(self):
        def talk(stranger, caller, reader):
            caller.sendall(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"full",'
                           b'"data":{"reason":"limit"}}}\n')
            caller.shutdown(socket.SHUT_RDWR)
        stranger = Stranger(self, talk)
        self.run_bad(REFUSED, "full; a limit", "call", stranger.cli, "m")

    def test_sentences_for_every_reason(self):
        stranger = Stranger(self, None)
        for reason in ("not-allowed", "not-privileged", "unsupported", "not-ready", "unavailable",
                       "busy", "limit", "timeout", "cancelled", "not-found", "exists", "failed",
                       "of-the-future"):
            with self.subTest(reason=reason):
                stranger.talk = error_of({"code": -32000, "message": "It went wrong.",
                                          "data": {"reason": reason, "errno": "ENOENT"}})
                result = self.run_bad(REFUSED, r"no to `m`: It went wrong \(ENOENT\)(;|$)",
                                      "call", stranger.cli, "m")
                self.assertEqual(result.stderr.count("\n"), 1)


@only("unix")
class Mux(Case):
    """A VMM's socket, as Firecracker has it, in front of the agent."""

    def vmm(self, answer=b"OK 1073741824\n"):
        def talk(stranger, caller, reader):
            stranger.lines.append(reader.readline())
            if stranger.lines[-1] != b"CONNECT 1000\n":
                return
            caller.sendall(answer)
            if not answer.startswith(b"OK "):
                return
            with socket.socket(socket.AF_UNIX) as agent:
                agent.connect(self.main.address)
                self.pump(caller, agent)
        return Stranger(self, talk)

    @staticmethod
    def pump(a, b):
        while True:
            for sock in select.select([a, b], [], [], harness.DEADLINE)[0]:
                data = sock.recv(65536)
                if not data:
                    return
                (b if sock is a else a).sendall(data)

    def test_mux_target(self):
        self.start()
        vmm = self.vmm()
        for target in ("mux:" + vmm.path, "mux:%s:1000" % vmm.path):
            self.assertEqual(self.run_ok("call", target, "agent.ping"), "{}\n")
        self.assertEqual(vmm.lines, [b"CONNECT 1000\n"] * 2)

    def test_nobody_in_the_guest(self):
        self.run_bad(CONNECTION, "nobody listens on port 5", "ping", "mux:%s:5" % self.vmm().path)

    def test_no_vmm(self):
        self.run_bad(CONNECTION, "no socket", "ping", "mux:%s/none" % self.folder)
        vmm = self.vmm(b"\x1b[31mhello\n")
        result = self.run_bad(CONNECTION, "unix:", "ping", "mux:" + vmm.path)
        self.assertNotIn("\x1b", result.stderr)


if __name__ == "__main__":
    harness.main()
