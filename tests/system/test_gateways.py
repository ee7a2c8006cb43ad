#!/usr/bin/python3
"""Several sources and gateways at once; gateways that are away, slow, dead, or die with messages on their way."""
import os
import signal
import time

from harness import (ACK, CATALOGUE, MAYBE_REPEAT, MESSAGE, PING, RECEIPT, REPLY, VERDICT_WANTED, Connection, Engine, Gateway,
                     Source, Worker, case, catalogue_dir, event, eventually, frame, hello_gateway, key_of, main, replay, slow)


def spending(first, count, **fields):
    return [event(i, **fields) for i in range(first, first + count)]


def keys(messages):
    return [key_of(m) for m in messages]


def numbers(messages):
    """The ordinal of the purchase that each message is about, from its text."""
    return [int(m.body["text"].split("number ")[1].split(",")[0]) for m in messages]


def engine_with_source(*options):
    e = Engine(None, None, *options, admin="127.0.0.1:0")
    return e, Source(e.port).customers(7)


@case
def a_message_is_what_the_customer_would_read():
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as g:
        s.feed([event(3, {"merchant": "Café Sol"}, amount=1250)])
        m = g.take_messages(1)[0]
        assert (m.type, m.customer, m.account, m.amount, m.currency, m.flags) == (3, 7, 70, 1250, 978, 0), m
        assert m.body["text"] == "€12.50 at Café Sol: 1 this hour, €12.50, number 1, before at most –.", m
        assert list(m.body) == ["id", "leg", "recipient", "channel", "lang", "category", "text", "rule", "catalogue"]
        assert (m.body["leg"], m.body["recipient"], m.body["category"], m.body["rule"]) == ("push/1", 7, "alert", "spent")
        assert len(m.body["id"]) == 16 and m.body["catalogue"] == s.welcome.body["catalogue"]
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == 1)
        assert e.status()["notices"]["sent"] == 1


@case
def critical_messages_overtake_the_rest():
    e, s = engine_with_source()
    with e, s:
        s.feed(spending(3, 50) + [event(53, {"payee": "P"}, type=2, amount=30000)])
        with Gateway(e.port) as g:
            messages = g.take_messages(51)
        assert messages[0].type == 1 and messages[0].body["rule"] == "out"
        assert numbers(messages[1:]) == list(range(1, 51)), "within a lane they keep their order"


@case
def several_sources_and_gateways_at_once():
    with Engine() as e:
        def bank(n):
            with Source(e.port, "bank%d" % n) as s:
                s.customers(100 + n)
                for at in range(3, 603, 50):
                    s.feed(spending(at, 50, customer=100 + n, account=0))

        def gate(channels, count):
            with Gateway(e.port, "gate-" + channels[0], channels) as g:
                return g.take_messages(count)
        gates = [Worker(gate, ["push"], 8 * 600), Worker(gate, ["sms"], 0), Worker(gate, ["email"], 0)]
        for w in [Worker(bank, n) for n in range(8)]:
            w.finish()
        got = gates[0].finish()
        for customer in range(100, 108):
            assert numbers([m for m in got if m.customer == customer]) == list(range(1, 601))


@case
def two_gateways_serve_different_channels():
    e, s = engine_with_source()
    with e, s, Gateway(e.port, "p", ["push"]) as p, Gateway(e.port, "q", ["sms", "no.such.channel"]) as q:
        s.feed(spending(3, 5) + [event(8 + i, {"payee": "P"}, type=2, amount=30000) for i in range(4)])
        assert {m.body["channel"] for m in p.take_messages(5)} == {"push"}
        assert {m.body["channel"] for m in q.take_messages(4)} == {"sms"}
        p.nothing_comes(0.1)
        q.nothing_comes(0.1)


@case
def a_gateway_without_a_known_channel_is_forbidden():
    with Engine() as e, Source(e.port) as s:
        with Connection(e.port) as c:
            c.send(hello_gateway("p", ["pigeon"]))
            c.closed("FORBIDDEN")
        assert s.alive()


