#!/usr/bin/python3
"""A reload under traffic never drops what the new catalogue needs. The catalogue goes back and forth between one that drops a type
and one that counts it, while several sources send at full speed; the journal says, by position, which catalogue each event was
seen under. And enrolment: who subscribes gets the very next event, in the same segment and on another connection."""
import os
import random
import signal
import time

from harness import (CATALOGUE, EPOCH, SEED, Closed, Gateway, Source, Worker, account_record, catalogue_dir, event, eventually, main,
                     profile, replay, run, subscribe)
from kernel import (DROPPED, FILTERED, REFERENCE, Carry, amount, event_of, in_modes, runs_under, sequence_of, started, streams, type_of,
                    uniform)

import journal  # of tests/model

HUM, FEE = 41, 42
BASE = CATALOGUE.replace("  noise: { code: 40, history: rules }",
                         "  noise: { code: 40, history: rules }\n  hum: { code: 41, history: rules }\n  fee: { code: 42, history: rules }")
COUNTS = BASE.replace("  n_ever: {", "  noises: { over: [noise], count: true, within: 1h }\n  n_ever: {").replace(
    "number {agg.n_ever}", "noises {agg.noises}, number {agg.n_ever}")
HUMS = BASE.replace("  n_ever: {", "  hums: { over: [hum], count: true, within: 1h }\n  n_ever: {").replace(
    "number {agg.n_ever}", "hums {agg.hums}, number {agg.n_ever}")
RULES = BASE.replace("critical:\n", "critical:\n  loud: { events: [noise], when: 'event.amount > 700', repeat: every, message: out, "
                     "channels: [sms], fresh: 30d }\n")
ENROLS = BASE.replace("subscriptions:\n", "subscriptions:\n  fees: { events: [fee], repeat: every, message: fees, channels: [email], "
                      "fresh: 30d }\n") + '  fees: { en: "A fee of {event.amount, money}." }\n'
assert len({CATALOGUE, BASE, COUNTS, HUMS, RULES, ENROLS}) == 6


def needs(text):
    """What a catalogue of the journal wants: {type: the amount from which it is needed; None: never}."""
    return {DROPPED: 0 if "noises:" in text else 701 if "loud:" in text else None, HUM: 0 if "hums:" in text else None}


class Account:
    """Walks the journal: which catalogue was in force when, and what was filtered then."""

    def __init__(self, data, sent):
        self.sent, self.names, self.versions, self.activations = sent, {}, {}, []
        self.filtered = {}  # by type
        for batch in journal.read(os.path.join(data, "journal")):
            kept = {}
            for entry in batch.entries:
                if entry.kind == journal.STREAM:
                    self.names[entry.source] = journal.decode(entry).name
                elif entry.kind == journal.ACTIVATE:
                    said = journal.decode(entry)
                    self.versions[said.interest_version] = needs(said.blob.decode(errors="replace"))
                    self.activations.append(str(self.versions[said.interest_version]))
                elif entry.kind == journal.FRAME:
                    kept.setdefault(entry.source, set()).add(sequence_of(entry.bytes))
            for seen in batch.seen:
                self.check(seen, kept.get(seen.source, set()), batch.header.number)

    def check(self, seen, kept, number):
        """No frame that the record covers was dropped and is needed by the catalogue of its version."""
        need, frames, dropped = self.versions[seen.interest_version], self.sent[self.names[seen.source]], {}
        for sequence in range(seen.first, seen.seen + 1):
            if sequence in kept:
                continue
            frame = frames[sequence - 1]
            type_, amount_ = type_of(frame), int.from_bytes(frame[40:48], "little")
            least = need.get(type_, 0)
            assert least is None or amount_ < least, "batch %d: %d of type %d and amount %d was dropped, and is needed" % (
                number, sequence, type_, amount_)
            dropped[type_] = dropped.get(type_, 0) + 1
        assert dropped == {d.type: d.count for d in seen.dropped if d.reason == FILTERED}, (dropped, seen)
        for type_, count in dropped.items():
            self.filtered[type_] = self.filtered.get(type_, 0) + count


def busy(number, count):
    rng = random.Random(SEED * 50 + number)
    return [event_of(i, rng.choice((64, 64, 101, 333)), rng.choice((1, DROPPED, DROPPED, HUM)), customer=number * 10 + i % 4,
                     amount=rng.randrange(1000), time=EPOCH + i * 10**8) for i in range(1, count + 1)]


