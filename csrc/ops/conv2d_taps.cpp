#include "ops/conv2d_taps.h"

#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;
constexpr int kMaxKernelRows = 32;
constexpr int64_t kChannelsTogether = 16;  // whose weights are brought side by side
// Pixels from which on a partly filled last tile no longer matters: 16 tiles of 12.
constexpr int64_t kTaskPixels = 192;

int64_t span(const std::vector<Tap>& taps) {
  return taps.empty() ? 0 : taps.back().offset - taps.front().offset;
}

// Everything about a convolution that does not depend on the task: packed weights, runs, and how
// rows are cut into blocks.
struct Plan {
  const TapConvolution& conv;
  const GemmKernels& kernel;
  bool use_slab;
  int64_t slab_columns;
  int64_t run_length, depth;  // floats per run and in all runs
  std::vector<int64_t> run_offsets;
  int64_t block_rows, blocks;  // grid rows per task, blocks per image
  int64_t block_images;  // images per task: more than one only where a task holds whole images
  bool panels_outside;
  int64_t panels, panel_groups;  // of the weights; groups of them that are tasks of their own
  bool one_channel;

  explicit Plan(const TapConvolution& c) : conv(c), kernel(kernels().gemm) {
    const ImageView& source = conv.source;
    const int64_t row_reach = (conv.grid_rows - 1) * conv.step[0],
                  column_reach = (conv.grid_columns - 1) * conv.step[1];
    const bool empty = conv.rows.empty() || conv.columns.empty();
    const bool leaves_image =
        !empty && (conv.rows.front().offset < 0 || conv.columns.front().offset < 0 ||
                   row_reach + conv.rows.back().offset >= source.height ||
                   column_reach + conv.columns.back().offset >= source.width);
    // A copy also brings the channels of one group together, so that neighbouring taps form one
    // run.
    use_slab =
        !empty && (leaves_image || (source.channels != source.pixel && conv.columns.size() > 1));
    slab_columns = column_reach + span(conv.columns) + 1;
    depth =
        empty ? 0 : static_cast<int64_t>(conv.rows.size() * conv.columns.size()) * source.channels;
    panels = divide_up(conv.out_channels, kernel.columns);
    panels_outside =
        depth * conv.out_channels * static_cast<int64_t>(sizeof(float)) > cache_sizes().l2 / 2;
    choose_blocks();
    find_runs(empty);
    one_channel = !empty && run_offsets.size() == conv.rows.size() &&
                  run_offsets.size() <= kMaxKernelRows && conv.step[1] == 1 &&
                  (use_slab ? source.channels : source.pixel) == 1;
  }

