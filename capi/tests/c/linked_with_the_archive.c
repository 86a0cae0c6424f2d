#include "tenure.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *run(void *nothing)
{
    for (int nth = 0; nth < 1000; nth++)
        free(malloc(nth));
    return nothing;
}

int main(void)
{
    pthread_t thread;
    char json[64] = "";
    char *text = strdup("of this library");
    if (pthread_create(&thread, NULL, run, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    free(text);
    return malloc_good_size(9) == 16 && tenure_stats_json(json, sizeof json) > 100 && strlen(json) == 63 ? 0 : 1;
}
