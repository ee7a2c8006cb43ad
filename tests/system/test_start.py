#!/usr/bin/python3
"""Starting and stopping: what momentd refuses and how it says so, and what it finds again."""
import os
import re
import subprocess

from harness import (BIN, CATALOGUE, EPOCH, PATIENCE, Engine, Gateway, Skip, Source, case, catalogue_dir, dirs, event, main, replay, run,
                     table_case)

import journal  # of tests/model

SEGMENT = re.compile(r"^[0-9a-f]{16}\.seg$")


def refused(*args, code=1):
    """Starts momentd with these options; it must end with `code`. What it said."""
    got, out, err = run("momentd", *args)
    assert got == code, "exit %d: %s%s" % (got, out, err)
    return err


def used(events=10):
    """A data directory with some past, its engine stopped."""
    e = Engine(None, None, "--segment", "1")
    with e, Source(e.port) as s:
        s.customers(7)
        for i in range(events):
            s.feed([event(3 + i)])
    return e


USAGE = [
    ("without_options", []), ("without_data", ["--catalogue", "x"]), ("an_unknown_option", ["--data", "x", "--colour", "red"]),
    ("a_word_too_many", ["--data", "x", "more"]), ("an_option_without_value", ["--data"]), ("a_clock_of_its_own", ["--data", "x", "--clock=moon"]),
    ("a_batch_of_0", ["--data", "x", "--batch", "0"]), ("a_batch_of_2049", ["--data", "x", "--batch", "2049"]),
    ("a_batch_in_words", ["--data", "x", "--batch", "many"]), ("a_checkpoint_of_0", ["--data", "x", "--checkpoint", "0"]),
    ("a_segment_of_0", ["--data", "x", "--segment", "0"]), ("zero_copy_maybe", ["--data", "x", "--zero-copy=maybe"]),
    ("a_filter_elsewhere", ["--data", "x", "--prefilter=moon"]), ("a_durable_verdict", ["--data", "x", "--verdict=durable"]),
    ("a_negative_cpu", ["--data", "x", "--cpu", "-1"]),
]


def usage_case(args):
    def check():
        where = dirs.new()
        code, out, err = run("momentd", *[os.path.join(where, a) if a == "x" else a for a in args])
        assert code == 2 and err and not out, (code, out, err)
        assert os.listdir(where) == [], "nothing is made"
    return check


for name, args in USAGE:
    table_case("usage_%s_is_refused_with_2" % name, usage_case(args))


@case
def help_says_every_option():
    code, out, err = run("momentd", "--help")
    assert code == 0 and not err
    for option in ("catalogue data listen insecure-listen admin prefilter durability zero-copy clock accept-clock verdict spin cpu "
                   "batch checkpoint segment").split():
        assert "--" + option in out, option


LISTEN = [("0.0.0.0:0", 1), ("10.1.2.3:0", 1), ("localhost:0", 1), ("127.0.0.1", 1), ("127.0.0.1:70000", 1), ("127.0.0.1:", 1),
          ("127.0.0.1:7x", 1), (":0", 1), ("[::1]:0", 1), ("126.255.255.255:0", 1), ("128.0.0.1:0", 1)]


@case
def other_addresses_than_loopback_are_refused():
    catalogue = catalogue_dir()
    for address, code in LISTEN:
        data = dirs.new()
        err = refused("--catalogue", catalogue, "--data", data, "--admin", "off", "--listen", address, code=code)
        assert address in err, err
        assert os.listdir(data) == [], "an address is looked at before anything is made"
        if address == "0.0.0.0:0":
            assert "loopback" in err and "--insecure-listen" in err, err


