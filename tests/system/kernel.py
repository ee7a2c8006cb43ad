"""What the tests of the kernel's way in share, beside harness.py: the modes of the pre-filter, network namespaces that
vanish with the process, frames of a wanted length, and a reader of the journal that accounts for every sequence.

    @in_modes("kernel", "user")        # a case for each; `user` and `off` are the reference, and run everywhere
    def a_claim(mode): ...

A case of mode kernel needs root and a kernel with the features; without them it is skipped, unless MOMENT_ROOT=1, which
means that nothing may be. Environment: MOMENT_LARGE=1 makes the runs large; MOMENT_MODES=user,off runs those modes only.
"""
import bisect
import ctypes
import functools
import itertools
import os
import random
import select
import socket
import subprocess
import time

from harness import (ACK, ERROR, EVENT, HEADER, PATIENCE, PONG, Closed, Engine, Skip, Source, event, stream_of, table_case)

import journal  # of tests/model

LARGE = os.environ.get("MOMENT_LARGE", "") not in ("", "0")
ROOT_RUN = os.environ.get("MOMENT_ROOT", "") not in ("", "0")
MODES = os.environ.get("MOMENT_MODES", "")
DROPPED = 40  # the type that CATALOGUE does not use
FILTERED, DUPLICATE = 1, 2
# Where a reference costs much, it runs in the large run, and where the kernel's way does not.
REFERENCE = ("user",) if LARGE or MODES or os.geteuid() != 0 else ()
WINDOW_EVENTS, WINDOW_BYTES = 65536, 4 << 20


def amount(small, large):
    return large if LARGE else small


# ---- modes ----

def cannot(why):
    """Skips the case, or fails it when nothing may be skipped."""
    assert not ROOT_RUN, "MOMENT_ROOT=1 and " + why
    raise Skip(why)


def need_root():
    if os.geteuid() != 0:
        cannot("not root")


@functools.lru_cache(None)
def kernel_missing():
    """What --prefilter=kernel lacks here, None when it runs."""
    e = Engine(None, None, "--prefilter=kernel", "--segment", "2", listening=False)
    line = e.process.stdout.readline()
    if line:
        e.stop()
        return None
    e.wait()
    return "momentd --prefilter=kernel: " + (e.log().strip().splitlines() or ["no word"])[-1]


def need(mode):
    if mode == "kernel":
        need_root()
        missing = kernel_missing()
        assert not missing or "refuses the program" not in missing, missing  # it has all that is asked of it
        if missing:
            cannot(missing)


def in_modes(*modes):
    """A case for each mode, by the name function_mode."""
    def register(function):
        for mode in modes:
            if MODES and mode not in MODES.split(","):
                continue

            def run(mode=mode):
                need(mode)
                function(mode)
            table_case("%s_%s" % (function.__name__, mode), run)
        return function
    return register


def started(mode, *options, catalogue=None, data=None, clock="event", listening=True):
    return Engine(data, catalogue, "--prefilter=" + mode, *(options or ("--segment", "8")), admin="127.0.0.1:0", clock=clock,
                  listening=listening)


def filter_counts(status, name):
    """A counter of the pre-filter in the kernel: runs, bells, overlapped, skb_max, ..."""
    return status["prefilter"][name]


def runs_under(source, mode):
    """WELCOME says that the mode which was asked for is on."""
    assert source.welcome.body["filter"] == mode, source.welcome.body
    return source


# ---- frames ----

@functools.lru_cache(4096)
def padding(bytes_, salt=0):
    """A body of exactly that many bytes, not 2: mostly a map with noise, which read as a header would be a bad one."""
    if bytes_ < 2:
        return b"\x80"[:bytes_]
    if 3 <= bytes_ <= 8:
        return bytes([0x81, 0xA0 + bytes_ - 3]) + b"k" * (bytes_ - 3) + b"\xc0"
    for code, size in ((b"\xc4", 1), (b"\xc5", 2)):  # a bin with 8 or 16 bits of length
        rest = bytes_ - len(b"\x81\xa4fill") - 1 - size
        if 0 <= rest < 1 << 8 * size:
            return b"\x81\xa4fill" + code + rest.to_bytes(size, "big") + random.Random(salt).randbytes(rest)
    raise ValueError("no body of %d bytes" % bytes_)


def event_of(sequence, length, type=1, **fields):
    """An EVENT of exactly `length` bytes: 64, 65, or 67 and more. Its fields tell it from its neighbours."""
    values = dict(customer=1000 + sequence % 7, account=0, amount=sequence % 1000)
    values.update(fields)
    made = event(sequence, padding(length - 64, sequence), type=type, **values)
    assert len(made) == length, (len(made), length)
    return made


def triples(lengths, count, types=(1, DROPPED), first=1):
    """`count` times three frames of these lengths; kept and dropped types take turns in all ways."""
    out = []
    for i in range(count):
        for j, length in enumerate(lengths):
            out.append(event_of(first + len(out), length, types[(i + j) % len(types)]))
    return out


