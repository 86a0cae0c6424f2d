#include "check.h"
#include <new>
#include <sys/resource.h>

static int calls;
static void *reserve;

static void give_up_after_three()
{
    if (++calls == 3)
        std::set_new_handler(nullptr);
}

struct Mine {
    int value;
};

static void throw_mine()
{
    calls++;
    throw Mine{42};
}

static void throw_bad_alloc()
{
    calls++;
    throw std::bad_alloc();
}

static void give_the_reserve_back()
{
    calls++;
    CHECK(reserve);
    free(reserve);
    reserve = nullptr;
}

int main()
{
    const size_t too_much = hide_size((size_t)1 << 48);
    for (int form = 0; form < 4; form++) {
        calls = 0;
        std::set_new_handler(give_up_after_three);
        bool has_thrown = false;
        try {
            hide(form == 0 ? ::operator new(too_much) : form == 1 ? ::operator new[](too_much)
                 : form == 2 ? ::operator new(too_much, std::align_val_t{64}) : ::operator new[](too_much, std::align_val_t{64}));
        } catch (const std::bad_alloc &) {
            has_thrown = true;
        }
        CHECK(has_thrown && calls == 3);
    }

    /* What a handler throws arrives. */
    calls = 0;
    std::set_new_handler(throw_mine);
    int value = 0;
    try {
        hide(::operator new(too_much));
    } catch (const Mine &mine) {
        value = mine.value;
    }
    CHECK(value == 42 && calls == 1);

    /* A form that does not throw calls the handler too, and gives null when that throws. */
    calls = 0;
    std::set_new_handler(throw_bad_alloc);
    CHECK(::operator new(too_much, std::nothrow) == nullptr && calls == 1);
    CHECK(::operator new[](too_much, std::nothrow) == nullptr && calls == 2);
    CHECK(::operator new(too_much, std::align_val_t{64}, std::nothrow) == nullptr && calls == 3);

    /* Memory that the handler finds is used. */
    rlimit limit = {(rlim_t)512 << 20, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    calls = 0;
    reserve = malloc(300 << 20);
    CHECK(reserve);
    std::set_new_handler(give_the_reserve_back);
    char *block = (char *)hide(::operator new(350 << 20));
    CHECK(block && calls == 1);
    ::operator delete(block);
    return 0;
}
