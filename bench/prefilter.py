#!/usr/bin/env python3
"""prefilter.*: what the filter in the kernel saves, with the filter in user space as the yardstick: the real momentd,
durable, bench/catalogue/prefilter.yaml, one source (bench/generate.c). CPU of the engine is that of all threads of
momentd, io_uring's workers too; of the machine, what is not idle less what the generator costs alone.

    prefilter.py --plot build/bench/results.json docs/prefilter-cpu.svg
"""
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request

from measure import TOP, Failed, Question, Skipped, Void, cpus

CATALOGUE = os.path.join(TOP, "bench", "catalogue")
CUSTOMERS = 10000
RATE = 100000
SECONDS = 0.5
SHARES = (0, 25, 50, 75, 90, 95, 99)
GOALS = {"prefilter.cpu.95": 8, "prefilter.cpu_machine.95": 2}


class Machine:
    """momentd and the generator, and the data that every run begins with."""

    def __init__(self, bench, work):
        self.bench, self.work, self.seed = bench, work, 0
        self.engine_cpu, self.generator_cpu = cpus()
        bank = os.path.join(work, "bank.ndjson")
        with open(bank, "w") as out:
            for customer in range(1, CUSTOMERS + 1):
                out.write(json.dumps({"customer": customer, "set": {"language": "en"}}) + "\n")
        self.tool("import", "--data", os.path.join(work, "base"), "--catalogue", CATALOGUE, bank)

    def tool(self, *words):
        done = subprocess.run([os.path.join(self.bench.bin, "moment"), *words], check=False, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"moment {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def generate(self, *options):
        self.seed += 1
        done = subprocess.run([os.path.join(self.bench.bin, "bench", "generate"), *options, "--seed", str(self.seed), "--customers",
                               str(CUSTOMERS), "--cpu", str(self.generator_cpu), "--sink-cpu", str(self.engine_cpu)],
                              check=False, capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip())
        return json.loads(done.stdout)

    def engine_start(self, mode, spin, data):
        with open(os.path.join(self.work, "momentd.err"), "w") as err:
            engine = subprocess.Popen([os.path.join(self.bench.bin, "momentd"), "--catalogue", CATALOGUE, "--data", data, "--listen",
                                       "127.0.0.1:0", "--admin", "127.0.0.1:0", "--prefilter=" + mode, "--spin=" + spin, "--cpu",
                                       str(self.engine_cpu)], stdout=subprocess.PIPE, stderr=err, text=True)
        words = engine.stdout.readline().replace(",", "").split()
        if "port" in words:
            return engine, *[f"127.0.0.1:{words[i + 1]}" for i, word in enumerate(words) if word == "port"]
        engine.wait()
        why = self.said()
        if mode == "kernel":
            raise Skipped(f"no filter in the kernel: {why}")
        raise Failed(f"momentd did not start: {why}")

    def said(self):
        with open(os.path.join(self.work, "momentd.err")) as err:
            return " | ".join(err.read().splitlines()[-3:])

    def run(self, mode, spin, seconds, options, bpf=False, replay=False):
        """One run; what bench/generate said, with the run time of the BPF program if asked."""
        data = os.path.join(self.work, "run")
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(os.path.join(self.work, "base"), data)
        engine, to, admin = self.engine_start(mode, spin, data)
        try:
            before = bpf_run(engine.pid)
            more = ["--bpf-stats"] if bpf else []
            answer = self.generate("--to", to, "--engine-pid", str(engine.pid), "--seconds", str(seconds), *options, *more)
            after = bpf_run(engine.pid)
            with urllib.request.urlopen(f"http://{admin}/status", timeout=10) as status:
                check(json.load(status), answer, mode)
            answer["bpf_ns"], answer["bpf_runs"] = after[0] - before[0], after[1] - before[1]
        except Failed as why:
            raise Failed(f"{why} (momentd: {self.said()})") from why
        finally:
            engine.send_signal(signal.SIGTERM)
            code = engine.wait(60)
            engine.stdout.close()
        if code:
            raise Failed(f"momentd ended with {code}: {self.said()}")
        if replay:
            self.tool("replay", "--data", data, "--verify")
        return answer

    def alone(self, seconds, options, sink_ms):
        """The generator's own cost: it sends the same to a thread that throws all away, whose CPU is taken off."""
        answer = self.generate("--sink", "--sink-ms", str(sink_ms), "--seconds", str(seconds), *options)
        answer["alone_ns"] = answer["busy_ns"] - answer["thrower_ns"]
        return answer


def bpf_run(pid):
    """Run time in ns and number of runs of the BPF programs that a process holds; they count only while somebody asked."""
    ns = runs = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                text = info.read()
        except FileNotFoundError:
            continue
        time_ns, count = (re.search(rf"^{key}:\s*(\d+)", text, re.M) for key in ("run_time_ns", "run_cnt"))
        if time_ns and count:
            ns, runs = ns + int(time_ns[1]), runs + int(count[1])
    return ns, runs


def check(status, answer, mode):
    """Every event that was sent is counted once, as the generator knows it."""
    filtered, decided = status["events"]["filtered"], status["events"]["decided"]
    if status["engine"]["filter"] != mode or not status["equations_hold"]:
        raise Failed(f"filter {status['engine']['filter']}, equations hold: {status['equations_hold']}")
    if mode == "kernel" and not (status["prefilter"]["joined"] and status["prefilter"]["runs"]):
        raise Failed("the source was not fed by the program in the kernel")
    if (filtered, decided) != (answer["dropped"], answer["kept"]):
        raise Failed(f"{answer['dropped']} to drop and {answer['kept']} to keep, FILTERED {filtered}, DECIDED {decided}")


def per_event(answer, key):
    return answer[key] / answer["events"]


def machine_ns(answer, alone):
    """Per event: the machine's busy time less the generator's, as it is alone."""
    return per_event(answer, "busy_ns") - per_event(alone, "alone_ns")


# ---- prefilter.cpu.95, prefilter.cpu_machine.95 ----

def cpu_95(bench, machine):
    question = Question(bench, "prefilter.cpu.95")
    seconds, pairs = SECONDS, 2 if bench.quick else 10
    options = ["--rate", str(RATE), "--irrelevant", "95"]
    alone = [question.run(machine.alone, seconds, options, 10) for _ in range(2 if bench.quick else 8)]
    alone_ns = statistics.median(per_event(a, "alone_ns") for a in alone)
    both = question.pairs(pairs, lambda: machine.run("kernel", "never", seconds, options, replay=True),
                          lambda: machine.run("user", "never", seconds, options, replay=True))
    floor = [question.run(machine.run, "kernel", "never", seconds, [*options, "--only-kept"]) for _ in alone]
    question.check()
    rates_check([answer for pair in both for answer in pair], RATE)
    params = question.params(
        percent=95, rate=RATE, burst=10, seconds=seconds, spin="never", durability="sync", write="one event a segment",
        engine_cpu=machine.engine_cpu, counted="CPU clock of momentd: all threads, io_uring's workers, ended ones too",
        generator_ns_alone=alone_ns, generator_ns={"kernel": [per_event(k, "generator_ns") for k, _ in both],
                                                   "user": [per_event(u, "generator_ns") for _, u in both]},
        acks={"kernel": [k["acks"] for k, _ in both], "user": [u["acks"] for _, u in both]})
    bench.result("prefilter.cpu.95.floor", [f["engine_ns"] / f["made"] for f in floor], "ns/event", len(floor), rate=RATE,
                 what="the kept 5 % alone at the same times, per event of the whole: journal, sync and decision of them")
    bench.result("prefilter.cpu.95.kernel", [per_event(k, "engine_ns") for k, _ in both], "ns/event", pairs, rate=RATE)
    machine_of = [(per_event(k, "busy_ns") - alone_ns, per_event(u, "busy_ns") - alone_ns) for k, u in both]
    bench.result("prefilter.cpu_machine.95.kernel", [k for k, _ in machine_of], "ns/event", pairs, rate=RATE)
    bench.result("prefilter.cpu_machine.95.user", [u for _, u in machine_of], "ns/event", pairs, rate=RATE)
    bench.yardstick("prefilter.cpu.95.user", [per_event(u, "engine_ns") for _, u in both], "ns/event", min)
    bench.result("prefilter.cpu.95", [u["engine_ns"] / u["events"] / (k["engine_ns"] / k["events"]) for k, u in both], "ratio", pairs,
                 **params, goal=GOALS["prefilter.cpu.95"])
    if min(k for k, _ in machine_of) <= 0:
        bench.no_result("prefilter.cpu_machine.95", "void", "the machine was busier under the generator alone than in a run")
        return
    bench.result("prefilter.cpu_machine.95", [u / k for k, u in machine_of], "ratio", pairs, **params,
                 goal=GOALS["prefilter.cpu_machine.95"],
                 subtracted="the generator alone, to a thread that discards each 10 ms: the machine's busy time less that thread's")


def rates_check(answers, rate):
    slowest = min(a["rate"] for a in answers)
    if slowest < 0.95 * rate:
        raise Void(f"the rate was {slowest:,.0f} events/s instead of {rate:,}")


# ---- the curve ----

def point_options(write, percent):
    """One event a segment: paced, so that it stays one a segment; 64 KiB a write: as fast as the window allows."""
    return ["--irrelevant", str(percent), *(["--bulk"] if write == "bulk" else ["--rate", str(RATE)])]


def figures(answer, alone_ns):
    return {"engine_ns": per_event(answer, "engine_ns"), "generator_ns": per_event(answer, "generator_ns"),
            "machine_ns": per_event(answer, "busy_ns") - alone_ns, "rate": answer["rate"],
            "acks_per_s": answer["acks"] / answer["seconds"], "window_waits": answer["window_waits"], "from": answer["from"], "to": answer["to"]}


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0] if key not in ("from", "to")}


