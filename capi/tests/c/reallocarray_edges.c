#include "check.h"

int main(void)
{
    int *numbers = reallocarray(NULL, 10, sizeof *numbers);
    CHECK(numbers);
    numbers[9] = 42;
    errno = 0;
    CHECK(reallocarray(numbers, hide_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(numbers, hide_size((size_t)1 << 33), (size_t)1 << 33) == NULL && errno == ENOMEM);
    CHECK(numbers[9] == 42);
    numbers = reallocarray(numbers, 100000, sizeof *numbers);
    CHECK(numbers && numbers[9] == 42);
    CHECK(reallocarray(numbers, hide_size(0), 8) == NULL);
    return 0;
}
