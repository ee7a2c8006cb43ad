#!/usr/bin/env python3
"""Runs test programs and adds up their cases: cmocka binaries, and scripts that end with a line `N passed, N failed`.

    run.py [--jobs N] [--only WORD] PROGRAM...

Prints what failed in full, a line per program, and at the end `N passed, N failed, N skipped`. A program that ends
without having said how many cases it ran counts as one failed. Exit 0 when nothing failed and something ran.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test\(s\)\.", re.M),
    "failed": re.compile(r"^\[  FAILED  \] \w+: (\d+) test\(s\)|^ ?(\d+) FAILED TEST", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] \w+: (\d+) test\(s\)|^\[  SKIPPED \] (\d+) test\(s\)", re.M),
}


def command(program):
    return ["/usr/bin/python3", program] if program.endswith(".py") else [program]


def counts(output, code):
    plain = PLAIN.findall(output)
    if plain:
        passed, failed, skipped = (int(x or 0) for x in plain[-1])
    else:
        found = {}
        for name, pattern in CMOCKA.items():
            # a program may hold several groups: each says its own numbers
            found[name] = sum(int(next(g for g in m.groups() if g)) for m in pattern.finditer(output))
        passed, failed, skipped = found["passed"], found["failed"], found["skipped"]
        failed = min(failed, len(re.findall(r"^\[  FAILED  \] ", output, re.M))) if failed else 0
    if code != 0 and failed == 0:
        failed = 1  # it crashed, or said nothing
    if passed + failed + skipped == 0:
        failed = 1
    return passed, failed, skipped


def run(program, timeout):
    start = time.monotonic()
    try:
        done = subprocess.run(command(program), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        output, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace") + f"\nno end after {timeout} s\n"
        code = 124
    return program, output, code, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="")
    parser.add_argument("--timeout", type=int, default=600)
    parser.add_argument("--skip-none", action="store_true", help="a skipped case is a failure")
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    total = [0, 0, 0]
    programs = [p for p in args.programs if args.only in p]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for program, output, code, seconds in pool.map(lambda p: run(p, args.timeout), programs):
            passed, failed, skipped = counts(output, code)
            total = [total[0] + passed, total[1] + failed, total[2] + skipped]
            name = re.sub(r"^build/[^/]*/", "", program)
            word = "FAILED" if failed else "ok"
            print(f"{word:6} {name:48} {passed:4} passed {failed:3} failed {skipped:3} skipped {seconds:7.1f} s", flush=True)
            for line in re.findall(r"^.*skipped:.*$", output, re.M):
                print("       " + line)
            if failed:
                print(output, flush=True)
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    if args.skip_none and total[2]:
        print("a case was skipped, and none may be here")
        return 1
    return 1 if total[1] or total[0] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
