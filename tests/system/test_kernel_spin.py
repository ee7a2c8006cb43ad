#!/usr/bin/python3
"""What the kernel's way in costs the engine, and what it needs to be let in. Spinning: no system call and no wake-up for an event.
Asleep: woken at once for a kept event, for dropped ones only as often as their ACK needs. And privileges: without them it says
what is missing; once the program is loaded they are gone."""
import os
import pwd
import shutil
import signal
import subprocess
import time

from harness import BIN, Engine, Gateway, Source, catalogue_dir, dirs, event, main, running
from kernel import (DROPPED, REFERENCE, WINDOW_EVENTS, amount, arrived, cannot, event_of, filter_counts, in_modes,
                    need_root, runs_under, started, task_status, tasks, uniform, waits)

# System calls of a spinning engine: those of the disk and the ACK, by batch. An event alone on its way costs none.
SYSCALLS_BATCH_MAX, SYSCALLS_EVENT_MAX = 12, 0.25
QUARTERS_MAX = 20  # sleeps of the engine for each quarter of a window: one by the bell, the rest for the disk and the ACK
TIMED_MAX = 1100  # and a second: by its own clocks, the shortest of which is the millisecond after which it closes a batch


# ---- spinning ----

def one_a_segment(s, frames):
    for i, f in enumerate(frames):
        s.send(f)
        if i % 64 == 63:
            time.sleep(0.0005)  # so that a spinning engine meets them one by one


class Strace:
    """Counts the system calls of one thread of a process."""

    def __init__(self, pid):
        if not shutil.which("strace"):
            cannot("no strace")
        self.out = os.path.join(dirs.new("strace"), "counts")
        self.process = subprocess.Popen(["strace", "-c", "-p", str(pid), "-o", self.out], stderr=subprocess.PIPE)
        line = self.process.stderr.readline().decode()
        if "attached" not in line:
            self.process.wait()
            cannot("strace: " + line.strip())

    def counts(self):
        """{name: calls}"""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        calls = {}
        with open(self.out) as f:
            for line in f:
                parts = line.split()
                if len(parts) in (5, 6) and parts[0][0].isdigit() and parts[-1] != "total":
                    calls[parts[-1]] = int(parts[3])
        return calls


@in_modes("kernel")
def a_spinning_engine_makes_no_system_call_for_an_event(mode):
    frames = uniform(amount(6000, 60000))
    with started(mode, "--spin=always", "--segment", "8") as e:
        with runs_under(Source(e.port, "spin"), mode) as s:
            s.feed(frames[:10])
            strace = Strace(e.pid)
            one_a_segment(s, frames[10:])
            s.wait_ack(len(frames))
            calls = strace.counts()
            status = e.status()
    made, runs, batches = sum(calls.values()), filter_counts(status, "runs"), status["journal"]["batches"]
    print("  %d events in %d segments and %d batches: %d system calls, %r" % (len(frames), runs, batches, made, calls))
    assert runs > 0.9 * len(frames), "%d runs: several events shared a segment" % runs
    assert 0 < made < SYSCALLS_BATCH_MAX * batches + 50, "%d system calls for %d batches: %r" % (made, batches, calls)
    assert made < SYSCALLS_EVENT_MAX * len(frames), "%d system calls for %d events: %r" % (made, len(frames), calls)
    assert "recvfrom" not in calls and "recvmsg" not in calls and "epoll_wait" not in calls, calls
    arrived(e.data, "spin", frames, mode=mode)


@in_modes("kernel")
def a_spinning_engine_is_never_rung_for(mode):
    """Kept and dropped ones; with two CPUs it sleeps while a batch is on its way to the disk, and only then."""
    frames = [event_of(i, 64, 1 if i % 100 == 0 else DROPPED) for i in range(1, amount(6000, 60000))]
    with started(mode, "--spin=always", "--segment", "8") as e:
        with runs_under(Source(e.port, "spin"), mode) as s:
            before = waits(e.pid)
            one_a_segment(s, frames)
            s.wait_ack(len(frames))
            slept, status = waits(e.pid) - before, e.status()
    print("  %d events, %d sleeps, %d bells, %d batches" % (
        len(frames), slept, filter_counts(status, "bells"), status["journal"]["batches"]))
    assert slept < 4 * status["journal"]["batches"] + len(frames) // 20, "%d sleeps for %d batches" % (slept, status["journal"]["batches"])
    assert filter_counts(status, "bells") <= slept


# ---- asleep ----

