#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>

#include "errors.h"
#include "headers.h"
#include "image_file.h"
#include "image_names.h"
#include "text.h"

namespace mindvoxel {
namespace {

using Component = itk::IOComponentEnum;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 42;  // far above any memory, far below an overflow

itk::ImageIOBase::Pointer io_for(const std::filesystem::path& path) {
  itk::Object::SetGlobalWarningDisplay(false);  // what matters of its warnings is looked at in headers.h
  const std::string suffix = image_suffix(path);
  itk::ImageIOBase::Pointer io;
  if (suffix == ".nrrd") {
    io = itk::NrrdImageIO::New();
  } else if (suffix == ".mhd" || suffix == ".mha") {
    io = itk::MetaImageIO::New();
  } else {
    io = itk::NiftiImageIO::New();
  }
  io->SetFileName(path.string());
  return io;
}

/// While it lives, what MetaIO says on the standard streams is dropped: its reason comes as an exception, too.
class Silence {
 public:
  Silence() : out_(std::cout.rdbuf(dropped_.rdbuf())), err_(std::cerr.rdbuf(dropped_.rdbuf())) {}
  ~Silence() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  /// The first line that was dropped.
  std::string first_line() const { return dropped_.str().substr(0, dropped_.str().find('\n')); }

 private:
  std::ostringstream dropped_;
  std::streambuf *out_, *err_;
};

/// ITK's own error in one line: what MetaIO said first, else what stands behind the last "ERROR:" or NRRD's last
/// "[nrrd]", without the address of an object.
std::string reason_of(const itk::ExceptionObject& error, const Silence& silence) {
  if (!silence.first_line().empty()) return silence.first_line();
  std::string reason = error.GetDescription();
  for (const std::string mark : {"ERROR:", "[nrrd]"}) {
    const auto last = reason.rfind(mark);
    if (last != std::string::npos) reason.erase(0, last + mark.size());
  }
  std::string line;
  std::istringstream words(reason);
  for (std::string word; words >> word;) {
    if (word.find("(0x") == std::string::npos) line += (line.empty() ? "" : " ") + word;
  }
  return line.empty() ? "it does not say why" : line;
}

void read_whole(itk::ImageIOBase& io, void* buffer) {
  itk::ImageIORegion region(io.GetNumberOfDimensions());
  for (unsigned int axis = 0; axis < io.GetNumberOfDimensions(); ++axis) {
    region.SetIndex(axis, 0);
    region.SetSize(axis, io.GetDimensions(axis));
  }
  io.SetIORegion(region);
  io.Read(buffer);
}

/// Interleaved components to channels one behind the other.
template <typename Stored>
void to_channels(const void* buffer, std::size_t components, std::size_t count, float* voxels) {
  const auto* stored = static_cast<const Stored*>(buffer);
  for (std::size_t c = 0; c < components; ++c) {
    float* channel = voxels + c * count;
    for (std::size_t i = 0; i < count; ++i) channel[i] = static_cast<float>(stored[i * components + c]);
  }
}

using Converter = void (*)(const void*, std::size_t, std::size_t, float*);

/// nullptr for a type that is no number.
Converter converter_of(Component type) {
  switch (type) {
    case Component::UCHAR:
      return to_channels<unsigned char>;
    case Component::CHAR:
      return to_channels<signed char>;
    case Component::USHORT:
      return to_channels<unsigned short>;
    case Component::SHORT:
      return to_channels<short>;
    case Component::UINT:
      return to_channels<unsigned int>;
    case Component::INT:
      return to_channels<int>;
    case Component::ULONG:
      return to_channels<unsigned long>;
    case Component::LONG:
      return to_channels<long>;
    case Component::ULONGLONG:
      return to_channels<unsigned long long>;
    case Component::LONGLONG:
      return to_channels<long long>;
    case Component::FLOAT:
      return to_channels<float>;
    case Component::DOUBLE:
      return to_channels<double>;
    default:
      return nullptr;
  }
}

bool is_real(Component type) { return type == Component::FLOAT || type == Component::DOUBLE; }

void require_finite(const std::filesystem::path& path, const float* voxels, std::size_t count) {
  std::size_t bad = 0;
  for (std::size_t i = 0; i < count; ++i) bad += std::isfinite(voxels[i]) ? 0 : 1;
  refuse_infinite(path, bad, count);
}

class ItkFile final : public ImageFile {
 public:
  ItkFile(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm)
      : ImageFile(path), io_(io_for(path)) {
    const bool known = check_header(path, false);
    if (!known && !spacing_mm) refuse_unknown_spacing(path);
    const Silence silence;
    try {
      io_->ReadImageInformation();
    } catch (const itk::ExceptionObject& error) {
      throw InputError(text(path_.string(), ": ITK cannot read it: ", reason_of(error, silence)));
    }
    look(known ? std::nullopt : spacing_mm);
  }

  void read(float* voxels) const override;

 private:
  void look(const std::optional<Spacing>& spacing_mm);

