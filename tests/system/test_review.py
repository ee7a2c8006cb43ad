#!/usr/bin/python3
"""What a reviewer broke: full pools, peers that do not read or do not acknowledge, things said early, late or after a kill."""
import os
import select
import signal
import socket
import time

from harness import (ACK, CATALOGUE, ERROR, HEADER, MAYBE_REPEAT, PING, RECEIPT, VERDICT, VERDICT_WANTED,
                     Connection, Engine, Gateway, Source, case, catalogue_dir, dirs, event, eventually, frame,
                     hello_source, key_of, main, replay, run, slow, stream_of)

# A message of 19 kB, three in a chunk of the outbox: 64 MiB are some 3100 of them.
LONG = (CATALOGUE.replace("email: { max: 2000 }", "email: { max: 20000 }").replace("channels: [push]", "channels: [email]")
        .replace('spent: { en: "', 'spent: { en: "' + "x" * 19000))
OUTBOX_BYTES = 64 << 20
# PINGs whose PONGs, unread, fill a socket; the engine drops some when many PINGs come at once.
FILL = frame(PING) * 400000
FLOODED = "--prefilter=user"  # the kernel's ring takes a MiB of PINGs, then cuts a source off


def engine_with(catalogue, *options):
    return Engine(None, catalogue_dir(catalogue), *options, admin="127.0.0.1:0")


def spending(s, count, **fields):
    """`count` purchases from what the source has to say next."""
    frames = [event(s.expected + i, **fields) for i in range(count)]
    s.expected += count
    return frames


def number(message):
    """The ordinal of the purchase that the message is about."""
    return int(message.body["text"].split("number ")[1].split(",")[0])


def numbers(messages):
    return [number(m) for m in messages]


class Unread:
    """A peer with a small receive buffer that sends what fits and reads only when told to."""

    def __init__(self, port, name):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.waiting, self.buffer, self.ack, self.verdicts = bytearray(), bytearray(), 0, []
        self.say(hello_source(name, stream_of(name)))

    def say(self, *frames):
        self.waiting += b"".join(frames)

    def step(self, read, seconds=0.5):
        """One wait and what it allows; False: nothing moved for so long."""
        readable, writable, _ = select.select([self.socket] if read else [], [self.socket] if self.waiting else [], [], seconds)
        if writable:
            del self.waiting[:self.socket.send(self.waiting[:1 << 18])]
        if readable:
            data = self.socket.recv(1 << 18)
            assert data, "the engine closed the connection"
            self.buffer += data
            self.take()
        return bool(readable or writable)

    def take(self):
        at = 0
        while len(self.buffer) - at >= 64:
            header = HEADER.unpack_from(self.buffer, at)
            if len(self.buffer) - at < header[0]:
                break
            assert header[2] != ERROR, bytes(self.buffer[at + 64:at + header[0]])
            if header[2] == ACK:
                self.ack = header[4]
            elif header[2] == VERDICT:
                self.verdicts.append(header[4])
            at += header[0]
        del self.buffer[:at]

    def read_until_ack(self, sequence):
        while self.ack < sequence:
            assert self.step(True, 5), "no ACK of %d, the last was %d, %d verdicts" % (sequence, self.ack, len(self.verdicts))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cpu_ticks(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


# ---- full pools ----

def fill_windows(e, s):
    """Purchases of ever new customers until no ACK comes: bank.memory.windows is used up. How many were sent."""
    sent = 0
    while sent < 200000:
        first = s.expected
        s.send(*[event(first + i, customer=1000 + sent + i, account=10**6 + sent + i) for i in range(500)])
        s.expected += 500
        sent += 500
        try:
            s.wait_ack(first + 499, timeout=0.7)
        except AssertionError:
            assert "bank.memory.windows is used up" in e.log(), e.log()
            return sent
    raise AssertionError("4 MB of windows hold %d customers" % sent)


@case
def full_windows_hold_back_sources_alone_and_a_refused_reload_changes_nothing():
    catalogue = CATALOGUE.replace("starts: empty }", "starts: empty, memory: { windows: 4MB } }")
    with engine_with(catalogue) as e, Source(e.port) as s, Gateway(e.port) as g:
        s.customers(7)
        s.feed(spending(s, 20))
        got = g.take_messages(20, accept=False)
        sent = fill_windows(e, s)
        before = e.status()
        bad = catalogue.replace("name: { type: string } }", "name: { type: int } }")
        catalogue_dir(bad, e.catalogue)
        for _ in range(5):
            code, text = e.ask("/reload", "POST")
            assert code >= 400 and "name" in text, (code, text)
            time.sleep(0.02)
        assert e.process.poll() is None and e.status()["catalogue"] == before["catalogue"]
        g.accept(got[-1].sequence)  # a gateway is not held back, and a peer may come
        eventually("20 accepted", lambda: e.status()["legs"]["accepted"] == 20)
        assert Source(e.port, "other").alive()
        catalogue_dir(catalogue.replace("4MB", "64MB"), e.catalogue)
        code, text = e.ask("/reload", "POST")
        assert code == 200, (code, text)
        s.wait_ack(s.expected - 1)
        assert e.status()["events"]["decided"] == 20 + sent, e.status()["events"]
    again = e.again()
    with again, Source(again.port, acknowledged=s.acknowledged) as s:
        assert s.expected == s.acknowledged + 1
    replay(e.data, "--verify")


def outbox_full_of_sent_messages(count):
    """An engine whose outbox holds more than its memory of messages, all of them with one gateway, which accepted none."""
    e = engine_with(LONG, "--segment", "8", "--checkpoint", "3600")
    s, g = Source(e.port).customers(7), Gateway(e.port, "gate", ["email"])
    for _ in range(0, count, 300):
        s.feed(spending(s, 300))
        g.take_messages(300, accept=False)
    assert count * 19000 > OUTBOX_BYTES and e.status()["outbox"]["spilled"] > 0, e.status()["outbox"]
    return e, s, g


@case
def an_outbox_full_of_messages_that_one_gateway_has_empties_with_its_ack():
    count = 4500
    e, s, g = outbox_full_of_sent_messages(count)
    with e, s, g:
        g.accept(count - 100)
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == count - 100)
        s.feed(spending(s, 100))
        assert numbers(g.take_messages(100)) == list(range(count + 1, count + 101))
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
        g.nothing_comes(0.1)
        eventually("memory is free again", lambda: e.status()["outbox"]["bytes"] < 1 << 20)