def point(machine, question, where, count, alone_ns):
    """Runs in turn, A B B A: (user, kernel), each a median; and user / kernel of the engine's CPU, pair by pair."""
    spin, write, percent = where
    options, how = point_options(write, percent), "never" if spin == "sleeping" else "always"

    def one(mode):
        return lambda: figures(machine.run(mode, how, SECONDS, options), alone_ns)
    both = question.pairs(count, one("kernel"), one("user"))
    counted = question.run(lambda: machine.run("kernel", how, SECONDS, options, True))  # counting costs two clocks a run
    kernel = medians([k for k, _ in both])
    kernel["bpf_ns"] = counted["bpf_ns"] / counted["events"]
    kernel["bpf_events_per_run"] = counted["events"] / counted["bpf_runs"] if counted["bpf_runs"] else 0
    return medians([u for _, u in both]), kernel, [u["engine_ns"] / k["engine_ns"] for k, u in both]


def curve(bench, machine):
    """The value of a point is user / kernel of the engine's CPU, all the rest is in params."""
    question = Question(bench, "prefilter.curve")
    shares, spins, writes, count = SHARES, ("sleeping", "spinning"), ("segment", "bulk"), 2
    if bench.quick:
        shares, spins, writes, count = (90,), ("sleeping",), ("bulk",), 1
    for write in writes:
        alone = [question.run(machine.alone, SECONDS, point_options(write, 95), 10 if write == "segment" else 1)
                 for _ in range(1 if bench.quick else 5)]
        alone_ns = statistics.median(per_event(a, "alone_ns") for a in alone)
        for spin in spins:
            for percent in shares:
                name = f"prefilter.curve.{spin}.{write}.{percent}"
                try:
                    user, kernel, ratios = point(machine, question, (spin, write, percent), count, alone_ns)
                except Void as why:
                    bench.no_result(name, "void", why)
                    continue
                bench.result(name, ratios, "ratio", count, percent=percent, user=user, kernel=kernel, alone_ns=alone_ns,
                             seconds=SECONDS, rate=RATE if write == "segment" else "as fast as the window allows")
    question.check()


