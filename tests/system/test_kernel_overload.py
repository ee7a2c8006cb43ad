#!/usr/bin/python3
"""More than there is room for: a source that ignores its window, an engine that stands still, 64 sources at once, a source at
full speed whose every few bytes the engine answers, ten windows of nothing but dropped ones. An honest source is never cut off
and never waits; a dishonest one is, and loses nothing."""
import os
import random
import signal
import socket
import time

from harness import (PING, SEED, Closed, Connection, Source, Worker, event, eventually, frame, hello_source, main, stream_of)
from kernel import (DROPPED, REFERENCE, WINDOW_BYTES, WINDOW_EVENTS, all_arrived, amount, arrived, carry, event_of, filter_counts,
                    in_modes, runs_under, started, uniform)

SO_SNDBUFFORCE = 32
GAP_S_MAX = 0.1
LENGTHS = [64, 64, 65, 128, 333]


# ---- dishonest ----

def flood(e, mode, name, frames):
    """Sends all of them at once while the engine stands still; its ERROR. Then the rest as it should be."""
    s = runs_under(Source(e.port, name), mode)
    s.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE if os.geteuid() == 0 else socket.SO_SNDBUF, 64 << 20)
    os.kill(e.pid, signal.SIGSTOP)
    sender = Worker(lambda: s.send(*frames))
    time.sleep(0.3)
    os.kill(e.pid, signal.SIGCONT)
    try:
        sender.finish()
        error = s.closed()
    except Closed as closed:
        error = closed.error
    # ERROR may be lost with the RST that ends a connection whose peer still sends; the counter is not
    assert error is None or error["code"] == "OVERRUN", error
    eventually("its refusal", lambda: e.status()["refusals"]["overrun"] == 1)
    out = carry(lambda known: Source(e.port, name, acknowledged=max(known, s.acknowledged)), frames)
    assert not out.errors, out.errors


def dishonest(mode, frames):
    with started(mode, "--segment", "64") as e, runs_under(Source(e.port, "other"), mode) as other:
        flood(e, mode, "flood", frames)
        assert other.alive()
        other.feed([event(1)])
    arrived(e.data, "flood", frames, mode=mode)


@in_modes("kernel", *REFERENCE)
def too_many_bytes_of_kept_events_are_cut_off_and_resume(mode):
    dishonest(mode, [event_of(i, 65000, 1) for i in range(1, amount(120, 400))])


@in_modes("kernel", *REFERENCE)
def too_many_bytes_of_dropped_events_are_cut_off_and_resume(mode):
    dishonest(mode, [event_of(i, 30000, DROPPED) for i in range(1, amount(250, 1000))])


@in_modes("kernel")
def too_many_small_events_are_cut_off_and_resume(mode):
    """Their bytes are in the ring as a few records. In user mode TCP holds them back while the engine acknowledges: no overrun."""
    dishonest(mode, uniform(amount(2, 5) * WINDOW_EVENTS))


# ---- the engine stands still ----

@in_modes("kernel", *REFERENCE)
def an_engine_that_stands_still_cuts_off_no_honest_source(mode):
    """A second, twice, with its whole window in flight."""
    rng = random.Random(SEED)
    frames = [event_of(i, rng.choice((64, 700, 2000)), 1 if i % 4 == 0 else DROPPED) for i in range(1, amount(9000, 60000))]
    with started(mode, "--segment", "64") as e:
        worker = Worker(lambda: carry(lambda known: runs_under(Source(e.port, "full", acknowledged=known), mode), frames))
        for _ in range(2):
            time.sleep(0.05)
            os.kill(e.pid, signal.SIGSTOP)
            time.sleep(amount(0.4, 1.0))
            os.kill(e.pid, signal.SIGCONT)
        out = worker.finish()
        assert out.sessions == 1 and not out.errors, (out.sessions, out.errors)
    arrived(e.data, "full", frames, mode=mode, duplicates=0)


