/*
 * Tenure, a memory allocator: what its C library offers beyond the standard.
 *
 * Preloaded (LD_PRELOAD=libtenure_malloc.so) or linked (-ltenure_malloc), the library serves malloc, calloc, realloc,
 * free, aligned_alloc, posix_memalign and every other allocation function of C, glibc and C++, for which <stdlib.h>,
 * <malloc.h> and <new> have the declarations. This header adds those that your C library may lack, and the library's
 * own, which start with tenure_.
 *
 * Settings are read from the environment when the library is loaded:
 *
 *   TENURE_STATS=1|text|json|prom   print the statistics when the process ends
 *   TENURE_STATS_EVERY=5s           print them at intervals, too, from 10ms to 24h
 *   TENURE_STATS_SIGNAL=USR1        print them whenever the process gets this signal, too, and write a heap profile
 *   TENURE_STATS_FILE=path          append them there, with %p for the process's id, instead of standard error
 *   TENURE_STATS_PID=number         print and write only in the process with this id
 *   TENURE_PROFILE=path[:rate]      write a heap profile when the process ends: .pb.gz, .svg or .folded
 *   TENURE_LEAKS=0|1                print what is still in use when the process ends, by where it was allocated
 *   TENURE_COMMAND=path             what writes profiles; default: tenure beside the library, or in ../bin
 *   TENURE_GUARD=number             one in so many small allocations stands beside a guard page
 *   TENURE_EXACT=0|1                count exact bytes from the start: tenure_count_exact_bytes
 *   TENURE_PURGE_DELAY=ms           milliseconds that unused memory is kept, from 0 to 3600000; default 1000
 *   TENURE_PURGER=0|1               a thread gives unused memory back, also while the program does nothing
 *   TENURE_LIMIT=512M|400M:512M|cgroup   a hard limit on committed memory, a soft and a hard one, or those of the group
 *
 * Every function may be called from any thread. None may be called from a signal handler.
 */
#ifndef TENURE_H
#define TENURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The version that this header belongs to, with which that of a library begins. */
#define TENURE_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tenure's own ---- */

/*
 * The version of the library that is running, such as "0.1.0"; "0.1.0 hardened" where it is hardened, which the library
 * of tenure-malloc is, too, where one cargo call has built both packages.
 */
const char *tenure_version(void);

/*
 * Writes a table of what memory is used for to a file descriptor. Returns 0, or -1 with errno set by write(2); SIGPIPE
 * and SIGXFSZ do not come of it. Does not allocate. Takes about a microsecond, 0.15 for each 2 MiB of heap, and as long
 * as the system takes for what it says of the process. Other threads go on meanwhile, and what they do in that time may
 * be counted or not.
 */
int tenure_stats_print(int descriptor);

/*
 * Stores the same figures as one line of JSON in `buffer`, with a null at the end; what does not fit into `size` bytes
 * is cut. Returns the length of the whole text without the null, which may be more than was stored. `buffer` may be
 * NULL where `size` is 0. Does not allocate.
 *
 * docs/stats.schema.json describes the members: `balance` says where the `committed` bytes are and adds up to them,
 * `classes` tells of each block size in use, `system` what the system says of the whole process. Members may be added
 * with the same `version`; with a new one alone, they go away or change their meaning.
 */
size_t tenure_stats_json(char *buffer, size_t size);

/*
 * Says whether exact bytes are counted from now on: of each allocation how much was asked for, and how much was given.
 * The statistics tell then what rounding costs, by size class. Meanwhile each allocation and each free takes tens of
 * nanoseconds more. Threads at work follow when one of their stocks of free blocks is empty or full.
 */
void tenure_count_exact_bytes(int are_wanted);

/*
 * Gives unused memory back to the system now, whatever the delay. Free blocks at other threads' hands stay. Takes a
 * system call for each run of unused pieces of 64 KiB.
 */
void tenure_purge(void);

/* Milliseconds that unused memory is kept before it goes back to the system. */
uint64_t tenure_purge_delay(void);

/* Sets them, from 0 to 3600000. Returns 0, or -1 with errno set to EINVAL, and then nothing has changed. */
int tenure_set_purge_delay(uint64_t milliseconds);

/*
 * Starts a thread that gives unused memory back once the delay is over, also while the program does nothing. Without
 * it, threads do that on their way, and none does in an idle process. Returns 0 where it runs, then or already; or -1
 * with errno set to EAGAIN where the system has no thread or no memory for it. It takes no signals, and keeps no
 * process from ending. A forked child has none, and may start one.
 */
int tenure_start_purger(void);

/* ---- Limits on committed memory ---- */

/* No limit. */
#define TENURE_NO_LIMIT SIZE_MAX

/*
 * Limits what is committed, in bytes. What is committed already stays.
 *
 * When the soft limit is passed, unused memory is given back at once, and the program is called (see
 * tenure_on_pressure) if that does not suffice: once, and not again before less than that was committed. Requests are
 * met all the same. A request that would exceed the hard limit is met as if the system had no memory: what is unused
 * goes back, the program is called, and then the request fails with ENOMEM.
 *
 * Returns 0; or -1 with errno set to EINVAL where the soft limit is above the hard one, and then nothing has changed.
 */
int tenure_set_limit(size_t soft, size_t hard);

/*
 * Sets limits that fit what the control group of the process may use, or one of those around it: a hard one at 15/16 of
 * it, and a soft one at 7/8. Reads some files, and does not allocate. What the group may use later is not noticed.
 *
 * Returns 0; or -1 with errno set to ENOENT where none of the groups has a limit, or they cannot be read, and then
 * nothing has changed.
 */
int tenure_set_limit_of_cgroup(void);

/* The limits in bytes, or TENURE_NO_LIMIT. */
size_t tenure_soft_limit(void);
size_t tenure_hard_limit(void);

/* What a program is told when memory runs short. Members may be added at the end. */
struct tenure_pressure {
    size_t committed; /* Bytes that are committed, after everything unused was given back. */
    size_t limit;     /* The limit that was reached; where the system itself refuses memory, `committed`. */
    int is_critical;  /* 1 where a request fails unless memory is freed now; else 0. */
};

/*
 * Says what is called when memory runs short, or nothing where `callback` is NULL: when the soft limit is passed, and
 * before a request fails. Always after what is unused was given back.
 *
 * The function runs on the thread that needs memory, inside of its allocation but outside of the allocator's locks, and
 * may free and allocate. It may run on several threads at once; one that allocates inside of it does not enter it
 * again, and gets NULL where it would: at a hard limit that is likely, so it must be prepared for it. It must not wait
 * for what its thread may hold while it allocates, such as a lock, and it has to return: neither longjmp nor an
 * exception may leave it. What it is given is valid until then.
 */
void tenure_on_pressure(void (*callback)(const struct tenure_pressure *pressure));

/* ---- Functions of other systems and standards ---- */

/* C23: frees a block from malloc, calloc or realloc, of which `size` was asked. */
void free_sized(void *block, size_t size);

/* C23: frees a block from aligned_alloc, of which `align` and `size` were asked. NULL is a no-op, whatever they are. */
void free_aligned_sized(void *block, size_t align, size_t size);

/* jemalloc: frees a block of `size` bytes. `flags` are not looked at. */
void sdallocx(void *block, size_t size, int flags);

/*
 * NetBSD: makes the block that the pointer at `pointer` points to `count` times `size` bytes large, and stores where it
 * is now. Returns 0; or EOVERFLOW or ENOMEM, and then nothing has changed. A product of 0 frees the block and stores
 * NULL. Keeps errno.
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
