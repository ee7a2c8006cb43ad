#!/usr/bin/python3
"""A source's numbering: what comes again, what is missing, what is lost; names that are taken; windows; room for peers.
Beside each misbehaviour another connection goes on undisturbed."""
import os
import signal
import socket
import time

from harness import (ACK, MAYBE_REPEAT, VERDICT, VERDICT_WANTED, WELCOME, Closed, Connection, Engine, Gateway, Source, Worker, case,
                     event, eventually, hello_gateway, hello_source, main, replay, slow, stream_of)

SO_SNDBUFFORCE = 32


def started(options=()):
    """An engine, and a source that must not notice what goes on beside it."""
    e = Engine(None, None, *options, admin="127.0.0.1:0")
    return e, Source(e.port, "other", stream_of("other"))


@case
def a_new_source_starts_at_1_and_reads_what_it_may():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        body = s.welcome.body
        assert s.expected == 1 and body["term"] == 1 and body["session"] > 0
        assert body["window_events"] == 65536 and body["window_bytes"] == 4 << 20
        assert body["filter"] == e.status()["engine"]["filter"] and body["durability"] == "sync" and len(body["catalogue"]) == 32
        int(body["catalogue"], 16)


@case
def duplicates_below_are_acknowledged_counted_and_have_no_effect():
    e, other = started()
    with e, other, Source(e.port) as s, Gateway(e.port) as g:
        s.customers(7)
        s.feed([event(3), event(4)])
        s.feed([event(3), event(4), event(5)])  # 3 and 4 again
        texts = [m.body["text"] for m in g.take_messages(3)]
        assert [t.split("number ")[1].split(",")[0] for t in texts] == ["1", "2", "3"], texts
        g.nothing_comes()
        s.send(event(2), event(5))  # nothing new: the ACK says it again
        assert s.expect(ACK).sequence == 5
        assert e.status()["events"]["duplicate"] == 4
        assert other.alive()


@case
def duplicates_are_counted_after_a_resume_too():
    with Engine(admin="127.0.0.1:0") as e:
        with Source(e.port) as s:
            s.feed([event(i) for i in range(1, 101)])
        with Source(e.port, acknowledged=40, first=41) as s:
            assert s.expected == 101
            s.feed([event(i, flags=MAYBE_REPEAT) for i in range(41, 121)])
        events = e.status()["events"]
        assert events["duplicate"] == 60 and events["decided"] == 120, events


@case
def a_resumed_source_is_told_what_was_acknowledged():
    """The ACK may have been lost with the connection; without a new one the source would wait for ever."""
    with Engine() as e:
        with Source(e.port) as s:
            s.feed([event(i) for i in range(1, 11)])
        with Source(e.port, acknowledged=0, first=1) as s:
            assert s.expected == 11
            s.wait_ack(10)


@case
def a_gap_closes_this_connection_alone():
    e, other = started()
    with e, other, Source(e.port) as s:
        s.feed([event(1), event(2)])
        s.send(event(3))
        before = s.sent
        s.send(event(5), event(6))
        error = s.closed("GAP")
        assert error["offset"] == before + 8 and error["sequence"] == 4 and "expected 4" in error["text"], error
        assert other.alive()
        with Source(e.port, acknowledged=2) as again:
            assert again.expected == 4  # 3 was taken
            again.feed([event(4), event(5)])
        assert e.status()["refusals"]["gap"] == 1


@case
def lost_is_refused_until_the_source_agrees():
    e, other = started()
    with e, other:
        with Source(e.port) as s:
            s.feed([event(i) for i in range(1, 6)])
        for skip in (None, [7, 9], [5, 9], [6, 8], [6, 5], [6], "6-9", [6, -1]):
            with Connection(e.port) as c:
                c.send(hello_source("core", stream_of("core"), acknowledged=5, first=10, skip=skip))
                c.closed("LOST" if skip in (None, [7, 9], [5, 9], [6, 8]) else "MALFORMED")
        with Source(e.port, acknowledged=5, first=10, skip=[6, 9]) as s:
            assert s.expected == 10
            s.feed([event(10)])
        assert e.status()["refusals"]["lost"] == 4
        assert other.alive()
        e.kill()
        e2 = e.again()
        with Source(e2.port, acknowledged=10) as s:
            assert s.expected == 11
        e2.stop()
        replay(e.data, "--verify")


