# SPDX-License-Identifier: MIT
"""`trust = token`: challenge, proof, and how the privilege that it gives is taken away again."""

import hashlib
import hmac
import json
import os
import re
import socket

import harness
from cli import CONNECTION, REFUSED, USAGE, Case, Stranger
from harness import only

TOKEN = b"3f1b0c2d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef"
OTHER = b"another token, of more than thirty-two bytes"
NONCE = bytes(range(32))


def mac(token, speaker, port, challenge, nonce=NONCE):
    """As docs/protocol.md has it, and by another's HMAC."""
    text = b"guestwire-1 " + speaker + port.to_bytes(4, "big") + challenge + nonce
    return hmac.new(token, text, hashlib.sha256).hexdigest()


class TokenCase(Case):
    def write(self, name, data, mode=0o600):
        """A file whose mode is never wider than this, not even for an instant."""
        path = os.path.join(self.folder, name)
        fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def start_with_token(self, *targets, token=TOKEN, **options):
        targets = targets or (self.target(trust="token"),)
        return self.start(*targets, agent={"token_file": self.write("token", token)}, **options)

    def port_of(self, target=None):
        target = target or self.main
        return target.address[1] if target.family == socket.AF_VSOCK else 0

    def proof(self, client, token=TOKEN, target=None, speaker=b"client", nonce=NONCE):
        """The parameters that answer a new challenge, and the agent's proof to expect."""
        result = client.call("agent.challenge")
        challenge = bytes.fromhex(result["challenge"])
        self.assertEqual(len(challenge), 32)
        port = self.port_of(target)
        self.assertEqual((result["port"], result["expires_us"]), (port, 10000000))
        return ({"client_nonce": nonce.hex(), "mac": mac(token, speaker, port, challenge, nonce)},
                mac(token, b"agent", port, challenge, nonce))

    def authenticate(self, client, token=TOKEN, target=None):
        params, expected = self.proof(client, token, target)
        result = client.call("agent.authenticate", params)
        self.assertEqual(result, {"mac": expected, "privileged": True})

    def is_privileged(self, client):
        return client.call("agent.info")["caller"]["privileged"]

    def assert_nothing_told(self, *secrets):
        """Neither the token nor what was made of it is in any record."""
        text = self.daemon.stderr
        for secret in (TOKEN.decode(), OTHER.decode(), *secrets):
            self.assertNotIn(secret, text)


