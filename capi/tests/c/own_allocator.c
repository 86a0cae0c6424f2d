/* A program that brings its own malloc keeps it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Alignas(16) char memory[1 << 20];
static size_t used;

void *malloc(size_t size)
{
    size_t at = __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED);
    if (at + size + 16 > sizeof memory)
        return NULL;
    memcpy(memory + at, &size, sizeof size);
    return memory + at + 16;
}

void free(void *block)
{
    (void)block;
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *block, size_t size)
{
    void *new = malloc(size);
    size_t old = 0;
    if (block)
        memcpy(&old, (char *)block - 16, sizeof old);
    if (new && block)
        memcpy(new, block, old < size ? old : size);
    return new;
}

int main(void)
{
    char *text = strdup("text");
    FILE *file = fopen("/proc/self/status", "r");
    char line[100];
    int is_own = text > memory && text < memory + sizeof memory;
    int can_read = file && fgets(line, sizeof line, file) && fclose(file) == 0;
    return is_own && can_read && dlsym(RTLD_DEFAULT, "tenure_version") ? 0 : 1;
}
