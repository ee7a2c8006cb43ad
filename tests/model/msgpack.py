"""msgpack.py: MessagePack. encode() writes the shortest form; decode_body() reads the body of a frame.

A body is one map and nothing behind it: string keys, UTF-8, no key twice, no extension types, depth at most 4 with
the outer map, no string longer than 1024 bytes (DESIGN 2, limits.h). Anything else raises BadBody.
"""
import struct

DEPTH_MAX = 4
STRING_BYTES_MAX = 1024


class BadBody(Exception):
    pass


def encode(value):
    if isinstance(value, str):
        data = value.encode()
        return encode_length(len(data), 0xA0, 31, 0xD9, 0xDA, 0xDB) + data
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return encode_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return encode_length(len(value), None, -1, 0xC4, 0xC5, 0xC6) + value
    if isinstance(value, (list, tuple)):
        return encode_length(len(value), 0x90, 15, None, 0xDC, 0xDD) + b"".join(map(encode, value))
    if isinstance(value, dict):
        head = encode_length(len(value), 0x80, 15, None, 0xDE, 0xDF)
        return head + b"".join(encode(k) + encode(v) for k, v in value.items())
    raise TypeError(type(value))


def encode_int(value):
    if value >= 0:
        if value < 1 << 7:
            return bytes([value])
        for code, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
            if value < 1 << 8 * size:
                return bytes([code]) + value.to_bytes(size, "big")
    if value >= -32:
        return bytes([value & 0xFF])
    for code, size in ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)):
        if value >= -(1 << 8 * size - 1):
            return bytes([code]) + value.to_bytes(size, "big", signed=True)
    raise OverflowError(value)


def encode_length(length, fixed, fixed_max, code8, code16, code32):
    if length <= fixed_max:
        return bytes([fixed | length])
    if code8 is not None and length < 1 << 8:
        return bytes([code8, length])
    if length < 1 << 16:
        return bytes([code16]) + length.to_bytes(2, "big")
    return bytes([code32]) + length.to_bytes(4, "big")


INTS = {0xCC: (1, False), 0xCD: (2, False), 0xCE: (4, False), 0xCF: (8, False)}
INTS.update({0xD0: (1, True), 0xD1: (2, True), 0xD2: (4, True), 0xD3: (8, True)})
STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
BINS = {0xC4: 1, 0xC5: 2, 0xC6: 4}
LISTS = {0xDC: 2, 0xDD: 4}
MAPS = {0xDE: 2, 0xDF: 4}


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise BadBody("ends early")
        self.at += count
        return piece

    def number(self, size, signed=False):
        return int.from_bytes(self.take(size), "big", signed=signed)

    def string(self, length):
        if length > STRING_BYTES_MAX:
            raise BadBody("a string that is too long")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise BadBody("not UTF-8") from None

    def sequence(self, length, depth):
        if depth > DEPTH_MAX:
            raise BadBody("too deep")
        return [self.value(depth) for _ in range(length)]

    def mapping(self, length, depth):
        if depth > DEPTH_MAX:
            raise BadBody("too deep")
        result = {}
        for _ in range(length):
            key = self.value(depth)
            if not isinstance(key, str) or key in result:
                raise BadBody("a key that is no string, or twice")
            result[key] = self.value(depth)
        return result

    def value(self, depth):
        code = self.number(1)
        if code < 0x80:
            return code
        if code < 0x90:
            return self.mapping(code & 15, depth + 1)
        if code < 0xA0:
            return self.sequence(code & 15, depth + 1)
        if code < 0xC0:
            return self.string(code & 31)
        if code >= 0xE0:
            return code - 256
        if code == 0xC0:
            return None
        if code in (0xC2, 0xC3):
            return code == 0xC3
        if code in INTS:
            return self.number(*INTS[code])
        if code in STRINGS:
            return self.string(self.number(STRINGS[code]))
        if code in BINS:
            return self.take(self.number(BINS[code]))
        if code == 0xCA:
            return struct.unpack(">f", self.take(4))[0]
        if code == 0xCB:
            return struct.unpack(">d", self.take(8))[0]
        if code in LISTS:
            return self.sequence(self.number(LISTS[code]), depth + 1)
        if code in MAPS:
            return self.mapping(self.number(MAPS[code]), depth + 1)
        raise BadBody("an extension type, or a code that is never used")


def decode_body(data):
    """The map. No bytes at all are an empty map."""
    if not data:
        return {}
    reader = Reader(data)
    body = reader.value(0)
    if not isinstance(body, dict) or reader.at != len(data):
        raise BadBody("no map, or something behind it")
    return body
