"""Objects as a Python service has them: trees, dictionaries, lists, JSON, strings, sets, closures, generators, exceptions.

Prints one line for each part, which depends on nothing but the scale: `objects.py [SCALE]`, 10 by default, about 3 seconds.
Needs nothing but the standard library.
"""

import json
import random
import sys
import zlib


class Node:
    """A node of a search tree, in fixed places."""

    __slots__ = ("key", "left", "right", "value")

    def __init__(self, key, value):
        self.key = key
        self.value = value
        self.left = None
        self.right = None


class Order:
    """A record with a dictionary of its own, as most classes are."""

    def __init__(self, number, customer, lines):
        self.number = number
        self.customer = customer
        self.lines = lines
        self.notes = []

    def total(self):
        return sum(quantity * price for _, quantity, price in self.lines)


class Rejected(Exception):
    """Raised for orders that are refused."""

    def __init__(self, order, why):
        super().__init__(f"order {order.number}: {why}")
        self.order = order


def digest(text):
    return f"{zlib.crc32(text.encode()):08x}"


def insert(root, key, value):
    node = root
    while True:
        if key == node.key:
            node.value = value
            return
        side = node.left if key < node.key else node.right
        if side is None:
            side = Node(key, value)
            if key < node.key:
                node.left = side
            else:
                node.right = side
            return
        node = side


def in_order(root):
    stack, node = [], root
    while stack or node is not None:
        while node is not None:
            stack.append(node)
            node = node.left
        node = stack.pop()
        yield node
        node = node.right


def trees(chance, scale):
    """Search trees of slotted nodes, one of which outlives the others."""
    kept, total = None, 0
    for turn in range(4):
        root = Node(0.5, "root")
        for number in range(4000 * scale):
            insert(root, chance.random(), (turn, number))
        total += sum(node.value[1] for node in in_order(root) if node.value != "root")
        kept = kept or root
    return f"{total} {sum(1 for _ in in_order(kept))}"


def orders(chance, scale):
    """Objects that refer to each other, half of which are dropped at random, with exceptions on the way."""
    book, refused = {}, []
    for number in range(9000 * scale):
        lines = [(f"item-{chance.randrange(1000)}", chance.randrange(1, 9), chance.randrange(100)) for _ in range(3)]
        order = Order(number, f"customer-{chance.randrange(500)}", lines)
        try:
            if order.total() > 900:
                raise Rejected(order, "too much")
            book[f"order-{number}"] = order
        except Rejected as rejected:
            refused.append(str(rejected))
        if number % 2 and book:
            book.pop(f"order-{chance.randrange(number)}", None)
    by_customer = {}
    for order in book.values():
        by_customer.setdefault(order.customer, []).append(order)
        order.notes.append(order.customer.upper())
    return f"{len(book)} {len(refused)} {sum(order.total() for order in book.values())} {len(by_customer)}"


def documents(chance, scale):
    """JSON written and read back; the latest documents are kept, as in a cache."""
    size, depth, cache = 0, 0, {}
    for turn in range(10 * scale):
        document = {
            f"user-{number}": {
                "id": number,
                "name": f"name {chance.randrange(10**6)}",
                "tags": [f"tag{chance.randrange(50)}" for _ in range(6)],
                "score": chance.randrange(10**6) / 100,
                "address": {"street": f"street {number}", "codes": [number, number + 1, None, True]},
            }
            for number in range(700)
        }
        written = json.dumps(document, sort_keys=turn % 2 == 0)
        read = json.loads(written)
        size += len(written)
        depth += sum(len(user["tags"]) + len(user["address"]["codes"]) for user in read.values())
        assert read == document
        cache[turn % 8] = read
    return f"{size} {depth}"


def words(chance, scale):
    """Text split, counted, changed and joined."""
    vocabulary = ["".join(chance.choices("abcdefghijklmnop", k=chance.randrange(3, 11))) for _ in range(4000)]
    counts, lengths = {}, 0
    for _ in range(32 * scale):
        text = " ".join(chance.choices(vocabulary, k=5000))
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1
        lines = [text[start : start + 80].strip().title() for start in range(0, len(text), 80)]
        lengths += len("\n".join(line.replace("A", "aa") for line in lines))
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:50]
    return f"{len(counts)} {lengths} {digest(repr(most))}"


def collections(chance, scale):
    """Lists sorted by key, sets combined, tuples compared, dictionaries grown and emptied."""
    result = 0
    for _ in range(13 * scale):
        pairs = [(chance.randrange(10**9), str(number)) for number in range(4000)]
        pairs.sort()
        pairs.sort(key=lambda pair: pair[1])
        some = {first for first, _ in pairs if first % 3}
        other = {first + 1 for first, _ in pairs}
        result += len(some & other) + len(some | other) + len(some ^ other)
        table = {first: [second] for first, second in pairs}
        for first, _ in pairs[::2]:
            del table[first]
        squares = [[row * column for column in range(30)] for row in range(100)]
        result += len(table) + squares[-1][-1]
    return str(result)


def functions(scale):
    """Closures, generators and short-lived numbers: objects that die at once."""

    def adder(amount):
        return lambda value: value + amount

    def evens(limit):
        for value in range(limit):
            if value % 2 == 0:
                yield value

    total = 0
    for turn in range(1000 * scale):
        steps = [adder(amount) for amount in range(50)]
        for value in evens(100):
            total += steps[value % 50](value * 1000003)
        total += sum(float(value) * 1.5 for value in evens(400)) > turn
    return str(total)


def main():
    scale = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    chance = random.Random(20)
    for part in (trees, orders, documents, words, collections):
        print(part.__name__, part(chance, scale), flush=True)
    print(functions.__name__, functions(scale))


if __name__ == "__main__":
    main()
