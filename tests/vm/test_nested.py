# SPDX-License-Identifier: MIT
"""A true host of AF_VSOCK: the guest runs QEMU with vhost-vsock-pci, and the client calls by CID.

What is inside is an emulation within an emulation, some twenty times slower than its host: a
system with systemd would need many minutes to boot. So it is Debian's kernel with an initramfs of
guestwired, its configuration as the package has it, and next to nothing else (tests/vm/nested).
"""

import hashlib
import json
import os

import lab

CID = 30
ROOT, SOMEONE = "", "runuser -u someone -- "
UNIT = "nested.service"
# Without what takes long where nothing is tested by it: ACPI alone doubles the time, and without
# it there is no MSI.
KERNEL = ("console=ttyS0 panic=-1 nokaslr mitigations=off no_timer_check acpi=off pci=nomsi "
          "ftrace=off cryptomgr.notests random.trust_cpu=on lsm=capability")
QEMU = ["chroot", "/run/qemu", "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg",
        "-cpu", "qemu64", "-m", "160", "-nodefaults", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-kernel", "/mnt/vmlinux", "-initrd", "/mnt/initrd",
        "-append", KERNEL, "-device", "vhost-vsock-pci,guest-cid=%d" % CID]
# Sends its input, says that there is no more, and writes what comes until the end.
STREAM = """
import hashlib, os, socket, sys, threading
data, sock, got = os.urandom(300000), socket.socket(socket.AF_UNIX), hashlib.sha256()
sock.connect(sys.argv[1])
def send():
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
back = b""
while True:
    piece = sock.recv(65536)
    if not piece:
        break
    back += piece
print("whole" if back == data + b"the end\\n" else "%d bytes of %d" % (len(back), len(data)))
"""


