#!/usr/bin/python3
"""A batch is only a speed-up: batches of 1, 7 and 256, live and in replay, give the same messages, outputs and state."""
from harness import SEED, Engine, Gateway, Source, Worker, canonical, case, catalogue_dir, eventually, main, replay
from load import frames_of

FRAMES = 3000


def run_with(batch, catalogue):
    """One source and one gateway: (messages, verdicts, replays whole and in chunks, the ledger)."""
    e = Engine(None, catalogue, "--batch", str(batch), "--segment", "2", admin="127.0.0.1:0")
    with e, Gateway(e.port) as g, Source(e.port, "bank-1") as s:
        feed = Worker(s.feed, frames_of(1, FRAMES, SEED))
        messages = []
        while feed.is_alive() or len(messages) < e.status()["legs"]["made"]:
            f = g.receive(0.05)
            while f:
                messages.append(f)
                f = g.take()
            if messages:
                g.accept(messages[-1].sequence)
        feed.finish()
        eventually("all accepted", lambda: e.status()["legs"]["queued"] == 0)
        status = e.status()
        ledger = {k: status[k] for k in ("events", "changes", "hits", "suppressed", "notices", "legs", "verdicts", "rules", "texts")}
        verdicts = {n: (v.type, v.amount, v.body) for n, v in s.verdicts.items()}
    replays = [replay(e.data, "--verify", *chunk) for chunk in ([], ["--chunk", "1"], ["--chunk", "7"], ["--chunk", "256"])]
    return messages, verdicts, replays, ledger


runs = {}


def runs_made():
    if not runs:
        catalogue = catalogue_dir()
        for batch in (1, 7, 256):
            runs[batch] = run_with(batch, catalogue)
    return runs


@case
def batches_of_1_7_and_256_give_the_same_messages():
    bytes_of = {b: sorted(canonical(m) for m in r[0]) for b, r in runs_made().items()}
    assert len(bytes_of[256]) > 1000
    assert bytes_of[1] == bytes_of[7] == bytes_of[256]


@case
def each_lane_is_in_the_same_order():
    def lanes(messages):
        out = {}
        for m in messages:
            out.setdefault((m.body["channel"], m.type == 1), []).append(canonical(m))
        return out
    made = {b: lanes(r[0]) for b, r in runs_made().items()}
    assert made[1] == made[7] == made[256]


@case
def verdicts_are_the_same():
    made = {b: r[1] for b, r in runs_made().items()}
    assert len(made[256]) > 50
    assert made[1] == made[7] == made[256]


@case
def the_ledger_is_the_same():
    made = {b: r[3] for b, r in runs_made().items()}
    assert made[1] == made[7] == made[256]


@case
def outputs_digest_is_the_same():
    made = {b: r[2][0]["outputs"] for b, r in runs_made().items()}
    assert made[1] == made[7] == made[256], made


@case
def replay_in_chunks_of_1_7_and_256_gives_one_state():
    for batch, (_, _, replays, _) in runs_made().items():
        made = {(r["position"], r["outputs"], r["state"]) for r in replays}
        assert len(made) == 1, "batches of %d: %r" % (batch, made)


@case
def the_state_is_the_same():
    """Windows, references, rows, outputs and ledger, by their digest."""
    made = {b: r[2][0]["state"] for b, r in runs_made().items()}
    assert made[1] == made[7] == made[256], made


if __name__ == "__main__":
    main()
