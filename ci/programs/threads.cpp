// Threads, exceptions, containers and every form of new: what C++ asks of an allocator. Prints one line for each part; the lines depend
// on the scale alone: `threads [SCALE]`, 10 by default.
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

// Records freed by another thread than the one that made them.
class Queue {
public:
    void push(std::unique_ptr<std::vector<std::string>> record) {
        {
            std::lock_guard<std::mutex> guard(lock_);
            records_.push_back(std::move(record));
        }
        ready_.notify_one();
    }

    // Null ends the consumer.
    std::unique_ptr<std::vector<std::string>> pop() {
        std::unique_lock<std::mutex> guard(lock_);
        ready_.wait(guard, [this] { return !records_.empty(); });
        auto record = std::move(records_.front());
        records_.pop_front();
        return record;
    }

private:
    std::mutex lock_;
    std::condition_variable ready_;
    std::deque<std::unique_ptr<std::vector<std::string>>> records_;
};

std::uint64_t handed_over(int scale) {
    Queue queue;
    std::uint64_t bytes = 0;
    std::thread consumer([&] {
        while (auto record = queue.pop())
            for (const auto &text : *record) bytes += text.size();
    });
    std::vector<std::thread> producers;
    for (int producer = 0; producer < 3; ++producer)
        producers.emplace_back([&queue, producer, scale] {
            for (int number = 0; number < 2000 * scale; ++number) {
                auto record = std::make_unique<std::vector<std::string>>();
                for (int field = 0; field < 8; ++field) record->emplace_back(std::size_t(10 + (number + producer) % 60), 'x');
                queue.push(std::move(record));
            }
        });
    for (auto &producer : producers) producer.join();
    queue.push(nullptr);
    consumer.join();
    return bytes;
}

struct Refused : std::runtime_error {
    Refused(int depth, std::string detail) : std::runtime_error("refused"), depth(depth), detail(std::move(detail)) {}
    int depth;
    std::string detail;
};

int descend(int depth, const std::string &path) {
    std::vector<std::string> held(4, path);
    if (depth == 0) throw Refused(depth, path);
    try {
        return descend(depth - 1, path + "/" + std::to_string(depth));
    } catch (Refused &refused) {
        if (depth % 3 == 0) throw Refused(depth, refused.detail + held.front());
        throw;
    }
}

std::uint64_t thrown(int scale) {
    std::uint64_t total = 0;
    for (int turn = 0; turn < 150 * scale; ++turn) {
        try {
            descend(10, "root");
        } catch (const Refused &refused) {
            total += std::uint64_t(refused.depth) + refused.detail.size();
        }
    }
    return total;
}

// A request that no machine can serve throws; the next one succeeds.
int exhausted() {
    int caught = 0;
    volatile std::size_t huge = std::size_t(-1) / 2 - 4096;
    for (int turn = 0; turn < 10; ++turn) {
        try {
            std::unique_ptr<char[]> block(new char[huge]);
        } catch (const std::bad_alloc &) {
            ++caught;
        }
        caught += new (std::nothrow) char[huge] == nullptr;
        std::make_unique<std::string>(100, 'y');
    }
    return caught;
}

struct alignas(256) Line {
    unsigned char bytes[512];
};

std::uint64_t aligned(int scale) {
    std::uint64_t wrong = 0;
    std::vector<std::unique_ptr<Line>> lines;
    for (int number = 0; number < 300 * scale; ++number) {
        lines.push_back(std::make_unique<Line>());
        wrong += reinterpret_cast<std::uintptr_t>(lines.back().get()) % 256;
        if (number % 3 == 0) lines.erase(lines.begin() + number % long(lines.size()));
    }
    return wrong;
}

struct Last {
    ~Last() { std::string(1000, 'z').swap(text); }
    std::string text;
};

// Many short threads, each with a thread-local whose destructor allocates.
std::uint64_t short_lived(int scale) {
    std::uint64_t total = 0;
    for (int turn = 0; turn < 10 * scale; ++turn) {
        std::vector<std::future<std::uint64_t>> futures;
        for (int thread = 0; thread < 6; ++thread)
            futures.push_back(std::async(std::launch::async, [thread] {
                thread_local Last last;
                last.text.assign(std::size_t(100 * (thread + 1)), 'a');
                std::map<int, std::string> ordered;
                for (int key = 0; key < 100; ++key) ordered[key * 7919 % 101] = last.text.substr(0, std::size_t(key));
                std::uint64_t sum = 0;
                for (const auto &[key, text] : ordered) sum += std::uint64_t(key) * text.size();
                return sum;
            }));
        for (auto &future : futures) total += future.get();
    }
    return total;
}

std::uint64_t tables(int scale) {
    std::mt19937 random(7);
    std::unordered_map<std::string, std::vector<std::shared_ptr<int>>> table;
    for (int number = 0; number < 20000 * scale; ++number) {
        auto &entry = table["key-" + std::to_string(random() % 5000)];
        entry.push_back(std::make_shared<int>(number));
        if (entry.size() > 12) entry.erase(entry.begin(), entry.begin() + 6);
    }
    std::uint64_t total = 0;
    for (const auto &[key, entry] : table)
        for (const auto &value : entry) total += std::uint64_t(*value) + key.size();
    return total;
}

}  // namespace

int main(int count, char **arguments) {
    const int scale = count > 1 ? std::atoi(arguments[1]) : 10;
    std::printf("handed over %llu\n", static_cast<unsigned long long>(handed_over(scale)));
    std::printf("thrown %llu\n", static_cast<unsigned long long>(thrown(scale)));
    std::printf("exhausted %d\n", exhausted());
    std::printf("aligned %llu\n", static_cast<unsigned long long>(aligned(scale)));
    std::printf("short-lived %llu\n", static_cast<unsigned long long>(short_lived(scale)));
    std::printf("tables %llu\n", static_cast<unsigned long long>(tables(scale)));
}
