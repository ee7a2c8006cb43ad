#!/usr/bin/python3
"""Bad input: each way a frame can break the protocol is answered by ERROR with reason and offset and closes its connection
alone; a bad body, an unknown type, an unknown customer are acknowledged and counted. One engine serves all cases; a source and
a gateway beside them must notice nothing."""
import random
import time

from harness import (ACK, CHALLENGE, COMMAND, ERROR, EVENT, HELLO, MANAGE, MESSAGE, PING, PONG, PROFILE, PROOF, RECEIPT, REPLY,
                     REVERSAL, SEED, SUBSCRIBE, VERDICT, WELCOME, Connection, Engine, Gateway, Source, case, event, eventually,
                     frame, hello_source, main, profile, replay, slow, stream_of, subscribe)

OFFSET = dict(length=0, version=4, kind=5, type=6, sequence=8, customer=16, account=24, time=32, amount=40, balance=48, currency=56,
              country=58, mcc=60, touchpoint=62, flags=63)


def engine():
    return Engine(admin="127.0.0.1:0")


def bystanders(e):
    return Source(e.port, "bystander").customers(900), Gateway(e.port, "bystander")


def undisturbed(e, s, g):
    s.feed([event(s.expected, customer=900)])
    s.expected += 1
    g.take_messages(1)


# ---- headers ----

# (name, from, what is sent, field that is named)
HEADERS = [
    ("length_63", "source", dict(length=63), "length"),
    ("length_0", "source", dict(length=0), "length"),
    ("length_65537", "source", dict(length=65537), "length"),
    ("length_2_to_the_32", "source", dict(length=2**32 - 1), "length"),
    ("version_0", "source", dict(version=0), "version"),
    ("version_2", "source", dict(version=2), "version"),
    ("kind_0", "source", dict(kind=0), "kind"),
    ("kind_18", "source", dict(kind=18), "kind"),
    ("kind_255", "source", dict(kind=255), "kind"),
    *[("kind_%d_from_a_source" % k, "source", dict(kind=k, sequence=1, time=0, amount=0), "kind")
      for k in (WELCOME, VERDICT, MESSAGE, RECEIPT, REPLY, COMMAND, ERROR, CHALLENGE, PROOF)],
    *[("kind_%d_from_a_gateway" % k, "gateway", dict(kind=k, sequence=1), "kind")
      for k in (WELCOME, EVENT, VERDICT, MESSAGE, COMMAND, PROFILE, SUBSCRIBE, ERROR, MANAGE, CHALLENGE, PROOF)],
    ("a_second_hello", "source", dict(kind=HELLO), "kind"),
    *[("event_flag_%d" % bit, "source", dict(kind=EVENT, sequence=1, time=1, flags=1 << bit), "flags") for bit in range(3, 8)],
    *[("profile_flag_%d" % bit, "source", dict(kind=PROFILE, sequence=1, customer=1, flags=1 << bit), "flags") for bit in (0, 1, 2, 7)],
    ("event_sequence_0", "source", dict(kind=EVENT, sequence=0, time=1), "sequence"),
    ("event_time_0", "source", dict(kind=EVENT, sequence=1, time=0), "time"),
    ("event_time_negative", "source", dict(kind=EVENT, sequence=1, time=2**64 - 5), "time"),
    ("event_amount_negative", "source", dict(kind=EVENT, sequence=1, time=1, amount=-1), "amount"),
    ("event_touchpoint_13", "source", dict(kind=EVENT, sequence=1, time=1, touchpoint=13), "touchpoint"),
    ("profile_without_customer", "source", dict(kind=PROFILE, sequence=1), "customer"),
    *[("profile_with_%s" % f, "source", dict({"kind": PROFILE, "sequence": 1, "customer": 1}, **{f: 1}), f)
      for f in ("type", "amount", "balance", "currency", "country", "mcc", "touchpoint")],
    ("profile_time_negative", "source", dict(kind=PROFILE, sequence=1, customer=1, time=2**64 - 1), "time"),
    ("subscribe_without_customer", "source", dict(kind=SUBSCRIBE, sequence=1), "customer"),
    ("subscribe_with_account", "source", dict(kind=SUBSCRIBE, sequence=1, customer=1, account=1), "account"),
    ("subscribe_sequence_0", "source", dict(kind=SUBSCRIBE, sequence=0, customer=1), "sequence"),
    ("manage_with_time", "source", dict(kind=MANAGE, sequence=1, customer=1, time=1), "time"),
    ("ping_with_sequence", "source", dict(kind=PING, sequence=1), "sequence"),
    ("ping_time_negative", "source", dict(kind=PING, time=2**64 - 1), "time"),
    ("pong_with_customer", "gateway", dict(kind=PONG, customer=1), "customer"),
    ("ack_of_events_from_a_source", "source", dict(kind=3 + 1, type=EVENT, sequence=1), "type"),
    ("ack_of_receipts_from_a_gateway", "gateway", dict(kind=ACK, type=RECEIPT, sequence=1), "type"),
    ("ack_of_nothing", "gateway", dict(kind=ACK, type=0, sequence=1), "type"),
    ("ack_with_amount", "gateway", dict(kind=ACK, type=MESSAGE, amount=1), "amount"),
    ("receipt_sequence_0", "gateway", dict(kind=RECEIPT, sequence=0), "sequence"),
    ("receipt_with_customer", "gateway", dict(kind=RECEIPT, sequence=1, customer=1), "customer"),
    ("reply_with_account", "gateway", dict(kind=REPLY, sequence=1, account=1), "account"),
]