@case
def an_outbox_full_of_messages_that_one_gateway_had_goes_to_the_next():
    count = 4500
    e, s, g = outbox_full_of_sent_messages(count)
    with e, s:
        g.accept(1000)
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == 1000)
        g.reset()
        with Gateway(e.port, "next", ["email"]) as following:
            got = []
            while len(got) < count - 1000:
                got += following.take_messages(100)
            assert numbers(got) == list(range(1001, count + 1)) and all(m.flags == MAYBE_REPEAT for m in got)
            following.nothing_comes(0.1)
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
    replay(e.data, "--verify")


@case
def messages_beyond_the_outboxs_memory_come_once_over_two_kills():
    count, options = 4500, ("--segment", "8", "--checkpoint", "3600")
    e = engine_with(LONG, *options)
    s = Source(e.port).customers(7)
    for _ in range(0, count, 300):
        s.feed(spending(s, 300))
    assert e.status()["outbox"]["spilled"] > 0
    e.kill()
    e = e.again()
    got = []
    g = Gateway(e.port, "gate", ["email"])
    for accepted in (1000, 1900):  # the former in a checkpoint, the latter in the journal behind it
        while len(got) < accepted:
            got += g.take_messages(100)
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == accepted)
        if accepted == 1000:
            assert e.ask("/checkpoint", "POST")[0] < 300
            time.sleep(0.3)
    e.kill()
    e = e.again()
    with e, Gateway(e.port, "gate", ["email"]) as g:
        assert e.status()["legs"]["accepted"] == 1900
        while len(got) < count:
            got += g.take_messages(100)
        g.nothing_comes(0.2)
        assert numbers(got) == list(range(1, count + 1)), "in order, each once"
        assert len({key_of(m) for m in got}) == count and all(m.flags == MAYBE_REPEAT for m in got)
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
    replay(e.data, "--verify")


# ---- peers that do not read ----

@case
def a_source_that_reads_no_verdicts_stops_itself_alone_and_misses_none():
    """PONGs that nobody reads fill every buffer on the way; more events wait than the receive buffers may hold."""
    count = 40000
    with engine_with(CATALOGUE, "--segment", "4", FLOODED) as e, Source(e.port, "other") as other, Unread(e.port, "unread") as u:
        other.customers(8)
        u.say(FILL, *[event(i, b"", flags=VERDICT_WANTED, customer=9) for i in range(1, count + 1)])
        while u.step(False):
            pass
        assert e.status()["events"]["in"] < count, "verdicts that nobody reads were made, where are they?"
        before = cpu_ticks(e.pid)
        time.sleep(0.5)
        assert cpu_ticks(e.pid) - before < 25, "the engine spins on frames that it cannot take"
        other.feed(spending(other, 10, customer=8))
        with Source(e.port, "third") as third, Gateway(e.port) as g:
            third.feed(spending(third, 1, customer=8))
            assert numbers(g.take_messages(11)) == list(range(1, 12))
        u.read_until_ack(count)
        assert u.verdicts == list(range(1, count + 1)), "each verdict once, in order"


