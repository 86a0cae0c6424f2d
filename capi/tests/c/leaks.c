// Leaks of known sizes, each in a function of its own.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

NOINLINE static void leaks_one_of_each_size(void) {
    for (int size = 8; size <= 1000; size += 8)
        keep(malloc(size));
}

// "each" leaks 125 blocks of as many sizes alone, "exit" ends by `_exit`, "fork" has a child that does, and "closes" has
// another file in place of standard error.
int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "each") == 0) {
        leaks_one_of_each_size();
        return 0;
    }
    leaks_a_little();
    leaks_much();
    leaks_nothing();
    if (count > 1 && strcmp(arguments[1], "exit") == 0)
        _exit(0);
    if (count > 1 && strcmp(arguments[1], "fork") == 0) {
        if (fork() == 0) {
            leaks_a_little();
            _exit(0);
        }
        wait(NULL);
    }
    if (count > 2 && strcmp(arguments[1], "closes") == 0) {
        close(STDERR_FILENO);
        int file = open(arguments[2], O_WRONLY | O_CREAT, 0666);
        return file == STDERR_FILENO && write(file, "a line\n", 7) == 7 ? 0 : 1;
    }
    return 0;
}
