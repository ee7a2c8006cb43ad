"""Traffic whose result does not depend on how sources are interleaved, and peers that carry it through anything: sources
and gateways in threads that connect again whenever their connection ends, and note what may not happen.

Each source has customers and accounts of its own, so that a message depends on the order within one source only.
"""
import random
import threading
import time

from harness import (ACK, EPOCH, ERROR, EVENT, MAYBE_REPEAT, MESSAGE, PATIENCE, REVERSAL, VERDICT_WANTED, Closed, Gateway,
                     Source, Worker, account_record, canonical, event, key_of, profile, stream_of, subscribe)

WINDOW = 600  # frames in flight of one source: enough to keep the engine busy, little enough to spread over the kills


def frames_of(number, count, seed):
    """The frames of source `number`, with sequences from 1."""
    rng = random.Random(seed * 1000 + number)
    base = number * 1000
    customers = [base + i for i in range(1, 13)]
    accounts = [base + 500 + i for i in range(6)]
    out = []

    def add(make, *args, **fields):
        out.append(make(len(out) + 1, *args, **fields))

    for i, customer in enumerate(customers[:-2]):  # the last two have no record
        add(profile, customer, language="en", name="N%d" % i)
        add(subscribe, customer, "spent", params={"threshold": "%d EUR" % (i % 4 * 5 + 1)})
        if i % 2:
            add(subscribe, customer, "posted")
    for i, account in enumerate(accounts):
        add(account_record, account, (customers[2 * i % 10], "owner"), (customers[(2 * i + 1) % 10], "co_owner"))
    clock, refs, told = EPOCH + number * 10**9, [], 0
    while len(out) < count:
        clock += rng.randrange(1, 20) * 10**9
        at = clock - (rng.randrange(3600) * 10**9 if rng.random() < 0.1 else 0)
        who = {"customer": rng.choice(customers), "account": rng.choice(accounts + [0]), "time": at}
        amount = rng.randrange(1, 60000)
        dice = rng.random()
        if dice < 0.35:
            add(event, {"merchant": "M%d" % rng.randrange(9)}, amount=amount, **who,
                flags=VERDICT_WANTED if rng.random() < 0.1 else 0)
        elif dice < 0.50:
            refs.append("R%d-%d" % (number, len(out)))
            add(event, {"merchant": "A", "ref": refs[-1], "stage": "authorised"}, amount=amount, **who)
        elif dice < 0.58 and refs:
            add(event, {"merchant": "A", "ref": rng.choice(refs), "stage": "posted"}, amount=amount, **who)
        elif dice < 0.63 and refs:
            add(event, {"of": rng.choice(refs)}, amount=rng.randrange(1, 30000), flags=REVERSAL, **who)
        elif dice < 0.78:
            add(event, {"payee": "P"}, type=2, amount=amount, **who)
        elif dice < 0.93:
            add(event, {}, type=40, amount=amount, **who)
        elif dice < 0.96:
            add(event, {}, type=3, amount=0, **who)
        elif dice < 0.98:
            add(event, {}, type=999, amount=amount, **who)
        elif dice < 0.99:
            add(event, b"\x81\xa1", amount=amount, **who)
        else:
            told += 1
            add(profile, rng.choice(customers[:-2]), name="told %d" % told)
    return out


class Where:
    """Where the engine listens now; peers ask it whenever they connect."""

    def __init__(self, port=None):
        self.port = port
        self.stopped = threading.Event()


