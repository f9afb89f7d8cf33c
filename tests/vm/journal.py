# SPDX-License-Identifier: MIT
"""A guest's journal, as journalctl there writes it to the host while it grows. To ask journalctl
anew for each question would cost the guest more than most of what is tested."""

import json
import re


class Journal:
    """The entries so far; the number of one is its place among them."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        self.read, self.rest = 0, b""

    def update(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.read)
                data = file.read()
        except FileNotFoundError:
            return self.entries
        self.read += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.entries += [json.loads(line) for line in lines if line]
        return self.entries

    def find(self, since, fields):
        """The entries from that number on whose fields are these: each a name and the values of
        which it has one."""
        return [entry for entry in self.update()[since:]
                if all(entry.get(name) in values for name, values in fields.items())]

    def grep(self, since, pattern, transports):
        """The messages in which that is found, of those that came this way."""
        return [text(entry) for entry in self.find(since, {"_TRANSPORT": transports})
                if re.search(pattern, text(entry))]

    def number(self, message):
        """How many entries there are up to this one, the only one of its kind; None before it
        comes."""
        for i in range(len(self.update()) - 1, -1, -1):
            if self.entries[i].get("MESSAGE") == message:
                return i + 1
        return None

    def write(self, path):
        """For a person, as `journalctl -o short-monotonic` has it."""
        with open(path, "w", encoding="utf-8") as file:
            for entry in self.update():
                file.write("[%12.6f] %s[%s]: %s\n" % (
                    int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6,
                    entry.get("SYSLOG_IDENTIFIER", "?"), entry.get("_PID", ""), text(entry)))


def text(entry):
    """An entry's message. What is not text is there as its bytes, what has none as null."""
    message = entry.get("MESSAGE") or ""
    return message if isinstance(message, str) else bytes(message).decode("utf-8", "replace")


def fields_of(matches):
    """`FIELD=value` as journalctl understands it: of one field any of its values will do."""
    fields = {}
    for match in matches:
        name, _, value = match.partition("=")
        fields.setdefault(name, []).append(value)
    return fields