def uniform(count, type=DROPPED, first=1):
    """Frames of 64 bytes that differ in their sequence alone, made quickly."""
    one = event_of(1, 64, type)
    return [one[:8] + i.to_bytes(8, "little") + one[16:] for i in range(first, first + count)]


def sequence_of(data):
    return HEADER.unpack_from(data)[4]


def len_of(data):
    return HEADER.unpack_from(data)[0]


def type_of(data):
    return HEADER.unpack_from(data)[3]


# ---- what the journal says ----

class Stream:
    """One source's stream: kept = {sequence: bytes} in order, filtered = {type: count}, duplicates, seen = the last sequence."""

    def __init__(self):
        self.kept, self.filtered, self.duplicates = {}, {}, 0
        self.seen = self.last = self.records = self.starts = 0


def streams(data):
    """{name: Stream} of a data directory. Checks as it goes: SEEN records cover 1..n without a hole or an overlap, and in each
    one kept frames and filtered ones are as many as the sequences that it covers."""
    names, out = {}, {}
    for batch in journal.read(os.path.join(data, "journal")):
        kept = {}
        for entry in batch.entries:
            if entry.kind == journal.STREAM:
                said = journal.decode(entry)
                names[entry.source] = said.name
                stream = out.setdefault(said.name, Stream())
                stream.starts += 1
                assert said.expected == stream.seen + 1, "%s goes on at %d, %d was seen" % (said.name, said.expected, stream.seen)
            elif entry.kind == journal.FRAME and entry.source in names:
                kept.setdefault(entry.source, []).append(entry.bytes)
        for seen in batch.seen:
            seen_check(names[seen.source], out[names[seen.source]], seen, kept)
        assert not any(kept.values()), "batch %d: kept frames that no SEEN record covers" % batch.header.number
    return out


def seen_check(name, stream, seen, kept):
    """kept: of the batch; what the record covers is taken out of it."""
    mine = kept.get(seen.source, [])
    covered = [f for f in mine if seen.first <= sequence_of(f) <= seen.seen]
    kept[seen.source] = [f for f in mine if not seen.first <= sequence_of(f) <= seen.seen]
    filtered = sum(d.count for d in seen.dropped if d.reason == FILTERED)
    stream.duplicates += sum(d.count for d in seen.dropped if d.reason == DUPLICATE)
    if seen.seen < seen.first and not filtered and not covered:  # duplicates only
        return
    assert seen.first == stream.seen + 1, "%s: a record covers %d to %d, %d was seen before" % (
        name, seen.first, seen.seen, stream.seen)
    assert len(covered) + filtered == seen.seen - seen.first + 1, "%s: %d kept and %d filtered of %d to %d" % (
        name, len(covered), filtered, seen.first, seen.seen)
    for data in covered:
        assert sequence_of(data) > stream.last, "%s: %d is not in order" % (name, sequence_of(data))
        stream.last = sequence_of(data)
        stream.kept[stream.last] = data
    for d in seen.dropped:
        if d.reason == FILTERED:
            stream.filtered[d.type] = stream.filtered.get(d.type, 0) + d.count
    stream.seen = seen.seen
    stream.records += 1


def holds(stream, name, frames, dropped=(DROPPED,), mode="kernel", duplicates=None):
    """That Stream has exactly these frames: each kept one byte for byte and once, each dropped one counted by its type.
    `dropped`: the types that the catalogue does not use."""
    assert stream.seen == len(frames), "%s: %d seen, %d were sent" % (name, stream.seen, len(frames))
    drops = {} if mode == "off" else dict.fromkeys(dropped, 0)
    for f in frames:
        type_, sequence = type_of(f), sequence_of(f)
        if f[5] == EVENT and f[63] == 0 and type_ in drops:
            drops[type_] += 1
            assert sequence not in stream.kept, "%s: %d was kept" % (name, sequence)
        else:
            assert stream.kept.get(sequence) == f[:len_of(f)], "%s: %d is not what was sent" % (name, sequence)
    assert {t: n for t, n in drops.items() if n} == stream.filtered, (drops, stream.filtered)
    if duplicates is not None:
        assert stream.duplicates == duplicates, "%d duplicates, not %d" % (stream.duplicates, duplicates)
    return stream


def arrived(data, name, frames, **options):
    """The journal holds exactly these frames of that source."""
    return holds(streams(data)[name], name, frames, **options)


def all_arrived(data, sent, **options):
    """sent: {name: frames}"""
    got = streams(data)
    for name, frames in sent.items():
        holds(got[name], name, frames, **options)


