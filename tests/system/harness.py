"""What the system tests share: the real binaries as processes, a raw client over TCP that can do everything wrong, a small
catalogue, and a runner that prints a line a case and at the end `N passed, N failed, N skipped`.

    @case
    def gap_closes_the_connection(): ...
    main()

A case gets a directory of its own by dirs.new() and starts engines with Engine(...); both are gone when it ends. A case
that cannot run here raises Skip. Environment: MOMENT_BIN, the directory of momentd and moment (build/release);
MOMENT_SEED, the seed; MOMENT_SLOW=1 runs slow cases too. Arguments: parts of names of the cases to run.
"""
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "model"))

import msgpack  # noqa: E402

msgpack.STRING_BYTES_MAX = 65536  # the text of a MESSAGE may be longer than a string of an EVENT

BIN = os.path.abspath(os.environ.get("MOMENT_BIN", os.path.join(ROOT, "build", "release")))
SEED = int(os.environ.get("MOMENT_SEED", "1"))
SLOW = os.environ.get("MOMENT_SLOW", "") not in ("", "0")
PATIENCE = 60.0 if "asan" in BIN else 20.0  # seconds until something that must come counts as missing

HEADER = struct.Struct("<IBBHQQQQqqHHHBB")
FIELDS = "length version kind type sequence customer account time amount balance currency country mcc touchpoint flags".split()
(HELLO, WELCOME, EVENT, ACK, VERDICT, MESSAGE, RECEIPT, REPLY, COMMAND, PROFILE, SUBSCRIBE, PING, PONG, ERROR,
 MANAGE, CHALLENGE, PROOF) = range(1, 18)
VERDICT_WANTED, REVERSAL, MAYBE_REPEAT, NOT_DURABLE = 1, 2, 4, 8
NO_BALANCE = -2**63
EPOCH = 1772443800 * 10**9  # 2026-03-02T09:30:00Z

CATALOGUE = """
bank: { currency: EUR, zone: Europe/Madrid, country: ES, language: en, lateness: 30d, ref_memory: 35d, starts: empty }
rates: { USD: 0.92 }
channels: { push: { max: 240 }, sms: { max: 160 }, email: { max: 2000 } }
events:
  purchase: { code: 1, body: { merchant: string } }
  transfer: { code: 2, body: { payee: string } }
  login: { code: 3 }
  noise: { code: 40, history: rules }
groups: { debit: [purchase, transfer] }
profile: { language: { type: string, default: en }, name: { type: string } }
aggregates:
  n_1h: { over: [purchase], count: true, within: 1h }
  n_ever: { over: [purchase], count: true }
  spent_1h: { over: [debit], sum: base, within: 1h }
  account_1h: { over: [debit], sum: amount, within: 1h, per: account }
  largest: { over: [purchase], max: amount, mixed: true, before: true }
fraud:
  thresholds: { review: 50, decline: 80 }
  rules:
    large: { events: [purchase], when: 'event.amount > 50000', score: 60 }
    many: { events: [purchase], when: 'agg.n_1h > 3', score: 30 }
critical:
  out: { events: [transfer], when: 'event.amount > 20000', repeat: every, message: out, channels: [sms], fresh: 30d }
subscriptions:
  spent:
    events: [purchase]
    params: { threshold: { type: money, default: "5 EUR" } }
    when: 'event.amount > param.threshold'
    repeat: every
    message: spent
    channels: [push]
    fresh: 30d
  posted: { events: [purchase], stages: [posted], repeat: every, message: posted, channels: [email], fresh: 30d }
messages:
  spent: { en: "{event.amount, money} at {event.merchant}: {agg.n_1h} this hour, {agg.spent_1h, money}, number {agg.n_ever}, before at most {agg.largest, number}." }
  posted: { en: "Posted {event.amount, money}; account {agg.account_1h, money}." }
  out: { en: "{event.amount, money} left; {agg.spent_1h, money} this hour, account {agg.account_1h, money}." }
"""


class Skip(Exception):
    """The case cannot run here."""


class Closed(Exception):
    """The engine ended the connection; .error is its ERROR, if it sent one."""

    def __init__(self, error=None):
        super().__init__("connection closed" + (": %r" % (error,) if error else ""))
        self.error = error


# ---- frames ----

def frame(kind, body=None, **fields):
    """A frame. body: a map, or raw bytes. Any header field by name; length is right unless given."""
    data = b"" if body is None else body if isinstance(body, bytes) else msgpack.encode(body)
    values = dict.fromkeys(FIELDS, 0)
    values.update(length=64 + len(data), version=1, kind=kind)
    values.update(fields)
    return HEADER.pack(*(values[f] for f in FIELDS)) + data


