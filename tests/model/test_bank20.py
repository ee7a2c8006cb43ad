#!/usr/bin/python3
"""test_bank20.py: the workload bank-20 has the counts and digests that are known of it, by the model and by plain Python.

The figures for 100,000 customers are those of shared/workload/bank-20-expected.json, which is compared too when it is there; those
for 1 M customers were made by both judges here. MOMENT_LARGE=1 runs 1,000,000 events of each. Ends with `N passed, N failed`.
"""
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, "..", "..", "..", "shared")
sys.path.insert(0, HERE)

import bank20

# (customers, events): (total, digest)
KNOWN = {
    (100000, 1000): (172, 2948477552), (100000, 5000): (1008, 301620356), (100000, 10000): (1976, 347173883),
    (100000, 20000): (4127, 4132075738), (100000, 50000): (10661, 2688002456), (100000, 100000): (21845, 2383969777),
    (100000, 200000): (36492, 3895810020), (100000, 300000): (51400, 3266220584), (100000, 500000): (82876, 1703782102),
    (100000, 1000000): (169842, 1748072044),
    (1000000, 1000): (165, 2264062298), (1000000, 5000): (920, 1921621956), (1000000, 10000): (1978, 2447662734),
    (1000000, 20000): (4100, 2181607536), (1000000, 50000): (10598, 3382948816), (1000000, 100000): (21294, 3319665578),
    (1000000, 200000): (35154, 502467856), (1000000, 300000): (48859, 1337481637), (1000000, 500000): (75933, 3790231731),
    (1000000, 1000000): (152023, 3763401792),
}
COUNTS = {
    100000: [1338, 949, 2063, 3267, 2072, 335, 587, 25, 215, 657, 124, 1458, 79, 193, 36, 138, 353, 7888, 64, 4],
    1000000: [12786, 15922, 19935, 32339, 23048, 5216, 6137, 652, 3179, 7132, 1114, 14975, 841, 1864, 845, 1621, 4794, 16509, 637, 296],
}
COUNTS_1M = [12841, 8988, 19967, 32605, 21623, 4691, 6288, 190, 2265, 6669, 946, 7545, 896, 1890, 365, 1413, 4921, 17043, 596, 281]
LARGE = bool(os.environ.get("MOMENT_LARGE"))


class Bank20(unittest.TestCase):
    def results(self, judge, customers, events, *more):
        workload = bank20.Workload(customers)
        at = {n for c, n in KNOWN if c == customers and n <= events}
        return bank20.run(workload, judge(workload, *more), events, at)

    def same(self, results, customers):
        self.assertEqual({n: (each["total"], each["digest"]) for n, each in results.items()},
                         {n: known for (c, n), known in KNOWN.items() if c == customers and n <= max(results)})

    def test_the_model_has_the_known_counts_and_digests(self):
        results = self.results(bank20.ThroughModel, 100000, 1000000 if LARGE else 100000)
        self.same(results, 100000)
        self.assertEqual(results[100000]["counts"], COUNTS[100000])
        if LARGE:
            self.assertEqual(results[1000000]["counts"], COUNTS[1000000])

    def test_plain_python_has_them_too(self):
        self.same(self.results(bank20.Plain, 100000, 1000000 if LARGE else 100000), 100000)

    @unittest.skipUnless(LARGE, "skipped: 1 M customers (MOMENT_LARGE=1)")
    def test_one_million_customers(self):
        for judge in (bank20.ThroughModel, bank20.Plain):
            results = self.results(judge, 1000000, 1000000)
            self.same(results, 1000000)
            self.assertEqual(results[1000000]["counts"], COUNTS_1M)

    def test_a_count_that_is_off_by_one_is_found(self):
        """The data reaches the limits: each of these changes shows."""
        right = self.results(bank20.Plain, 2000, 20000)[20000]
        for old, new in [("agg.bought_10m >= 6", "agg.bought_10m >= 7"), ("agg.guesses >= 4", "agg.guesses >= 5"), ("agg.declines >= 3", "agg.declines >= 2"),
                         ("count: true, before: true", "count: true"), ("within: 10m", "within: 9m"), ("duration(\"60m\")", "duration(\"50m\")"),
                         ("event.mcc == mcc.gambling", "event.mcc == 5411"), ("0 > event.balance &&", "0 >= event.balance - 1000 &&")]:
            self.assertIn(old, bank20.CATALOGUE)
            wrong = self.results(bank20.ThroughModel, 2000, 20000, bank20.CATALOGUE.replace(old, new))[20000]
            self.assertNotEqual(wrong, right, old)
        self.assertEqual(self.results(bank20.ThroughModel, 2000, 20000)[20000], right)

    def test_the_shared_figures_are_the_same(self):
        path = os.path.join(SHARED, "workload", "bank-20-expected.json")
        if not os.path.exists(path):
            self.skipTest("skipped: shared/workload/bank-20-expected.json is not there")
        with open(path, encoding="utf-8") as file:
            expected = json.load(file)
        self.assertEqual({int(n): (each["total"], each["digest"]) for n, each in expected.items()},
                         {n: known for (customers, n), known in KNOWN.items() if customers == 100000})
        for events, counts in COUNTS.items():
            self.assertEqual(expected[str(events)]["counts"], counts)

    def test_the_shared_catalogue_gives_the_same(self):
        path = os.path.join(SHARED, "catalogue", "bank-20.yaml")
        if not os.path.exists(path):
            self.skipTest("skipped: shared/catalogue/bank-20.yaml is not there")
        with open(path, encoding="utf-8") as file:
            self.same(self.results(bank20.ThroughModel, 100000, 20000, file.read()), 100000)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    for _, why in result.skipped:
        print(why)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
