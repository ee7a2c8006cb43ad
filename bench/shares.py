"""prefilter.share.*: what share of a bank's events its own catalogue lets the filter drop, as it stands (history: full is
the default: everything is kept for the journal) and with `history: rules` for every type. Counted by momentd itself,
with the bank's customers and subscriptions imported, since enrolment decides too."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request

from measure import TOP, Failed, Skipped

DEMO = os.path.join(TOP, "schemas", "demo-bank")
SHARED = os.path.join(os.path.dirname(TOP), "shared")
TYPES_20 = ("card.purchase card.declined card.refund card.blocked atm.withdrawal atm.deposit transfer.in transfer.out transfer.failed "
            "salary loan.instalment loan.missed standing.order direct.debit fee interest login login.failed password.changed "
            "device.added").split()
COUNTRIES = {"DE": 276, "AT": 40, "CH": 756, "FR": 250, "IT": 380, "ES": 724, "NL": 528, "PL": 616, "SE": 752, "GB": 826, "US": 840,
             "TR": 792}
CURRENCIES = {"EUR": 978, "USD": 840, "GBP": 826, "CHF": 756, "SEK": 752}
TOUCHPOINTS = {"pos": 1, "web": 6, "atm": 3, "app": 5, "branch": 4, "phone": 7}
TYPE_LINE = re.compile(r"^(\s+[\w.]+:\s+\{ code: \d+)(?:, *history: \w+)?", re.M)


class Bank:
    """Catalogues by history, the customers, and the events as arguments of `moment feed`."""

    def __init__(self, work):
        self.work = work
        self.catalogue = {how: os.path.join(work, how) for how in ("full", "rules")}
        self.customers = os.path.join(work, "bank.ndjson")


def tool(bench, *words):
    done = subprocess.run([os.path.join(bench.bin, "moment"), *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"moment {words[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def demo_bank(bench, work):
    bank = Bank(work)
    events = 100000 if bench.quick else 1000000
    spec = f"demo:customers={events // 10},events={events}"
    for how, path in bank.catalogue.items():
        shutil.copytree(DEMO, path, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        if how == "rules":
            all_rules(os.path.join(path, "events.yaml"))
    tool(bench, "generate", "--synthetic", spec, "--bank-out", bank.customers)
    bank.feed = ["--synthetic", spec]
    return bank


def all_rules(path):
    with open(path) as text:
        lines, count = TYPE_LINE.subn(r"\1, history: rules", text.read())
    if count < 10:
        raise Failed(f"{path}: {count} lines of event types are known")
    with open(path, "w") as out:
        out.write(lines)


# ---- bank-20: its generator and catalogue are not of this project and may not be there ----

def bank_20(bench, work):
    generator, rules = (os.path.join(SHARED, *path) for path in (("workload", "bank-20-gen.js"), ("catalogue", "bank-20.yaml")))
    if not (os.path.exists(generator) and os.path.exists(rules) and shutil.which("node")):
        raise Skipped("bank-20's generator, its catalogue or node is not here")
    bank = Bank(work)
    subprocess.run(["node", generator, "100000" if bench.quick else "1000000"], cwd=work, check=True)
    for how, path in bank.catalogue.items():
        os.mkdir(path)
        shutil.copy(rules, path)
        with open(os.path.join(path, "rest.yaml"), "w") as out:
            out.write(rest_20(how))
        checked = subprocess.run([os.path.join(bench.bin, "moment"), "check", path], check=False, capture_output=True, text=True)
        if checked.returncode:
            raise Skipped(f"bank-20.yaml does not compile yet: {checked.stdout.splitlines()[0]}")
    customers_20(os.path.join(work, "profiles.json"), bank.customers)
    events = os.path.join(work, "feed.ndjson")
    events_20(os.path.join(work, "events.ndjson"), events)
    bank.feed = [events]
    return bank


def rest_20(how):
    lines = ["events:"] + [f"  {name}: {{ code: {i + 1}, history: {how} }}" for i, name in enumerate(TYPES_20)]
    lines += ["channels:", "  push: { max: 240 }", "rates:"]
    lines += [f"  {name}: 1.0" for name in CURRENCIES if name != "EUR"]
    lines += ["messages:"] + [f'  r{i:02}: {{ en: "{i}" }}' for i in range(1, 21)]
    return "\n".join(lines) + "\n"


def customers_20(profiles, path):
    critical = {4, 5, 9, 10, 11, 12, 14}
    with open(profiles) as lines, open(path, "w") as out:
        for line in lines:
            if len(line) < 4:
                continue
            p = json.loads(line.rstrip().rstrip(","))
            number = p["customer"] + 1
            chosen = [{"kind": f"r{r:02}"} for r in range(1, 21) if p["optin"] >> (r - 1) & 1 and r not in critical]
            attributes = {"threshold": p["threshold"], "low": p["low"], "home": COUNTRIES[p["home"]], "channel": p["channel"],
                          "salary": p["salary"], "optin": p["optin"]}
            out.write(json.dumps({"customer": number, "set": attributes, "subscriptions": chosen}) + "\n")


def events_20(events, path):
    code = {name: i + 1 for i, name in enumerate(TYPES_20)}
    with open(events) as lines, open(path, "w") as out:
        for line in lines:
            e = json.loads(line)
            out.write(json.dumps({"type": code[e["type"]], "customer": e["customer"] + 1, "time": e["time"] * 1000000,
                                  "amount": e["amount"], "balance": e["balance"], "currency": CURRENCIES[e["currency"]],
                                  "country": COUNTRIES[e["country"]], "mcc": e["mcc"],
                                  "touchpoint": TOUCHPOINTS[e["touchpoint"]]}) + "\n")


# ---- counting ----

def share(bench, bank, how):
    """(share dropped, events, shares by type that are dropped at all) of one bank under one catalogue."""
    data = os.path.join(bank.work, "data-" + how)
    tool(bench, "import", "--data", data, "--catalogue", bank.catalogue[how], bank.customers)
    engine = subprocess.Popen([os.path.join(bench.bin, "momentd"), "--catalogue", bank.catalogue[how], "--data", data, "--listen",
                               "127.0.0.1:0", "--admin", "127.0.0.1:0", "--clock=event", "--prefilter=user", "--durability=none"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        words = engine.stdout.readline().replace(",", "").split()
        if "port" not in words:
            raise Failed(f"momentd did not start: {engine.stderr.read()}")
        to, admin = (f"127.0.0.1:{words[i + 1]}" for i, word in enumerate(words) if word == "port")
        tool(bench, "feed", "--to", to, *bank.feed)
        with urllib.request.urlopen(f"http://{admin}/status", timeout=10) as answer:
            status = json.load(answer)
    finally:
        engine.terminate()
        engine.communicate()
    if not status["equations_hold"]:
        raise Failed("an equation does not hold")
    events = status["events"]
    return events["filtered"] / events["in"], events["in"]


def shares(bench, name, make):
    work = tempfile.mkdtemp(prefix="moment-bench-", dir=os.environ.get("MOMENT_BENCH_DIR"))
    try:
        bank = make(bench, work)
        for how in ("full", "rules"):
            dropped, events = share(bench, bank, how)
            bench.result(f"prefilter.share.{name}.{how}", [dropped], "ratio", 1, events=events,
                         history="as it stands" if (name, how) == ("demo", "full") else how)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def questions(bench):
    bench.ask("prefilter.share.demo", lambda b: shares(b, "demo", demo_bank))
    if bench.quick:
        bench.no_result("prefilter.share.bank20", "skipped", "only in `make bench`")
    else:
        bench.ask("prefilter.share.bank20", lambda b: shares(b, "bank20", bank_20))
