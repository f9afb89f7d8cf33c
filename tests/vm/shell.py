# SPDX-License-Identifier: MIT
"""The laboratory's guest for a person: see the script `shell`."""

import os
import selectors
import shutil
import socket
import sys
import termios
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

LEAVE = b"\x1d"


def attach(guest):
    """Joins this terminal to the guest's second serial line until LEAVE or its end."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(guest.path("terminal"))
    size = shutil.get_terminal_size()
    line.sendall(b"\nstty rows %d cols %d\n" % (size.lines, size.columns))
    settings = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(line, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    data = os.read(key.fd, 65536)
                    if not data or (key.fd == 0 and LEAVE in data):
                        return
                    if key.fd == 0:
                        line.sendall(data)
                    else:
                        os.write(1, data)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, settings)


def main(command):
    guest = lab.LABORATORY.guest()
    if command:
        done = guest.run(*command, timeout=3600, check=False)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        sys.exit(min(done.status, 255))
    guest.run("true")
    program = os.path.join(lab.IMAGE, "host/usr/bin/guestwire")
    print("%s info %s\n%s methods %s   (everybody is privileged on port 1001)\n"
          "ssh -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
          "-o ProxyCommand='%s connect %s 22' root@guest\n"
          "console: %s\nCtrl-] ends the guest." % (
              program, guest.target(), program, guest.target(1001),
              os.path.join(lab.IMAGE, "key"), program, guest.target(),
              guest.path("console")))
    attach(guest)
    print()


main(sys.argv[1:])
