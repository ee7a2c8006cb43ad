#!/usr/bin/python3
"""Death at any moment. momentd is killed at 50 random points under load, some of them while it starts, and goes on;
then gateways and sources hang up at random. What came out is compared with a run in which nothing happened."""
import functools
import random
import time

from harness import SEED, Engine, case, catalogue_dir, eventually, main, replay
from load import LoadGateway, LoadSource, Store, Where, compare, frames_of

import journal  # of tests/model

KILLS = 50
SOURCES, FRAMES = 3, 6000
GATEWAYS = {"gate-a": ["push", "email"], "gate-b": ["sms", "push"]}

undisturbed = {}


@functools.lru_cache(None)
def inputs():
    return {"bank-%d" % n: frames_of(n, FRAMES, SEED) for n in range(1, SOURCES + 1)}


def peers(where, store, limit=None, source_hangs_up=0.0, gateway_hangs_up=0.0):
    sources = [LoadSource(where, name, frames, limit, SEED * 100 + i, source_hangs_up)
               for i, (name, frames) in enumerate(inputs().items())]
    gateways = [LoadGateway(where, name, channels, store, SEED * 200 + i, gateway_hangs_up)
                for i, (name, channels) in enumerate(GATEWAYS.items())]
    return sources, gateways


def alive(workers):
    for w in workers:
        if w.failure:
            raise w.failure
    return True


def finish(where, sources, gateways, store, count):
    """Everything is sent and acknowledged, every message is there, and no more comes."""
    for s in sources:
        s.finish()
    eventually("%d messages at the gateways" % count, lambda: alive(gateways) and len(store.messages) >= count)
    time.sleep(0.2)
    where.stopped.set()
    for g in gateways:
        g.finish()


def reference():
    """{(id, leg): bytes} of a run in which nothing happens; made once."""
    if not undisturbed:
        engine, store = Engine(), Store()
        where = Where(engine.port)
        sources, gateways = peers(where, store)
        for s in sources:
            s.finish()
        engine_legs = None
        while engine_legs != len(store.messages):  # until nothing comes for a while
            engine_legs = len(store.messages)
            time.sleep(0.3)
        where.stopped.set()
        for g in gateways:
            g.finish()
        engine.stop()
        assert store.repeats == 0, "nothing happened, and %d messages came twice" % store.repeats
        assert len(store.messages) > FRAMES, len(store.messages)
        replay(engine.data, "--verify")
        undisturbed.update(store.messages)
    return undisturbed


def journal_check(data):
    """Each frame of each source exactly once: kept in an entry or counted as dropped, in order."""
    kept, dropped, last, names = {}, {}, {}, {}
    for batch in journal.read(data + "/journal"):
        for entry in batch.entries:
            if entry.kind == journal.STREAM:
                names[entry.source] = journal.decode(entry).name
            if entry.kind == journal.FRAME and names.get(entry.source, "").startswith("bank"):
                sequence = int.from_bytes(entry.bytes[8:16], "little")
                assert sequence > last.get(entry.source, 0), "%s: frame %d twice" % (names[entry.source], sequence)
                last[entry.source] = sequence
                kept[entry.source] = kept.get(entry.source, 0) + 1
        for seen in batch.seen:
            filtered = sum(d.count for d in seen.dropped if d.reason == 1)
            dropped[seen.source] = dropped.get(seen.source, 0) + filtered
    for number in kept:
        assert kept[number] + dropped[number] == FRAMES, \
            "%s: %d kept + %d filtered, %d were sent" % (names[number], kept[number], dropped[number], FRAMES)
    assert len(kept) == SOURCES


def wait_for_progress(sources, of, part):
    """Until the sources together are that far: the kill falls into the traffic, not behind it."""
    until = time.monotonic() + 5
    while sum(getattr(s, of) for s in sources) < part * SOURCES * FRAMES and alive(sources) and time.monotonic() < until:
        time.sleep(0.0002)
    time.sleep(random.random() * 0.002)


@case
def nothing_happens_and_the_run_verifies():
    reference()


@case
def kill_at_50_random_points_loses_and_repeats_nothing():
    want, rng, store, where = reference(), random.Random(SEED), Store(), Where()
    options = ["--checkpoint", "1", "--segment", "1"]
    engine = Engine(None, catalogue_dir(), *options, admin="127.0.0.1:0")
    data, catalogue, where.port = engine.data, engine.catalogue, engine.port
    sources, gateways = peers(where, store, limit=0)
    for kill in range(KILLS):
        if kill % 5 == 4:  # long enough for a checkpoint, and ends about when it is written
            time.sleep(0.97 + rng.random() * 0.05)
        for s in sources:
            s.limit = FRAMES * (kill + 1) // (KILLS + 1)
        wait_for_progress(sources, "sent_most" if kill % 2 else "acknowledged", (kill + rng.random()) / (KILLS + 1))
        alive(sources + gateways)
        engine.process.kill()
        where.port = 1  # nobody listens there
        engine.wait()
        while rng.random() < 0.15:  # dies again while it starts
            early = Engine(data, catalogue, *options, listening=False)
            time.sleep(rng.random() * 0.08)
            early.kill()
        engine = engine.again()
        where.port = engine.port
    for s in sources:
        s.limit = FRAMES
    finish(where, sources, gateways, store, len(want))
    status = engine.status()
    assert status["legs"]["made"] == len(want) and status["legs"]["queued"] == 0, status["legs"]
    assert status["events"]["filtered"] + status["events"]["decided"] > FRAMES
    engine.stop()
    compare(store.messages, want)
    replay(data, "--verify")
    journal_check(data)
    print("  %d messages, %d repeats, %d sessions of sources, %d of gateways" %
          (len(want), store.repeats, sum(s.sessions for s in sources), sum(g.sessions for g in gateways)))


@case
def gateways_that_die_get_every_message_once():
    want, store = reference(), Store()
    engine = Engine()
    where = Where(engine.port)
    sources, gateways = peers(where, store, gateway_hangs_up=0.3)
    finish(where, sources, gateways, store, len(want))
    engine.stop()
    assert sum(g.sessions for g in gateways) > 10, "nobody hung up"
    compare(store.messages, want)
    replay(engine.data, "--verify")


@case
def sources_that_die_go_on_where_they_were():
    want, store = reference(), Store()
    engine = Engine()
    where = Where(engine.port)
    sources, gateways = peers(where, store, source_hangs_up=0.1)
    finish(where, sources, gateways, store, len(want))
    engine.stop()
    assert sum(s.sessions for s in sources) > 10
    compare(store.messages, want)
    assert store.repeats == 0
    replay(engine.data, "--verify")
    journal_check(engine.data)


if __name__ == "__main__":
    main()