@in_modes("kernel", *REFERENCE)
def the_whole_window_of_small_kept_events_fits_while_the_engine_stands_still(mode):
    frames = uniform(WINDOW_EVENTS, 999)  # of a type that nobody knows: kept
    with started(mode, "--segment", "64") as e, runs_under(Source(e.port, "window"), mode) as s:
        os.kill(e.pid, signal.SIGSTOP)
        sender = Worker(lambda: s.send(*frames))
        time.sleep(0.5)
        os.kill(e.pid, signal.SIGCONT)
        sender.finish()
        s.wait_ack(len(frames))
        assert e.status()["events"]["unknown_type"] == WINDOW_EVENTS


@in_modes("kernel", *REFERENCE)
def the_whole_window_of_bytes_fits_while_the_engine_stands_still(mode):
    """Lengths that waste most when they are rounded, and large ones; not one more would be allowed."""
    frames, room = [], WINDOW_BYTES
    while room >= 64:
        length = 65 if len(frames) % 3 else 8129
        rounded = min(length + 63 & ~63, room)
        frames.append(event_of(len(frames) + 1, length if rounded == length + 63 & ~63 else 64, 1 if len(frames) % 2 else DROPPED))
        room -= len(frames[-1]) + 63 & ~63
    with started(mode, "--segment", "64") as e, runs_under(Source(e.port, "window"), mode) as s:
        os.kill(e.pid, signal.SIGSTOP)
        sender = Worker(lambda: s.send(*frames))
        time.sleep(0.3)
        os.kill(e.pid, signal.SIGCONT)
        sender.finish()
        s.wait_ack(len(frames))
    arrived(e.data, "window", frames, mode=mode, duplicates=0)


# ---- 64 sources ----

def mixed_of(number, count):
    rng = random.Random(SEED * 1000 + number)
    return [event_of(i, rng.choice((64, 101, 333)), rng.choice((1, 3, DROPPED, DROPPED)), customer=number * 10 + i % 3)
            for i in range(1, count + 1)]


@in_modes("kernel", *REFERENCE)
def sixty_four_sources_at_once_and_no_room_for_another(mode):
    sent = {"s%02d" % n: mixed_of(n, amount(200, 5000) + n) for n in range(64)}
    with started(mode, "--segment", "64") as e:
        idle = [runs_under(Source(e.port, name), mode) for name in sent]
        if mode == "kernel":
            assert filter_counts(e.status(), "slots") == 64
        with Connection(e.port) as c:
            c.send(hello_source("s64", stream_of("s64")))
            c.closed("PEERS")
        workers = [Worker(lambda s=s: all_through(s, sent[s.name])) for s in idle]
        for w in workers:
            w.finish()
        with Connection(e.port) as c:  # and while slots are given back
            idle[5].reset()
            c.send(hello_source("s64", stream_of("s64")))
            c.closed("PEERS")
        with Source(e.port, "s05", acknowledged=len(sent["s05"])) as again:
            assert again.welcome.body["filter"] == mode or mode == "kernel"
            more = event_of(again.expected, 64, 1)
            again.feed([more])
            sent["s05"].append(more)
        for s in idle:
            s.close()
        if mode == "kernel":
            eventually("their slots to be free", lambda: filter_counts(e.status(), "slots") == 0 and
                       filter_counts(e.status(), "slots_waiting") == 0)
            assert runs_under(Source(e.port, "s63", acknowledged=len(sent["s63"])), mode).alive()
    all_arrived(e.data, sent, mode=mode, duplicates=0)


def all_through(s, frames):
    for at in range(0, len(frames), 50):
        s.send(*frames[at:at + 50])
    s.wait_ack(len(frames))


# ---- the engine answers while the source sends ----

def carried_fast(mode, frames, **options):
    """Through one connection without an ERROR; what Carry saw, and the data directory."""
    with started(mode, "--segment", "64") as e:
        out = carry(lambda known: runs_under(Source(e.port, "fast", acknowledged=known), mode), frames, **options)
        assert out.sessions == 1 and not out.errors, out.errors
        if mode == "kernel":
            print("  %d bytes, %d ACKs, %d PONGs, %d runs, longest skb %d" % (
                sum(map(len, frames)), out.acks, len(out.pongs), *(filter_counts(e.status(), k) for k in ("runs", "skb_max"))))
    return out, e.data


