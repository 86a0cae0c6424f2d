/* The loader asks who called dlopen: a library's own RUNPATH tells where to look. */
#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    void *library = dlopen(argv[1], RTLD_NOW);
    CHECK(library);
    void *(*open_neighbour)(const char *) = (void *(*)(const char *))dlsym(library, "open_neighbour");
    CHECK(open_neighbour);
    CHECK(!dlopen(argv[2], RTLD_NOW));
    CHECK(open_neighbour(argv[2]));
    return 0;
}
