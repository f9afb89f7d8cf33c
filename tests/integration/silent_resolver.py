# SPDX-License-Identifier: MIT
"""silent_resolver.py FOLDER COMMAND...: runs a command whose name server never answers.

It has a network and mounts of its own; its resolv.conf, written into the folder, names a
server on its loopback: a socket that takes queries and that nobody reads. Exit status 125
where this machine gives no namespaces.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def cover(folder, path, text):
    """In this process's mounts alone, the file has this text."""
    ours = os.path.join(folder, os.path.basename(path))
    with open(ours, "w", encoding="ascii") as file:
        file.write(text)
    check(libc.mount(ours.encode(), os.path.realpath(path).encode(), None,
                     ctypes.c_ulong(MS_BIND), None))


def main(folder, *command):
    try:
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET))
        check(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
        cover(folder, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        cover(folder, "/etc/nsswitch.conf", "hosts: files dns\n")
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        server.bind(("127.0.0.1", 53))
    except OSError as error:
        print("no namespaces: %s" % error, file=sys.stderr)
        return 125
    server.set_inheritable(True)
    return os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
