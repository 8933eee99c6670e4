// tests/apple/standin/debug/hazards.cpp -- the graph of what precedes what on the GPU, and the memory that passes touch
#include "standin/debug/hazards.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <unordered_set>

#include "standin/debug/report.h"
#include "standin/metal/event.h"

namespace standin {
namespace {

using Node = uint64_t;  // 0: none

// Records of memory that are kept while the CPU looks at nothing that has finished.
constexpr size_t kMostRecords = 8192;

struct Record {
  Access access;
  Node node;
  uint64_t timeline;
  std::string name;
  bool waits_ahead;  // after a wait whose signal was not committed yet: its order to other queues is not known
};

struct Timeline {
  bool waits_ahead = false;
  std::vector<Node> gates;   // all that is committed from now on comes after these: event waits
  std::vector<Node> latest;  // passes since the last signal, and that signal
};

struct Log {
  std::mutex mutex;
  Node last_node = 0;
  uint64_t last_timeline = 0;
  std::map<uint64_t, Timeline> timelines;
  struct Edges {
    uint64_t timeline;
    std::vector<Node> before;
  };
  std::map<Node, Edges> graph;  // nodes that are not there have run, as far as the CPU knows
  std::map<uint64_t, Node> fences;
  std::map<uint64_t, std::map<uint64_t, Node>> events;  // value -> all that precedes the signal
  std::vector<Record> records;

  Node add(uint64_t timeline, std::vector<Node> before) {
    graph[++last_node] = {timeline, std::move(before)};
    return last_node;
  }
  /// All that precedes a node, and itself.
  std::unordered_set<Node> ancestors(Node of) const;
  void check(const Record& now, const std::unordered_set<Node>& earlier) const;
  void remember(Record record);
  void forget(const std::set<Node>& nodes);
  void log_pass(uint64_t timeline, const Pass& pass);
};

Log& the_log() {
  static Log* const only = new Log;
  return *only;
}

std::unordered_set<Node> Log::ancestors(Node of) const {
  std::unordered_set<Node> seen{of};
  std::vector<Node> open{of};
  while (!open.empty()) {
    const auto it = graph.find(open.back());
    open.pop_back();
    if (it == graph.end()) continue;
    for (Node before : it->second.before) {
      if (seen.insert(before).second) open.push_back(before);
    }
  }
  return seen;
}

void Log::check(const Record& now, const std::unordered_set<Node>& earlier) const {
  for (const Record& before : records) {
    const Access &a = before.access, &b = now.access;
    if (!(a.written || b.written) || a.begin >= b.end || b.begin >= a.end) continue;
    if (before.timeline == now.timeline && a.tracked && b.tracked) continue;
    if (before.timeline != now.timeline && (before.waits_ahead || now.waits_ahead)) continue;
    if (earlier.count(before.node)) continue;
    report("hazard",
           format("%s %s %s, which %s of an earlier pass %s%s: no fence, event or wait orders them", now.name.c_str(),
                  b.written ? "writes" : "reads", b.buffer.c_str(), before.name.c_str(), a.written ? "writes" : "reads",
                  before.timeline == now.timeline ? "" : " on another queue"));
    return;
  }
}

void Log::remember(Record record) {
  if (records.size() >= kMostRecords) records.erase(records.begin(), records.begin() + kMostRecords / 2);
  records.push_back(std::move(record));
}

void Log::forget(const std::set<Node>& nodes) {
  for (Node node : nodes) graph.erase(node);
  std::erase_if(records, [&](const Record& r) { return nodes.count(r.node) > 0; });
  for (auto& [number, timeline] : timelines) {
    const auto gone = [&](Node node) { return nodes.count(node) > 0; };
    std::erase_if(timeline.gates, gone);
    std::erase_if(timeline.latest, gone);
  }
}

void Log::log_pass(uint64_t timeline, const Pass& pass) {
  Timeline& queue = timelines[timeline];
  Node node = add(timeline, queue.gates);
  std::unordered_set<Node> earlier = ancestors(node);
  std::vector<Record> own;  // commands of one pass are the encoder's to look at
  std::set<std::tuple<Node, uintptr_t, uintptr_t, bool>> seen;
  for (const Step& step : pass.steps) {
    switch (step.kind) {
      case Step::wait_fence: {
        const auto it = fences.find(step.fence);
        if (it == fences.end()) break;
        node = add(timeline, {node, it->second});
        earlier = ancestors(node);
        break;
      }
      case Step::update_fence:
        fences[step.fence] = node;
        break;
      case Step::command: {
        const Command& command = pass.intervals[step.interval].commands[step.index];
        for (const Access& access : command.accesses) {
          if (!seen.insert({node, access.begin, access.end, access.written}).second) continue;
          own.push_back({access, node, timeline, command.name, queue.waits_ahead});
          check(own.back(), earlier);
        }
      }
    }
  }
  for (Record& record : own) remember(std::move(record));
  queue.latest.push_back(node);
}

}  // namespace

uint64_t new_timeline() {
  Log& log = the_log();
  std::lock_guard lock(log.mutex);
  return ++log.last_timeline;
}

uint64_t log_commands(uint64_t timeline, const std::vector<Item>& items) {
  Log& log = the_log();
  std::lock_guard lock(log.mutex);
  Timeline& queue = log.timelines[timeline];
  for (const Item& item : items) {
    if (const auto* pass = std::get_if<std::shared_ptr<Pass>>(&item)) {
      log.log_pass(timeline, **pass);
    } else if (const auto* signal = std::get_if<Signal>(&item)) {
      const Node join = log.add(timeline, queue.latest);
      queue.latest = {join};
      log.events[signal->event->serial][signal->value] = join;
    } else if (const auto* wait = std::get_if<Wait>(&item)) {
      // The first signal that satisfies the wait is all that it promises.
      const auto& values = log.events[wait->event->serial];
      const auto it = values.lower_bound(wait->value);
      if (it != values.end()) {
        queue.gates.push_back(it->second);
      } else if (!wait->event->reached(wait->value)) {
        queue.waits_ahead = true;
      }
    }
  }
  return log.last_node;
}

void observe_finished(uint64_t timeline, uint64_t mark) {
  Log& log = the_log();
  std::lock_guard lock(log.mutex);
  std::set<Node> done;
  for (const auto& [node, edges] : log.graph) {
    if (node > mark) break;
    if (edges.timeline == timeline) done.insert(node);
  }
  log.forget(done);
}

void observe_event(uint64_t event, uint64_t value) {
  Log& log = the_log();
  std::lock_guard lock(log.mutex);
  const auto values = log.events.find(event);
  if (values == log.events.end()) return;
  std::set<Node> done;
  std::vector<Node> open;
  for (const auto& [at, join] : values->second) {
    if (at <= value) open.push_back(join);
  }
  while (!open.empty()) {
    const Node at = open.back();
    open.pop_back();
    const auto it = log.graph.find(at);
    if (it == log.graph.end() || !done.insert(at).second) continue;
    open.insert(open.end(), it->second.before.begin(), it->second.before.end());
  }
  if (!done.empty()) log.forget(done);
}

}  // namespace standin
