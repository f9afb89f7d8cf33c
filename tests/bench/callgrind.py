# SPDX-License-Identifier: MIT
"""Instructions in user space for each ping: two runs under callgrind that differ in nothing but
the number of pings, so that start-up and shutdown cancel out."""

import collections
import glob
import os
import re
import subprocess
import tempfile

from servers import BenchError

FEW, MANY = 1000, 3000
# Between two pings, so that the server has gone to sleep: what it does on its way there and back
# is part of what a ping costs. Under valgrind a ping takes about 200.
PAUSE = "--pause=1000"


def run(server, pings, client, *options):
    """What each function executed itself, by (function, object), in one run."""
    with tempfile.TemporaryDirectory(prefix="guestwire-bench-") as folder:
        out = os.path.join(folder, "callgrind.out")
        wrapper = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
        with server(wrapper) as s:
            client("latency", s, f"--count={pings}", *options)
        if not glob.glob(out):
            raise BenchError("callgrind left no profile")
        text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no",
                               "--show-percs=no", out],
                              check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    costs = collections.Counter()
    for line in text.splitlines():
        match = re.fullmatch(r"\s*([\d,]+)\s+(\S.*)", line)
        if not match or match[2].startswith("PROGRAM TOTALS"):
            continue
        where = re.fullmatch(r"[^:]*:(.*?)(?:'\d+)?(?: \[(.*)\])?", match[2])
        if where:
            name = where[1].split("@")[0]
            costs[name, os.path.basename(where[2] or "")] += int(match[1].replace(",", ""))
    total = re.search(r"^\s*([\d,]+)\s+PROGRAM TOTALS", text, re.MULTILINE)
    if not total:
        raise BenchError("callgrind_annotate told no totals")
    return int(total[1].replace(",", "")), costs


def join_names(costs):
    """One row a function: lines inlined from another file come without the object, and what a
    library does not name is one row."""
    objects = {name: where for name, where in costs if where}
    joined = collections.Counter()
    for (name, where), cost in costs.items():
        where = where or objects.get(name, "")
        joined["(without a name)" if name.startswith("0x") else name, where] += cost
    return joined


def instructions(server, client, *options):
    """(instructions per ping, [(instructions, function, object), ...] of the dearest ones)."""
    few, few_costs = run(server, FEW, client, *options)
    many, many_costs = run(server, MANY, client, *options)
    pings = MANY - FEW
    many_costs.subtract(few_costs)
    rows = [(cost / pings, *key) for key, cost in join_names(many_costs).items()]
    return (many - few) / pings, sorted((r for r in rows if r[0] >= 0.5), reverse=True)


def profile_text(total, rows):
    lines = [f"instructions in user space for each ping: {total:.0f}", ""]
    lines += [f"{cost:9.1f} {100 * cost / total:5.1f} %  {name} [{where}]"
              for cost, name, where in rows]
    lines += ["", f"{sum(r[0] for r in rows):9.1f}  in all of these"]
    return "\n".join(lines) + "\n"
