#!/usr/bin/env python3
"""The engine beside the slow model: seeded random traffic of several sources goes through the real momentd over TCP; its journal
is replayed for messages, outcomes and verdicts, and the model, which shares no code with the engine, makes its own from the same
journal. Every message byte for byte, every outcome, every verdict.

    test_engine.py [--seed N] [--events N] [--catalogues N]      environment: MOMENT_BIN, MOMENT_SEED, MOMENT_EVENTS, MOMENT_CATALOGUES

Besides the catalogues of this directory, random ones (constructs.py) of all constructs that `moment check` takes. One that it refuses
as "not yet" counts as skipped, by name; one that it refuses with other words fails.
Ends with `N passed, N failed, N skipped`; a failure names the seed and keeps its directory.
"""
import argparse
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import json  # noqa: E402

import constructs  # noqa: E402
import msgpack  # noqa: E402

BIN = os.path.abspath(os.path.join(TOP, os.environ.get("MOMENT_BIN", "build/release")))
HEADER = struct.Struct("<IBBHQQQQqqHHHBB")
EVENT, ACK, HELLO, WELCOME, ERROR = 3, 4, 1, 2, 14


SILENT_SECONDS_MAX = 60


class Wrong(Exception):
    pass


class Source:
    """Sends frames in order, keeps count of what is acknowledged."""

    def __init__(self, port, name, stream, frames):
        self.frames, self.sent, self.acked, self.inbox = frames, 0, 0, b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(SILENT_SECONDS_MAX)  # an engine that holds us back for ever is a failure, not a wait
        body = msgpack.encode({"role": "source", "name": name, "version": 1, "stream": bytes.fromhex(stream), "first": 1})
        self.socket.sendall(HEADER.pack(64 + len(body), 1, HELLO, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + body)
        while not self.acked and not self.take(WELCOME):
            pass

    def take(self, until):
        """Reads what is there; True when a frame of kind `until` came."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise Wrong("the engine closed the connection")
        self.inbox += data
        found = False
        while len(self.inbox) >= 64 and len(self.inbox) >= struct.unpack_from("<I", self.inbox)[0]:
            length, _, kind, stream, sequence = struct.unpack_from("<IBBHQ", self.inbox)
            if kind == ERROR:
                raise Wrong(f"ERROR: {self.inbox[64:length]}")
            if kind == ACK and stream == EVENT:
                self.acked = max(self.acked, sequence)
            found |= kind == until
            self.inbox = self.inbox[length:]
        return found

    def send(self, count):
        data = b"".join(self.frames[self.sent:self.sent + count])
        self.sent += count
        while self.sent - self.acked > 20000:
            self.take(ACK)
        self.socket.sendall(data)

    def finish(self):
        while self.acked < self.sent:
            self.take(ACK)
        self.socket.close()


def split(data):
    frames, at = [], 0
    while at < len(data):
        length, = struct.unpack_from("<I", data, at)
        frames.append(data[at:at + length])
        at += length
    return frames


def run(*words, **kw):
    done = subprocess.run(words, text=True, capture_output=True, **kw)
    if done.returncode:
        raise Wrong(f"{' '.join(words[:3])} ended with {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def scenario(work, seed, events, catalogue, second=None, clock="event", extra=(), engine=()):
    out = os.path.join(work, "traffic")
    run(sys.executable, os.path.join(HERE, "traffic.py"), "--seed", str(seed), "--events", str(events), "--sources", "3", "--out", out,
        "--clock", clock, *extra)
    data, bank = os.path.join(work, "data"), os.path.join(out, "bank.ndjson")
    live = os.path.join(work, "catalogue")
    shutil.copytree(catalogue, live)
    run(os.path.join(BIN, "moment"), "import", "--data", data, "--catalogue", live, "--skip-bad", bank)
    process = subprocess.Popen([os.path.join(BIN, "momentd"), "--catalogue", live, "--data", data, "--listen", "127.0.0.1:0",
                                "--admin", "127.0.0.1:0", "--clock=" + clock, "--checkpoint", "2", "--segment", "20", *engine],
                               stdout=subprocess.PIPE, stderr=open(os.path.join(work, "momentd.err"), "w"), text=True)
    try:
        words = process.stdout.readline().replace(",", "").split()
        if "port" not in words:
            raise Wrong("momentd does not start: " + open(os.path.join(work, "momentd.err")).read()[-2000:])
        port = int(words[words.index("port") + 1])
        feed(port, out, lambda: reload(live, second, process) if second else None)
    except (Wrong, OSError) as why:
        time.sleep(0.5)
        said = open(os.path.join(work, "momentd.err")).read()[-2000:]
        raise Wrong(f"{why}; momentd {'runs' if process.poll() is None else f'ended with {process.returncode}'}: {said}") from None
    finally:
        process.terminate()
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    if code:
        raise Wrong(f"momentd ended with {code}: " + open(os.path.join(work, "momentd.err")).read()[-2000:])
    compare(work, data, bank, [catalogue] + ([second] if second else []), clock)


def reload(live, second, process):
    for name in os.listdir(live):
        os.unlink(os.path.join(live, name))
    for name in os.listdir(second):
        shutil.copy(os.path.join(second, name), live)
    process.send_signal(1)
    time.sleep(1.0)


def feed(port, out, halfway):
    with open(os.path.join(out, "sources.json")) as text:
        described = json.load(text)
    with open(os.path.join(out, "order.bin"), "rb") as f:
        order = f.read()
    sources = []
    for d in described:
        with open(os.path.join(out, os.path.basename(d["file"])), "rb") as f:
            sources.append(Source(port, d["name"], d["stream"], split(f.read())))
    at, middle = 0, len(order) // 2
    while at < len(order):
        end = at + 1
        while end < len(order) and order[end] == order[at]:
            end += 1
        sources[order[at] - 1].send(end - at)
        if at < middle <= end:
            for s in sources:
                while s.acked < s.sent:
                    s.take(ACK)
            halfway()
        at = end
        if at % 64 < 3:  # keep the sources about together: a late event is the traffic's choice, not TCP's
            for s in sources:
                while s.sent - s.acked > 64:
                    s.take(ACK)
    for s in sources:
        s.finish()


def compare(work, data, bank, catalogues, clock):
    messages, outcomes, verdicts = (os.path.join(work, n) for n in ("messages", "outcomes", "verdicts"))
    with open(messages, "w") as to:
        done = subprocess.run([os.path.join(BIN, "moment"), "replay", "--data", data, "--verify", "--json", "--outcomes", outcomes,
                               "--verdicts", verdicts], stdout=to, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Wrong("replay: " + done.stderr[-2000:])
    words = [sys.executable, os.path.join(HERE, "compare.py"), "--bank", bank, "--journal", data, "--messages", messages, "--outcomes",
             outcomes, "--verdicts", verdicts, "--clock", clock]
    for c in catalogues:
        words += ["--catalogue", c]
    print(run(*words).stdout.strip())


def with_random_catalogue(work, seed, events, names, **kw):
    """A random catalogue of the constructs, and for every second seed another one in the middle."""
    directories = []
    for number in range(1 + seed % 2):
        directories.append(os.path.join(work, f"random-{number}"))
        os.makedirs(directories[-1])
        with open(os.path.join(directories[-1], "all.yaml"), "w", encoding="utf-8") as file:
            file.write(constructs.random_catalogue(seed * 2 + number, names))
    scenario(work, seed, events, *directories, extra=["--rich", "--kinds", "large,watch_account,income", "--hard"], **kw)


def constructs_taken():
    """(names, lines of what is skipped, lines of what is wrong)"""
    names, refused = constructs.constructs_of(os.path.join(BIN, "moment"))
    skipped = [f"skipped: {name}: {why}" for name, why in refused.items() if constructs.is_not_yet(why)]
    wrong = [f"FAILED  {name}: {why}" for name, why in refused.items() if not constructs.is_not_yet(why)]
    return names, skipped, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MOMENT_SEED", "1")))
    parser.add_argument("--events", type=int, default=int(os.environ.get("MOMENT_EVENTS", "100000")))
    parser.add_argument("--catalogues", type=int, default=int(os.environ.get("MOMENT_CATALOGUES", "4")))
    parser.add_argument("--only", default="")
    parser.add_argument("--without", default="", help="constructs to leave out, to find which one differs")
    args = parser.parse_args()
    main_catalogue, aged = os.path.join(HERE, "catalogue"), os.path.join(HERE, "catalogue_aged")
    few = ["--kinds", "large,watch_account"]
    filtered = ["--kinds", "large,low_balance,income,settled_mine,gone,watch_account", "--customers", "200", "--subscribed", "0.2", "--leaps"]
    scenarios = [
        ("the engine and the model agree on 100,000 events", args.events, (main_catalogue,), {}),
        ("they agree on what the decisions leave in the dark", args.events // 5, (main_catalogue,), {"extra": ["--hard"]}),
        ("they agree over a reload in the middle", args.events // 5, (main_catalogue, aged), {"extra": few}),
        ("they agree on a bank whose windows start young", args.events // 5, (aged,), {"extra": few}),
        ("they agree on what the filter may drop", args.events // 5, (os.path.join(HERE, "catalogue_filtered"),),
         {"extra": filtered, "engine": ["--prefilter=off"]}),
        ("they agree when a batch is one entry", args.events // 10, (main_catalogue,), {"engine": ["--batch", "1"]}),
    ]
    jobs = [(name, args.seed * 100 + number, lambda work, seed, e=events, c=catalogues, k=kw: scenario(work, seed, e, *c, **k))
            for number, (name, events, catalogues, kw) in enumerate(scenarios)]
    names, skipped, wrong = constructs_taken()
    names -= set(args.without.split(","))
    print("\n".join(skipped + wrong + [f"random catalogues of: {', '.join(sorted(names))}"]), flush=True)
    jobs += [(f"they agree on random catalogue {number}", args.seed * 100 + 50 + number,
              lambda work, seed: with_random_catalogue(work, seed, args.events // 10, names)) for number in range(args.catalogues)]
    passed, failed = len(names), len(wrong)
    for name, seed, job in jobs:
        if args.only not in name:
            continue
        work = tempfile.mkdtemp(prefix="moment-model-")
        started = time.monotonic()
        try:
            job(work, seed)
            passed += 1
            print(f"ok      {name}: seed {seed}, {time.monotonic() - started:.1f} s", flush=True)
            shutil.rmtree(work)
        except (Wrong, OSError, subprocess.SubprocessError) as why:
            failed += 1
            print(f"FAILED  {name}: seed {seed}, kept {work}: {why}", flush=True)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
