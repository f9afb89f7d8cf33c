# SPDX-License-Identifier: MIT
"""All tests of the laboratory in one process, since they share its guests."""

import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

if __name__ == "__main__":
    # The first boot is a test: nothing may come before it. The second guest's is too.
    MODULES = ["test_boot", "test_transport"]
    for path in sorted(glob.glob(os.path.join(lab.HERE, "test_*.py"))):
        name = os.path.splitext(os.path.basename(path))[0]
        if name not in MODULES:
            MODULES.append(name)
    lab.main(MODULES)