@case
def the_last_ack_comes_to_a_source_that_reads_late():
    """As above, and ACKs, one a batch, fill the rest of its buffer; the last must not be lost behind them."""
    count = 12000
    with engine_with(CATALOGUE, "--segment", "8", "--batch", "1", "--durability", "none", FLOODED) as e, Unread(
            e.port, "late") as u:
        u.say(FILL, *[event(i, b"", type=3, amount=0) for i in range(1, count + 1)])
        while u.waiting and u.step(False, 5):
            pass
        assert not u.waiting, "the engine does not take what asks for nothing but an ACK"
        eventually("taken", lambda: e.status()["events"]["in"] == count)
        u.read_until_ack(count)


@case
def pings_in_the_same_batch_take_no_room_from_verdicts():
    """A stopped engine finds ten events and thousands of PINGs at once, to answer in one turn."""
    with engine_with(CATALOGUE) as e, Source(e.port) as s:
        s.customers(7)
        for turn in range(1, 4):
            os.kill(e.pid, signal.SIGSTOP)
            s.send(*spending(s, 10, flags=VERDICT_WANTED), frame(PING) * 5000)
            os.kill(e.pid, signal.SIGCONT)
            s.wait_ack(s.expected - 1)
            assert s.alive()
            assert sorted(s.verdicts) == list(range(3, 3 + 10 * turn)), "VERDICTs stand before the ACK of their events"


# ---- said early, late, or after a kill ----

@case
def an_import_behind_a_kill_is_refused_and_the_next_start_says_all_messages():
    e = engine_with(CATALOGUE, "--segment", "2", "--checkpoint", "3600")
    s = Source(e.port).customers(7)
    e.stop()
    e = e.again()  # rows are in the store now
    s = Source(e.port, acknowledged=s.acknowledged)
    s.feed(spending(s, 10))
    e.kill()
    rows = dirs.new("rows") + "/in.ndjson"
    with open(rows, "w") as f:
        f.write('{"customer": 7, "set": {"name": "x"}, "subscriptions": [{"kind": "spent", "params": {"threshold": "9999 EUR"}}]}\n')
    code, out, err = run("moment", "import", "--data", e.data, rows)
    assert code == 1 and "journal" in err, (code, out, err)
    e = e.again()
    with e, Gateway(e.port) as g:
        assert numbers(g.take_messages(10)) == list(range(1, 11))
        g.nothing_comes(0.1)
    code, out, err = run("moment", "import", "--data", e.data, rows)
    assert code == 0, "behind a clean stop it is taken: " + err
    e = e.again()
    with e, Source(e.port, acknowledged=s.acknowledged) as s, Gateway(e.port) as g:
        s.feed(spending(s, 1))
        g.nothing_comes(0.2)  # the threshold is 9999 EUR
    replay(e.data, "--verify")


@case
def a_loss_is_healed_by_skip_although_more_was_acknowledged_than_is_here():
    with engine_with(CATALOGUE) as e, Source(e.port) as s:
        s.customers(7)
        s.feed(spending(s, 10))
        at = s.expected
        rows = [(50, 51, None), (50, 51, [at + 1, 50]), (50, 51, [at - 1, 50]), (50, 51, [at, 49]), (at, at, None)]
        for acknowledged, first, skip in rows:
            with Connection(e.port) as c:
                c.send(hello_source("core", s.stream, acknowledged, first, skip=skip))
                error = c.closed("LOST")
                assert error["sequence"] == at, error
        with Source(e.port, acknowledged=50, skip=[at, 50]) as healed:
            assert healed.expected == 51
            healed.feed(spending(healed, 5))
    e = e.again()
    with e, Source(e.port, acknowledged=55) as s:
        assert s.expected == 56
    replay(e.data, "--verify")


