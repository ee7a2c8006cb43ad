#!/usr/bin/python3
"""bench/profile.c at a small size: both ways of finding a row give the same rows, no address is stale after checkpoints with
inserts and removals, and a row costs no more memory than the large run is said to need."""
import os
import subprocess

from harness import SEED, case, main

PROGRAM = os.path.join(os.environ.get("MOMENT_BIN", "build/release"), "bench", "profile")
ROWS = 100_000


def figures(*options):
    """The program's lines, a list of numbers a name. It ends with 1 when the two sides differ or an address is stale."""
    out = subprocess.run([PROGRAM, "--seed", str(SEED), "--rows", str(ROWS), *options], capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    found = {}
    for line in out.stdout.splitlines():
        name, value = line.split()
        found.setdefault(name, []).append(float(value))
    return found


@case
def the_index_finds_what_the_tree_finds():
    f = figures("--pairs", "1")
    assert f[f"profile.batched_vs_get.{ROWS}"][0] > 1, f


@case
def rows_that_move_under_changes_are_found():
    f = figures("--checkpoint", "--pairs", "2", "--changed", "20000")
    assert all(n > 20000 for n in f["profile.checkpoint.moved_rows"]), f


@case
def a_row_of_bank_20_takes_less_than_500_bytes_of_the_store():
    f = figures("--memory")
    assert f["profile.rows"] == [ROWS]
    assert f["profile.file_bytes"][0] / ROWS < 500, f
    assert f["profile.index_bytes"][0] / ROWS < 64, f


if __name__ == "__main__":
    main()