class Nested(lab.TestCase):
    lane = "nested"

    def boot(self):
        return lab.LABORATORY.guest(disks=(lab.made("qemu"), os.path.join(lab.IMAGE, "nested")))

    def setUp(self):
        super().setUp()
        if self.guest.property("ActiveState", UNIT) != "active":
            self.start()

    def start(self):
        """Starts the inner guest and waits until it answers."""
        self.guest.run(
            "modprobe vhost_vsock; test -e /run/qemu || { mkdir /run/qemu && "
            "mount -o ro /dev/vdb /run/qemu && mount -o ro /dev/vdc /run/qemu/mnt && "
            "mount --rbind /dev /run/qemu/dev && mount --rbind /proc /run/qemu/proc; }")
        # Its console is in the journal of the outer one.
        self.guest.run("systemctl reset-failed %s" % UNIT, check=False)
        self.guest.run("systemd-run", "-q", "--unit", UNIT, *QEMU)
        self.client("ping", "-c", 1, "--wait", "--timeout", "%ds" % lab.BOOT, CID,
                    timeout=lab.BOOT + 10)

    def client(self, *words, user=ROOT, status=0, **options):
        """The client in the outer guest, which is to end with this status."""
        # A first answer may take its time, within two emulations.
        if words[0] in ("call", "connect", "cp"):
            words = (words[0], "--timeout", "%ds" % lab.DEADLINE, *words[1:])
        done = self.guest.run(user + lab.quote("guestwire", *words), check=False, **options)
        self.assertEqual(done.status, status, done)
        return done

    def ask(self, method, *params, user=ROOT, status=0):
        """A result of the inner agent's, or with status 1 the error."""
        done = self.client("call", "--json", CID, method, *params, user=user, status=status)
        reply = json.loads(done.stdout)
        return reply if status == 0 else reply["error"]

    def inside(self, *argv, status=0):
        """A program in the inner guest."""
        return self.client("exec", CID, "--", *argv, status=status)

    def test_root_of_the_host_is_privileged(self):
        info = self.ask("agent.info")
        self.assertEqual(info["cid"], CID)
        caller = info["caller"]
        self.assertEqual(caller["cid"], 2)
        self.assertTrue(1 <= caller["port"] < 1024 and caller["port"] != 1000, caller)
        self.assertTrue(caller["privileged"])
        self.ask("agent.reload")

    def test_an_ordinary_user_is_not(self):
        self.client("ping", "-c", 3, CID, user=SOMEONE)
        caller = self.ask("agent.info", user=SOMEONE)["caller"]
        self.assertEqual(caller["cid"], 2)
        self.assertGreaterEqual(caller["port"], 1024)
        self.assertFalse(caller["privileged"])
        error = self.ask("agent.reload", user=SOMEONE, status=1)
        self.assertEqual(error["data"]["reason"], "not-privileged")
        done = self.client("exec", CID, "--", "cat", user=SOMEONE, status=255)
        self.assertIn("root", done.stderr)

    def test_a_program(self):
        done = self.client("exec", "-i", CID, "--", "sh", "-c", "cat; echo to stderr >&2; exit 7",
                           text=b"to stdin\n", status=7)
        self.assertEqual((done.stdout, done.stderr), ("to stdin\n", "to stderr\n"))

    def test_files(self):
        self.addCleanup(self.guest.run, "rm -f /run/there /run/back")
        self.guest.run("head -c 3000000 /dev/urandom >/run/there")
        self.client("cp", "/run/there", "%d:/tmp/there" % CID)
        self.client("cp", "%d:/tmp/there" % CID, "/run/back")
        self.guest.run("cmp /run/there /run/back")

    def test_each_knows_its_cid(self):
        self.assertEqual(json.loads(self.client("cid", "--json").stdout)["cid"], lab.CID)
        done = self.inside("guestwire", "cid", "--json")
        self.assertEqual(json.loads(done.stdout)["cid"], CID)

    def test_doctor(self):
        """On the host, that it can call; in the guest, which transport it has."""
        text = {}
        for side, done in (("host", self.client("doctor", "--json")),
                           ("guest", self.inside("guestwire", "doctor", "--json"))):
            found = json.loads(done.stdout)
            self.assertNotIn("fail", [each["status"] for each in found], found)
            text[side] = " ".join(each["text"] for each in found)
        self.assertIn("vhost_vsock", text["host"])
        self.assertIn("vmw_vsock_virtio_transport", text["guest"])

    def test_a_nested_guest_is_no_host(self):
        """The agent of the outer guest is not there for what runs inside of it."""
        since = self.now()
        self.inside("guestwire", "ping", "-c", "1", "--timeout", "60s", "host", status=3)
        entry = self.wait_message(lab.REFUSED, since)
        self.assertEqual(entry["GUESTWIRE_PEER_CID"], str(CID))

    def test_streams_and_their_halves(self):
        self.guest.write("/run/stream.conf", "[port 7]\nhandler = exec\ntrust = peers\n"
                         "command = /bin/sh -c 'cat; echo the end'\n")
        self.client("cp", "/run/stream.conf", "%d:/etc/guestwire/conf.d/stream.conf" % CID)
        self.ask("agent.reload")
        done = self.client("connect", CID, 7, text=b"begun, ")
        self.assertEqual(done.stdout, "begun, the end\n")
        data = os.urandom(150000).hex().encode()
        done = self.guest.out("guestwire connect %d 7 | sha256sum" % CID, text=data)
        self.assertEqual(done.split()[0], hashlib.sha256(data + b"the end\n").hexdigest())
        self.guest.run("systemd-run", "-q", "--collect", "--unit", "forward", "guestwire",
                       "forward", CID, "/run/forward:7")
        self.addCleanup(self.guest.run, "systemctl stop forward")
        lab.until(lambda: self.guest.run("test -S /run/forward", check=False).status == 0,
                  "the forward listens", lab.DEADLINE)
        self.assertEqual(self.guest.out("python3", "-c", STREAM, "/run/forward"), "whole")

    def test_callers_after_and_beside_each_other(self):
        """None of root's is reset by what is left of the one before, though all have one of few
        source ports."""
        done = self.guest.out(
            "for i in $(seq 20); do guestwire call %(cid)d agent.ping || echo bad; done; "
            "for i in $(seq 20); do { guestwire call %(cid)d agent.ping || echo bad; } & done; "
            "wait" % {"cid": CID}, timeout=3 * lab.DEADLINE)
        self.assertEqual(done.split("\n"), ["{}"] * 40)

    def test_when_a_guest_dies_in_a_call(self):
        """The last of them, by its name: a guest that boots anew takes minutes."""
        self.guest.run(
            "cd /run && rm -f died.*; (guestwire exec %d -- sh -c 'echo begun; exec sleep 98765' "
            ">died.out 2>died.err; echo $? >died.new; mv died.new died.status) "
            "</dev/null >/dev/null 2>&1 &" % CID)
        lab.until(lambda: self.guest.out("cat /run/died.out", check=False) == "begun",
                  "the program runs", lab.DEADLINE)
        self.guest.run("systemctl kill -s KILL %s" % UNIT)
        status = lab.until(lambda: self.guest.out("cat /run/died.status", check=False),
                           "the client ends", lab.DEADLINE)
        error = self.guest.out("cat /run/died.err")
        self.assertEqual(status, "255", error)
        self.assertRegex(error, "^guestwire: .*(lost|closed|ended|broke)")
        self.client("ping", "-c", 1, "--timeout", "5s", CID, status=3)