def header_case(e, role, fields, named):
    s, g = bystanders(e)
    with s, g:
        peer = Source(e.port) if role == "source" else Gateway(e.port)
        at = {"kind": EVENT, "time": 0 if "kind" in fields else 1, **fields}
        before = peer.sent
        peer.send(frame(at.pop("kind"), {}, **at))
        error = peer.closed("MALFORMED")
        assert error["offset"] == before + OFFSET[named], error
        assert error["text"] and set(error) == {"code", "text", "sequence", "offset"}, error
        undisturbed(e, s, g)


@case
def every_wrong_header_is_answered_with_its_offset():
    """The whole table above against one engine."""
    with engine() as e:
        for name, role, fields, named in HEADERS:
            try:
                header_case(e, role, fields, named)
            except Exception as error:
                raise AssertionError("%s: %s" % (name, error)) from error
        assert e.status()["refusals"]["malformed"] == len(HEADERS)


@case
def good_frames_before_a_bad_one_are_taken():
    with engine() as e, Source(e.port) as s:
        good = [event(i) for i in range(1, 31)]
        before = s.sent + len(b"".join(good))
        s.send(*good, event(31, amount=-1), event(32))
        error = s.closed("MALFORMED")
        assert error["sequence"] == 31 and error["offset"] == before + 40, error
        with Source(e.port) as again:
            assert again.expected == 31


# ---- HELLO ----

GOOD = {"role": "source", "name": "core", "version": 1, "stream": b"0123456789abcdef", "first": 1}
GATE = {"role": "gateway", "name": "gate", "version": 1, "channels": ["push"]}


def without(body, key):
    return {k: v for k, v in body.items() if k != key}


HELLOS = [
    ("no_role", without(GOOD, "role"), "role"),
    ("role_of_the_engine", dict(GOOD, role="engine"), "role"),
    ("role_a_number", dict(GOOD, role=1), "role"),
    ("no_name", without(GOOD, "name"), "name"),
    ("an_empty_name", dict(GOOD, name=""), "name"),
    ("a_name_of_64_bytes", dict(GOOD, name="n" * 64), "name"),
    ("a_name_with_nul", dict(GOOD, name="a\0b"), "name"),
    ("a_name_in_bytes", dict(GOOD, name=b"core"), "name"),
    ("no_version", without(GOOD, "version"), "version"),
    ("version_2", dict(GOOD, version=2), "version"),
    ("version_in_text", dict(GOOD, version="1"), "version"),
    ("no_stream", without(GOOD, "stream"), "stream"),
    ("a_stream_of_15_bytes", dict(GOOD, stream=b"x" * 15), "stream"),
    ("a_stream_of_17_bytes", dict(GOOD, stream=b"x" * 17), "stream"),
    ("a_stream_of_zeros", dict(GOOD, stream=bytes(16)), "stream"),
    ("a_stream_in_text", dict(GOOD, stream="x" * 16), "stream"),
    ("first_in_text", dict(GOOD, first="1"), "first"),
    ("first_negative", dict(GOOD, first=-1), "first"),
    ("skip_a_number", dict(GOOD, skip=3), "skip"),
    ("skip_of_three", dict(GOOD, skip=[1, 2, 3]), "skip"),
    ("skip_backwards", dict(GOOD, skip=[2, 1]), "skip"),
    ("no_channels", without(GATE, "channels"), "channels"),
    ("channels_empty", dict(GATE, channels=[]), "channels"),
    ("channels_in_text", dict(GATE, channels="push"), "channels"),
    ("channels_of_numbers", dict(GATE, channels=[1]), "channels"),
    ("17_channels", dict(GATE, channels=["push"] * 17), "channels"),
    ("session_in_text", dict(GATE, session="7"), "session"),
    ("session_negative", dict(GATE, session=-7), "session"),
    ("an_empty_body", {}, "role"),
    ("no_body", b"", "role"),
    ("a_body_that_is_no_map", b"\x91\x01", ""),
    ("a_body_cut_short", b"\x81\xa4role", ""),
    ("bytes_behind_the_body", b"\x80\x80", ""),
    ("a_key_twice", b"\x82\xa1a\x01\xa1a\x01", ""),
]


