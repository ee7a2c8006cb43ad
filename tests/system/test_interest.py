#!/usr/bin/python3
"""`moment check DIR --interest [--sample FILE]`: what the pre-filter keeps, for whom and why, and what share of a file it would drop."""
import gzip
import json
import os
import re

from harness import EPOCH, EVENT, PROFILE, REVERSAL, ROOT, SUBSCRIBE, VERDICT_WANTED, Engine, case, dirs, eventually, frame, main, run

CATALOGUE = """
bank: { currency: EUR, country: ES, language: en, starts: empty }
rates: { USD: 0.92 }
channels: { push: { max: 240 } }
messages: { hello: { en: "Hello" } }
events:
  purchase: { code: 1 }
  counted: { code: 2, history: rules }
  small: { code: 3, history: rules }
  abroad: { code: 4, history: rules }
  chosen: { code: 5, history: rules }
  everyone: { code: 6, history: rules }
  noise: { code: 40, history: rules }
profile: { language: { type: string, default: en } }
aggregates: { n: { over: [counted], count: true } }
fraud:
  rules:
    large: { events: [small], when: 'event.amount > money("30 EUR")', score: 5 }
    there: { events: [abroad], when: 'event.country in [country.PT, country.FR] && event.touchpoint == touchpoint.atm', score: 5 }
critical:
  told: { events: [everyone], repeat: every, message: hello }
subscriptions:
  chosen:
    events: [chosen, everyone]
    params: { from: { type: money, default: "20 EUR", min: "5 EUR" } }
    when: 'event.amount >= param.from'
    repeat: every
    message: hello
"""


def catalogue(text=CATALOGUE):
    path = dirs.new("catalogue")
    with open(path + "/a.yaml", "w") as f:
        f.write(text)
    return path


def file_of(data, name="events"):
    path = dirs.new("sample") + "/" + name
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


def line(type, **fields):
    return dict({"type": type, "customer": 7, "time": EPOCH, "amount": 0, "currency": "EUR"}, **fields)


def ndjson(*lines):
    return "".join(json.dumps(x) + "\n" for x in lines)


def check(*args):
    code, out, err = run("moment", "check", *args)
    assert code == 0, (code, out, err)
    return out


def interest(path):
    """{type: (code, filter, condition, why)}"""
    rows = check(path, "--interest").split("\nevent type  ", 1)[1].splitlines()
    moved = len("event type  ")  # the heading begins behind it
    condition, why = rows[0].index("condition") + moved, rows[0].index("who needs it") + moved
    table = {}
    for row in rows[1:]:
        name, code, kept = row[:condition].split(None, 2)
        table[name] = (int(code), kept.strip(), row[condition:why].strip(), row[why:])
    return table


def sample(path, file, *more):
    """{type: (events, dropped if nobody else is enrolled, dropped if everybody is)}"""
    out = check(path, "--sample", file, *more)
    rows = out[out.index("\nsample "):].strip().splitlines()
    table = {}
    for row in rows[1:]:
        name, events, dropped, share, more = re.fullmatch(r"(\S.*?) +(\d+) +(\d+) +([\d.]+) %(.*)", row).groups()
        all_enrolled = re.fullmatch(r" +(\d+) +[\d.]+ %", more) if more else None
        assert abs(float(share) - 100 * int(dropped) / int(events)) < 0.006, row
        table[name] = (int(events), int(dropped), int(all_enrolled[1]) if all_enrolled else int(dropped))
    return table


@case
def interest_names_the_condition_and_who_needs_it():
    assert interest(catalogue()) == {
        "purchase": (1, "keep", "", "history: full (without history: full: drop)"),
        "counted": (2, "keep", "", "aggregates n"),
        "small": (3, "keep if", "amount >= 30.01 EUR", "fraud large"),
        "abroad": (4, "keep if", "touchpoint atm, country FR or PT", "fraud there"),
        "chosen": (5, "keep if", "amount >= 5.00 EUR, enrolled customers", "subscriptions chosen"),
        "everyone": (6, "keep", "", "critical told; subscriptions chosen (critical told needs every event)"),
        "noise": (40, "drop", "", "no rule, no aggregate, history: rules")}


