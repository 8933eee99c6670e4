// csrc/plan/conv_traffic.h -- what of a convolution's operands is asked for ahead, and what goes past the caches
#pragma once

#include "plan/conv_plan.h"
#include "plan/machine.h"

namespace nhwc {

inline bool is_plain(ConvAlgorithm a) { return a == ConvAlgorithm::direct || a == ConvAlgorithm::merged; }

/// Whether pixels come from beyond L2.
bool input_is_far(const ConvProblem& q, int element, size_t l2);
/// How depthwise tiles read what is far: memory, and a slow L3. There lines that are asked for one by one, as a strip
/// goes down, cost twice what rows in the order of memory do (8x28x28x192 3x3 on a Xeon with AMX: 618 us and 428,
/// without asking 884 and 590; in L2 31 and 42).
void order_depthwise(CpuPlan& plan, const ConvProblem& q, const Machine& machine, const DeviceFacts& f);

/// Whether the output goes past the caches. One that L3 holds is read by the next operation sooner than it would come
/// from memory; one of more than half of it is written 1.1 to 1.5 times as fast. Every vector must be a whole line.
bool streams_output(const CpuPlan& plan, const DeviceFacts& f);

/// Whether the output is asked for before it is written. Between two passes of a network it mostly leaves L3: written
/// from memory, stems of 1.6 to 13 MB take 1.12 to 1.3 times as long without. Where it is near, asking costs a sum of
/// 27 products 1 %, shorter ones more. Of a slow L3 it is short sums that gain, whose stores come one upon the other
/// (10 products: 463 us to 422); under longer ones enough loads wait already (27: 1270 us to 1420; 64: 690 to 709).
bool asks_for_output(const ConvProblem& q, const Machine& machine, size_t l2);

/// Whether Winograd tiles, which take group by group, ask for the pixels and outputs of the next one: single lines far
/// apart (from a slow L3, 8x28x28x256 in groups of 8: 1.8 ms, 1.54 with the pixels, 1.47 with both; of 16: 1.22, 1.20,
/// 1.13). Neighbours come together: asking for groups of 24 and 48 channels cost 7 to 10 %.
bool asks_for_groups(const ConvProblem& units, const Machine& machine, const DeviceFacts& f);

/// Whether direct tiles ask for weights, panels of which are `width` outputs wide: those of one panel leave L1 between
/// two tiles, or all of them most of L2. Asking costs short sums 2 to 4 %, and saves long ones 4 to 45 %.
bool weights_are_far(const ConvProblem& q, int width, const DeviceFacts& f);

/// Whether the pieces of a block of Winograd tiles ask for a part each of the next frequency's weights, which so come
/// steadily from a slow L3 (Xeon, tiles of 14x14 images of 128 and 256 channels: 1.08 and 1.04 times as fast, 8x8x256:
/// 1.18). Those in L2 come without (56x56x64: 0.98).
bool asks_for_parts(int64_t weight_bytes, const Machine& machine, size_t l2);

}  // namespace nhwc
