#!/usr/bin/python3
"""The tools of `moment` and schemas/client.py against a real engine: what they print, the keys of their JSON, their exit codes."""
import json
import os
import subprocess
import time

from harness import BIN, EPOCH, PATIENCE, ROOT, Engine, Gateway, Source, case, dirs, event, eventually, main, replay, run, stream_of

LATENCIES = {"p50", "p90", "p99", "p999", "max"}


def lines(count, first=1, **fields):
    """NDJSON: a customer with a subscription, then purchases."""
    out = [{"kind": "PROFILE", "customer": 7, "body": {"set": {"language": "en"}}},
           {"kind": "SUBSCRIBE", "customer": 7, "body": {"kind": "spent"}}] if first == 1 else []
    for i in range(count):
        out.append(dict({"type": 1, "customer": 7, "account": 70, "time": EPOCH + i, "amount": 1250, "currency": "EUR",
                         "body": {"merchant": "Café %d" % i}}, **fields))
    return "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in out)


def file_of(text):
    path = dirs.new("input") + "/events.ndjson"
    with open(path, "w") as f:
        f.write(text)
    return path


def start(program, *args):
    """With little output: the pipes are read at the end."""
    return subprocess.Popen([os.path.join(BIN, program), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def to(e):
    return "127.0.0.1:%d" % e.port


@case
def feed_and_sink_carry_a_file_through():
    with Engine(admin="127.0.0.1:0") as e:
        sink = start("moment", "sink", "--to", to(e), "--channels", "push,sms", "--json", "--quit-after", 200)
        eventually("the sink", lambda: any(g["connected"] for g in e.status()["gateways"]))
        code, out, err = run("moment", "feed", "--to", to(e), "--json", file_of(lines(200)))
        assert code == 0, err
        told = json.loads(out.strip().splitlines()[-1])
        assert told["sent"] == told["acknowledged"] == 202 and told["resumed"] == 0 and not told["error"], told
        assert {"verdicts", "seconds", "events_per_second", "latency_ns", "verdict_latency_ns", "stream", "resent"} <= set(told)
        assert LATENCIES <= set(told["latency_ns"]) and told["latency_ns"]["p50"] > 0
        out, err = sink.communicate(timeout=PATIENCE)
        assert sink.returncode == 0, err
        messages = [json.loads(line) for line in out.splitlines()]
        assert len(messages) == 200
        m = messages[0]
        assert {"type", "category", "sequence", "customer", "account", "time", "amount", "currency", "repeat", "body"} <= set(m)
        assert (m["type"], m["category"], m["customer"], m["amount"], m["currency"], m["repeat"]) == (3, "alert", 7, 1250, 978, False), m
        assert m["body"]["text"].startswith("€12.50 at Café 0: 1 this hour") and len(m["body"]["id"]) == 32, m
        summary = json.loads(err.strip().splitlines()[-1])
        assert summary["messages"] == 200 and summary["repeats"] == 0 and summary["by_rule"] == {"spent": 200}, summary
        assert summary["by_channel"] == {"push": 200} and summary["by_category"] == {"alert": 200} and summary["latency_ns"] is None
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == 200)


@case
def feed_of_nobody_is_3_and_of_a_bad_line_2():
    code, out, err = run("moment", "feed", "--to", "127.0.0.1:1", "--patience", 0, file_of(lines(1)))
    assert code == 3 and err, (code, err)
    assert run("moment", "sink", "--to", "127.0.0.1:1", "--patience", 0)[0] == 3
    with Engine(admin="127.0.0.1:0") as e:
        code, out, err = run("moment", "feed", "--to", to(e), file_of(lines(3) + '{"type": 1, "colour": 5}\n' + lines(2)))
        assert code == 2 and "6" in err and "colour" in err, (code, err)  # line 6
        eventually("what was before it", lambda: e.status()["events"]["decided"] == 3)
    for args in ([], ["--colour"], ["--to", "x"], ["--to", "127.0.0.1:1", "--stream", "12", "f"]):
        assert run("moment", "feed", *args)[0] == 2, args
    assert run("moment", "sink", "--colour")[0] == 2
    assert run("moment", "no.such.command")[0] == 2 and run("moment")[0] == 2


@case
def help_of_each_command_is_0_and_on_stdout():
    for command in "check import get feed sink generate replay status".split():
        code, out, err = run("moment", command, "--help")
        assert code == 0 and "moment " + command in out and not err, (command, code, err)


@case
def feed_that_is_refused_is_1_and_says_why():
    with Engine() as e, Source(e.port, "feed", stream_of("else")) as s:
        s.feed([event(1)])
        code, out, err = run("moment", "feed", "--to", to(e), "--json", "--patience", 1, file_of(lines(1)))
        assert code == 1 and "BUSY" in err + out, (code, out, err)
        code, out, err = run("moment", "sink", "--to", to(e), "--channels", "pigeon", "--patience", 1)
        assert code == 1 and "FORBIDDEN" in err, (code, err)


@case
def feed_goes_on_after_the_engine_was_killed():
    e = Engine(None, None, "--segment", "4", admin="127.0.0.1:0")
    port = e.port
    path = file_of(lines(60000))
    feed = start("moment", "feed", "--to", to(e), "--json", "--rate", 60000, "--patience", 20, path)
    eventually("some", lambda: e.status()["events"]["decided"] > 3000)
    e.kill()
    again = subprocess.Popen([os.path.join(BIN, "momentd"), "--catalogue", e.catalogue, "--data", e.data, "--listen", "127.0.0.1:%d" % port,
                              "--admin", "off", "--clock=event"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = feed.communicate(timeout=2 * PATIENCE)
    told = json.loads(out.strip().splitlines()[-1])
    again.terminate()
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert feed.returncode == 0 and told["sent"] == told["acknowledged"] == 60002 and told["resumed"] == 1, (told, err)
    assert " 60000 events" in replay(e.data, "--verify")["text"]


@case
def feed_resumes_from_its_state_file():
    with Engine(admin="127.0.0.1:0") as e:
        state, path = dirs.new() + "/state", file_of(lines(50))
        args = ["feed", "--to", to(e), "--json", "--resume-state", state]
        assert run("moment", *args, path)[0] == 0
        with open(path, "a") as f:
            f.write(lines(30, first=0))
        code, out, err = run("moment", *args, path)
        told = json.loads(out.strip().splitlines()[-1])
        assert code == 0 and told["sent"] == told["acknowledged"] == 30, (told, err)  # what was acknowledged is skipped
        events = e.status()["events"]
        assert events["decided"] == 80 and events["duplicate"] == 0, events


@case
def synthetic_traffic_of_the_demo_bank_goes_through():
    demo = os.path.join(ROOT, "schemas", "demo-bank")
    bank = dirs.new() + "/bank.ndjson"
    assert run("moment", "generate", "--synthetic", "demo:customers=500,events=4000", "--bank-out", bank)[0] == 0
    data = dirs.new() + "/data"
    code, out, err = run("moment", "import", "--data", data, "--catalogue", demo, bank)
    assert code == 0, err
    with Engine(data, demo, admin="127.0.0.1:0") as e:
        printed = open(dirs.new() + "/printed", "w+")
        sink = subprocess.Popen([os.path.join(BIN, "moment"), "sink", "--to", to(e), "--channels", "push,sms,email,inbox", "--json"],
                                stdout=printed, stderr=subprocess.PIPE)
        code, out, err = run("moment", "feed", "--to", to(e), "--json", "--synthetic", "demo:customers=500,events=4000")
        assert code == 0, err
        eventually("delivered", lambda: e.status()["legs"]["made"] > 50 and e.status()["legs"]["queued"] == 0)
        sink.terminate()
        sink.communicate(timeout=PATIENCE)
        printed.seek(0)
        assert sink.returncode == 0 and len(printed.read().splitlines()) == e.status()["legs"]["made"]
        status = e.status()
        assert status["events"]["in"] == 4000 and status["store"]["customers"] == 500, status["events"]
    replay(data, "--verify")


@case
def a_sink_that_is_slow_or_starts_again_prints_each_message_once():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        s.customers(7)
        state = dirs.new() + "/seen"
        s.feed([event(i) for i in range(3, 203)])
        args = ["sink", "--to", to(e), "--json", "--state", state, "--channels", "push"]
        printed = dirs.new() + "/printed"
        with open(printed, "w") as f:
            first = subprocess.Popen([os.path.join(BIN, "moment"), *args, "--accept-delay", "5000"], stdout=f, stderr=subprocess.PIPE)
            eventually("200 lines", lambda: len(open(printed).read().splitlines()) == 200)
            time.sleep(0.2)
            first.kill()  # it has accepted none
            first.communicate(timeout=PATIENCE)
        assert e.status()["legs"]["accepted"] == 0
        again = start("moment", *args, "--idle-exit", 1)
        out, err = again.communicate(timeout=PATIENCE)
        ids = {json.loads(line)["body"]["id"] for line in open(printed)}
        summary = json.loads(err.strip().splitlines()[-1])
        assert again.returncode == 0 and len(ids) == 200 and not out and summary["repeats"] == 200, (out[:200], summary)
        eventually("accepted", lambda: e.status()["legs"]["accepted"] == 200)


@case
def sink_receipts_move_legs_to_delivered():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        s.customers(7)
        s.feed([event(i) for i in range(3, 53)])
        code, out, err = run("moment", "sink", "--to", to(e), "--receipts", "delivered", "--quit-after", 50, "--quiet")
        assert code == 0 and not out, (code, out, err)
        assert e.status()["legs"]["delivered"] == 50


@case
def status_shows_counters_and_equations():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s:
        s.customers(7)
        s.feed([event(3), event(4, type=999)])
        admin = "127.0.0.1:%d" % e.admin_port
        code, out, err = run("moment", "status", "--admin", admin, "--json")
        assert code == 0 and json.loads(out)["equations_hold"] is True, err
        assert {q["name"] for q in json.loads(out)["equations"]} >= {"events", "hits", "notices", "legs"}
        code, out, err = run("moment", "status", "--admin", admin)
        assert code == 0 and "unknown_type" in out
        metrics = e.ask("/metrics")[1]
        assert "# TYPE" in metrics and 'outcome="unknown_type"' in metrics.lower() or "unknown_type" in metrics
        assert e.ask("/health")[0] == 200
    assert run("moment", "status", "--admin", "127.0.0.1:1")[0] == 3


@case
def get_prints_the_golden_record():
    e = Engine()
    with Source(e.port) as s:
        s.customers(7)
        s.feed([event(3)])
    e.stop()
    code, out, err = run("moment", "get", "--data", e.data, 7)
    assert code == 0 and "language" in out and "spent" in out, (code, out, err)
    assert run("moment", "get", "--data", e.data, 8)[0] == 1


@case
def replay_prints_messages_and_outcomes():
    e = Engine()
    with Source(e.port) as s, Gateway(e.port) as g:
        s.customers(7)
        s.feed([event(3), event(4, type=999), event(5, b"\x81")])
        g.take_messages(1)
    e.stop()
    path = dirs.new() + "/outcomes"
    code, out, err = run("moment", "replay", "--data", e.data, "--verify", "--json", "--outcomes", path)
    assert code == 0 and "verified" in err, err
    assert len(out.splitlines()) == 1 and json.loads(out)["leg_number"] == 1
    outcomes = [json.loads(line)["outcome"] for line in open(path)]
    assert outcomes == ["DECIDED", "UNKNOWN_TYPE", "BAD_BODY"]
    assert run("moment", "replay", "--data", dirs.new())[0] == 1
    assert run("moment", "replay", "--data", e.data, "--chunk", "257")[0] == 2


@case
def replay_runs_beside_a_live_engine():
    with Engine() as e, Source(e.port) as s:
        s.customers(7)
        at = 3
        for _ in range(5):
            s.feed([event(i) for i in range(at, at + 200)])
            at += 200
            replay(e.data, "--verify")


def client(port, name, text):
    return subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "schemas", "client.py"), "127.0.0.1", str(port), name], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * PATIENCE)


@case
def the_python_client_of_the_schema_works():
    with Engine(admin="127.0.0.1:0") as e, Source(e.port) as s, Gateway(e.port) as g:
        s.customers(7)
        text = "".join(json.dumps({"type": 1, "customer": 7, "time": EPOCH + i, "amount": 1250, "currency": 978, "body": {"merchant": "Sol"}}) +
                       "\n" for i in range(500))
        done = client(e.port, "python", text)
        assert done.returncode == 0, done.stderr
        assert e.status()["events"]["decided"] == 500
        assert len(g.take_messages(500)) == 500
        done = client(e.port, "python", json.dumps({"type": 1, "customer": 7, "time": -1 % 2**64, "amount": 1}) + "\n")
        assert done.returncode == 1 and "MALFORMED" in done.stderr, done.stderr


if __name__ == "__main__":
    main()
