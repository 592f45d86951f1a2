// What all readers and writers of ITK need.
#pragma once

#include <itkImageIOBase.h>

#include <sstream>
#include <streambuf>
#include <string>

namespace mindvoxel {

/// While it lives, what MetaIO says on the standard streams is dropped: its reason comes as an exception, too.
class Silence {
 public:
  Silence();
  ~Silence();
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  /// The first line that was dropped.
  std::string first_line() const;

 private:
  std::ostringstream dropped_;
  std::streambuf *out_, *err_;
};

/// ITK's own error in one line: what MetaIO said first, else what stands behind the last "ERROR:" or NRRD's last
/// "[nrrd]", without the address of an object.
std::string reason_of(const itk::ExceptionObject& error, const Silence& silence);

/// Every voxel or pixel of a file of which the header has been read, as stored.
void read_whole(itk::ImageIOBase& io, void* buffer);

}  // namespace mindvoxel