@case
def every_bad_hello_is_malformed_and_says_which_key():
    with engine() as e:
        s, g = bystanders(e)
        with s, g:
            for name, body, word in HELLOS:
                with Connection(e.port) as c:
                    c.send(frame(HELLO, body))
                    try:
                        error = c.closed("MALFORMED")
                        assert word in error["text"] and error["offset"] >= 64, error
                    except Exception as failure:
                        raise AssertionError("%s: %s" % (name, failure)) from failure
            for field in ("type", "customer", "account", "time", "amount", "balance", "currency", "country", "mcc", "touchpoint", "flags"):
                with Connection(e.port) as c:
                    c.send(frame(HELLO, GOOD, **{field: 1}))
                    assert c.closed("MALFORMED")["offset"] == OFFSET[field], field
            undisturbed(e, s, g)
            status = e.status()
            assert [p["name"] for p in status["sources"]] == ["bystander"], "a refused HELLO leaves no peer behind"


@case
def the_first_frame_must_be_hello():
    with engine() as e:
        s, g = bystanders(e)
        with s, g:
            for first, code in ((event(1), "NO_HELLO"), (frame(PING), "NO_HELLO"), (frame(99), "NO_HELLO"),
                                (frame(HELLO, GOOD, version=9), "MALFORMED"), (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 64, "MALFORMED")):
                with Connection(e.port) as c:
                    c.send(first)
                    c.closed(code)
            undisturbed(e, s, g)


@case
@slow
def silence_for_10_s_is_no_hello():
    with engine() as e, Connection(e.port) as silent, Connection(e.port) as half:
        half.send(frame(HELLO, GOOD)[:40])
        started = time.monotonic()
        silent.closed("NO_HELLO")
        half.closed("NO_HELLO")
        assert 9.5 < time.monotonic() - started < 13


# ---- cut ----

@case
def a_frame_cut_at_every_byte_has_no_effect():
    with engine() as e:
        s, g = bystanders(e)
        whole = event(1, {"merchant": "cut"})
        with s, g:
            for n in range(len(whole)):
                with Connection(e.port) as c:
                    c.send(hello_source("core", stream_of("core")), whole[:n])
                    if n % 2:
                        c.expect(WELCOME)
                    if n % 3 == 0:
                        c.reset()
            hello = hello_source("core", stream_of("core"))
            for n in range(len(hello)):
                with Connection(e.port) as c:
                    c.send(hello[:n])
            undisturbed(e, s, g)
            eventually("they are gone", lambda: e.status()["connections"]["open"] == 2)
            with Source(e.port) as again:
                assert again.expected == 1
            assert e.status()["events"]["in"] == 1


@case
def a_frame_that_comes_byte_by_byte_is_whole_at_the_end():
    with engine() as e, Connection(e.port) as c:
        for byte in hello_source("core", stream_of("core")):
            c.send(bytes([byte]))
        assert c.expect(WELCOME).sequence == 1
        for byte in event(1) + event(2):
            c.send(bytes([byte]))
        while c.expect(ACK).sequence < 2:
            pass


@case
def frames_of_every_size_cross_the_receive_buffers():
    rng = random.Random(SEED)
    with engine() as e, Source(e.port) as s:
        frames = [event(i, {"merchant": "m", "fill": ["x" * 1000] * rng.choice((0, 1, 9, 15, 16, 40, 64))}) for i in range(1, 301)]
        for first in range(0, 300, 50):  # each part fits in the window
            data = b"".join(frames[first:first + 50])
            at = 0
            while at < len(data):
                step = rng.choice((1, 63, 64, 65, 4095, 16384, 16385, 70000))
                s.send(data[at:at + step])
                at += step
            s.wait_ack(first + 50)
        assert e.status()["events"]["decided"] == 300


@case
def the_largest_frame_is_taken_and_one_byte_more_is_not():
    with engine() as e, Source(e.port) as s:
        fill = 65536 - len(event(1, {"merchant": "m", "fill": b""})) - 1  # the length takes a byte more
        largest = event(1, {"merchant": "m", "fill": bytes(fill)})
        assert len(largest) == 65536
        s.feed([largest])
        assert e.status()["events"]["decided"] == 1
        before = s.sent
        s.send(event(2, {"merchant": "m", "fill": bytes(fill + 1)}))
        assert s.closed("MALFORMED")["offset"] == before


