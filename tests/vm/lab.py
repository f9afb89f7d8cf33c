# SPDX-License-Identifier: MIT
"""The guest laboratory: whole guests under QEMU, seen from their host.

A Host is one vhost-device-vsock that serves two guests of one group; a Guest is a QEMU on a copy
of the image. What is tested goes through the Unix socket of the first; Guest.run() goes through
a serial port and shares nothing with it, so that it answers where the agent does not.
"""

import atexit
import base64
import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
# Behind this folder: both have a test_exec.py.
sys.path.append(os.path.join(HERE, "..", "integration"))
import harness  # noqa: E402
import journal  # noqa: E402

IMAGE = os.environ.get("VM_IMAGE", "")
DEVICE = os.environ.get("VM_DEVICE", "vhost-device-vsock")
# Where logs, journals and cores of a failure stay.
LOGS = os.environ.get("VM_LOGS", "")
# Everything is emulated, on a machine that may do other things besides.
BOOT = float(os.environ.get("VM_BOOT_DEADLINE", 240))
DEADLINE = float(os.environ.get("VM_DEADLINE", 60))

CID, SIBLING = 21, 22

# A fifth of the time goes when the guest is not offered what is slow to emulate (the state of a
# large register file at each switch, a fifth level of page tables, copies byte by byte) and does
# not defend itself from a processor that it does not have.
CPU = "max,-xsave,-smap,-la57,-erms,-svm,-aes,-pclmulqdq"
# Not tsc=reliable: measured while the machine is busy, it is wrong by half.
KERNEL = "root=/dev/vda rw console=ttyS0 panic=-1 quiet mitigations=off init_on_alloc=0"

# What the first guest is given from outside, by SMBIOS: its token, and a port of its agent's.
TOKEN = "5a2c6e0f81b3d497a2c4e6f80b1d3f5572941ab6c8dae0f213243546576879ab"
TOKEN_PORT = 1004
CREDENTIALS = ("[port %d]\ndescription = Configured from outside\n"
               "trust = privileged, token\n" % TOKEN_PORT)

# MESSAGE_IDs of guestwired(8).
STARTED = "2bf544c4beb548d2938958023ab2f829"
STOPPED = "c3fdfc18722d4722b0c4b1b4b7463560"
RELOADED = "d16ff1c423ee4f96a32835655aec8906"
NOT_RELOADED = "1cae9f7cd44745118ad2bfa5d7583046"
LISTENING = "043c4da59bca422e9cfa2e0df5f797de"
NOT_LISTENING = "a4da99fb4bdb4912be2f38d7025061db"
REFUSED = "19cd145e927647228f025d18a79bac60"
CALLED = "53870f4435e54af2bddf4750af061a16"


def credentials():
    """QEMU's options that hand them over."""
    text = base64.b64encode(CREDENTIALS.encode()).decode()
    return ["-smbios", "type=11,value=io.systemd.credential:guestwire.token=" + TOKEN,
            "-smbios", "type=11,value=io.systemd.credential.binary:guestwire.conf=" + text]


def quote(*words):
    return " ".join(shlex.quote(str(word)) for word in words)


@functools.lru_cache(None)
def made(script, **variables):
    """What a script of this folder makes, once, and names. Where it cannot be had here, the test
    that asks is skipped."""
    done = subprocess.run([os.path.join(HERE, script)], env={**os.environ, **variables},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, universal_newlines=True)
    if done.returncode == 77:
        raise unittest.SkipTest(done.stderr.strip().split("\n")[-1])
    if done.returncode != 0:
        raise AssertionError("%s: status %d\n%s" % (script, done.returncode, done.stderr))
    return done.stdout.strip()


class Done:
    """What a command came to."""

    def __init__(self, command, status, out, err):
        self.command, self.status = command, status
        self.stdout, self.stderr = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def __repr__(self):
        return "%s: status %d\nstdout: %s\nstderr: %s" % (
            self.command, self.status, self.stdout, self.stderr)


def started(command, log):
    """A process that does not outlive this one, whatever ends it."""
    with open(log, "ab") as file:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command],
                                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True)


