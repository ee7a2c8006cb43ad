#!/usr/bin/env python3
"""The plots of a result: latency by percentile, and what the stages cost as what they hold grows. SVG by gnuplot.

    plots.py RESULTS.json DIRECTORY      writes DIRECTORY/path-latency.svg and DIRECTORY/growth.svg
"""
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PERCENTILES = (("path.latency.p50", "percentiles", "durable"), ("path.latency.none.p50", "percentiles", "not durable"),
               ("path.latency.over_bound", "percentiles_pingpong", "ping-pong of the same bytes"))
# Names that end in a size, by what they are of.
GROWTH = (("profile.batched_ns", "profile: batched lookup, by customers"), ("profile.get_ns", "profile: mdb_get, by customers"),
          ("rules.growth", "rules: an event, by rules"))


def load(path):
    with open(path) as text:
        saved = json.load(text)
    m = saved["machine"]
    caption = f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['time'][:10]}"
    if m.get("with_stalls"):
        caption += "; disturbed machine: a trial of the bench, no figures"
    return {r["name"]: r for r in saved["results"]}, caption


def percentile_series(results):
    """[(title, [(1 / (1 - share), us)])]: the places of 50, 90, 99 .. are at even distances on a logarithmic axis."""
    out = []
    for name, key, title in PERCENTILES:
        points = results.get(name, {}).get("params", {}).get(key)
        if points:
            out.append((title, [(1 / (1 - float(share)), us) for share, us in points.items() if 0.01 < float(share) < 1]))
    return out


def growth_series(results):
    out = []
    for prefix, title in GROWTH:
        points = [(int(m[1]), r["value"]) for name, r in results.items() if (m := re.fullmatch(re.escape(prefix) + r"\.(\d+)", name))]
        if points:
            out.append((title, sorted(points)))
    return out


def gnuplot(work, svg, script):
    path = os.path.join(work, "plot.gp")
    with open(path, "w") as out:
        out.write(f'set terminal svg size 960,560 dynamic font "sans-serif,12" background "#ffffff"\nset output "{svg}"\n'
                  'set grid lc rgb "#dddddd"\nset key below noenhanced\nset logscale xy\nset format y "%.0f"\n' + script)
    subprocess.run(["gnuplot", path], check=True)
    print(f"written: {svg}")


def lines(work, series):
    """The plot command of these series, their points in files of their own."""
    parts = []
    for i, (title, points) in enumerate(series):
        path = os.path.join(work, f"{i}.dat")
        with open(path, "w") as out:
            out.writelines(f"{x} {y}\n" for x, y in points)
        parts.append(f'"{path}" using 1:2 with linespoints lw 2 pt 7 ps 0.6 title "{title}"')
    return "plot " + ", ".join(parts) + "\n"


def plot(results_path, directory):
    results, caption = load(results_path)
    latency, growth = percentile_series(results), growth_series(results)
    with tempfile.TemporaryDirectory() as work:
        if latency:
            gnuplot(work, os.path.join(directory, "path-latency.svg"),
                    f'set title "event sent -> message at the gateway, 50,000 events/s, a checkpoint running\\n{{/*0.7 {caption}}}"\n'
                    'set xtics ("50 %%" 2, "75" 4, "90" 10, "95" 20, "99" 100, "99.5" 200, "99.9" 1000, "99.99" 10000)\n'
                    'set xlabel "share of the messages that were not later"\nset ylabel "us"\n' + lines(work, latency))
        if growth:
            gnuplot(work, os.path.join(directory, "growth.svg"),
                    f'set title "what a stage costs as what it holds grows\\n{{/*0.7 {caption}}}"\n'
                    'set xlabel "customers, rules"\nset ylabel "ns"\nset format x "%.0f"\n' + lines(work, growth))
    return 0 if latency or growth else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(plot(sys.argv[1], os.path.abspath(sys.argv[2])))
