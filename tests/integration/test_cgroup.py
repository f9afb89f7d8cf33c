# SPDX-License-Identifier: MIT
"""Control groups of version 2, where a kernel has them: in user-mode Linux."""

import os
import subprocess

import harness


@harness.only("vsock")
class Groups(harness.TestCase):
    def test_unit_tests_that_make_groups(self):
        """What tests/unit/test-cgroup can show only here, each by its name."""
        result = subprocess.run(
            [os.path.join(harness.BUILDDIR, "tests/unit/test-cgroup")],
            env=dict(os.environ, GUESTWIRE_TEST_CGROUP="1", CMOCKA_MESSAGE_OUTPUT="TAP"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=600, check=False, text=True, errors="replace")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("ok 1 - test_each_has_its_own", result.stdout)
        self.assertNotIn("not ok", result.stdout)


if __name__ == "__main__":
    harness.main()
