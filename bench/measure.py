"""The harness of all questions: runs with a hiccup meter beside them, results with their intervals, results.json.

Runs are short (half a second) and many, so that one stall costs one short run. One in which the machine stood still for
more than 2 ms is discarded and done again; a question with more than a fifth of its runs discarded is void, and so is one
whose yardstick was below 0.8 of the best that this machine has shown.
"""
import json
import os
import platform
import statistics
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STALL_NS = 2000000
TRIES = 8
YARDSTICK_MIN = 0.8


class Failed(Exception):
    """A wrong answer, or something that a run needs is missing: no result."""


class Void(Exception):
    """The machine did not let it be measured."""


class Skipped(Exception):
    """What a question asks about is not there."""


class Hiccups:
    """with Hiccups(bin) as meter: ...; then meter.longest(answer) is the longest stall within the run, in ns."""

    def __init__(self, directory):
        self.program = os.path.join(directory, "bench", "hiccups")

    def __enter__(self):
        self.process = subprocess.Popen([self.program], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise Failed("the hiccup meter did not start")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        report = json.loads(self.process.communicate()[0])
        self.stalls, self.realtime = report["stalls"], report["realtime"]

    def longest(self, answer):
        """Of the stalls between answer["from"] and answer["to"]: loading and ending a program are not what is measured."""
        return max((late for start, late in self.stalls if start < answer["to"] and start + late > answer["from"]), default=0)

    def total(self, answer):
        """Of all CPUs: two that stand still at once count twice."""
        return sum(late for start, late in self.stalls if start < answer["to"] and start + late > answer["from"])


class Question:
    """The runs of one question, counted."""

    def __init__(self, bench, name, stall_share=0):
        """stall_share: how much of a run's time stalls may take, for a throughput of many seconds; 0: none above 2 ms."""
        self.bench, self.name, self.runs, self.discarded, self.stall_share = bench, name, 0, 0, stall_share

    def run(self, measure, *args):
        """One undisturbed run of measure(*args)."""
        for _ in range(TRIES):
            with Hiccups(self.bench.bin) as meter:
                answer = measure(*args)
            self.runs += 1
            longest = meter.longest(answer)
            if longest <= STALL_NS or meter.total(answer) <= self.stall_share * (answer["to"] - answer["from"]):
                return answer
            self.discarded += 1
            if self.bench.with_stalls:
                return answer
        raise Void(f"{TRIES} runs one after the other with a stall above 2 ms, the last of {longest / 1e6:.1f} ms")

    def pairs(self, count, subject, yardstick):
        """A B B A: [(what subject gave, what yardstick gave), ..]."""
        out = []
        for pair in range(count):
            if pair % 2 == 0:
                a = self.run(subject)
                b = self.run(yardstick)
            else:
                b = self.run(yardstick)
                a = self.run(subject)
            out.append((a, b))
        return out

    def check(self):
        if self.discarded * 5 > self.runs and not self.bench.with_stalls:
            raise Void(f"{self.discarded} of {self.runs} runs had a stall above 2 ms")

    def params(self, **more):
        return {"runs": self.runs, "discarded": self.discarded, **more}


class Bench:
    def __init__(self, args):
        self.bin, self.quick, self.out, self.with_stalls = args.bin, args.quick, args.out, args.with_stalls
        self.results, self.without, self.failed = [], [], False
        self.best_file = os.path.join(os.path.dirname(os.path.abspath(args.out)), "best.json")

    def result(self, name, values, unit, pairs, **params):
        """params may have goal (at least), goal_max (at most) and better: "min" or "max"."""
        better = params.pop("better", None) or better_of(name, unit, params)
        r = {"name": name, "value": statistics.median(values), "low": min(values), "high": max(values), "unit": unit,
             "pairs": pairs, "better": better, "samples": list(values), "params": params}
        self.results.append(r)
        goal, most = params.get("goal"), params.get("goal_max")
        met = r["value"] >= goal if goal is not None else most is None or r["value"] <= most
        missed = "" if goal is None and most is None else "  goal met" if met else f"  GOAL MISSED: {goal if goal is not None else most}"
        shown = {k: v for k, v in params.items() if k in ("rate", "events", "customers", "bank", "percent", "runs", "discarded") or (k, v) == ("kept_up", False)}
        print(f"{name:38} {r['value']:14,.3f} {r['low']:14,.3f} {r['high']:14,.3f}  {unit:10} {shown}{missed}", flush=True)

    def no_result(self, name, kind, why):
        self.without.append({"name": name, "kind": kind, "why": str(why)})
        print(f"{name:38} {kind}: {why}", flush=True)

    def ask(self, name, question):
        """Calls question(self); one that gives no result leaves the others alone."""
        try:
            question(self)
        except Failed as why:
            self.failed = True
            self.no_result(name, "failed", why)
        except Void as why:
            self.no_result(name, "void", why)
        except Skipped as why:
            self.no_result(name, "skipped", why)

    # ---- yardsticks ----

    def yardstick(self, name, values, unit, better, **params):
        """Notes a yardstick's own figure; void when it is below 0.8 of the best one of this machine. better: min or max."""
        value = statistics.median(values)
        self.result(name, values, unit, len(values), **params)
        best = self.best_load()
        key = f"{machine()['cpu']} {machine()['cpus']} {platform.release()} {name}"
        known = best.get(key, value)
        best[key] = known if self.with_stalls else better(known, value)
        os.makedirs(os.path.dirname(self.best_file), exist_ok=True)
        with open(self.best_file, "w") as out:
            json.dump(best, out, indent=1)
        share = known / value if better is min else value / known
        if share < YARDSTICK_MIN and not self.with_stalls:
            raise Void(f"the yardstick {name} is {value:,.0f} {unit}, {share:.2f} of the best on this machine")

    def best_load(self):
        try:
            with open(self.best_file) as best:
                return json.load(best)
        except FileNotFoundError:
            return {}

    def write(self):
        os.makedirs(os.path.dirname(os.path.abspath(self.out)), exist_ok=True)
        with open(self.out, "w") as out:
            json.dump({"machine": {**machine(), "with_stalls": self.with_stalls, "quick": self.quick}, "results": self.results, "without": self.without}, out, indent=1)
        print(f"written: {self.out}")


def better_of(name, unit, params):
    """Which way a figure is better, where its question does not say."""
    if "goal" in params or "goal_max" in params:
        return "max" if "goal" in params else "min"
    return "min" if unit in ("us", "ns", "ns/event") or name.endswith("growth") else "max"


def pace_now():
    """The clock of the hiccup meter, ns."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def machine():
    with open("/proc/cpuinfo") as text:
        model = next((line.split(":")[1].strip() for line in text if line.startswith("model name")), "?")
    return {"kernel": platform.release(), "cpu": model, "cpus": os.cpu_count(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def cpus():
    """Two CPUs, the engine's and the generator's: the disk's interrupt is not the engine's."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        raise Skipped("two CPUs are needed")
    disk = disk_cpu()
    engine = next((c for c in ours if c != disk), ours[0])
    return engine, next(c for c in ours if c != engine)


def disk_cpu():
    """The CPU with the most interrupts of virtio or NVMe queues; -1: none is known."""
    best = (0, -1)
    with open("/proc/interrupts") as lines:
        for line in lines:
            words = line.split()
            if not words or not ("req." in words[-1] or "nvme" in words[-1]):
                continue
            for cpu, count in enumerate(words[1:1 + os.cpu_count()]):
                if count.isdigit() and int(count) > best[0]:
                    best = (int(count), cpu)
    return best[1]
