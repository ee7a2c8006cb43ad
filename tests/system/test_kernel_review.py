#!/usr/bin/env python3
"""What an independent review of the kernel's way in found, so that it stays found: enrolment that a reload begins to ask for, many
sources that come back at once, a source that comes back while sources are held. Ends with `N passed, N failed`."""
import sys

import harness
from harness import (CATALOGUE, WELCOME, Connection, Engine, Source, account_record, catalogue_dir, event, hello_source, main, profile,
                     stream_of, subscribe)
from kernel import in_modes, started
from test_kernel_reload import ENROLS, fee, reload_by

harness.cases.clear()  # those of test_kernel_reload run there
FULL = ENROLS.replace("fee: { code: 42, history: rules }", "fee: { code: 42, history: full }")
SMALL = CATALOGUE.replace("starts: empty }", "starts: empty, memory: { windows: 4MB } }")


@in_modes("kernel", "user", "off")
def a_catalogue_that_begins_to_ask_for_enrolment_finds_everybody_enrolled(mode):
    """Also the only holder of an account that an earlier life brought, when the actor is not known."""
    assert FULL != ENROLS
    with started(mode, catalogue=catalogue_dir(FULL)) as e, Source(e.port, "a") as a:
        a.feed([profile(1, 42), subscribe(2, 42, "fees"), account_record(3, 777, (42, "owner"))])
        e.stop()
    with e.again() as e, Source(e.port, "a", acknowledged=3) as a:
        reload_by(e, "http", ENROLS, 1)
        a.feed([fee(4, 0, account=777), fee(5, 42, account=777)])
        events = e.status()["events"]
        assert (events["filtered"], events["decided"]) == (0, 2), events


@in_modes("kernel")
def sources_that_come_back_all_at_once_are_fed_by_the_kernel_again(mode):
    """Their last slots wait for a grace period; WELCOME waits with them, and nobody is left to the filter in user space."""
    names = ["core%d" % i for i in range(60)]
    with started(mode) as e:
        first = [Source(e.port, name) for name in names]
        for source in first:
            source.close()
        for how in ("again", "taken over"):
            now = [Source(e.port, name) for name in names]
            filters = [source.welcome.body["filter"] for source in now]
            assert filters == ["kernel"] * len(names), (how, filters)
        status = e.status()
        assert [s["filter"] for s in status["sources"]] == ["kernel"] * len(names), status["sources"]
        assert status["prefilter"]["slots"] == len(names) and status["prefilter"]["refused"] == 0, status["prefilter"]


@in_modes("kernel", "user")
def a_source_that_ended_comes_back_at_once_although_sources_are_held(mode):
    """What it had sent and was not taken comes again; its HELLO does not wait for the room that a reload would bring."""
    assert SMALL != CATALOGUE
    with Engine(None, catalogue_dir(SMALL), "--segment", "16", "--prefilter=" + mode, admin="127.0.0.1:0") as e:
        source, at, held = Source(e.port, "core"), 1, False
        while not held:
            source.send(*[event(at + i, customer=at + i, account=0) for i in range(2000)])
            at += 2000
            try:
                source.wait_ack(at - 1, timeout=2)
            except AssertionError:
                held = True
        taken = source.acknowledged
        source.close()
        with Connection(e.port) as again:
            again.send(hello_source("core", stream_of("core"), acknowledged=taken))
            assert again.expect(WELCOME, timeout=5).sequence == taken + 1
        e.kill()


if __name__ == "__main__":
    sys.exit(main())
