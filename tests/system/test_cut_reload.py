#!/usr/bin/python3
"""What meets in one moment: a reload while a checkpoint is being filled, verdicts of a whole journal batch."""
import signal
import time

from harness import CATALOGUE, VERDICT, Engine, Source, case, catalogue_dir, event, main, replay

CELLS = 60000
MORE = CATALOGUE.replace("  n_1h: {", "  last_shop: { over: [purchase], last: body.merchant, before: true }\n  n_1h: {")
NAMES = ["rule_%d_" % i + "x" * 50 for i in range(8)]
WORDY = CATALOGUE.replace("  rules:\n", "  rules:\n" + "".join(
    "    %s: { events: [purchase], when: 'event.amount > 1', score: 1 }\n" % name for name in NAMES))


def feed_many(source, count):
    for first in range(0, count, 2000):
        source.feed([event(source.expected + i, customer=1 + first + i, account=1 + first + i) for i in range(2000)])
        source.expected += 2000


@case
def a_reload_while_a_checkpoint_is_filled_kills_nobody():
    """The checkpoint begins some milliseconds after the reload was asked for, so that one try or other falls into it."""
    e = Engine(None, None, "--checkpoint", "3600", "--segment", "8", "--prefilter=user", admin="127.0.0.1:0")
    with e, Source(e.port) as s:
        for attempt in range(24):
            feed_many(s, CELLS // 2)
            catalogue_dir(CATALOGUE if attempt % 2 else MORE, e.catalogue)
            e.process.send_signal(signal.SIGHUP)
            time.sleep(attempt % 12 * 0.001)
            try:
                e.ask("/checkpoint", "POST")
                time.sleep(0.1)
            except OSError:
                pass
            assert e.process.poll() is None, "attempt %d: %s" % (attempt, e.log()[-200:])
    replay(e.data, "--verify")


@case
def every_verdict_that_is_wanted_comes():
    e = Engine(None, catalogue_dir(WORDY), "--segment", "8")
    with e, Source(e.port) as s:
        last = s.expected + 5999
        s.send(*[event(s.expected + i, flags=1, customer=1 + i % 50) for i in range(6000)])
        s.wait_ack(last)
        while len(s.verdicts) < 6000:
            f = s.receive(2.0)
            if f is None:
                break
            if f.kind == VERDICT:
                s.verdicts[f.sequence] = f
        assert len(s.verdicts) == 6000, "%d verdicts of 6000 came" % len(s.verdicts)


if __name__ == "__main__":
    main()
