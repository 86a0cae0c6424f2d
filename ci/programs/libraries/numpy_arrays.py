"""Arithmetic on arrays of 64 KB to 8 MB, each step of which makes a new one."""

import numpy

total = 0.0
for size, rounds in ((64_000, 8000), (1_000_000, 400), (8_000_000, 40)):
    length = size // 8
    first = numpy.random.default_rng(1).random(length)
    second = first * 2
    for nth in range(rounds):
        third = first * second + first - second * 0.5
        total += float(numpy.sqrt(third * third + 1.0)[nth % length])
print(round(total, 6))
