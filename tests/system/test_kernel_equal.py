#!/usr/bin/python3
"""One source, three ways in: the same frames through the kernel, the user-space filter and no filter at all give the same messages,
and what they leave behind is the same: state and digest of a replay. What is FILTERED in two of them is what the third one
decided without an effect. Event by event, many a segment, and in writes of 64 KiB."""
import random
import re

from harness import (CATALOGUE, EPOCH, HEADER, MAYBE_REPEAT, PING, REVERSAL, SEED, VERDICT_WANTED, Gateway, Source, Worker,
                     account_record, canonical, catalogue_dir, event, eventually, frame, key_of, main, profile, replay, run, subscribe,
                     table_case)
from kernel import DROPPED, MODES, amount, carry, need, runs_under, started, streams

# beside noise, a type that is kept for those alone who have subscribed, and one that is kept from an amount
RULED = (CATALOGUE.replace("  noise: { code: 40, history: rules }", "  noise: { code: 40, history: rules }\n"
                           "  fee: { code: 41, history: rules }\n  deposit: { code: 42, history: rules }")
         .replace("subscriptions:\n", "subscriptions:\n  fees: { events: [fee], when: 'event.amount > 100', repeat: every, message: fees, "
                  "channels: [email], fresh: 30d }\n")
         .replace("critical:\n", "critical:\n  rich: { events: [deposit], when: 'event.amount > 90000', repeat: every, message: rich, "
                  "channels: [sms], fresh: 30d }\n")
         + '  fees: { en: "A fee of {event.amount, money}." }\n  rich: { en: "{event.amount, money} came in." }\n')
FEE, DEPOSIT = 41, 42


def traffic(count, seed):
    """All kinds and lengths, and who is enrolled changes in the middle: a SUBSCRIBE and the next event stand side by side."""
    rng, out, clock = random.Random(seed), [], EPOCH
    customers = list(range(1, 40))

    def add(make, *args, **fields):
        out.append(make(len(out) + 1, *args, **fields))

    for c in customers[:20]:
        add(profile, c, language="en", name="N%d" % c)
    for a in range(8):
        add(account_record, 500 + a, (customers[a], "owner"), *([(customers[a + 8], "co_owner")] if a % 2 else []))
    while len(out) < count:
        clock += rng.randrange(1, 900) * 10**9
        who = {"customer": rng.choice(customers), "account": rng.choice((0, 0, 500 + rng.randrange(10))),
               "time": clock - (rng.random() < 0.1) * rng.randrange(7200) * 10**9}
        money = rng.randrange(1, 100000)
        dice = rng.random()
        if dice < 0.40:
            add(event, rng.choice((b"", {"fill": "x" * rng.randrange(900)})), type=DROPPED, amount=money, **who)
        elif dice < 0.55:
            add(event, {}, type=FEE, amount=money % 1000, **who)
        elif dice < 0.70:
            add(event, {}, type=DEPOSIT, amount=money, **who)
        elif dice < 0.80:
            add(event, {"merchant": "M%d" % (money % 9), "ref": "R%d" % (money % 500)}, amount=money, **who,
                flags=rng.choice((0, 0, 0, VERDICT_WANTED, MAYBE_REPEAT)))
        elif dice < 0.84:
            add(event, {"of": "R%d" % (money % 500)}, amount=money, flags=REVERSAL, **who)
        elif dice < 0.88:
            add(event, {"payee": "P"}, type=2, amount=money, **who)
        elif dice < 0.90:
            add(event, {}, type=DROPPED, amount=money, flags=VERDICT_WANTED, **who)
        elif dice < 0.92:
            add(event, {}, type=999, amount=money, **who)
        elif dice < 0.96:
            add(subscribe, who["customer"], rng.choice(("fees", "spent", "posted")), on=rng.random() < 0.8)
            add(event, {}, type=FEE, amount=500, **who)  # the very next frame
        else:
            add(profile, who["customer"], language="en", name="told %d" % money)
            add(event, {}, type=FEE, amount=501, **who)
    return out


def told_the_time(frames):
    """Before each frame a PING that says how late it is: now follows kept events alone, and must be the same in all modes."""
    now, out = EPOCH, []
    for f in frames:
        now = max(now, HEADER.unpack_from(f)[7])
        out.append(frame(PING, time=now) + f)
    return out


