#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Takes the project's figures, each beside what it is to be judged against, in one run.

Everything runs on one CPU: the client, the servers and this script. `make bench` builds what
is needed and calls this; `make bench-docs` also puts the table into docs/benchmarks.md.
"""

import argparse
import os
import platform
import re
import resource
import subprocess
import sys

sys.dont_write_bytecode = True

import programs  # noqa: E402
import servers  # noqa: E402
from figures import Bench  # noqa: E402

GROUPS = ("latency", "throughput", "instructions", "idle_memory", "connection_memory", "start",
          "forward", "methods", "exec", "files")
BEGIN, END = "<!-- bench: begin {} -->", "<!-- bench: end {} -->"


def number(value):
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(figures):
    rows = [("Figure", "Guestwire", "Beside", "", "Ratio", "Target", "")]
    for f in figures:
        unit = "" if f.unit == "/s" else " " + f.unit if f.unit else ""
        rows.append((f.name, number(f.ours) + unit,
                     "" if f.reference is None else number(f.reference) + unit, f.reference_name,
                     "" if f.ratio is None else f"{f.ratio:.3g}", f.target, f.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * max(w, 3) for w in widths))
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
                     for row in rows)


def first_match(path, pattern):
    with open(path, encoding="utf-8") as f:
        match = re.search(pattern, f.read(), re.MULTILINE)
    return match[1].strip() if match else "unknown"


def machine(cpu, rounds):
    """What a reader needs in order to compare, and nothing that names the machine."""
    virtual = "hypervisor" in first_match("/proc/cpuinfo", r"^flags\s*:(.*)$").split()
    qga = subprocess.run([servers.QemuGa.program, "--version"], stdout=subprocess.PIPE,
                         encoding="utf-8", check=True).stdout.strip()
    release = ".".join(platform.release().split(".")[:2])
    rows = [
        ("CPU", first_match("/proc/cpuinfo", r"^model name\s*:(.*)$")
         + (", in a virtual machine" if virtual else "")),
        ("Kernel", f"{platform.system()} {release}, {platform.machine()}"),
        ("System", first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')),
        ("Compiler", os.environ.get("BENCH_COMPILER", "unknown")),
        ("Flags", os.environ.get("BENCH_FLAGS", "unknown")),
        ("Peer", qga),
        ("Method", f"one CPU of {os.cpu_count()}, median of {rounds} interleaved rounds"),
    ]
    return "\n".join(f"- {name}: {value}" for name, value in rows)


def replace_between(text, name, new):
    begin, end = BEGIN.format(name), END.format(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise servers.BenchError(f"the document has no place marked {begin} … {end}")
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n{new}\n{end}{rest.partition(end)[2]}"


def write_docs(path, parts):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, new in parts.items():
        text = replace_between(text, name, new)
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".tmp", path)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--builddir", default=".", help="where guestwired and tests/bench are")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", choices=GROUPS, help="these groups only")
    parser.add_argument("--cpu", type=int, help="default: the last that there is")
    parser.add_argument("--docs", help="put the tables into this document")
    parser.add_argument("--profile", help="put instructions by function into this file")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target is missed")
    arguments = parser.parse_args()
    if arguments.docs and arguments.only:
        parser.error("--docs takes a whole run: its figures are from one run")
    return arguments


def main():
    arguments = parse_arguments()
    cpu = max(os.sched_getaffinity(0)) if arguments.cpu is None else arguments.cpu
    os.sched_setaffinity(0, {cpu})
    # A thousand connections, and the servers get this limit from here.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))

    builddir = os.path.abspath(arguments.builddir)
    if "-fsanitize" in os.environ.get("BENCH_FLAGS", ""):
        raise servers.BenchError("this build has sanitizers in it: its figures mean nothing")
    servers.Guestwired.program = os.path.join(builddir, "guestwired")
    servers.Echo.program = os.path.join(builddir, "tests/bench/bench-echo")
    programs.BareCopy.program = os.path.join(builddir, "tests/bench/bench-copy")
    if not servers.QemuGa.program:
        raise servers.BenchError("qemu-ga is not installed: there is nothing to compare with "
                                 "(Debian's package is qemu-guest-agent)")
    bench = Bench(os.path.join(builddir, "tests/bench/bench-client"), arguments.rounds)
    figures = []
    for group in arguments.only or GROUPS:
        print(f"{group} …", file=sys.stderr, flush=True)
        figures += getattr(bench, group)()

    print(machine(cpu, arguments.rounds), table(figures), sep="\n\n")
    if arguments.profile and bench.profile:
        with open(arguments.profile, "w", encoding="utf-8") as f:
            f.write(bench.profile)
    if arguments.docs:
        dearest = "\n".join(bench.profile.splitlines()[:22])
        write_docs(arguments.docs, {"machine": machine(cpu, arguments.rounds),
                                    "figures": table(figures),
                                    "profile": f"```\n{dearest}\n```"})
    missed = [f.name for f in figures if f.verdict == "missed"]
    if missed:
        print("\nmissed: " + ", ".join(missed))
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
