#!/usr/bin/python3
"""`moment replay --check-filter` on journals that momentd recorded: seeded traffic of three connections over
tests/model/catalogue_filtered, with subscriptions and profiles in the middle, reloads, restarts, both clocks. Small by default;
MOMENT_LARGE=1: over a million events, several seeds. Tables that drop too much: tests/path/test_check_filter.c.
"""
import json
import os
import re
import shutil
import signal
import struct
import time

from harness import (BIN, EVENT, HEADER, ROOT, SEED, Engine, Skip, Source, case, dirs, eventually, main, run)

import traffic

LARGE = os.environ.get("MOMENT_LARGE", "") not in ("", "0")
KINDS = ["large", "low_balance", "income", "settled_mine", "gone", "watch_account"]
HOUR = 3600 * 10**9
STEP = 400  # frames sent before the next ACK is waited for

with open(os.path.join(ROOT, "tests", "model", "catalogue_filtered", "all.yaml"), encoding="utf-8") as file:
    FILTERED = file.read()
# Other types are used, by other rules, and other amounts; windows and their identity stay.
TURNED = FILTERED.replace("events: [login]", "events: [balance.inquiry]").replace("event.amount > 60000", "event.amount > 600000") \
    .replace('min: "20 EUR"', 'min: "10 EUR"').replace("events: [fee]\n    params", "events: [login]\n    params")
REMEMBERED = FILTERED.replace("history: rules", "history: full")
assert FILTERED != TURNED and FILTERED != REMEMBERED


def write_catalogue(text, path=None):
    path = path or dirs.new("catalogue")
    with open(os.path.join(path, "all.yaml"), "w", encoding="utf-8") as f:
        f.write(text)
    return path


def change(engine, text):
    """Writes the catalogue, reloads, waits until it is in force."""
    before = engine.status()["catalogue"]["hash"]
    write_catalogue(text, engine.catalogue)
    engine.process.send_signal(signal.SIGHUP)
    eventually("a new catalogue", lambda: engine.status()["catalogue"]["hash"] != before)


def retimed(frames, span):
    """Event times moved into the half day before now, one in a hundred events ahead of it: for the wall clock."""
    start, now = traffic.START, time.time_ns()
    moved = []
    for number, frame in enumerate(frames):
        values = list(HEADER.unpack_from(frame))
        if values[2] == EVENT:
            at = now - 12 * HOUR + (values[7] - start) * 12 * HOUR // span
            values[7] = max(1, at + HOUR if number % 100 == 0 else at)
        moved.append(HEADER.pack(*values) + frame[64:])
    return moved


class Feeder:
    """Three sources that send in the order in which the traffic was made, and go on after a restart."""

    def __init__(self, made, clock):
        self.names = [(s.name, s.stream) for s in made.sources]
        span = max(1, made.now - traffic.START)
        self.frames = [retimed(s.frames, span) if clock == "wall" else s.frames for s in made.sources]
        self.order, self.at, self.sent, self.sources = made.order, 0, [0] * len(self.names), []

    def connect(self, engine):
        self.sources = [Source(engine.port, name, stream, acknowledged=self.sent[i], first=self.sent[i] + 1)
                        for i, (name, stream) in enumerate(self.names)]

    def close(self):
        for source in self.sources:
            source.close()

    def feed(self, until):
        """Up to this part of the traffic."""
        end = int(len(self.order) * until)
        while self.at < end:
            piece = self.order[self.at:min(end, self.at + STEP)]
            self.at += len(piece)
            for i, source in enumerate(self.sources):
                count = piece.count(i + 1)
                if count:
                    source.send(*self.frames[i][self.sent[i]:self.sent[i] + count])
                    self.sent[i] += count
            for i, source in enumerate(self.sources):
                source.wait_ack(self.sent[i])