@case
def messages_wait_for_a_gateway_that_is_away_and_survive_restarts():
    e, s = engine_with_source("--checkpoint", "1", "--segment", "1")
    s.feed(spending(3, 500))  # acknowledged although nobody takes the messages
    assert e.status()["outbox"]["queued"][0]["rest"] == 500
    s.close()
    e.kill()
    e = e.again()
    with Source(e.port, acknowledged=502) as s:
        assert s.expected == 503
        s.feed(spending(503, 500))
        time.sleep(1.3)  # a checkpoint
        s.feed(spending(1003, 500))
    e.stop()
    e = e.again()
    with e, Source(e.port, acknowledged=1502) as s:
        s.feed(spending(1503, 100))
        with Gateway(e.port) as g:
            got = g.take_messages(1600)
            assert numbers(got) == list(range(1, 1601)), "in order, each once"
            assert len(set(keys(got))) == 1600
            assert all(m.flags == MAYBE_REPEAT for m in got[:1500]), "what was made before a restart may have been sent"
            assert all(m.flags == 0 for m in got[1500:])
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
        assert e.status()["legs"]["accepted"] == 1600
    replay(e.data, "--verify")


@case
def unaccepted_legs_go_to_the_other_gateway_when_one_dies():
    e, s = engine_with_source()
    with e, s:
        first = Gateway(e.port, "first", ["push"])
        s.feed(spending(3, 100))
        got = first.take_messages(100, accept=False)
        first.accept(40)
        assert first.alive()
        with Gateway(e.port, "second", ["push"]) as second:
            second.nothing_comes(0.1)
            first.reset()
            rest = second.take_messages(60)
            assert keys(rest) == keys(got[40:])
            assert all(m.flags == MAYBE_REPEAT for m in rest)
            s.feed(spending(103, 10))
            fresh = second.take_messages(10)
            assert all(m.flags == 0 for m in fresh)
        eventually("110 accepted", lambda: e.status()["legs"]["accepted"] == 110)


@case
def two_gateways_of_one_channel_share_and_nothing_comes_twice():
    e, s = engine_with_source()
    with e, s, Gateway(e.port, "a", ["push"]) as a, Gateway(e.port, "b", ["push"]) as b:
        for at in range(3, 603, 20):
            s.feed(spending(at, 20))
        got = []
        until = time.monotonic() + 20
        while len(got) < 600 and time.monotonic() < until:
            for g in (a, b):
                f = g.receive(0.005)
                while f:
                    if f.kind == MESSAGE:
                        got.append(f)
                        g.accept(f.sequence)
                    f = g.take()
        assert sorted(numbers(got)) == list(range(1, 601))
        assert not any(m.flags for m in got)


@case
def a_resumed_session_closes_what_a_lost_ack_would_have():
    e, s = engine_with_source()
    with e, s:
        g = Gateway(e.port)
        s.feed(spending(3, 10))
        g.take_messages(10, accept=False)
        session = g.session
        g.close()
        with Gateway(e.port, session=session, accepted=7) as again:
            assert again.session != session and again.welcome.sequence == 1
            assert numbers(again.take_messages(3)) == [8, 9, 10]
            again.nothing_comes(0.1)
        eventually("10 accepted", lambda: e.status()["legs"]["accepted"] == 10)


@case
def an_unknown_session_gets_everything_that_is_open():
    e, s = engine_with_source()
    with e, s:
        with Gateway(e.port) as g:
            s.feed(spending(3, 10))
            g.take_messages(10, accept=False)
            g.accept(4)
            assert g.alive()
        with Gateway(e.port, session=12345, accepted=9) as again:
            got = again.take_messages(6)
            assert numbers(got) == [5, 6, 7, 8, 9, 10] and all(m.flags == MAYBE_REPEAT for m in got)


@case
def a_gateway_that_comes_back_in_the_same_moment_gets_what_it_had_not_accepted():
    """Its end and its next HELLO are seen in one turn of the engine."""
    e, s = engine_with_source()
    with e, s:
        old = Gateway(e.port)
        s.feed(spending(3, 20))
        got = old.take_messages(20, accept=False)
        new = Connection(e.port)
        eventually("accepted", lambda: e.status()["connections"]["open"] == 3)
        os.kill(e.pid, signal.SIGSTOP)
        old.close()
        new.send(hello_gateway("gate", ["push"]))
        os.kill(e.pid, signal.SIGCONT)
        again = [new.expect(MESSAGE, 3) for _ in range(20)]
        assert keys(again) == keys(got)
        assert all(m.flags == MAYBE_REPEAT for m in again)
        new.close()