# ---- where the kernel does not win ----

def flood(bench, machine):
    """One event a send() as fast as the window allows, 95 % irrelevant: rate with the filter in the kernel / in user space."""
    question = Question(bench, "prefilter.flood.95")
    options = ["--irrelevant", "95"]
    both = question.pairs(8, lambda: machine.run("kernel", "never", SECONDS, options),
                          lambda: machine.run("user", "never", SECONDS, options))
    question.check()
    bench.result("prefilter.flood.95", [k["rate"] / u["rate"] for k, u in both], "ratio", 8, **question.params(
        percent=95, kernel=[k["rate"] for k, _ in both], user=[u["rate"] for _, u in both],
        generator_ns={"kernel": [per_event(k, "generator_ns") for k, _ in both], "user": [per_event(u, "generator_ns") for _, u in both]}))


def questions(bench):
    work = tempfile.mkdtemp(prefix="moment-bench-", dir=os.environ.get("MOMENT_BENCH_DIR"))
    try:
        machine = Machine(bench, work)
        bench.ask("prefilter.cpu.95", lambda b: cpu_95(b, machine))
        bench.ask("prefilter.curve", lambda b: curve(b, machine))
        if not bench.quick:
            bench.ask("prefilter.flood.95", lambda b: flood(b, machine))
    finally:
        shutil.rmtree(work, ignore_errors=True)


# ---- the plot ----

def plot(results, svg):
    with open(results) as text:
        saved = json.load(text)
    points = [r for r in saved["results"] if r["name"].startswith("prefilter.curve.")]
    if len(points) < 4 * len(SHARES) - 4:
        sys.exit(f"{results}: no curve: `make bench` makes one")
    with tempfile.TemporaryDirectory() as work:
        for r in points:
            _, _, spin, write, percent = r["name"].split(".")
            for mode in ("user", "kernel"):
                with open(os.path.join(work, f"{spin}.{write}.{mode}.dat"), "a") as out:
                    p = r["params"][mode]
                    out.write(f"{SHARES.index(int(percent))} {percent} {p['engine_ns']:.1f} {p['machine_ns']:.1f}\n")
        m = saved["machine"]
        caption = f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['time'][:10]}"
        if m.get("with_stalls"):
            caption += "; disturbed machine: a trial of the bench, no figures"
        subprocess.run(["gnuplot", "-e", f"work='{work}'; out='{svg}'; caption='{caption}'", os.path.join(TOP, "bench", "curve.gp")],
                       check=True)
    print(f"written: {svg}")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "--plot":
        sys.exit(__doc__)
    plot(sys.argv[2], sys.argv[3])