@case
def what_was_acknowledged_and_is_not_here_is_lost():
    e, other = started()
    with e, other:
        with Connection(e.port) as c:  # an engine that knows nothing of this stream
            c.send(hello_source("core", stream_of("core"), acknowledged=70, first=71))
            assert "71" in c.closed("LOST")["text"]
        with Source(e.port, first=71, skip=[1, 70]) as s:
            assert s.expected == 71
            s.feed([event(71)])
        assert other.alive()


@case
def a_new_stream_starts_at_1():
    with Engine(admin="127.0.0.1:0") as e, Gateway(e.port) as g:
        with Source(e.port, stream=b"first stream 123") as s:
            s.customers(7)
            s.feed([event(3), event(4)])
        with Source(e.port, stream=b"other stream 123") as s:
            assert s.expected == 1
            s.feed([event(1), event(2), event(3)])
        with Source(e.port, stream=b"first stream 123", acknowledged=0, first=1) as s:
            assert s.expected == 1  # the one before is not remembered
        messages = g.take_messages(5)
        assert len({m.body["id"] for m in messages}) == 5, "an id is of the stream too"


@case
def a_hello_for_a_connected_name_takes_over():
    e, other = started()
    with e, other, Source(e.port) as old:
        old.feed([event(1), event(2)])
        old.send(event(3))
        with Source(e.port, acknowledged=2) as new:
            assert new.expected in (3, 4)
            assert old.closed() is None
            new.feed([event(i) for i in range(new.expected, 7)])
        assert other.alive()
        assert e.status()["events"]["decided"] == 6


@case
def a_live_name_with_another_stream_is_busy():
    e, other = started()
    with e, other, Source(e.port) as old:
        old.feed([event(1)])
        with Connection(e.port) as c:
            c.send(hello_source("core", b"another stream 1"))
            c.closed("BUSY")
        old.feed([event(2)])  # undisturbed
        old.close()
        with Source(e.port, stream=b"another stream 1") as s:
            assert s.expected == 1
        assert e.status()["refusals"]["busy"] == 1


@case
@slow
def a_silent_name_with_another_stream_gives_way_after_10_s():
    with Engine() as e, Source(e.port) as old:
        old.feed([event(1)])
        time.sleep(10.5)
        with Source(e.port, stream=b"another stream 1") as s:
            assert s.expected == 1
            assert old.closed() is None


@case
def names_of_sources_and_gateways_are_apart():
    with Engine() as e, Source(e.port, "both") as s, Gateway(e.port, "both") as g:
        s.customers(7)
        s.feed([event(3)])
        g.take_messages(1)


@case
def an_overrun_window_cuts_off_and_loses_nothing():
    """The engine is stopped meanwhile, so that more arrives at once than may be in flight."""
    e, other = started(options=["--segment", "64"])
    body = {"merchant": "M" * 1000, **{"f%d" % i: "x" * 1000 for i in range(50)}}
    frames = [event(i, body) for i in range(1, 401)]  # 20 MB: the window is 4
    with e, other, Source(e.port) as s:
        s.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE if os.geteuid() == 0 else socket.SO_SNDBUF, 64 << 20)
        os.kill(e.pid, signal.SIGSTOP)
        sender = Worker(lambda: s.send(*frames))
        time.sleep(0.2)
        os.kill(e.pid, signal.SIGCONT)
        try:
            sender.finish()
            error = s.closed()
        except Closed as closed:
            error = closed.error
        assert error and error["code"] == "OVERRUN" and error["sequence"] > 70, error
        assert other.alive()
        with Source(e.port, acknowledged=s.acknowledged) as again:
            assert s.acknowledged < again.expected <= error["sequence"]
            for i in range(again.expected, 401):
                again.send(frames[i - 1])
                if i % 30 == 0:
                    again.wait_ack(i)
            again.wait_ack(400)
        status = e.status()
        assert status["events"]["decided"] == 400 and status["refusals"]["overrun"] == 1, status["events"]


@case
def a_full_window_of_events_is_taken():
    """65,536 small frames without reading an ACK: exactly what WELCOME allows."""
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        frames = [event(i, b"", type=40) for i in range(1, 65537)]
        s.feed(frames)
        assert e.status()["events"]["filtered"] == 65536