  // A task's rows of the source should stay in a quarter of L2 while the weights stream by; and
  // there should be work for all threads. Where one or two small images meet large weights it is
  // the weights that are shared out, so that they stream by once in all (512 -> 512 channels of 7x7
  // pixels, packed weights: 1.39 to 1.21 ms). Results do not depend on the cut: each output pixel
  // is one tile row.
  void choose_blocks() {
    const int64_t line_bytes = std::max<int64_t>(
        1, slab_columns * conv.source.channels * static_cast<int64_t>(sizeof(float)));
    const int64_t source_rows = std::max<int64_t>(1, cache_sizes().l2 / 4 / line_bytes);
    const int64_t fitting =
        std::max<int64_t>(1, (source_rows - span(conv.rows) - 1) / conv.step[0] + 1);
    const int64_t wanted = divide_up(2 * num_threads(), std::max<int64_t>(1, conv.batch));
    const bool share_weights = panels_outside && wanted > 1 && fitting >= conv.grid_rows;
    panel_groups = share_weights ? std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, panels)) : 1;
    const int64_t rows = share_weights ? conv.grid_rows : divide_up(conv.grid_rows, wanted);
    block_rows = std::clamp<int64_t>(std::min(fitting, rows), 1, conv.grid_rows);
    blocks = divide_up(conv.grid_rows, block_rows);
    // Small images share a task, so that few tiles are left with less than their full height and
    // the weights, which stream by once per task, serve more pixels.
    const int64_t image_rows = span(conv.rows) + 1 + (conv.grid_rows - 1) * conv.step[0];
    const int64_t for_threads = std::max<int64_t>(1, conv.batch / (2 * num_threads()));
    const int64_t for_tiles = divide_up(kTaskPixels, conv.grid_rows * conv.grid_columns);
    block_images = blocks > 1 ? 1
                              : std::clamp<int64_t>(source_rows / image_rows, 1,
                                                    std::min(for_threads, for_tiles));
  }

  void find_runs(bool empty) {
    const int64_t pixel = use_slab ? conv.source.channels : conv.source.pixel;
    const int64_t line = (use_slab ? slab_columns : conv.source.width) * pixel;
    run_length = 0;
    if (empty) return;
    const auto& columns = conv.columns;
    bool adjacent = pixel == conv.source.channels;
    for (size_t b = 1; b < columns.size(); ++b)
      adjacent = adjacent && columns[b].offset == columns[b - 1].offset + 1;
    run_length = conv.source.channels * (adjacent ? static_cast<int64_t>(columns.size()) : 1);
    for (const Tap& row : conv.rows)
      for (size_t b = 0; b < (adjacent ? 1 : columns.size()); ++b)
        run_offsets.push_back((row.offset - conv.rows.front().offset) * line +
                              (columns[b].offset - columns.front().offset) * pixel);
  }

  int64_t slab_size() const {
    return use_slab ? ((block_rows - 1) * conv.step[0] + span(conv.rows) + 1) * slab_columns *
                          conv.source.channels
                    : 0;
  }

  int64_t panel_width(int64_t first) const {
    return conv.out_channels - first > kernel.lanes ? kernel.columns : kernel.lanes;
  }
};

// A panel of the weights is a row of out channels per (tap, channel), in the order in which the
// runs meet them.
void pack_panel(const Plan& plan, int64_t first, float* panel) {
  const TapConvolution& conv = plan.conv;
  const int64_t width = std::min<int64_t>(plan.kernel.columns, conv.out_channels - first),
                step = plan.panel_width(first);
  for (const Tap& row : conv.rows)
    for (const Tap& column : conv.columns) {
      const float* tap = conv.weight + first * conv.out_channel_stride +
                         row.index * conv.kernel_width + column.index;
      for (int64_t channel = 0; channel < conv.source.channels; ++channel, panel += step) {
        for (int64_t i = 0; i < width; ++i)
          panel[i] = tap[channel * conv.channel_stride + i * conv.out_channel_stride];
        for (int64_t i = width; i < step; ++i) panel[i] = 0;
      }
    }
}

// The same where the filters of an out channel's channels follow one another and are many: those of
// some channels are first brought side by side, an out channel a column, by whole vectors (256 ->
// 512 channels of 14x14, one image, one thread: 1.2 -> 0.74 ms; below 16 channels it is slower).
void pack_long_panel(const Plan& plan, int64_t first, float* panel) {
  const TapConvolution& conv = plan.conv;
  const int64_t width = std::min<int64_t>(plan.kernel.columns, conv.out_channels - first),
                step = plan.panel_width(first), channels = conv.source.channels,
                filter = conv.channel_stride;
  const Scratch<float> taps(kChannelsTogether * filter * step);
  for (int64_t channel = 0; channel < channels; channel += kChannelsTogether) {
    const int64_t count = std::min(kChannelsTogether, channels - channel);
    plan.kernel.pack_lines(conv.weight + first * conv.out_channel_stride + channel * filter,
                           conv.out_channel_stride, width, filter * count, taps.data(), step);
    float* target = panel + channel * step;
    for (const Tap& row : conv.rows)
      for (const Tap& column : conv.columns) {
        const float* tap = taps.data() + (row.index * conv.kernel_width + column.index) * step;
        for (int64_t i = 0; i < count; ++i)
          std::copy_n(tap + i * filter * step, step, target + i * step);
        target += channels * step;
      }
  }
}

