#include "cuda/emulation/block.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace neurona::emulation {

const Position* running = nullptr;
Block* running_block = nullptr;

std::string describe(const Site& site) {
  std::ostringstream text;
  text << site.what << " at " << site.file << ':' << site.line;
  return text.str();
}

void Block::begin_launch(const Call& call) {
  call_ = call;
  const Extent3& extent = call.block;
  const size_t count = extent.count();
  threads_.assign(count, Thread{});
  states_.assign(count, State::kNew);
  copies_.resize(count);
  warps_.assign((count + kWarp - 1) / kWarp, Warp{});
  in_group_.assign((count + kWarpgroup - 1) / kWarpgroup, 0);
  for (unsigned i = 0; i < count; ++i) {
    threads_[i].position = {
        {i % extent.x, i / extent.x % extent.y, i / (extent.x * extent.y)}, {}, extent, call.grid};
    warps_[i / kWarp].present |= 1u << i % kWarp;
  }
}

void Block::begin(const Index3& place, Turns& turns) {
  shared.begin_block(call_.dynamic_bytes);
  mbarriers.begin_block();
  wgmma.begin_block(warps_.size());
  std::fill(states_.begin(), states_.end(), State::kNew);
  for (Thread& thread : threads_) thread.position.block = place;
  for (Warp& warp : warps_) warp.returned = warp.waiting = 0;
  std::fill(in_group_.begin(), in_group_.end(), size_t{0});
  at_barrier_ = {};
  returned_ = waited_ = 0;
  error_.clear();
  order_ = turns.of(threads_.size());
}

void Block::check_end() const {
  if (call_.overlaps && waited_ != threads_.size())
    stop("every thread must wait for earlier kernels once, as the launch overlaps with them");
  if (!shared.end_block()) stop("wrote beyond the end of a shared array");
}

// Makes a new thread the running one, on the fibre.
inline void Block::begin_thread(size_t index, Fibre* fibre) {
  current_ = index;
  threads_[index].fibre = fibre;
  states_[index] = State::kReady;
  running = &threads_[index].position;
}

[[gnu::always_inline]] inline void Block::resume(size_t index) {
  if (states_[index] == State::kNew) {
    if (idle_.empty()) {
      fibres_.push_back(std::make_unique<Fibre>());
      fibres_.back()->reset(&Block::fibre_body);
      idle_.push_back(fibres_.back().get());
    }
    begin_thread(index, idle_.back());
    idle_.pop_back();
  }
  current_ = index;
  running = &threads_[index].position;
  threads_[index].fibre->resume();
}

bool Block::can_run(size_t index) {
  const State state = states_[index];
  if (state != State::kUntil) return state == State::kNew || state == State::kReady;
  if (!threads_[index].ready(threads_[index].what)) return false;
  states_[index] = State::kReady;
  return true;
}

bool Block::advance() {
  bool went_on = false;
  while (!has_ended()) {
    const bool ran = take_turns();
    const bool all_wait = at_barrier_.threads > 0 && at_barrier_.threads == threads_left();
    if (all_wait) release_barrier();
    if (!ran && !all_wait) break;
    went_on = true;
  }
  return went_on;
}

// Each thread that can run has its turn; false if none can.
bool Block::take_turns() {
  bool ran = false;
  for (turn_ = 0; turn_ < threads_.size(); turn_ = next_turn()) {
    if (!can_run(order_[turn_])) continue;
    ran = true;
    resume(order_[turn_]);
    if (!error_.empty()) throw std::runtime_error(error_);
  }
  return ran;
}

// Threads of a warp that follow each other take turns until none can go on: so a warp is as far
// ahead of the others as barriers allow, and what it writes too early meets their reads.
size_t Block::next_turn() const {
  const size_t next = turn_ + 1, warp = order_[turn_] / kWarp;
  if (next < order_.size() && order_[next] / kWarp == warp) return next;
  size_t first = next;
  bool goes_on = false;
  for (; first > 0 && order_[first - 1] / kWarp == warp; --first)
    goes_on = goes_on || states_[order_[first - 1]] == State::kReady;
  return goes_on ? first : next;
}

void Block::fibre_body() { block().run_new_threads(); }

// Runs a thread, then threads that have not begun, as long as it is their turn, so that a kernel
// that never waits needs one fibre and no change of stacks.
void Block::run_new_threads() {
  for (;;) {
    call_.body(call_.argument);
    if (copies().under_way()) fail({}, "a thread ends before its cp.async have arrived");
    copies().forget();
    Fibre* fibre = threads_[current_].fibre;
    states_[current_] = State::kDone;
    ++returned_;
    warps_[current_ / kWarp].returned |= 1u << current_ % kWarp;
    if (turn_ + 1 < order_.size() && states_[order_[turn_ + 1]] == State::kNew) {
      begin_thread(order_[++turn_], fibre);
      continue;
    }
    idle_.push_back(fibre);
    fibre->suspend();  // and goes on with a new thread
  }
}

// Threads that still wait hold nothing but plain numbers.
void Block::forget_threads() {
  idle_.clear();
  for (AsyncCopies& copies : copies_) copies.forget();
  for (const auto& fibre : fibres_) {
    fibre->reset(&Block::fibre_body);
    idle_.push_back(fibre.get());
  }
}

