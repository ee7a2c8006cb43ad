#!/usr/bin/python3
"""Independent reader of the journal, written from schemas/journal.md; shares no code with the engine.

    import journal
    for batch in journal.read("data/journal"):
        batch.header            # Header: number, term, first_position, now, catalogue, outputs, ...
        batch.entries           # [Entry(position, kind, source, bytes)]
        batch.seen              # [Seen(source, interest_version, stream, first, seen, dropped=[Dropped(type, reason, count)])]

read() ends at the journal's end (a torn tail is not an error) and raises Corrupt where a batch that was
durable cannot be read. The crc is checked always; the 128-bit hashes and the chain when the Python module
`xxhash` is there, the chain also with read(dir, chain=True), by the slow xxh3.py. Run as a program it prints a
batch a line: journal.py DIR [--entries] [--chain].
"""
import collections
import os
import re
import struct
import sys

try:
    import xxhash
except ImportError:
    xxhash = None

MAGIC = 0x314C4E4A544E4D4D
HEADER_BYTES = 192
STEP = 512  # a batch begins at a multiple of this
BATCH_BYTES_MAX = 256 * (65536 + 64) + (4 << 20) + 65536 + (1 << 20)
ENTRIES_MAX = 2048

FRAME, START, ACTIVATE, BASE, STREAM, GATEWAY, ACCEPTED, CLOCK, SKIP = range(1, 10)
KIND_NAMES = {1: "FRAME", 2: "START", 3: "ACTIVATE", 4: "BASE", 5: "STREAM", 6: "GATEWAY", 7: "ACCEPTED",
              8: "CLOCK", 9: "SKIP"}

HEADER = struct.Struct("<QIIQQQIIQQqQ16s16s16sI52sII")
ENTRY = struct.Struct("<IBBHQQ")
SEEN = struct.Struct("<HHI16sQQ")
DROPPED = struct.Struct("<HBBI")
assert (HEADER.size, ENTRY.size, SEEN.size, DROPPED.size) == (192, 24, 40, 8)

Header = collections.namedtuple("Header", "shard term number first_position entries seen_records bytes "
                                "padded_bytes now durable_through catalogue outputs chain interest_version "
                                "entries_crc")
Entry = collections.namedtuple("Entry", "position kind source bytes")
Seen = collections.namedtuple("Seen", "source interest_version stream first seen dropped")
Dropped = collections.namedtuple("Dropped", "type reason count")
Batch = collections.namedtuple("Batch", "header entries seen segment offset")

# Payloads of entries
Start = collections.namedtuple("Start", "term semantic_version")
Activate = collections.namedtuple("Activate", "catalogue interest_version starts_empty blob")
Base = collections.namedtuple("Base", "position hash")
Stream = collections.namedtuple("Stream", "stream first expected name resumed")
Gateway = collections.namedtuple("Gateway", "up name channels")
Accepted = collections.namedtuple("Accepted", "queue count first")
Clock = collections.namedtuple("Clock", "time")
Skip = collections.namedtuple("Skip", "stream first last")


class Corrupt(Exception):
    """A batch that was durable cannot be read: segment, offset, batch, what."""

    def __init__(self, segment, offset, batch, what):
        super().__init__("segment %s, offset %d, batch %d: %s" % (segment, offset, batch, what))
        self.segment, self.offset, self.batch, self.what = segment, offset, batch, what


def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


_TABLE = _crc_table()


