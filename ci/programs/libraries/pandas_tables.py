"""Tables of 300,000 rows that are grouped, joined, sorted and written."""

import numpy
import pandas

chance = numpy.random.default_rng(1)
rows = 300_000
table = pandas.DataFrame(
    {
        "key": chance.integers(0, 5000, rows),
        "name": numpy.array([f"name{number}" for number in chance.integers(0, 2000, rows)], dtype=object),
        "first": chance.random(rows),
        "second": chance.random(rows),
    }
)
total = 0.0
for nth in range(6):
    groups = table[table["first"] > 0.1 * nth].groupby("key").agg({"first": "mean", "second": "sum"})
    joined = table.merge(groups.reset_index(), on="key")
    joined["product"] = joined["first_x"] * joined["second_y"]
    best = joined.sort_values("product").head(1000)
    names = table.groupby("name").size()
    total += float(best["product"].sum()) + int(names.max()) + len(joined) + len(table.head(20_000).to_csv())
print(round(total, 3))
