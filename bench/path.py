"""path.*: bank-20 through the real momentd over TCP, durable, one engine core; generator and gateway are one thread on the
other CPU (bench/path.c). Beside it, in turn, what an engineer would write instead: a bare sink (bench/sink.c) and the 20
rules by hand (bench/handwritten.c). Counts per rule and digest of every run are compared with a plain evaluation.

    path.py --bin build/release --selftest     a small run of each part, for `make check`
    path.py --bin build/release --once [--customers N] [--events N] [--seconds S] [--rate N] [momentd options]
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from measure import TOP, Failed, Hiccups, Question, Skipped, Void, cpus, pace_now

OWN = os.path.join(TOP, "bench", "bank20")
SHARED_RULES = os.path.join(os.path.dirname(TOP), "shared", "catalogue", "bank-20.yaml")
RATE = 50000
TICK_RATE, TICK_CHANGES, TICK_SECONDS = 66000, 34000, 3
PROBE_EVENTS = 1000000


class Bank20:
    """The catalogue, a store with all customers that every run begins with, and the answers by number of events."""

    def __init__(self, bench, customers, work, rules="shared"):
        self.bench, self.customers, self.work = bench, customers, work
        self.engine_cpu, self.generator_cpu = cpus()
        self.known, self.runs = {}, 0
        self.catalogue = os.path.join(work, "catalogue")
        os.mkdir(self.catalogue)
        shutil.copy(os.path.join(OWN, "bank.yaml"), self.catalogue)
        self.rules = "../shared" if rules == "shared" and os.path.exists(SHARED_RULES) else "own"
        shutil.copy(SHARED_RULES if self.rules == "../shared" else os.path.join(OWN, "rules.yaml"), self.catalogue)
        bank = os.path.join(work, "bank.ndjson")
        self.program("workload", "--customers", str(customers), "--import", bank)
        self.tool("import", "--data", os.path.join(work, "base"), "--catalogue", self.catalogue, bank)
        os.remove(bank)

    def tool(self, *words):
        done = subprocess.run([os.path.join(self.bench.bin, "moment"), *words], check=False, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"moment {words[0]}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def program(self, name, *words):
        done = subprocess.run([os.path.join(self.bench.bin, "bench", name), *words], check=False, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout)

    def answers(self, events):
        """What so many events must give; by the plain evaluation, once for each number."""
        if events not in self.known:
            self.known[events] = self.program("workload", "--customers", str(self.customers), "--answers", str(events))[0]
        return self.known[events]

    # ---- the engine ----

    def start(self, data, *options):
        self.said_at = os.path.join(self.work, "momentd.err")
        with open(self.said_at, "w") as err:
            engine = subprocess.Popen([os.path.join(self.bench.bin, "momentd"), "--catalogue", self.catalogue, "--data", data,
                                       "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--clock=event", "--cpu",
                                       str(self.engine_cpu), *options], stdout=subprocess.PIPE, stderr=err, text=True)
        words = engine.stdout.readline().replace(",", "").split()
        if "port" not in words:
            engine.wait()
            raise Failed(f"momentd did not start: {self.said()}")
        return engine, *[f"127.0.0.1:{words[i + 1]}" for i, word in enumerate(words) if word == "port"]

    def said(self):
        with open(self.said_at) as err:
            return " | ".join(err.read().splitlines()[-3:])

    def run(self, events, *options, rate=0, changes=0, checkpoints=0, keep=False):
        """One run from the imported store. What bench/path said, with momentd's status under "status"."""
        total = self.answers(events)["total"]
        data = os.path.join(self.work, "run")
        shutil.rmtree(data, ignore_errors=True)
        copy(os.path.join(self.work, "base"), data)
        engine, to, admin = self.start(data, *options)
        try:
            before = status(admin)
            answer = self.program("path", "--to", to, "--customers", str(self.customers), "--events", str(events), "--total",
                                  str(total), "--cpu", str(self.generator_cpu), "--engine-pid", str(engine.pid), "--rate",
                                  str(rate), "--changes", str(changes))
            after = status(admin)
            answer["status"], answer["rss"] = after, resident(engine.pid)
            answer["checkpoints"] = after["store"]["checkpoints"] - before["store"]["checkpoints"]
        except Failed as why:
            raise Failed(f"{why} (momentd: {self.said()})") from why
        finally:
            engine.send_signal(signal.SIGTERM)
            code = engine.wait(120)
            engine.stdout.close()
        if code:
            raise Failed(f"momentd ended with {code}: {self.said()}")
        self.check(answer, events, changes, checkpoints)
        if not keep:
            shutil.rmtree(data, ignore_errors=True)
        return answer

    def check(self, answer, events, changes, checkpoints):
        right, status_ = self.answers(events), answer["status"]
        for key in ("events", "total", "counts", "digest"):
            if answer[key] != right[key]:
                raise Failed(f"a wrong answer: {key} {answer[key]}, expected {right[key]}")
        if not status_["equations_hold"] or status_["events"]["decided"] + status_["events"]["filtered"] != events:
            raise Failed(f"the ledger: {status_['events']}")
        if changes and status_["changes"]["applied"] != answer["changes"]:
            raise Failed(f"{answer['changes']} changes were sent, {status_['changes']['applied']} applied")
        if answer["checkpoints"] < checkpoints:
            raise Failed(f"{answer['checkpoints']} checkpoints ended within the run, {checkpoints} are asked for")

    def ping_pong(self, events, *options):
        answer = self.program("path", "--pingpong", "--customers", str(self.customers), "--events", str(events), "--rate",
                              str(RATE), "--cpu", str(self.generator_cpu), "--echo-cpu", str(self.engine_cpu), *options)
        if answer["digest"] != self.answers(events)["digest"]:
            raise Failed("the ping-pong's own digest is wrong")
        return answer

    def handwritten(self, events):
        answer = self.program("handwritten", "--customers", str(self.customers), "--events", str(events), "--cpu",
                              str(self.engine_cpu))
        if any(answer[key] != self.answers(events)[key] for key in ("total", "counts", "digest")):
            raise Failed("the hand-written program's answers are wrong")
        return answer

    def sink(self, events):
        return self.program("sink", "--file", os.path.join(self.work, "sink.dat"), "--events", str(events), "--cpu",
                            str(self.engine_cpu), "--sender-cpu", str(self.generator_cpu))

    def generator(self):
        """The making of the frames alone."""
        start = pace_now()
        answer = self.program("workload", "--customers", str(self.customers), "--speed", "10000000")
        return {**answer, "from": start, "to": pace_now()}

    def events_for(self, rate, seconds):
        """A number that takes about so long, in whole writes of 64 KiB."""
        return max(int(rate * seconds) // 65536, 1) * 65536


def copy(base, data):
    """And nothing of it is left to be written while a run is measured."""
    shutil.copytree(base, data)
    os.sync()


def status(admin):
    with urllib.request.urlopen(f"http://{admin}/status", timeout=30) as answer:
        return json.load(answer)


def resident(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


# ---- path.throughput and its ratios ----

def per_event(answer, key):
    return answer[key] / answer["events"]


def throughput(bench, bank):
    question = Question(bench, "path.throughput", stall_share=0.01)
    seconds, rounds, checkpoints = (5, 1, 1) if bench.quick else (32, 2, 3)
    options = ["--checkpoint", str(3 if bench.quick else 9)]
    events = bank.events_for(bank.run(PROBE_EVENTS)["rate"], seconds)
    by_hand = min(events, 4000000 if bench.quick else 20000000)
    for number in (events, by_hand):
        bank.answers(number)
    path, none, sink, hand = [], [], [], []
    parts = [lambda: path.append(question.run(lambda: bank.run(events, *options, checkpoints=checkpoints))),
             lambda: sink.append(question.run(bank.sink, 30000000 if bench.quick else 100000000)),
             lambda: hand.append(question.run(bank.handwritten, by_hand)),
             lambda: none.append(question.run(lambda: bank.run(events, *options, "--durability=none")))]
    for turn in range(2 * rounds):
        for part in parts if turn % 2 == 0 else reversed(parts):
            part()
    question.check()
    rates = {name: [a["rate"] for a in answers] for name, answers in (("path", path), ("none", none), ("sink", sink), ("hand", hand))}
    alone = [question.run(bank.generator)["rate"] for _ in range(3)]
    bench.result("path.generator", alone, "events/s", 3, customers=bank.customers)
    bench.yardstick("path.sink", rates["sink"], "events/s", max)
    bench.yardstick("path.handwritten", rates["hand"], "events/s", max, events=by_hand, customers=bank.customers)
    params = question.params(events=events, customers=bank.customers, rules=bank.rules, seconds=[a["seconds"] for a in path],
                             checkpoints=[a["checkpoints"] for a in path], messages=path[0]["total"],
                             message_bytes=path[0]["message_bytes"], rss=[a["rss"] for a in path],
                             cpu_ns_per_event={key: [round(per_event(a, key + "_ns"), 1) for a in path]
                                               for key in ("engine", "generator", "busy", "softirq")},
                             tick_max_us=[a["status"]["latency"]["tick"]["max_ns"] / 1000 for a in path])
    pairs = len(path)
    bench.result("path.throughput", rates["path"], "events/s", pairs, goal=3000000, **params)
    bench.result("path.throughput.none", rates["none"], "events/s", pairs, events=events, durability="none")
    bench.result("path.vs_sink", ratio(rates["path"], rates["sink"]), "ratio", pairs, goal=0.06)
    bench.result("path.vs_handwritten", ratio(rates["path"], rates["hand"]), "ratio", pairs, goal=0.25)
    both = [1 / (1 / s + 1 / h) for s, h in zip(rates["sink"], rates["hand"])]
    bench.result("path.vs_parts", ratio(rates["path"], both), "ratio", pairs, goal=0.35)
    bench.result("path.durable_cost", ratio(rates["path"], rates["none"]), "ratio", pairs, goal=0.85)


def ratio(subject, yardstick):
    return [a / b for a, b in zip(subject, yardstick)]


# ---- path.latency ----

def latency(bench, bank):
    """At 50,000 events/s, open loop from the intended send time, a checkpoint every second; the ping-pong of the same bytes."""
    question = Question(bench, "path.latency")
    seconds, pairs = (2, 2) if bench.quick else (3, 6)
    events = RATE * seconds
    run = {"durable": lambda: bank.run(events, "--checkpoint", "1", rate=RATE, checkpoints=1),
           "none": lambda: bank.run(events, "--checkpoint", "1", "--durability=none", rate=RATE),
           "pingpong": lambda: bank.ping_pong(events), "pingpong_spinning": lambda: bank.ping_pong(events, "--spin")}
    if bench.quick:
        del run["none"], run["pingpong_spinning"]
    got = {name: [] for name in run}
    for turn in range(pairs):
        for name in list(run) if turn % 2 == 0 else reversed(list(run)):
            got[name].append(question.run(run[name]))
    question.check()
    behind = any(a["seconds"] > 1.1 * seconds for a in got["durable"])
    us = {name: {part: [a["latency"][key] / 1000 for a in answers] for part, key in
                 (("p50", "0.5"), ("p99", "0.99"), ("p999", "0.999"))} for name, answers in got.items()}
    own = [a["status"]["latency"]["durable"]["p50_ns"] / 1000 for a in got["durable"]]
    bound = [p + 1.5 * w for p, w in zip(us["pingpong"]["p50"], own)]
    params = {"rate": RATE, "seconds": seconds, "customers": bank.customers, "kept_up": not behind}
    bench.yardstick("path.latency.pingpong.p50", us["pingpong"]["p50"], "us", min, rate=RATE)
    bench.result("path.latency.pingpong.p99", us["pingpong"]["p99"], "us", pairs, rate=RATE)
    if not bench.quick:
        bench.result("path.latency.pingpong_spinning.p50", us["pingpong_spinning"]["p50"], "us", pairs, rate=RATE)
    bench.result("path.latency.write_and_sync.p50", own, "us", pairs, rate=RATE)
    for part in ("p50", "p99", "p999"):
        more = {"goal_max": 500} if part == "p99" else question.params(percentiles=middle(got["durable"])) if part == "p50" else {}
        bench.result(f"path.latency.{part}", us["durable"][part], "us", pairs, **params, **more)
        if not bench.quick:
            bench.result(f"path.latency.none.{part}", us["none"][part], "us", pairs, **params,
                         **({"percentiles": middle(got["none"])} if part == "p50" else {}))
    bench.result("path.latency.over_bound", ratio(us["durable"]["p50"], bound), "ratio", pairs, goal_max=1, better="min",
                 bound="ping-pong p50 + 1.5 x the batch's own write and sync, p50",
                 percentiles_pingpong=middle(got["pingpong"]))


def middle(answers):
    """Percentiles of the run whose p50 is the median one, us."""
    answer = sorted(answers, key=lambda a: a["latency"]["0.5"])[len(answers) // 2]
    return {share: ns / 1000 for share, ns in answer["latency"].items()}


# ---- the worst tick ----

def tick(bench, bank):
    """100,000 frames/s, a third of them PROFILE, so that each checkpoint has 100,000 changed rows; and one after the other."""
    question = Question(bench, "path.checkpoint.tick_max")
    seconds, interval, runs = (8, TICK_SECONDS, 1) if bench.quick else (12, TICK_SECONDS, 3)
    events = bank.events_for(TICK_RATE, seconds)
    answers = [question.run(lambda: bank.run(events, "--checkpoint", str(interval), rate=TICK_RATE, changes=TICK_CHANGES,
                                             checkpoints=1)) for _ in range(runs)]
    question.check()
    kept_up = all(a["seconds"] < 1.1 * events / TICK_RATE for a in answers)
    params = question.params(rate=TICK_RATE + TICK_CHANGES, changes=[a["changes"] for a in answers],
                             inserted=[a["inserted"] for a in answers], deleted=0, rows_per_checkpoint=TICK_CHANGES * interval,
                             checkpoints=[a["checkpoints"] for a in answers], customers=bank.customers, kept_up=kept_up,
                             checkpoint_ms=[a["status"]["store"]["checkpoint_ns"] / 1e6 for a in answers])
    ticks = [a["status"]["latency"]["tick"] for a in answers]
    bench.result("path.checkpoint.tick_max", [t["max_ns"] / 1000 for t in ticks], "us", runs, goal_max=1000, **params)
    bench.result("path.checkpoint.tick_p999", [t["p999_ns"] / 1000 for t in ticks], "us", runs, rate=TICK_RATE + TICK_CHANGES)


# ---- profile.growth ----

def growth(bench, bank):
    """Engine CPU an event with many customers / with 10,000: 10 million in `make bench`, a million in a quick run. By CPU, since what a
    cache does not hold is paid there. What they hold resident is said beside it."""
    question = Question(bench, "profile.growth", stall_share=0.01)
    events, pairs = (PROBE_EVENTS, 1) if bench.quick else (4 * PROBE_EVENTS, 2)
    with scratch() as few_work, scratch() as many_work:
        few = Bank20(bench, 10000, few_work)
        many = bank if bench.quick else Bank20(bench, 10000000, many_work)
        both = question.pairs(pairs, lambda: many.run(events), lambda: few.run(events))
    question.check()
    costs = [[per_event(answer, "engine_ns") for answer in answers] for answers in zip(*both)]
    bench.result("profile.growth.rss", [a["rss"] for a, _ in both], "bytes", pairs, customers=many.customers, goal_max=16 << 30)
    bench.result("profile.growth", ratio(*costs), "ratio", pairs, goal_max=2, events=events, **question.params(
        customers=[few.customers, many.customers], ns_per_event={"few": costs[1], "many": costs[0]}))


# ---- the figures that are known ----

def figures(bench):
    """100,000 customers, the numbers that came with the workload."""
    with scratch() as work:
        bank = Bank20(bench, 100000, work)
        events = 100000 if bench.quick else 1000000
        if not bank.answers(events)["known"]:
            raise Failed("the plain evaluation is not what is known of the workload")
        answer = bank.run(events)
        bench.result("path.throughput.100k", [answer["rate"]], "events/s", 1, events=events, customers=bank.customers, rules=bank.rules,
                     digest=answer["digest"])


class scratch:
    """A directory of its own, on the disk where MOMENT_BENCH_DIR is if it is set."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="moment-bench-", dir=os.environ.get("MOMENT_BENCH_DIR"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def questions(bench):
    bench.ask("path.throughput.100k", figures)
    with scratch() as work:
        bank = Bank20(bench, 1000000, work)
        bench.ask("path.throughput", lambda b: throughput(b, bank))
        bench.ask("profile.growth", lambda b: growth(b, bank))
        bench.ask("path.latency", lambda b: latency(b, bank))
        bench.ask("path.checkpoint.tick_max", lambda b: tick(b, bank))


# ---- by hand ----

def once(args, options):
    with scratch() as work:
        bank = Bank20(args, args.customers, work)
        events = args.events or bank.events_for(bank.run(PROBE_EVENTS, *options)["rate"], args.seconds)
        with Hiccups(args.bin) as meter:
            answer = bank.run(events, *options, rate=args.rate, changes=args.changes)
        status_ = answer.pop("status")
        answer["stall_ms"], answer["latency_of"] = meter.longest(answer) / 1e6, status_["latency"]
        for key in ("engine", "generator", "busy", "softirq"):
            answer[key + "_ns_per_event"] = round(per_event(answer, key + "_ns"), 1)
        print(json.dumps(answer, indent=1))


# ---- the small run of each part ----

def selftest(args):
    """Ends with `N passed, N failed`."""
    passed = failed = 0
    try:
        cpus()
    except Skipped as why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    with scratch() as work:
        for name, case in cases(args, work):
            try:
                case()
                print(f"ok     {name}")
                passed += 1
            except (Failed, AssertionError, Void) as why:
                print(f"FAILED {name}: {why}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def cases(args, work):
    def make(name, customers, rules):
        os.mkdir(os.path.join(work, name))
        return Bank20(args, customers, os.path.join(work, name), rules)

    def known(events):
        answer = bank.answers(events)
        assert answer["known"], f"{events} events: {answer}"

    def wrong_answer_is_seen():
        bank.known[1000] = dict(bank.answers(1000), digest=1)
        try:
            bank.run(1000)
        except Failed as why:
            assert "a wrong answer: digest" in str(why), why
            return
        finally:
            del bank.known[1000]
        raise AssertionError("a wrong digest was taken")

    def missing_message_is_seen():
        answer = dict(bank.answers(1000))
        bank.known[1000] = dict(answer, total=answer["total"] - 1)
        try:
            bank.run(1000)
        except Failed:
            return
        finally:
            del bank.known[1000]
        raise AssertionError("a message too many was taken")

    def ping_pong_like_the_path():
        pong, path = bank.ping_pong(5000), bank.run(5000, rate=RATE)
        assert pong["counts"] == path["counts"] and pong["latency"]["0.5"] > 0
        share = pong["message_bytes"] / path["message_bytes"]
        assert 0.95 < share < 1.05, f"the ping-pong's messages have {share:.3f} of the engine's bytes"

    bank = make("shared", 100000, "shared")
    own = make("own", 100000, "own")
    yield "workload_gives_the_figures_that_are_known", lambda: [known(n) for n in (1000, 20000, 300000)]
    yield "path_gives_the_known_answers", lambda: bank.run(20000)
    yield "path_gives_them_by_the_benchs_own_rules", lambda: own.run(20000)
    yield "path_gives_them_while_profiles_change_and_checkpoints_run", lambda: bank.run(
        100000, "--checkpoint", "1", rate=40000, changes=4000, checkpoints=1)
    yield "path_not_durable", lambda: bank.run(5000, "--durability=none")
    yield "path_sees_a_wrong_answer", wrong_answer_is_seen
    yield "path_sees_a_message_too_many", missing_message_is_seen
    yield "handwritten_gives_the_known_answers", lambda: bank.program(
        "handwritten", "--customers", "100000", "--events", "300000", "--check")
    yield "sink_counts_and_journals_every_frame", lambda: bank.sink(500000)
    yield "ping_pong_is_of_the_same_bytes", ping_pong_like_the_path


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--bin", default=os.path.join(TOP, "build/release"))
    parser.add_argument("--selftest", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--customers", type=int, default=1000000)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--changes", type=int, default=0)
    args, options = parser.parse_known_args()
    args.bin = os.path.abspath(args.bin)
    if args.selftest:
        return selftest(args)
    if args.once:
        once(args, options)
        return 0
    parser.print_usage()
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as why:
        print(f"path: {why}", file=sys.stderr)
        sys.exit(1)
