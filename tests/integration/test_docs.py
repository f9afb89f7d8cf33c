# SPDX-License-Identifier: MIT
"""The documents say what the daemon does: each method with its parameters, results, reasons."""

import os
import re
import shutil
import subprocess

import harness

DOCUMENT = os.path.join(harness.SRCDIR, "docs", "protocol.md")
PAGE = os.path.join(harness.SRCDIR, "man", "guestwire-protocol.7")
CODES = {"parse_error", "invalid_request", "method_not_found", "invalid_params", "internal_error"}
# What any call can meet; the documents say so once, ahead of the methods.
ANYWHERE = {"busy", "limit"}


def members(schema):
    """Every name that a schema declares, at any depth."""
    found = set()
    for name, inner in schema.get("properties", {}).items():
        found |= {name} | members(inner)
    return found | (members(schema["items"]) if "items" in schema else set())


def document_sections():
    """{heading: words in backticks} of the third level in docs/protocol.md."""
    with open(DOCUMENT, encoding="utf-8") as file:
        pieces = re.split(r"^(#+) (.*)$", file.read(), flags=re.M)
    # The headings' levels, texts and bodies take turns after what is before the first.
    return {title: set(re.findall(r"`([^`\n]+)`", body))
            for level, title, body in zip(pieces[1::3], pieces[2::3], pieces[3::3])
            if level == "###"}


def page_lines():
    with open(PAGE, encoding="utf-8") as file:
        return file.read().split("\n")


def page_items(title):
    """{tag: words set as literals} of the list in one subsection of the manual page."""
    found, items = False, {}
    item = None
    for line in page_lines():
        if re.match(r"\.S[sh] ", line):
            found, item = line[4:] == title, None
        if not found:
            continue
        if line.startswith(".It "):
            item = items.setdefault(line.split()[-1], set())
        elif line == ".El":
            item = None
        elif item is not None and re.match(r"\.(Pq )?Cm ", line):
            item |= {word for word in line.split() if word not in (".Pq", "Pq", ".Cm", "Cm")}
    return items


class Docs(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.client = self.connect()
        document = self.client.call("rpc.discover")
        self.methods = {method["name"]: method for method in document["methods"]}
        self.assertGreaterEqual(len(self.methods), 8)

    def wanted(self, method):
        """The words by which a document describes a method in full."""
        reasons = set(method["errors"][0]["data"]["reasons"]) - ANYWHERE
        params = {param["name"] for param in method["params"]}
        for param in method["params"]:
            params |= members(param["schema"])
        return reasons | params | members(method["result"]["schema"])

    def assert_describes(self, described):
        for name, method in self.methods.items():
            with self.subTest(method=name):
                self.assertIn(name, described)
                self.assertLessEqual(self.wanted(method), described[name])
        dotted = {name for name in described if "." in name}
        self.assertEqual(dotted, set(self.methods), "a method that is no more")

    def test_document_describes_every_method(self):
        self.assert_describes(document_sections())

    def test_page_describes_every_method(self):
        self.assert_describes(page_items("Methods"))

    def test_privileged_methods_are_said_to_be(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            bodies = re.split(r"^### ", file.read(), flags=re.M)[1:]
        for body in bodies:
            name = body.split("\n", 1)[0]
            self.assertEqual(self.methods[name]["x-privileged"], "**Privileged.**" in body, name)

    def test_reasons_are_the_closed_list(self):
        """Both documents list each reason that the agent counts, and no other."""
        counted = {key.replace("_", "-")
                   for key in set(self.client.call("agent.stats")["errors"]) - CODES}
        with open(DOCUMENT, encoding="utf-8") as file:
            table = file.read().split("The list is closed", 1)[1].split("\n## ", 1)[0]
        listed = set(re.findall(r"^\| `([a-z-]+)` +\|", table, flags=re.M))
        self.assertEqual(listed, counted)
        page = {tag for tag in page_items("Errors") if not tag.startswith("\\-")}
        self.assertEqual(page, counted)

    def test_examples_are_what_is_answered(self):
        """Every key of an example's result is one that the agent gives, and the reverse."""
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        for name in ("agent.ping", "agent.info", "agent.stats"):
            example = re.search(r'"method":"%s"\}\n((?:    .*\n)+)' % re.escape(name),
                                text.split("### " + name, 1)[1])
            keys = set(re.findall(r'"([a-z_]+)":', example.group(1)))
            result = self.client.call(name)
            given = {"jsonrpc", "result", "id"} | keys_of(result)
            # This daemon may listen on no vsock port at all.
            given |= {"port", "guid", "handler", "description"} if name == "agent.info" else set()
            self.assertEqual(keys, given, name)

    def test_page_is_clean(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        result = subprocess.run(["mandoc", "-Tlint", "-Wwarning", PAGE], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((result.returncode, result.stdout), (0, ""))


def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    return set()


if __name__ == "__main__":
    harness.main()
