"""interest.py: what the pre-filter would do with an event, by its header alone (decisions 35).

The table of a catalogue is what a person worked out from its rules: `interest.json` in the catalogue's directory, a line per
event type that is not kept for everybody: "drop", or conditions that must all hold: `amount` (at least; with `currency` only in
that one), `touchpoint`, `country`, `mcc` (lists of codes; a field without data holds), `enrolled`. Without the file a type is
dropped when nothing uses it and its history is `rules`; else it is kept.
"""
import json
import os

KEEP, DROP, IF_ENROLLED = "keep", "drop", "if enrolled"


class Interest:
    def __init__(self, catalogue, directory=None):
        path = os.path.join(directory, "interest.json") if directory else ""
        self.entries = {}  # code -> DROP or conditions; not there: kept
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for name, entry in json.load(file).items():
                    code = catalogue.codes[name]
                    assert not catalogue.events[code].full and not catalogue.aggregates_of[code], name
                    self.entries[code] = entry
            return
        for code, type_ in catalogue.events.items():
            used = catalogue.fraud_of[code] or catalogue.critical_of[code] or catalogue.aggregates_of[code]
            if not (type_.full or used or any(code in rule.types for rule in catalogue.subscriptions.values())):
                self.entries[code] = DROP

    def decide(self, header):
        entry = self.entries.get(header.type, KEEP)
        if header.flags or entry == KEEP:
            return KEEP
        if entry == DROP or not self.holds(entry, header):
            return DROP
        return IF_ENROLLED if entry.get("enrolled") else KEEP

    @staticmethod
    def holds(entry, header):
        if "amount" in entry and entry.get("currency", header.currency) == header.currency and header.amount < entry["amount"]:
            return False
        for name in ("touchpoint", "country", "mcc"):
            code = getattr(header, name)
            if name in entry and code and code not in entry[name]:
                return False
        return True
