"""ingest.latency.*: from the intended send time of an event to the moment the engine's side has it: io_uring recv against
the ring that the pre-filter writes, both spinning, and both asleep. bench/ingest.c runs them and checks what comes."""
import json
import os
import subprocess

from measure import Failed, Question, Skipped, cpus

RATE = 20000
GOAL = 3


class Ways:
    def __init__(self, bench, rate=RATE, irrelevant=0):
        self.program = os.path.join(bench.bin, "bench", "ingest")
        self.rate, self.irrelevant, self.events = rate, irrelevant, rate // 2
        self.engine, self.generator = cpus()
        self.seed = 0

    def run(self, way):
        self.seed += 1
        done = subprocess.run([self.program, "--way", way, "--events", str(self.events), "--rate", str(self.rate), "--irrelevant",
                               str(self.irrelevant), "--seed",
                               str(self.seed), "--engine-cpu", str(self.engine), "--generator-cpu", str(self.generator)],
                              check=False, capture_output=True, text=True)
        if done.returncode and "no kernel way" in done.stderr:
            raise Skipped(done.stderr.strip())
        if done.returncode:
            raise Failed(done.stderr.strip())
        return json.loads(done.stdout)


def compare(bench, name, kernel, recv, kind, goal):
    ways = Ways(bench)
    question = Question(bench, name)
    pairs = 2 if bench.quick else 12
    both = question.pairs(pairs, lambda: ways.run(kernel), lambda: ways.run(recv))
    question.check()
    for who, which in (("kernel", 0), ("recv", 1)):
        for part in ("p50", "p99"):
            values = [pair[which][part] / 1000 for pair in both]
            if (who, part) != ("recv", "p50"):
                bench.result(f"ingest.latency.{who}.{kind}.{part}", values, "us", pairs, rate=RATE)
    bench.yardstick(f"ingest.latency.recv.{kind}.p50", [r["p50"] / 1000 for _, r in both], "us", min)
    params = question.params(rate=RATE, events=ways.events, frame_bytes=64, engine_cpu=ways.engine,
                             kernel_p99_us=[k["p99"] / 1000 for k, _ in both], recv_p99_us=[r["p99"] / 1000 for _, r in both],
                             engine_ns_per_event={"kernel": [k["engine_ns"] for k, _ in both], "recv": [r["engine_ns"] for _, r in both]},
                             sleeps_per_event={"kernel": [k["sleeps"] for k, _ in both], "recv": [r["sleeps"] for _, r in both]})
    if goal:
        params["goal"] = goal
    bench.result(name, [r["p50"] / k["p50"] for k, r in both], "ratio", pairs, **params)


def questions(bench):
    bench.ask("ingest.latency.kernel_vs_recv", lambda b: compare(
        b, "ingest.latency.kernel_vs_recv", "kernel-spinning", "recv-spinning", "spinning", GOAL))
    bench.ask("ingest.latency.asleep", lambda b: compare(
        b, "ingest.latency.asleep", "kernel-waiting", "recv-waiting", "asleep", None))
    bench.ask("prefilter.cpu_way_in.95", way_in)


def way_in(bench):
    """CPU of the receiving thread alone: 100,000 events/s, one a segment, 95 % irrelevant, asleep, ACKs as the engine sends them."""
    name, rate = "prefilter.cpu_way_in.95", 100000
    ways = Ways(bench, rate, 95)
    question = Question(bench, name)
    pairs = 1 if bench.quick else 8
    both = question.pairs(pairs, lambda: ways.run("kernel-waiting"), lambda: ways.run("recv-waiting"))
    question.check()
    for who, which in (("kernel", 0), ("user", 1)):
        bench.result(f"{name}.{who}", [pair[which]["engine_ns"] for pair in both], "ns/event", pairs, rate=rate)
    bench.result(name, [r["engine_ns"] / k["engine_ns"] for k, r in both], "ratio", pairs, **question.params(
        rate=rate, percent=95, events=ways.events, write="one event a segment", spin="never", journal="none",
        acks={"kernel": [k["acks"] for k, _ in both], "user": [r["acks"] for _, r in both]},
        sleeps_per_event={"kernel": [k["sleeps"] for k, _ in both], "user": [r["sleeps"] for _, r in both]}))