@case
def sample_drops_what_the_conditions_say():
    lines = [line(1), line(2), line(40), line(40),
             line(3, amount=3000), line(3, amount=3001), line(3, amount=1, currency="USD"),
             line(4, country="PT", touchpoint="atm"), line(4, country="PT", touchpoint="pos"), line(4, country="ES", touchpoint="atm"),
             line(4, country="FR"), line(4),
             line(6), line(999)]
    assert sample(catalogue(), file_of(ndjson(*lines))) == {
        "purchase": (1, 0, 0), "counted": (1, 0, 0), "noise": (2, 2, 2), "small": (3, 1, 1), "abroad": (5, 2, 2), "everyone": (1, 0, 0),
        "not in the catalogue": (1, 0, 0), "all": (14, 5, 5)}


@case
def sample_keeps_what_has_a_flag():
    flags = [["reversal"], ["verdict"], ["repeat"], ["verdict", "repeat"], []]
    lines = [line(40, flags=f, body={"of": "x"} if "reversal" in f else {}) for f in flags]
    assert sample(catalogue(), file_of(ndjson(*lines)))["all"] == (5, 1, 1)


@case
def sample_counts_whom_it_subscribes_from_there_on():
    one = {"kind": "SUBSCRIBE", "customer": 7, "body": {"kind": "chosen"}}
    two = {"kind": "PROFILE", "customer": 9, "body": {"set": {"language": "en"}}}
    three = {"kind": "PROFILE", "account": 70, "body": {"set": {"holders": [{"customer": 7, "role": "owner"}]}}}
    def events(amount=600):
        return [line(5, amount=amount), line(5, amount=amount, customer=8), line(5, amount=amount, customer=9),
                line(5, amount=amount, customer=8, account=70)]
    path = catalogue()
    assert sample(path, file_of(ndjson(*events())))["all"] == (4, 4, 0)
    assert sample(path, file_of(ndjson(*events(), one, *events())))["all"] == (8, 7, 0)
    assert sample(path, file_of(ndjson(one, two, three, *events())))["all"] == (4, 1, 0)
    assert sample(path, file_of(ndjson(one, two, three, *events(499))))["all"] == (4, 4, 4)


@case
def sample_prints_one_column_when_enrolment_does_not_matter():
    path = catalogue()
    heading = check(path, "--sample", file_of(ndjson(line(40), line(3))))
    assert re.search(r"^sample +events +dropped$", heading, re.M), heading
    heading = check(path, "--sample", file_of(ndjson(line(5, amount=900))))
    assert re.search(r"^sample +events +nobody else enrolled +everybody enrolled$", heading, re.M), heading


@case
def sample_reads_what_feed_reads():
    path = catalogue()
    text = ndjson(line(40), line(1))
    frames = b"".join([frame(EVENT, {}, sequence=1, type=40, customer=7, time=EPOCH, currency=978),
                       frame(SUBSCRIBE, {"kind": "chosen"}, sequence=2, customer=7),
                       frame(EVENT, {}, sequence=3, type=5, customer=7, time=EPOCH, amount=900, currency=978),
                       frame(EVENT, {}, sequence=4, type=40, customer=7, time=EPOCH, currency=978, flags=VERDICT_WANTED),
                       frame(EVENT, {"of": "r"}, sequence=5, type=40, customer=7, time=EPOCH, currency=978, flags=REVERSAL),
                       frame(PROFILE, {"set": {"language": "en"}}, sequence=6, customer=7)])
    assert sample(path, file_of(text))["all"] == (2, 1, 1)
    assert sample(path, file_of(gzip.compress(text.encode()), "events.gz"))["all"] == (2, 1, 1)
    assert sample(path, file_of(frames))["all"] == (4, 1, 1)
    rows = "step,action,amount,nameOrig\n" + "".join("3,%s,20.05,C77,43.94,23.9,M88,33.47,53.47,1,0,0\n" % action for action in ("CASH_OUT", "PAYMENT"))
    assert sample(path, file_of(rows)) == {"small": (1, 1, 1), "purchase": (1, 0, 0), "all": (2, 1, 1)}
    code, out, err = run("moment", "check", path, "--sample", "-", input=text)
    assert code == 0 and re.search(r"^all +2 +1 ", out, re.M), (out, err)
    assert check(path, "--sample", file_of(b"")).rstrip().splitlines()[-1].split() == ["all", "0", "0", "0.00", "%"]


