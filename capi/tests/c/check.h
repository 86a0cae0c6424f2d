/* What the test programs share: a check that ends the program, and a look whether the library under test is the one that answers. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                           \
    do {                                                                           \
        if (!(condition)) {                                                        \
            dprintf(2, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            _exit(1);                                                              \
        }                                                                          \
    } while (0)

/* True where the test was started with the library preloaded. */
static inline int is_on_tenure(void)
{
    return getenv("ON_TENURE") != NULL;
}

/* Runs before main: a test that ran on another allocator than it was meant to would prove nothing. */
__attribute__((constructor)) static void check_allocator(void)
{
    Dl_info malloc_info, version_info;
    void *version = dlsym(RTLD_DEFAULT, "tenure_version");
    if (!is_on_tenure()) {
        CHECK(version == NULL);
        return;
    }
    CHECK(version != NULL);
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &malloc_info) && dladdr(version, &version_info));
    CHECK(malloc_info.dli_fbase == version_info.dli_fbase);
}

/* Hides a value from the compiler, which knows what the standard says of allocation functions. */
static inline void *hide(void *value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline size_t hide_size(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline int is_aligned(const void *block, size_t align)
{
    return (uintptr_t)block % align == 0;
}

/* Fills a block with bytes that depend on `seed`. */
static inline void fill(void *block, size_t size, unsigned seed)
{
    unsigned char *bytes = (unsigned char *)block;
    for (size_t at = 0; at < size; at++)
        bytes[at] = (unsigned char)(seed + at * 7 + at / 251);
}

/* True where the first bytes are as `fill` left them. */
static inline int is_filled(const void *block, size_t size, unsigned seed)
{
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t at = 0; at < size; at++)
        if (bytes[at] != (unsigned char)(seed + at * 7 + at / 251))
            return 0;
    return 1;
}

static inline int is_zero(const void *block, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t at = 0; at < size; at++)
        if (bytes[at] != 0)
            return 0;
    return 1;
}

/* Sizes at which a request gets another kind of memory, each with its neighbours. */
static const size_t BORDERS[] = {1, 8, 9, 15, 16, 17, 24, 25, 32, 100, 128, 129, 1000, 1024, 4095, 4096, 4097,
                                 32768, 32769, 65535, 65536, 65537, 300000, 1048576, 1048577, 2097152, 5000000};
#define BORDER_COUNT (sizeof BORDERS / sizeof BORDERS[0])

#endif
