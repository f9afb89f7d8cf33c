# SPDX-License-Identifier: MIT
"""Programs in a guest with systemd: transient units, and children of the agent's."""

import json

import lab

SLICE = "guestwire.slice"


class Exec(lab.TestCase):
    def setUp(self):
        super().setUp()
        self.wait_ping()

    def tearDown(self):
        # Whatever a test was about: nothing is left of its programs.
        lab.until(lambda: not self.units(), lambda: "no unit is left: %s" % self.units(),
                  lab.DEADLINE)
        left = self.guest.out(
            "cat /sys/fs/cgroup/system.slice/guestwired.service/run-*/cgroup.procs", check=False)
        self.assertEqual(left, "")
        self.assertEqual(self.sleepers(), "")

    def units(self):
        return self.guest.out(
            "systemctl list-units --all --plain --no-legend 'guestwire-*.service'")

    def sleepers(self):
        # Not the shell that asks, either.
        return self.guest.out("pgrep -af '[s]leep 98765'", check=False)

    def wait_sleepers_gone(self):
        lab.until(lambda: not self.sleepers(),
                  lambda: "gone: %s; units: %s" % (self.sleepers(), self.units()),
                  lab.DEADLINE)

    def execute(self, *argv, status=0, **params):
        words = ["%s=%s" % (key, json.dumps(value)) for key, value in params.items()]
        return self.call("exec.run", "argv=" + json.dumps(list(argv)), *words, status=status)

    def shell(self, text, **params):
        return self.execute("/bin/sh", "-c", text, **params)

    def start(self, text, **params):
        """A job; its number and, once it runs, its line of exec.list."""
        words = ["%s=%s" % (key, json.dumps(value)) for key, value in params.items()]
        job = self.call("exec.start", "argv=" + json.dumps(["/bin/sh", "-c", text]), *words)["job"]

        def running():
            found = [j for j in self.call("exec.list")["jobs"] if j["job"] == job]
            self.assertTrue(found)
            self.assertEqual(found[0]["state"], "running", found[0])
            return found[0] if found[0]["pid"] else None
        return job, lab.until(running, "the job runs", lab.DEADLINE)

    def test_auto_is_a_unit(self):
        done = self.shell("cat /proc/self/cgroup; echo to stderr >&2; exit 3")
        self.assertEqual(done["exit_status"], 3)
        self.assertRegex(done["stdout"], r"^0::/%s/guestwire-[^/]+\.service\n$" % SLICE)
        self.assertEqual(done["stderr"], "to stderr\n")

    def test_agent_scope_is_a_cgroup_of_the_service(self):
        done = self.shell("cat /proc/self/cgroup", scope="agent")
        self.assertRegex(done["stdout"], r"^0::/system\.slice/guestwired\.service/.+\n$")
        self.assertNotEqual(done["stdout"].strip(), self.guest.out(
            "cat /proc/$(systemctl show --value -p MainPID guestwired)/cgroup"))

    def test_a_unit_in_systemd_s_eyes(self):
        job, line = self.start("echo word; sleep 98765", scope="unit",
                               properties={"Nice": "5", "PrivateTmp": "yes"},
                               memory_max=64 << 20, tasks_max=32, cpu_weight=250)
        unit = line["unit"]
        self.assertRegex(unit, r"^guestwire-.+\.service$")
        shown = dict(text.split("=", 1) for text in self.guest.out(
            "systemctl", "show", unit, "-p", "Slice", "-p", "Transient", "-p", "MemoryMax",
            "-p", "TasksMax", "-p", "CPUWeight", "-p", "Nice", "-p", "PrivateTmp", "-p",
            "ControlGroup", "-p", "MainPID", "-p", "ActiveState").split("\n"))
        self.assertEqual(shown, {
            "Slice": SLICE, "Transient": "yes", "MemoryMax": str(64 << 20), "TasksMax": "32",
            "CPUWeight": "250", "Nice": "5", "PrivateTmp": "yes", "ActiveState": "active",
            "ControlGroup": "/%s/%s" % (SLICE, unit), "MainPID": str(line["pid"])})
        folder = "/sys/fs/cgroup/%s/%s/" % (SLICE, unit)
        self.assertEqual(self.guest.out("cat %smemory.max %spids.max %scpu.weight" % (
            (folder,) * 3)).split(), [str(64 << 20), "32", "250"])
        self.call("exec.signal", "job=%d" % job, 'signal="TERM"')
        done = self.call("exec.wait", "job=%d" % job)
        self.assertEqual(done["signal"], "SIGTERM")
        self.call("exec.remove", "job=%d" % job)

    def test_limits_hold(self):
        for scope in ("unit", "agent"):
            with self.subTest(scope=scope):
                done = self.execute("python3", "-c", "x = bytearray(300 << 20)", scope=scope,
                                    memory_max=48 << 20)
                self.assertEqual(done.get("signal"), "SIGKILL", done)

    def test_account(self):
        for scope in ("unit", "agent"):
            with self.subTest(scope=scope):
                done = self.shell("i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done",
                                  scope=scope)
                self.assertGreater(done["cpu_us"], 1000)
                self.assertGreater(done["duration_us"], 1000)

    def test_as_a_user(self):
        # In a unit: the agent's own sandbox has no capability to become somebody else.
        done = self.shell("id -un; id -gn; pwd; echo $HOME $USER", user="someone", scope="unit")
        self.assertEqual(done["stdout"],
                         "someone\nsomeone\n/home/someone\n/home/someone someone\n")

    def test_nothing_is_left_after_a_kill(self):
        for scope in ("unit", "agent"):
            with self.subTest(scope=scope):
                # Daemons of its own, in sessions of their own, deaf to TERM.
                error = self.shell(
                    "trap '' TERM; for i in 1 2 3; do setsid sleep 98765 & done; sleep 98765",
                    scope=scope, timeout_ms=1500, kill_timeout_ms=300, status=1)
                self.assertEqual(error["data"]["reason"], "timeout", error)
                self.wait_sleepers_gone()

    def test_what_is_left_behind_is_ended(self):
        for scope in ("unit", "agent"):
            with self.subTest(scope=scope):
                done = self.shell("setsid sleep 98765 >/dev/null 2>&1 & exit 0", scope=scope,
                                  kill_timeout_ms=500)
                self.assertEqual(done["exit_status"], 0)
                self.wait_sleepers_gone()

    def test_a_property_that_systemd_does_not_know(self):
        error = self.execute("true", scope="unit", properties={"NoSuchThing": "1"}, status=1)
        self.assertEqual(error["data"]["reason"], "failed", error)
        self.assertIn("NoSuchThing", error["message"])

    def test_a_program_that_is_not_there(self):
        before = self.call("exec.list")
        for scope in ("unit", "agent"):
            with self.subTest(scope=scope):
                for method in ("exec.run", "exec.start"):
                    error = self.call(method, 'argv=["/no/such/program"]',
                                      "scope=" + json.dumps(scope), status=1)
                    self.assertEqual(error["data"]["reason"], "failed", error)
                    self.assertEqual(error["data"]["errno"], "ENOENT", error)
                    self.assertIn("cannot execute /no/such/program", error["message"])
        self.assertEqual(self.call("exec.list"), before)

    def test_the_agent_dies_and_its_programs_with_it(self):
        """Nothing that belongs to nobody goes on after kill -9."""
        for scope in ("unit", "agent"):
            self.start("setsid sleep 98765 & sleep 98765", scope=scope)
        lab.until(lambda: len(self.guest.out("pgrep -fx 'sleep 98765'",
                                                 check=False).split()) == 4,
                  "two programs of two sleepers each", lab.DEADLINE)
        self.guest.run("kill -KILL $(systemctl show --value -p MainPID guestwired)")
        lab.until(lambda: self.guest.property("ActiveState") == "active", "a restart",
                  lab.DEADLINE)
        self.wait_ping()
        self.wait_sleepers_gone()

    def test_a_restart_ends_jobs(self):
        for scope in ("unit", "agent"):
            self.start("sleep 98765", scope=scope)
        self.guest.run("systemctl restart guestwired")
        self.wait_ping()
        self.assertEqual(self.call("exec.list"), {"jobs": []})
