"""A source of Moment, written from frame.md alone: python3 client.py HOST PORT NAME < events.ndjson
A line: {"type": 1, "customer": 7, "time": 1772443800000000000, "amount": 1250, "currency": 978, "body": {"merchant": "Sol"}}
Ends with 0 when every line is acknowledged, with 1 when the engine refuses. It does not resume (frame.md, "Resume")."""
import json, os, socket, struct, sys
FIELDS = "type sequence customer account time amount balance currency country mcc touchpoint flags".split()

def pack(v):  # MessagePack; the long forms are as good as the short ones
    if v is None or isinstance(v, bool): return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, int): return struct.pack(">Bq", 0xd3, v)
    if isinstance(v, float): return struct.pack(">Bd", 0xcb, v)
    if isinstance(v, bytes): return struct.pack(">BI", 0xc6, len(v)) + v
    if isinstance(v, str): return struct.pack(">BI", 0xdb, len(v.encode())) + v.encode()
    if isinstance(v, list): return struct.pack(">BI", 0xdd, len(v)) + b"".join(map(pack, v))
    return struct.pack(">BI", 0xdf, len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())

def unpack(b, i=0):  # what WELCOME and ERROR need: (value, where the next one begins)
    t, i = b[i], i + 1
    if t < 0x80: return t, i
    if 0xcc <= t <= 0xcf: return int.from_bytes(b[i:i + (1 << t - 0xcc)], "big"), i + (1 << t - 0xcc)
    if t & 0xe0 == 0xa0 or 0xd9 <= t <= 0xdb:
        w = 1 << t - 0xd9 if t >= 0xd9 else 0
        n, i = (int.from_bytes(b[i:i + w], "big") if w else t & 31), i + w
        return b[i:i + n].decode(), i + n
    pairs = {}
    for _ in range(t & 15):  # a map of up to 15
        k, i = unpack(b, i)
        pairs[k], i = unpack(b, i)
    return pairs, i

def frame(kind, body, **header):
    data = pack(body)
    return struct.pack("<IBBHQQQQqqHHHBB", 64 + len(data), 1, kind, *(header.get(f, 0) for f in FIELDS)) + data

def read(f):  # the next frame: kind, header fields, body
    h = struct.unpack("<IBBHQQQQqqHHHBB", f.read(64))
    data = f.read(h[0] - 64)
    if h[2] == 14: sys.exit("refused: %s" % unpack(data)[0])
    return h[2], dict(zip(FIELDS, h[3:])), data

s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
f = s.makefile("rb")
s.sendall(frame(1, {"role": "source", "name": sys.argv[3], "version": 1, "stream": os.urandom(16), "first": 1}))
window = unpack(read(f)[2])[0]["window_bytes"] // 65536  # events in flight that fit in it whatever their length
sent = acked = 0
for line in [*sys.stdin, None]:
    while sent - acked >= (window if line else 1):  # at the end: until everything is acknowledged
        kind, head, _ = read(f)
        if kind == 4: acked = head["sequence"]
        if kind == 12: s.sendall(frame(13, {}, time=head["time"]))
    if line:
        event, sent = {"balance": -2**63, **json.loads(line)}, sent + 1
        s.sendall(frame(3, event.pop("body", {}), sequence=sent, **event))
