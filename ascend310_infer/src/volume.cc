#include "volume.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

#include "errors.h"
#include "image_file.h"
#include "image_names.h"
#include "scan_header.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr double kOrthonormal = 1e-3, kApartMm = 0.1;

void check_axes(const std::filesystem::path& path, const Geometry& geometry) {
  const auto& d = geometry.direction;
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      const double dot = d[a] * d[b] + d[3 + a] * d[3 + b] + d[6 + a] * d[6 + b];
      const double wanted = a == b ? 1 : 0;
      if (std::abs(dot - wanted) <= kOrthonormal + 1e-5 * wanted) continue;  // NumPy's allclose
      throw InputError(text(path.string(), ": its axes are not at right angles (direction ", joined(d, " "),
                            "); resample it to a grid that is"));
    }
  }
}

void check_spacing(const std::filesystem::path& path, const Geometry& geometry) {
  const auto& mm = geometry.spacing_mm;
  if (!std::all_of(mm.begin(), mm.end(), [](double value) { return value > 0 && std::isfinite(value); })) {
    throw InputError(
        text(path.string(), ": spacing (", joined(mm, ", "), ") mm in (z, y, x); every axis needs a spacing above 0"));
  }
  const auto& at = geometry.origin_mm;
  if (!std::all_of(at.begin(), at.end(), [](double value) { return std::isfinite(value); })) {
    throw InputError(text(path.string(), ": origin (", joined(at, ", "), ") mm; it must be finite"));
  }
}

/// World position of the corner whose bits (x, y, z) are set in `corner`.
std::array<double, 3> corner_mm(const Shape& shape, const Geometry& geometry, unsigned int corner) {
  std::array<double, 3> position = geometry.origin_mm;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if ((corner >> axis & 1U) == 0) continue;
    const double mm = static_cast<double>(shape[2 - axis] - 1) * geometry.spacing_mm[2 - axis];
    for (std::size_t row = 0; row < 3; ++row) position[row] += geometry.direction[3 * row + axis] * mm;
  }
  return position;
}

void check_same_grid(const ImageFile& first, const ImageFile& other) {
  if (first.shape() != other.shape()) {
    throw InputError(text(other.path().string(), ": its shape (z, y, x) is (", joined(other.shape(), ", "),
                          "), that of ", first.path().string(), " is (", joined(first.shape(), ", "),
                          "); both are needed on one grid"));
  }
  double apart = 0;
  for (unsigned int corner = 0; corner < 8; ++corner) {
    const auto one = corner_mm(first.shape(), first.geometry(), corner);
    const auto two = corner_mm(other.shape(), other.geometry(), corner);
    apart = std::max(apart, std::hypot(one[0] - two[0], one[1] - two[1], one[2] - two[2]));
  }
  const auto& mm = first.geometry().spacing_mm;
  const double tolerance = std::min(kApartMm, *std::min_element(mm.begin(), mm.end()) / 2);
  if (apart > tolerance) {
    throw InputError(text(other.path().string(), ": its grid lies up to ", apart, " mm away from that of ",
                          first.path().string(), " (tolerance ", tolerance,
                          " mm); write both with the same spacing, origin and direction"));
  }
}

/// A scan's files, looked at and on one grid.
std::vector<std::unique_ptr<ImageFile>> open_files(const std::vector<std::filesystem::path>& files,
                                                   const std::optional<Spacing>& spacing_mm) {
  std::vector<std::unique_ptr<ImageFile>> opened;
  for (const auto& path : files) {
    opened.push_back(open_image(path, spacing_mm));
    check_axes(path, opened.back()->geometry());
    check_spacing(path, opened.back()->geometry());
    if (opened.size() > 1) check_same_grid(*opened.front(), *opened.back());
  }
  return opened;
}

/// Room for `num_bytes` in the new file `path`, so that a full disk is told before ITK meets it.
void reserve(const std::filesystem::path& path, std::size_t num_bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) throw WorkError(text(path.string(), ": cannot be written (", std::strerror(errno), ")"));
  const int fault = posix_fallocate(file, 0, static_cast<off_t>(std::max<std::size_t>(num_bytes, 1)));
  const int closed = close(file);
  if (fault == ENOSPC || fault == EFBIG || fault == EDQUOT || closed != 0) {
    throw WorkError(
        text(path.string(), ": cannot be written (", std::strerror(fault != 0 ? fault : EIO), "); is the disk full?"));
  }
}

/// Throws WorkError unless the file reads back as `labels`.
void require_same(const std::filesystem::path& path, const Labels& labels) {
  bool same = false;
  try {
    const auto file = open_image(path, std::nullopt);
    same = file->channels() == 1 && file->shape() == labels.shape;
    if (same) {
      std::vector<float> found(labels.voxels.size());
      file->read(found.data());
      same = std::equal(found.begin(), found.end(), labels.voxels.begin());
    }
  } catch (const InputError& error) {
    throw WorkError(text(error.what(), "; is the disk full?"));
  }
  if (!same) throw WorkError(text(path.string(), ": what was written does not read back; is the disk full?"));
}

/// Removed at the end, where it is still there.
class Partial {
 public:
  explicit Partial(const std::filesystem::path& path)
      : path_(path.parent_path() / text(".partial-", getpid(), "-", path.filename().string())) {}
  ~Partial() {
    std::error_code ignored;  // it was renamed, or never made
    std::filesystem::remove(path_, ignored);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

ScanHeader read_scan_header(const std::vector<std::filesystem::path>& files, const std::optional<Spacing>& spacing_mm) {
  const auto opened = open_files(files, spacing_mm);
  ScanHeader header{0, opened.front()->shape(), opened.front()->geometry()};
  for (const auto& file : opened) header.channels += file->channels();
  return header;
}

Scan read_scan(const std::vector<std::filesystem::path>& files, const std::optional<Spacing>& spacing_mm) {
  const auto opened = open_files(files, spacing_mm);
  Scan scan;
  scan.image.shape = opened.front()->shape();
  scan.geometry = opened.front()->geometry();
  for (const auto& file : opened) scan.image.channels += file->channels();
  try {
    scan.image.voxels.resize(scan.image.channels * num_voxels(scan.image.shape));
    float* place = scan.image.voxels.data();
    for (const auto& file : opened) {
      file->read(place);
      place += file->channels() * num_voxels(scan.image.shape);
    }
  } catch (const std::bad_alloc&) {
    throw InputError(text(files.front().string(), ": ", scan.image.channels, " channels of ",
                          joined(scan.image.shape, "×"), " voxels do not fit into memory"));
  }
  return scan;
}

void write_labels(const std::filesystem::path& path, const Labels& labels) {
  const std::string suffix = image_suffix(path);
  if (suffix.empty() || suffix == ".mhd") {
    throw WorkError(
        text(path.string(), ": labels are written as one of .mha, .nii.gz, .nii, .nrrd; give it that suffix"));
  }
  const Partial partial(path);
  try {
    reserve(partial.path(), labels.voxels.size());
    write_with_itk(partial.path(), labels);
    require_same(partial.path(), labels);
    std::filesystem::rename(partial.path(), path);
  } catch (const std::filesystem::filesystem_error& error) {
    throw WorkError(text(path.string(), ": cannot be written (", error.code().message(), ")"));
  } catch (const WorkError& error) {  // it speaks of the file beside
    std::string said = error.what();
    const auto place = said.find(partial.path().string());
    if (place != std::string::npos) said.replace(place, partial.path().string().size(), path.string());
    throw WorkError(said);
  }
}

}  // namespace mindvoxel