@case
def a_65th_source_and_gateway_find_no_room():
    with Engine(admin="127.0.0.1:0") as e:
        open_ones = [Source(e.port, "s%d" % i, stream_of("s%d" % i)) for i in range(64)]
        gates = [Gateway(e.port, "g%d" % i) for i in range(64)]
        with Connection(e.port) as c:
            c.send(hello_source("s64", stream_of("s64")))
            c.closed("PEERS")
        with Connection(e.port) as c:
            c.send(hello_gateway("g64", ["push"]))
            c.closed("PEERS")
        for peer in open_ones + gates:
            assert peer.alive()
            peer.close()
        with Source(e.port, "s63") as s:  # a known name still finds its place
            assert s.expected == 1
        assert e.status()["refusals"]["peers"] == 2
        e.kill()
        again = e.again()
        with Connection(again.port) as c:
            c.send(hello_source("s64", stream_of("s64")))
            c.closed("PEERS")
        again.stop()


@case
def more_connections_than_fit_are_closed_at_accept():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        crowd = [Connection(e.port) for _ in range(300)]
        time.sleep(0.3)
        refused = e.status()["connections"]["refused"]
        assert refused == 300 + 1 - 256, refused
        assert s.alive()
        for c in crowd:
            c.close()
        eventually("their end", lambda: e.status()["connections"]["open"] == 1)
        with Source(e.port, "late") as late:
            late.feed([event(1)])


@case
def a_source_that_closes_behind_its_last_frame_is_still_heard():
    """The frames and the end of the connection arrive together, with verdicts that nobody will read."""
    e, other = started()
    with e, other:
        s = Source(e.port)
        os.kill(e.pid, signal.SIGSTOP)
        s.send(*[event(i, flags=VERDICT_WANTED) for i in range(1, 21)])
        s.close()
        os.kill(e.pid, signal.SIGCONT)
        eventually("20 events", lambda: e.status()["events"]["decided"] == 20)
        eventually("its end", lambda: e.status()["connections"]["open"] == 1)
        sleeps = e.status()["engine"]["sleeps"]
        time.sleep(0.4)
        assert e.status()["engine"]["sleeps"] - sleeps < 200, "the engine does not come to rest"
        with Source(e.port) as s:
            assert s.expected == 21
        assert other.alive()


@case
def frames_behind_hello_are_taken_although_a_source_should_be_silent():
    with Engine() as e, Connection(e.port) as c:
        c.send(hello_source("core", stream_of("core")), *[event(i) for i in range(1, 51)])
        assert c.expect(WELCOME).sequence == 1
        while c.expect(ACK).sequence < 50:
            pass


@case
def a_verdict_comes_before_the_ack_and_is_not_yet_durable():
    with Engine() as e, Source(e.port) as s:
        s.send(event(1, amount=60000, flags=VERDICT_WANTED))
        v = s.receive()
        assert v.kind == VERDICT and v.sequence == 1 and v.type == 1 and v.amount == 60 and v.flags == 8, v
        assert v.body == {"reasons": ["large"], "again": False}
        s.wait_ack(1)
        s.send(event(2, amount=10, flags=VERDICT_WANTED | MAYBE_REPEAT))
        v = s.expect(VERDICT)
        assert v.type == 0 and v.amount == 0 and v.body == {"reasons": [], "again": True}, v
        s.send(event(3, type=999, flags=VERDICT_WANTED), event(4, b"\x81", flags=VERDICT_WANTED))
        for sequence, reason in ((3, "UNKNOWN_TYPE"), (4, "BAD_BODY")):
            v = s.expect(VERDICT)
            assert v.sequence == sequence and v.type == 1 and v.body["reasons"] == [reason], v


@case
def a_restart_raises_the_term_and_keeps_every_source_where_it_was():
    e = Engine()
    for name, count in (("a", 3), ("b", 40), ("c", 1)):
        with Source(e.port, name) as s:
            s.feed([event(i) for i in range(1, count + 1)])
    for round, end in enumerate(("kill", "stop", "kill")):
        getattr(e, end)()
        e = e.again()
        for name, count in (("a", 3), ("b", 40), ("c", 1)):
            with Source(e.port, name, acknowledged=count) as s:
                assert s.expected == count + 1 and s.welcome.body["term"] == round + 2
    e.stop()
    replay(e.data, "--verify")


if __name__ == "__main__":
    main()