@case
def a_gateway_that_takes_over_its_own_name_gets_what_was_not_accepted():
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as old:
        s.feed(spending(3, 20))
        got = old.take_messages(20, accept=False)
        with Gateway(e.port) as new:
            assert old.closed() is None
            assert keys(new.take_messages(20)) == keys(got)


@case
def a_gateway_that_hangs_is_replaced_by_one_of_its_name():
    """The old one does not read: a send to it is stuck in the kernel while the new one needs those bytes."""
    e, s = engine_with_source()
    with e, s:
        stuck = Connection(e.port)
        stuck.send(hello_gateway("gate", ["push"]))
        long = {"merchant": "M" * 900}
        for at in range(3, 40003, 1000):
            s.feed([event(i, long, customer=7) for i in range(at, at + 1000)])
        with Gateway(e.port) as new:
            got = new.take_messages(40000)
        assert len(set(keys(got))) == 40000
        eventually("the old one is gone", lambda: e.status()["connections"]["open"] == 1)
        stuck.close()


@case
def a_gateway_that_hangs_holds_nobody_else_back():
    e, s = engine_with_source()
    with e, s, Gateway(e.port, "sms", ["sms"]) as sms:
        stuck = Connection(e.port)
        stuck.send(hello_gateway("stuck", ["push"]))
        for at in range(3, 20003, 1000):
            s.feed([event(i, {"merchant": "M" * 200}) for i in range(at, at + 1000)])
        s.feed([event(20003, {"payee": "P"}, type=2, amount=30000)])
        assert sms.take_messages(1)[0].body["rule"] == "out"
        stuck.close()
        with Gateway(e.port, "push", ["push"]) as g:
            assert len(set(keys(g.take_messages(20000)))) == 20000


@case
def answers_and_zero_copy_sends_on_one_connection_do_not_stop_each_other():
    """Notifications of one send arrive while the answer to a PING or a RECEIPT is on its way."""
    for mode in ("on", "auto", "off"):
        e, s = engine_with_source("--zero-copy=" + mode, "--segment", "4")
        with e, s, Gateway(e.port) as g:
            feed = Worker(lambda: [s.feed([event(i, {"merchant": "M" * 150}) for i in range(at, at + 500)]) for at in range(3, 8003, 500)])
            count = receipts = 0
            while count < 8000:
                f = g.receive()
                assert f is not None, "%s: %d of 8000 messages came" % (mode, count)
                while f:
                    if f.kind == MESSAGE:
                        count += 1
                        if count % 4 == 0:
                            receipts += 1
                            body = f.body
                            g.send(frame(ACK, type=MESSAGE, sequence=f.sequence),
                                   frame(RECEIPT, {"id": body["id"], "leg": body["leg"], "status": "delivered"}, sequence=receipts),
                                   frame(PING, time=count))
                    f = g.take()
            feed.finish()
            eventually("%s: receipts" % mode, lambda: e.status()["legs"]["delivered"] == 2000)
            delivery = e.status()["delivery"]
            assert (delivery["zero_copy_sends"] > 0) == (mode != "off") and delivery["resent"] == 0, (mode, delivery)


@case
def messages_in_flight_stop_at_the_gateways_window():
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as g:
        for at in range(3, 10003, 1000):
            s.feed(spending(at, 1000))
        g.take_messages(8192, accept=False)
        g.nothing_comes()
        g.accept(1000)
        g.take_messages(1000, accept=False)
        g.nothing_comes(0.1)
        g.accept(9192)
        g.take_messages(808)


@case
def one_ack_covers_messages_of_alternating_channels():
    """Thousands of short runs in one ACK: more than fit into one journal entry."""
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as g:
        at = 3
        for _ in range(1500):  # one message of one lane, then one of another, each a run of its own
            s.send(event(at), event(at + 1, {"payee": "P"}, type=2, amount=30000))
            g.take_messages(2, accept=False)
            at += 2
        s.wait_ack(at - 1)
        g.accept(3000)
        eventually("3000 accepted", lambda: e.status()["legs"]["accepted"] == 3000)
        g.nothing_comes(0.1)
    replay(e.data, "--verify")


@case
def an_ack_above_what_was_sent_is_malformed():
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as g:
        s.feed(spending(3, 3))
        g.take_messages(3, accept=False)
        before = g.sent
        g.accept(4)
        error = g.closed("MALFORMED")
        assert error["offset"] == before + 8 and error["sequence"] == 4, error
        with Gateway(e.port) as again:
            again.take_messages(3)
        assert s.alive()