def sleeps_for(mode, frames, one_by_one):
    """How often the engine's thread gave up its CPU, the seconds that it took, bells."""
    with started(mode, "--spin=never", "--segment", "8") as e:
        with runs_under(Source(e.port, "drowsy"), mode) as s:
            s.feed(frames[:1])
            time.sleep(0.2)
            before, began = waits(e.pid), time.monotonic()
            if one_by_one:
                for f in frames[1:]:
                    s.send(f)
            else:
                for at in range(1, len(frames), 1000):
                    s.send(*frames[at:at + 1000])
                    s.wait_ack(max(0, min(len(frames), at + 1000) - WINDOW_EVENTS + 1000))
            s.wait_ack(len(frames))
            seconds, slept = time.monotonic() - began, waits(e.pid) - before
            bells = filter_counts(e.status(), "bells") if mode == "kernel" else 0
            assert e.status()["events"]["filtered"] == len(frames)
    print("  %s: %d dropped events in %.2f s, %d sleeps, %d bells" % (mode, len(frames), seconds, slept, bells))
    return slept, seconds, bells


@in_modes("kernel")
def dropped_events_wake_a_sleeping_engine_by_the_quarter_window(mode):
    frames = uniform(amount(2, 10) * WINDOW_EVENTS)
    slept, seconds, bells = sleeps_for(mode, frames, False)
    quarters = 4 * len(frames) / WINDOW_EVENTS
    assert slept < QUARTERS_MAX * quarters + TIMED_MAX * seconds, "%d sleeps for %d quarters of a window" % (slept, quarters)
    assert slept < len(frames) / 50, "%d sleeps for %d events" % (slept, len(frames))
    assert bells <= slept, bells


