#!/usr/bin/env python3
"""The bench: runs each question's subject and yardstick in turn, checks the answers, prints a table, writes results.json.

    bench.py --bin build/release --out build/bench/results.json [--quick]
    bench.py --compare BASE.json --out build/bench/results.json
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "schemas", "demo-bank"))
import demo  # noqa: E402  the demo's processes, without its prints


class Bench:
    def __init__(self, args):
        self.args = args
        self.pairs = 2 if args.quick else 6
        self.events = 300000 if args.quick else 1000000
        self.results = []

    def result(self, name, values, unit, pairs, **params):
        self.results.append({"name": name, "value": statistics.median(values), "low": min(values), "high": max(values),
                             "unit": unit, "pairs": pairs, "params": params})
        r = self.results[-1]
        print(f"{name:24} {r['value']:14,.3f} {r['low']:14,.3f} {r['high']:14,.3f}  {unit:10} {pairs} pairs  {params}", flush=True)

    def day(self, *options):
        """One run of the demo's day. Returns events/s and the data directory's replay rate."""
        args = argparse.Namespace(bin=self.args.bin, data="", customers=100000, events=self.events, seed=1, keep=False)
        run = demo.Demo(args)
        try:
            bank = os.path.join(self.work, "bank.ndjson")
            data, engine, to, admin = run.engine("day", bank, "--clock=event", *options)
            sink = run.start("moment", "sink", "--to", to, "--quiet", "--json", stderr=subprocess.PIPE)
            time.sleep(0.3)
            fed = run.tool("moment", "feed", "--to", to, "--synthetic", run.spec(), "--json", stdout=subprocess.PIPE)
            status = run.settle(admin)
            run.stop(sink)
            if fed.returncode or run.stop(engine) or not status["equations_hold"]:
                raise demo.Failed("a run with a wrong answer")
            replay = run.tool("moment", "replay", "--data", data, "--verify", stdout=subprocess.PIPE)
            if replay.returncode:
                raise demo.Failed("the replay differs")
            rate = float(replay.stdout.split("(")[1].split(" ")[0])
            return json.loads(fed.stdout)["events_per_second"], rate
        finally:
            run.clean()

    def latency(self):
        args = argparse.Namespace(bin=self.args.bin, data="", customers=100000, events=self.events, seed=1, keep=False)
        run = demo.Demo(args)
        try:
            bank = os.path.join(self.work, "bank.ndjson")
            _, engine, to, admin = run.engine("clock", bank)
            sink = run.start("moment", "sink", "--to", to, "--quiet", "--json", "--latency", stderr=subprocess.PIPE)
            time.sleep(0.3)
            fed = run.tool("moment", "feed", "--to", to, "--synthetic", run.spec(), "--count", "40000", "--rate", "10000",
                           "--times=now", "--json", stdout=subprocess.PIPE)
            run.settle(admin)
            sink.terminate()
            report = json.loads(sink.communicate(timeout=20)[1].strip().splitlines()[-1])
            if fed.returncode or not report["latency_ns"]:
                raise demo.Failed("a run with a wrong answer")
            run.stop(sink)
            run.stop(engine)
            return report["latency_ns"]
        finally:
            run.clean()

    def run(self):
        self.work = tempfile.mkdtemp(prefix="moment-bench-")
        try:
            generated = subprocess.run([os.path.join(self.args.bin, "moment"), "generate", "--synthetic",
                                        f"demo:customers=100000,events={self.events}", "--bank-out",
                                        os.path.join(self.work, "bank.ndjson")], check=False)
            if generated.returncode:
                raise demo.Failed("the bank could not be generated")
            print(f"{'name':24} {'median':>14} {'low':>14} {'high':>14}  unit")
            self.questions()
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def questions(self):
        durable, ratios, replays = [], [], []
        for pair in range(self.pairs):
            order = ("sync", "none") if pair % 2 == 0 else ("none", "sync")
            rate = {}
            for durability in order:
                rate[durability], replay = self.day("--durability=" + durability)
                if durability == "sync":
                    replays.append(replay)
            durable.append(rate["sync"])
            ratios.append(rate["sync"] / rate["none"])
        params = {"events": self.events, "customers": 100000, "bank": "demo"}
        self.result("demo.throughput", durable, "events/s", self.pairs, **params)
        self.result("demo.durable_cost", ratios, "ratio", self.pairs, **params)
        self.result("demo.replay", replays, "events/s", self.pairs, **params)
        latencies = [self.latency() for _ in range(self.pairs)]
        for part in ("p50", "p99"):
            self.result(f"demo.latency.{part}", [ns[part] / 1000 for ns in latencies], "us", self.pairs, rate=10000)

    def write(self):
        with open("/proc/cpuinfo") as text:
            model = next((line.split(":")[1].strip() for line in text if line.startswith("model name")), "?")
        machine = {"kernel": platform.release(), "cpu": model, "cpus": os.cpu_count(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        os.makedirs(os.path.dirname(self.args.out), exist_ok=True)
        with open(self.args.out, "w") as out:
            json.dump({"machine": machine, "results": self.results}, out, indent=1)
        print(f"written: {self.args.out}")


def compare(base, out):
    with open(base) as a, open(out) as b:
        old, new = ({r["name"]: r for r in json.load(f)["results"]} for f in (a, b))
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        apart = b["low"] > a["high"] or b["high"] < a["low"]
        print(f"{name:24} {a['value']:14,.3f} -> {b['value']:14,.3f}  x{b['value'] / a['value']:.3f}  "
              + ("intervals apart" if apart else "intervals overlap: no difference shown"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(TOP, "build/release"))
    parser.add_argument("--out", default=os.path.join(TOP, "build/bench/results.json"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--compare")
    args = parser.parse_args()
    args.bin = os.path.abspath(args.bin)
    if args.compare:
        compare(args.compare, args.out)
        return 0
    bench = Bench(args)
    try:
        bench.run()
    except demo.Failed as why:
        print(f"bench: {why}: no result", file=sys.stderr)
        return 1
    bench.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
