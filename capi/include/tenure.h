/*
 * Tenure, a memory allocator: what its C library offers beyond the standard.
 *
 * Preloaded (LD_PRELOAD=libtenure_malloc.so) or linked (-ltenure_malloc), the library serves malloc, calloc, realloc, free,
 * aligned_alloc, posix_memalign and every other allocation function of C, glibc and C++, for which <stdlib.h>, <malloc.h> and <new> have
 * the declarations. This header adds those that your C library may lack, and the library's own, which start with tenure_.
 *
 * Settings are read from the environment when the library is loaded:
 *
 *   TENURE_STATS=1|text|json   print the statistics when the process ends
 *   TENURE_STATS_FILE=path     append them there, with %p for the process's id, instead of printing them on standard error
 *   TENURE_STATS_PID=number    print only in the process with this id
 *   TENURE_EXACT=0|1           count exact bytes, for what rounding costs, from the start: tenure_count_exact_bytes
 *   TENURE_PURGE_DELAY=ms      milliseconds that unused memory is kept, from 0 to 3600000; default 1000
 *   TENURE_LIMIT=512M|400M:512M|cgroup   a hard limit on committed memory, a soft and a hard one, or those of the control group
 *   TENURE_PURGER=0|1          a thread of the library's own gives unused memory back, also while the program does nothing
 *
 * Every function may be called from any thread. None may be called from a signal handler.
 */
#ifndef TENURE_H
#define TENURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The version that this header belongs to. */
#define TENURE_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tenure's own ---- */

/* The version of the library that is running, such as "0.1.0". */
const char *tenure_version(void);

/*
 * Writes a table of what memory is used for to a file descriptor. Returns 0, or -1 with errno set by write(2).
 * Does not allocate. Takes about a microsecond for each 2 MiB of heap, and as long as the system takes for what it says of the process. Other threads go on
 * meanwhile, and what they do in that time may be counted or not.
 */
int tenure_stats_print(int descriptor);

/*
 * Stores the same figures as one line of JSON in `buffer`, with a null at the end; what does not fit into `size` bytes is cut. Returns the length of the whole
 * text without the null, which may be more than was stored. `buffer` may be NULL where `size` is 0. Does not allocate.
 *
 * docs/stats.schema.json describes the members: `balance` says where the `committed` bytes are and adds up to them, `classes` tells of each block size in use,
 * `system` what the system says of the whole process. Members may be added with the same `version`; with a new one alone, they go away or change their meaning.
 */
size_t tenure_stats_json(char *buffer, size_t size);

/*
 * Says whether exact bytes are counted from now on: of each allocation how much was asked for, and how much was given. The statistics tell then what rounding costs, by size class.
 * Meanwhile each allocation and each free takes tens of nanoseconds more. Threads at work follow when one of their stocks of free blocks is empty or full.
 */
void tenure_count_exact_bytes(int are_wanted);

/*
 * Gives unused memory back to the system now, whatever the delay. Free blocks at other threads' hands stay. Takes a system call for each run of
 * unused pieces of 64 KiB.
 */
void tenure_purge(void);

/* Milliseconds that unused memory is kept before it goes back to the system. */
uint64_t tenure_purge_delay(void);

/* Sets them, from 0 to 3600000. Returns 0, or -1 with errno set to EINVAL, and then nothing has changed. */
int tenure_set_purge_delay(uint64_t milliseconds);

/* ---- Functions of other systems and standards ---- */

/* C23: frees a block from malloc, calloc or realloc, of which `size` was asked. */
void free_sized(void *block, size_t size);

/* C23: frees a block from aligned_alloc, of which `align` and `size` were asked. NULL is a no-op, whatever they are. */
void free_aligned_sized(void *block, size_t align, size_t size);

/* jemalloc: frees a block of `size` bytes. `flags` are not looked at. */
void sdallocx(void *block, size_t size, int flags);

/*
 * NetBSD: makes the block that the pointer at `pointer` points to `count` times `size` bytes large, and stores where it is now. Returns 0; or EOVERFLOW or
 * ENOMEM, and then nothing has changed. A product of 0 frees the block and stores NULL. Keeps errno.
 */
int reallocarr(void *pointer, size_t count, size_t size);

/* macOS: bytes that a block of `size` bytes will have, at the least. */
size_t malloc_good_size(size_t size);

/* As free: a name from before there was a standard. */
void cfree(void *block);

/* glibc's other names for malloc and its relatives. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);
void *__libc_memalign(size_t align, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
int __posix_memalign(void **place, size_t align, size_t size);

#ifdef __cplusplus
}
#endif

#endif
