# SPDX-License-Identifier: MIT
"""A JSON-RPC 2.0 server such as one writes in an afternoon: jsonrpc_server.py PATH.

Answers every call with an empty object, one connection after the other; prints `ready`."""

import json
import socket
import sys


def serve(connection):
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            reply = {"jsonrpc": "2.0", "result": {}, "id": request["id"]}
            connection.sendall(json.dumps(reply, separators=(",", ":")).encode() + b"\n")


def main():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        while True:
            serve(listener.accept()[0])


if __name__ == "__main__":
    main()