def crc32c(data):
    """CRC-32C (Castagnoli), as RFC 3720 appendix B.4 has it."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def hash128(data, seed=0):
    """(low, high)"""
    if xxhash:
        value = xxhash.xxh3_128_intdigest(bytes(data), seed)
        return value & (2**64 - 1), value >> 64
    assert seed == 0
    high, low = struct.unpack(">QQ", _slow_hash(bytes(data)))
    return low, high


def _slow_hash(data):
    """16 bytes, the high half first, by the module beside this one."""
    import xxh3

    return xxh3.xxh3_128(data)


def hash_bytes(low_high):
    return struct.pack("<QQ", *low_high)


def _pad8(n):
    return (n + 7) & ~7


def parse_header(data, offset):
    """The header at `offset`, or None when what stands there is none (torn, zeros, not yet written)."""
    if offset + HEADER_BYTES > len(data):
        return None
    raw = bytes(data[offset:offset + HEADER_BYTES])
    (magic, header_bytes, shard, term, number, first, entries, seen, size, padded, now, durable, catalogue, outputs,
     chain, interest, reserved, entries_crc, header_crc) = HEADER.unpack(raw)
    if magic != MAGIC or header_bytes != HEADER_BYTES or crc32c(raw[:188]) != header_crc:
        return None
    if any(reserved) or not HEADER_BYTES <= size <= padded <= BATCH_BYTES_MAX or padded % STEP or size % 8:
        return None
    if number == 0 or first == 0 or durable >= number or entries > ENTRIES_MAX:
        return None
    return Header(shard, term, number, first, entries, seen, size, padded, now, durable, catalogue, outputs, chain,
                  interest, entries_crc)


def parse_body(data, offset, header):
    """Entries, SEEN records and the hashes of the chain; ValueError says what is wrong."""
    end, at = offset + header.bytes, offset + HEADER_BYTES
    entries, hashes = [], []
    for i in range(header.entries):
        if at + ENTRY.size > end:
            raise ValueError("entry %d runs over the batch" % i)
        size, kind, reserved, source, low, high = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        if reserved or kind not in KIND_NAMES or at + _pad8(size) > end:
            raise ValueError("entry %d has a bad header" % i)
        payload = bytes(data[at:at + size])
        if any(data[at + size:at + _pad8(size)]):
            raise ValueError("entry %d has bytes in its padding" % i)
        if xxhash and hash128(payload, kind | source << 8 | size << 32) != (low, high):
            raise ValueError("entry %d differs from its hash" % i)
        entries.append(Entry(header.first_position + i, kind, source, payload))
        hashes.append((low, high))
        at += _pad8(size)
    seen_at, seen = at, []
    for i in range(header.seen_records):
        if at + SEEN.size > end:
            raise ValueError("SEEN %d runs over the batch" % i)
        source, lines, interest, stream, first, last = SEEN.unpack_from(data, at)
        at += SEEN.size
        if at + lines * DROPPED.size > end:
            raise ValueError("SEEN %d runs over the batch" % i)
        dropped = []
        for _ in range(lines):
            code, reason, reserved, count = DROPPED.unpack_from(data, at)
            if reserved:
                raise ValueError("SEEN %d has a reserved byte set" % i)
            dropped.append(Dropped(code, reason, count))
            at += DROPPED.size
        seen.append(Seen(source, interest, stream, first, last, dropped))
    if at != end:
        raise ValueError("bytes behind the last SEEN record")
    return entries, seen, hashes, data[seen_at:end]


def segments(directory):
    """[(first batch, path)] in order."""
    found = []
    for name in os.listdir(directory):
        if re.fullmatch(r"[0-9a-f]{16}\.seg", name):
            found.append((int(name[:16], 16), os.path.join(directory, name)))
    return sorted(found)


class _Reader:
    def __init__(self, directory, chain):
        self.chain = chain or xxhash is not None
        self.segments = segments(directory)
        self.index = -1
        self.last = None  # Header of the last good batch

    def enter(self, index):
        self.index, self.offset = index, 0
        with open(self.segments[index][1], "rb") as f:
            self.data = f.read()

    def expected(self):
        return self.last.number + 1 if self.last else self.segments[0][0]

    def corrupt(self, what):
        return Corrupt(os.path.basename(self.segments[self.index][1]), self.offset, self.expected(), what)

    def comes_next(self, header):
        return bool(header) and header.number == self.expected() and (not self.last or header.term >= self.last.term)

    def check_place(self, header):
        last = self.last
        if last and header.shard != last.shard:
            raise ValueError("its shard differs")
        if (last or header.number == 1) and header.first_position != (last.first_position + last.entries if last else 1):
            raise ValueError("its first position does not follow")

    def take(self):
        """The batch at the present offset, or None when nothing whole that comes next stands there."""
        header = parse_header(self.data, self.offset)
        if not self.comes_next(header) or self.offset + header.padded_bytes > len(self.data):
            return None
        body = self.data[self.offset + HEADER_BYTES:self.offset + header.bytes]
        if crc32c(body) != header.entries_crc:
            return None
        # From here on the bytes are what was written: whatever is wrong now is no torn write.
        try:
            self.check_place(header)
            entries, seen, hashes, seen_part = parse_body(self.data, self.offset, header)
        except ValueError as error:
            raise self.corrupt(str(error)) from None
        if self.chain and (self.last or header.number == 1):
            before = self.last.chain if self.last else bytes(16)
            chain = hash128(before + b"".join(map(hash_bytes, hashes + [hash128(seen_part)])))
            if hash_bytes(chain) != header.chain:
                raise self.corrupt("the chain does not continue")
        batch = Batch(header, entries, seen, self.segments[self.index][1], self.offset)
        self.offset += header.padded_bytes
        self.last = header
        return batch

    def known_durable(self):
        """Does a later header say that the batch which is missing here was durable?"""
        term, shard = (self.last.term, self.last.shard) if self.last else (0, None)
        for index in range(self.index, len(self.segments)):
            offset = self.offset if index == self.index else 0
            with open(self.segments[index][1], "rb") as f:
                data = f.read()
            magic = struct.pack("<Q", MAGIC)
            while True:
                offset = data.find(magic, offset)
                if offset < 0:
                    break
                header = parse_header(data, offset) if offset % STEP == 0 else None
                if (header and header.number > self.expected() and header.durable_through >= self.expected() and
                        header.term >= term and shard in (None, header.shard)):
                    return header
                offset += 1
        return None

    def next(self):
        batch = self.take()
        if batch:
            return batch
        if self.index + 1 < len(self.segments) and self.last and self.segments[self.index + 1][0] == self.expected():
            self.enter(self.index + 1)
            batch = self.take()
            if batch:
                return batch
        later = self.known_durable()
        if later:
            raise self.corrupt("unreadable, but batch %d says that it was durable" % later.number)
        return None


def read(directory, chain=False):
    """Yields every batch from the oldest that is there."""
    reader = _Reader(directory, chain)
    if not reader.segments:
        return
    reader.enter(0)
    while True:
        batch = reader.next()
        if batch is None:
            return
        yield batch


def entries(directory):
    """Yields (header, entry) over the whole journal."""
    for batch in read(directory):
        for entry in batch.entries:
            yield batch.header, entry


def decode(entry):
    """The payload of an entry that is no FRAME, as a named tuple (ACCEPTED: a list of them)."""
    data = entry.bytes
    if entry.kind == START:
        return Start(*struct.unpack("<QI4x", data))
    if entry.kind == ACTIVATE:
        catalogue, interest, empty = struct.unpack_from("<16sII", data)
        return Activate(catalogue, interest, empty, data[24:])
    if entry.kind == BASE:
        return Base(*struct.unpack("<Q16s", data))
    if entry.kind == STREAM:
        stream, first, expected, size, resumed = struct.unpack_from("<16sQQHB5x", data)
        if len(data) != 40 + size:
            raise ValueError("STREAM of %d bytes with a name of %d" % (len(data), size))
        return Stream(stream, first, expected, data[40:].decode(), resumed)
    if entry.kind == GATEWAY:
        up, channels, size = struct.unpack_from("<BBH4x", data)
        if len(data) != 8 + size + channels:
            raise ValueError("GATEWAY of %d bytes with a name of %d" % (len(data), size))
        return Gateway(up, data[8:8 + size].decode(), list(data[8 + size:]))
    if entry.kind == ACCEPTED:
        return [Accepted(*item) for item in struct.iter_unpack("<IIQ", data)]
    if entry.kind == CLOCK:
        return Clock(*struct.unpack("<q", data))
    if entry.kind == SKIP:
        return Skip(*struct.unpack("<16sQQ", data))
    raise ValueError("kind %d has no structure here" % entry.kind)


def main(argv):
    if len(argv) < 2 or argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for batch in read(argv[1], "--chain" in argv):
            h = batch.header
            print("batch %d term %d position %d entries %d seen %d now %d durable_through %d bytes %d crc %08x" %
                  (h.number, h.term, h.first_position, h.entries, h.seen_records, h.now, h.durable_through, h.bytes,
                   h.entries_crc))
            if "--entries" in argv:
                for e in batch.entries:
                    print("  entry %d %s source %d bytes %s" % (e.position, KIND_NAMES[e.kind], e.source, e.bytes.hex()))
                for s in batch.seen:
                    print("  seen source %d stream %s first %d seen %d interest %d dropped %s" %
                          (s.source, s.stream.hex(), s.first, s.seen, s.interest_version,
                           ",".join("%d:%d:%d" % tuple(d) for d in s.dropped)))
    except Corrupt as error:
        print("corrupt: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
