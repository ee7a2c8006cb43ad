"""xxh3.py: XXH3, 128 bits, seed 0, default secret, in plain arithmetic.

Source: the xxHash specification, "XXH3 Algorithm" (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). Slow and
only that; test_model.py checks it against vectors and, where it is installed, against libxxhash.
"""
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
SECRET_MIN = 136
M32 = (1 << 32) - 1
M64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def u32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def swap(x, size):
    return int.from_bytes(x.to_bytes(size, "little"), "big")


def fold(x, y):
    """The 128-bit product, its halves xored."""
    product = x * y
    return (product & M64) ^ (product >> 64)


def avalanche_xxh64(h):
    h = ((h ^ (h >> 33)) * P64_2) & M64
    h = ((h ^ (h >> 29)) * P64_3) & M64
    return h ^ (h >> 32)


def avalanche(h):
    h = ((h ^ (h >> 37)) * 0x165667919E3779F9) & M64
    return h ^ (h >> 32)


def of_0():
    low = avalanche_xxh64(u64(SECRET, 64) ^ u64(SECRET, 72))
    return avalanche_xxh64(u64(SECRET, 80) ^ u64(SECRET, 88)), low


def of_1_to_3(data):
    n = len(data)
    low = data[n - 1] | n << 8 | data[0] << 16 | data[n >> 1] << 24
    swapped = swap(low, 4)
    high = (swapped << 13 | swapped >> 19) & M32
    low ^= u32(SECRET, 0) ^ u32(SECRET, 4)
    high ^= u32(SECRET, 8) ^ u32(SECRET, 12)
    return avalanche_xxh64(high), avalanche_xxh64(low)


def of_4_to_8(data):
    n = len(data)
    whole = u32(data, 0) | u32(data, n - 4) << 32
    product = (u64(SECRET, 16) ^ u64(SECRET, 24) ^ whole) * (P64_1 + (n << 2))
    low, high = product & M64, (product >> 64) & M64
    high = (high + (low << 1)) & M64
    low ^= high >> 3
    low = ((low ^ (low >> 35)) * 0x9FB21C651E98DF25) & M64
    return avalanche(high), low ^ (low >> 28)


def of_9_to_16(data):
    n = len(data)
    first, last = u64(data, 0), u64(data, n - 8)
    product = (first ^ last ^ u64(SECRET, 32) ^ u64(SECRET, 40)) * P64_1
    low, high = ((product & M64) + ((n - 1) << 54)) & M64, product >> 64
    last ^= u64(SECRET, 48) ^ u64(SECRET, 56)
    high = (high + last + (last & M32) * (P32_2 - 1)) & M64
    low ^= swap(high, 8)
    product = low * P64_2
    return avalanche(((product >> 64) + high * P64_2) & M64), avalanche(product & M64)


def mix16(data, at, secret_at):
    return fold(u64(data, at) ^ u64(SECRET, secret_at), u64(data, at + 8) ^ u64(SECRET, secret_at + 8))


def mix32(high, low, data, one, two, secret_at):
    low = (low + mix16(data, one, secret_at)) & M64
    low ^= (u64(data, two) + u64(data, two + 8)) & M64
    high = (high + mix16(data, two, secret_at + 16)) & M64
    high ^= (u64(data, one) + u64(data, one + 8)) & M64
    return high, low


def finish(high, low, n):
    mixed = (low * P64_1 + high * P64_4 + n * P64_2) & M64
    return -avalanche(mixed) & M64, avalanche((low + high) & M64)


def of_17_to_128(data):
    n = len(data)
    high, low = 0, n * P64_1 & M64
    for i in reversed(range((n - 1) // 32 + 1)):
        high, low = mix32(high, low, data, 16 * i, n - 16 * (i + 1), 32 * i)
    return finish(high, low, n)


def of_129_to_240(data):
    n = len(data)
    high, low = 0, n * P64_1 & M64
    for i in range(4):
        high, low = mix32(high, low, data, 32 * i, 32 * i + 16, 32 * i)
    high, low = avalanche(high), avalanche(low)
    for i in range(4, n // 32):
        high, low = mix32(high, low, data, 32 * i, 32 * i + 16, 3 + 32 * (i - 4))
    high, low = mix32(high, low, data, n - 16, n - 32, SECRET_MIN - 17 - 16)
    return finish(high, low, n)


def accumulate(lanes, data, at, secret_at):
    for i in range(8):
        value = u64(data, at + 8 * i)
        keyed = value ^ u64(SECRET, secret_at + 8 * i)
        lanes[i ^ 1] = (lanes[i ^ 1] + value) & M64
        lanes[i] = (lanes[i] + (keyed & M32) * (keyed >> 32)) & M64


def scramble(lanes):
    for i in range(8):
        lane = lanes[i]
        lanes[i] = ((lane ^ (lane >> 47) ^ u64(SECRET, len(SECRET) - 64 + 8 * i)) * P32_1) & M64


def merge(lanes, secret_at, start):
    total = start & M64
    for i in range(4):
        total += fold(lanes[2 * i] ^ u64(SECRET, secret_at + 16 * i), lanes[2 * i + 1] ^ u64(SECRET, secret_at + 16 * i + 8))
    return avalanche(total & M64)


def of_long(data):
    n = len(data)
    lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    stripes_a_block = (len(SECRET) - 64) // 8
    stripes = (n - 1) // 64
    for stripe in range(stripes):
        accumulate(lanes, data, 64 * stripe, 8 * (stripe % stripes_a_block))
        if stripe % stripes_a_block == stripes_a_block - 1:
            scramble(lanes)
    accumulate(lanes, data, n - 64, len(SECRET) - 64 - 7)
    low = merge(lanes, 11, n * P64_1)
    high = merge(lanes, len(SECRET) - 64 - 11, ~(n * P64_2))
    return high, low


def xxh3_128(data):
    """16 bytes: high then low half, big-endian."""
    n = len(data)
    if n == 0:
        high, low = of_0()
    elif n <= 3:
        high, low = of_1_to_3(data)
    elif n <= 8:
        high, low = of_4_to_8(data)
    elif n <= 16:
        high, low = of_9_to_16(data)
    elif n <= 128:
        high, low = of_17_to_128(data)
    elif n <= 240:
        high, low = of_129_to_240(data)
    else:
        high, low = of_long(data)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")