// Where a task's tiles read and write.
struct TaskView {
  const float* origin;  // source position of the task's first grid position under the first tap
  int64_t image, line, pixel;  // floats from one image, row, pixel of the source to the next
  float* out;
  int64_t images, rows;
};

// One source channel, unit step: the pixels of an output row read the same floats one apart, so a
// tile takes all of them through one pointer and needs no list of rows. For a 5x5 kernel on 28
// columns that is 2 tiles of 14 pixels and 25 steps.
void run_rows(const Plan& plan, const float* packed, const TaskView& view, int64_t first_panel,
              int64_t last_panel) {
  const TapConvolution& conv = plan.conv;
  const GemmKernels& kernel = plan.kernel;
  const int64_t run_count = static_cast<int64_t>(plan.run_offsets.size());
  TileRun runs[kMaxKernelRows];
  float* c_rows[kMaxRows];
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t first = panel * kernel.columns, step = plan.panel_width(first);
    const int width =
        static_cast<int>(std::min<int64_t>(kernel.columns, conv.out_channels - first));
    for (int64_t r = 0; r < run_count; ++r)
      runs[r] = {nullptr, packed + first * plan.depth + r * plan.run_length * step,
                 plan.run_length};
    for (int64_t row = 0; row < view.images * view.rows; ++row) {
      const int64_t n = row / view.rows, i = row % view.rows;
      const float* source = view.origin + n * view.image + i * conv.step[0] * view.line;
      float* out = view.out + n * conv.out_image + i * conv.out_row + first;
      for (int64_t j = 0; j < conv.grid_columns; j += kernel.rows) {
        const int height = static_cast<int>(std::min<int64_t>(kernel.rows, conv.grid_columns - j));
        for (int64_t r = 0; r < run_count; ++r) runs[r].a = source + plan.run_offsets[r] + j;
        for (int t = 0; t < height; ++t) c_rows[t] = out + (j + t) * conv.out_pixel;
        kernel.tile_columns(
            height, width, runs, run_count, 1, step, true,
            {c_rows, conv.bias ? conv.bias + first : nullptr, 1.0f, false, conv.activation});
      }
    }
  }
}

// All tiles of a task against the panels [first_panel, last_panel).
void run_panels(const Plan& plan, const float* packed, const TaskView& view, int64_t first_panel,
                int64_t last_panel) {
  const TapConvolution& conv = plan.conv;
  const GemmKernels& kernel = plan.kernel;
  if (plan.one_channel) return run_rows(plan, packed, view, first_panel, last_panel);
  const float* a_rows[kMaxRows];
  float* out_pixels[kMaxRows];
  float* c_rows[kMaxRows];
  const int64_t pixel_step = conv.step[1] * view.pixel;
  const float* source = view.origin;
  float* out = view.out;
  int64_t n = 0, i = 0, j = 0;
  for (int64_t left = view.images * view.rows * conv.grid_columns; left > 0;
       left -= kernel.pointer_rows) {
    const int height = static_cast<int>(std::min<int64_t>(left, kernel.pointer_rows));
    for (int t = 0; t < height; ++t) {
      a_rows[t] = source;
      out_pixels[t] = out;
      source += pixel_step;
      out += conv.out_pixel;
      if (++j < conv.grid_columns) continue;
      j = 0;
      if (++i == view.rows) {
        i = 0;
        ++n;
      }
      source = view.origin + n * view.image + i * conv.step[0] * view.line;
      out = view.out + n * conv.out_image + i * conv.out_row;
    }
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      const int64_t first = panel * kernel.columns;
      const int width =
          static_cast<int>(std::min<int64_t>(kernel.columns, conv.out_channels - first));
      for (int t = 0; t < height; ++t) c_rows[t] = out_pixels[t] + first;
      kernel.tile_rows(
          height, width, a_rows, plan.run_offsets.data(),
          static_cast<int64_t>(plan.run_offsets.size()), plan.run_length,
          packed + first * plan.depth, plan.panel_width(first),
          {c_rows, conv.bias ? conv.bias + first : nullptr, 1.0f, false, conv.activation});
    }
  }
}

