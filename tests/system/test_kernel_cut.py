#!/usr/bin/python3
"""A stream cut anywhere: at every byte of three frames, into tiny segments, into writes of 64 KiB with a thousand frames, by FIN
and RST in the middle of a frame, by frames that break the protocol. What was whole is taken, once and in order; what is wrong
is answered by ERROR at its byte, and the source resumes without loss."""
import random
import socket
import time

from harness import (ACK, EVENT, HELLO, PATIENCE, PING, PROFILE, PONG, SEED, SUBSCRIBE, WELCOME, Closed, Connection, Source,
                     event, eventually, frame, hello_source, main, profile, replay, stream_of, subscribe)
from kernel import (DROPPED, REFERENCE, all_arrived, amount, arrived, carry, event_of, filter_counts, in_modes, runs_under,
                    started, triples)

LENGTH_SETS = [(64, 65, 127), (128, 201, 64), (73, 64, 64)]
LARGEST = 65536


def runs(e, mode):
    return filter_counts(e.status(), "runs") if mode == "kernel" else 0


def two_parts(s, data, k):
    s.send(data[:k])
    s.send(data[k:])


def cut_frames(e, mode, name, lengths, offsets):
    """Sends three frames in two parts, cut at each of the offsets in turn. Returns the frames."""
    frames = []
    with runs_under(Source(e.port, name), mode) as s:
        before = runs(e, mode)
        for k in offsets:
            three = triples(lengths, 1, (1, DROPPED) if len(frames) // 3 % 2 else (DROPPED, 1), first=len(frames) + 1)
            frames += three
            two_parts(s, b"".join(three), k)
            if k % 8 == 0:
                s.wait_ack(len(frames))
        s.wait_ack(len(frames))
        met = runs(e, mode) - before
        assert mode != "kernel" or met > 1.8 * len(offsets), "%d runs for %d parts: they were no segments" % (met, 2 * len(offsets))
    return frames


@in_modes("kernel", "user")
def a_cut_at_every_byte_of_three_frames_shows_nowhere(mode):
    sent = {}
    with started(mode) as e:
        for i, lengths in enumerate(LENGTH_SETS):
            sent["cut%d" % i] = cut_frames(e, mode, "cut%d" % i, lengths, range(1, sum(lengths)))
    all_arrived(e.data, sent, mode=mode, duplicates=0)
    replay(e.data, "--verify")


@in_modes("kernel", "user")
def the_largest_frame_is_taken_wherever_it_is_cut(mode):
    rng = random.Random(SEED)
    near = [1, 63, 64, 65, 128, 129, LARGEST - 1, LARGEST, LARGEST + 1, LARGEST + 63, LARGEST + 64, LARGEST + 65]
    offsets = near + [rng.randrange(1, LARGEST + 100) for _ in range(amount(4, 100))]
    with started(mode, "--segment", "64") as e:
        frames = cut_frames(e, mode, "large", (LARGEST, 64, 101), offsets)
    arrived(e.data, "large", frames, mode=mode, duplicates=0)


def mixed(count, seed, longest=700):
    """Frames of a source that is busy: all lengths, kept and dropped, changes and frames that are in no stream in between."""
    rng, out = random.Random(seed), []
    for sequence in range(1, count + 1):
        dice = rng.random()
        if dice < 0.02:
            out.append(profile(sequence, rng.randrange(1, 9), language="en"))
        elif dice < 0.04:
            out.append(subscribe(sequence, rng.randrange(1, 9)))
        else:
            length = rng.choice((64, 64, 65, 127, 128, 333, rng.randrange(67, longest)))
            out.append(event_of(sequence, length, rng.choice((1, 2, 3, DROPPED, DROPPED, DROPPED, 999))))
    return out


def carried(mode, name, frames, **options):
    """All of them through one connection; the journal must hold just that. Returns {counter: value} of the pre-filter."""
    with started(mode, "--segment", "16") as e:
        out = carry(lambda known: runs_under(Source(e.port, name, acknowledged=known), mode), frames, **options)
        counts = {k: filter_counts(e.status(), k) for k in ("runs", "skb_max", "bells")} if mode == "kernel" else {}
    assert not out.errors and out.sessions == 1, (out.errors, out.sessions)
    arrived(e.data, name, frames, mode=mode, duplicates=0)
    return counts


@in_modes("kernel", "user")
def a_thousand_frames_a_segment_arrive(mode):
    counts = carried(mode, "bulk", mixed(amount(15000, 300000), SEED))
    assert mode != "kernel" or counts["skb_max"] > 16000, counts


@in_modes("kernel", *REFERENCE)
def a_ring_that_wraps_in_the_middle_of_a_segment_arrives(mode):
    """Several rings' worth of kept frames: of each length, so that they lie across the ring's end in many ways."""
    rng, frames, size = random.Random(SEED), [], 0
    while size < amount(16, 120) << 20:
        length = rng.choice((64, 130, 3001, 3000, 9999, LARGEST))
        frames.append(event_of(len(frames) + 1, length, rng.choice((1, 1, 1, DROPPED))))
        size += length
    carried(mode, "wraps", frames)


@in_modes("kernel", "user")
def tiny_segments_arrive(mode):
    """Some bytes a segment; in the large run a million of them."""
    segments, rng = amount(20000, 1000000), random.Random(SEED)
    frames, size = [], 0
    for i, f in enumerate(mixed(segments // 10, SEED + 1, longest=90)):
        size += len(f)
        if size > 4 * segments:
            break
        frames.append(f)
    data = b"".join(frames)
    with started(mode, "--segment", "16") as e:
        with runs_under(Source(e.port, "tiny"), mode) as s:
            s.socket.settimeout(PATIENCE)
            at = 0
            while at < len(data):
                step = rng.randrange(1, 8)
                s.socket.send(data[at:at + step])
                at += step
            s.wait_ack(len(frames))
            met = runs(e, mode)
        assert mode != "kernel" or met > 0.2 * segments, "%d runs" % met
    arrived(e.data, "tiny", frames, mode=mode, duplicates=0)
    print("  %d bytes, %d runs of the program" % (len(data), met))


# ---- ends in the middle of a frame ----

@in_modes("kernel", "user")
def fin_and_rst_in_the_middle_of_a_frame_lose_nothing(mode):
    lengths, sent, acknowledged, early = (64, 101, 333), [], 0, 0
    with started(mode) as e:
        for n, k in enumerate(range(1, sum(lengths), amount(11, 1))):
            s = runs_under(Source(e.port, "ends", acknowledged=acknowledged), mode)
            whole = sum(k >= sum(lengths[:i + 1]) for i in range(3))
            first = s.expected
            assert len(sent) - 3 < first <= len(sent) + 1
            new = triples(lengths, 1, (1, DROPPED) if n % 2 else (DROPPED, 1), first=len(sent) + 1)
            sent += new
            s.feed(sent[first - 1:-3])
            acknowledged = len(sent) - 3
            s.send(b"".join(new)[:k])
            how = n % 3
            if how == 0:
                s.reset()
            elif how == 1:
                s.close()  # FIN, or RST when an ACK was not read
            else:
                s.socket.shutdown(socket.SHUT_WR)
                assert s.closed() is None
                s.close()
            eventually("its end", lambda: e.status()["connections"]["open"] == 0)
            with Source(e.port, "ends", acknowledged=acknowledged) as again:
                expected = again.expected
            least = acknowledged + 1 + (whole if how == 2 else 0)  # an RST may overtake what is not taken yet: it comes again
            assert least <= expected <= acknowledged + 1 + whole, (how, k, acknowledged, whole, expected)
            early += expected < acknowledged + 1 + whole
        with Source(e.port, "ends", acknowledged=acknowledged) as s:
            s.feed(sent[s.expected - 1:])
    arrived(e.data, "ends", sent, mode=mode, duplicates=0)
    print("  %d connections, in %d an RST overtook whole frames" % (n + 1, early))


# ---- frames that break the protocol ----

# (name, bytes of the frame, offset of what is wrong in it, code); sequence 6 is expected
WRONG = [
    ("length_63", frame(EVENT, sequence=6, time=1, length=63), 0, "MALFORMED"),
    ("length_65537", frame(EVENT, sequence=6, time=1, length=65537), 0, "MALFORMED"),
    ("length_2_to_the_31", frame(EVENT, sequence=6, time=1, length=2**31), 0, "MALFORMED"),
    ("version_2", frame(EVENT, sequence=6, time=1, version=2), 4, "MALFORMED"),
    ("kind_31", frame(31, sequence=6), 5, "MALFORMED"),
    ("kind_of_the_engine", frame(WELCOME, sequence=6), 5, "MALFORMED"),
    ("kind_of_a_gateway", frame(7, sequence=6), 5, "MALFORMED"),
    ("a_second_hello", frame(HELLO, sequence=6), 5, "MALFORMED"),
    ("the_record_of_what_was_dropped", frame(EVENT, sequence=6, time=1, version=0xd0), 4, "MALFORMED"),
    ("flag_7", frame(EVENT, sequence=6, time=1, flags=128), 63, "MALFORMED"),
    ("sequence_0", frame(EVENT, sequence=0, time=1), 8, "MALFORMED"),
    ("time_0", frame(EVENT, sequence=6, time=0, type=DROPPED), 32, "MALFORMED"),
    ("amount_negative", frame(EVENT, sequence=6, time=1, amount=-1), 40, "MALFORMED"),
    ("touchpoint_13", frame(EVENT, sequence=6, time=1, touchpoint=13, type=DROPPED), 62, "MALFORMED"),
    ("ping_with_a_sequence", frame(PING, sequence=6), 8, "MALFORMED"),
    ("ack_of_events", frame(ACK, sequence=6, type=EVENT), 6, "MALFORMED"),
    ("subscribe_of_nobody", frame(SUBSCRIBE, {}, sequence=6), 16, "MALFORMED"),
    ("profile_of_nobody", frame(PROFILE, {}, sequence=6), 16, "MALFORMED"),
    ("gap", event(7, b"", type=DROPPED), 8, "GAP"),
    ("gap_far_above", event(2**63, b""), 8, "GAP"),
    ("gap_in_a_change", subscribe(8, 5), 8, "GAP"),
]


def good_frames(first):
    return triples((64, 101, 333), 2, first=first)[:5]


def wrong_frame(e, mode, name, bad, at, code, k):
    """Five good frames, the bad one, three that are good again; in one segment, or cut at byte k of the bad one."""
    good, behind = good_frames(1), triples((64, 65, 64), 1, first=7)
    with runs_under(Source(e.port, name, stream_of(name)), mode) as s:
        assert s.expected == 1
        start = s.sent + sum(map(len, good))
        data = b"".join(good + [bad] + behind)
        cut = sum(map(len, good)) + k if k else len(data)
        try:
            s.send(data[:cut])
            if k:
                s.send(data[cut:])
            error = s.closed(code)
        except Closed as closed:
            error = closed.error
    assert error and error["code"] == code and error["offset"] == start + at, (name, k, error, start + at)
    assert code != "GAP" or error["sequence"] == 6, error
    with Source(e.port, name, stream_of(name), s.acknowledged) as again:
        assert again.expected == 6, "%s: %d is expected, 5 good frames stood before" % (name, again.expected)
        more = triples((64, 101, 333), 1, first=6)
        again.feed(more)
    return good + more


@in_modes("kernel", "user")
def a_wrong_frame_ends_the_connection_at_its_byte_and_all_before_is_taken(mode):
    sent = {}
    with started(mode) as e:
        for name, bad, at, code in WRONG:
            sent[name] = wrong_frame(e, mode, name, bad, at, code, 0)
    all_arrived(e.data, sent, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def a_wrong_header_that_comes_in_two_segments_is_as_wrong(mode):
    """Cut at every byte of the header of a bad version and of a gap."""
    sent, step = {}, amount(9, 1)
    table = {w[0]: w for w in WRONG}
    with started(mode) as e:
        for k in range(1, 64, step):
            name = "split%d" % (k % 60)
            if name not in sent:
                sent[name] = wrong_frame(e, mode, name, *table["version_2" if k % 2 else "gap"][1:], k)
    all_arrived(e.data, sent, mode=mode)


# ---- the beginning ----

@in_modes("kernel", "user")
def what_stands_behind_hello_is_taken_in_user_space(mode):
    """A source should be silent until WELCOME. One that is not is served all the same, by the slower way."""
    frames, whole, sent = triples((64, 101, 333), 3), sum((64, 101, 333)) * 3, 0
    with started(mode) as e:
        for i, cut in enumerate((1, 63, 64, 65, 400, whole)):  # so much in HELLO's own segment
            with Connection(e.port) as c:
                c.send(hello_source("early%d" % i, stream_of("early%d" % i)) + b"".join(frames)[:cut])
                assert c.expect(WELCOME).body["filter"] == "user"
                c.send(b"".join(frames)[cut:])
                while c.expect(ACK).sequence < len(frames):
                    pass
            sent += 1
    all_arrived(e.data, {"early%d" % i: frames for i in range(sent)}, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def what_comes_before_welcome_is_taken_or_refused_and_comes_again(mode):
    """In a segment of its own right behind HELLO: it may be there before the socket joins the program, or after."""
    frames, ends = triples((64, 101, 333), 3), {"kernel": 0, "user": 0, "MALFORMED": 0}
    with started(mode) as e:
        for i in range(amount(60, 600)):
            name = "race%d" % (i % 60)
            hello = hello_source(name, bytes("%016d" % i, "ascii"))
            with Connection(e.port) as c:
                try:
                    c.send(hello)
                    time.sleep((i % 10) * 0.0001)
                    c.send(b"".join(frames))
                    ends[c.expect(WELCOME).body["filter"]] += 1
                    while c.expect(ACK).sequence < len(frames):
                        pass
                except Closed as closed:
                    assert closed.error and closed.error["code"] == "MALFORMED", closed.error
                    assert len(hello) <= closed.error["offset"] <= c.sent
                    ends["MALFORMED"] += 1
            with Source(e.port, name, bytes("%016d" % i, "ascii")) as s:
                if s.expected <= len(frames):
                    s.feed(frames[s.expected - 1:])
        events = e.status()["events"]
        assert events["in"] - events["duplicate"] == amount(60, 600) * len(frames), events
    assert mode == "kernel" or not ends["kernel"] + ends["MALFORMED"]
    print("  %r" % ends)


@in_modes("kernel", "user")
def pings_between_dropped_and_kept_ones_are_answered_in_turn(mode):
    with started(mode) as e, runs_under(Source(e.port, "ping"), mode) as s:
        frames, mixed_ = [], []
        for i in range(1, 301):
            frames.append(event_of(i, 64, DROPPED if i % 3 else 1))
            mixed_ += [frames[-1], frame(PING, time=i)] if i % 5 == 0 else [frames[-1]]
        s.send(*mixed_)
        stamps = []
        while len(stamps) < 60:
            got = s.receive()
            assert got is not None, "%d of 60 PONGs came" % len(stamps)
            if got.kind == PONG:
                stamps.append(got.time)
            elif got.kind == ACK:
                s.acknowledged = got.sequence
        assert stamps == list(range(5, 301, 5)), stamps
        s.wait_ack(300)
    arrived(e.data, "ping", frames, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def duplicates_are_dropped_and_counted_in_the_middle_of_a_segment(mode):
    with started(mode) as e, runs_under(Source(e.port, "twice"), mode) as s:
        frames = triples((64, 101, 333), 40)
        s.feed(frames[:60])
        s.send(b"".join(frames[30:90]))
        s.wait_ack(90)
        s.send(b"".join(frames[89:]))
        s.wait_ack(len(frames))
        assert e.status()["events"]["duplicate"] == 31
    arrived(e.data, "twice", frames, mode=mode, duplicates=31)


if __name__ == "__main__":
    main()
