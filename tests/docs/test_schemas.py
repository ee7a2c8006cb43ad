#!/usr/bin/env python3
"""The schemas of schemas/catalogue and `moment check` agree: what one takes the other takes, what is wrong in shape both refuse. Validates
with the keywords that these schemas use, and fails on any other. Ends with `N passed, N failed`."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOMENT = os.path.join(TOP, os.environ.get("MOMENT_BIN", "build/release"), "moment")
SCHEMAS = os.path.join(TOP, "schemas", "catalogue")
passed = failed = 0


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: true/false, ints, decimals; all else is text."""


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), "tf")
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?[0-9]+$"), "-0123456789")
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), "-0123456789")
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:~|null|)$"), ["~", "n", ""])


def case(name, good, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED {name}: {why}")


def load(name):
    with open(os.path.join(SCHEMAS, name)) as f:
        return json.load(f)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def same(a, b):
    return type(a) is type(b) and a == b


def valid_object(schema, value):
    patterns = schema.get("patternProperties", {})
    for key, inner in value.items():
        found = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        found += [s for p, s in patterns.items() if re.search(p, key)]
        rest = schema.get("additionalProperties", True)
        if not found and rest is False:
            return False
        if not found and isinstance(rest, dict):
            found = [rest]
        if not all(valid(s, inner) for s in found):
            return False
    return all(key in value for key in schema.get("required", []))


def valid_array(schema, value):
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    if schema.get("uniqueItems") and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
        return False
    return all(valid(schema["items"], item) for item in value) if "items" in schema else True


KNOWN = {"$schema", "$id", "$ref", "title", "description", "default", "examples", "type", "properties", "patternProperties", "additionalProperties",
         "required", "items", "minItems", "maxItems", "uniqueItems", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum",
         "minLength", "maxLength",
         "anyOf", "oneOf", "not", "minProperties", "maxProperties", "propertyNames"}


def valid(schema, value):
    if not set(schema) <= KNOWN:
        raise SystemExit(f"a keyword that is not checked: {set(schema) - KNOWN}")
    if "$ref" in schema and not valid(load(schema["$ref"]), value):
        return False
    types = schema.get("type", [])
    if types and not any(is_type(value, t) for t in ([types] if isinstance(types, str) else types)):
        return False
    if "enum" in schema and not any(same(value, e) for e in schema["enum"]):
        return False
    if "const" in schema and not same(value, schema["const"]):
        return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    if is_type(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if is_type(value, "number") and "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return False
    if isinstance(value, dict) and not (valid_object(schema, value) and valid_names(schema, value)):
        return False
    if isinstance(value, list) and not valid_array(schema, value):
        return False
    if "anyOf" in schema and not any(valid(s, value) for s in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(valid(s, value) for s in schema["oneOf"]) != 1:
        return False
    return not ("not" in schema and valid(schema["not"], value))


def valid_names(schema, value):
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    return all(valid(schema["propertyNames"], key) for key in value) if "propertyNames" in schema else True


BASE = """
bank: { currency: EUR, language: en, starts: empty }
events:
  pay: { code: 1, body: { payee: string, lat: double, points: int } }
  login: { code: 2 }
profile: { zone: { type: string, default: Europe/Madrid }, home: { type: int } }
messages: { m: { en: 'Hello' } }
channels: { push: { max: 100 } }
"""

GOOD = {
    "windows": """
aggregates:
  a: { over: [pay], distinct: body.payee, per: account, within: 400d }
  b: { over: [pay], distinct: country, calendar: month }
  c: { over: [pay], deviation: amount, per: currency, before: true }
  d: { over: [pay], last: [time, country, lat, body.payee], where: 'event.lat > 1.0' }
  e: { over: [pay], last: [time], per: [customer, body.payee], keys: 200 }
  f: { over: [pay], sum: body.points, per: body.payee, keys: 1000000 }
  g: { over: [any], count: true, per: [customer, account, card, currency] }
  h: { over: [pay], last: payee }
""",
    "patterns": """
patterns:
  p: { within: 30m, unless: [login], per: [customer, body.payee], keys: 9, steps: [ { events: [pay], when: 'event.lat > 1.0', times: 1000 } ] }
fraud: { rules: { r: { events: [pattern.p], score: 9, confidential: true } } }
critical: { c: { events: [pattern.p], repeat: every, message: m } }
subscriptions: { s: { events: [pattern.p], repeat: every, message: m } }
""".replace("unless: [login], ", ""),
    "unless": "patterns: { p: { within: 1w, unless: [login], steps: [ { events: [login] }, { events: [pay] } ] } }\n",
    "lists": "lists: { a: [country.ES, 5, -7], b: [alpha, 'beta', \"9\"] }\n",
}

WRONG = {
    "two functions": "aggregates: { a: { over: [pay], count: true, deviation: base } }",
    "no function": "aggregates: { a: { over: [pay] } }",
    "calendar and within": "aggregates: { a: { over: [pay], count: true, within: 1d, calendar: day } }",
    "unknown calendar": "aggregates: { a: { over: [pay], count: true, calendar: year } }",
    "empty per": "aggregates: { a: { over: [pay], count: true, per: [] } }",
    "five parts": "aggregates: { a: { over: [pay], count: true, keys: 1, per: [customer, account, card, currency, body.payee] } }",
    "a part twice": "aggregates: { a: { over: [pay], count: true, per: [card, card] } }",
    "an unknown part": "aggregates: { a: { over: [pay], count: true, per: merchant } }",
    "no keys": "aggregates: { a: { over: [pay], count: true, keys: 0, per: body.payee } }",
    "too many keys": "aggregates: { a: { over: [pay], count: true, keys: 1000001, per: body.payee } }",
    "distinct amounts": "aggregates: { a: { over: [pay], distinct: amount } }",
    "a sum without body.": "aggregates: { a: { over: [pay], sum: points } }",
    "an empty record": "aggregates: { a: { over: [pay], last: [] } }",
    "a record twice": "aggregates: { a: { over: [pay], last: [time, time] } }",
    "no steps": "patterns: { p: { within: 3m, steps: [] } }",
    "nine steps": "patterns: { p: { within: 3m, steps: [" + "{ events: [pay] }, " * 9 + "] } }",
    "no within": "patterns: { p: { steps: [ { events: [pay] } ] } }",
    "a step without events": "patterns: { p: { within: 3m, steps: [ { times: 2 } ] } }",
    "1001 times": "patterns: { p: { within: 3m, steps: [ { events: [pay], times: 1001 } ] } }",
    "a step with score": "patterns: { p: { within: 3m, steps: [ { events: [pay], score: 1 } ] } }",
    "an empty unless": "patterns: { p: { within: 3m, unless: [], steps: [ { events: [pay] } ] } }",
    "an empty list": "lists: { l: [] }",
    "a list of a map": "lists: { l: [ { a: 1 } ] }",
    "a value twice": "lists: { l: [1, 1] }",
    "a double in a list": "lists: { l: [1.5] }",
    "confidential is no bool": "fraud: { rules: { r: { events: [pay], score: 1, confidential: 7 } } }",
    "a confidential message": "critical: { r: { events: [pay], repeat: every, message: m, confidential: true } }",
}


def check(text):
    with tempfile.TemporaryDirectory() as work:
        for name, part in (("a", BASE), ("b", text)):
            with open(os.path.join(work, name + ".yaml"), "w") as f:
                f.write(part)
        done = subprocess.run([MOMENT, "check", work], capture_output=True, text=True)
    return done.returncode == 0, done.stdout


def main():
    schema = load("catalogue.schema.json")
    for path in sorted(glob.glob(os.path.join(TOP, "schemas", "demo-bank", "*.yaml"))):
        with open(path) as f:
            case(f"{os.path.basename(path)} of the demo bank fits the schema", valid(schema, yaml.load(f, Loader)))
    for name, text in dict(GOOD, base="").items():
        good, said = check(text)
        case(f"{name}: moment check takes it", good, said)
        case(f"{name}: the schema takes it", valid(schema, yaml.load(BASE + text, Loader)))
    for name, text in WRONG.items():
        case(f"{name}: moment check refuses it", not check(text)[0])
        case(f"{name}: the schema refuses it", not valid(schema, yaml.load(text, Loader)))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
