#include <cstddef>
#include <new>

extern "C" int catches()
{
    size_t size = (size_t)1 << 48;
    __asm__ volatile("" : "+r"(size));
    if (::operator new(size, std::nothrow) != nullptr)
        return 2;
    try {
        void *block = ::operator new(size);
        __asm__ volatile("" : "+r"(block));
        return 0;
    } catch (const std::bad_alloc &) {
        return 1;
    }
}