def reload_by(e, how, text, number):
    """By HTTP it has happened when this returns; by SIGHUP soon."""
    catalogue_dir(text + "# %d\n" % number, e.catalogue)
    if how == "http":
        code, said = e.ask("/reload", "POST")
        assert code == 200, said
    else:
        before = e.status()["catalogue"]["hash"]
        e.process.send_signal(signal.SIGHUP)
        eventually("a new catalogue", lambda: e.status()["catalogue"]["hash"] != before)


def reloaded_under_traffic(mode, how, sources, count, texts):
    """The engine's data and what was sent, after reloads until all sources are through."""
    e = started(mode, "--segment", "16", catalogue=catalogue_dir(texts[0]))
    sent = {"bank-%d" % n: busy(n, count) for n in range(1, sources + 1)}
    carries = [Carry(lambda known, name=name: Source(e.port, name, acknowledged=known), frames, write=4096, pause_s=0.003)
               for name, frames in sent.items()]
    workers = [Worker(c.run) for c in carries]
    reloads = 0
    while any(w.is_alive() for w in workers):
        reloads += 1
        reload_by(e, how, texts[reloads % len(texts)], reloads)
    outs = [w.finish() for w in workers]
    assert all(error["code"] == "BROKEN" for out in outs for error in out.errors), [out.errors for out in outs]
    cut = e.status()["prefilter"]["cut"] if mode == "kernel" else 0
    status = e.status()
    e.stop()
    print("  %d reloads, %d sources cut off, %d of %d filtered" % (
        reloads, cut, status["events"]["filtered"], sources * count))
    return e.data, sent, reloads, status


def sound(data):
    """The journal replays to its own bytes, and without what the filter would drop to the same ones."""
    replay(data, "--verify")
    code, text, err = run("moment", "replay", "--data", data, "--check-filter")
    assert code == 0 and "sound:" in text, text + err


def alternating(mode, how, texts, count):
    data, sent, reloads, status = reloaded_under_traffic(mode, how, 3, count, texts)
    assert reloads >= 4, "only %d reloads fell into the traffic" % reloads
    account = Account(data, sent)
    assert len(account.activations) >= reloads, (len(account.activations), reloads)
    assert set(account.filtered) == {DROPPED, HUM} and len(set(account.activations)) == len(texts), account.filtered
    assert sum(account.filtered.values()) == status["events"]["filtered"]
    for name, frames in sent.items():
        stream = streams(data)[name]
        assert stream.seen == len(frames) and all(stream.kept[k] == frames[k - 1] for k in stream.kept)
    sound(data)


@in_modes("kernel", *REFERENCE)
def a_window_that_comes_and_goes_misses_nothing_while_it_is_there(mode):
    alternating(mode, "http", [BASE, COUNTS], amount(6000, 60000))


@in_modes("kernel", *REFERENCE)
def a_rule_that_comes_and_goes_by_sighup_misses_nothing_while_it_is_there(mode):
    alternating(mode, "signal", [BASE, RULES], amount(6000, 60000))


@in_modes("kernel", *REFERENCE)
def catalogues_of_which_each_drops_what_the_other_needs_miss_nothing(mode):
    """Here neither table will do while one gives way to the other: only their union."""
    alternating(mode, "http", [COUNTS, HUMS], amount(6000, 60000))


@in_modes("kernel")
def four_catalogues_in_turn_miss_nothing(mode):
    alternating(mode, "http", [RULES, HUMS, BASE, COUNTS], amount(6000, 60000))


@in_modes("kernel", "user")
def what_is_sent_after_a_reload_was_answered_is_seen_under_the_new_catalogue(mode):
    """No grace: the very first event behind the answer counts, on every connection."""
    with started(mode, "--segment", "8", catalogue=catalogue_dir(BASE)) as e:
        sources = [runs_under(Source(e.port, "s%d" % i), mode) for i in range(4)]
        at, filtered = 1, 0
        for n in range(amount(6, 60)):
            reload_by(e, "http", COUNTS if n % 2 == 0 else BASE, n)
            for s in sources:
                s.feed(uniform(5, first=at))
            at += 5
            filtered += 0 if n % 2 == 0 else 20
            assert e.status()["events"]["filtered"] == filtered, (n, e.status()["events"])
        for s in sources:
            s.close()
    sound(e.data)


