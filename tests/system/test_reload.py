#!/usr/bin/python3
"""A hot reload: compiled aside, switched between two ticks, or refused with everything that is wrong."""
import signal

from harness import (CATALOGUE, Engine, Gateway, Source, case, catalogue_dir, event, eventually, main, replay, subscribe)

LOUDER = CATALOGUE.replace('"{event.amount, money} at', '"LOUD {event.amount, money} at').replace('default: "5 EUR"', 'default: "20 EUR"')


def setting(**options):
    e = Engine(None, None, "--segment", "2", admin="127.0.0.1:0", **options)
    s = Source(e.port).customers(7)
    return e, s, Gateway(e.port)


def hup(e):
    e.process.send_signal(signal.SIGHUP)


def feed(s, count, **fields):
    s.feed([event(s.expected + i, **fields) for i in range(count)])
    s.expected += count


def change(e, text):
    """Writes the catalogue, reloads, waits until another one is in force."""
    before = e.status()["catalogue"]["hash"]
    catalogue_dir(text, e.catalogue)
    hup(e)
    eventually("a new catalogue", lambda: e.status()["catalogue"]["hash"] != before)


@case
def a_changed_rule_takes_effect_and_windows_go_on():
    e, s, g = setting()
    with e, s, g:
        feed(s, 3, amount=1000)
        change(e, LOUDER)
        feed(s, 2, amount=1000)  # not above 20 EUR any more
        feed(s, 1, amount=3000)
        texts = [m.body["text"] for m in g.take_messages(4)]
        assert [t[:4] for t in texts] == ["€10.", "€10.", "€10.", "LOUD"], texts
        assert "6 this hour, €80.00, number 6" in texts[3], "aggregates that are unchanged keep their values: " + texts[3]
        status = e.status()
        assert status["events"]["decided"] == 6 and status["journal"]["positions"] > 6
        spent = next(r for r in status["rules"] if r["name"] == "spent")
        assert spent["hits"] == 4, "counts of a rule go on with its name"
    replay(e.data, "--verify")
    again = e.again()
    with again, Source(again.port, acknowledged=s.acknowledged) as r, Gateway(again.port) as g:
        r.feed([event(r.expected, amount=4000)])
        text = g.take_messages(1)[0].body["text"]
        assert text.startswith("LOUD") and "7 this hour, €120.00, number 7" in text, text
    replay(e.data, "--verify")


@case
def a_kill_right_after_a_reload_recovers_it():
    e, s, g = setting()
    with s, g:
        feed(s, 3, amount=1000)
        change(e, LOUDER)
        feed(s, 3, amount=2500)
        e.kill()
    e = e.again()
    with e, Gateway(e.port) as g, Source(e.port, acknowledged=s.acknowledged) as r:
        assert [m.body["text"][:4] for m in g.take_messages(6)] == ["€10."] * 3 + ["LOUD"] * 3
        r.feed([event(r.expected, amount=2500)])
        assert "number 7" in g.take_messages(1)[0].body["text"]
    replay(e.data, "--verify")


@case
def a_wrong_catalogue_is_refused_with_all_problems_and_the_old_one_stays():
    e, s, g = setting()
    with e, s, g:
        before = e.status()["catalogue"]["hash"]
        catalogue_dir(CATALOGUE.replace("agg.n_1h > 3", "agg.n_1 > 3").replace("currency: EUR", "currency: EUX"), e.catalogue)
        hup(e)
        eventually("problems in the log", lambda: "n_1h" in e.log() and "EUX" in e.log())
        feed(s, 1)
        assert g.take_messages(1)[0].body["text"].startswith("€12.50")
        assert e.status()["catalogue"]["hash"] == before
        code, text = e.ask("/reload", "POST")
        assert code == 409 and "n_1h" in text and "EUX" in text, (code, text)
        catalogue_dir(LOUDER, e.catalogue)
        code, text = e.ask("/reload", "POST")
        assert code == 200, (code, text)
        feed(s, 1, amount=9000)
        assert g.take_messages(1)[0].body["text"].startswith("LOUD")
    replay(e.data, "--verify")


@case
def a_reload_of_the_same_catalogue_changes_nothing():
    e, s, g = setting()
    with e, s, g:
        before = e.status()
        assert e.ask("/reload", "POST")[0] == 200
        feed(s, 1)
        after = e.status()
        assert after["catalogue"]["hash"] == before["catalogue"]["hash"]