def acknowledged_every(mode, bytes_, frames):
    """The source waits for an ACK each time that so many bytes are in flight."""
    out, data = carried_fast(mode, frames, window_bytes=bytes_, write=bytes_)
    assert out.acks > sum(map(len, frames)) / bytes_ / 4, "%d ACKs" % out.acks
    arrived(data, "fast", frames, mode=mode, duplicates=0)


def asked_every(mode, bytes_, frames):
    """At full speed, and every so many bytes a PING: the engine sends on the socket while the source does."""
    asking, size, pings = [], 0, 0
    for f in frames:
        size += len(f)
        due = size >= bytes_
        pings += due
        asking.append(f + frame(PING, time=pings) if due else f)
        size = 0 if due else size
    out, data = carried_fast(mode, asking)
    assert out.pongs == list(range(1, len(out.pongs) + 1)) and len(out.pongs) > 0.9 * pings, (len(out.pongs), pings)
    arrived(data, "fast", asking, mode=mode, duplicates=0)


def answered(mode, bytes_, count, lengths, waiting=None):
    """waiting: how many of them the source sends in turn with the ACKs."""
    rng = random.Random(SEED)
    frames = [event_of(i, rng.choice(lengths), rng.choice((1, DROPPED, DROPPED))) for i in range(1, count)]
    acknowledged_every(mode, bytes_, frames[:waiting])
    asked_every(mode, bytes_, frames)


@in_modes("kernel", *REFERENCE)
def answers_every_64_bytes_disturb_nothing(mode):
    """A single dropped one rings no bell: its ACK may take the 50 ms after which a sleeping engine looks around."""
    answered(mode, 64, amount(10000, 100000), [64], waiting=amount(120, 2000))


@in_modes("kernel", *REFERENCE)
def answers_every_4_KiB_disturb_nothing(mode):
    answered(mode, 4096, amount(8000, 100000), LENGTHS)


@in_modes("kernel", *REFERENCE)
def answers_every_64_KiB_disturb_nothing(mode):
    answered(mode, 65536, amount(16000, 200000), LENGTHS)


# ---- asleep ----

def asleep_gap(mode, frames):
    """The longest time without progress, and how often the program rang."""
    with started(mode, "--spin=never", "--segment", "8") as e:
        out = carry(lambda known: runs_under(Source(e.port, "asleep", acknowledged=known), mode), frames)
        bells = filter_counts(e.status(), "bells") if mode == "kernel" else 0
        assert out.sessions == 1 and e.status()["events"]["filtered"] == len(frames)
    return out.gap_s, bells, e.data


@in_modes("kernel", *REFERENCE)
def ten_windows_of_dropped_events_never_stall_a_sleeping_engine(mode):
    """In time: every gap below 100 ms. A hiccup of the machine is told apart by up to three tries."""
    frames = uniform(amount(10, 40) * WINDOW_EVENTS)
    for attempt in range(3):
        gap_s, bells, data = asleep_gap(mode, frames)
        print("  longest gap %.1f ms, %d bells" % (gap_s * 1e3, bells))
        if gap_s < GAP_S_MAX:
            break
    assert gap_s < GAP_S_MAX, "stalled %.0f ms in each of three tries" % (gap_s * 1e3)
    assert mode != "kernel" or 1 <= bells < len(frames) / 1000, bells


@in_modes("kernel", *REFERENCE)
def a_window_of_large_dropped_events_wakes_a_sleeping_engine(mode):
    """The window's bytes are full long before its events are."""
    frames = [event_of(i, 60000, DROPPED) for i in range(1, amount(500, 3000))]
    for attempt in range(3):
        gap_s, bells, data = asleep_gap(mode, frames)
        if gap_s < GAP_S_MAX:
            break
    assert gap_s < GAP_S_MAX, "stalled %.0f ms" % (gap_s * 1e3)


if __name__ == "__main__":
    main()
