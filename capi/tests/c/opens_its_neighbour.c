/* A library that opens another by its name alone, which the loader finds only where this one's RUNPATH says. */
#include <dlfcn.h>

void *open_neighbour(const char *name)
{
    void *volatile neighbour = dlopen(name, RTLD_NOW);
    return neighbour;
}