class Token(TokenCase):
    def test_who_proves_the_token_becomes_privileged(self):
        self.start_with_token()
        client = self.connect()
        self.assertFalse(self.is_privileged(client))
        self.assert_reason(client.error("agent.reload"), "not-privileged")
        params, expected = self.proof(client)
        result = client.call("agent.authenticate", params)
        self.assertEqual(result, {"mac": expected, "privileged": True})
        self.assertTrue(self.is_privileged(client))
        self.assertEqual(client.call("agent.reload"), {})
        self.daemon.wait_log("has proved the token")
        # It is the connection's, not the caller's.
        self.assertFalse(self.is_privileged(self.connect()))
        self.assert_nothing_told(params["mac"], expected)

    def test_privilege_holds_within_a_batch(self):
        self.start_with_token()
        client = self.connect()
        params, _ = self.proof(client)
        client.send(json.dumps([
            {"jsonrpc": "2.0", "id": 1, "method": "agent.authenticate", "params": params},
            {"jsonrpc": "2.0", "id": 2, "method": "agent.reload"}]))
        replies = {reply["id"]: reply for reply in client.read()}
        self.assertEqual(replies[2]["result"], {})

    def test_digits_of_either_case(self):
        self.start_with_token()
        client = self.connect()
        params, _ = self.proof(client)
        client.call("agent.authenticate", {key: value.upper() for key, value in params.items()})
        self.assertTrue(self.is_privileged(client))

    def test_a_list_trusts_whoever_one_word_names(self):
        peers = self.target("peers", trust="peers, token", trust_unsafe="yes")
        both = self.target("both", trust="token,privileged")
        self.start_with_token(peers, both)
        self.assertTrue(self.is_privileged(self.connect(peers)))
        self.assertTrue(self.is_privileged(self.connect(both, privileged=True)))
        # And the agent proves itself there as well.
        client = self.connect(peers)
        self.authenticate(client, target=peers)

    def test_a_challenge_is_answered_once(self):
        self.start_with_token()
        client = self.connect()
        params, _ = self.proof(client)
        client.call("agent.authenticate", params)
        self.assert_reason(client.error("agent.authenticate", params), "not-found")
        # A wrong answer uses it up, too.
        params, _ = self.proof(client)
        wrong = dict(params, mac="00" * 32)
        self.assert_reason(client.error("agent.authenticate", wrong), "not-privileged")
        self.assert_reason(client.error("agent.authenticate", params), "not-found")

    def test_only_the_last_challenge_counts(self):
        self.start_with_token()
        client = self.connect()
        first, _ = self.proof(client)
        self.proof(client)
        self.assert_reason(client.error("agent.authenticate", first), "not-privileged")
        self.assertFalse(self.is_privileged(client))

    def test_a_proof_cannot_be_replayed(self):
        self.start_with_token()
        with self.connect() as client:
            recorded, _ = self.proof(client)
            client.call("agent.authenticate", recorded)
        client = self.connect()
        self.assert_reason(client.error("agent.authenticate", recorded), "not-found")
        client.call("agent.challenge")
        self.assert_reason(client.error("agent.authenticate", recorded), "not-privileged")
        self.assertFalse(self.is_privileged(client))

    def test_challenges_differ(self):
        self.start_with_token()
        client = self.connect()
        seen = {client.call("agent.challenge")["challenge"] for _ in range(100)}
        self.assertEqual(len(seen), 100)

    def test_what_proves_nothing(self):
        self.start_with_token()
        port = self.port_of()

        def under(token=TOKEN, speaker=b"client", port=port, nonce=NONCE):
            with self.connect() as client:
                challenge = bytes.fromhex(client.call("agent.challenge")["challenge"])
                params = {"client_nonce": NONCE.hex(),
                          "mac": mac(token, speaker, port, challenge, nonce)}
                error = client.error("agent.authenticate", params)
                self.assert_reason(error, "not-privileged")
                self.assertFalse(self.is_privileged(client))

        under(token=OTHER)
        under(speaker=b"agent")
        under(port=port + 1)
        under(nonce=bytes(32))
        self.daemon.wait_log("does not know the token")
        self.assert_nothing_told()

    def test_guesses_are_held_off(self):
        self.start_with_token()
        for _ in range(5):
            with self.connect() as client:
                params, _ = self.proof(client, OTHER)
                self.assert_reason(client.error("agent.authenticate", params), "not-privileged")
        client = self.connect()
        params, _ = self.proof(client)
        error = client.error("agent.authenticate", params)
        self.assert_reason(error, "limit")
        self.assertGreater(error["data"]["retry_after_us"], 0)
        self.assertLessEqual(error["data"]["retry_after_us"], 10000000)
        self.assertFalse(self.is_privileged(client))

    def test_refusals_that_were_not_logged_are_counted(self):
        """By the next that is logged, be that a call or a proof."""
        self.start_with_token()
        client = self.connect()
        for _ in range(25):
            self.assert_reason(client.error("agent.reload"), "not-privileged")

        def told():
            params, _ = self.proof(client, OTHER)
            client.error("agent.authenticate", params)
            return re.search(r"not know the token \(and \d+ refused calls before\)",
                             self.daemon.stderr)

        # Until the time of both limits is over.
        harness.until(told, lambda: self.daemon.stderr)

    def test_parameters(self):
        self.start_with_token()
        client = self.connect()
        params, _ = self.proof(client)
        for key in params:
            for value in ("", "00" * 31, "00" * 33, "0g" * 32, "00" * 31 + "0", " " + "0" * 63, 5):
                error = client.error("agent.authenticate", dict(params, **{key: value}))
                self.assertEqual(error["code"], harness.INVALID_PARAMS, value)
                self.assertIn(key, error["message"])
        # What could not be read has answered nothing.
        client.call("agent.authenticate", params)

    def test_a_port_that_does_not_trust_tokens(self):
        self.start_with_token(self.target(trust="privileged"))
        client = self.connect()
        self.assert_reason(client.error("agent.challenge"), "unsupported")
        error = client.error("agent.authenticate", {"client_nonce": "00" * 32, "mac": "00" * 32})
        self.assert_reason(error, "unsupported")

    def test_an_agent_without_a_token(self):
        self.start(self.target(trust="token"))
        self.daemon.wait_log("trusts who proves the token, but there is none")
        client = self.connect()
        self.assert_reason(client.error("agent.challenge"), "unavailable")
        self.assertFalse(self.is_privileged(client))

    @only("vsock")
    def test_the_port_is_part_of_the_proof(self):
        one, two = self.target(trust="token"), self.target(trust="token")
        self.start_with_token(one, two)
        client = self.connect(two)
        challenge = bytes.fromhex(client.call("agent.challenge")["challenge"])
        params = {"client_nonce": NONCE.hex(),
                  "mac": mac(TOKEN, b"client", one.address[1], challenge)}
        self.assert_reason(client.error("agent.authenticate", params), "not-privileged")
        self.authenticate(client, target=two)