class Taker(Worker):
    """A gateway that accepts all that comes, until it is told how many there are."""

    def __init__(self, port):
        self.gateway, self.messages, self.count = Gateway(port), {}, None
        super().__init__(self.take)

    def take(self):
        while self.count is None or len(self.messages) < self.count:
            got = self.gateway.receive(0.02)
            if got is None:
                continue
            self.messages[key_of(got)] = canonical(got)
            if got.sequence % 500 == 0:
                self.gateway.accept(got.sequence)
        self.gateway.accept(len(self.messages))


class Result:
    """What one run left: messages as bytes, the replay's digests, counters."""


def result_of(mode, frames, **options):
    out = Result()
    with started(mode, "--segment", "16", catalogue=catalogue_dir(RULED)) as e:
        taker = Taker(e.port)
        carried = carry(lambda known: runs_under(Source(e.port, "one", acknowledged=known), mode), frames, **options)
        assert not carried.errors and carried.sessions == 1, carried.errors
        taker.count = e.status()["legs"]["made"]
        taker.finish()
        eventually("all accepted", lambda: e.status()["legs"]["accepted"] == taker.count)
        status = e.status()
        out.messages = sorted(taker.messages.items())
        out.events, out.hits, out.suppressed = status["events"], status["hits"], status["suppressed"]
    out.replay = replay(e.data, "--verify")
    code, text, err = run("moment", "replay", "--data", e.data, "--check-filter")
    assert code == 0 and "sound:" in text, text + err
    out.digests = dict(re.findall(r"^(outputs|windows and references|golden records) (\w{32})$", text, re.M))
    assert len(out.digests) == 3, text
    out.stream = streams(e.data)["one"]
    return out


def same(a, b, what):
    assert a == b, "%s differ: %.300r and %.300r" % (what, a, b)


def compare(user, other, kernel):
    same(user.messages, other.messages, "messages")
    for part in ("outputs", "windows and references", "golden records"):
        same(user.digests[part], other.digests[part], "digests of " + part)
    same(user.hits, other.hits, "hits")
    same(user.suppressed, other.suppressed, "suppressed ones")
    if kernel:
        same(user.events, other.events, "outcomes")
        same(user.stream.kept, other.stream.kept, "kept frames")
        same(user.stream.filtered, other.stream.filtered, "filtered ones")
        same(user.replay["state"], other.replay["state"], "digests of the whole state")


def adds_up(r, frames, mode):
    """Each EVENT that was sent ended once; FILTERED and the rest are all of them."""
    events = sum(f[5] == 3 for f in frames)
    assert r.events["in"] == events, (r.events, events)
    assert sum(n for name, n in r.events.items() if name != "in") == events
    assert sum(r.stream.filtered.values()) == r.events["filtered"] and (r.events["filtered"] > 0) == (mode != "off")


# name: (bytes a write, events in flight, share of the traffic)
WAYS = {"event_by_event": (0, 1), "some_a_segment": (2000, 100), "64_KiB_writes": (65536, 65536)}


def equal(ways, count):
    frames = traffic(count, SEED)
    write, in_flight = WAYS[ways]
    timed = told_the_time(frames)
    options = dict(write=max(map(len, timed)) if in_flight == 1 else write, window_events=in_flight)
    results = {mode: result_of(mode, timed, **options) for mode in ("user", "kernel", "off")}
    for mode, r in results.items():
        adds_up(r, frames, mode)
        assert len(r.messages) > count / 20, len(r.messages)
        compare(results["user"], r, mode == "kernel")
    off, user = results["off"], results["user"]
    assert user.events["filtered"] > 0.4 * count, user.events
    # what the filter took away, the engine without one decided, and nothing came of it
    assert off.events["decided"] - user.events["decided"] == user.events["filtered"] - (
        sum(off.events[k] - user.events[k] for k in off.events if k not in ("in", "filtered", "decided"))), (off.events, user.events)
    kept = set(user.stream.kept)
    for sequence, data in off.stream.kept.items():
        assert sequence in kept or data[5] == 3 and int.from_bytes(data[6:8], "little") in (DROPPED, FEE, DEPOSIT)
    print("  %d frames, %d messages, filtered %r" % (len(frames), len(user.messages), user.stream.filtered))


def add(ways, count):
    def check():
        need("kernel")
        equal(ways, count)
    table_case("kernel_user_and_off_agree_" + ways, check)


for name, count in (("event_by_event", amount(800, 8000)), ("some_a_segment", amount(4000, 40000)), ("64_KiB_writes", amount(8000, 200000))):
    if not MODES or "kernel" in MODES:
        add(name, count)

if __name__ == "__main__":
    main()