def record(seed, frames, steps=(), text=FILTERED, clock="event", prefilter="off", customers=300, leaps=False):
    """The data directory of an engine that took the traffic. steps: what to do in the middle, evenly spread: a catalogue to
    put in force, or None: kill -9 and start again."""
    made = traffic.make(seed, frames, 3, customers, clock, kinds=KINDS, subscribed=0.1, leaps=leaps)
    catalogue, data = write_catalogue(text), os.path.join(dirs.new("data"), "data")
    bank = os.path.join(dirs.new("bank"), "bank.ndjson")
    with open(bank, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in made.bank.lines)
    code, out, err = run("moment", "import", "--data", data, "--catalogue", catalogue, "--skip-bad", bank)
    assert code == 0, out + err
    feeder = Feeder(made, clock)
    engine = Engine(data, catalogue, "--segment", "20", "--checkpoint", "2", "--prefilter=" + prefilter, admin="127.0.0.1:0",
                    clock=clock)
    feeder.connect(engine)
    for number, step in enumerate(steps):
        feeder.feed((number + 1) / (len(steps) + 1))
        if step is not None:
            change(engine, step)
            continue
        engine.kill()
        feeder.close()
        engine = engine.again()
        feeder.connect(engine)
    feeder.feed(1)
    feeder.close()
    engine.stop()
    return data


def check(data, *options, timeout=None):
    """What it prints, and its figures: it must find the journal sound."""
    code, out, err = run("moment", "replay", "--data", data, "--check-filter", *options, timeout=timeout)
    said = "\n".join(line for line in err.splitlines() if line.startswith("moment"))
    assert code == 0, "exit %d: %s%s" % (code, out, said or err[-2000:])
    assert "\nsound: " in out, out
    events, dropped = map(int, re.match(r"events (\d+), of which the filter would drop (\d+) ", out).groups())
    types = {name: tuple(map(int, (some, all_))) for name, some, all_ in re.findall(r"^  (\S+) \(\d+\): (\d+) of (\d+) ", out, re.M)}
    return out, events, dropped, types


def outputs_of(out):
    return re.search(r"^outputs (\w+)$", out, re.M).group(1)


FRAMES = 20000


@case
def seeded_traffic_is_sound():
    data = record(SEED, FRAMES, leaps=True)
    out, events, dropped, types = check(data)
    assert events > FRAMES * 0.8 and dropped > events * 0.1, out
    every = {"card.declined", "card.refund", "card.reversal", "atm.withdrawal", "transfer.out", "transfer.in", "salary", "fee",
             "login", "balance.inquiry"}
    assert set(types) == every, "each kind of narrowing must have dropped something: %s" % out
    assert all(0 < some < all_ for some, all_ in types.values()), "and kept something: " + out
    assert sum(some for some, _ in types.values()) == dropped
    assert int(re.search(r"^messages (\d+)", out, re.M).group(1)) > 200, out
    code, replayed, err = run("moment", "replay", "--data", data, "--verify")
    assert code == 0, err
    assert outputs_of(replayed) == outputs_of(out), "the outputs are those of the journal"