@in_modes("kernel", "user")
def half_a_frame_holds_no_reload_up_for_long(mode):
    """A source that leaves a frame half sent was seen under the old table: it is waited for, then cut off, and loses nothing."""
    frames = [event_of(i, 333, DROPPED) for i in range(1, 9)]
    with started(mode, "--segment", "8", catalogue=catalogue_dir(BASE)) as e:
        s = runs_under(Source(e.port, "half"), mode)
        s.feed(frames[:4])
        s.send(frames[4][:100])
        time.sleep(0.05)
        began = time.monotonic()
        reload_by(e, "http", COUNTS, 1)
        took = time.monotonic() - began
        assert took < 5, "the reload took %.1f s" % took
        try:
            s.send(frames[4][100:], *frames[5:])
            s.wait_ack(8)
        except Closed:
            pass
        with Source(e.port, "half", acknowledged=s.acknowledged) as again:
            again.feed(frames[again.expected - 1:] or frames[-1:])
        s.close()
    stream = streams(e.data)["half"]
    assert stream.seen == 8 and stream.filtered == {DROPPED: 8 - len(stream.kept)} and len(stream.kept) >= 3, (
        stream.seen, stream.filtered, list(stream.kept))
    print("  %.2f s for the reload" % took)
    sound(e.data)


# ---- enrolment ----

def fee(sequence, customer, **fields):
    return event(sequence, {}, type=FEE, customer=customer, **dict(dict(account=0, amount=sequence), **fields))


@in_modes("kernel", "user")
def the_event_behind_a_subscribe_in_its_segment_is_kept(mode):
    count = amount(60, 1000)
    with started(mode, catalogue=catalogue_dir(ENROLS)) as e, Gateway(e.port) as g:
        with runs_under(Source(e.port, "enrol"), mode) as s:
            frames = []
            for i in range(count):
                customer, at = 1000 + i, len(frames) + 1
                frames += [fee(at, customer), profile(at + 1, customer, language="en") if i % 2 else fee(at + 1, 5),
                           subscribe(at + 2, customer, "fees"), fee(at + 3, customer), fee(at + 4, customer)]
            s.send(b"".join(frames))
            s.wait_ack(len(frames))
            wanted = {i * 5 + k + 1 for i in range(count) if i % 2 for k in (3, 4)}
            got = {m.amount for m in g.take_messages(len(wanted))}
            assert got == wanted, sorted(wanted - got)[:5]
            filtered = e.status()["events"]["filtered"]
            # those before anybody subscribed went away, but for numbers that share a bit with one who did
            assert filtered >= 0.95 * (count + count // 2), (filtered, count)
    sound(e.data)


@in_modes("kernel", "user")
def an_event_on_another_connection_after_the_subscribe_was_acknowledged_is_kept(mode):
    with started(mode, catalogue=catalogue_dir(ENROLS)) as e, Gateway(e.port) as g:
        with runs_under(Source(e.port, "a"), mode) as a, runs_under(Source(e.port, "b"), mode) as b:
            for i in range(amount(40, 500)):
                customer = 5000 + i
                b.feed([fee(i * 2 + 1, customer)])
                a.feed([profile(i * 2 + 1, customer), subscribe(i * 2 + 2, customer, "fees")])
                b.feed([fee(i * 2 + 2, customer)])
                assert g.take_messages(1)[0].amount == i * 2 + 2
            assert e.status()["events"]["filtered"] >= 0.9 * amount(40, 500)
    sound(e.data)


@in_modes("kernel", "user")
def the_holder_of_an_account_who_subscribed_gets_what_others_do_on_it(mode):
    """The event names another actor; its account's record came on another connection."""
    with started(mode, catalogue=catalogue_dir(ENROLS)) as e, Gateway(e.port) as g:
        with runs_under(Source(e.port, "a"), mode) as a, runs_under(Source(e.port, "b"), mode) as b:
            b.feed([fee(1, 9999, account=777)])
            a.feed([profile(1, 42), subscribe(2, 42, "fees"), account_record(3, 777, (42, "owner"))])
            b.feed([fee(2, 9999, account=777), fee(3, 0, account=777)])
            status = e.status()
            assert status["events"]["filtered"] == 1 and status["events"]["decided"] == 2, status["events"]
    sound(e.data)


@in_modes("kernel", "user")
def who_subscribed_before_a_restart_is_still_enrolled(mode):
    e = started(mode, catalogue=catalogue_dir(ENROLS))
    with runs_under(Source(e.port, "old"), mode) as s:
        s.feed([profile(1, 42), subscribe(2, 42, "fees"), account_record(3, 777, (42, "owner")), profile(4, 43)])
    for round_, end in enumerate(("kill", "stop")):
        getattr(e, end)()
        e = e.again()
        with runs_under(Source(e.port, "old", acknowledged=4 + 4 * round_), mode) as s:
            first = s.expected
            s.feed([fee(first, 42), fee(first + 1, 9999, account=777), fee(first + 2, 43), fee(first + 3, 9998)])
            events = e.status()["events"]
            assert events["filtered"] == 2 * (round_ + 1) and events["decided"] == 2 * (round_ + 1), events
    e.stop()
    sound(e.data)


if __name__ == "__main__":
    main()