@case
def counts_by_rule_survive_a_stop_and_a_kill():
    e = engine_with(CATALOGUE, "--segment", "2", "--checkpoint", "3600")
    s = Source(e.port).customers(7)
    s.feed(spending(s, 10))
    before = e.status()["rules"]
    assert {r["name"]: r["hits"] for r in before}["spent"] == 10, before
    e.stop()
    e = e.again()
    assert e.status()["rules"] == before
    s = Source(e.port, acknowledged=s.acknowledged)
    s.feed(spending(s, 3))
    after = e.status()["rules"]
    assert {r["name"]: r["hits"] for r in after}["spent"] == 13, after
    e.kill()
    e = e.again()
    assert e.status()["rules"] == after
    e.stop()


@case
def a_receipt_before_the_ack_counts_when_the_leg_is_accepted():
    def legs():
        status = e.status()["legs"]
        return {k: status[k] for k in ("queued", "accepted", "delivered", "read", "failed") if status[k]}

    def say(sequence, m, status):
        body = {"id": m.body["id"], "leg": m.body["leg"], "status": status}
        g.send(frame(RECEIPT, body, sequence=sequence))
        assert g.expect(ACK).sequence == sequence

    e = engine_with(CATALOGUE, "--segment", "2", "--checkpoint", "3600")
    s, g = Source(e.port).customers(7), Gateway(e.port)
    s.feed(spending(s, 4))
    m = g.take_messages(4, accept=False)
    for i, row in enumerate([(m[0], "delivered"), (m[1], "delivered"), (m[1], "read"), (m[2], "failed"), (m[2], "read")]):
        say(i + 1, *row)
    assert legs() == {"queued": 4} and e.status()["changes"]["refused"] == 1, "failed does not become read"
    g.accept(1)
    eventually("delivered", lambda: legs() == {"queued": 3, "delivered": 1})
    e.kill()
    e = e.again()
    assert legs() == {"queued": 3, "delivered": 1}
    with e, Gateway(e.port) as g:
        g.take_messages(3)
        eventually("the others too", lambda: legs() == {"delivered": 1, "read": 1, "failed": 1, "accepted": 1})
    replay(e.data, "--verify")


# ---- gateways and their channels ----

@case
def a_gateway_that_named_a_channel_of_a_later_catalogue_is_cut_and_served_after_it_comes_back():
    more = (CATALOGUE.replace("email: { max: 2000 }", "email: { max: 2000 }, whatsapp: { max: 300 }")
            .replace("channels: [push]", "channels: [whatsapp]"))
    names = ["push", "sms", "email", "whatsapp"]
    with engine_with(CATALOGUE) as e, Source(e.port) as s, Gateway(e.port, "knows", names[:3]) as knows:
        s.customers(7)
        g = Gateway(e.port, "gate", names)
        catalogue_dir(more, e.catalogue)
        code, text = e.ask("/reload", "POST")
        assert code == 200, (code, text)
        s.feed(spending(s, 1))
        g.closed(timeout=3)
        with Gateway(e.port, "gate", names) as g:
            m = g.take_messages(1)[0]
            assert (m.body["channel"], m.body["leg"]) == ("whatsapp", "whatsapp/1"), m
            assert knows.alive() and s.alive() and g.alive(), "who named known channels alone is not cut"


@case
@slow
def a_second_gateway_gets_the_messages_when_the_first_is_silent_and_a_slow_one_is_not_cut():
    e = engine_with(CATALOGUE)
    with e, Source(e.port) as s, Gateway(e.port, "silent", ["push"]) as silent, Gateway(e.port, "slow", ["sms"]) as slow_one:
        s.customers(7)
        s.feed(spending(s, 10))
        first = silent.take_messages(10, accept=False)
        s.feed([event(s.expected + i, {"payee": "P"}, type=2, amount=30000) for i in range(10)])
        s.expected += 10
        slow_one.take_messages(10, accept=False)
        with Gateway(e.port, "second", ["push"]) as second:
            got, began, at = [], time.monotonic(), 0
            while time.monotonic() - began < 45 and not (len(got) == 10 and time.monotonic() - began > 36):
                if time.monotonic() - began > 8 * at:
                    at += 1
                    slow_one.accept(at)
                m = second.receive(0.5)
                if m:
                    got.append(m)
                    second.messages.append(m)
                    second.accept(m.sequence)
            assert [key_of(m) for m in got] == [key_of(m) for m in first] and all(m.flags == MAYBE_REPEAT for m in got)
            silent.closed(timeout=1)
            assert slow_one.alive()
            s.feed(spending(s, 5))
            assert numbers(second.take_messages(5)) == [11, 12, 13, 14, 15]


if __name__ == "__main__":
    main()
