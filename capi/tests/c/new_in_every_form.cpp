#include "check.h"
#include "tenure.h"
#include <memory>
#include <new>
#include <string>
#include <vector>

struct alignas(128) Overaligned {
    char bytes[200];
    Overaligned() { memset(bytes, 1, sizeof bytes); }
    ~Overaligned() { CHECK(bytes[0] == 1); }
};

struct Counted {
    static int alive;
    Counted() { alive++; }
    ~Counted() { alive--; }
};
int Counted::alive = 0;

int main()
{
    using std::align_val_t;
    using std::nothrow;
    for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
        size_t size = BORDERS[nth];
        for (int round = 0; round < 3; round++) {
            ::operator delete(::operator new(size));
            ::operator delete(::operator new(size), size);
            ::operator delete(::operator new(size, nothrow), nothrow);
            ::operator delete[](::operator new[](size));
            ::operator delete[](::operator new[](size), size);
            ::operator delete[](::operator new[](size, nothrow), nothrow);
            for (size_t align = 8; align <= 1 << 22; align *= 2) {
                align_val_t at{align};
                void *blocks[] = {::operator new(size, at), ::operator new(size, at), ::operator new(size, at, nothrow),
                                  ::operator new[](size, at), ::operator new[](size, at), ::operator new[](size, at, nothrow)};
                for (void *block : blocks) {
                    CHECK(block && is_aligned(block, align));
                    memset(block, 1, size);
                }
                ::operator delete(blocks[0], at);
                ::operator delete(blocks[1], size, at);
                ::operator delete(blocks[2], at, nothrow);
                ::operator delete[](blocks[3], at);
                ::operator delete[](blocks[4], size, at);
                ::operator delete[](blocks[5], at, nothrow);
            }
        }
    }
    void *zero = ::operator new(0), *other = ::operator new(0);
    CHECK(zero && other && zero != other);
    ::operator delete(zero);
    ::operator delete(other);
    ::operator delete(nullptr);
    ::operator delete[](nullptr, std::align_val_t{64});

    std::vector<std::string> texts;
    for (int nth = 0; nth < 10000; nth++)
        texts.push_back(std::string(nth % 300, 'x'));
    auto overaligned = std::make_unique<Overaligned[]>(10);
    CHECK(is_aligned(overaligned.get(), 128));
    delete[] new Counted[100];
    CHECK(Counted::alive == 0);
    return 0;
}
