#include "ops/conv2d_weight_block.h"

#include "core/prefetch.h"
#include "ops/conv2d_slab.h"

namespace neurona {
namespace {

// Pixels per block. Read in place, the channels of x and a panel of dy over the block take half of
// a 32 KiB L1; panels stream, and longer blocks pass less often over the accumulators (512 instead
// of 256: 5 to 10 %; 1024 gains no more).
constexpr int64_t kBlockFloats = 4096;
constexpr int64_t kPackedBlockPixels = 512;
// From this many channels on a panel is filled well enough to be worth the copy.
constexpr int64_t kPackFromChannels = 16;
// But with 1x1 taps a copied pixel of x serves one tap only, and each pixel is read in place (64 ->
// 256 channels 10.4 -> 8.9 ms, with stride 2 2.0 -> 1.1 ms), in blocks that do not drive the
// accumulators out of L2 (256 pixels: 11.9 ms).
constexpr int64_t kPointwisePixels = 64;

// Successive pixels of `channels` channels to panels of `width`, the last one of `last_width`,
// panel_size floats apart. A few pixels at a time for all panels, because a pixel is contiguous
// while its parts in one panel lie far apart.
void pack_pixels(const GemmKernels& kernel, const float* source, int64_t stride, int64_t pixels,
                 int64_t channels, int64_t width, int64_t last_width, float* panels,
                 int64_t panel_size) {
  constexpr int64_t kPixelsTogether = 8;
  for (int64_t i = 0; i < pixels; i += kPixelsTogether) {
    const int64_t together = std::min(kPixelsTogether, pixels - i);
    for (int64_t c = 0, panel = 0; c < channels; c += width, ++panel) {
      const int64_t step = c + width < channels ? width : last_width;
      kernel.pack_transposed(source + i * stride + c, stride, std::min(width, channels - c),
                             together, pixels - i - together,
                             panels + panel * panel_size + i * step, step);
    }
  }
}

// Rows [first, first + rows) of an image, any of which may lie outside and then are zero, with
// slab_columns columns from -padding on, to panels of x.
void pack_image(const WeightPass& pass, const float* image, int64_t first, int64_t rows,
                float* panels, int64_t panel_size) {
  const Conv2dShape& shape = pass.shape;
  const int64_t left = std::min(shape.padding[1], pass.slab_columns);
  const int64_t inside = std::clamp<int64_t>(pass.slab_columns - left, 0, shape.w);
  const int64_t line = pass.slab_columns * pass.x_width;
  for (int64_t i = 0; i < rows; ++i, panels += line) {
    const int64_t row = first + i;
    const bool outside = row < 0 || row >= shape.h;
    for (int64_t panel = 0; panel < pass.x_panels; ++panel) {
      float* target = panels + panel * panel_size;
      if (outside) {
        std::fill_n(target, line, 0.0f);
      } else {
        std::fill_n(target, left * pass.x_width, 0.0f);
        std::fill(target + (left + inside) * pass.x_width, target + line, 0.0f);
      }
    }
    if (!outside)
      pack_pixels(pass.kernel, image + row * shape.w * shape.c, shape.c, inside, pass.group_c,
                  pass.x_width, pass.x_width, panels + left * pass.x_width, panel_size);
  }
}

// Copies the block into panels.
WeightBlock pack_block(const WeightPass& pass, const WeightBlock& in_place, int64_t source_row,
                       WeightWorkspace& work) {
  const Conv2dShape& shape = pass.shape;
  const int64_t slab_rows = pass.slab_rows(in_place.rows),
                slab_size = slab_rows * pass.slab_columns * pass.x_width;
  const int64_t pixels = in_place.rows * shape.q;
  for (int64_t n = 0; n < in_place.images; ++n) {
    pack_image(pass, in_place.x + n * in_place.image, source_row, slab_rows,
               work.x_panels.data() + n * slab_size, in_place.images * slab_size);
  }
  // Images follow one another in dy.
  pack_pixels(pass.kernel, in_place.dy, shape.k, in_place.images * pixels, pass.group_k,
              pass.kernel.columns, pass.panel_width(pass.k_panels - 1), work.dy_panels.data(),
              pass.kernel.columns * pass.block_pixels());
  return {work.x_panels.data(),
          slab_size,
          pass.slab_columns * pass.x_width,
          pass.x_width,
          in_place.images * slab_size,
          work.dy_panels.data(),
          in_place.images,
          in_place.rows};
}

}  // namespace

WeightPass::WeightPass(const Conv2dShape& s, const float* x_part, const float* dy_part,
                       int64_t channels, int64_t filters)
    : shape(s),
      kernel(kernels().gemm),
      x(x_part),
      dy(dy_part),
      group_c(channels),
      group_k(filters) {
  const bool pointwise = s.r == 1 && s.s == 1 && s.padding == Pair{0, 0} && has_small_weight(s);
  packed = s.group_c() >= kPackFromChannels && !pointwise;
  x_panels = divide_up(group_c, kernel.rows);
  x_width = divide_up(group_c, x_panels);
  k_panels = divide_up(group_k, kernel.columns);
  const int64_t pixels =
      packed      ? kPackedBlockPixels
      : pointwise ? kPointwisePixels
                  : kBlockFloats / (group_c + std::min<int64_t>(group_k, kernel.columns));
  block_rows = std::clamp<int64_t>(pixels / s.q, 1, std::min<int64_t>(s.p, kMaxRuns));
  blocks = divide_up(s.p, block_rows);
  block_images = blocks > 1 ? 1
                            : std::clamp<int64_t>(std::min(pixels / s.q, int64_t{kMaxRuns}) / s.p,
                                                  1, std::max<int64_t>(1, s.n));
  use_slab = !packed && (s.padding[0] > 0 || s.padding[1] > 0 || (s.groups > 1 && s.s > 1));
  merged = !packed && s.dilation[1] == 1 && (use_slab || s.groups == 1);
  asks_ahead = !packed && s.groups == 1 && comes_from_memory(s.images_bytes());
  slab_columns = (s.q - 1) * s.stride[1] + (s.s - 1) * s.dilation[1] + 1;
}

WeightWorkspace::WeightWorkspace(const WeightPass& pass)
    : slab(pass.use_slab ? pass.block_images * pass.slab_pixels() * pass.group_c : 1),
      x_panels(pass.packed ? pass.block_images * pass.slab_pixels() * pass.x_panels * pass.x_width
                           : 1),
      dy_panels(pass.packed ? pass.k_panels * pass.kernel.columns * pass.block_pixels() : 1) {}

WeightBlock view_block(const WeightPass& pass, int64_t task, WeightWorkspace& work) {
  const Conv2dShape& shape = pass.shape;
  const int64_t n = task / pass.blocks * pass.block_images,
                first_row = task % pass.blocks * pass.block_rows;
  const int64_t images = std::min(pass.block_images, shape.n - n),
                rows = std::min(pass.block_rows, shape.p - first_row);
  const int64_t image_size = shape.h * shape.w * shape.c,
                source_row = first_row * shape.stride[0] - shape.padding[0];
  const float* dy = pass.dy + (n * shape.p + first_row) * shape.q * shape.k;
  const WeightBlock in_place{
      pass.x + n * image_size, image_size, shape.w * shape.c, shape.c, 0, dy, images, rows};
  if (pass.packed) return pack_block(pass, in_place, source_row, work);
  WeightBlock view = in_place;
  if (!pass.use_slab) {
    view.x += source_row * view.line;
    return view;
  }
  const int64_t slab_size = pass.slab_pixels() * pass.group_c;
  for (int64_t i = 0; i < images; ++i)
    copy_slab({in_place.x + i * image_size, shape.h, shape.w, shape.c, pass.group_c}, source_row,
              pass.slab_rows(rows), -shape.padding[1], pass.slab_columns,
              work.slab.data() + i * slab_size);
  return {work.slab.data(), slab_size, pass.slab_columns * pass.group_c, pass.group_c, 0, dy,
          images,           rows};
}

}  // namespace neurona
