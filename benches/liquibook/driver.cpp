// liquibook's book on a stream of orders, for `atoll bench exchange --peer PROGRAM`.
//
// Compiled by `.ci/liquibook` against the headers in liquibook's own wheel; nothing of liquibook is
// in this repository. The protocol and the file's format are in docs/CLI.md.
//
// Set up for speed: the book without depth levels (its fastest), no listeners, orders that the
// compiler can see through (no virtual calls), all made before the clock starts. What stays is what
// a user of the book needs: the callback that says that an order was filled or moved, which keeps
// the order's open quantity and price.

#include <book/order_book.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace book = liquibook::book;

struct Order {
  uint64_t price_ = 0;
  uint64_t quantity = 0;
  uint64_t filled = 0;
  bool buy = false;
  bool ioc = false;

  bool is_limit() const { return true; }
  bool is_buy() const { return buy; }
  book::Price price() const { return price_; }
  book::Price stop_price() const { return 0; }
  book::Quantity order_qty() const { return quantity; }
  bool all_or_none() const { return false; }
  bool immediate_or_cancel() const { return ioc; }
};

struct Book : book::OrderBook<Order*> {
  uint64_t trades = 0;

 protected:
  void on_fill(Order* const& order, Order* const& matched, book::Quantity quantity, book::Price,
               bool, bool) override {
    order->filled += quantity;
    matched->filled += quantity;
    trades += 1;
  }
  void on_replace(Order* const& order, book::Quantity, book::Quantity, book::Price price) override {
    order->price_ = price;
  }
};

// One step of the file: 24 bytes, little endian.
struct Step {
  uint8_t kind;  // 0 buy, 1 sell, 2 cancel, 3 move; 4 is added to a buy or sell that never rests
  uint8_t unused[7];
  uint64_t first;   // its price; of a cancel or a move the order, by its number among the placed
  uint64_t second;  // its quantity; of a move the new price
};
static_assert(sizeof(Step) == 24, "the file's format");

static double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

static std::vector<Order> orders_of(const std::vector<Step>& steps) {
  std::vector<Order> orders;
  for (const Step& step : steps) {
    uint8_t kind = step.kind & 3;
    if (kind < 2) {
      Order order;
      order.price_ = step.first;
      order.quantity = step.second;
      order.buy = kind == 0;
      order.ioc = (step.kind & 4) != 0;
      orders.push_back(order);
    }
  }
  return orders;
}

static void apply(Book& book, std::vector<Order>& orders, const Step* step, const Step* end,
                  size_t& next) {
  for (; step != end; ++step) {
    switch (step->kind & 3) {
      case 2:
        book.cancel(&orders[step->first]);
        break;
      case 3:
        book.replace(&orders[step->first], book::SIZE_UNCHANGED, step->second);
        break;
      default: {
        Order* order = &orders[next++];
        book.add(order, order->ioc ? book::oc_immediate_or_cancel : book::oc_no_conditions);
      }
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " FILE UNTIMED_STEPS\n";
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary | std::ios::ate);
  if (!file) {
    std::cerr << "cannot read " << argv[1] << "\n";
    return 1;
  }
  std::vector<Step> steps(size_t(file.tellg()) / sizeof(Step));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(steps.data()), std::streamsize(steps.size() * sizeof(Step)));
  size_t untimed = std::min<size_t>(std::stoull(argv[2]), steps.size());
  std::string line;
  while (std::getline(std::cin, line)) {
    std::vector<Order> orders = orders_of(steps);
    Book book;
    size_t next = 0;
    const Step* first = steps.data();
    apply(book, orders, first, first + untimed, next);
    double start = seconds();
    apply(book, orders, first + untimed, first + steps.size(), next);
    double took = seconds() - start;
    uint64_t open = 0;
    for (const auto& bid : book.bids()) open += bid.second.open_qty();
    for (const auto& ask : book.asks()) open += ask.second.open_qty();
    std::printf("%.9f %zu %llu %llu\n", took, book.bids().size() + book.asks().size(),
                (unsigned long long)open, (unsigned long long)book.trades);
    std::fflush(stdout);
  }
}