def event(sequence, body=None, type=1, customer=7, account=70, time=EPOCH, amount=1250, balance=NO_BALANCE, currency=978, **fields):
    body = {"merchant": "Sol"} if body is None else body
    return frame(EVENT, body, sequence=sequence, type=type, customer=customer, account=account, time=time, amount=amount,
                 balance=balance, currency=currency, **fields)


def profile(sequence, customer, **attributes):
    return frame(PROFILE, {"set": attributes or {"language": "en"}}, sequence=sequence, customer=customer)


def account_record(sequence, account, *holders):
    """holders: (customer, role)"""
    return frame(PROFILE, {"set": {"holders": [{"customer": c, "role": r} for c, r in holders]}}, sequence=sequence, account=account)


def subscribe(sequence, customer, kind="spent", **rest):
    return frame(SUBSCRIBE, dict({"kind": kind}, **rest), sequence=sequence, customer=customer)


def hello_source(name, stream, acknowledged=0, first=None, **rest):
    body = {"role": "source", "name": name, "version": 1, "stream": stream,
            "first": acknowledged + 1 if first is None else first}
    body.update(rest)
    return frame(HELLO, {k: v for k, v in body.items() if v is not None}, sequence=acknowledged)


def hello_gateway(name, channels, session=0, accepted=0):
    body = {"role": "gateway", "name": name, "version": 1, "channels": list(channels)}
    if session:
        body["session"] = session
    return frame(HELLO, body, sequence=accepted)


class Frame:
    """One that came: header fields as attributes, .raw_body, .body decoded when asked for."""
    __slots__ = FIELDS + ["raw_body"]

    def __init__(self, header, raw_body):
        for name, value in zip(FIELDS, header):
            setattr(self, name, value)
        self.raw_body = raw_body

    @property
    def body(self):
        return msgpack.decode_body(self.raw_body)

    def __repr__(self):
        return "kind %d type %d sequence %d flags %d %r" % (self.kind, self.type, self.sequence, self.flags, self.body)


