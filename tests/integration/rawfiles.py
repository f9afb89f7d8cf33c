# SPDX-License-Identifier: MIT
"""What the tests of file.* stand on: a folder, raw calls, and the records of file streams."""

import base64
import ctypes
import ctypes.util
import json
import os
import struct

import harness

CONTROL, DATA, HOLE, RECORDS = 0, 1, 2, 3


def frame(channel, payload=b""):
    return struct.pack(">IB", len(payload), channel) + payload


class XXH128Canonical(ctypes.Structure):
    _fields_ = [("digest", ctypes.c_ubyte * 16)]


class XXH128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3(data):
    """XXH3-128 in hexadecimal, by the library itself."""
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_128bits.restype = XXH128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    value = library.XXH3_128bits(data, len(data))
    return "%016x%016x" % (value.high, value.low)


def name_of(record, key="path"):
    """A name of a record or a listing, as bytes."""
    if key in record:
        return record[key].encode()
    return base64.b64decode(record[key + "_base64"])


class FileCase(harness.TestCase):
    """A folder to work in, and an agent whose callers may."""

    def setUp(self):
        super().setUp()
        self.place = os.path.join(self.folder, "place")
        os.mkdir(self.place)
        # mkdtemp() lets nobody else in.
        os.chmod(self.folder, 0o755)

    def serve(self, **keys):
        self.start(self.target(trust="peers", trust_unsafe="yes", **keys))
        self.client = self.connect()
        return self.client

    def path(self, *names):
        return os.path.join(self.place, *names)

    def write(self, name, content=b"", mode=0o644):
        """A file there, or anywhere by its whole path."""
        with open(self.path(name), "wb") as file:
            file.write(content)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def fails(self, method, reason, error=None, client=None, **params):
        failed = (client or self.client).error(method, params)
        self.assert_reason(failed, reason)
        self.assertEqual(failed["data"].get("errno"), error, failed)
        return failed


class RawCall:
    """A raw call on a harness.Client, from its first answer on."""

    def __init__(self, client, method, params):
        self.client = client
        text, self.ident = client.request(method, dict(params, raw=True))
        client.send(text)
        self.answer = client.read()
        self.end = None

    @property
    def begun(self):
        return self.answer.get("result") == {"raw": True}

    def send(self, channel, payload=b""):
        self.client.send(frame(channel, payload))

    def record(self, **members):
        self.send(RECORDS, json.dumps(members).encode())

    def control(self, method, params, ident):
        message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
        self.send(CONTROL, json.dumps(message).encode())

    def _fill(self, size):
        client = self.client
        while len(client.pending) < size:
            if client._receive() == 0:
                raise AssertionError("the stream ended within a raw call")

    def read(self):
        """The next frame: its channel and its payload."""
        self._fill(5)
        size, channel = struct.unpack(">IB", self.client.pending[:5])
        self._fill(5 + size)
        payload = self.client.pending[5:5 + size]
        self.client.pending = self.client.pending[5 + size:]
        return channel, payload

    def read_control(self):
        """The next text of channel 0; what comes on others before it is dropped."""
        while True:
            channel, payload = self.read()
            if channel == CONTROL:
                return json.loads(payload.decode()) if payload else None

    def finish(self):
        """The call's end; afterwards the connection is one of JSON again."""
        while self.end is None:
            reply = self.read_control()
            if reply is None:
                raise AssertionError("channel 0 ended without the call's end")
            if reply["id"] == self.ident:
                self.end = reply
        if self.read_control() is not None:
            raise AssertionError("something came after the call's end")
        self.send(CONTROL)
        return self.end


def get(client, path, **params):
    """file.get to its end: [(record, content, end record)] and the reply."""
    call = RawCall(client, "file.get", dict(params, path=path))
    if not call.begun:
        return [], call.answer
    entries, ended = [], set()
    while len(ended) < 3:
        channel, payload = call.read()
        if channel == CONTROL:
            call.end = json.loads(payload.decode())
            break
        if not payload:
            ended.add(channel)
        elif channel == RECORDS:
            record = json.loads(payload.decode())
            if "type" in record:
                entries.append([record, b"", None])
            else:
                entries[-1][2] = record
        elif channel == DATA:
            entries[-1][1] += payload
        elif channel == HOLE:
            entries[-1][1] += bytes(struct.unpack(">Q", payload)[0])
    return [tuple(entry) for entry in entries], call.finish()


def put(client, path, content, block=65536, mode=0o644, **params):
    """file.put of a single file; the reply."""
    call = RawCall(client, "file.put", dict(params, path=path))
    if not call.begun:
        return call.answer
    call.record(path="", type="file", mode=mode, size=len(content))
    for i in range(0, len(content), block):
        call.send(DATA, content[i:i + block])
    call.record(size=len(content), hash=xxh3(content))
    for channel in (DATA, HOLE, RECORDS):
        call.send(channel)
    return call.finish()
