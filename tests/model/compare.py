#!/usr/bin/python3
"""compare.py: what the engine made of a journal against what the model makes of it.

    compare.py --catalogue DIR --bank FILE --journal DIR --messages FILE [--outcomes FILE] [--verdicts FILE]

--catalogue  directory of YAML; given again, the k-th is the k-th different catalogue that the journal activates
--bank       NDJSON as `moment import` took it before the journal began
--journal    the journal's directory (or the data directory that holds `journal`)
--messages   a MESSAGE a line: {"leg_number": 1, "frame": "<hex, sequence 0 and flags 0>"}, from `moment replay --json`
--outcomes   {"position": 1, "outcome": "DECIDED"} a line, for every event; changes are compared when they are there
--verdicts   {"position": 1, "type": 1, "score": 60, "reasons": ["velocity"]} a line
--clock      event (default) or wall
--json       the counters of the model, as one JSON object, on success

Prints the first difference with its event, rule and the values of both, and exits with 1; 0 when all is equal.
"""
import argparse
import json
import os
import sys

import catalogue as language
import journal
import msgpack
from model import HEADER, KIND_EVENT, Header, Model, Refuse


class Differs(Exception):
    pass


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def show_frame(frame):
    header = Header(*HEADER.unpack_from(frame))
    return {**header._asdict(), **msgpack.decode_body(frame[64:])}


def show_differences(engine, model):
    """Only the fields in which two frames differ."""
    engine, model = show_frame(engine), show_frame(model)
    lines = []
    for key in list(model) + [key for key in engine if key not in model]:
        if engine.get(key) != model.get(key):
            lines.append(f"    {key}: engine {engine.get(key)!r}\n    {' ' * len(key)}  model  {model.get(key)!r}")
    return "\n".join(lines) or "    the same fields, packed differently"


class Comparison:
    def __init__(self, options):
        self.options = options
        self.model = Model(options.clock)
        self.directories = list(options.catalogue)
        self.active = None
        self.bank_done = False
        self.messages = sorted(lines_of(options.messages), key=lambda line: line["leg_number"])
        self.message_at = 0
        self.outcomes = self.by_position(options.outcomes)
        self.verdicts = self.by_position(options.verdicts)

    @staticmethod
    def by_position(path):
        return None if path is None else {line["position"]: line for line in lines_of(path)}

    def activate(self, payload, now):
        low, high = payload.catalogue[:8], payload.catalogue[8:]
        digest = high[::-1] + low[::-1]
        if digest == self.active:
            return
        if not self.directories:
            raise Differs("the journal activates more catalogues than were given")
        self.model.activate(language.load(self.directories.pop(0), digest), now, bool(payload.starts_empty))
        self.active = digest
        if not self.bank_done:
            self.import_bank()

    def import_bank(self):
        for number, line in enumerate(lines_of(self.options.bank), 1):
            try:
                self.model.import_line(line)
            except Refuse:
                print(f"{self.options.bank}:{number}: refused by the model: {line}", file=sys.stderr)
        self.bank_done = True

    def entry(self, batch, entry):
        now = batch.header.now if self.options.clock == "wall" else None
        if entry.kind == journal.ACTIVATE:
            self.activate(journal.decode(entry), now)
        elif entry.kind == journal.STREAM:
            payload = journal.decode(entry)
            self.model.source(entry.source, payload.name, payload.stream)
        elif entry.kind == journal.CLOCK:
            self.model.move_clock(journal.decode(entry).time)
        elif entry.kind == journal.FRAME:
            result = self.model.frame(entry.position, entry.source, bytes(entry.bytes), now)
            self.check(entry, result)

    def check(self, entry, result):
        event = lambda: self.describe(entry, result)
        if self.outcomes is not None and (result.kind == KIND_EVENT or entry.position in self.outcomes):
            engine = self.outcomes.get(entry.position, {}).get("outcome")
            if engine != result.outcome:
                raise Differs(f"outcome: engine {engine}, model {result.outcome}\n{event()}")
        if self.verdicts is not None and result.verdict is not None:
            engine = self.verdicts.get(entry.position)
            found = engine and (engine["type"], engine["score"], tuple(engine["reasons"]))
            if found != tuple(result.verdict):
                raise Differs(f"verdict: engine {found}, model {tuple(result.verdict)}\n{event()}")
        for message in result.messages:
            self.check_message(message, event)

    def check_message(self, message, event):
        if self.message_at == len(self.messages):
            raise Differs(f"message {self.message_at + 1}: the engine has no more, the model has one of rule "
                          f"{message.rule}\n    {message.body}\n{event()}")
        line = self.messages[self.message_at]
        frame = bytes.fromhex(line["frame"])
        if frame != message.frame:
            raise Differs(f"message {self.message_at + 1} (leg {line['leg_number']}), rule {message.rule} in the model\n"
                          f"{show_differences(frame, message.frame)}\n{event()}")
        self.message_at += 1

    def describe(self, entry, result):
        header = Header(*HEADER.unpack_from(entry.bytes))
        try:
            body = msgpack.decode_body(bytes(entry.bytes[64:]))
        except msgpack.BadBody as problem:
            body = f"unreadable: {problem}"
        type_ = self.model.catalogue.events.get(header.type)
        lines = [f"  at position {entry.position}, source {entry.source}, now {self.model.now}",
                 f"  {header}", f"  type {type_.name if type_ and header.kind == KIND_EVENT else header.type}, body {body}",
                 f"  model: {result.outcome}"]
        lines += [f"    {hit}" for hit in result.hits]
        return "\n".join(lines)

    def run(self):
        directory = os.path.join(self.options.journal, "journal")
        directory = directory if os.path.isdir(directory) else self.options.journal
        for batch in journal.read(directory):
            for entry in batch.entries:
                self.entry(batch, entry)
        if self.message_at < len(self.messages):
            line = self.messages[self.message_at]
            raise Differs(f"message {self.message_at + 1} (leg {line['leg_number']}): the model has no more, the engine has\n"
                          f"    {show_frame(bytes.fromhex(line['frame']))}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", required=True, action="append")
    parser.add_argument("--bank", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--messages", required=True)
    parser.add_argument("--outcomes")
    parser.add_argument("--verdicts")
    parser.add_argument("--clock", choices=["event", "wall"], default="event")
    parser.add_argument("--json", action="store_true")
    comparison = Comparison(parser.parse_args(arguments))
    try:
        comparison.run()
    except Differs as difference:
        print(f"DIFFERENT: {difference}")
        return 1
    counters = {".".join(key): value for key, value in sorted(comparison.model.counters.items())}
    if comparison.options.json:
        print(json.dumps(counters))
    else:
        events = sum(value for key, value in comparison.model.counters.items() if key[0] == "event")
        print(f"equal: {events} events, {comparison.message_at} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
