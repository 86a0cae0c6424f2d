// Leaks of known sizes, each in a function of its own.
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

static void *volatile last;

// Not the last that a function does: a jump would leave nothing of it on the stack.
static void keep(void *block) {
    last = block;
}

NOINLINE static void leaks_a_little(void) {
    for (int i = 0; i < 1000; i++)
        keep(malloc(123));
}

NOINLINE static void leaks_much(void) {
    for (int i = 0; i < 5; i++)
        keep(malloc(1 << 20));
}

NOINLINE static void leaks_nothing(void) {
    for (int i = 0; i < 1000; i++) {
        void *block = malloc(1000);
        keep(block);
        free(block);
    }
}

int main(void) {
    leaks_a_little();
    leaks_much();
    leaks_nothing();
    return 0;
}