# ---- namespaces ----

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def libc_call(function, *args):
    if function(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Net:
    """A network namespace without a name: it ends with the last process and descriptor in it. `with net:` puts this thread,
    and the processes and threads that it starts, into it."""

    def __init__(self):
        need_root()
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        libc_call(libc.unshare, CLONE_NEWNET)
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        libc_call(libc.setns, here, CLONE_NEWNET)
        os.close(here)
        self.outside = []
        self.ip("link", "set", "lo", "up")

    def __enter__(self):
        self.outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        libc_call(libc.setns, self.fd, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        libc_call(libc.setns, self.outside[-1], CLONE_NEWNET)
        os.close(self.outside.pop())

    def path(self):
        return "/proc/%d/fd/%d" % (os.getpid(), self.fd)

    def run(self, *command):
        with self:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stdout)
        return done.stdout

    def ip(self, *args):
        return self.run("ip", *args)

    def sysctl(self, name, value):
        with self, open("/proc/sys/net/" + name, "w") as f:
            f.write(str(value))

    def close(self):
        os.close(self.fd)


# ---- processes ----

def tasks(pid):
    """{thread id: name}"""
    out = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, tid)) as f:
                out[int(tid)] = f.read().strip()
        except FileNotFoundError:  # ended meanwhile
            pass
    return out


def task_status(pid, tid):
    with open("/proc/%d/task/%d/status" % (pid, tid)) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def waits(pid, tid=None):
    """How often the thread gave up its CPU of its own will: once a sleep."""
    return int(task_status(pid, tid or pid)["voluntary_ctxt_switches"])


# ---- a source that gets everything through ----

class Carried:
    def __init__(self):
        self.acknowledged = self.sessions = self.acks = 0
        self.errors = []  # bodies of ERROR
        self.gap_s = 0.0  # the longest time without progress of the ACKs, while something was in flight
        self.pongs = []  # their times


class Carry:
    """Sends frames in writes of `write` bytes, as much as the windows allow, and resumes until all are acknowledged."""

    def __init__(self, connect, frames, write=65536, window_events=WINDOW_EVENTS, window_bytes=WINDOW_BYTES, pause_s=0.0):
        self.connect, self.count, self.write, self.pause_s = connect, len(frames), write, pause_s
        self.data = b"".join(frames)
        self.ends = [0, *itertools.accumulate(map(len, frames))]
        self.rounded = [0, *itertools.accumulate(len(f) + 63 & ~63 for f in frames)]
        self.window_events, self.window_bytes = window_events, window_bytes
        self.out = Carried()

    def may_send(self):
        """Up to which byte the window reaches."""
        known = self.out.acknowledged
        by_bytes = bisect.bisect_right(self.rounded, self.rounded[known] + self.window_bytes) - 1
        return self.ends[min(by_bytes, known + self.window_events, self.count)]

    def heard(self, c, wait):
        """Takes what the engine said, waiting up to `wait` seconds for a word."""
        if select.select([c.socket], [], [], wait)[0]:
            data = c.socket.recv(1 << 18)
            if not data:
                raise Closed()
            c.buffer += data
        moved, got = 0, c.take()
        while got:
            if got.kind == ERROR:
                raise Closed(got.body)
            if got.kind == PONG:
                self.out.pongs.append(got.time)
            if got.kind == ACK:
                assert got.type == EVENT and got.sequence >= self.out.acknowledged, got
                self.out.acks += 1
                moved += got.sequence - self.out.acknowledged
                self.out.acknowledged = got.sequence
            got = c.take()
        return moved

    def session(self, c):
        assert c.expected > self.out.acknowledged, "%d is asked for again, %d was acknowledged" % (c.expected, self.out.acknowledged)
        at, last = self.ends[c.expected - 1], time.monotonic()
        c.socket.setblocking(False)
        while self.out.acknowledged < self.count:
            end = min(at + self.write, self.may_send())
            if at < end and select.select([], [c.socket], [], 0)[1]:
                at += c.socket.send(self.data[at:end])
                if self.pause_s:
                    time.sleep(self.pause_s)
            moved = self.heard(c, 0 if at < self.may_send() else 0.05)
            now = time.monotonic()
            if moved or at == self.ends[self.out.acknowledged]:
                self.out.gap_s, last = max(self.out.gap_s, now - last), now
            assert now - last < 2 * PATIENCE, "no ACK since %d" % self.out.acknowledged

    def run(self):
        known, since = 0, time.monotonic()
        while self.out.acknowledged < self.count:
            if self.out.acknowledged > known:
                known, since = self.out.acknowledged, time.monotonic()
            assert time.monotonic() - since < 2 * PATIENCE, "no way on from %d: %r" % (known, self.out.errors[-3:])
            try:
                with self.connect(self.out.acknowledged) as c:
                    self.out.sessions += 1
                    self.session(c)
            except Closed as closed:
                if closed.error:
                    self.out.errors.append(closed.error)
                    time.sleep(0.01)
            except OSError:
                time.sleep(0.01)
        return self.out


def carry(connect, frames, **options):
    return Carry(connect, frames, **options).run()


def far_source(net, address, port, name, acknowledged=0):
    """A source in that namespace, which connects to another address than loopback's."""
    class Far(Source):
        def __init__(self):
            original = socket.create_connection
            socket.create_connection = lambda to, timeout: original((address, to[1]), timeout)
            try:
                super().__init__(port, name, stream_of(name), acknowledged)
            finally:
                socket.create_connection = original
    with net:
        return Far()
