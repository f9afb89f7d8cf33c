# SPDX-License-Identifier: MIT
"""The agent's sandbox: what holds it, and what a host asks for beyond it."""

import hashlib
import json
import re
import tempfile

import lab

DROP_INS = "/run/systemd/system/guestwired.service.d"
# MESSAGE_ID of guestwired(8): a program has ended, or could not be started.
PROGRAM = "1535b23bf721411e83d3a29330ab71ab"

# Answers each line on a Unix socket that is its own user's, and says when it listens.
SERVER = """
import os, socket, sys
os.umask(0o177)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
# One of the abstract namespace begins with @.
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", chr(0)))
while True:
    sock, _ = server.accept()
    with sock:
        sock.sendall(b"answered " + sock.recv(100))
"""


class TestCase(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def unit_drop_in(self, text):
        """A drop-in of guestwired.service, in force when this returns, until the end."""
        self.addCleanup(self.restart, "rm -rf %s" % DROP_INS)
        self.guest.run("mkdir", "-p", DROP_INS)
        self.guest.write(DROP_INS + "/test.conf", "[Service]\n" + text)
        self.restart("true")

    def restart(self, before):
        self.guest.run("%s; systemctl daemon-reload && systemctl restart guestwired" % before)
        self.wait_ping()

    def shell(self, text, *params, status=0):
        return self.call("exec.run", "argv=" + json.dumps(["/bin/sh", "-c", text]),
                         *params, status=status)


class Confinement(TestCase):
    def test_how_exposed_the_unit_is(self):
        done = self.guest.run("systemd-analyze security --no-pager --threshold=30 guestwired",
                              check=False)
        found = re.search(r"Overall exposure level for guestwired.service: (\S+)", done.stdout)
        self.assertTrue(found, done)
        print("# systemd-analyze security: %s" % found.group(1))
        self.assertLessEqual(float(found.group(1)), 3.0, done.stdout)
        self.assertEqual(done.status, 0)

    def test_it_runs_under_its_profile(self):
        name = "guestwired (enforce)"
        self.assertEqual(self.guest.out("cat /proc/%s/attr/current"
                                        % self.guest.property("MainPID")), name)
        # So do programs inside of the sandbox, and nothing that is outside.
        show = "cat /proc/self/attr/current"
        self.assertEqual(self.shell(show, "scope=agent")["stdout"], name + "\n")
        self.assertEqual(self.shell(show, "scope=unit")["stdout"], "unconfined\n")

    def test_the_package_loads_it_and_takes_it_away(self):
        loaded = "grep -c '^guestwired ' /sys/kernel/security/apparmor/profiles"
        install = "dpkg -i /packages/guestwire-agent_*.deb"

        def restore():
            self.guest.run("test -e /usr/sbin/guestwired || %s; rm -rf /etc/guestwire && "
                           "mv /run/kept /etc/guestwire && systemctl -q enable --now guestwired"
                           % install)
            self.wait_ping()
        self.guest.run("cp -a /etc/guestwire /run/kept")
        self.addCleanup(restore)
        self.assertEqual(self.guest.out(loaded), "1")
        self.guest.run("dpkg -P guestwire-agent")
        self.assertEqual(self.guest.out(loaded, check=False), "0")
        self.assertEqual(self.guest.out("find /etc/apparmor.d -name 'guestwired*'"), "")
        self.guest.run(install)
        self.assertEqual(self.guest.out(loaded), "1")

    def wait_denial(self, name):
        lab.until(lambda: name in self.denials(), "the kernel's word about " + name)

    def test_what_the_profile_alone_refuses(self):
        """Not what the unit's own settings forbid already: they are off for this."""
        self.unit_drop_in("ProtectSystem=no\nProtectHome=no\n")
        self.denials()
        write = "echo text >/etc/laboratory"
        self.addCleanup(self.guest.run, "rm -f /etc/laboratory")
        done = self.shell(write, "scope=agent")
        self.assertEqual(done["exit_status"], 2, done)
        self.assertIn("Permission denied", done["stderr"])
        self.guest.run("test ! -e /etc/laboratory")
        self.wait_denial('name="/etc/laboratory"')
        self.assertEqual(self.shell(write, "scope=unit")["exit_status"], 0)
        self.assertEqual(self.guest.out("cat /etc/laboratory"), "text")

        done = self.shell("cat /etc/shadow", "scope=agent")
        self.assertEqual((done["exit_status"], done["stdout"]), (1, ""))
        self.wait_denial('name="/etc/shadow"')
        self.assertIn("root:", self.shell("cat /etc/shadow", "scope=unit")["stdout"])


class Beyond(TestCase):
    """What needs the whole system has it, under the unit as it is shipped."""

    UNIT = r"^0::/guestwire\.slice/guestwire-[^/]+\.service$"

    def forget_after(self, *paths):
        self.addCleanup(self.guest.run, "rm", "-rf", *paths)

    def talk(self, port, data=b""):
        """What a port has to say until it ends the connection."""
        sock = self.connect(port)
        sock.sendall(data)
        with sock.makefile("rb") as file:
            return file.read().decode()

    def test_handler_exec(self):
        self.forget_after("/etc/laboratory", "/home/someone/laboratory", "/tmp/laboratory")
        program = "cat /proc/self/cgroup; for f in %s; do id -un >$f/laboratory || echo no $f; done"
        self.drop_in("program", "[port 4000]\nhandler = exec\ntrust = peers\n"
                     "command = /bin/sh -c \"%s\"\n"
                     "[port 4001]\nhandler = exec\ntrust = peers\nuser = someone\n"
                     "command = /bin/sh -c \"%s; id -Gn; pwd\"\ndirectory = /home/someone\n"
                     % (program % "/etc /home/someone /tmp", program % "/etc /home/someone /tmp"))
        self.assertRegex(self.talk(4000), self.UNIT)
        self.assertEqual(self.guest.out("cat /etc/laboratory /home/someone/laboratory "
                                        "/tmp/laboratory"), "root\nroot\nroot")
        self.guest.run("rm /etc/laboratory /home/someone/laboratory /tmp/laboratory")
        lines = self.talk(4001).split("\n")
        self.assertRegex(lines[0], self.UNIT)
        self.assertEqual(lines[1:], ["no /etc", "someone", "/home/someone", ""])
        self.assertEqual(self.guest.out("cat /home/someone/laboratory /tmp/laboratory"),
                         "someone\nsomeone")

    def test_handler_exec_takes_its_input(self):
        """The connection itself is the program's, in the unit too: a server that reads a line."""
        self.forget_after("/usr/local/laboratory")
        self.drop_in("program", "[port 4000]\nhandler = exec\ntrust = peers\ncommand = /bin/sh -c "
                     "\"read line; echo $line $GUESTWIRE_PORT | tee /usr/local/laboratory\"\n")
        self.assertEqual(self.talk(4000, b"word\n"), "word 4000\n")
        self.assertEqual(self.guest.out("cat /usr/local/laboratory"), "word 4000")

    def test_methods_of_one_s_own(self):
        self.forget_after("/etc/laboratory", "/home/someone/laboratory", "/tmp/laboratory")
        script = ("cat >$1/laboratory && stat -c %%U $1/laboratory && cat /proc/self/cgroup")
        self.drop_in("methods", "".join(
            "[method lab.%s]\ncommand = /bin/sh -c \"%s\" sh %s\nparams = word:string\n"
            "output = text\n%s" % (name, script % (), folder, user)
            for name, folder, user in (("etc", "/etc", ""), ("tmp", "/tmp", ""),
                                       ("home", "/home/someone", "user = someone\n"))))
        for name, folder, user in (("etc", "/etc", "root"), ("tmp", "/tmp", "root"),
                                   ("home", "/home/someone", "someone")):
            with self.subTest(name):
                owner, cgroup = self.call("lab." + name, "word=there").strip().split("\n")
                self.assertEqual(owner, user)
                self.assertRegex(cgroup, self.UNIT)
                text = self.guest.out("cat", folder + "/laboratory")
                self.assertEqual(json.loads(text), {"word": "there"})

    def test_programs_write_where_the_system_does(self):
        self.forget_after("/etc/laboratory", "/home/someone/laboratory", "/tmp/laboratory",
                          "/root/laboratory")
        for folder in ("/etc", "/home/someone", "/tmp", "/root"):
            with self.subTest(folder):
                done = self.shell("pwd; pwd >laboratory", "cwd=" + folder)
                self.assertEqual((done["exit_status"], done["stdout"]), (0, folder + "\n"), done)
                self.assertEqual(self.guest.out("cat", folder + "/laboratory"), folder)
        done = self.shell("id -un; touch /home/someone/mine", "user=someone")
        self.assertEqual((done["exit_status"], done["stdout"]), (0, "someone\n"), done)
        self.assertEqual(self.guest.out("stat -c %U /home/someone/mine"), "someone")
        # By the client's own verb, and in a terminal.
        done = self.guestwire("exec", "-t", "-u", "someone", "-C", "/tmp", self.guest.target(1001),
                              "--", "sh", "-c", "tty; pwd; stat -c %U $(tty)")
        self.assertRegex(done.stdout, r"^/dev/pts/\d+\n/tmp\nsomeone\n$")

    def files_in(self, folder, port, seen):
        """All of file.* at work in a folder of the guest's, which callers of the port see
        by another path; `seen` makes that."""
        there, other = seen(folder + "/laboratory"), seen(folder + "/laboratory/other")
        path = seen(folder + "/laboratory/file")

        def call(method, *params):
            return self.call("file." + method, *params, port=port)
        call("mkdir", "path=" + there)
        call("write", "path=" + path, "data=content\n", "create=true")
        self.assertEqual(self.guest.out("cat", folder + "/laboratory/file"), "content")
        self.assertEqual(call("read", "path=" + path)["data"], "content\n")
        call("chmod", "path=" + path, "mode=0640")
        call("chown", "path=" + path, "owner=someone", "group=someone")
        self.assertEqual(self.guest.out("stat -c %a:%U:%G " + folder + "/laboratory/file"),
                         "640:someone:someone")
        found = call("stat", "path=" + path)
        self.assertEqual((found["type"], found["size"], found["user"]), ("file", 8, "someone"))
        self.assertEqual(str(found["inode"]),
                         self.guest.out("stat -c %i " + folder + "/laboratory/file"))
        self.assertEqual(call("hash", "path=" + path)["hash"],
                         hashlib.sha256(b"content\n").hexdigest())
        call("rename", "path=" + path, "to=" + other)
        listed = [entry["name"] for entry in call("list", "path=" + there)["entries"]]
        self.assertEqual(listed, ["other"])
        target = "%s:" % self.guest.target(port)
        with tempfile.TemporaryDirectory() as here:
            self.guestwire("cp", target + other, here + "/back")
            self.guestwire("cp", here + "/back", target + path)
        self.assertEqual(self.guest.out("cd %s/laboratory && cat file other" % folder),
                         "content\ncontent")
        call("remove", "path=" + there, "recursive=true")
        self.guest.run("test ! -e %s/laboratory" % folder)

    def test_files(self):
        folders = ("/etc", "/home/someone", "/tmp", "/usr/local")
        self.forget_after(*(folder + "/laboratory" for folder in folders))
        for folder in folders:
            with self.subTest(folder):
                self.files_in(folder, 1001, lambda path: path)

    def test_files_below_a_root(self):
        roots = ("/home/someone", "/tmp")
        self.forget_after("/home/someone/out", *(root + "/laboratory" for root in roots))
        self.drop_in("roots", "".join("[port %d]\ntrust = peers\nroot = %s\n" % (4000 + i, root)
                                      for i, root in enumerate(roots)))
        for i, root in enumerate(roots):
            with self.subTest(root):
                self.files_in(root, 4000 + i, lambda path, root=root: path[len(root):])
        self.guest.run("ln -s /etc/hostname /home/someone/out")
        error = self.call("file.read", "path=/out", port=4000, status=1)
        self.assertEqual(error["data"]["reason"], "not-found", error)

    def test_files_as_a_user(self):
        self.forget_after("/home/someone/laboratory")
        self.call("file.mkdir", "path=/home/someone/laboratory", "user=someone")
        self.assertEqual(self.guest.out("stat -c %U /home/someone/laboratory"), "someone")
        error = self.call("file.mkdir", "path=/etc/laboratory", "user=someone", status=1)
        self.assertEqual(error["data"]["errno"], "EACCES", error)

    def test_forward_into_a_user_s_session(self):
        """To a socket that its owner alone may reach, in a folder mounted after our start."""
        uid = self.guest.out("id -u someone")
        folder = "/run/user/" + uid
        self.addCleanup(self.guest.run, "systemctl stop laboratory-server", check=False)
        self.guest.write("/run/server.py", SERVER)
        # As logind does it. The folder is there for as long as somebody needs it.
        self.guest.run("systemd-run -q --collect --unit=laboratory-server -p Type=notify "
                       "-p User=someone -p Requires=user-runtime-dir@%s.service "
                       "-p After=user-runtime-dir@%s.service python3 /run/server.py %s/server"
                       % (uid, uid, folder))
        self.assertEqual(self.guest.out("stat -c %%a:%%U %s %s/server" % (folder, folder)),
                         "700:someone\n600:someone")
        self.drop_in("session", "[port 4000]\nhandler = forward\nto = unix:%s/server\n" % folder)
        self.assertEqual(self.talk(4000, b"word\n"), "answered word\n")
        self.restart("true")
        self.assertEqual(self.talk(4000, b"word\n"), "answered word\n")

    def test_socket_files(self):
        path = "/run/guestwire/laboratory"
        self.drop_in("sockets", "[listen one]\naddress = unix:%s\nmode = 0620\nowner = someone\n"
                     "group = tty\n[listen two]\naddress = unix:%s.2\nmode = 0660\n"
                     "group = someone\n" % (path, path))
        self.assertEqual(self.guest.out("stat -c %%a:%%U:%%G:%%F %s %s.2" % (path, path)),
                         "620:someone:tty:socket\n660:root:someone:socket")
        for name in (path, path + ".2"):
            ping = lab.quote("guestwire", "ping", "-c", 1, "unix:" + name)
            self.guest.run("runuser", "-u", "someone", "--", "sh", "-c", ping)
            done = self.guest.run("runuser", "-u", "nobody", "--", "sh", "-c", ping, check=False)
            self.assertEqual(done.status, 3, done)
            self.assertIn("no permission to connect", done.stderr)


class Inside(TestCase):
    """Programs with scope = agent stay in the sandbox."""

    WHAT_TO_DO = "SANDBOX in guestwired(8)"
    CONFIG = ("[port 4000]\nhandler = exec\ntrust = peers\nscope = agent\nuser = someone\n"
              "command = /usr/bin/id -un\n"
              "[method lab.who]\ncommand = /usr/bin/id -un\nscope = agent\nuser = someone\n"
              "output = text\n"
              "[port 4001]\ntrust = peers\nscope = agent\n")

    def test_another_user_needs_a_drop_in(self):
        self.drop_in("users", self.CONFIG)
        error = self.shell("id -un", "scope=agent", "user=someone", status=1)
        self.assertEqual((error["data"]["reason"], error["data"]["errno"]), ("failed", "EPERM"))
        self.assertIn(self.WHAT_TO_DO, error["message"])
        since = self.now()
        self.assertEqual(self.connect(4000).recv(100), b"")
        entry = self.wait_message(PROGRAM, since)
        self.assertIn(self.WHAT_TO_DO, "".join(e["MESSAGE"] for e in self.journal(since=since)),
                      entry)
        error = self.call("lab.who", status=1)
        self.assertIn(self.WHAT_TO_DO, json.dumps(error) +
                      "".join(e["MESSAGE"] for e in self.journal(since=since)))
        error = self.call("file.stat", "path=/home/someone", "user=someone", port=4001, status=1)
        self.assertEqual(error["data"]["reason"], "unsupported", error)
        self.assertIn(self.WHAT_TO_DO, error["message"])

        # The one of the manual.
        page = self.guest.out("gzip -dc /usr/share/man/man8/guestwired.8.gz")
        self.unit_drop_in(re.search(r"^\.Cm (CapabilityBoundingSet=.*CAP_SETUID.*) \.$", page,
                                    re.M).group(1) + "\n")
        done = self.shell("id -un; id -Gn; grep CapEff /proc/self/status", "scope=agent",
                          "user=someone")
        self.assertEqual(done["stdout"], "someone\nsomeone\nCapEff:\t0000000000000000\n")
        self.assertEqual(self.connect(4000).recv(100), b"someone\n")
        self.assertEqual(self.call("lab.who"), "someone\n")
        found = self.call("file.stat", "path=/home/someone", "user=someone", port=4001)
        self.assertEqual(found["user"], "someone")
        error = self.call("file.list", "path=/root", "user=someone", port=4001, status=1)
        self.assertEqual(error["data"]["errno"], "EACCES", error)
        # And it can be ended by who is not its user any more.
        error = self.shell("trap '' TERM; sleep 98765", "scope=agent", "user=someone",
                           "timeout_ms=1000", "kill_timeout_ms=200", status=1)
        self.assertEqual(error["data"]["reason"], "timeout")
        lab.until(lambda: not self.guest.out("pgrep -f '[s]leep 98765'", check=False),
                  "it is ended", lab.DEADLINE)
