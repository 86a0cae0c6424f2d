#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    void (*their_free)(void *) = (void (*)(void *))dlsym(library, "free");
    CHECK(their_free);
    their_free(NULL);
    their_free(&library);
    return 0;
}
