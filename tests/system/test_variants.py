#!/usr/bin/env python3
"""One journal, many builds: gcc -O0, -O3 and -march=native, clang -O0 and -O3, in steps of 1, 7 and 256 entries, give the same
outputs and the same state, to the byte. Ends with `N passed, N failed, N skipped`."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "schemas", "demo-bank"))
import argparse  # noqa: E402

import demo  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.path.join(TOP, os.environ.get("MOMENT_BIN", "build/release")))
VARIANTS = ["debug", "native", "clang", "clang0"]


def digests(moment, data, *options):
    done = subprocess.run([moment, "replay", "--data", data, "--verify", *options], capture_output=True, text=True)
    if done.returncode:
        return f"exit {done.returncode}: {done.stderr[-500:]}"
    return [line for line in done.stdout.splitlines() if line.startswith(("outputs", "state", "position"))]


def record(run):
    """A day of the demo bank through a real engine."""
    bank = os.path.join(run.work, "bank.ndjson")
    subprocess.run([os.path.join(BIN, "moment"), "generate", "--synthetic", run.spec(), "--bank-out", bank], check=True)
    data, engine, to, admin = run.engine("day", bank, "--clock=event")
    sink = run.start("moment", "sink", "--to", to, "--quiet", "--receipts", "delivered", stderr=subprocess.DEVNULL)
    if run.tool("moment", "feed", "--to", to, "--synthetic", run.spec(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise demo.Failed("feed")
    run.settle(admin)
    run.stop(sink)
    run.stop(engine)
    return data


def main():
    passed = failed = skipped = 0
    run = demo.Demo(argparse.Namespace(bin=BIN, data="", customers=2000, events=60000, seed=3, keep=False))
    try:
        data = record(run)
        want = digests(os.path.join(BIN, "moment"), data)
        cases = [(f"steps of {n} give the same bytes", os.path.join(BIN, "moment"), ["--chunk", str(n)]) for n in (1, 7, 256)]
        cases += [(f"the {v} build gives the same bytes", os.path.join(TOP, "build", v, "moment"), []) for v in VARIANTS]
        for name, moment, options in cases:
            if not os.path.exists(moment):
                skipped += 1
                print(f"skipped: {name}: {moment} is not built (make variants)")
                continue
            got = digests(moment, data, *options)
            good = got == want and isinstance(want, list) and len(want) == 3
            passed, failed = passed + good, failed + (not good)
            print(f"{'ok' if good else 'FAILED'}  {name}" + ("" if good else f": {got} instead of {want}"))
    except (demo.Failed, OSError, subprocess.SubprocessError) as why:
        failed += 1
        print(f"FAILED  {why}")
    finally:
        run.clean()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
