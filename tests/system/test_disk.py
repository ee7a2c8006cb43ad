#!/usr/bin/python3
"""A full disk: acknowledgements stop, momentd says so and ends with 1, and nothing acknowledged is missing when there is
room again. A disk that hangs: nothing leaves before it is durable. Small file systems of their own, which needs root."""
import os
import subprocess
import time

from harness import (MAYBE_REPEAT, PATIENCE, VERDICT, VERDICT_WANTED, Closed, Engine, Gateway, Skip, Source, case,
                     catalogue_dir, dirs, event, key_of, kill_all, main, replay)

mounts = []


def small_disk(megabytes):
    path = dirs.new("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % megabytes, "moment-test", path], stderr=subprocess.PIPE, text=True)
    if made.returncode:
        raise Skip("no right to mount: " + made.stderr.strip())
    mounts.append(path)
    return path


def grow(path, megabytes):
    subprocess.run(["mount", "-o", "remount,size=%dm" % megabytes, path], check=True)


def loop_disk(megabytes):
    """An ext4 of its own, which can be frozen: writes then wait as on a disk that hangs."""
    image, path = dirs.new("image") + "/image", dirs.new("disk")
    with open(image, "wb") as f:
        f.truncate(megabytes << 20)
    try:
        for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, path], ["fsfreeze", "-f", path]):
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise Skip("%s: %s" % (command[0], done.stderr.strip()))
            if command[0] == "mount":
                mounts.append(path)
    except FileNotFoundError as missing:
        raise Skip(str(missing)) from None
    thaw(path)
    return path


def thaw(path):
    subprocess.run(["fsfreeze", "-u", path], check=True)


def unmounted(function):
    def check():
        try:
            function()
        finally:
            for path in mounts:
                subprocess.run(["fsfreeze", "-u", path], stderr=subprocess.DEVNULL)
            kill_all()
            for path in mounts:
                subprocess.run(["umount", "-l", path])
            mounts.clear()
    check.__name__ = function.__name__
    return check


def fill(s, size, at=1):
    """Sends events of `size` bytes until the engine is gone; the sequence after the last one sent."""
    try:
        while at < 100000:
            s.send(*[event(i, {"merchant": "m", "fill": ["x" * 1000] * (size // 1000)}) for i in range(at, at + 20)])
            at += 20
            got = s.receive(0.002)
            while got:
                s.acknowledged = max(s.acknowledged, got.sequence)
                got = s.take()
    except Closed:
        pass
    while True:  # what stands in the buffer still
        got = s.take()
        if not got:
            return at
        s.acknowledged = max(s.acknowledged, got.sequence)


def full_disk(disk_mb, size, options, said):
    disk = small_disk(disk_mb)
    e = Engine(disk + "/data", catalogue_dir(), *options)
    s = Source(e.port).customers(7)
    at = fill(s, size, 3)
    assert e.wait() == 1, "exit code, " + e.log()
    assert any(word in e.log() for word in said), e.log()
    assert 0 < s.acknowledged < at
    grow(disk, 4 * disk_mb)
    again = e.again()
    with Source(again.port, acknowledged=s.acknowledged) as r, Gateway(again.port) as g:
        assert s.acknowledged < r.expected <= at, "%d acknowledged, %d expected" % (s.acknowledged, r.expected)
        r.feed([event(i) for i in range(r.expected, r.expected + 10)])
        last = r.acknowledged
        # every purchase that was acknowledged has its message, each once, with its ordinal in the text
        got = g.take_messages(last - 2)
        numbers = [int(m.body["text"].split("number ")[1].split(",")[0]) for m in got]
        assert numbers == list(range(1, last - 1))
    again.stop()
    replay(e.data, "--verify")


@case
@unmounted
def a_full_disk_under_the_journal_stops_the_acknowledgements():
    full_disk(24, 8000, ["--segment", "1", "--checkpoint", "600"], ["disk is full", "No space"])


@case
@unmounted
def a_full_disk_under_the_store_stops_them_too():
    """Checkpoints every second, segments of 2 MiB: either of them finds no room."""
    full_disk(16, 2000, ["--segment", "2", "--checkpoint", "1"], ["disk is full", "No space", "checkpoint"])


@case
@unmounted
def a_disk_that_is_full_at_the_start_is_said():
    disk = small_disk(1)
    with open(disk + "/ballast", "wb") as f:
        try:
            f.write(bytes(2 << 20))
        except OSError:
            pass
    e = Engine(disk + "/data", catalogue_dir(), "--segment", "1", listening=False)
    assert e.wait() == 1
    assert "No space" in e.log() or "full" in e.log(), e.log()
    os.unlink(disk + "/ballast")
    grow(disk, 16)
    e.again().stop()


def nothing_for(seconds, *connections):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for c in connections:
            f = c.receive(0.05)
            assert f is None or f.kind == VERDICT, "before it is durable: %r" % f


@case
@unmounted
def while_the_disk_hangs_nothing_is_acknowledged_or_sent():
    disk = loop_disk(96)
    e = Engine(disk + "/data", catalogue_dir(), "--segment", "2", "--checkpoint", "600")
    with e, Source(e.port).customers(7) as s, Gateway(e.port) as g:
        s.feed([event(3)])
        g.take_messages(1)
        time.sleep(0.05)  # the empty batch behind it
        subprocess.run(["fsfreeze", "-f", disk], check=True)
        s.send(*[event(i, flags=VERDICT_WANTED if i % 2 else 0) for i in range(4, 40)])
        nothing_for(0.5, s, g)
        s.send(*[event(i) for i in range(40, 400)])
        nothing_for(0.5, s, g)
        thaw(disk)
        s.wait_ack(399)
        assert len(g.take_messages(378)) == 378  # not the 18 requests
    replay(e.data, "--verify")


@case
@unmounted
def a_kill_while_the_disk_hangs_loses_nothing():
    disk = loop_disk(96)
    e = Engine(disk + "/data", catalogue_dir(), "--segment", "2", "--checkpoint", "600")
    s, g = Source(e.port).customers(7), Gateway(e.port)
    s.feed([event(i) for i in range(3, 23)])
    got = g.take_messages(20)
    time.sleep(0.05)
    subprocess.run(["fsfreeze", "-f", disk], check=True)
    s.send(*[event(i) for i in range(23, 400)])
    nothing_for(0.3, s, g)
    e.process.kill()
    thaw(disk)
    e.wait()
    e = e.again()
    with Source(e.port, acknowledged=22) as s, Gateway(e.port) as g:
        assert 23 <= s.expected <= 400
        s.feed([event(i) for i in range(s.expected, 401)])
        messages = {key_of(m): m for m in got}
        until = time.monotonic() + PATIENCE
        while len(messages) < 398 and time.monotonic() < until:
            m = g.take_messages(1)[0]
            assert key_of(m) not in messages or m.flags == MAYBE_REPEAT
            messages[key_of(m)] = m
        assert len(messages) == 398
    e.stop()
    replay(e.data, "--verify")


if __name__ == "__main__":
    main()