@case
def chunks_never_show():
    data = record(SEED + 1, FRAMES // 2)
    first = check(data)[0]
    for chunk in "1", "7", "256":
        assert check(data, "--chunk", chunk)[0] == first


@case
def reloads_and_restarts_in_the_middle_are_sound():
    data = record(SEED + 2, FRAMES, [TURNED, None, REMEMBERED, FILTERED, TURNED, None, FILTERED])
    out, events, dropped, types = check(data)
    assert events * 0.1 < dropped < events * 0.5, out
    assert types["login"][0] > 0 and types["balance.inquiry"][0] > 0, out
    assert check(data, "--chunk", "7")[0] == out


@case
def the_wall_clock_is_sound():
    data = record(SEED + 3, FRAMES // 2, [None, TURNED], clock="wall")
    out, events, dropped, _ = check(data)
    assert dropped > events * 0.1, out


@case
def a_journal_that_was_filtered_already_is_sound():
    """What was dropped is not there; what the filter kept to be safe may be dropped still."""
    off, user = (record(SEED + 4, FRAMES // 2, prefilter=mode) for mode in ("off", "user"))
    (out_off, events_off, dropped_off, _), (out_user, events_user, dropped_user, _) = check(off), check(user)
    assert events_user < events_off and dropped_user < dropped_off, out_off + out_user


@case
def the_demo_bank_is_sound():
    """Its own synthetic traffic, with `history: rules` for all types."""
    source = os.path.join(ROOT, "schemas", "demo-bank")
    catalogue = dirs.new("catalogue")
    for name in os.listdir(source):
        if name.endswith(".yaml"):
            with open(os.path.join(source, name), encoding="utf-8") as f:
                text = f.read()
            if name.startswith("events"):
                text = re.sub(r"history: full", "history: rules", text)
                text = re.sub(r"^(  [\w.]+: *\{)(?!.*history:)", r"\1 history: rules,", text, flags=re.M)
            with open(os.path.join(catalogue, name), "w", encoding="utf-8") as f:
                f.write(text)
    data, bank = os.path.join(dirs.new("data"), "data"), os.path.join(dirs.new("bank"), "bank.ndjson")
    spec = "demo:customers=2000,events=%d" % FRAMES
    assert run("moment", "generate", "--synthetic", spec, "--seed", SEED, "--bank-out", bank)[0] == 0
    code, out, err = run("moment", "import", "--data", data, "--catalogue", catalogue, bank)
    assert code == 0, out + err
    with Engine(data, catalogue, "--segment", "20", "--prefilter=off") as e:
        code, out, err = run("moment", "feed", "--to", "127.0.0.1:%d" % e.port, "--synthetic", spec, "--seed", SEED)
        assert code == 0, out + err
    out, events, dropped, _ = check(data)
    assert events == FRAMES and dropped > 0, out


@case
def wrong_use_is_said():
    data = os.path.join(dirs.new("data"), "data")
    for words in ["--verify"], ["--json"], ["--outcomes", os.devnull], ["--chunk", "257"]:
        code, out, err = run("moment", "replay", "--data", data, "--check-filter", *words)
        assert code == 2 and "moment replay" in err and not out, (words, code)
    code, out, err = run("moment", "replay", "--data", data, "--check-filter")
    assert code == 1 and "no base to start from" in err, (code, err)
    code, out, err = run("moment", "replay", "--data", data, "--labels", "x")
    assert code == 2 and "not yet: --labels" in err, (code, err)


@case
def a_corrupt_journal_is_no_sound_one():
    data = record(SEED + 5, 2000, customers=40)
    journal = os.path.join(data, "journal")
    segment = os.path.join(journal, sorted(os.listdir(journal))[0])
    with open(segment, "r+b") as f:
        at = f.read(1 << 20).find(struct.pack("<BBH", 1, EVENT, 1), 5000)
        assert at > 0
        f.seek(at + 30)
        f.write(b"\xff")
    code, out, err = run("moment", "replay", "--data", data, "--check-filter")
    assert code == 1 and "sound:" not in out and "the run with the dropped events" in err, (code, out, err[-500:])


@case
def over_a_million_events_of_several_seeds_are_sound():
    if not LARGE:
        raise Skip("MOMENT_LARGE=1 runs it")
    total = 0
    for number, (steps, clock) in enumerate([
            ([TURNED, None, REMEMBERED, FILTERED], "event"), ([], "event"), ([None, TURNED, FILTERED], "wall"),
            ([REMEMBERED, TURNED, FILTERED, None], "event")]):
        data = record(SEED * 1000 + number, 320000, steps, clock=clock, customers=5000)
        out, events, dropped, _ = check(data, timeout=600)
        print("seed %d, %s clock: %s" % (SEED * 1000 + number, clock, out.splitlines()[0]))
        assert dropped > events * 0.1, out
        total += events
        shutil.rmtree(data)
    assert total >= 1000000, total


if __name__ == "__main__":
    print("seed", SEED, "of", BIN)
    main()
