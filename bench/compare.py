"""Two results against each other, name by name: a rank test over the samples, the ratio of the medians, a verdict.

The test is that of Mann and Whitney, two-sided: exact by counting all ways to deal the samples where there are few,
else with the normal distribution, ties counted. A difference is called one when p is below 0.05 and the medians are
more than 3 % apart. With three samples on each side p cannot be below 0.1: then it says so. Of fifty names two will differ by
chance: a single small one is a reason to run again.
"""
import itertools
import json
import math
import statistics

P = 0.05
APART = 0.03
EXACT_MAX = 20000


def ranks(values):
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    out = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j < len(order) and values[order[j]] == values[order[i]]:
            j += 1
        for k in range(i, j):
            out[order[k]] = (i + j + 1) / 2
        i = j
    return out


def rank_test(a, b):
    """Two-sided p that two such samples come from one source."""
    n, m = len(a), len(b)
    r = ranks(list(a) + list(b))
    middle, seen = n * (n + m + 1) / 2, sum(r[:n])
    away = abs(seen - middle)
    if away == 0:
        return 1.0
    if math.comb(n + m, n) <= EXACT_MAX:
        sums = [sum(r[i] for i in chosen) for chosen in itertools.combinations(range(n + m), n)]
        return sum(abs(s - middle) >= away - 1e-9 for s in sums) / len(sums)
    ties = sum(t ** 3 - t for t in (r.count(x) for x in set(r)))
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
    return math.erfc((away - 0.5) / spread / math.sqrt(2)) if spread else 1.0


def smallest_p(n, m):
    return 2 / math.comb(n + m, n)


def verdict(old, new):
    """(word, p, ratio of the medians). The word is regression, improvement, or why neither."""
    a, b = old["samples"], new["samples"]
    before, after = statistics.median(a), statistics.median(b)
    ratio = after / before if before else math.inf if after else 1.0
    p = rank_test(a, b)
    if smallest_p(len(a), len(b)) >= P:
        return "too few samples to tell", p, ratio
    if p >= P or abs(ratio - 1) < APART:
        return "no difference", p, ratio
    better = ratio > 1 if new.get("better", "max") == "max" else ratio < 1
    return "improvement" if better else "regression", p, ratio


def compare(base, out):
    """Prints a line a name; 1 when something is worse, or gave no answer any more because an answer was wrong."""
    with open(base) as a, open(out) as b:
        olds, news = json.load(a), json.load(b)
    for key in ("cpu", "cpus", "kernel", "quick", "with_stalls"):
        if olds["machine"].get(key) != news["machine"].get(key):
            print(f"not made alike: {key} {olds['machine'].get(key)} -> {news['machine'].get(key)}")
    old, new = ({r["name"]: r for r in results["results"]} for results in (olds, news))
    worse = 0
    print(f"{'name':38} {'before':>14} {'after':>14}  {'ratio':>7} {'p':>7}")
    for name in sorted(old.keys() & new.keys()):
        if "samples" not in old[name]:
            print(f"{name:38} the saved result is of a time before samples were kept")
            continue
        word, p, ratio = verdict(old[name], new[name])
        worse += word == "regression"
        print(f"{name:38} {old[name]['value']:14,.3f} {new[name]['value']:14,.3f}  x{ratio:6.3f} {p:7.4f}  {word}")
    gone = {w["name"]: w for w in news.get("without", [])}
    for name in sorted(old.keys() - new.keys()):
        print(f"{name:38} only in {base}" + (f": {gone[name]['kind']}: {gone[name]['why']}" if name in gone else ""))
    failed = [w for w in news.get("without", []) if w["kind"] == "failed"]
    for one in failed:
        print(f"{one['name']:38} failed: {one['why']}")
    print(f"{worse} regressions")
    return 1 if worse or failed else 0
