"""demo.*: the demo bank's day through the whole path, and the latency of a message."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from measure import TOP, Failed

sys.path.insert(0, os.path.join(TOP, "schemas", "demo-bank"))
import demo  # noqa: E402  the demo's processes, without its prints

CUSTOMERS = 100000


class Day:
    def __init__(self, bench, work):
        self.bench, self.work = bench, work
        self.bank = os.path.join(work, "bank.ndjson")
        self.events = 200000 if bench.quick else 1000000
        made = subprocess.run([os.path.join(bench.bin, "moment"), "generate", "--synthetic",
                               f"demo:customers={CUSTOMERS},events={self.events}", "--bank-out", self.bank], check=False)
        if made.returncode:
            raise Failed("the bank could not be generated")

    def demo(self):
        args = argparse.Namespace(bin=self.bench.bin, data="", customers=CUSTOMERS, events=self.events, seed=1, keep=False)
        return demo.Demo(args)

    def throughput(self, *options):
        """One run of the demo's day. Returns events/s and the rate of its replay."""
        run = self.demo()
        try:
            data, engine, to, admin = run.engine("day", self.bank, "--clock=event", *options)
            sink = run.start("moment", "sink", "--to", to, "--quiet", "--json", stderr=subprocess.PIPE)
            time.sleep(0.3)
            fed = run.tool("moment", "feed", "--to", to, "--synthetic", run.spec(), "--json", stdout=subprocess.PIPE)
            status = run.settle(admin)
            run.stop(sink)
            if fed.returncode or run.stop(engine) or not status["equations_hold"]:
                raise Failed("a run with a wrong answer")
            replay = run.tool("moment", "replay", "--data", data, "--verify", stdout=subprocess.PIPE)
            if replay.returncode:
                raise Failed("the replay differs")
            return json.loads(fed.stdout)["events_per_second"], float(replay.stdout.split("(")[1].split(" ")[0])
        finally:
            run.clean()

    def latency(self):
        run = self.demo()
        try:
            _, engine, to, admin = run.engine("clock", self.bank)
            sink = run.start("moment", "sink", "--to", to, "--quiet", "--json", "--latency", stderr=subprocess.PIPE)
            time.sleep(0.3)
            fed = run.tool("moment", "feed", "--to", to, "--synthetic", run.spec(), "--count", "40000", "--rate", "10000",
                           "--times=now", "--json", stdout=subprocess.PIPE)
            run.settle(admin)
            sink.terminate()
            report = json.loads(sink.communicate(timeout=20)[1].strip().splitlines()[-1])
            if fed.returncode or not report["latency_ns"]:
                raise Failed("a run with a wrong answer")
            run.stop(sink)
            run.stop(engine)
            return report["latency_ns"]
        finally:
            run.clean()


def questions(bench):
    work = tempfile.mkdtemp(prefix="moment-bench-")
    try:
        day = Day(bench, work)
        durable, ratios, replays = [], [], []
        pairs = 1 if bench.quick else 4
        for pair in range(pairs):
            rate = {}
            for durability in ("sync", "none") if pair % 2 == 0 else ("none", "sync"):
                rate[durability], replay = day.throughput("--durability=" + durability)
                if durability == "sync":
                    replays.append(replay)
            durable.append(rate["sync"])
            ratios.append(rate["sync"] / rate["none"])
        params = {"events": day.events, "customers": CUSTOMERS, "bank": "demo"}
        bench.result("demo.throughput", durable, "events/s", pairs, **params)
        bench.result("demo.durable_cost", ratios, "ratio", pairs, **params)
        bench.result("demo.replay", replays, "events/s", pairs, **params)
        latencies = [day.latency() for _ in range(pairs)]
        for part in ("p50", "p99"):
            bench.result(f"demo.latency.{part}", [ns[part] / 1000 for ns in latencies], "us", pairs, rate=10000)
    except demo.Failed as why:
        raise Failed(str(why)) from why
    finally:
        shutil.rmtree(work, ignore_errors=True)
