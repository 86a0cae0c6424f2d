#include "check.h"
#include <new>
#include <thread>
#include <vector>

static const size_t TOO_MUCH = (size_t)1 << 48;

template <class F> static bool throws_bad_alloc(F allocate)
{
    try {
        hide(allocate());
        return false;
    } catch (const std::bad_alloc &) {
        return true;
    }
}

static void check_all()
{
    using std::align_val_t;
    using std::nothrow;
    for (size_t size : {TOO_MUCH, (size_t)PTRDIFF_MAX, SIZE_MAX}) {
        /* The system's aligned forms may round this up to 0. */
        if (size == SIZE_MAX && !is_on_tenure())
            continue;
        size = hide_size(size);
        CHECK(throws_bad_alloc([=] { return ::operator new(size); }));
        CHECK(throws_bad_alloc([=] { return ::operator new[](size); }));
        CHECK(throws_bad_alloc([=] { return ::operator new(size, align_val_t{64}); }));
        CHECK(throws_bad_alloc([=] { return ::operator new[](size, align_val_t{64}); }));
        CHECK(::operator new(size, nothrow) == nullptr);
        CHECK(::operator new[](size, nothrow) == nullptr);
        CHECK(::operator new(size, align_val_t{64}, nothrow) == nullptr);
        CHECK(::operator new[](size, align_val_t{64}, nothrow) == nullptr);
    }
    /* Destructors run on the way. */
    struct Guard {
        int &count;
        ~Guard() { count++; }
    };
    int count = 0;
    CHECK(throws_bad_alloc([&] {
        Guard guard{count};
        std::vector<char> unused(1000);
        return ::operator new(hide_size(TOO_MUCH));
    }));
    CHECK(count == 1);
    CHECK(throws_bad_alloc([] { return (void *)new std::vector<char>(hide_size(TOO_MUCH)); }));
}

int main()
{
    check_all();
    std::vector<std::thread> threads;
    for (int nth = 0; nth < 4; nth++)
        threads.emplace_back([] {
            for (int round = 0; round < 100; round++)
                check_all();
        });
    for (auto &thread : threads)
        thread.join();
    return 0;
}