class Reload(TokenCase):
    """When what was proved is forgotten."""

    def setUp(self):
        super().setUp()
        self.listener = self.target(trust="token")
        self.keeper = self.target("keeper", trust="token")
        self.start_with_token(self.listener, self.keeper)
        self.agent = {"token_file": os.path.join(self.folder, "token")}
        self.client = self.connect()
        self.authenticate(self.client)

    def reload(self, *targets):
        self.daemon.reload(self.config(*targets, agent=self.agent))

    def same_address(self, **keys):
        """The listener with other settings."""
        if self.listener.family == socket.AF_VSOCK:
            return self.target(port=self.listener.address[1], **keys)
        return self.target("main", **keys)

    def test_nothing_changed(self):
        self.reload(self.listener, self.keeper)
        self.assertTrue(self.is_privileged(self.client))
        self.reload(self.same_address(trust="token", description="Another"), self.keeper)
        self.assertTrue(self.is_privileged(self.client))

    def test_another_token(self):
        self.write("token", OTHER)
        self.reload(self.listener, self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        self.assert_reason(self.client.error("agent.reload"), "not-privileged")
        self.authenticate(self.client, OTHER)
        self.assertTrue(self.is_privileged(self.client))

    def test_another_handler_in_between(self):
        """What was proved is forgotten, and can be proved again when the port is what it was."""
        self.reload(self.same_address(handler="echo"), self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        self.reload(self.listener, self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        self.authenticate(self.client)
        self.assertTrue(self.is_privileged(self.client))

    def test_what_runs_goes_on(self):
        text, ident = self.client.request("exec.run", {"argv": ["cat"], "input": True})
        self.client.send(text)
        self.assertEqual(self.client.call("agent.stats")["calls"]["running"], 2)
        self.write("token", OTHER)
        self.reload(self.listener, self.keeper)
        self.assert_reason(self.client.error("exec.close_input", {"call": ident}),
                           "not-privileged")
        self.assertEqual(self.client.call("agent.stats")["calls"]["running"], 2)
        self.authenticate(self.client, OTHER)
        # Its end may come before the reply to what ended it.
        text, other = self.client.request("exec.close_input", {"call": ident})
        self.client.send(text)
        replies = {reply["id"]: reply for reply in (self.client.read(), self.client.read())}
        self.assertEqual(replies[other]["result"], {})
        self.assertEqual(replies[ident]["result"]["exit_status"], 0)

    def test_a_token_that_cannot_be_read(self):
        self.write("token", b"short")
        self.reload(self.listener, self.keeper)
        self.daemon.wait_log("the token: it has 5 bytes, and a token has at least 32")
        self.assertTrue(self.is_privileged(self.client), "the old configuration stays in force")

    def test_no_token_any_more(self):
        self.agent = {}
        self.reload(self.listener, self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        self.assert_reason(self.client.error("agent.challenge"), "unavailable")

    def test_another_trust(self):
        self.reload(self.same_address(trust="token, peers", trust_unsafe="yes"), self.keeper)
        self.assertTrue(self.is_privileged(self.client), "as one of the peers")
        self.reload(self.same_address(trust="token"), self.keeper)
        self.assertFalse(self.is_privileged(self.client), "what was proved is forgotten")
        self.authenticate(self.client)
        self.reload(self.same_address(trust="nobody"), self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        self.assert_reason(self.client.error("agent.challenge"), "unsupported")

    def test_a_port_that_is_gone(self):
        self.reload(self.keeper)
        self.assertFalse(self.is_privileged(self.client))
        # It goes on as it was begun, but no proof makes it more.
        params, expected = self.proof(self.client)
        result = self.client.call("agent.authenticate", params)
        self.assertEqual(result, {"mac": expected, "privileged": False})

    def test_another_handler(self):
        self.reload(self.same_address(handler="echo"), self.keeper)
        self.assertFalse(self.is_privileged(self.client))

    def copies(self, token):
        """How often it is in what the agent has written to its memory."""
        found = 0
        with open("/proc/%d/maps" % self.daemon.pid, encoding="ascii") as maps, \
                open("/proc/%d/mem" % self.daemon.pid, "rb", buffering=0) as memory:
            for line in maps:
                begin, end = (int(number, 16) for number in line.split()[0].split("-"))
                # A sanitizer keeps terabytes of its own.
                if line.split()[1].startswith("rw") and end - begin < 1 << 28:
                    memory.seek(begin)
                    try:
                        found += memory.read(end - begin).count(token[:24])
                    except OSError:
                        pass
        return found

    def test_the_old_token_is_wiped(self):
        """Also while a connection is finished as it was begun."""
        self.assertEqual(self.copies(TOKEN), 1)
        self.write("token", OTHER)
        self.reload(self.keeper)
        self.assertEqual((self.copies(TOKEN), self.copies(OTHER)), (0, 1))
        self.assertEqual(self.client.call("agent.ping"), {})


@only("unix")
class Files(TokenCase):
    """Where the token comes from."""

    def refused(self, config, **options):
        path = self.write("c.conf", config.encode())
        checked = self.run_guestwired("--config", path, "--check", **options)
        started = self.run_guestwired("--config", path, **options)
        self.assertEqual((checked.returncode, started.returncode), (1, 1))
        self.assertEqual(checked.stdout, b"")
        text = checked.stderr.decode()
        self.assertIn(text.strip(), started.stderr.decode())
        return text

    def refused_file(self, path):
        text = self.refused("[agent]\ntoken-file = %s\n" % path)
        self.assertTrue(text.startswith("%s: the token: " % path), text)
        return text

    def test_a_file_that_is_no_token(self):
        self.assertRegex(self.refused_file(self.write("short", b"x" * 31)),
                         "has 31 bytes, and a token has at least 32")
        self.assertRegex(self.refused_file(self.write("newline", b"x" * 31 + b"\n")), "31 bytes")
        self.assertRegex(self.refused_file(self.write("long", b"x" * 4097)), "larger than 4096")
        self.assertRegex(self.refused_file(self.write("empty", b"")), "has 0 bytes")
        self.assertRegex(self.refused_file(os.path.join(self.folder, "absent")), "No such file")
        self.assertRegex(self.refused_file(self.folder), "not a regular file")

    def test_a_file_that_others_could_read_or_change(self):
        for mode in (0o644, 0o604, 0o602, 0o620, 0o601):
            with self.subTest(mode=oct(mode)):
                path = self.write("open-%o" % mode, TOKEN, mode)
                self.assertRegex(self.refused_file(path), "its mode is %04o" % mode)
        path = self.write("group", TOKEN, 0o640)
        checked = self.write("c.conf", ("[agent]\ntoken-file = %s\n" % path).encode())
        result = self.run_guestwired("--config", checked, "--check")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"token-file = " + path.encode(), result.stdout)
        self.assertNotIn(TOKEN, result.stdout)

    def test_the_file_must_be_absolute(self):
        self.assertRegex(self.refused("[agent]\ntoken-file = token\n"),
                         "c.conf:2: token-file: 'token' is no absolute path")

    def test_newline_and_bytes(self):
        for data, token in ((TOKEN + b"\n", TOKEN), (TOKEN + b"\n\n", TOKEN + b"\n\n"),
                            (b"\xff" * 31 + b"\n", b"\xff" * 31 + b"\n"),
                            (b"y" * 4096 + b"\n", b"y" * 4096)):
            with self.subTest(data=data[:40]):
                daemon = self.start_with_token(token=data)
                with self.connect() as client:
                    self.authenticate(client, token)
                daemon.stop()

    def test_a_credential(self):
        folder = os.path.join(self.folder, "credentials")
        os.mkdir(folder)
        environment = {"CREDENTIALS_DIRECTORY": folder}
        # Systemd lets a service's user read its credentials by an access list, whose mask is
        # shown as the group's permissions.
        self.write("credentials/guestwire.token", TOKEN, 0o440)
        daemon = self.start(self.target(trust="token"), environment=environment)
        with self.connect() as client:
            self.authenticate(client)
        # A file that is named goes before it.
        path = self.write("token", OTHER)
        daemon.reload(self.config(self.main, agent={"token_file": path}))
        with self.connect() as client:
            self.authenticate(client, OTHER)
        daemon.stop()
        self.write("credentials/guestwire.token", b"too short", 0o400)
        self.assertRegex(self.refused("[agent]\n", env=dict(os.environ, **environment)),
                         "credentials/guestwire.token: the token: it has 9 bytes")

    def test_what_others_are_trusted_by(self):
        self.assertRegex(self.refused("[port 1]\nhandler = echo\ntrust = token\n"),
                         "c.conf:3: the token is proved by calls of agent.authenticate")
        self.assertRegex(self.refused("[port 1]\ntrust = token, nobody\n"),
                         "c.conf:2: trust: 'nobody' stands alone")
        self.assertRegex(self.refused("[port 1]\ntrust = token,\n"),
                         "c.conf:2: trust: '' is an empty entry")


class Client(TokenCase):
    """guestwire --token."""

    def test_it_proves_and_is_privileged(self):
        self.start_with_token()
        path = self.write("host", TOKEN + b"\n")
        self.run_bad(REFUSED, "for privileged callers", "call", self.main.cli, "agent.reload")
        self.assertEqual(self.run_ok("call", self.main.cli, "agent.reload", "--token", path),
                         "{}\n")
        for words in (("info",), ("methods",), ("ping", "-c", "1")):
            with self.subTest(verb=words[0]):
                self.run_ok(*words, self.main.cli, "--token=" + path, "--wait")
        self.assertEqual(self.run_ok("exec", "--token", path, self.main.cli, "--", "echo", "a"),
                         "a\n")

    def test_a_credential_of_its_own(self):
        self.start_with_token()
        os.mkdir(os.path.join(self.folder, "credentials"))
        environment = dict(os.environ,
                           CREDENTIALS_DIRECTORY=os.path.join(self.folder, "credentials"))
        # Without one in it nothing is proved.
        self.run_bad(REFUSED, "for privileged callers", "call", self.main.cli, "agent.reload",
                     env=environment)
        self.write("credentials/guestwire.token", TOKEN, 0o400)
        self.run_ok("call", self.main.cli, "agent.reload", env=environment)
        other = self.write("other", OTHER)
        self.run_bad(REFUSED, "token is not this guest's", "call", self.main.cli, "agent.ping",
                     "--token", other, env=environment)

    def test_an_agent_that_does_not_know_it(self):
        self.start_with_token(self.target(trust="token"), self.target("no", trust="privileged"))
        other = self.write("other", OTHER)
        result = self.run_bad(REFUSED, "token is not this guest's$", "call", self.main.cli,
                              "agent.ping", "--token", other)
        self.assertEqual(result.stdout, "")
        self.assertNotIn(OTHER.decode(), result.stderr)

    def test_a_port_without_tokens(self):
        self.start(self.target(trust="privileged"))
        path = self.write("host", TOKEN)
        self.run_bad(REFUSED, "does not name token", "ping", self.main.cli, "--token", path)

    @only("unix")
    def test_a_file_that_is_not_to_be_used(self):
        self.start_with_token()
        for name, data, mode, words in (("short", b"abc", 0o600, "has 3 bytes"),
                                        ("open", TOKEN, 0o644, "its mode is 0644")):
            path = self.write(name, data, mode)
            self.run_bad(USAGE, words, "ping", "-c", "1", self.main.cli, "--token", path)
        self.run_bad(USAGE, "No such file", "ping", self.main.cli, "--token", "/no/such")
        self.run_bad(USAGE, "takes no --token", "cid", "--token", "/no/such")

    @only("unix")
    def test_an_impostor(self):
        """It takes whatever is said for a proof, and cannot prove anything itself."""
        def talk(stranger, caller, reader):
            request = stranger.read(reader)
            while request:
                result = {"agent.challenge": {"challenge": "11" * 32, "port": 0,
                                              "expires_us": 10000000},
                          "agent.authenticate": self.answer}.get(request["method"], {})
                if self.answer == "mirror" and request["method"] == "agent.authenticate":
                    result = {"mac": request["params"]["mac"], "privileged": True}
                caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                                           "result": result}).encode() + b"\n")
                request = stranger.read(reader)

        stranger = Stranger(self, talk)
        path = self.write("host", TOKEN)
        for self.answer in ({"mac": "00" * 32, "privileged": True}, "mirror", {}, [], None,
                            {"mac": 5}, {"mac": "00"}):
            with self.subTest(answer=self.answer):
                self.run_bad(CONNECTION, "does not know the token", "call", stranger.cli,
                             "agent.ping", "--token", path)
        asked = {json.loads(line)["method"] for line in stranger.lines}
        self.assertEqual(asked, {"agent.challenge", "agent.authenticate"}, "nothing else was asked")
        for line in stranger.lines:
            self.assertNotIn(TOKEN, line)

    @only("unix")
    def test_something_between(self):
        """A port's number that is not the one that was called is said to be the reason."""
        def talk(stranger, caller, reader):
            request = stranger.read(reader)
            caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {
                "challenge": "11" * 32, "port": 1000, "expires_us": 1}}).encode() + b"\n")
            reader.read()

        stranger = Stranger(self, talk)
        self.run_bad(CONNECTION, "passes the connection on", "ping", stranger.cli, "--token",
                     self.write("host", TOKEN))

    @only("unix")
    def test_through_a_mux(self):
        """Behind a VMM's Unix socket the proof is about the port that was asked of it."""
        asked = []

        def talk(stranger, caller, reader):
            asked.append(reader.readline())
            caller.sendall(b"OK 1073741824\n")
            request = stranger.read(reader)
            caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {
                "challenge": "11" * 32, "port": 1000, "expires_us": 1}}).encode() + b"\n")
            request = stranger.read(reader)
            nonce = bytes.fromhex(request["params"]["client_nonce"])
            right = mac(TOKEN, b"client", 1000, b"\x11" * 32, nonce) == request["params"]["mac"]
            caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {
                "mac": mac(TOKEN, b"agent", 1000, b"\x11" * 32, nonce) if right else "",
                "privileged": True}}).encode() + b"\n")
            request = stranger.read(reader)
            caller.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                                       "result": {}}).encode() + b"\n")
            reader.read()

        stranger = Stranger(self, talk)
        self.run_ok("call", "mux:%s:1000" % stranger.path, "agent.ping", "--token",
                    self.write("host", TOKEN))
        self.assertEqual(asked, [b"CONNECT 1000\n"])

    @only("unix")
    def test_it_waits_and_then_proves(self):
        target = self.target(trust="token")
        path = self.write("token", TOKEN)
        process = self.spawn("call", target.cli, "agent.reload", "--token", path, "--wait")
        self.start_with_token(target)
        output, errors = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual((process.returncode, output, errors), (0, "{}\n", ""))


if __name__ == "__main__":
    harness.main()
