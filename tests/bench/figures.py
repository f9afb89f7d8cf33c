# SPDX-License-Identifier: MIT
"""What is measured. Each function takes its figures in one go, the servers that it compares
taking turns, so that whatever else the machine does hits them alike; it returns Figures."""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import time

import callgrind
import figures_programs
import methods
import proxies
from servers import BenchError, Echo, EpollEcho, Guestwired, NotifySocket, QemuGa, memory

KIB = 1024


@dataclasses.dataclass
class Figure:
    """One row: what was measured, beside what, and what it was to be. `judged` is what the
    target speaks of, the ratio or the value itself; a row without a target informs."""

    name: str
    ours: float
    unit: str
    reference: float = None
    reference_name: str = ""
    ratio: float = None
    target: str = ""
    judged: float = None

    @property
    def verdict(self):
        if not self.target:
            return ""
        relation, limit = self.target.split()[0], float(self.target.split()[1].replace(",", ""))
        good = {"≤": self.judged <= limit, "≥": self.judged >= limit,
                "<": self.judged < limit}[relation]
        return "ok" if good else "missed"


def ratio(name, unit, ours, reference, reference_name, target=""):
    r = ours / reference
    return Figure(name, ours, unit, reference, reference_name, r, target, r)


class Bench:
    def __init__(self, client, rounds):
        self.client_program = client
        self.stream_program = os.path.join(os.path.dirname(client), "bench-stream")
        self.spawn_program = os.path.join(os.path.dirname(client), "bench-spawn")
        self.copy_program = os.path.join(os.path.dirname(client), "bench-copy")
        self.guestwire_program = os.path.join(os.path.dirname(client), "../../guestwire")
        self.rounds = rounds
        self.profile = ""

    def client(self, mode, server, *options, protocol=None):
        """Runs the load generator to its end; what it has measured."""
        done = subprocess.run([self.client_program, mode,
                               f"--protocol={protocol or server.protocol}",
                               *options, server.path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
                              check=False, timeout=600)
        if done.returncode != 0:
            raise BenchError(f"bench-client {mode} on {server.protocol}: exit "
                             f"{done.returncode}\n{server.said()}")
        return json.loads(done.stdout)

    def by_turns(self, **runs):
        """The median of each run's rounds; a round is one of each."""
        samples = {name: [] for name in runs}
        for run in runs.values():
            run()  # not counted: caches, lazy binding, CPU frequency
        for _ in range(self.rounds):
            for name, run in runs.items():
                samples[name].append(run())
        return {name: statistics.median(values) for name, values in samples.items()}

    def latency(self):
        def of(server, count=20000):
            return lambda: self.client("latency", server, f"--count={count}")["p50_ns"] / 1000

        with Guestwired() as ours, Echo() as floor, QemuGa() as peer:
            p50 = self.by_turns(ours=of(ours), floor=of(floor), peer=of(peer, 5000))
        return [
            ratio("round trip, p50", "µs", p50["ours"], p50["floor"], "bare echo", "≤ 1.25"),
            ratio("round trip, p50", "µs", p50["ours"], p50["peer"], "qemu-ga"),
        ]

    def throughput(self):
        def of(server, connections, depth):
            return lambda: self.client("throughput", server, "--seconds=0.5",
                                       f"--connections={connections}",
                                       f"--depth={depth}")["per_second"]

        with Guestwired() as ours, QemuGa() as peer, EpollEcho() as floor:
            deep = self.by_turns(ours=of(ours, 1, 32), peer=of(peer, 1, 32))
            many = self.by_turns(many=of(ours, 256, 32), one=of(ours, 1, 8192))
            flat = self.by_turns(many=of(ours, 256, 1), one=of(ours, 1, 256),
                                 floor_many=of(floor, 256, 1), floor_one=of(floor, 1, 256))
        return [
            ratio("pings a second, depth 32", "/s", deep["ours"], deep["peer"], "qemu-ga", "≥ 4"),
            ratio("256 clients at depth 32", "/s", many["many"], many["one"],
                  "one at depth 8,192", "≥ 0.5"),
            ratio("256 clients at depth 1", "/s", flat["many"], flat["one"],
                  "one at depth 256", "≥ 0.5"),
            ratio("256 clients at depth 1", "/s", flat["many"], flat["floor_many"],
                  "bare epoll echo"),
            ratio("bare epoll echo, 256 at depth 1", "/s", flat["floor_many"], flat["floor_one"],
                  "one at depth 256"),
        ]

    def instructions(self):
        if not shutil.which("valgrind"):
            raise BenchError("valgrind is not installed")
        ours, rows = callgrind.instructions(Guestwired, self.client, callgrind.PAUSE)
        peer, _ = callgrind.instructions(QemuGa, self.client, callgrind.PAUSE)
        hurried, _ = callgrind.instructions(Guestwired, self.client)
        peer_hurried, _ = callgrind.instructions(QemuGa, self.client)
        self.profile = callgrind.profile_text(ours, rows)
        return [
            Figure("instructions a ping, a pause between", ours, "", peer, "qemu-ga",
                   ours / peer, "≤ 5,000", ours),
            Figure("instructions a ping, without pause", hurried, "", peer_hurried, "qemu-ga",
                   hurried / peer_hurried, "≤ 5,000", hurried),
        ]

    def idle_memory(self):
        def idle(server):
            # A ping each, so that nothing is counted out that the first call brings with it.
            self.client("latency", server, "--count=10")
            return memory(server.process.pid)

        ours, peer = [], []
        for _ in range(self.rounds):
            with Guestwired() as a, QemuGa() as b:
                ours.append(idle(a))
                peer.append(idle(b))
        median = {(who, key): statistics.median(m[key] for m in samples) / KIB
                  for who, samples in (("ours", ours), ("peer", peer))
                  for key in ("Pss", "Pss_Anon")}
        anonymous = median["ours", "Pss_Anon"]
        return [
            Figure("idle, Pss_Anon", anonymous, "KiB", median["peer", "Pss_Anon"], "qemu-ga",
                   anonymous / median["peer", "Pss_Anon"], "≤ 512 KiB", anonymous),
            ratio("idle, PSS", "KiB", median["ours", "Pss"], median["peer", "Pss"], "qemu-ga",
                  "< 1"),
        ]

    def connection_memory(self, connections=1000):
        samples = []
        for _ in range(self.rounds):
            with Guestwired() as server:
                self.client("latency", server, "--count=10")
                before = memory(server.process.pid)["Pss_Anon"]
                with self.held(server, connections):
                    samples.append(memory(server.process.pid)["Pss_Anon"] - before)
        each = statistics.median(samples) / connections / KIB
        return [Figure("memory a connection, 1,000 idle", each, "KiB", target="≤ 8 KiB",
                       judged=each)]

    def stream(self, mode, proxy, *options):
        """Runs both ends of what a proxy carries; what they have measured."""
        done = subprocess.run([self.stream_program, mode, f"--port={proxy.port}", *options,
                               proxy.path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
                              check=False, timeout=600)
        if done.returncode != 0:
            raise BenchError(f"bench-stream {mode} through {proxy.name}: exit "
                             f"{done.returncode}\n{proxy.said()}")
        return json.loads(done.stdout)

    def forward(self, mib=1024, connections=1000):
        """Bytes through a proxy, and what they cost it."""
        cost = {}

        def flow(proxy, mib, *options):
            def run():
                before = proxy.cpu()
                speed = self.stream("flow", proxy, f"--mib={mib}", *options)["mib_per_second"]
                cost.setdefault((proxy.name, options), []).append(
                    (proxy.cpu() - before) * 1024 / (mib * (1 + len(options))))
                return speed
            return run

        def calls(proxy):
            return lambda: self.stream("calls", proxy, "--count=2000")["per_second"]

        port = proxies.free_port()
        with proxies.Forward(port) as ours, proxies.Socat(port) as socat, \
                proxies.SocketProxyd(port) as proxyd:
            peers = {p.name: p for p in (ours, socat, proxyd)}
            speed = self.by_turns(direct=flow(proxies.Direct(port), mib),
                                  **{name: flow(p, mib) for name, p in peers.items()})
            both = self.by_turns(**{name: flow(p, mib // 2, "--both")
                                    for name, p in peers.items()})
            rate = self.by_turns(**{name: calls(p) for name, p in peers.items()})
        cpu = {key: statistics.median(samples[1:]) for key, samples in cost.items()}
        others = (socat.name, proxyd.name)
        fastest = max(others, key=speed.get)
        cheapest = min(others, key=lambda name: cpu[name, ()])
        fastest_both = max(others, key=both.get)
        way = "forward, Unix to TCP"
        rows = [
            ratio(way, "MiB/s", speed[ours.name], speed[fastest], fastest, "≥ 0.95"),
            ratio(way, "MiB/s", speed[ours.name], speed["direct"], "no proxy"),
            ratio(f"{way}, CPU a GiB", "s", cpu[ours.name, ()], cpu[cheapest, ()], cheapest,
                  "≤ 1"),
            ratio("forward, both ways at once", "MiB/s", both[ours.name], both[fastest_both],
                  fastest_both, "≥ 0.95"),
            ratio("forward, both ways, CPU a GiB", "s", cpu[ours.name, ("--both",)],
                  min(cpu[name, ("--both",)] for name in others), "the better of both", "≤ 1"),
        ]
        rows += [ratio("connections a second through forward", "/s", rate[ours.name], rate[name],
                       name, "≥ 1") for name in others]
        return rows + self.forward_memory(connections)

    def forward_memory(self, connections):
        def each(kind):
            with kind(proxies.free_port()) as proxy:
                self.stream("calls", proxy, "--count=10")
                before = proxy.memory()
                with self.held_through(proxy, connections):
                    return (proxy.memory() - before) / connections / KIB

        ours = statistics.median(each(proxies.Forward) for _ in range(self.rounds))
        rows = []
        for kind in (proxies.SocketProxyd, proxies.Socat):
            peer = each(kind)
            rows.append(Figure(f"memory a forwarded connection, {connections:,} idle", ours,
                               "KiB", peer, kind.name, ours / peer, "≤ 8 KiB", ours))
        return rows

    def spawn_true(self):
        """posix_spawn and wait of /bin/true in a bare program, in microseconds."""
        done = subprocess.run([self.spawn_program, "500", "/bin/true"], check=True,
                              stdout=subprocess.PIPE, encoding="utf-8", timeout=600)
        return json.loads(done.stdout)["p50_ns"] / 1000

    @staticmethod
    def limit(name, value, unit, target):
        return Figure(name, value, unit, target=target, judged=value)

    def exec(self):
        return (figures_programs.exec_calls(self, ratio)
                + figures_programs.exec_stream(self, ratio))

    def files(self):
        return figures_programs.copies(self, ratio) + figures_programs.small_files(self, ratio)

    def methods(self):
        """A call of a method of one's own, beside the same without us."""
        def call(server, protocol, count):
            return lambda: self.client("latency", server, f"--count={count}",
                                       protocol=protocol)["p50_ns"] / 1000

        with methods.LocalServer() as server, methods.LocalServer() as direct, \
                methods.Methods(server) as ours:
            p50 = self.by_turns(program=call(ours, "program", 500), spawn=self.spawn_true,
                                server=call(ours, "local", 3000),
                                direct=call(direct, "local", 3000))
        return [
            ratio("[method] call of /bin/true, p50", "µs", p50["program"], p50["spawn"],
                  "posix_spawn and wait", "≤ 1.5"),
            ratio("to = unix: call, p50", "µs", p50["server"], p50["direct"],
                  "its server directly", "≤ 2"),
        ]

    @contextlib.contextmanager
    def held_through(self, proxy, connections):
        """So many connections through a proxy, a byte each way on each."""
        with subprocess.Popen([self.stream_program, "hold", f"--port={proxy.port}",
                               f"--count={connections}", proxy.path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            if json.loads(holder.stdout.readline() or b"{}") != {"connections": connections}:
                raise BenchError(f"{connections} connections were not all served by "
                                 f"{proxy.name}\n{proxy.said()}")
            yield
            holder.stdin.close()
            if holder.wait() != 0:
                raise BenchError("bench-stream hold failed")

    @contextlib.contextmanager
    def held(self, server, connections):
        """So many connections, a ping done on each."""
        with subprocess.Popen([self.client_program, "hold", f"--protocol={server.protocol}",
                               f"--connections={connections}", server.path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            if json.loads(holder.stdout.readline() or b"{}") != {"connections": connections}:
                raise BenchError(f"{connections} connections were not all served\n{server.said()}")
            yield
            holder.stdin.close()
            if holder.wait() != 0:
                raise BenchError("bench-client hold failed")

    def start(self, starts=15):
        """From just before the process is made to its READY=1."""
        def true():
            begin = time.perf_counter_ns()
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
            return (time.perf_counter_ns() - begin) / 1e6

        def ready():
            return statistics.median(ReadyTime.take() for _ in range(starts))

        ms = self.by_turns(ours=ready, floor=true)
        return [Figure("exec to READY=1", ms["ours"], "ms", ms["floor"],
                       "exec of /bin/true to its exit", ms["ours"] / ms["floor"],
                       "≤ 10 ms", ms["ours"])]


class ReadyTime(Guestwired):
    """The daemon, started by a single call whose time is taken: subprocess's own work is not
    the daemon's."""

    milliseconds = None

    @classmethod
    def take(cls):
        with cls() as server:
            return server.milliseconds

    def start(self):
        self.write_config()
        self.errors = open(os.path.join(self.folder, "stderr"), "wb")
        with NotifySocket(self.folder) as notify:
            environment = dict(os.environ, NOTIFY_SOCKET=notify.path)
            actions = [(os.POSIX_SPAWN_DUP2, self.errors.fileno(), 2)]
            begin = time.perf_counter_ns()
            pid = os.posix_spawn(self.program, self.command(), environment, file_actions=actions)
            ready = notify.receive_ready(10)
            self.milliseconds = (time.perf_counter_ns() - begin) / 1e6
        self.process = SpawnedProcess(pid)
        if not ready:
            self.refuse_to_start()


class SpawnedProcess:
    """As much of subprocess.Popen as Server needs."""

    stdout = None

    def __init__(self, pid):
        self.pid = pid
        self.status = None

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds=None):
        if self.status is None:
            fd = os.pidfd_open(self.pid)
            try:
                if not select.select([fd], [], [], seconds)[0]:
                    raise subprocess.TimeoutExpired(str(self.pid), seconds)
            finally:
                os.close(fd)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status
