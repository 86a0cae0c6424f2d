#include "check.h"
#include "tenure.h"

int main(void)
{
    int *numbers = NULL;
    errno = 7;
    CHECK(reallocarr(&numbers, 10, sizeof *numbers) == 0 && numbers);
    numbers[9] = 42;
    int *before = numbers;
    CHECK(reallocarr(&numbers, hide_size(SIZE_MAX / 2), 3) == EOVERFLOW && numbers == before);
    CHECK(reallocarr(&numbers, hide_size((size_t)1 << 48), 1) == ENOMEM && numbers == before && numbers[9] == 42);
    CHECK(reallocarr(&numbers, 100000, sizeof *numbers) == 0 && numbers[9] == 42);
    CHECK(reallocarr(&numbers, hide_size(0), 8) == 0 && numbers == NULL);
    CHECK(reallocarr(&numbers, 8, hide_size(0)) == 0 && numbers == NULL);
    CHECK(errno == 7);
    return 0;
}
