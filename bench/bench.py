#!/usr/bin/env python3
"""The bench: asks every question, checks the answers, prints a table, writes results.json. One question a file: day.py,
ingest.py, prefilter.py, shares.py, path.py, growth.py; their harness is measure.py.

    bench.py --bin build/release --out build/bench/results.json [--quick] [--only NAME[,NAME]] [--with-stalls]
    bench.py --compare BASE.json --out build/bench/results.json
"""
import argparse
import os
import sys

from measure import TOP, Bench

import compare
import day
import growth
import ingest
import path
import prefilter
import shares

QUESTIONS = {"demo": day, "ingest": ingest, "prefilter": prefilter, "share": shares, "growth": growth, "path": path}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(TOP, "build/release"))
    parser.add_argument("--out", default=os.path.join(TOP, "build/bench/results.json"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(QUESTIONS))
    parser.add_argument("--with-stalls", action="store_true", help="keep disturbed runs: to try the bench, not for figures")
    parser.add_argument("--compare")
    args = parser.parse_args()
    args.bin = os.path.abspath(args.bin)
    if args.compare:
        return compare.compare(args.compare, args.out)
    bench = Bench(args)
    print(f"{'name':38} {'median':>14} {'low':>14} {'high':>14}  unit")
    for name in args.only.split(","):
        bench.ask(name, QUESTIONS[name].questions)
    bench.write()
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