@case
def receipts_move_a_leg_once_and_are_acknowledged():
    e, s = engine_with_source()
    with e, s, Gateway(e.port) as g:
        s.feed(spending(3, 3))
        messages = g.take_messages(3)
        rows = [(0, "delivered"), (0, "delivered"), (0, "read"), (1, "failed"), (1, "read"), (2, "accepted"), (2, "nonsense")]
        for i, (n, status) in enumerate(rows):
            body = messages[n].body
            g.send(frame(RECEIPT, {"id": body["id"], "leg": body["leg"], "status": status}, sequence=i + 1))
        g.send(frame(RECEIPT, {"id": bytes(16), "leg": "push/1", "status": "read"}, sequence=8))
        g.send(frame(REPLY, {"text": "STOP", "channel": "sms"}, sequence=9, customer=7))
        g.send(frame(RECEIPT, b"\xc1", sequence=10))
        while True:
            ack = g.expect(ACK)
            assert ack.type == RECEIPT
            if ack.sequence == 10:
                break
        status = e.status()
        assert (status["legs"]["read"], status["legs"]["failed"], status["legs"]["delivered"], status["legs"]["accepted"]) == (1, 1, 0, 1)
        assert status["changes"]["refused"] == 5, status["changes"]
        g.send(frame(RECEIPT, {}, sequence=12))
        g.closed("GAP")
    e2 = e.again()
    assert e2.status()["legs"]["read"] == 1
    e2.stop()
    replay(e.data, "--verify")


@case
def sources_and_verdicts_go_on_while_no_gateway_is_there():
    e, s = engine_with_source()
    with e, s:
        for at in range(3, 30003, 3000):
            s.feed(spending(at, 2999) + [event(at + 2999, amount=60000, flags=VERDICT_WANTED)])
        assert len(s.verdicts) == 10 and all(v.type == 2 for v in s.verdicts.values())
        assert e.status()["outbox"]["queued"][0]["rest"] == 29990


@case
def a_backlog_larger_than_the_memory_for_it_spills_and_comes_back():
    """90 MB of messages; the outbox keeps 64 in memory. Sources go on, a kill does no harm, and all come in order."""
    count, long = 70000, {"merchant": "M" * 1000}
    catalogue = catalogue_dir(CATALOGUE.replace("push: { max: 240 }", "push: { max: 2000 }"))
    e = Engine(None, catalogue, "--segment", "16", "--checkpoint", "1", admin="127.0.0.1:0")
    s = Source(e.port).customers(7, 8)  # two, since no window holds more than 50,000 events
    for at in range(5, count + 5, 1000):
        s.feed([event(i, long, customer=7 + i % 2) for i in range(at, at + 1000)])
    status = e.status()
    assert status["outbox"]["spilled"] > 0 and status["legs"]["queued"] == count, status["outbox"]
    e.kill()
    e = e.again()
    with e, Source(e.port, acknowledged=count + 4) as s, Gateway(e.port) as g:
        assert s.expected == count + 5
        got = 0
        while got < count:
            for m in g.take_messages(1000):
                got += 1
                assert "number %d," % ((got + 1) // 2) in m.body["text"], (got, m.body["text"][-80:])
        s.feed([event(count + 5)])
        assert "number %d," % (count // 2 + 1) in g.take_messages(1)[0].body["text"]
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
        eventually("memory is free again", lambda: e.status()["outbox"]["bytes"] < 1 << 20)


@case
@slow
def a_gateway_that_accepts_nothing_for_30_s_gives_way():
    e, s = engine_with_source()
    with e, s, Gateway(e.port, "silent", ["push"]) as silent, Gateway(e.port, "other", ["push"], timeout=40) as other:
        s.feed(spending(3, 10))
        taken = []
        while len(taken) < 10:
            for g in (silent, other):
                f = g.receive(0.01)
                if f:
                    taken.append(f)
                    if g is other:
                        other.accept(f.sequence)
        silent.closed(timeout=40)
        def rest_taken():
            f = other.receive(0.05)
            if f:
                assert f.flags == MAYBE_REPEAT
                other.accept(f.sequence)
            return e.status()["legs"]["accepted"] == 10
        eventually("the other one has them all", rest_taken)


if __name__ == "__main__":
    main()
