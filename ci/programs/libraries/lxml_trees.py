"""Trees of 20,000 elements that are parsed, searched, changed and written, in C."""

import random

from lxml import etree

chance = random.Random(1)
items = "".join(
    f'<item id="{nth}" name="n{chance.randrange(1000)}"><a>{"text" * chance.randrange(8)}</a><b x="1">{nth}</b></item>'
    for nth in range(20_000)
)
total = 0
for _ in range(15):
    tree = etree.fromstring(f"<root>{items}</root>")
    for element in tree.iter("item"):
        if int(element.get("id")) % 3 == 0:
            element.set("changed", "yes")
    total += len(tree.xpath("//a[text()]")) + len(etree.tostring(tree))
print(total)
