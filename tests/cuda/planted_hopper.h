// Kernels for sm_90a that are wrong on purpose (planted_hopper.cu, planted_patches.cu,
// planted_clusters.cu).
#pragma once

#include <string>
#include <vector>

namespace neurona {

// "none" and the faults.
std::vector<std::string> hopper_faults();

// The product of a (64, depth) and b (128, depth) with a fault, as 64 rows of 128.
std::vector<float> run_hopper(const std::string& fault, const std::vector<float>& a,
                              const std::vector<float>& b);

// "none" and the faults of the product of patches; the sums of the product with one of them: of
// images x (2, 6, 7, 72 channels) and gradients dy (2, 5, 5, 128), 64 rows of 128.
std::vector<std::string> patch_faults();
std::vector<float> run_patches(const std::string& fault, const std::vector<float>& x,
                               const std::vector<float>& dy);

// The same of the sums of lines: of x (2 clusters, 64 lines, depth), 2 x 2 blocks of 64.
std::vector<std::string> cluster_faults();
std::vector<float> run_clusters(const std::string& fault, const std::vector<float>& x);

}  // namespace neurona
