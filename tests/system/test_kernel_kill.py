#!/usr/bin/python3
"""Death at any moment while 99 % of what comes is dropped in the kernel. momentd is killed again and again, the sources resume:
nothing that was acknowledged is asked for again, nothing beside it is lost, and the journal's SEEN records account for every
sequence: kept once, or filtered under its type."""
import random
import time

from harness import CATALOGUE, SEED, Closed, Engine, Source, Worker, catalogue_dir, main, replay
from kernel import (DROPPED, Carry, amount, arrived, event_of, in_modes, runs_under, started, streams)

SOURCES = 3
OTHER = 41  # a second type that nothing uses
TWO = CATALOGUE.replace("  noise: { code: 40, history: rules }",
                        "  noise: { code: 40, history: rules }\n  hum: { code: 41, history: rules }")
assert TWO != CATALOGUE


def traffic(number, count):
    """99 % of types that are dropped; of three lengths; once in a while a kept one."""
    rng = random.Random(SEED * 100 + number)
    out = []
    for sequence in range(1, count + 1):
        type_ = 1 if rng.random() < 0.01 else rng.choice((DROPPED, DROPPED, OTHER))
        out.append(event_of(sequence, rng.choice((64, 64, 128, 101)), type_, customer=number * 100 + sequence % 5))
    return out


class Restless(Carry):
    """A source that outlives the engine: it asks where it listens now, and keeps to `limit` frames."""

    def __init__(self, where, mode, name, frames):
        self.where, self.mode, self.name, self.limit = where, mode, name, 0
        super().__init__(self.again, frames, write=2048, pause_s=0.0003)

    def again(self, known):
        if not self.where["port"]:
            time.sleep(0.005)
            raise Closed()
        return runs_under(Source(self.where["port"], self.name, acknowledged=known), self.mode)

    def may_send(self):
        return min(super().may_send(), self.ends[min(self.limit, self.count)])


def kill_rounds(mode, rounds, count):
    """Kills at a random moment of each round, and starts again; some die again while they start."""
    rng, where, midst = random.Random(SEED), {"port": None}, 0
    e = started(mode, "--segment", "4", "--checkpoint", "1", catalogue=catalogue_dir(TWO))
    data, catalogue, where["port"] = e.data, e.catalogue, e.port
    sent = {"kill-%d" % i: traffic(i, count) for i in range(1, SOURCES + 1)}
    sources = [Restless(where, mode, name, frames) for name, frames in sent.items()]
    workers = [Worker(s.run) for s in sources]
    for round_ in range(rounds):
        for s in sources:
            s.limit = count * (round_ + 1) // (rounds + 1)
        before = sum(s.out.acknowledged for s in sources)
        moment, until = rng.random() * SOURCES * count / (rounds + 1), time.monotonic() + 3
        while sum(s.out.acknowledged for s in sources) - before < moment and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(rng.random() * 0.003)
        midst += any(s.out.acknowledged < s.limit for s in sources)
        where["port"] = None
        e.kill()
        if rng.random() < 0.2:
            early = Engine(data, catalogue, "--prefilter=" + mode, "--segment", "4", listening=False)
            time.sleep(rng.random() * 0.3)
            early.kill()
        e = e.again()
        where["port"] = e.port
    for s in sources:
        s.limit = count
    outs = [w.finish() for w in workers]
    assert not any(out.errors for out in outs), [out.errors for out in outs]
    assert midst > rounds / 2, "only %d of %d kills fell into the traffic" % (midst, rounds)
    return e, sent, outs


@in_modes("kernel", "user")
def kills_at_99_percent_dropped_lose_nothing_and_ask_for_nothing_again(mode):
    rounds, count = amount(10 if mode == "kernel" else 4, 60), amount(12000, 60000)
    e, sent, outs = kill_rounds(mode, rounds, count)
    status = e.status()
    in_, filtered = (status["events"][k] for k in ("in", "filtered"))
    e.stop()
    resumed = 0
    for name, frames in sent.items():
        stream = arrived(e.data, name, frames, dropped=(DROPPED, OTHER), mode=mode)
        resumed += stream.starts - 1
    # WELCOME's numbers and the counters of what was filtered are rebuilt from the journal: the last engine counts all of them
    dropped = sum(sum(streams(e.data)[name].filtered.values()) for name in sent)
    assert filtered == dropped > 0.97 * SOURCES * count, (filtered, dropped)
    assert in_ - status["events"]["duplicate"] == SOURCES * count, status["events"]
    assert resumed >= rounds, "only %d resumes" % resumed
    replay(e.data, "--verify")
    print("  %d rounds, %d sessions, %d of %d filtered" % (rounds, sum(o.sessions for o in outs), filtered, SOURCES * count))


@in_modes("kernel", "user")
def what_was_acknowledged_right_before_a_kill_is_never_asked_for_again(mode):
    """All are dropped: the acknowledgement rests on the SEEN records alone."""
    acknowledged, frames = 0, [event_of(i, 64, DROPPED) for i in range(1, 1 + amount(5, 40) * 700)]
    e = started(mode, "--segment", "4")
    for round_ in range(len(frames) // 700):
        with runs_under(Source(e.port, "all", acknowledged=acknowledged), mode) as s:
            assert acknowledged < s.expected <= len(frames) + 1
            assert s.expected <= max(1, round_ * 700 + 1)
            at = s.expected - 1
            s.send(b"".join(frames[at:(round_ + 1) * 700]))
            s.wait_ack((round_ * 700) + 1 + round_ * 37 % 700)
            acknowledged = s.acknowledged
            e.kill()
        e = e.again()
    with Source(e.port, "all", acknowledged=acknowledged) as s:
        s.feed(frames[s.expected - 1:] or frames[-1:])
    e.stop()
    stream = arrived(e.data, "all", frames, mode=mode)
    assert not stream.kept


@in_modes("kernel")
def a_stop_keeps_what_the_ring_held(mode):
    """SIGTERM in the middle of traffic: what is acknowledged at the end is durable, and nothing is asked for twice."""
    frames, acknowledged, round_ = traffic(1, 9000), 0, 0
    e = started(mode, "--segment", "4", catalogue=catalogue_dir(TWO))
    while acknowledged < len(frames):
        s = runs_under(Source(e.port, "stop", acknowledged=acknowledged), mode)
        assert s.expected > acknowledged
        at, end = s.expected - 1, min(len(frames), s.expected + 3000)
        s.send(b"".join(frames[at:end]))
        if end < len(frames):
            e.stop()
            try:
                while True:
                    got = s.receive()
                    s.acknowledged = got.sequence if got.kind == 4 else s.acknowledged
            except Closed:
                pass
            e = e.again()
        else:
            s.wait_ack(end)
        acknowledged = s.acknowledged
        s.close()
        round_ += 1
    e.stop()
    arrived(e.data, "stop", frames, dropped=(DROPPED, OTHER), mode=mode)
    assert round_ >= 3


if __name__ == "__main__":
    main()