@case
def random_bytes_disturb_nobody():
    rng = random.Random(SEED)
    with engine() as e:
        s, g = bystanders(e)
        with s, g:
            for i in range(150):
                good = bytearray(event(1, {"merchant": "x" * rng.randrange(200)}))
                for _ in range(rng.randrange(1, 6)):
                    at = rng.choice([i for i in range(len(good)) if not 32 <= i < 40])  # a time would move the clock of events
                    good[at] = rng.randrange(256)
                with Connection(e.port) as c:
                    if i % 3:
                        c.send(hello_source("fuzz", stream_of("fuzz%d" % i)))
                    c.send(bytes(good) if i % 2 else rng.randbytes(rng.randrange(1, 3000)))
            undisturbed(e, s, g)
        e.status()
    replay(e.data, "--verify")


# ---- acknowledged all the same ----

BODIES = [
    ("not_msgpack", b"\xc1"), ("cut_short", b"\x81\xa1"), ("no_map", b"\x01"), ("two_maps", b"\x80\x80"),
    ("an_extension", b"\x81\xa1a\xd4\x01\x01"), ("a_key_twice", b"\x82\xa1a\x01\xa1a\x02"), ("a_number_as_key", b"\x81\x01\x01"),
    ("not_utf8", b"\x81\xa1a\xa1\xff"), ("depth_5", {"a": [[[[1]]]]}), ("a_field_of_another_type", {"merchant": 5}),
    ("a_string_too_long", {"merchant": "x" * 1025}), ("ref_empty", {"ref": ""}), ("ref_too_long", {"ref": "r" * 65}),
    ("an_unknown_stage", {"ref": "r", "stage": "maybe"}), ("amount_in_text", {"original_amount": "5"}),
]


@case
def a_bad_body_is_acknowledged_and_the_connection_stays():
    with engine() as e, Gateway(e.port) as g, Source(e.port) as s:
        s.customers(7)
        at = 3
        for name, body in BODIES:
            s.feed([event(at, body)])
            at += 1
            assert e.status()["events"]["bad_body"] == at - 3, name
        s.feed([event(at, {"merchant": "good"}), event(at + 1, {}, flags=REVERSAL)])  # a reversal of nothing named
        assert e.status()["events"]["bad_body"] == len(BODIES) + 1
        assert "good" in g.take_messages(1)[0].body["text"]
        g.nothing_comes(0.1)
    replay(e.data, "--verify")


@case
def a_body_cut_at_every_byte_is_bad_and_acknowledged():
    import msgpack
    whole = msgpack.encode({"merchant": "Café", "ref": "r1", "stage": "authorised", "list": [1, 2.5, None, {"a": b"xyz"}]})
    with engine() as e, Source(e.port) as s:
        s.feed([event(i, whole[:i]) for i in range(1, len(whole))])
        events = e.status()["events"]
        assert events["bad_body"] == len(whole) - 1 and events["decided"] == 0, events
        s.feed([event(len(whole), whole), event(len(whole) + 1, b"")])
        assert e.status()["events"]["decided"] == 2


@case
def unknown_types_are_counted_by_type():
    with engine() as e, Source(e.port) as s:
        s.feed([event(i, type=999 if i % 3 else 65535) for i in range(1, 31)])
        status = e.status()
        assert status["events"]["unknown_type"] == 30
        assert {t["code"]: t["count"] for t in status["unknown_types"]} == {999: 20, 65535: 10}
    again = e.again()
    assert {t["code"]: t["count"] for t in again.status()["unknown_types"]} == {999: 20, 65535: 10}
    again.stop()


@case
def an_unknown_customer_is_provisional_and_gets_no_message():
    with engine() as e, Gateway(e.port) as g, Source(e.port) as s:
        transfer = dict(type=2, customer=500, amount=30000)
        s.feed([event(1, {"payee": "P"}, **transfer), event(2, customer=500)])
        suppressed = e.status()["suppressed"]
        assert suppressed["provisional"] == 1, suppressed
        g.nothing_comes(0.1)
        s.feed([profile(3, 500), event(4, {"payee": "P"}, **transfer)])
        text = g.take_messages(1)[0].body["text"]
        assert text == "€300.00 left; €612.50 this hour, account €612.50.", text  # windows ran all the time


@case
def changes_that_name_what_is_not_there_are_refused_and_acknowledged():
    with engine() as e, Source(e.port) as s:
        s.feed([profile(1, 7), profile(2, 7, colour="red"), profile(3, 7, name=5), subscribe(4, 7, "no.such.kind"),
                subscribe(5, 7, params={"no": 1}), subscribe(6, 7, params={"threshold": 1}), subscribe(7, 7, frequency="daily"),
                frame(MANAGE, {"op": "erase"}, sequence=8, customer=7), frame(PROFILE, b"\xc1", sequence=9, customer=7)])
        changes = e.status()["changes"]
        assert (changes["applied"], changes["refused"], changes["not_yet"]) == (1, 6, 2), changes


if __name__ == "__main__":
    main()
