"""profile.*, rules.*, windows.*, message.*: what the stages cost by themselves, by the drivers of the stages' owners
(bench/profile.c, rules.c, windows.c, message.c). A driver prints `name value` lines, one a figure, and checks its own
answers; here they run in turn, and the next time backwards, and every line becomes a result with its samples.
"""
import os
import re
import subprocess

from measure import Failed, Question, cpus, pace_now

LINE = re.compile(r"^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)\s+([-+0-9.]+(?:e[-+]?\d+)?)$", re.M)
# Two drivers speak in sentences.
TOGETHER = re.compile(r"together (\d+)")
WINDOWS = re.compile(r"^(\w+) customers \d+ .*?ns_per_event ([0-9.]+) ", re.M)
DAYS_180 = ["20000", "2000000"], str(180 * 86400 * 10**9 // 2000000)  # customers, events; ns between two events
GOALS = {"profile.batched_vs_get": ("goal", 10), "rules.growth": ("goal_max", 3),
         "windows.growth": ("goal_max", 1.5)}
# Driver, arguments, times in `make bench-quick`, times in `make bench`.
TASKS = [("profile", ["--rows", "10000", "--pairs", "5"], 1, 5), ("profile", ["--rows", "1000000", "--pairs", "3"], 1, 3),
         ("profile", ["--rows", "10000000", "--pairs", "3"], 0, 1), ("profile", ["--checkpoint"], 0, 3),
         ("rules", ["growth"], 3, 9), ("rules", ["bank20"], 1, 5),
         ("windows", [*DAYS_180[0], "ninety_days", DAYS_180[1]], 1, 7), ("windows", [*DAYS_180[0], "ten_minutes", DAYS_180[1]], 1, 7),
         ("windows", ["1000000", "4000000", "bank20"], 1, 3), ("message", ["0.5"], 1, 5)]
MUST = {"rules": ["rules.growth"], "windows": ["windows.growth"], "profile": ["profile.batched_vs_get"], "message": ["message.ns"]}


def unit_of(name):
    if "bytes" in name:
        return "bytes"
    if name.endswith("growth") or "_vs_" in name:
        return "ratio"
    return "us" if name.endswith("_us") else "s" if name.endswith("seconds") else "count" if name.endswith(
        (".hits", ".interpreted", ".rows", "_rows")) else "ns"


def run_driver(bench, driver, words, engine_cpu):
    start = pace_now()
    done = subprocess.run(["taskset", "-c", str(engine_cpu), os.path.join(bench.bin, "bench", driver), *words], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines())
        raise Failed(f"{driver} {' '.join(words)}: exit status {done.returncode}: {said[:300]}")
    figures = {name: float(value) for name, value in LINE.findall(done.stdout) if not name.endswith(".hash")}
    if driver == "message":
        figures["message.ns"] = float(TOGETHER.search(done.stdout)[1])
    if driver == "windows":
        figures.update((f"windows.{name}", float(ns)) for name, ns in WINDOWS.findall(done.stdout))
    return {"from": start, "to": pace_now(), "figures": figures}


def collect(bench, tasks):
    """{name: samples} of a driver's tasks, and the questions that counted their runs."""
    engine_cpu, got, failed, questions = cpus()[0], {}, set(), {}
    for turn in range(max(times for *_, times in tasks)):
        for place, (driver, words, times) in enumerate(tasks) if turn % 2 == 0 else reversed(list(enumerate(tasks))):
            if turn >= times or driver in failed:
                continue
            question = questions.setdefault(driver, Question(bench, driver, stall_share=0.01))

            def run(bench_, driver=driver, words=words, question=question):
                for name, value in question.run(run_driver, bench_, driver, words, engine_cpu)["figures"].items():
                    got.setdefault(driver, {}).setdefault(name, []).append(value)
            before = len(bench.without)
            bench.ask(driver, run)
            if len(bench.without) > before:
                failed.add(driver)
                got.pop(driver, None)
    return got, questions


def profile_derived(figures):
    """From those by number of rows: the lower ratio, and what a lookup in the largest costs over one in the smallest.
    profile.growth, which is of a whole event, is in path.py."""
    sizes = sorted(int(name.rsplit(".", 1)[1]) for name in figures if re.fullmatch(r"profile\.batched_ns\.\d+", name))
    if not sizes:
        return {}
    worst = min((s for s in sizes if s >= 1000000), key=lambda s: middle(figures[f"profile.batched_vs_get.{s}"]), default=sizes[-1])
    small, large = figures[f"profile.batched_ns.{sizes[0]}"], figures[f"profile.batched_ns.{sizes[-1]}"]
    return {"profile.batched_vs_get": figures[f"profile.batched_vs_get.{worst}"],
            "profile.lookup_growth": [b / a for a, b in zip(small, large)]}


def windows_derived(figures):
    both = [figures.get(f"windows.{name}", []) for name in ("ninety_days", "ten_minutes")]
    return {"windows.growth": [full / short for full, short in zip(*both)]} if all(both) else {}


def middle(values):
    return sorted(values)[len(values) // 2]


def show(bench, question, driver, figures):
    if driver == "windows":
        figures = {**figures, **windows_derived(figures)}
    if driver == "profile":
        figures = {**figures, **profile_derived(figures)}
        sizes = [int(name.rsplit(".", 1)[1]) for name in figures if name.startswith("profile.batched_ns.")]
    lost = [name for name in MUST[driver] if name not in figures]
    if lost:
        raise Failed(f"bench/{driver} does not say {', '.join(lost)}")
    question.check()
    for name, values in figures.items():
        if name.endswith((".low", ".high")):  # of a run's own pairs: the samples here say as much
            continue
        goal = dict([GOALS[name]]) if name in GOALS else {}
        more = {"rows": sorted(sizes)} if driver == "profile" else {}
        bench.result(name, values, unit_of(name), len(values), **question.params(), **more, **goal)


def questions(bench):
    tasks = []
    for driver, words, quick, full in TASKS:
        if os.path.exists(os.path.join(bench.bin, "bench", driver)):
            tasks.append((driver, words, quick if bench.quick else full))
    for driver in dict.fromkeys(driver for driver, *_ in TASKS):
        if driver not in {name for name, *_ in tasks}:
            bench.no_result(driver, "skipped", f"bench/{driver}.c is not there")
    got, counted = collect(bench, [task for task in tasks if task[2]]) if tasks else ({}, {})
    for driver, figures in got.items():
        bench.ask(driver, lambda b, driver=driver, figures=figures: show(b, counted[driver], driver, figures))