class Connection:
    """Bytes and frames, nothing that helps: what is sent is exactly what the test says."""

    def __init__(self, port, timeout=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout or PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout or PATIENCE
        self.buffer = bytearray()
        self.sent = 0  # bytes: ERROR's offset is counted so

    def send(self, *frames):
        self.socket.settimeout(self.timeout)
        data = b"".join(frames)
        self.sent += len(data)
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed(self.last_error()) from None

    def last_error(self):
        """The body of the ERROR that stands in what was received, None when there is none."""
        try:
            while True:
                f = self.receive(1.0)
                if f is None:
                    return None
                if f.kind == ERROR:
                    return f.body
        except Closed as closed:
            return closed.error

    def take(self):
        """A whole frame of the buffer, None when there is none."""
        if len(self.buffer) < 64:
            return None
        header = HEADER.unpack_from(self.buffer)
        if len(self.buffer) < header[0]:
            return None
        got = Frame(header, bytes(self.buffer[64:header[0]]))
        del self.buffer[:header[0]]
        return got

    def receive(self, timeout=None):
        """The next frame; None after timeout seconds; Closed at the end, with the ERROR that came before it."""
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.take()
            if got:
                if got.kind == ERROR:
                    raise Closed(got.body)
                return got
            left = until - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except socket.timeout:
                return None
            except OSError:
                raise Closed() from None
            if not data:
                raise Closed()
            self.buffer += data

    def expect(self, kind, timeout=None):
        """The next frame of that kind; others are passed over (Closed, AssertionError when none comes)."""
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.receive(max(0.0, until - time.monotonic()))
            assert got is not None, "no frame of kind %d came" % kind
            if got.kind == kind:
                return got

    def closed(self, code=None, timeout=None):
        """Waits for the end. The ERROR's body, or None; with `code` it must have that code."""
        try:
            while True:
                got = self.receive(timeout)
                assert got is not None, "the connection is still open"
        except Closed as closed:
            error = closed.error
        if code:
            assert error and error["code"] == code, "ERROR %s expected, not %r" % (code, error)
        if error:  # nothing may come behind it but the end
            try:
                assert self.receive(timeout) is None and False, "still open behind ERROR"
            except Closed as closed:
                assert closed.error is None
        return error

    def alive(self):
        """Answers a PING: the connection works."""
        stamp = random.getrandbits(40) + 1
        self.send(frame(PING, time=stamp))
        while True:
            if self.expect(PONG).time == stamp:
                return True

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends it with RST, as a process that dies with unread bytes does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stream_of(name):
    return (name.encode() + b"stream-0123456789")[:16]


class Source(Connection):
    """A connection that said HELLO as a source. .expected: WELCOME's sequence; .acknowledged."""

    def __init__(self, port, name="core", stream=None, acknowledged=0, first=None, timeout=None, **rest):
        super().__init__(port, timeout)
        self.name, self.stream, self.acknowledged = name, stream or stream_of(name), acknowledged
        self.verdicts = {}
        self.send(hello_source(name, self.stream, acknowledged, first, **rest))
        self.welcome = self.expect(WELCOME)
        self.expected = self.welcome.sequence

    def wait_ack(self, sequence, timeout=None):
        while self.acknowledged < sequence:
            got = self.receive(timeout)
            assert got is not None, "no ACK of %d, the last was %d" % (sequence, self.acknowledged)
            if got.kind == ACK:
                assert got.type == EVENT and got.sequence >= self.acknowledged, got
                self.acknowledged = got.sequence
            elif got.kind == VERDICT:
                self.verdicts[got.sequence] = got
        return self

    def feed(self, frames):
        """Sends frames and waits until the last of them is acknowledged."""
        frames = list(frames)
        self.send(*frames)
        return self.wait_ack(max(HEADER.unpack_from(f)[4] for f in frames)) if frames else self

    def customers(self, *numbers, kinds=("spent",)):
        """Profiles and subscriptions, from .expected on; moves it."""
        frames = []
        for n in numbers:
            frames.append(profile(self.expected + len(frames), n))
            for kind in kinds:
                frames.append(subscribe(self.expected + len(frames), n, kind))
        self.feed(frames)
        self.expected += len(frames)
        return self


class Gateway(Connection):
    """A connection that said HELLO as a gateway. messages: all that came, in order."""

    def __init__(self, port, name="gate", channels=("push", "sms", "email"), session=0, accepted=0, timeout=None):
        super().__init__(port, timeout)
        self.send(hello_gateway(name, channels, session, accepted))
        self.welcome = self.expect(WELCOME)
        self.session = self.welcome.body["session"]
        self.messages = []

    def take_messages(self, count, accept=True, timeout=None):
        """Waits for `count` more messages and returns them; accept: acknowledges the last."""
        got = []
        while len(got) < count:
            f = self.receive(timeout)
            assert f is not None, "%d of %d messages came" % (len(got), count)
            if f.kind == MESSAGE:
                self.messages.append(f)
                assert f.sequence == len(self.messages), "messages are numbered from 1 without a gap"
                got.append(f)
                if accept and len(got) % 1000 == 0:
                    self.accept(f.sequence)
        if accept and got:
            self.accept(got[-1].sequence)
        return got

    def accept(self, sequence):
        self.send(frame(ACK, type=MESSAGE, sequence=sequence))

    def nothing_comes(self, seconds=0.3):
        f = self.receive(seconds)
        assert f is None, f


def key_of(message):
    body = message.body
    return body["id"], body["leg"]


def canonical(message):
    """What must be the same in every run: the frame with sequence 0 and flags 0."""
    values = [getattr(message, f) for f in FIELDS]
    values[FIELDS.index("sequence")] = values[FIELDS.index("flags")] = 0
    return HEADER.pack(*values) + message.raw_body


# ---- processes ----

class Dirs:
    def __init__(self):
        self.made = []

    def new(self, name="moment"):
        path = tempfile.mkdtemp(prefix="sys-%s-" % name)
        self.made.append(path)
        return path

    def clean(self):
        for path in self.made:
            shutil.rmtree(path, ignore_errors=True)
        self.made = []


dirs = Dirs()
running = []


def catalogue_dir(text=CATALOGUE, path=None):
    path = path or dirs.new("catalogue")
    with open(os.path.join(path, "all.yaml"), "w") as f:
        f.write(text)
    return path


def run(program, *args, input=None, timeout=None):
    """Runs a binary to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([os.path.join(BIN, program), *map(str, args)], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout or 3 * PATIENCE, text=True)
    return done.returncode, done.stdout, done.stderr


class Engine:
    """momentd on a port of its own. data, catalogue: directories, made when not given."""

    def __init__(self, data=None, catalogue=None, *options, listening=True, admin="off", clock="event"):
        self.data = data or os.path.join(dirs.new("data"), "data")
        self.catalogue = catalogue or catalogue_dir()
        self.log_path = os.path.join(dirs.new("log"), "stderr")
        self.log_file = open(self.log_path, "ab")
        self.admin, self.clock = admin, clock
        self.options = options or ("--segment", "2")
        mode = os.environ.get("MOMENT_PREFILTER")  # the way in of all that do not ask for one
        if mode and not any(option.startswith("--prefilter") for option in self.options):
            self.options += ("--prefilter=" + mode,)
        self.process = subprocess.Popen(
            [os.path.join(BIN, "momentd"), "--catalogue", self.catalogue, "--data", self.data, "--listen", "127.0.0.1:0",
             "--admin", admin, "--clock=" + clock, *self.options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log_file)
        running.append(self)
        self.pid = self.process.pid
        self.port = self.admin_port = None
        if listening:
            self.wait_listening()

    def wait_listening(self):
        line = self.process.stdout.readline().decode()
        found = re.match(r"momentd listens on port (\d+), admin on port (\d+)", line)
        assert found, "momentd did not start: %r, %s" % (line, self.log())
        self.port, self.admin_port = int(found[1]), int(found[2])
        return self

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait(self, timeout=None):
        """Its exit code."""
        code = self.process.wait(timeout or PATIENCE)
        self.process.stdout.close()
        self.log_file.close()
        if self in running:
            running.remove(self)
        return code

    def kill(self):
        self.process.kill()
        return self.wait()

    def stop(self):
        """SIGTERM: it must end with 0."""
        self.process.terminate()
        code = self.wait()
        assert code == 0, "momentd ended with %d: %s" % (code, self.log())

    def ask(self, path, method="GET"):
        """The admin port: (HTTP status, text)."""
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.admin_port, path), method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def status(self):
        """What `moment status --json` prints; needs admin="127.0.0.1:0". The equations must hold, always."""
        status = json.loads(self.ask("/status")[1])
        assert status["equations_hold"], status["equations"]
        return status

    def again(self, *options):
        """Another one on the same data, with the same options unless others are given."""
        return Engine(self.data, self.catalogue, *(options or self.options), admin=self.admin, clock=self.clock)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()


def replay(data, *options):
    """`moment replay`: {"position", "outputs", "state", "text"}; it must succeed."""
    code, out, err = run("moment", "replay", "--data", data, *options)
    assert code == 0, "replay %s: exit %d: %s" % (" ".join(options), code, err or out)
    text = out + err
    return {"text": text, **dict(re.findall(r"^(position|outputs|state) (\w+)$", text, re.M))}


def eventually(what, check, timeout=None):
    """Polls until check() is true."""
    until = time.monotonic() + (timeout or PATIENCE)
    while not check():
        assert time.monotonic() < until, "did not happen: " + what
        time.sleep(0.01)


class Worker(threading.Thread):
    """A thread whose failure fails the case: join with .finish()."""

    def __init__(self, work, *args):
        super().__init__(daemon=True)
        self.work, self.args, self.failure, self.result = work, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work(*self.args)
        except BaseException as failure:  # handed to the case's thread
            self.failure = failure

    def finish(self, timeout=None):
        self.join(timeout or 3 * PATIENCE)
        if self.failure:
            raise self.failure
        assert not self.is_alive(), "a worker did not end"
        return self.result


# ---- runner ----

cases = []


def case(function):
    cases.append((function.__name__, function))
    return function


def table_case(name, function):
    """A row of a table as a case of its own."""
    cases.append((name, function))


def slow(function):
    def skip_or_run():
        if not SLOW:
            raise Skip("slow: MOMENT_SLOW=1 runs it")
        function()
    skip_or_run.__name__ = function.__name__
    return skip_or_run


def kill_all():
    for engine in list(running):
        if engine.process.poll() is None:
            engine.process.kill()
        engine.wait()


def main():
    words = sys.argv[1:]
    passed = failed = skipped = 0
    print("seed %d, binaries %s" % (SEED, BIN))
    for name, function in cases:
        if words and not any(w in name for w in words):
            continue
        random.seed(SEED)
        started = time.monotonic()
        try:
            function()
            passed += 1
            print("ok %s (%.2f s)" % (name, time.monotonic() - started), flush=True)
        except Skip as why:
            skipped += 1
            print("%s skipped: %s" % (name, why), flush=True)
        except Exception:
            failed += 1
            print("FAILED %s\n%s" % (name, traceback.format_exc()), flush=True)
            for engine in running:
                print("--- momentd %d, log:\n%s" % (engine.pid, engine.log()[-6000:]))
        finally:
            kill_all()
            dirs.clean()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed or passed + skipped == 0 else 0)
