"""refs.py: the bank's references: which (stage, type) of one were seen, and its counted entry (decisions 12 to 17).

A reference is remembered from its first event for `ref_memory` of *now*, not extended; when `refs_max` are remembered
the oldest goes. Oldest = first in the dict, since now never goes back.
"""

PARTS_MAX = 6


class Ref:
    def __init__(self, first_now, position):
        self.first_now = first_now
        self.position = position  # of its first event
        self.parts = set()  # (stage, type code)
        self.entry = None  # the counted event's


class Refs:
    def __init__(self):
        self.by_name = {}
        self.dropped = 0  # went before their time
        self.memory = 0
        self.count_max = 0

    def activate(self, catalogue, now):
        self.forget_old(now)  # a longer memory brings none back
        self.memory = catalogue.ref_memory
        self.count_max = catalogue.refs_max

    def find(self, name, now):
        self.forget_old(now)
        return self.by_name.get(name)

    def forget_old(self, now):
        while self.by_name:
            name, oldest = next(iter(self.by_name.items()))
            if now - oldest.first_now < self.memory:
                break
            del self.by_name[name]

    def oldest_position(self):
        """None: nothing is remembered."""
        return next(iter(self.by_name.values())).position if self.by_name else None

    def remember(self, name, now, position):
        self.forget_old(now)
        while len(self.by_name) >= self.count_max:
            del self.by_name[next(iter(self.by_name))]
            self.dropped += 1
        self.by_name[name] = Ref(now, position)
        return self.by_name[name]
