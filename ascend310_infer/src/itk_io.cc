#include "itk_io.h"

#include <iostream>

namespace mindvoxel {

Silence::Silence() : out_(std::cout.rdbuf(dropped_.rdbuf())), err_(std::cerr.rdbuf(dropped_.rdbuf())) {}

Silence::~Silence() {
  std::cout.rdbuf(out_);
  std::cerr.rdbuf(err_);
}

std::string Silence::first_line() const { return dropped_.str().substr(0, dropped_.str().find('\n')); }

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

}  // namespace mindvoxel
