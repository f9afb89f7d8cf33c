# SPDX-License-Identifier: MIT
"""Who may call: the host, this guest's own users, a sibling guest."""

import json

import lab

AS_SOMEONE = "runuser -u someone -- "


class Peers(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def test_the_guest_is_21_and_its_peer_2(self):
        info = self.call("agent.info", port=1000)
        self.assertEqual((info["cid"], info["cid_raw"]), (lab.CID, lab.CID))
        self.assertEqual(info["caller"]["cid"], 2)
        self.assertEqual(json.loads(self.guest.out("guestwire cid --json"))["cid"], lab.CID)

    def test_privileged_by_source_port(self):
        """vhost-device-vsock numbers the host's connections from 0: the first 1024 look like
        those of a host's root, later ones do not."""
        caller = self.call("agent.info", port=1000)["caller"]
        self.assertEqual(caller["privileged"], caller["port"] < 1024, caller)
        if caller["privileged"]:
            self.call("agent.reload", port=1000)
        for _ in range(caller["port"], 1024):
            lab.dial(self.guest.mux, 7).close()
        caller = self.call("agent.info", port=1000)["caller"]
        self.assertGreaterEqual(caller["port"], 1024)
        self.assertFalse(caller["privileged"])
        error = self.call("agent.reload", port=1000, status=1)
        self.assertEqual(error["data"]["reason"], "not-privileged")

    def test_nobody_is_privileged(self):
        self.drop_in("nobody", "[port 1003]\ntrust = nobody\n")
        self.assertFalse(self.call("agent.info", port=1003)["caller"]["privileged"])
        error = self.call("agent.reload", port=1003, status=1)
        self.assertEqual(error["data"]["reason"], "not-privileged")

    def test_trust_of_all_peers(self):
        self.assertTrue(self.call("agent.info", port=1001)["caller"]["privileged"])
        self.call("agent.reload", port=1001)

    def test_a_local_user_is_refused(self):
        self.guest.run("modprobe vsock_loopback")
        since = self.now()
        for user in (AS_SOMEONE, ""):
            done = self.guest.run(user + "guestwire ping -c 1 local", check=False)
            self.assertEqual(done.status, 3, done)
        entry = self.wait_message(lab.REFUSED, since)
        self.assertEqual(entry["GUESTWIRE_PEER_CID"], "1")
        self.assertEqual(entry["GUESTWIRE_LISTENER"], "port 1000")
        # By its own CID it is no better.
        done = self.guest.run(AS_SOMEONE + "guestwire ping -c 1 %d" % lab.CID, check=False)
        self.assertEqual(done.status, 3, done)

    def test_a_local_user_who_is_let_in_is_not_privileged(self):
        self.guest.run("modprobe vsock_loopback")
        self.drop_in("local", "[port 1002]\npeers = local\ntrust = privileged\n")
        info = json.loads(self.guest.out(
            AS_SOMEONE + "guestwire call --json local:1002 agent.info"))
        self.assertEqual(info["caller"]["cid"], 1)
        self.assertFalse(info["caller"]["privileged"])
        done = self.guest.run(AS_SOMEONE + "guestwire call --json local:1002 agent.reload",
                              check=False)
        self.assertEqual(done.status, 1, done)
        self.assertEqual(json.loads(done.stdout)["error"]["data"]["reason"], "not-privileged")
        # The host is not among these peers.
        self.guestwire("ping", "-c", 1, self.guest.target(1002), status=3)


class Sibling(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()
        self.sibling = lab.LABORATORY.sibling()
        self.sibling.run("modprobe vmw_vsock_virtio_transport")

    def test_is_refused(self):
        since = self.now()
        done = self.sibling.run("guestwire ping -c 1 %d" % lab.CID, check=False)
        self.assertEqual(done.status, 3, done)
        entry = self.wait_message(lab.REFUSED, since)
        self.assertEqual(entry["GUESTWIRE_PEER_CID"], str(lab.SIBLING))

    def test_let_in_is_not_privileged_by_its_source_port(self):
        self.drop_in("sibling", "[port 1000]\npeers = host, %d\n" % lab.SIBLING)
        target = str(lab.CID)
        info = json.loads(self.sibling.out("guestwire call --json %s agent.info" % target))
        self.assertEqual(info["caller"]["cid"], lab.SIBLING)
        # Its root has called from such a port as the host's root would.
        self.assertLess(info["caller"]["port"], 1024)
        self.assertFalse(info["caller"]["privileged"])
        done = self.sibling.run("guestwire call --json %s agent.reload" % target, check=False)
        self.assertEqual(done.status, 1, done)
        self.assertEqual(json.loads(done.stdout)["error"]["data"]["reason"], "not-privileged")