class LoadSource(Worker):
    """Sends frames, each until it is acknowledged, up to `limit` (the test raises it)."""

    def __init__(self, where, name, frames, limit=None, seed=1, hang_up=0.0):
        self.where, self.peer, self.frames, self.stream = where, name, frames, stream_of(name)
        self.limit = len(frames) if limit is None else limit
        self.acknowledged, self.sent_most, self.sessions, self.hang_up = 0, 0, 0, hang_up
        self.rng = random.Random(seed)
        super().__init__(self.work_all)

    def work_all(self):
        while self.acknowledged < len(self.frames) and not self.where.stopped.is_set():
            try:
                self.session(Source(self.where.port, self.peer, self.stream, self.acknowledged, timeout=2 * PATIENCE))
            except Closed as closed:
                assert not closed.error, "the engine refused %s: %r" % (self.peer, closed.error)
            except OSError:
                pass
            time.sleep(0.004)

    def session(self, c):
        self.sessions += 1
        assert c.expected > self.acknowledged, \
            "%s: %d is asked for again, %d was acknowledged" % (self.peer, c.expected, self.acknowledged)
        assert c.expected <= self.sent_most + 1, "%s: %d expected, %d was sent" % (self.peer, c.expected, self.sent_most)
        at = c.expected
        with c:
            while self.acknowledged < len(self.frames) and not self.where.stopped.is_set():
                end = min(self.limit, self.acknowledged + WINDOW, at + self.rng.randrange(1, 120))
                if at <= end:
                    self.sent_most = max(self.sent_most, end)
                    c.send(*self.frames[at - 1:end])
                    at = end + 1
                    if self.hang_up and self.rng.random() < self.hang_up:
                        if self.rng.random() < 0.5:
                            c.reset()
                        return
                got = c.receive(0.02 if at > min(self.limit, self.acknowledged + WINDOW) else 0.0005)
                while got:
                    if got.kind == ACK:
                        assert got.type == EVENT and self.acknowledged <= got.sequence <= self.sent_most, got
                        self.acknowledged = got.sequence
                    got = c.take()
                    if got and got.kind == ERROR:
                        raise Closed(got.body)


class LoadGateway(Worker):
    """Accepts messages, late and many at a time, and remembers them by (id, leg)."""

    def __init__(self, where, name, channels, store, seed=1, hang_up=0.0):
        self.where, self.peer, self.channels, self.store, self.hang_up = where, name, channels, store, hang_up
        self.session_number, self.accepted, self.last, self.sessions = 0, 0, 0, 0
        self.rng = random.Random(seed)
        super().__init__(self.work_all)

    def work_all(self):
        while not self.where.stopped.is_set():
            try:
                self.session(Gateway(self.where.port, self.peer, self.channels, self.session_number, self.accepted, timeout=2 * PATIENCE))
            except Closed as closed:
                assert not closed.error, "the engine refused %s: %r" % (self.peer, closed.error)
            except OSError:
                pass
            time.sleep(0.004)

    def session(self, c):
        self.sessions += 1
        self.session_number, self.accepted, self.last = c.session, 0, 0
        with c:
            while not self.where.stopped.is_set():
                got = c.receive(0.02)
                idle = got is None
                while got:
                    if got.kind == MESSAGE:
                        assert got.sequence == self.last + 1, "%s: message %d behind %d" % (self.peer, got.sequence, self.last)
                        self.last = got.sequence
                        self.store.add(self.peer, got)
                    got = c.take()
                    if got and got.kind == ERROR:
                        raise Closed(got.body)
                behind = self.last if idle else self.last - self.rng.randrange(60)
                if behind > self.accepted and (idle or self.rng.random() < 0.3):
                    c.accept(behind)
                    self.accepted = behind
                if self.last and self.hang_up and self.rng.random() < self.hang_up:
                    if self.rng.random() < 0.5:
                        c.reset()
                    return


class Store:
    """What all gateways got together: one message for each (id, leg)."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages, self.repeats = {}, 0

    def add(self, gateway, message):
        key, bytes_ = key_of(message), canonical(message)
        with self.lock:
            before = self.messages.get(key)
            if before is None:
                self.messages[key] = bytes_
                return
            self.repeats += 1
        assert before == bytes_, "%s: the message %r came again with another content" % (gateway, key)
        assert message.flags & MAYBE_REPEAT, "%s: %r came twice without the flag" % (gateway, key)


def compare(got, want):
    """Two {(id, leg): bytes} must be the same; says what is not."""
    lost, more = [k for k in want if k not in got], [k for k in got if k not in want]
    other = [k for k in want if k in got and got[k] != want[k]]
    what = "%d lost, %d too many, %d different of %d" % (len(lost), len(more), len(other), len(want))
    if other:
        what += "; for instance %r for %r" % (got[other[0]][64:], want[other[0]][64:])
    assert not lost and not more and not other, what