@in_modes("kernel")
def a_quarter_of_a_window_of_dropped_ones_rings(mode):
    """By their number, or by their bytes: the ACK comes long before the engine would look around by itself."""
    loads = {"number": uniform(WINDOW_EVENTS // 4 + 64), "bytes": [event_of(i, 60000, DROPPED) for i in range(1, 21)]}
    with started(mode, "--spin=never", "--segment", "8") as e:
        for name, frames in loads.items():
            taken = []
            with runs_under(Source(e.port, name), mode) as s:
                for attempt in range(amount(9, 40)):
                    first = s.expected + attempt * len(frames)
                    again = [f[:8] + (first + i).to_bytes(8, "little") + f[16:] for i, f in enumerate(frames)]
                    time.sleep(0.08 + attempt % 5 * 0.011)
                    before, began = filter_counts(e.status(), "bells"), time.monotonic()
                    s.feed(again)
                    taken.append(time.monotonic() - began)
                    assert filter_counts(e.status(), "bells") > before, "%s: no bell" % name
            taken.sort()
            print("  by %s: ACK of all after %.1f ms, at most %.1f ms" % (name, taken[len(taken) // 2] * 1e3, taken[-1] * 1e3))
            assert taken[len(taken) // 2] < 0.020, taken


@in_modes("kernel", *REFERENCE)
def dropped_events_one_a_segment_wake_nobody(mode):
    frames = uniform(amount(8000, 60000))
    slept, seconds, bells = sleeps_for(mode, frames, True)
    if mode == "kernel":
        assert slept < TIMED_MAX * seconds + QUARTERS_MAX and slept < len(frames) / 20, "%d sleeps for %d events" % (
            slept, len(frames))
    else:
        assert slept > len(frames) / 100, "the yardstick: user space wakes for what it drops"


@in_modes("kernel", "user")
def a_kept_event_wakes_a_sleeping_engine_at_once(mode):
    """Far below the 50 ms after which it looks around by itself; among dropped ones too."""
    taken = []
    with started(mode, "--spin=never", "--segment", "8") as e, Gateway(e.port) as g:
        with runs_under(Source(e.port, "kept"), mode) as s:
            s.customers(7)
            at = s.expected
            for i in range(amount(30, 200)):
                s.send(*uniform(i % 3, first=at))
                at += i % 3
                time.sleep(0.012 + i % 7 * 0.003)
                began = time.monotonic()
                s.send(event(at))
                at += 1
                g.take_messages(1)
                taken.append(time.monotonic() - began)
    taken.sort()
    half, most = taken[len(taken) // 2], taken[len(taken) * 9 // 10]
    print("  %s: event to message p50 %.2f ms, p90 %.2f ms, longest %.2f ms" % (mode, half * 1e3, most * 1e3, taken[-1] * 1e3))
    assert half < 0.010 and most < 0.035, (half, most)


@in_modes("kernel")
def an_idle_engine_with_idle_sources_rests(mode):
    with started(mode, "--spin=never", "--segment", "8") as e:
        idle = [runs_under(Source(e.port, "idle%d" % i), mode) for i in range(8)]
        idle[0].feed(uniform(100))
        time.sleep(0.5)
        before = waits(e.pid)
        time.sleep(1)
        assert waits(e.pid) - before < 60, "%d sleeps a second with nothing to do" % (waits(e.pid) - before)
        assert all(s.alive() for s in idle)


# ---- privileges ----

NEEDED = {"CAP_NET_ADMIN": ["-net_admin"], "CAP_BPF": ["-bpf", "-sys_admin"], "CAP_PERFMON": ["-perfmon", "-sys_admin"]}
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39, "CAP_SETUID": 7,
                "CAP_SYS_MODULE": 16, "CAP_NET_RAW": 13}


class Unprivileged:
    """momentd behind `setpriv`, on directories that it may use."""

    def __init__(self, mode, *setpriv, owner=0):
        if not shutil.which("setpriv"):
            cannot("no setpriv")
        need_root()
        top = dirs.new("unprivileged")
        self.programs = os.path.join(top, "bin")
        os.mkdir(self.programs)
        shutil.copy(os.path.join(BIN, "momentd"), self.programs)
        self.data = os.path.join(top, "data")
        os.mkdir(self.data)
        os.mkdir(os.path.join(top, "catalogue"))
        catalogue = catalogue_dir(path=os.path.join(top, "catalogue"))
        for where, _, files in os.walk(top):
            for path in [where] + [os.path.join(where, f) for f in files]:
                os.chown(path, owner, owner)
                os.chmod(path, 0o755)
        self.command = ["setpriv", *setpriv, os.path.join(self.programs, "momentd"), "--catalogue", catalogue, "--data", self.data,
                        "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--prefilter=" + mode, "--segment", "2",
                        "--clock=event"]


def refused(*setpriv, owner=0):
    """What --prefilter=kernel says, started so."""
    done = subprocess.run(Unprivileged("kernel", *setpriv, owner=owner).command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=30)
    assert done.returncode == 1 and "listens" not in done.stdout, (done.returncode, done.stdout, done.stderr)
    return done.stderr


@in_modes("kernel")
def without_a_capability_it_is_named(mode):
    for name, dropped in NEEDED.items():
        said = refused("--bounding-set", ",".join(dropped), "--inh-caps", ",".join(dropped))
        assert name in said and "--prefilter=kernel" in said, said


@in_modes("kernel")
def nobody_is_refused_by_name(mode):
    nobody = pwd.getpwnam("nobody").pw_uid
    said = refused("--reuid", str(nobody), "--regid", str(nobody), "--clear-groups", owner=nobody)
    assert "CAP_" in said, said


@in_modes("kernel")
def auto_without_privileges_runs_in_user_space_and_says_so(mode):
    nobody = pwd.getpwnam("nobody").pw_uid
    u = Unprivileged("auto", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups", owner=nobody)
    e = Engine.__new__(Engine)  # of a command that the harness does not know
    e.data, e.catalogue, e.admin, e.clock, e.options = u.data, None, "", "event", ()
    e.log_path = os.path.join(dirs.new("log"), "stderr")
    e.log_file = open(e.log_path, "ab")
    e.process = subprocess.Popen(u.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=e.log_file)
    e.pid = e.process.pid
    running.append(e)
    with e.wait_listening(), runs_under(Source(e.port, "plain"), "user") as s:
        frames = uniform(50) + [event(51)]
        s.feed(frames)
        status = e.status()
        assert status["engine"]["filter"] == "user" and "CAP_" in status["engine"]["filter_why"], status["engine"]
        assert status["events"]["filtered"] == 50
        assert 'filter="user"' in e.ask("/metrics")[1]


@in_modes("kernel")
def auto_with_privileges_runs_in_the_kernel_and_says_so(mode):
    with started("auto") as e, runs_under(Source(e.port, "plain"), "kernel"):
        assert e.status()["engine"]["filter"] == "kernel" and "filter_why" not in e.status()["engine"]


@in_modes("kernel", "user", "off")
def once_it_runs_no_thread_has_a_capability_to_spare(mode):
    with started(mode) as e, runs_under(Source(e.port, "plain"), mode) as s:
        s.feed(uniform(10))
        names = tasks(e.pid)
        assert len(names) >= 2, names
        for tid, name in names.items():
            status = task_status(e.pid, tid)
            for field in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                mask = int(status[field], 16)
                for capability, bit in CAPABILITIES.items():
                    assert not mask >> bit & 1, "thread %s has %s in %s" % (name, capability, field)
            assert status["NoNewPrivs"] == "1", name
        # and map updates, joining sockets and reloads go on working
        with runs_under(Source(e.port, "later"), mode) as later:
            later.feed(uniform(10))
        assert e.ask("/reload", "POST")[0] == 200


if __name__ == "__main__":
    main()
