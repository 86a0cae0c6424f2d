/* Linked without any shared library: a preloaded one is of no concern. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *block = malloc(100);
    return block && snprintf(block, 100, "%d", 42) == 2 ? 0 : 1;
}
