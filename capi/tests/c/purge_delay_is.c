/* Succeeds where unused memory is kept for as many milliseconds as the argument says. */
#include "check.h"
#include "tenure.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2 && tenure_purge_delay() == strtoull(argv[1], NULL, 10));
    return 0;
}