@case
def another_admin_address_is_refused_too():
    err = refused("--catalogue", catalogue_dir(), "--data", dirs.new() + "/d", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0")
    assert "0.0.0.0" in err or "loopback" in err, err


@case
def insecure_listen_allows_it_in_a_network_of_its_own():
    data = dirs.new() + "/d"
    args = ["unshare", "-n", os.path.join(BIN, "momentd"), "--catalogue", catalogue_dir(), "--data", data, "--admin", "off", "--listen",
            "0.0.0.0:0", "--insecure-listen"]
    if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no right to make a network namespace")
    p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    p.terminate()
    p.communicate(timeout=PATIENCE)
    assert line.startswith("momentd listens on port"), line


@case
def a_taken_port_is_refused():
    with Engine() as e:
        err = refused("--catalogue", e.catalogue, "--data", dirs.new() + "/d", "--listen", "127.0.0.1:%d" % e.port, "--admin", "off")
        assert str(e.port) in err, err


@case
def a_second_momentd_on_the_same_data_is_refused_with_the_pid():
    with Engine() as e:
        err = refused("--catalogue", e.catalogue, "--data", e.data, "--listen", "127.0.0.1:0", "--admin", "off")
        assert str(e.pid) in err, err
        with Source(e.port) as s:
            s.feed([event(1)])
    e.again().stop()


@case
def a_wrong_catalogue_is_refused_with_all_its_problems():
    wrong = catalogue_dir(CATALOGUE.replace("agg.n_1h > 3", "agg.n_1 > 3").replace("currency: EUR", "currency: EUX"))
    err = refused("--catalogue", wrong, "--data", dirs.new() + "/d", "--listen", "127.0.0.1:0", "--admin", "off")
    assert "n_1h" in err and "EUX" in err and "all.yaml:" in err, err


@case
def a_first_start_needs_a_catalogue_and_a_later_one_does_not():
    data = dirs.new() + "/d"
    assert "--catalogue" in refused("--data", data, "--listen", "127.0.0.1:0", "--admin", "off")
    e = used()
    p = subprocess.Popen([os.path.join(BIN, "momentd"), "--data", e.data, "--listen", "127.0.0.1:0", "--admin", "off", "--clock=event"],
                         stdout=subprocess.PIPE, text=True)
    port = int(re.search(r"port (\d+)", p.stdout.readline())[1])
    with Source(port, acknowledged=12) as s, Gateway(port) as g:
        assert s.expected == 13
        s.feed([event(13)])
        g.take_messages(11)
    p.terminate()
    assert p.wait(PATIENCE) == 0


@case
def sigterm_and_sigint_end_with_0_and_leave_nothing_to_recover():
    import signal
    for number in (signal.SIGTERM, signal.SIGINT):
        e = Engine()
        with Source(e.port) as s:
            s.feed([event(i) for i in range(1, 101)])
            s.send(*[event(i) for i in range(101, 300)])  # not waited for
            e.process.send_signal(number)
            assert e.wait() == 0, e.log()
        again = e.again()
        assert "recovered" not in again.log(), again.log()
        with Source(again.port, acknowledged=100) as s:
            assert 101 <= s.expected <= 300
        again.stop()
        replay(e.data, "--verify")


@case
def a_kill_is_recovered_from_the_journal_and_said():
    e = Engine()
    with Source(e.port) as s:
        s.feed([event(i) for i in range(1, 51)])
    e.kill()
    again = e.again()
    assert "recovered" in again.log(), again.log()
    again.stop()


def newest_segment(data):
    folder = os.path.join(data, "journal")
    return os.path.join(folder, max(n for n in os.listdir(folder) if SEGMENT.match(n)))


@case
def a_torn_tail_is_cut_and_said():
    e = used()
    e = e.again()
    with Source(e.port, acknowledged=12) as s:
        s.feed([event(i) for i in range(13, 20)])
        e.kill()
    batches = list(journal.read(e.data + "/journal"))
    last = batches[-1]
    with open(last.segment, "r+b") as f:
        f.seek(last.offset + 100)
        f.write(b"torn")
    again = e.again()
    assert "torn tail" in again.log(), again.log()
    with Source(again.port, acknowledged=12) as s:
        assert s.expected <= 20
    again.stop()
    replay(e.data, "--verify")


@case
def damage_in_a_durable_batch_is_corruption_with_its_place():
    e = used()
    batches = [b for b in journal.read(e.data + "/journal") if b.entries]
    victim = batches[-3]
    with open(victim.segment, "r+b") as f:
        f.seek(victim.offset + 192 + 30)
        byte = f.read(1)
        f.seek(victim.offset + 192 + 30)
        f.write(bytes([byte[0] ^ 1]))
    # the checkpoint is behind it, replay from the base is not
    code, out, err = run("moment", "replay", "--data", e.data, "--verify")
    assert code == 1 and str(victim.offset) in err and os.path.basename(victim.segment) in err, err
    os.unlink(os.path.join(e.data, "store", "data.mdb"))
    base = sorted(n for n in os.listdir(e.data) if n.startswith("base-"))[-1]
    os.link(os.path.join(e.data, base, "data.mdb"), os.path.join(e.data, "store", "data.mdb"))
    err = refused("--catalogue", e.catalogue, "--data", e.data, "--listen", "127.0.0.1:0", "--admin", "off", "--clock=event")
    assert os.path.basename(victim.segment) in err and "unreadable" in err, err


@case
def a_journal_that_lost_its_end_is_refused():
    e = used()
    segment = newest_segment(e.data)
    with open(segment, "r+b") as f:
        size = os.path.getsize(segment)
        batches = [b for b in journal.read(e.data + "/journal")]
        f.seek(batches[len(batches) // 2].offset)
        f.write(bytes(size - batches[len(batches) // 2].offset))
    err = refused("--catalogue", e.catalogue, "--data", e.data, "--listen", "127.0.0.1:0", "--admin", "off", "--clock=event")
    assert "journal" in err and ("lost its end" in err or "end" in err), err


@case
def a_store_that_is_gone_is_not_made_up():
    """The journal starts at 1, so everything is there: the store is made anew from it, or it is refused; never half of it."""
    e = used()
    os.unlink(os.path.join(e.data, "store", "data.mdb"))
    code = Engine(e.data, e.catalogue, *e.options, listening=False)
    line = code.process.stdout.readline().decode()
    if not line:
        assert code.wait() == 1 and code.log()
        return
    code.port = int(re.search(r"port (\d+)", line)[1])
    with Source(code.port, acknowledged=12) as s, Gateway(code.port) as g:
        assert s.expected == 13
        g.take_messages(10)
    code.stop()


@case
def a_wall_clock_behind_the_journal_is_refused_until_accepted():
    e = Engine()
    with Source(e.port) as s:
        s.feed([event(1, time=EPOCH + 100 * 365 * 86400 * 10**9)])
    e.stop()
    args = ["--catalogue", e.catalogue, "--data", e.data, "--listen", "127.0.0.1:0", "--admin", "off"]
    err = refused(*args)
    assert "--accept-clock" in err, err
    Engine(e.data, e.catalogue, "--accept-clock", clock="wall").stop()


@case
def data_that_cannot_be_made_is_refused():
    err = refused("--catalogue", catalogue_dir(), "--data", "/proc/no/such", "--listen", "127.0.0.1:0", "--admin", "off")
    assert "/proc/no/such" in err, err


if __name__ == "__main__":
    main()
