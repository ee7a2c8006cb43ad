#!/usr/bin/env python3
"""The documents are true: every YAML block passes `moment check` (a block that begins with `# with schemas/demo-bank` together with
the demo bank), every file and folder that the README names is there, and includes go one way. Ends with `N passed, N failed`."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOMENT = os.path.join(TOP, os.environ.get("MOMENT_BIN", "build/release"), "moment")
passed = failed = 0


def case(name, good, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED {name}: {why}")


def documents():
    names = ["README.md"]
    for folder in ("docs", "schemas"):
        names += [os.path.join(folder, n) for n in sorted(os.listdir(os.path.join(TOP, folder))) if n.endswith(".md")]
    return names


def yaml_blocks():
    for name in documents():
        with open(os.path.join(TOP, name)) as text:
            for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text.read(), re.M | re.S), 1):
                with tempfile.TemporaryDirectory() as work:
                    if block.startswith("# with schemas/demo-bank"):
                        for f in os.listdir(os.path.join(TOP, "schemas/demo-bank")):
                            if f.endswith(".yaml"):
                                shutil.copy(os.path.join(TOP, "schemas/demo-bank", f), work)
                    with open(os.path.join(work, "zz-block.yaml"), "w") as out:
                        out.write(block)
                    done = subprocess.run([MOMENT, "check", work], capture_output=True, text=True)
                    case(f"{name}: YAML block {number} passes moment check", done.returncode == 0, done.stdout + done.stderr)


def readme_paths():
    with open(os.path.join(TOP, "README.md")) as text:
        for path in sorted(set(re.findall(r"`((?:user|include|schemas|bpf|bench|tests|docs)/[\w/.-]*)`", text.read()))):
            case(f"README: {path} is there", os.path.exists(os.path.join(TOP, path)), "it is not")


STAGES = ["ingest", "journal", "profile", "rules", "decide", "message", "deliver"]
READABLE = {"profile/row.h", "profile/store.h", "journal/format.h", "journal/journal.h"}


def allowed(folder, included):
    """May a file of user/<folder>/ include <included>?"""
    to = included.split("/")[0]
    if to == folder or to in ("base", "moment") or "/" not in included:
        return "/" in included or folder in ("", "control", "cli")
    if folder == "base":
        return False
    if folder == "cel":
        return False
    if folder == "prefilter":
        return False
    if folder == "uring":
        return to == "prefilter"
    if folder == "catalogue":
        return to == "cel"
    if folder in STAGES:
        return to in ("cel", "catalogue", "uring", "prefilter") or included in READABLE
    return True  # engine, control, cli, main


def includes():
    for root, _, files in os.walk(os.path.join(TOP, "user")):
        folder = os.path.relpath(root, os.path.join(TOP, "user"))
        folder = "" if folder == "." else folder
        for f in sorted(files):
            if not f.endswith((".c", ".h")):
                continue
            with open(os.path.join(root, f)) as text:
                source = text.read()
            bad = []
            for included in re.findall(r'^#include [<"]([\w./]+)[>"]', source, re.M):
                local = os.path.join(root, included)
                if os.path.exists(local) or not os.path.exists(os.path.join(TOP, "user", included)):
                    continue
                if not allowed(folder, included):
                    bad.append(included)
            if bad:
                case(f"user/{folder}/{f} includes only what stands below it", False, ", ".join(bad))
    case("includes go one way", True)


yaml_blocks()
readme_paths()
includes()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
