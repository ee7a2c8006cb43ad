#!/usr/bin/env python3
"""The main job, from end to end, as separate processes over TCP: a bank is generated and imported, momentd, a gateway
and a source run, and what went in and came out is printed. `make demo` calls it; `make demo DATA=FILE` feeds a PaySim
or Sparkov file instead. It ends by itself and leaves no process; its working directory is removed.

    demo.py --bin build/release [--data FILE] [--customers N] [--events N] [--seed N] [--keep]
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    pass


class Demo:
    def __init__(self, args):
        self.args = args
        self.work = tempfile.mkdtemp(prefix="moment-demo-")
        self.running = []

    def tool(self, *words, **kw):
        return subprocess.run([os.path.join(self.args.bin, words[0]), *words[1:]], check=False, text=True, **kw)

    def start(self, *words, **kw):
        process = subprocess.Popen([os.path.join(self.args.bin, words[0]), *words[1:]], text=True, **kw)
        self.running.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)
        return process.returncode

    def clean(self):
        for process in list(self.running):
            self.stop(process, signal.SIGKILL)
        if self.args.keep:
            print(f"kept: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    # ---- pieces ----

    def bank(self):
        path = os.path.join(self.work, "bank.ndjson")
        source = ["--data", self.args.data] if self.args.data else ["--synthetic", self.spec()]
        start = time.monotonic()
        if self.tool("moment", "generate", *source, "--seed", str(self.args.seed), "--bank-out", path).returncode:
            raise Failed("the bank could not be generated")
        print(f"bank: generated in {time.monotonic() - start:.1f} s")
        return path

    def spec(self):
        return f"demo:customers={self.args.customers},events={self.args.events}"

    def engine(self, name, bank, *options):
        data = os.path.join(self.work, name)
        if self.tool("moment", "import", "--data", data, "--catalogue", HERE, bank).returncode:
            raise Failed("the import failed")
        process = self.start("momentd", "--catalogue", HERE, "--data", data, "--listen", "127.0.0.1:0", "--admin",
                             "127.0.0.1:0", *options, stdout=subprocess.PIPE)
        words = process.stdout.readline().replace(",", "").split()
        if "port" not in words:
            raise Failed("momentd did not start")
        ports = [words[i + 1] for i, word in enumerate(words) if word == "port"]
        return data, process, f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"

    def status(self, admin):
        with urllib.request.urlopen(f"http://{admin}/status", timeout=10) as answer:
            return json.load(answer)

    def settle(self, admin, seconds=20):
        """Waits until no leg is open."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.status(admin)
            if status["legs"]["queued"] == 0:
                return status
            time.sleep(0.1)
        raise Failed("messages are still in the outbox")

    # ---- the two runs ----

    def main_run(self, bank):
        data, engine, to, admin = self.engine("day", bank, "--clock=event")
        messages = os.path.join(self.work, "messages.ndjson")
        with open(messages, "w") as out, open(os.path.join(self.work, "sink.json"), "w") as err:
            sink = self.start("moment", "sink", "--to", to, "--json", "--receipts", "delivered", stdout=out, stderr=err)
            time.sleep(0.3)
            source = [self.args.data] if self.args.data else ["--synthetic", self.spec()]
            fed = self.tool("moment", "feed", "--to", to, *source, "--seed", str(self.args.seed), "--json",
                            stdout=subprocess.PIPE)
            if fed.returncode:
                raise Failed(f"feed ended with {fed.returncode}: {fed.stdout}")
            status = self.settle(admin)
            time.sleep(0.3)  # receipts
            status = self.status(admin)
            self.stop(sink)
        if self.stop(engine):
            raise Failed("momentd ended with an error")
        self.show(json.loads(fed.stdout), status, messages)
        print("\n== the journal again: the same bytes? ==")
        if self.tool("moment", "replay", "--data", data, "--verify").returncode:
            raise Failed("the replay differs")
        return status

    def latency_run(self, bank):
        _, engine, to, admin = self.engine("clock", bank)
        with open(os.path.join(self.work, "latency.json"), "w") as err:
            sink = self.start("moment", "sink", "--to", to, "--quiet", "--json", "--latency", stderr=err)
            time.sleep(0.3)
            rate = 10000
            fed = self.tool("moment", "feed", "--to", to, "--synthetic", self.spec(), "--count", str(4 * rate),
                            "--rate", str(rate), "--times=now", "--seed", str(self.args.seed), "--json",
                            stdout=subprocess.PIPE)
            if fed.returncode:
                raise Failed(f"feed ended with {fed.returncode}: {fed.stdout}")
            self.settle(admin)
            self.stop(sink)
        self.stop(engine)
        with open(os.path.join(self.work, "latency.json")) as lines:
            sink = json.loads(lines.read().strip().splitlines()[-1])
        print(f"\n== latency at {rate:,} events/s, durable, from the intended send time ==")
        fed = json.loads(fed.stdout)
        for what, ns in (("event -> acknowledged", fed["latency_ns"]), ("event -> message at the gateway", sink["latency_ns"])):
            if ns:
                print(f"  {what:34}" + "".join(f"  {k} {ns[k] / 1000:9,.0f} us" for k in ("p50", "p90", "p99", "p999", "max")))

    # ---- output ----

    def show(self, fed, status, messages):
        print("\n== events in, and where each ended ==")
        table(status["events"], "in")
        print("\n== the ledger ==")
        for e in status["equations"]:
            word = "holds" if e["holds"] else "DOES NOT HOLD"
            print(f"  {e['name']:8} made {e['made']:>9,} = open {e['open']:>6,} + closed {e['closed']:>9,}   {word}")
        if not status["equations_hold"]:
            raise Failed("an equation of the ledger does not hold")
        rules, channels, sample, more = {}, [], {}, []
        total = 0
        with open(messages) as lines:
            for line in lines:
                m = json.loads(line)["body"]
                total += 1
                by = rules.setdefault((m["category"], m["rule"]), {})
                by[m["channel"]] = by.get(m["channel"], 0) + 1
                if m["channel"] not in channels:
                    channels.append(m["channel"])
                sample.setdefault(m["rule"], m)
                if total % 997 == 0:
                    more.append(m)
        sample = (list(sample.values()) + more)[:12]
        print("\n== messages by rule and channel ==")
        print(f"  {'category':12} {'rule':22}" + "".join(f"{c:>10}" for c in channels))
        for (category, rule), by in sorted(rules.items()):
            print(f"  {category:12} {rule:22}" + "".join(f"{by.get(c, 0):>10,}" for c in channels))
        print("\n== a dozen of them, as customers read them ==")
        for m in sample:
            print(f"  [{m['channel']:5} {m['lang']}] {m['text']}")
        print(f"\n== speed: {fed['sent']:,} events in {fed['seconds']:.2f} s, durable, {total:,} messages delivered and accepted: "
              f"{fed['events_per_second']:,} events/s ==")


def table(counts, first):
    print(f"  {first:20} {counts[first]:>12,}")
    for name, value in counts.items():
        if name != first and value and isinstance(value, int):
            print(f"  {name:20} {value:>12,}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--customers", type=int, default=100000)
    parser.add_argument("--events", type=int, default=1000000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    args.bin = os.path.abspath(args.bin)
    demo = Demo(args)
    started = time.monotonic()
    try:
        if args.data:
            print(f"data: {args.data}")
        else:
            print(f"bank: {args.customers:,} customers, 15 % joint accounts, 10 % with several cards; a day of {args.events:,} "
                  f"transactions, seed {args.seed}")
        bank = demo.bank()
        demo.main_run(bank)
        if not args.data:
            demo.latency_run(bank)
        print(f"\ndemo: done in {time.monotonic() - started:.1f} s")
        return 0
    except Failed as why:
        print(f"demo: FAILED: {why}", file=sys.stderr)
        return 1
    finally:
        demo.clean()


if __name__ == "__main__":
    sys.exit(main())
