# SPDX-License-Identifier: MIT
"""guestwire hyperv, and docs/hyperv.md with its programs: what an administrator of a Hyper-V
host is given to run must hold whatever a guest has put into it."""

import json
import os
import re
import shutil
import subprocess
import uuid

import harness
from cli import CONNECTION, REFUSED, USAGE, Case, Stranger, answering, result_of
from harness import only

FOLDER = os.path.join(harness.SRCDIR, "docs", "hyperv")
DOCUMENT = os.path.join(harness.SRCDIR, "docs", "hyperv.md")
SERVICES = (r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization"
            r"\GuestCommunicationServices")
NAME_MAX = 1023

# What PowerShell takes for a single quote: any of them ends a string that another began.
QUOTES = "'\u2018\u2019\u201a\u201b"
LITERAL = "'(?:[^%s]|[%s]{2})*'" % (QUOTES, QUOTES)
VALUE = re.compile(r"%s|\(%s(?: \+ (?:%s|\[char\]0x[0-9a-f]{4}))*\)" % (LITERAL, LITERAL, LITERAL))

HOSTILE = (
    "'; Remove-Item C:\\ -Recurse #",
    "''; calc; ''",
    "$(calc) `$(calc) ${env:PATH} `n `' \"$(calc)\"",
    "\u2018\u2019\u201a\u201b; calc #",
    "\u2019; calc; \u2019",
    "\u00d2; calc #",  # whose second byte in UTF-8 is a quote in Windows' code page 1252
    "line\r\ncalc\ncalc\rcalc\u2028calc\u2029calc\u0085calc",
    "nul\0calc", "\0", "tab\tbell\aescape\x1b[31mdelete\x7f",
    "\" ]\r\n[-HKEY_LOCAL_MACHINE\\SOFTWARE]\r\n",
    "\\", "\\\"", "\"", "'", "#>", "<#", "@'\n", "\n'@",
    "\u202egnp.exe", "\ufeff", "\U0001f600 \U0010ffff", "-Force", "($x)", "[char]0x27", ";",
    "k\u00fchler T\u00fcrsteher",
    "x" * 10240, "'" * 10240, "\U0001f600" * 2560, "\\" * 10240, "\n" * 10240,
)


def guid_of(port):
    return "%08x-facb-11e6-bd58-64006a7986d3" % port


def row(port, description, guid=""):
    return {"port": port, "guid": guid_of(port) if guid == "" else guid, "handler": "rpc",
            "description": description}


def shown(description, port):
    """The name that people see: nothing that a terminal or an editor would obey."""
    if not description:
        return "guestwire, port %d" % port
    name = re.sub("[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]",
                  lambda m: "".join("\\x%02x" % b for b in m.group().encode()), description)
    cut = name.encode("utf-16-le")[:2 * NAME_MAX]
    return cut.decode("utf-16-le", "ignore")


def powershell_value(text):
    """What the expression of a value yields; it may be nothing but strings and characters."""
    if not VALUE.fullmatch(text):
        raise AssertionError("code, or something else than a string: %r" % text[:500])
    units = b""
    for literal, number in re.findall(r"(%s)|\[char\]0x([0-9a-f]{4})" % LITERAL, text):
        if number:
            units += int(number, 16).to_bytes(2, "little")
        else:
            units += re.sub("([%s])." % QUOTES, r"\1", literal[1:-1]).encode("utf-16-le")
    return units.decode("utf-16-le")


def powershell_services(script):
    """{GUID: name} of a script of which every line is known."""
    found, key = {}, None
    lines = script.split("\n")
    if lines.pop() != "" or lines[1:3] != ["$ErrorActionPreference = 'Stop'",
                                           "$services = 'HKLM:\\%s'" % SERVICES]:
        raise AssertionError("another script: %r" % script[:500])
    for line in lines[3:]:
        match = re.fullmatch(r'\$key = "\$services\\([0-9a-f-]{36})"', line)
        if match:
            key = match.group(1)
            continue
        match = re.fullmatch(r"New-ItemProperty -LiteralPath \$key -Name 'ElementName' "
                             r"-PropertyType String -Force -Value (.*) \| Out-Null", line)
        if match:
            found[key] = powershell_value(match.group(1))
        elif not re.fullmatch(r"|#.*|if \(-not \(Test-Path -LiteralPath \$key\)\) "
                              r"\{ New-Item -Path \$key \| Out-Null \}", line):
            raise AssertionError("a line of no known form: %r" % line[:500])
    return found