@case
def a_profile_attribute_that_changes_its_type_is_refused():
    e, s, g = setting()
    with e, s, g:
        catalogue_dir(CATALOGUE.replace("name: { type: string }", "name: { type: int }"), e.catalogue)
        code, text = e.ask("/reload", "POST")
        assert code == 409 and "name" in text, (code, text)
        feed(s, 1)
        g.take_messages(1)
    again = Engine(e.data, e.catalogue, *e.options, listening=False)
    assert again.wait() == 1 and "name" in again.log(), again.log()


@case
def a_new_attribute_kind_and_type_are_there_at_once():
    e, s, g = setting()
    more = (CATALOGUE.replace("name: { type: string }", "name: { type: string }, vip: { type: bool, default: true }")
            .replace("  noise: { code: 40", "  fee: { code: 5 }\n  noise: { code: 40")
            .replace("  posted: { events", "  fees: { events: [fee], when: 'profile.vip', repeat: every, message: fees, channels: [email], fresh: 30d }\n"
                     "  posted: { events", 1) + '  fees: { en: "A fee of {event.amount, money}." }\n')
    with e, s, g:
        feed(s, 1, type=5)
        assert e.status()["events"]["unknown_type"] == 1
        change(e, more)
        s.feed([subscribe(s.expected, 7, "fees"), event(s.expected + 1, {}, type=5, amount=100)])
        assert g.take_messages(1)[0].body["text"] == "A fee of €1.00."
    replay(e.data, "--verify")


@case
def a_gateway_that_named_a_channel_too_early_serves_it_after_the_reload():
    """Its connection ends, since WELCOME did not cover that channel; others stay."""
    e, s, g = setting()
    with e, s, g, Gateway(e.port, "early", ["voice"] + ["push"]) as early:
        change(e, CATALOGUE.replace("email: { max: 2000 }", "email: { max: 2000 }, voice: { max: 100 }").replace(
            "channels: [sms], fresh: 30d", "channels: [voice], fresh: 30d"))
        assert early.closed() is None
        assert g.alive()
        s.feed([event(s.expected, {"payee": "P"}, type=2, amount=30000)])
        with Gateway(e.port, "early", ["voice"], session=early.session) as again:
            assert again.take_messages(1)[0].body["leg"] == "voice/1"


@case
def noise_that_a_new_rule_needs_is_kept_from_then_on():
    e, s, g = setting()
    listening = CATALOGUE.replace("  n_ever: {", "  noises: { over: [noise], count: true, within: 1h }\n  n_ever: {").replace(
        "number {agg.n_ever}", "noises {agg.noises}, number {agg.n_ever}")
    with e, s, g:
        feed(s, 1, type=3)  # kept: the clock of events follows kept ones only
        feed(s, 5, type=40)
        change(e, listening)
        feed(s, 3, type=40)
        assert e.status()["events"]["filtered"] == 5 and e.status()["events"]["decided"] == 4
        later = e.status()["engine"]["now_ns"] + 3600 * 10**9
        feed(s, 1)
        feed(s, 2, type=40, time=later + 1)
        feed(s, 1, time=later + 1)
        texts = [m.body["text"] for m in g.take_messages(2)]
        # younger than its length, a window is no data: the five that were dropped are not counted as none
        assert "noises –" in texts[0] and "noises 2" in texts[1], texts
    replay(e.data, "--verify")


@case
def reloads_under_load_lose_nothing():
    from load import LoadGateway, LoadSource, Store, Where, frames_of
    e = Engine(None, None, "--segment", "2", admin="127.0.0.1:0")
    store, where = Store(), Where(e.port)
    sources = [LoadSource(where, "bank-%d" % n, frames_of(n, 4000, 5), 4000, n) for n in (1, 2)]
    gateway = LoadGateway(where, "gate", ["push", "sms", "email"], store, 3)
    for i in range(12):
        catalogue_dir((LOUDER if i % 2 else CATALOGUE) + "# %d\n" % i, e.catalogue)
        assert e.ask("/reload", "POST")[0] == 200
    for s in sources:
        s.finish()
    eventually("all delivered", lambda: e.status()["legs"]["queued"] == 0 and len(store.messages) == e.status()["legs"]["made"])
    where.stopped.set()
    gateway.finish()
    status = e.status()
    assert sum(status["events"][k] for k in ("decided", "filtered")) > 5000
    e.stop()
    assert store.repeats == 0
    replay(e.data, "--verify")
    replay(e.data, "--verify", "--chunk", "7")


if __name__ == "__main__":
    main()
