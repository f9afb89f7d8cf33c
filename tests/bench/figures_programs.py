# SPDX-License-Identifier: MIT
"""The figures of programs and files, taken as those of figures.py are."""

import os
import shutil
import statistics
import subprocess
import tempfile

import programs
from programs import MIB

KIB = 1024


def call_times(run, count):
    return statistics.median(programs.seconds(run) for _ in range(count)) * 1e6


def exec_calls(bench, ratio):
    """A run of /bin/true, and what a program says captured in the reply."""
    def captured(rpc, path, mib):
        request = rpc.request("exec.run", argv=["/bin/cat", path])

        def ours():
            line = rpc.ask_unread(request)
            if b'"stdout_bytes":%d,' % (mib * MIB) not in line[:400] or len(line) < mib * MIB:
                raise programs.BenchError("not all of the output was captured")

        return ours

    rows = []
    with programs.Agent() as agent, programs.QemuGa() as peer:
        rpc, qga = programs.Rpc(agent), programs.Qga(peer)
        us = bench.by_turns(
            ours=lambda: call_times(lambda: rpc.call("exec.run", argv=["/bin/true"]), 200),
            floor=bench.spawn_true,
            peer=lambda: call_times(lambda: qga.run("/bin/true"), 100))
        rows += [
            ratio("exec.run of /bin/true, p50", "µs", us["ours"], us["floor"],
                  "posix_spawn and wait", "≤ 1.5"),
            ratio("exec.run of /bin/true, p50", "µs", us["ours"], us["peer"], "qemu-ga", "< 1"),
        ]
        for kind, target in (("text", "≥ 4"), ("binary", "≥ 2")):
            path = os.path.join(agent.folder, kind)
            programs.make_file(path, 4 * MIB, kind == "text")
            speed = bench.by_turns(
                ours=lambda run=captured(rpc, path, 4): 4 / programs.seconds(run),
                peer=lambda at=path: 4 / programs.seconds(
                    lambda: qga.run("/bin/cat", at, capture=True)))
            rows.append(ratio(f"captured output, {kind}", "MiB/s", speed["ours"], speed["peer"],
                              "qemu-ga", target))
        rows.append(bench.limit("the agent's peak memory, captured output",
                                programs.peak(agent.process.pid) / KIB, "KiB", "≤ 16,384 KiB"))
        rpc.close()
        qga.close()
    return rows


def exec_stream(bench, ratio, mib=1024):
    """Output of a program through the real client, beside the same bytes over a bare socket."""
    copy, client = bench.copy_program, bench.guestwire_program
    folder = tempfile.mkdtemp(prefix="guestwire-bench-", dir="/dev/shm")
    source = os.path.join(folder, "zeros")
    try:
        with open(source, "wb") as f:
            f.truncate(mib * MIB)
        with programs.Agent() as agent, programs.BareCopy(source) as bare, \
                open(os.devnull, "wb") as null:
            speed = bench.by_turns(
                ours=lambda: mib / programs.seconds(lambda: programs.run(
                    client, "exec", f"unix:{agent.path}", "--", copy, "produce", str(mib),
                    stdout=null)),
                floor=lambda: mib / programs.seconds(lambda: programs.run(
                    copy, "fetch", bare.path, os.devnull)))
            return [
                ratio("guestwire exec, output", "MiB/s", speed["ours"], speed["floor"],
                      "bare socket copy", "≥ 0.5"),
                bench.limit("the agent's peak memory, streamed output",
                            programs.peak(agent.process.pid) / KIB, "KiB", "≤ 16,384 KiB"),
            ]
    finally:
        shutil.rmtree(folder)


def copies(bench, ratio, mib=1024, peer_mib=64):
    """A large file each way: in memory, so that no disk is measured."""
    folder = tempfile.mkdtemp(prefix="guestwire-bench-", dir="/dev/shm")
    source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
    part = os.path.join(folder, "part")
    try:
        programs.run("dd", "if=/dev/urandom", f"of={source}", "bs=1M", f"count={mib}",
                     "status=none")
        with open(source, "rb") as f, open(part, "wb") as g:
            data = f.read(peer_mib * MIB)
            g.write(data)
        with programs.Agent() as agent, programs.BareCopy(source) as bare, \
                programs.QemuGa() as peer, programs.Sshd() as sshd:
            guest, client = f"unix:{agent.path}", bench.guestwire_program
            qga = programs.Qga(peer)

            def of(size, *command):
                return lambda: size / programs.seconds(lambda: programs.run(*command))

            speed = bench.by_turns(
                get=of(mib, client, "cp", f"{guest}:{source}", target),
                put=of(mib, client, "cp", source, f"{guest}:{target}"),
                bare=of(mib, bench.copy_program, "fetch", bare.path, target),
                scp=lambda: mib / programs.seconds(lambda: sshd.copy(source, target)),
                qga_get=lambda: peer_mib / programs.seconds(
                    lambda: qga.fetch(part, peer_mib * MIB)),
                qga_put=lambda: peer_mib / programs.seconds(lambda: qga.store(target, data)))
            qga.close()
            return [
                ratio("cp from the guest", "MiB/s", speed["get"], speed["bare"],
                      "bare socket copy", "≥ 0.7"),
                ratio("cp to the guest", "MiB/s", speed["put"], speed["bare"],
                      "bare socket copy", "≥ 0.7"),
                ratio("cp from the guest", "MiB/s", speed["get"], speed["qga_get"], "qemu-ga",
                      "≥ 10"),
                ratio("cp to the guest", "MiB/s", speed["put"], speed["qga_put"], "qemu-ga",
                      "≥ 10"),
                ratio("cp to the guest", "MiB/s", speed["put"], speed["scp"], "scp"),
                bench.limit("the agent's peak memory, cp",
                            programs.peak(agent.process.pid) / KIB, "KiB", "≤ 16,384 KiB"),
            ]
    finally:
        shutil.rmtree(folder)


def small_files(bench, ratio, files=10000):
    """Many small files, beside tar through `guestwire connect` to a tar in the guest."""
    folder = tempfile.mkdtemp(prefix="guestwire-bench-", dir="/dev/shm")
    source = os.path.join(folder, "source")
    try:
        programs.make_tree(source, files)
        received = os.path.join(folder, "received")
        os.mkdir(received)
        with programs.Agent(received) as agent:
            def emptied(run):
                def timed():
                    shutil.rmtree(received)
                    os.mkdir(received)
                    return files / programs.seconds(run)
                return timed

            def tar():
                with subprocess.Popen(["tar", "-C", folder, "-cf", "-", "source"],
                                      stdout=subprocess.PIPE) as sender:
                    programs.run(bench.guestwire_program, "connect", f"unix:{agent.path}.tar",
                                 stdin=sender.stdout)

            rate = bench.by_turns(
                ours=emptied(lambda: programs.run(
                    bench.guestwire_program, "cp", "-rp", source,
                    f"unix:{agent.path}:{received}/")),
                tar=emptied(tar))
            return [
                ratio("cp -rp of 10,000 small files", "/s", rate["ours"], rate["tar"],
                      "tar through guestwire connect"),
                bench.limit("the agent's peak memory, small files",
                            programs.peak(agent.process.pid) / KIB, "KiB", "≤ 16,384 KiB"),
            ]
    finally:
        shutil.rmtree(folder)
