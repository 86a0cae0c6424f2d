#include "check.h"
#include "tenure.h"

int main()
{
    CHECK(strcmp(tenure_version(), TENURE_VERSION) == 0);
    free_sized(malloc(100), 100);
    free_aligned_sized(aligned_alloc(64, 128), 64, 128);
    return 0;
}