@case
def interest_and_sample_go_together():
    path, file = catalogue(), file_of(ndjson(line(40)))
    both = check(path, "--interest", "--sample", file)
    assert both.index("event type") < both.index("sample  ")
    assert check("--sample", file, path, "--interest") == both
    assert "who needs it" not in check(path, "--sample", file)


@case
def a_wrong_sample_is_2_and_says_where():
    path = catalogue()
    good = ndjson(line(1))
    for data, words in ((good + '{"time": 1, "mcc": -1}\n', "line 2: mcc"), (good + "\n{\n", "line 3: "), (good + '{"tim": 1}\n', "line 2: "),
                        ("hello\n", "neither NDJSON"), (frame(EVENT, {}, sequence=1, type=1, time=EPOCH)[:-1], "line 1: a frame is cut off")):
        code, out, err = run("moment", "check", path, "--sample", file_of(data))
        assert code == 2 and words in err and err.startswith("moment check: /") and err.count("\n") == 1, (code, err)
        assert "\nsample" not in out, out
    code, out, err = run("moment", "check", path, "--sample", "/nowhere/events.ndjson")
    assert (code, err) == (2, "moment check: /nowhere/events.ndjson: No such file or directory\n"), err
    broken = file_of(gzip.compress(good.encode() * 1000)[:-20], "events.gz")
    code, out, err = run("moment", "check", path, "--sample", broken)
    assert code == 2 and broken in err, (code, err)


@case
def memory_is_measured():
    code, out, err = run("moment", "check", catalogue(), "--memory")
    assert (code, err) == (0, ""), (code, err)
    assert "memory of windows, measured over 31 days; bank.memory.windows is 2.15 GB" in out, out
    assert [line.split()[0] for line in out.splitlines() if line.strip()[:1].isdigit()] == ["1", "3", "10"], out


@case
def wrong_use_is_2_and_a_wrong_catalogue_1():
    path, file = catalogue(), file_of(ndjson(line(40)))
    for args, words in ((("--sample",), "usage:"), ((path, "--sample"), "--sample needs a file"),
                        ((path, "--sample", file, "--sample", file), "unexpected '--sample'"), ((path, "--samples", file), "unexpected"),
                        ((path, path), "unexpected")):
        code, out, err = run("moment", "check", *args)
        assert code == 2 and words in err and not out, (args, code, err)
    code, out, err = run("moment", "check", catalogue("bank: {}\n"), "--interest", "--sample", file)
    assert code == 1 and "problem" in out and "sample" not in out, out


@case
def the_engine_filters_what_the_sample_says():
    """Conditions of the header alone; who is enrolled is the engine's to know."""
    lines = [line(40, time=EPOCH + i) for i in range(50)]
    lines += [line(3, time=EPOCH + i, amount=100 * i) for i in range(60)]
    lines += [line(4, time=EPOCH + i, country=["PT", "ES", "FR"][i % 3], touchpoint=["atm", "pos"][i % 2]) for i in range(60)]
    path, file = catalogue(), file_of(ndjson(*lines))
    said = sample(path, file)["all"]
    assert said[1] == 50 + 31 + 40, said
    with Engine(catalogue=path, admin="127.0.0.1:0") as e:
        code, out, err = run("moment", "feed", "--to", "127.0.0.1:%d" % e.port, "--json", file)
        assert code == 0, err
        eventually("the count", lambda: e.status()["events"]["filtered"] == said[1])


@case
def the_demo_bank_has_something_to_narrow():
    table = interest(os.path.join(ROOT, "schemas", "demo-bank"))
    assert table["transfer.instant"][1:3] == ("keep if", "amount >= 5.00 EUR, enrolled customers"), table["transfer.instant"]
    assert table["card.purchase"][1] == "keep" and table["balance.inquiry"][1] == "drop"


main()