class Host:
    """The device behind the guests' vsock, and the folder of all that belongs to them."""

    def __init__(self, folder):
        self.folder = folder
        guests = []
        for cid in (CID, SIBLING):
            guests += ["--vm", "guest-cid=%d,socket=%s,uds-path=%s,groups=laboratory" % (
                cid, self.socket(cid), self.mux(cid))]
        self.process = started([DEVICE, *guests], os.path.join(folder, "device.log"))
        harness.until(lambda: os.path.exists(self.socket(SIBLING)), "vhost-device-vsock is up")

    def socket(self, cid):
        return os.path.join(self.folder, "%d.device" % cid)

    def mux(self, cid):
        return os.path.join(self.folder, "%d.mux" % cid)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Guest:
    """A virtual machine; `vsock`: with the device; `disks`: files that it may read, as /dev/vdb
    and so on. It is running once it is made."""

    def __init__(self, host, cid, append="", vsock=True, options=(), image=IMAGE, disks=(),
                 cpu=CPU):
        self.host, self.cid = host, cid
        self.name = str(cid)
        self.mux = host.mux(cid)
        self.disk = self.path("disk")
        self.lock = threading.Lock()
        self.control = None
        self.marks = self.denied = 0
        self.journal = journal.Journal(self.path("entries"))
        self.image, self.cpu = image, cpu
        subprocess.run(["cp", "--sparse=always", "--reflink=auto",
                        os.path.join(image, "disk"), self.disk], check=True)
        options = list(options)
        for disk in disks:
            options += ["-drive", "file=%s,if=virtio,format=raw,readonly=on" % disk]
        self._start(append, vsock, options)

    def path(self, kind):
        return os.path.join(self.host.folder, "%s.%s" % (self.name, kind))

    def _start(self, append, vsock, options):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("control"))
        command = [
            "qemu-system-x86_64", "-machine", "q35,memory-backend=memory",
            "-object", "memory-backend-memfd,id=memory,size=1G,share=on", "-m", "1024",
            "-accel", "tcg,thread=multi", "-cpu", self.cpu, "-smp", "2",
            "-kernel", os.path.join(self.image, "vmlinuz"),
            "-initrd", os.path.join(self.image, "initrd"),
            "-append", "%s %s" % (KERNEL, append),
            "-drive", "file=%s,if=virtio,format=raw,cache=unsafe" % self.disk,
            "-display", "none", "-no-reboot", "-nic", "none",
            "-serial", "file:" + self.path("console"),
            "-serial", "unix:%s,server=on,wait=off" % self.path("terminal"),
            "-device", "virtio-serial-pci",
            "-chardev", "socket,id=control,path=%s,server=on,wait=off" % self.path("control"),
            "-device", "virtserialport,chardev=control,name=control",
            "-chardev", "file,id=journal,append=on,path=" + self.path("entries"),
            "-device", "virtserialport,chardev=journal,name=journal"]
        if vsock:
            command += ["-chardev", "socket,id=vsock,path=" + self.host.socket(self.cid),
                        "-device", "vhost-user-vsock-pci,chardev=vsock"]
        self.started = time.monotonic()
        self.process = started(command + list(options), self.path("qemu"))
        self.control = harness.until(self._connect, "QEMU's control socket")

    def _connect(self):
        if self.process.poll() is not None:
            raise AssertionError("QEMU has ended (%d); see %s" % (
                self.process.returncode, self.path("qemu")))
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            control.connect(self.path("control"))
        except OSError:
            control.close()
            return None
        return control

    def run(self, *command, text=b"", timeout=DEADLINE, check=True):
        """Runs a shell's command as root, or several words as they are."""
        line = command[0] if len(command) == 1 else quote(*command)
        data = line.encode()
        text = text if isinstance(text, bytes) else text.encode()
        with self.lock:
            # Before the guest is up, the command waits for it.
            self.control.settimeout(timeout + BOOT)
            self.control.sendall(struct.pack(">III", int(timeout), len(data), len(text)) +
                                 data + text)
            status, out, err = struct.unpack(">III", self._receive(12))
            done = Done(line, status, self._receive(out), self._receive(err))
        if check and done.status != 0:
            raise AssertionError("in guest %s: %r" % (self.name, done))
        return done

    def _receive(self, size):
        data = b""
        while len(data) < size:
            piece = self.control.recv(size - len(data))
            if not piece:
                raise AssertionError("guest %s has gone" % self.name)
            data += piece
        return data

    def out(self, *command, **options):
        return self.run(*command, **options).stdout.strip()

    def write(self, path, text, mode=0o644):
        """Writes a file of the guest's."""
        self.run("umask 077; cat >%s && chmod %o %s" % (quote(path), mode, quote(path)), text=text)

    def property(self, name, unit="guestwired.service"):
        return self.out("systemctl", "show", "--value", "-p", name, unit)

    def target(self, port=None):
        return "mux:%s" % self.mux if port is None else "mux:%s:%d" % (self.mux, port)

    def now(self):
        """The number of the journal's next entry: what was logged before is here now."""
        self.marks += 1
        mark = "mark %d of the laboratory" % self.marks
        self.run("mark " + mark)
        return until(lambda: self.journal.number(mark), "the journal", DEADLINE + BOOT, pause=0.01)

    def wait_boot(self):
        return self.run("systemctl is-system-running --wait", timeout=BOOT, check=False)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.control is not None:
            self.control.close()

    def keep(self, folder):
        """Console, journal and core dumps, for who reads about a failure."""
        os.makedirs(folder, exist_ok=True)
        # What the guest did not write down is not on its disk.
        if self.process.poll() is None:
            with contextlib.suppress(AssertionError, OSError):
                self.run("sync; rm -rf /var/crash/lost+found", timeout=10, check=False)
        self.journal.write(os.path.join(folder, self.name + ".journal"))
        for kind in ("console", "qemu"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self.path(kind), folder)
        cores = os.path.join(folder, self.name + ".cores")
        os.makedirs(cores, exist_ok=True)
        subprocess.run(["debugfs", "-R", "rdump /var/crash %s" % cores, self.disk],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        shutil.copy(os.path.join(self.host.folder, "device.log"), folder)


def until(condition, what, deadline=DEADLINE, pause=0.2):
    """Polls condition(), but not so often that the guest does little else than answer."""
    return harness.until(condition, what, deadline, pause)


def guestwire(*words, timeout=DEADLINE, **options):
    """The host's client. Its result, whatever that is."""
    return subprocess.run([os.path.join(IMAGE, "host/usr/bin/guestwire"), *map(str, words)],
                          stdin=options.pop("stdin", subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, universal_newlines=True, **options)


def dial(mux, port):
    """A connection to a guest's port through the Unix socket; an error where nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(DEADLINE)
        sock.connect(mux)
        sock.sendall(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            piece = sock.recv(1)
            if not piece:
                raise ConnectionRefusedError("nobody listens on port %d" % port)
            line += piece
        if not line.startswith(b"OK "):
            raise AssertionError("not an answer to CONNECT: %r" % line)
        return sock
    except BaseException:
        sock.close()
        raise


class Laboratory:
    """One host and its guests, booted when they are first asked for and shared by all tests."""

    def __init__(self):
        self.folder = self.host = None
        self.guests = {}

    def _open(self):
        if self.host is None:
            # Short: a Unix socket's path has 107 bytes.
            self.folder = tempfile.mkdtemp(prefix="guestwire-vm.", dir="/var/tmp")
            self.host = Host(self.folder)
            atexit.register(self.close)
        return self.host

    def guest(self, cid=CID, **options):
        """The guest with this CID. Options count when it is not running yet."""
        if cid not in self.guests:
            if cid == CID:
                options["options"] = [*options.get("options", ()), *credentials()]
            self.guests[cid] = Guest(self._open(), cid, **options)
        return self.guests[cid]

    def sibling(self):
        """A second guest of the same group, which boots without the modules of vsock."""
        if SIBLING not in self.guests:
            modules = ("vsock", "vmw_vsock_virtio_transport", "vmw_vsock_vmci_transport",
                       "vsock_loopback", "hv_sock")
            guest = self.guest(SIBLING, append="modprobe.blacklist=" + ",".join(modules))
            guest.wait_boot()
        return self.guests[SIBLING]

    def keep(self):
        if LOGS:
            for guest in self.guests.values():
                guest.keep(LOGS)

    def close(self):
        for guest in self.guests.values():
            guest.kill()
        self.guests = {}
        if self.host is not None:
            self.host.stop()
            self.host = None
            shutil.rmtree(self.folder, True)


LABORATORY = Laboratory()


class HostCase(unittest.TestCase):
    """A test of guests of its own."""

    # Lanes run side by side, each with a host and guests of its own.
    lane = "others"
    longMessage = True
    maxDiff = None

    def guestwire(self, *words, status=0, **options):
        """The client, which is to end with this status."""
        done = guestwire(*words, **options)
        self.assertEqual(done.returncode, status, "guestwire %s\n%s%s" % (
            quote(*words), done.stdout, done.stderr))
        return done


class TestCase(HostCase):
    """A test of the first guest, whose agent it leaves running."""

    lane = "first"

    def boot(self):
        """The guest that the test is about."""
        return LABORATORY.guest()

    def setUp(self):
        self.guest = self.boot()
        self.addCleanup(self._look_back)

    def _look_back(self):
        cores = self.guest.out("ls /var/crash")
        if cores:
            LABORATORY.keep()
            self.guest.run("rm -f /var/crash/*")
        self.assertEqual(cores, "", "programs of the guest have dumped core")
        self.assertEqual(self.denials(), "", "AppArmor has refused the agent something")

    def denials(self):
        """What AppArmor has refused the agent since this was asked the last time."""
        since, self.guest.denied = self.guest.denied, self.guest.now()
        return "\n".join(self.guest.journal.grep(
            since, r'apparmor="DENIED".*profile="guestwired"', ("kernel", "audit")))

    def call(self, method, *params, port=1001, status=0):
        """The result of a call of the first guest's agent, or with status 1 the error."""
        done = self.guestwire("call", "--json", self.guest.target(port), method, *params,
                              status=status)
        reply = json.loads(done.stdout)
        return reply if status == 0 else reply["error"]

    def connect(self, port):
        """A raw connection to a port of the first guest, closed when the test ends."""
        sock = dial(self.guest.mux, port)
        self.addCleanup(sock.close)
        return sock

    def drop_in(self, name, text):
        """A drop-in of the agent's configuration, in force when this returns, until the end."""
        path = "/etc/guestwire/conf.d/%s.conf" % name

        def remove():
            self.guest.run("rm", "-f", path)
            self.reload()
        self.addCleanup(remove)
        self.guest.write(path, text)
        self.reload()

    def reload(self, message=RELOADED):
        """systemctl reload, and the log's word that it was (or was not) done."""
        since = self.now()
        self.guest.run("systemctl reload guestwired")
        return self.wait_message(message, since)

    def wait_message(self, message, since, *matches):
        """The first entry of the agent's with this MESSAGE_ID from that number on."""
        return until(lambda: self._find(["MESSAGE_ID=" + message, *matches], since),
                     "an entry %s" % message, pause=0.05)[0]

    def wait_ping(self, port=None, timeout=DEADLINE):
        """Until the agent answers."""
        self.guestwire("ping", "-c", 1, "--wait", "--timeout", "%ds" % timeout,
                       self.guest.target(port), timeout=timeout + 10)

    def _find(self, matches, since):
        return self.guest.journal.find(since, journal.fields_of(
            ["_SYSTEMD_UNIT=guestwired.service", *matches]))

    def journal(self, *matches, since=0):
        """The agent's entries as dictionaries, those from the number `since` on."""
        self.now()
        return self._find(matches, since)

    def now(self):
        return self.guest.now()

    def log(self, since):
        """All messages of the journal from that number on, one a line."""
        self.now()
        return "\n".join(map(journal.text, self.guest.journal.find(since, {})))


def interrupted(*_):
    # Not SystemExit, which is a test's failure to unittest: the next one would begin.
    raise KeyboardInterrupt


def wanted(modules):
    """The tests of these modules that match the arguments."""
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName(name)
                               for name in modules)
    return list(harness.wanted(suite, sys.argv[1:]))


def main(tests):
    """Runs these tests."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    print("1..%d" % len(tests), flush=True)
    result = Result()
    try:
        unittest.TestSuite(tests).run(result)
    except KeyboardInterrupt:
        sys.exit(143)
    finally:
        LABORATORY.close()
    sys.exit(0 if not (result.failures or result.errors) and tests else 1)


class Result(harness.TapResult):
    """TAP; each failure leaves what the guests had to say."""

    # A guest within a guest boots after it.
    limit = 3 * BOOT

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()

    def _note(self, error):
        super()._note(error)
        LABORATORY.keep()

    def stopTest(self, test):
        super().stopTest(test)
        print("# %.1f s" % (time.monotonic() - self.begun), flush=True)
