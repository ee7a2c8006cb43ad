#!/usr/bin/env python3
"""The bench itself: a small run of each part of path.* with its answers, and what `make bench-compare` says of samples
that are known."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("MOMENT_BIN", os.path.join(TOP, "build/release")))
sys.path.insert(0, os.path.join(TOP, "bench"))
import compare  # noqa: E402


def result(name, samples, better="max"):
    return {"name": name, "value": sorted(samples)[len(samples) // 2], "better": better, "samples": samples}


def rank_test_has_the_published_values():
    """Mann and Whitney 1947: n = m = 3, U = 0: 0.05 one-sided; n = m = 4, U = 0 and 1: 0.014 and 0.029."""
    assert abs(compare.rank_test([1, 2, 3], [4, 5, 6]) - 0.1) < 1e-9
    assert abs(compare.rank_test([1, 2, 3, 4], [5, 6, 7, 8]) - 2 / 70) < 1e-9
    assert abs(compare.rank_test([1, 2, 3, 5], [4, 6, 7, 8]) - 4 / 70) < 1e-9
    assert compare.rank_test([1, 1, 1], [1, 1, 1]) == 1


def rank_test_by_normal_distribution_is_near_the_exact_one():
    rng = random.Random(7)
    for _ in range(20):
        a, b = [rng.gauss(0, 1) for _ in range(7)], [rng.gauss(0.8, 1) for _ in range(8)]
        exact, kept = compare.rank_test(a, b), compare.EXACT_MAX
        compare.EXACT_MAX = 0
        near = compare.rank_test(a, b)
        compare.EXACT_MAX = kept
        assert abs(exact - near) < 0.03, (exact, near)


def rank_test_rarely_sees_what_is_not_there():
    rng = random.Random(11)
    seen = sum(compare.rank_test([rng.random() for _ in range(6)], [rng.random() for _ in range(6)]) < 0.05 for _ in range(1000))
    assert 10 < seen < 60, seen


def verdict_knows_which_way_is_better():
    low, high = [1.0, 1.1, 1.2, 1.3, 1.15], [2.0, 2.1, 2.2, 2.3, 2.15]
    assert compare.verdict(result("a", low), result("a", high))[0] == "improvement"
    assert compare.verdict(result("a", high), result("a", low))[0] == "regression"
    assert compare.verdict(result("a", low, "min"), result("a", high, "min"))[0] == "regression"


def verdict_needs_samples_and_a_difference():
    assert compare.verdict(result("a", [1, 2, 3]), result("a", [4, 5, 6]))[0] == "too few samples to tell"
    a = [1.0, 1.001, 1.002, 1.003, 1.004]
    assert compare.verdict(result("a", a), result("a", [x + 0.01 for x in a]))[0] == "no difference"
    assert compare.verdict(result("a", [1, 5, 2, 4, 3]), result("a", [2, 5, 1, 3, 4]))[0] == "no difference"


def compare_of_files(samples, without):
    with tempfile.TemporaryDirectory() as work:
        paths = []
        for i, values in enumerate(samples):
            paths.append(os.path.join(work, f"{i}.json"))
            with open(paths[-1], "w") as out:
                json.dump({"machine": {}, "results": [result("x", values)], "without": without if i else []}, out)
        done = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "bench", "bench.py"), "--compare", paths[0], "--out", paths[1]],
                              capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def compare_exits_1_on_a_regression_only():
    low, high = [1, 2, 3, 4, 5], [11, 12, 13, 14, 15]
    assert compare_of_files((high, low), [])[0] == 1
    assert compare_of_files((low, high), [])[0] == 0
    assert compare_of_files((low, low), [])[0] == 0


def compare_exits_1_when_an_answer_is_wrong_now():
    code, said = compare_of_files(([1, 2, 3], [1, 2, 3]), [{"name": "y", "kind": "failed", "why": "a wrong answer"}])
    assert code == 1 and "a wrong answer" in said


def main():
    passed = failed = 0
    for case in (rank_test_has_the_published_values, rank_test_by_normal_distribution_is_near_the_exact_one,
                 rank_test_rarely_sees_what_is_not_there, verdict_knows_which_way_is_better, verdict_needs_samples_and_a_difference,
                 compare_exits_1_on_a_regression_only, compare_exits_1_when_an_answer_is_wrong_now):
        try:
            case()
            passed += 1
        except AssertionError as why:
            print(f"FAILED {case.__name__}: {why}")
            failed += 1
    done = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "bench", "path.py"), "--bin", BIN, "--selftest"],
                          capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    said = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", done.stdout, re.M)
    skipped = int(said[3] or 0) if said else 0
    passed, failed = (passed + int(said[1]), failed + int(said[2])) if said else (passed, failed + 1)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
