#!/usr/bin/python3
"""TCP as it is: a source written by hand over a TUN device, in a network namespace of its own, that sends segments as no
kernel would: overlapping, merged, out of order, a byte at a time, with other bytes where it repeats itself. At every byte offset
of three frames all arrive once, in order and right. Then packet loss between two namespaces, by a BPF program (loss.bpf.c)."""
import fcntl
import os
import random
import select
import struct
import subprocess
import time

from harness import ACK, ERROR, HEADER, PATIENCE, SEED, WELCOME, Frame, dirs, eventually, hello_source, main, replay, stream_of
from kernel import (DROPPED, Net, all_arrived, amount, arrived, cannot, carry, event_of, far_source, filter_counts, in_modes, need_root,
                    runs_under, started, triples)

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINE, PEER = bytes([10, 77, 0, 1]), bytes([10, 77, 0, 2])
FIN, SYN, RST, PSH, ACKS = 1, 2, 4, 8, 16
LENGTHS = (64, 101, 333)  # minimal, odd, longer than both
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


# ---- a TCP by hand ----

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - int.from_bytes(data, "big") % 0xFFFF


class Tun:
    """The other end of the engine's interface: IPv4 packets as bytes."""

    def __init__(self, net):
        with net:
            self.fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        net.ip("addr", "add", "10.77.0.1/24", "dev", "tun0")
        net.ip("link", "set", "tun0", "mtu", "9000", "up")

    def read(self, timeout):
        """A packet, None when none came in time."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return None
        return os.read(self.fd, 65536)

    def write(self, segment):
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, 6, 0, PEER, ENGINE)
        os.write(self.fd, head[:10] + struct.pack(">H", checksum(head)) + head[12:] + segment)

    def close(self):
        os.close(self.fd)


class Peer:
    """One connection. `stream` is all that it means to send, by offset from its first byte; segments are cut out of it at
    will. What is lost on the way is sent again after a while, in order, and noted in `again`."""
    port_next = 20000

    def __init__(self, tun, port):
        Peer.port_next += 1
        self.tun, self.port, self.mine = tun, port, Peer.port_next
        self.isn = random.getrandbits(32)  # wraps now and then
        self.stream, self.taken = bytearray(), 0
        self.high, self.again = 0, 0
        self.theirs, self.buffer = 0, bytearray()
        self.ended = self.was_reset = False
        self.acknowledged, self.error = 0, None
        self.put(self.isn, SYN, b"", b"\x02\x04\x10\x00")
        self.until(lambda: self.theirs, "SYN and ACK")

    def put(self, seq, flags, data=b"", options=b""):
        head = struct.pack(">HHIIBBHHH", self.mine, self.port, seq & 0xFFFFFFFF, self.theirs & 0xFFFFFFFF,
                           (20 + len(options)) // 4 << 4, flags, 65535, 0, 0) + options
        pseudo = PEER + ENGINE + struct.pack(">BBH", 0, 6, len(head) + len(data))
        check = struct.pack(">H", checksum(pseudo + head + data))
        self.tun.write(head[:16] + check + head[18:] + data)

    def segment(self, start, end, flags=0, data=None):
        """Bytes start to end of the stream; data: others in their place."""
        assert 0 <= start <= end <= len(self.stream)
        self.high = max(self.high, end)
        self.put(self.isn + 1 + start, flags | ACKS | PSH, bytes(self.stream[start:end]) if data is None else data)

    def reset(self, at):
        self.put(self.isn + 1 + at, RST | ACKS)

    def pump(self, timeout=0.0):
        """Takes what came: their data, in order, is acknowledged. False: nothing came."""
        packet = self.tun.read(timeout)
        if packet is None:
            return False
        while packet:
            self.take(packet)
            packet = self.tun.read(0)
        return True

    def take(self, packet):
        if packet[0] >> 4 != 4 or packet[9] != 6:
            return
        segment = packet[(packet[0] & 15) * 4:]
        _, to, seq, ack, offset, flags = struct.unpack(">HHIIBB", segment[:14])
        if to != self.mine:
            return
        data = segment[(offset >> 4) * 4:]
        if flags & RST:
            self.was_reset = True
            return
        if flags & ACKS:
            self.taken = max(self.taken, (ack - self.isn - 1) % 2**32) if ack != self.isn else 0
        if flags & SYN:
            self.theirs = seq + 1
        elif (seq - self.theirs) % 2**32 == 0:
            self.buffer += data
            self.theirs += len(data) + bool(flags & FIN)
            self.ended = self.ended or bool(flags & FIN)
        if data or flags & (SYN | FIN):
            self.put(self.isn + 1 + len(self.stream), ACKS)
        self.frames()

    def frames(self):
        """Notes what the engine says."""
        while len(self.buffer) >= 64 and len(self.buffer) >= int.from_bytes(self.buffer[:4], "little"):
            header = HEADER.unpack_from(self.buffer)
            got = Frame(header, bytes(self.buffer[64:header[0]]))
            del self.buffer[:header[0]]
            if got.kind == ACK:
                self.acknowledged = got.sequence
            elif got.kind == WELCOME:
                self.welcome = got
            elif got.kind == ERROR:
                self.error = got.body

    def until(self, done, what):
        end, quiet = time.monotonic() + PATIENCE, 0
        while not done():
            assert time.monotonic() < end and not self.was_reset, "%s did not come: %r" % (what, self.error)
            quiet = 0 if self.pump(0.05) else quiet + 1
            if quiet % 10 == 9 and self.theirs:
                self.send_again()

    def send_again(self):
        """What is not taken, in order."""
        for at in range(self.taken, self.high, 1400):
            self.segment(at, min(at + 1400, self.high))
            self.again += 1
            self.pump()

    def hello(self, name, acknowledged=0):
        self.stream += hello_source(name, stream_of(name), acknowledged)
        self.segment(0, len(self.stream))
        self.welcome = None
        self.until(lambda: self.welcome, "WELCOME")
        self.expected = self.welcome.sequence
        return self

    def add(self, frames):
        """Puts frames at the stream's end, not sent yet; where they begin and end."""
        start = len(self.stream)
        self.stream += b"".join(frames)
        return start, len(self.stream)

    def settle(self, most=24000):
        """Waits until the kernel over there has taken all but `most` bytes: its window is 64 KiB."""
        while self.pump():
            pass
        if len(self.stream) - self.taken > most:
            self.until(lambda: len(self.stream) - self.taken <= most // 2, "room in the window")


class Setting:
    """An engine in a namespace of its own, and the TUN device to it."""

    def __init__(self, mode):
        need_root()
        if not os.path.exists("/dev/net/tun"):
            cannot("no /dev/net/tun")
        self.net = Net()
        self.tun = Tun(self.net)
        self.mode = mode
        with self.net:
            self.engine = started(mode, "--listen", "10.77.0.1:0", "--insecure-listen", "--segment", "8")

    def peer(self, name, acknowledged=0):
        return Peer(self.tun, self.engine.port).hello(name, acknowledged)

    def status(self):
        with self.net:
            return self.engine.status()

    def overlapped(self):
        return filter_counts(self.status(), "overlapped") if self.mode == "kernel" else None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.engine.__exit__(kind)
        self.tun.close()
        self.net.close()


# ---- one connection, three frames after the other, cut at every offset ----

def garbage(rng, length):
    return rng.randbytes(length)


def overlap(p, a, k, b, rng):
    """A retransmission that begins before k and brings what is new; what it repeats are other bytes."""
    p.segment(a, k)
    j = rng.randrange(a, k)
    p.segment(j, b, data=garbage(rng, k - j) + bytes(p.stream[k:b]))
    return k - j


def overlap_of_the_frames_before(p, a, k, b, rng):
    """It begins in frames that were taken long ago."""
    p.segment(a, k)
    j = max(0, a - rng.randrange(1, 400))
    p.segment(j, b)
    return k - j


def overlap_in_two_steps(p, a, k, b, rng):
    p.segment(a, k)
    middle = rng.randrange(k, b)
    i, j = rng.randrange(a, k), rng.randrange(a, k)
    p.segment(i, middle)
    p.segment(j, b)
    return (k - i if middle > k else 0) + middle - j  # a segment without anything new is dropped by TCP itself


def hole(p, a, k, b, rng):
    p.segment(k, b)
    p.segment(a, k)
    return 0


def merged(p, a, k, b, rng):
    """Pieces that wait behind a hole, which TCP merges, and an overlap with them fills it."""
    cuts = sorted(rng.sample(range(k, b), min(3, b - k)))
    pieces = list(zip([k] + cuts, cuts + [b]))
    rng.shuffle(pieces)
    for start, end in pieces:
        if start < end:
            p.segment(start, end)
    p.segment(a, rng.randrange(k, b + 1))
    return None


def out_of_order_overlapping(p, a, k, b, rng):
    middle = rng.randrange(k, b)
    p.segment(middle, b)
    p.segment(k, rng.randrange(middle, b + 1))
    p.segment(max(0, a - 50), k)
    return None


def duplicates(p, a, k, b, rng):
    for start, end in ((a, k), (a, k), (k, b), (k, b), (a, b)):
        p.segment(start, end)
    return 0


def one_byte(p, a, k, b, rng):
    p.segment(a, k)
    p.segment(k, k + 1)
    if k + 1 < b:
        p.segment(k + 1, b)
    return 0


SHAPES = [overlap, overlap_of_the_frames_before, overlap_in_two_steps, hole, merged, out_of_order_overlapping, duplicates, one_byte]


def shape_at_every_offset(s, p, shape, frames, rng):
    """Three frames for each byte offset within them. Bytes that the overlaps repeat, None when TCP may merge them away."""
    repeated = 0
    for k in range(1, sum(LENGTHS)):
        pattern = (1, DROPPED) if (k + k // 2) % 2 else (DROPPED, 1)
        three = triples(LENGTHS, 1, pattern, first=p.expected + len(frames))
        frames += three
        a, b = p.add(three)
        more = shape(p, a, a + k, b, rng)
        repeated = None if more is None else repeated + more
        p.settle()
    return repeated


def source_of_shapes(s, shape):
    rng = random.Random(SEED)
    p, frames = s.peer(shape.__name__), []
    assert p.welcome.body["filter"] == s.mode
    before = s.overlapped()
    repeated = shape_at_every_offset(s, p, shape, frames, rng)
    p.until(lambda: p.acknowledged == len(frames), "the last ACK")
    assert not p.error and not p.ended
    if s.mode == "kernel":
        met = s.overlapped() - before
        if shape in (overlap, overlap_of_the_frames_before, overlap_in_two_steps):
            assert met == repeated or p.again and met > repeated // 2, "%s: %d bytes overlapped, %d were repeated" % (
                shape.__name__, met, repeated)
    return frames


@in_modes("kernel", "user")
def segments_of_every_shape_at_every_offset_arrive_once_and_right(mode):
    sent = {}
    with Setting(mode) as s:
        for shape in SHAPES:
            sent[shape.__name__] = source_of_shapes(s, shape)
        if mode == "kernel":
            assert s.overlapped() > 0
    all_arrived(s.engine.data, sent, mode=mode, duplicates=0)
    replay(s.engine.data, "--verify")


@in_modes("kernel", "user")
def a_stream_of_one_byte_segments_arrives(mode):
    with Setting(mode) as s:
        p = s.peer("bytes")
        frames = triples(LENGTHS, amount(4, 40), first=1)
        a, b = p.add(frames)
        for at in range(a, b):
            p.segment(at, at + 1)
            if at % 64 == 0:
                p.settle(most=b - at + 30000)
        p.until(lambda: p.acknowledged == len(frames), "the last ACK")
        if mode == "kernel":
            assert filter_counts(s.status(), "runs") > 0.8 * (b - a)
    arrived(s.engine.data, "bytes", frames, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def a_retransmission_of_hello_that_brings_events_is_cut_to_what_is_new(mode):
    """From every byte of HELLO, and with other bytes in its place."""
    sent, rng = {}, random.Random(SEED)
    with Setting(mode) as s:
        size = len(hello_source("h000", stream_of("h000"), 0))
        offsets = range(0, size, amount(9, 1))
        for n, at in enumerate(offsets):
            name = "h%03d" % (n % 60)
            known = sent.setdefault(name, [])
            before = s.overlapped()
            p = s.peer(name, len(known))
            assert p.expected == len(known) + 1
            known += triples(LENGTHS, 1, first=p.expected)
            a, b = p.add(known[-3:])
            assert a == size or known
            p.segment(min(at, a - 1), b, data=garbage(rng, a - min(at, a - 1)) + bytes(p.stream[a:b]))
            p.until(lambda: p.acknowledged == len(known), "the ACK")
            if mode == "kernel":
                assert s.overlapped() - before == a - min(at, a - 1)
            p.reset(b)
    all_arrived(s.engine.data, sent, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def fin_with_the_last_data_loses_nothing(mode):
    sent = []
    with Setting(mode) as s:
        for k in range(0, sum(LENGTHS), amount(37, 5)):
            p = s.peer("fin", len(sent))
            assert p.expected == len(sent) + 1
            sent += triples(LENGTHS, 1, (1, DROPPED) if k % 2 else (DROPPED, 1), first=p.expected)
            a, b = p.add(sent[-3:])
            p.segment(a, a + k)
            p.segment(a + k, b, flags=FIN)
            p.stream += b"\0"  # FIN takes a number
            p.until(lambda: p.ended or p.was_reset, "their FIN")
            assert p.acknowledged <= len(sent)
            eventually("their end", lambda: s.status()["connections"]["open"] == 0)
    arrived(s.engine.data, "fin", sent, mode=mode, duplicates=0)


def resumed_after(s, end):
    """Three frames up to k, then the end; a new connection goes on where WELCOME says. Returns what was sent."""
    sent, acknowledged = [], 0
    for k in range(1, sum(LENGTHS), amount(29, 3)):
        p = s.peer("broken", acknowledged)
        sent = sent[:p.expected - 1]
        first, start = p.expected, len(p.stream)
        three = triples(LENGTHS, 1, (1, DROPPED) if k % 2 else (DROPPED, 1), first=first)
        a, b = p.add(three)
        p.segment(a, a + k)
        end(p, a + k)
        whole = sum(sum(LENGTHS[:i + 1]) <= k for i in range(3))
        eventually("their end", lambda: s.status()["connections"]["open"] == 0)
        again = s.peer("broken", acknowledged)
        assert first <= again.expected <= first + whole, "%d expected after %d whole frames from %d" % (again.expected, whole, first)
        if s.mode == "kernel":
            assert again.expected == first + whole, "the ring had %d whole frames from %d, %d is expected" % (
                whole, first, again.expected)
        sent += three
        left = sent[again.expected - 1:]
        a, b = again.add(left)
        again.segment(a, b)
        again.until(lambda: again.acknowledged == len(sent), "the ACK")
        acknowledged = len(sent)
        again.reset(b)
        eventually("their end", lambda: s.status()["connections"]["open"] == 0)
    return sent


@in_modes("kernel", "user")
def rst_in_the_middle_of_a_frame_and_a_resume_lose_nothing(mode):
    with Setting(mode) as s:
        sent = resumed_after(s, lambda p, at: p.reset(at))
    arrived(s.engine.data, "broken", sent, mode=mode, duplicates=0)


@in_modes("kernel", "user")
def fin_in_the_middle_of_a_frame_and_a_resume_lose_nothing(mode):
    def fin(p, at):
        p.segment(at, at, flags=FIN)
    with Setting(mode) as s:
        sent = resumed_after(s, fin)
    arrived(s.engine.data, "broken", sent, mode=mode, duplicates=0)


# ---- packets that are lost ----

LOSS = os.path.join(HERE, "loss.bpf.c")
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def loss_program():
    """Built by clang into a directory of the test."""
    out = os.path.join(dirs.new("loss"), "loss.o")
    include = "/usr/include/%s" % subprocess.check_output(["gcc", "-print-multiarch"], text=True).strip()
    try:
        subprocess.run(["clang", "-O2", "-target", "bpf", "-I", include, "-c", LOSS, "-o", out], check=True)
    except FileNotFoundError:
        cannot("no clang")
    return out


def lossy_pair(sack):
    """Two namespaces with a veth pair of which each end loses 20 % of what it gets."""
    nets, program = (Net(), Net()), loss_program()
    nets[0].ip("link", "add", "v0", "address", MACS[0], "type", "veth", "peer", "name", "v1", "address", MACS[1],
               "netns", nets[1].path())
    for i, net in enumerate(nets):
        name = "v%d" % i
        net.ip("addr", "add", "10.78.0.%d/24" % (i + 1), "dev", name)
        net.ip("link", "set", name, "gso_max_segs", "1", "up")  # a packet is a segment, so that one can be lost
        net.ip("neigh", "replace", "10.78.0.%d" % (2 - i), "lladdr", MACS[1 - i], "dev", name)
        net.ip("route", "replace", "10.78.0.0/24", "dev", name, "rto_min", "10ms")
        net.sysctl("ipv4/tcp_sack", sack)
        net.sysctl("ipv4/tcp_rto_max_ms", 1000)
        net.ip("link", "set", "dev", name, "xdpgeneric", "obj", program, "sec", "xdp")
    return nets


def retransmitted(net):
    """Segments that the namespace's TCP sent again."""
    with net, open("/proc/thread-self/net/snmp") as f:
        names, values = [line.split() for line in f if line.startswith("Tcp:")]
    return int(dict(zip(names, values))["RetransSegs"])


def lossy_case(mode, sack):
    nets = lossy_pair(sack)
    rng = random.Random(SEED)
    frames = [event_of(i, rng.choice((64, 65, 127, 500, 3001)), rng.choice((1, DROPPED))) for i in range(1, amount(400, 6000))]
    with nets[0]:
        e = started(mode, "--listen", "10.78.0.1:0", "--insecure-listen", "--segment", "8")
        with e:
            out = carry(lambda known: runs_under(far_source(nets[1], "10.78.0.1", e.port, "far", known), mode), frames, write=20000)
            overlapped = filter_counts(e.status(), "overlapped") if mode == "kernel" else 0
    arrived(e.data, "far", frames, mode=mode)
    assert all(error["code"] == "BROKEN" for error in out.errors), out.errors
    again = [retransmitted(net) for net in nets]
    assert again[1] > 20, "nothing was lost on the way: %d segments sent again" % again[1]
    print("  %d bytes, %d sessions, %d and %d segments sent again by engine and source, %d bytes overlapped" % (
        sum(map(len, frames)), out.sessions, *again, overlapped))
    for net in nets:
        net.close()


@in_modes("kernel", "user")
def a_fifth_of_the_packets_lost_with_sack(mode):
    lossy_case(mode, 1)


@in_modes("kernel", "user")
def a_fifth_of_the_packets_lost_without_sack(mode):
    lossy_case(mode, 0)


if __name__ == "__main__":
    main()
