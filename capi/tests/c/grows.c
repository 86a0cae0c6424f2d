/* A program whose memory grows for as many milliseconds as the first argument says: blocks of many sizes, spans, and a mapping. */

#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCKS = 200 };

static void *filled(size_t size) {
    void *block = malloc(size);
    CHECK(block != NULL);
    return memset(block, 1, size);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    long turns = atol(arguments[1]) / 10;
    filled(3 << 20);
    printf("ready\n");
    fflush(stdout);
    for (long turn = 0; turn < turns; turn++) {
        void *blocks[BLOCKS];
        for (int nth = 0; nth < BLOCKS; nth++) {
            blocks[nth] = filled((size_t)nth * 20 + 1);
        }
        for (int nth = 0; nth < BLOCKS; nth += 2) {
            free(blocks[nth]);
        }
        filled(100000);
        struct timespec pause = {0, 10 * 1000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}