  itk::ImageIOBase::Pointer io_;
};

/// Throws InputError for voxels or a size that no scan has; size: of every axis.
void check_kind(const std::filesystem::path& path, const itk::ImageIOBase& io, const std::vector<std::size_t>& size) {
  const unsigned int dims = io.GetNumberOfDimensions(), components = io.GetNumberOfComponents();
  if (dims < 2 || dims > 4 || components < 1 || (dims == 4 && components > 1)) {
    throw InputError(text(path.string(), ": ", dims, "-D image of size ", joined(size, "×"), " with ", components,
                          " values a voxel; an image of 2 or 3 dimensions is needed, or a 4-D one whose fourth axis is "
                          "its channels"));
  }
  if (io.GetPixelType() == itk::IOPixelEnum::COMPLEX) {
    throw InputError(
        text(path.string(), ": complex values; save their magnitude, or real and imaginary part as two channels"));
  }
  if (converter_of(io.GetComponentType()) == nullptr) {
    throw InputError(text(path.string(), ": its voxels are no numbers; save them as MET_SHORT or float"));
  }
  std::uint64_t bytes = product(components, sizeof(double));
  for (const std::size_t n : size) bytes = product(bytes, n);
  if (bytes == 0 || bytes > kMostBytes) {
    throw InputError(text(path.string(), ": size ", joined(size, "×"), "; no scan has so many voxels"));
  }
}

void ItkFile::look(const std::optional<Spacing>& spacing_mm) {
  const itk::ImageIOBase& io = *io_;
  const unsigned int dims = io.GetNumberOfDimensions(), used = std::min(dims, 3U);
  std::vector<std::size_t> size;
  for (unsigned int axis = 0; axis < dims; ++axis) size.push_back(io.GetDimensions(axis));
  check_kind(path_, io, size);
  channels_ = dims == 4 ? size[3] : io.GetNumberOfComponents();
  shape_ = {dims > 2 ? size[2] : 1, size[1], size[0]};
  for (unsigned int axis = 0; axis < used; ++axis) {
    geometry_.spacing_mm[2 - axis] = io.GetSpacing(axis);
    geometry_.origin_mm[axis] = io.GetOrigin(axis);
    const std::vector<double> cosines = io.GetDirection(axis);
    for (unsigned int row = 0; row < used; ++row) geometry_.direction[3 * row + axis] = cosines[row];
  }
  if (dims == 2) geometry_.spacing_mm[0] = std::max(geometry_.spacing_mm[1], geometry_.spacing_mm[2]);
  if (spacing_mm) geometry_.spacing_mm = *spacing_mm;
}

void ItkFile::read(float* voxels) const {
  itk::ImageIOBase& io = *io_;
  const std::size_t count = num_voxels(shape_), components = io.GetNumberOfComponents();
  const std::size_t stored = io.GetNumberOfDimensions() == 4 ? count * channels_ : count;
  check_header(path_, true);
  const Silence silence;
  try {
    if (io.GetComponentType() == Component::FLOAT && components == 1) {
      read_whole(io, voxels);
    } else {
      std::vector<char> buffer(stored * components * io.GetComponentSize());
      read_whole(io, buffer.data());
      converter_of(io.GetComponentType())(buffer.data(), components, stored, voxels);
    }
  } catch (const itk::ExceptionObject& error) {
    throw InputError(text(path_.string(), ": ITK cannot read it: ", reason_of(error, silence)));
  }
  if (is_real(io.GetComponentType())) require_finite(path_, voxels, count * channels_);
}

void describe(itk::ImageIOBase& io, const Labels& labels, Component type) {
  io.SetNumberOfDimensions(3);
  io.SetPixelType(itk::IOPixelEnum::SCALAR);
  io.SetComponentType(type);
  io.SetNumberOfComponents(1);
  io.SetUseCompression(true);
  itk::ImageIORegion region(3);
  for (unsigned int axis = 0; axis < 3; ++axis) {
    io.SetDimensions(axis, labels.shape[2 - axis]);
    io.SetSpacing(axis, labels.geometry.spacing_mm[2 - axis]);
    io.SetOrigin(axis, labels.geometry.origin_mm[axis]);
    std::vector<double> cosines(3);
    for (unsigned int row = 0; row < 3; ++row) cosines[row] = labels.geometry.direction[3 * row + axis];
    io.SetDirection(axis, cosines);
    region.SetIndex(axis, 0);
    region.SetSize(axis, labels.shape[2 - axis]);
  }
  io.SetIORegion(region);
}

void write_bytes(const std::filesystem::path& path, const Labels& labels, Component type, const void* bytes) {
  const Silence silence;
  try {
    const itk::ImageIOBase::Pointer writer = io_for(path);
    describe(*writer, labels, type);
    writer->Write(bytes);
  } catch (const itk::ExceptionObject& error) {
    throw WorkError(
        text(path.string(), ": ITK could not write the labels (", reason_of(error, silence), "); is the disk full?"));
  }
}

}  // namespace

std::unique_ptr<ImageFile> open_with_itk(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm) {
  return std::make_unique<ItkFile>(path, spacing_mm);
}

void write_with_itk(const std::filesystem::path& path, const Labels& labels) {
  if (labels.fit_uint8) {
    const std::vector<unsigned char> bytes(labels.voxels.begin(), labels.voxels.end());
    write_bytes(path, labels, Component::UCHAR, bytes.data());
  } else {
    write_bytes(path, labels, Component::SHORT, labels.voxels.data());
  }
}

}  // namespace mindvoxel