TaskView view_task(const Plan& plan, int64_t task, float* slab) {
  const TapConvolution& conv = plan.conv;
  const int64_t n = task / plan.blocks * plan.block_images,
                first_row = task % plan.blocks * plan.block_rows;
  const int64_t images = std::min(plan.block_images, conv.batch - n),
                rows = std::min(plan.block_rows, conv.grid_rows - first_row);
  ImageView image = conv.source;
  image.data += n * conv.source_image;
  float* out = conv.out + n * conv.out_image + first_row * conv.out_row;
  const int64_t line = image.width * image.pixel;
  if (plan.depth == 0) return {image.data, conv.source_image, line, image.pixel, out, images, rows};
  const int64_t source_row = first_row * conv.step[0] + conv.rows.front().offset,
                source_column = conv.columns.front().offset;
  if (!plan.use_slab)
    return {image.data + source_row * line + source_column * image.pixel,
            conv.source_image,
            line,
            image.pixel,
            out,
            images,
            rows};
  for (int64_t i = 0; i < images; ++i, image.data += conv.source_image)
    copy_slab(image, source_row, (rows - 1) * conv.step[0] + span(conv.rows) + 1, source_column,
              plan.slab_columns, slab + i * plan.slab_size());
  return {slab, plan.slab_size(), plan.slab_columns * image.channels, image.channels, out, images,
          rows};
}

void run_task(const Plan& plan, const float* packed, int64_t task, float* slab) {
  const TaskView view = view_task(plan, task / plan.panel_groups, slab);
  if (!plan.panels_outside) return run_panels(plan, packed, view, 0, plan.panels);
  const int64_t group = task % plan.panel_groups;
  const int64_t first = group * plan.panels / plan.panel_groups,
                last = (group + 1) * plan.panels / plan.panel_groups;
  for (int64_t panel = first; panel < last; ++panel)
    run_panels(plan, packed, view, panel, panel + 1);
}

void pack_panels(const Plan& plan, float* packed) {
  const TapConvolution& conv = plan.conv;
  const int64_t columns = plan.kernel.columns;
  const bool is_long =
      conv.channel_stride < conv.out_channel_stride && conv.source.channels >= kChannelsTogether;
  parallel_for(plan.panels, grain_for(plan.depth * columns), [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      if (is_long) {
        pack_long_panel(plan, panel * columns, packed + panel * columns * plan.depth);
      } else {
        pack_panel(plan, panel * columns, packed + panel * columns * plan.depth);
      }
  });
}

void run_tasks(const Plan& plan, const float* packed) {
  const TapConvolution& conv = plan.conv;
  const int64_t task_flops = 2 * plan.block_images * plan.block_rows * conv.grid_columns *
                             conv.out_channels * std::max<int64_t>(1, plan.depth) /
                             plan.panel_groups;
  const int64_t tasks = divide_up(conv.batch, plan.block_images) * plan.blocks * plan.panel_groups;
  parallel_for(tasks, grain_for(task_flops / 16), [&](int64_t begin, int64_t end) {
    const Scratch<float> slab(std::max<int64_t>(1, plan.block_images * plan.slab_size()));
    for (int64_t task = begin; task < end; ++task) run_task(plan, packed, task, slab.data());
  });
}

}  // namespace

int64_t packed_taps_size(const TapConvolution& conv) {
  const Plan plan(conv);
  return plan.panels * plan.kernel.columns * plan.depth;
}

void pack_taps(const TapConvolution& conv, float* packed) { pack_panels(Plan(conv), packed); }

void run_taps(const TapConvolution& conv) {
  if (conv.batch == 0 || conv.grid_rows <= 0 || conv.grid_columns <= 0) return;
  const Plan plan(conv);
  if (conv.packed) return run_tasks(plan, conv.packed);
  const Scratch<float> packed(std::max<int64_t>(1, packed_taps_size(conv)));
  pack_panels(plan, packed.data());
  run_tasks(plan, packed.data());
}

}  // namespace neurona
