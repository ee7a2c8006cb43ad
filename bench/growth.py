"""profile.*, rules.growth, windows.growth, message.*: what the stages cost by themselves, by the drivers of the stages' owners
(bench/profile.c, rules.c, windows.c, message.c). A driver prints `name value` lines, one a figure, and checks its own
answers; here they run in turn, A B C C B A, and every line becomes a result with its samples.
"""
import os
import re
import subprocess

from measure import Failed, Question, cpus, pace_now

LINE = re.compile(r"^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)\s+([-+0-9.e]+)$", re.M)
GOALS = {"profile.batched_vs_get": ("goal", 10), "profile.growth": ("goal_max", 2), "rules.growth": ("goal_max", 3),
         "windows.growth": ("goal_max", 1.5)}
# What it runs with: quick, full.
DRIVERS = {"profile": ([], []), "rules": ([], []), "windows": ([], []), "message": ([], [])}
WANTED = {"profile": ("profile.batched_vs_get", "profile.growth"), "rules": ("rules.growth",), "windows": ("windows.growth",),
          "message": ()}


def unit_of(name):
    last = name.rsplit(".", 1)[-1]
    if "bytes" in name:
        return "bytes"
    return "ratio" if last in ("growth", "batched_vs_get") or ".vs_" in name or "_vs_" in name else "ns"


def run_driver(bench, name, engine_cpu):
    words = [os.path.join(bench.bin, "bench", name), *DRIVERS[name][0 if bench.quick else 1]]
    start = pace_now()
    done = subprocess.run(["taskset", "-c", str(engine_cpu), *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return {"from": start, "to": pace_now(), "figures": {n: float(v) for n, v in LINE.findall(done.stdout)}}


def missing(bench, name):
    return not os.path.exists(os.path.join(bench.bin, "bench", name))


def questions(bench):
    drivers, engine_cpu = [d for d in DRIVERS if not missing(bench, d)], cpus()[0]
    for name in DRIVERS.keys() - set(drivers):
        bench.no_result(name, "skipped", f"bench/{name}.c is not built")
    # minutes of figures from memory: a stall of 2 ms is nothing in them
    runs = {name: Question(bench, name, stall_share=0.01) for name in drivers}
    got = {name: [] for name in drivers}
    for turn in range(1 if bench.quick else 5):
        for name in drivers if turn % 2 == 0 else drivers[::-1]:
            if got[name] is not None:
                got[name] = take(bench, runs[name], name, engine_cpu, got[name])
    for name in drivers:
        if got[name]:
            bench.ask(name, lambda b, name=name: show(b, runs[name], name, got[name]))


def take(bench, question, name, engine_cpu, before):
    """One more run; None when it gave no answer, which ends this driver."""
    out = []
    bench.ask(name, lambda b: out.append(question.run(run_driver, b, name, engine_cpu)["figures"]))
    return before + out if out else None


def show(bench, question, name, figures):
    lost = [wanted for wanted in WANTED[name] if wanted not in figures[0]]
    if lost:
        raise Failed(f"bench/{name} does not say {', '.join(lost)}")
    question.check()
    for key in figures[0]:
        goal = dict([GOALS[key]]) if key in GOALS else {}
        bench.result(key, [f[key] for f in figures], unit_of(key), len(figures), **question.params(), **goal)