def reg_services(data):
    """{GUID: name} of a .reg file of which every line is known."""
    text = data.decode("utf-16")
    if data[:2] != b"\xff\xfe" or re.search("(?<!\r)\n|\r(?!\n)", text):
        raise AssertionError("not as regedit writes it: %r" % data[:100])
    lines = text.split("\r\n")
    if lines[:2] != ["Windows Registry Editor Version 5.00", ""]:
        raise AssertionError("no header: %r" % lines[:2])
    found, key = {}, None
    for line in lines[2:]:
        match = re.fullmatch(r"\[HKEY_LOCAL_MACHINE\\%s\\([0-9a-f-]{36})\]" % re.escape(SERVICES),
                             line)
        if match:
            key = match.group(1)
            continue
        match = re.fullmatch(r'"ElementName"="((?:[^"\\]|\\["\\])*)"', line)
        if match:
            found[key] = re.sub(r"\\(.)", r"\1", match.group(1))
        elif line and not line.startswith(";"):
            raise AssertionError("a line of no known form: %r" % line[:500])
    return found


class Hyperv(Case):
    def run_bytes(self, *args):
        result = self.run_guestwire("hyperv", *args, text=False)
        self.assertEqual((result.returncode, result.stderr), (0, b""), args)
        return result.stdout

    def config_file(self, text):
        path = os.path.join(self.folder, "agent.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def config_of_two(self):
        return self.config_file("[port 1000]\ndescription = It's the agent\n"
                                "[port 0x4a38]\nhandler = rpc\n"
                                "[listen admin]\naddress = unix:/run/admin.sock\n")

    @only("unix")
    def test_from_config(self):
        path = self.config_of_two()
        found = powershell_services(self.run_ok("hyperv", "--config", path))
        self.assertEqual(found, {guid_of(1000): "It's the agent", guid_of(19000): "Guest agent"})
        self.assertEqual(reg_services(self.run_bytes("--reg", "--config", path)), found)

    @only("unix")
    def test_how_to_unregister(self):
        path = self.config_of_two()
        removal = ['Remove-Item -LiteralPath "$services\\%s"' % guid_of(port)
                   for port in (1000, 19000)]
        script = self.run_ok("hyperv", "--config", path)
        self.assertEqual(script.split("\n")[-3:-1], ["# " + line for line in removal])
        only_that = self.run_ok("hyperv", "--config", path, "--unregister")
        self.assertEqual(only_that.split("\n")[-3:-1], removal)
        self.assertEqual(powershell_services("\n".join(
            line for line in only_that.split("\n") if not line.startswith("Remove"))), {})
        keys = ["[-HKEY_LOCAL_MACHINE\\%s\\%s]" % (SERVICES, guid_of(port))
                for port in (1000, 19000)]
        text = self.run_bytes("--reg", "--config", path).decode("utf-16")
        self.assertEqual(text.split("\r\n")[-3:-1], ["; " + key for key in keys])
        text = self.run_bytes("--reg", "--unregister", "--config", path).decode("utf-16")
        self.assertEqual(text.split("\r\n")[2:], [*keys, ""])

    @only("vsock")
    def test_from_the_agent(self):
        """Two vsock ports and a socket: the ports are registered, under their descriptions."""
        first = self.target(description="It's \u2018ours\u2019")
        second = self.target()
        self.start(first, second, self.target("admin", transport="unix"))
        expected = {guid_of(first.address[1]): "It's \u2018ours\u2019",
                    guid_of(second.address[1]): "Guest agent"}
        self.assertEqual(powershell_services(self.run_ok("hyperv", first.cli)), expected)
        self.assertEqual(reg_services(self.run_bytes("--reg", first.cli)), expected)

    @only("unix")
    def test_what_is_wrong_with_the_file(self):
        """A line, where it is about one."""
        missing = os.path.join(self.folder, "missing.conf")
        self.run_bad(REFUSED, "^guestwire: %s: there is no such file" % missing,
                     "hyperv", "--config", missing)
        path = self.config_file("[port 1000]\nhandlr = rpc\n[port x]\n")
        self.run_bad(REFUSED, r"^guestwire: %s:2: .*\nguestwire: %s:3: " % (path, path),
                     "hyperv", "--config", path)

    @only("unix")
    def test_no_ports(self):
        self.start()
        self.run_bad(REFUSED, "no vsock ports", "hyperv", self.main.cli)

    @only("unix")
    def test_no_description_becomes_code(self):
        rows = [row(port, text) for port, text in enumerate(HOSTILE, 1)]
        expected = {guid_of(port): shown(text, port) for port, text in enumerate(HOSTILE, 1)}
        guest = Stranger(self, result_of({"ports": rows}))
        script = self.run_bytes(guest.cli)
        self.assertEqual(powershell_services(script.decode("ascii")), expected)
        self.assertEqual(reg_services(self.run_bytes("--reg", guest.cli)), expected)
        for option in ((), ("--reg",)):
            data = self.run_bytes("--unregister", *option, guest.cli)
            self.assertNotIn("calc", data.decode("utf-16" if option else "ascii"))

    @only("unix")
    def test_descriptions_of_a_file_become_no_code(self):
        texts = [t for t in HOSTILE if not re.search("[\0-\x1f\x7f\u2028\u2029\u0085]", t) and
                 len(t) < 1000 and t == t.strip() and not re.search(r"[;#\\\"']", t)]
        self.assertGreater(len(texts), 5)
        path = self.config_file("".join("[port %d]\ndescription = %s\n" % item
                                        for item in enumerate(texts, 1)))
        expected = {guid_of(port): shown(text, port) for port, text in enumerate(texts, 1)}
        self.assertEqual(powershell_services(self.run_bytes("--config", path).decode("ascii")),
                         expected)

    @only("unix")
    def test_guests_that_do_not_make_sense(self):
        infos = []
        guest = Stranger(self, answering(lambda request: json.dumps(
            {"jsonrpc": "2.0", "id": request["id"], "result": infos[-1]}).encode() + b"\n"))
        for ports in (None, {}, "x", [None], [1], [{}], [row(-1, "")], [row(4294967295, "")],
                      [row(2 ** 40, "")], [row(1.5, "", guid=guid_of(1))],
                      [row("1000", "", guid=guid_of(1000))], [row(1000, "", guid=guid_of(1001))],
                      [row(1000, "", guid="..\\..\\evil")], [row(1000, "", guid=None)],
                      [row(1000, "", guid=guid_of(1000).upper().replace("F", "f") + "\0x")],
                      [row(1000, "", guid=5)], [row(1000, 5)], [row(1000, ["x"])]):
            with self.subTest(ports=ports):
                infos.append({"ports": ports})
                result = self.run_bad(CONNECTION, "does not tell its ports", "hyperv", guest.cli)
                self.assertEqual(result.stdout, "")
        for info in (None, [], "x", {}):
            with self.subTest(info=info):
                infos.append(info)
                self.run_bad(CONNECTION, "does not tell its ports", "hyperv", guest.cli)

    @only("unix")
    def test_a_port_twice_is_one_key(self):
        guest = Stranger(self, result_of({"ports": [row(5, "a"), row(5, "b"), row(6, None)]}))
        self.assertEqual(powershell_services(self.run_ok("hyperv", guest.cli)),
                         {guid_of(5): "a", guid_of(6): "guestwire, port 6"})

    @only("unix")
    def test_usage(self):
        path = self.config_of_two()
        self.run_bad(USAGE, "either a TARGET.*or --config", "hyperv")
        self.run_bad(USAGE, "either a TARGET.*or --config", "hyperv", "21", "--config", path)
        self.run_bad(REFUSED, "/none", "hyperv", "--config", os.path.join(self.folder, "none"))
        bad = self.config_file("[port 1000]\nno-such-key = 1\n")
        self.run_bad(REFUSED, "agent.conf:2", "hyperv", "--config", bad)


@only("unix")
class Document(Case):
    """docs/hyperv.md and its programs are one."""

    def sources(self):
        found = {}
        for name in sorted(os.listdir(FOLDER)):
            with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
                found[name] = file.read()
        return found

    def text(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            return file.read()

    def test_programs_are_the_files(self):
        sources = self.sources()
        self.assertEqual(set(sources), {"HyperVEndPoint.cs", "GuestwireClient.cs", "Program.cs",
                                        "Invoke-Guestwire.ps1"})
        blocks = re.findall(r"^`([\w.-]+)`[^`]*?:\n\n```\w+\n(.*?)^```$", self.text(), re.M | re.S)
        blocks += re.findall(r"^`([\w.-]+)`, .*?:\n\n```\w+\n(.*?)^```$", self.text(), re.M | re.S)
        self.assertEqual(dict(blocks), sources)
        self.assertEqual(self.text().count("\n```"), 2 * len(sources))

    def test_programs_are_licensed(self):
        for name, text in self.sources().items():
            self.assertIn("SPDX-License-Identifier: MIT", text.split("\n")[0], name)

    def test_registration_by_hand_is_ours(self):
        self.assertIn("'HKLM:\\%s'" % SERVICES, self.text())
        self.assertIn("`HKLM\\%s`" % SERVICES, self.text())
        self.assertIn(self.run_ok("guid", "1000").strip(), self.text())

    def test_configuration_is_sound(self):
        blocks = re.findall(r"(?m)^ +\[port 1000\]\n(?: +\S.*\n)+", self.text())
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            path = os.path.join(self.folder, "example.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(re.sub("(?m)^ +", "", block))
            result = self.run_guestwired("--check", "--config", path)
            self.assertEqual(result.returncode, 0, result.stderr)


MAIN = """
using System;
using System.IO;
using System.Net;
using System.Net.Sockets;
using Guestwire;

static class Test
{
    static void Print(string name, object value)
    {
        Console.WriteLine(name + " " + value);
    }

    static string Refusal(Action action)
    {
        try { action(); } catch (ArgumentException e) { return e.GetType().Name; }
        return "none";
    }

    static int Main(string[] args)
    {
        if (args[0] == "call")
            return Call(args);
        HyperVEndPoint point = new HyperVEndPoint(new Guid(args[0]), uint.Parse(args[1]));
        SocketAddress address = point.Serialize();
        byte[] bytes = new byte[address.Size];
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = address[i];
        Print("bytes", BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant());
        HyperVEndPoint back = (HyperVEndPoint)new HyperVEndPoint(Guid.Empty, 0).Create(address);
        Print("same", back.Equals(point) && back.GetHashCode() == point.GetHashCode() &&
                      !back.Equals(new HyperVEndPoint(point.VmId, 5)) && !back.Equals(null));
        Print("vm", back.VmId);
        Print("service", back.ServiceId);
        Print("text", back);
        Print("family", (int)point.AddressFamily);
        Print("protocol", (int)HyperVEndPoint.Raw);
        Print("null", Refusal(delegate { point.Create(null); }));
        Print("short", Refusal(delegate {
            point.Create(new SocketAddress(HyperVEndPoint.Family, 35)); }));
        Print("internet", Refusal(delegate {
            point.Create(new SocketAddress(AddressFamily.InterNetwork, 36)); }));
        Print("HV_GUID_ZERO", HyperVEndPoint.Wildcard);
        Print("HV_GUID_BROADCAST", HyperVEndPoint.Broadcast);
        Print("HV_GUID_CHILDREN", HyperVEndPoint.Children);
        Print("HV_GUID_LOOPBACK", HyperVEndPoint.Loopback);
        Print("HV_GUID_PARENT", HyperVEndPoint.Parent);
        Print("HVSOCKET_CONNECT_TIMEOUT", (int)HyperVEndPoint.ConnectTimeout);
        Print("HVSOCKET_CONTAINER_PASSTHRU", (int)HyperVEndPoint.ContainerPassthru);
        Print("HVSOCKET_CONNECTED_SUSPEND", (int)HyperVEndPoint.ConnectedSuspend);
        return 0;
    }

    static int Call(string[] args)
    {
        TcpClient tcp = new TcpClient("127.0.0.1", int.Parse(args[1]));
        using (GuestwireClient client = new GuestwireClient(tcp.GetStream()))
            for (int i = 2; i + 1 < args.Length; i += 2)
            {
                try
                {
                    Console.WriteLine(client.Call(args[i], args[i + 1] == "" ? null : args[i + 1]));
                }
                catch (GuestException e)
                {
                    Console.WriteLine("refused {0} {1}", e.Code, e.Message);
                }
                catch (IOException e)
                {
                    Console.WriteLine("broken {0}", e.Message);
                }
            }
        return 0;
    }
}
"""


@only("unix")
class CSharp(Case):
    def compile(self, main=None):
        """The files as they are, or with a main() of the test's; the path of the program."""
        if not shutil.which("mcs") or not shutil.which("mono"):
            self.skipTest("mono is missing (Debian: mono-mcs, mono-runtime)")
        files = [os.path.join(FOLDER, n) for n in ("HyperVEndPoint.cs", "GuestwireClient.cs")]
        if main is None:
            files.append(os.path.join(FOLDER, "Program.cs"))
        else:
            files.append(os.path.join(self.folder, "Test.cs"))
            with open(files[-1], "w", encoding="utf-8") as file:
                file.write(main)
        program = os.path.join(self.folder, "test.exe")
        # C# 5 is what Windows PowerShell's Add-Type knows.
        result = subprocess.run(["mcs", "-langversion:5", "-warnaserror", "-warn:4",
                                 "-r:System.Runtime.Serialization.dll", "-r:System.Xml.dll",
                                 "-r:System.Xml.Linq.dll", "-out:" + program, *files],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                universal_newlines=True)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        return program

    def run_mono(self, program, *args, code=0):
        result = subprocess.run(["mono", program, *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, check=False, universal_newlines=True,
                                timeout=harness.DEADLINE,
                                env=dict(os.environ, MONO_REGISTRY_PATH=self.folder,
                                         HOME=self.folder))
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def test_socket_address_is_windows_own(self):
        program = self.compile(MAIN)
        for vm, port in (("7a6d3c5e-2f1b-4c8d-9e0a-1b2c3d4e5f60", 1000),
                         ("00112233-4455-6677-8899-aabbccddeeff", 19000),
                         ("ffffffff-ffff-ffff-ffff-ffffffffffff", 4294967294),
                         ("a42e7cda-d03f-480c-9cc2-a4de20abb878", 0)):
            output = self.run_mono(program, vm, str(port)).stdout
            found = dict(line.split(" ", 1) for line in output.splitlines())
            service = guid_of(port)
            self.assertEqual(service, self.run_ok("guid", str(port)).strip())
            expected = (b"\x22\x00\x00\x00" + uuid.UUID(vm).bytes_le +
                        uuid.UUID(service).bytes_le)
            self.assertEqual(len(expected), 36)
            self.assertEqual(found["bytes"], expected.hex())
            self.assertEqual((found["vm"], found["service"], found["same"], found["text"]),
                             (vm, service, "True", "%s:%s" % (vm, service)))
            self.assertEqual((found["family"], found["protocol"]), ("34", "1"))
            self.assertEqual((found["null"], found["short"], found["internet"]),
                             ("ArgumentNullException", "ArgumentException", "ArgumentException"))

    def test_tables_are_the_constants(self):
        output = self.run_mono(self.compile(MAIN), str(uuid.UUID(int=0)), "1").stdout
        found = dict(line.split(" ", 1) for line in output.splitlines())
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        guids = {name: guid for guid, name in
                 re.findall(r"(?m)^\| `([0-9a-f-]{36})` \| (HV_GUID_[A-Z]+)", text)}
        self.assertEqual(guids, {k: v for k, v in found.items() if k.startswith("HV_GUID_")})
        self.assertEqual(guids, {
            "HV_GUID_ZERO": "00000000-0000-0000-0000-000000000000",
            "HV_GUID_BROADCAST": "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "HV_GUID_CHILDREN": "90db8b89-0d35-4f79-8ce9-49ea0ac8b7cd",
            "HV_GUID_LOOPBACK": "e0e16197-dd56-4a10-9195-5ee7a155a838",
            "HV_GUID_PARENT": "a42e7cda-d03f-480c-9cc2-a4de20abb878"})
        options = dict(re.findall(r"(?m)^\| (HVSOCKET_[A-Z_]+) +\| +(\d+) \|", text))
        self.assertEqual(options["HVSOCKET_CONNECTED_SUSPEND"], "4")
        for name in options:
            if name in found:
                self.assertEqual(options[name], found[name], name)

    def test_client_calls_the_agent(self):
        """Over TCP, since there is no Hyper-V here: the same client, on another stream."""
        program = self.compile(MAIN)
        self.start(self.target("web", transport="tcp"))
        output = self.run_mono(program, "call", str(self.main.address[1]), "agent.ping", "",
                               "agent.ping", "{}", "no.such\t\"\\", "", "agent.ping", '{"x":1}',
                               "agent.info", "").stdout
        lines = output.splitlines()
        self.assertEqual(lines[:2], ['{"jsonrpc":"2.0","result":{},"id":%d}' % i for i in (1, 2)])
        self.assertRegex(lines[2], "^refused %d " % harness.NO_METHOD)
        self.assertRegex(lines[3], "^refused %d .*x" % harness.INVALID_PARAMS)
        self.assertIn('"name":"guestwire"', lines[4])

    def test_program_says_what_is_wrong(self):
        program = self.compile()
        self.assertIn("usage: ", self.run_mono(program, code=2).stderr)
        # This machine has no such sockets: it must say so, and not crash.
        result = self.run_mono(program, str(uuid.UUID(int=1)), "1000", "agent.ping", code=3)
        self.assertNotEqual(result.stderr, "")


if __name__ == "__main__":
    harness.main()