void Block::barrier(const Site& site) {
  at_barrier_.join(site);
  suspend_in(State::kAtBarrier, site);
}

void Block::suspend_in(State state, const Site& site) {
  Thread& thread = threads_[current_];
  states_[current_] = state;
  thread.site = &site;
  thread.fibre->suspend();
}

void Block::release(State from) {
  for (State& state : states_)
    if (state == from) state = State::kReady;
}

// All threads that have not returned stand at a barrier.
void Block::release_barrier() {
  if (!at_barrier_.at_same_place)
    stop("threads of one block wait at different barriers, " + waiting());
  release(State::kAtBarrier);
  at_barrier_ = {};
}

const char* Block::problem_with(uint32_t mask) const {
  const Warp& warp = warps_[current_ / kWarp];
  if (!(mask >> current_ % kWarp & 1)) return "a lane is not in its own mask";
  if (mask & ~warp.present) return "the mask names a lane that the block does not have";
  if (mask & warp.returned) return "the mask names a lane that has returned";
  return nullptr;
}

void Block::exchange(const Site& site, uint32_t mask, void* offer, Finish finish) {
  if (const char* problem = problem_with(mask)) fail(site, problem);
  const size_t lane = current_ % kWarp, first = current_ - lane;
  Thread& thread = threads_[current_];
  Warp& warp = warps_[current_ / kWarp];
  thread.mask = mask;
  thread.offer = offer;
  thread.site = &site;
  states_[current_] = State::kInWarp;
  warp.waiting |= 1u << lane;
  if (!is_complete(first, thread)) return thread.fibre->suspend();
  void* offers[kWarp];
  for (size_t i = 0; i < kWarp; ++i) {
    if (!(mask >> i & 1)) continue;
    offers[i] = threads_[first + i].offer;
    states_[first + i] = State::kReady;
  }
  warp.waiting &= ~mask;
  finish(mask, offers);
}

void Block::meet(const Site& site, void* offer, FinishGroup finish) {
  const size_t group = current_ / kWarpgroup, first = group * kWarpgroup;
  if (first + kWarpgroup > threads_.size()) fail(site, "the warpgroup has not all of its threads");
  Thread& thread = threads_[current_];
  thread.offer = offer;
  thread.site = &site;
  states_[current_] = State::kInGroup;
  if (++in_group_[group] < kWarpgroup) return thread.fibre->suspend();
  void* offers[kWarpgroup];
  for (size_t i = 0; i < kWarpgroup; ++i) {
    if (!same_place(*threads_[first + i].site, site))
      fail(site, "threads of the warpgroup wait at another place");
    offers[i] = threads_[first + i].offer;
  }
  for (size_t i = 0; i < kWarpgroup; ++i) states_[first + i] = State::kReady;
  in_group_[group] = 0;
  finish(first, offers);
}

void Block::wait_until(const Site& site, Ready ready, const void* what) {
  if (ready(what)) return;
  Thread& thread = threads_[current_];
  thread.site = &site;
  thread.ready = ready;
  thread.what = what;
  states_[current_] = State::kUntil;
  thread.fibre->suspend();
}

// Whether all lanes of the last one's mask wait where it does.
bool Block::is_complete(size_t first, const Thread& last) const {
  if (last.mask & ~warps_[first / kWarp].waiting) return false;
  for (size_t i = 0; i < kWarp; ++i) {
    if (!(last.mask >> i & 1)) continue;
    const Thread& other = threads_[first + i];
    if (other.mask != last.mask || !same_place(*other.site, *last.site)) return false;
  }
  return true;
}

// Who waits where, one entry for each run of threads in the same situation.
std::string Block::waiting() const {
  std::ostringstream text;
  int shown = 0;
  for (size_t i = 0; i < threads_.size(); ++i) {
    const Thread &thread = threads_[i], &previous = threads_[i ? i - 1 : 0];
    if (states_[i] == State::kDone) continue;
    const bool in_warp = states_[i] == State::kInWarp;
    if (i > 0 && states_[i - 1] == states_[i] && same_place(*previous.site, *thread.site) &&
        (!in_warp || previous.mask == thread.mask))
      continue;
    if (++shown > 8) return text.str() + "; ..";
    text << (shown > 1 ? "; " : "") << "from thread " << i << ": " << describe(*thread.site);
    if (in_warp) text << " with mask 0x" << std::hex << thread.mask << std::dec;
  }
  return text.str();
}

void Block::stop(const std::string& problem) const {
  throw std::runtime_error(std::string(call_.kernel) + ": " + problem);
}

// Ends the launch with an error: run_to_end() throws it, and the fibre is never resumed.
void Block::fail(const Site& site, const char* reason) {
  const Thread& thread = threads_[current_];
  const Index3& place = thread.position.block;
  std::ostringstream text;
  text << call_.kernel << ": " << reason;
  if (site.line) text << ", " << describe(site);
  text << "; thread " << current_ << " of block (" << place.x << ", " << place.y << ", " << place.z
       << ')';
  error_ = text.str();
  for (;;) thread.fibre->suspend();
}

}  // namespace neurona::emulation
