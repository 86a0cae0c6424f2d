/* Memory runs out, NULL and ENOMEM come at once, and what is freed can be had again: in the same size, in others, and on another thread. */
#include "check.h"
#include <pthread.h>
#include <sys/resource.h>

struct list {
    struct list *next;
};

static size_t take_all(size_t size, struct list **list)
{
    size_t count = 0;
    struct list *block;
    errno = 0;
    while ((block = malloc(size)) != NULL) {
        block->next = *list;
        *list = block;
        count++;
    }
    CHECK(errno == ENOMEM);
    return count;
}

static void give_all(struct list **list)
{
    while (*list) {
        struct list *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

enum { OTHER = 300 };
static pthread_barrier_t turn;

/* Is there before memory runs out: its stack would find no room later. */
static void *take_on_another_thread(void *nothing)
{
    struct list *list = NULL;
    pthread_barrier_wait(&turn);
    size_t count = take_all(OTHER, &list);
    give_all(&list);
    (void)nothing;
    return (void *)count;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3 || argc == 4);
    int resource = strcmp(argv[1], "data") == 0 ? RLIMIT_DATA : RLIMIT_AS;
    size_t room = (size_t)atol(argv[2]) << 20;
    struct rlimit limit = {room, room};
    alarm(120);
    if (argc == 3) {
        /* The limit is to be there from the program's first moment on. */
        CHECK(setrlimit(resource, &limit) == 0);
        char *arguments[] = {argv[0], argv[1], argv[2], (char *)"limited", NULL};
        execv("/proc/self/exe", arguments);
        CHECK(!"started anew");
    }
    pthread_t thread;
    pthread_attr_t attributes;
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
    CHECK(pthread_create(&thread, &attributes, take_on_another_thread, NULL) == 0);

    static const size_t sizes[] = {48, 1000, 24, 16384, 100000, 5000, 3000000, 32};
    struct list *list = NULL;
    for (size_t nth = 0; nth < sizeof sizes / sizeof sizes[0]; nth++) {
        size_t count = take_all(sizes[nth], &list);
        /* A third of the room at the least, whatever was there before. */
        CHECK(count * sizes[nth] >= room / 3);
        /* Refused again, and without long thought. */
        for (int again = 0; again < 20; again++)
            CHECK(malloc(sizes[nth] * 2 + 100000) == NULL);
        give_all(&list);
    }
    /* Everything was used in one size and is given back; another thread takes it in another size. */
    void *count;
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, &count) == 0 && (size_t)count * OTHER >= room / 3);
    return 0;
}
