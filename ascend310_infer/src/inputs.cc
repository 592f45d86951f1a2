#include "inputs.h"

#include <algorithm>
#include <map>
#include <set>

#include "errors.h"
#include "image_names.h"
#include "scan_header.h"
#include "text.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 5;
const char* const kBadInNames = "/\\:*?\"<>|\n\r";

/// The channel's number in nnU-Net's name of a file, CASE_0001.nii.gz; none for another name.
std::optional<std::size_t> channel_of(const fs::path& path) {
  const std::string name = name_of(path);
  if (name.size() < 6 || name[name.size() - 5] != '_') return std::nullopt;
  const std::string digits = name.substr(name.size() - 4);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoul(digits);
}

bool is_channel(const fs::path& path, std::size_t num_channels) {
  const auto channel = channel_of(path);
  return channel && *channel < num_channels;
}

std::string numbered(std::size_t channel) {
  const std::string digits = std::to_string(channel);
  return std::string(4 - std::min<std::size_t>(digits.size(), 4), '0') + digits;
}

/// Of CASE_0001.nii.gz: CASE.
std::string case_of(const fs::path& path) {
  const std::string name = name_of(path);
  return name.substr(0, name.size() - 5);
}

std::vector<fs::path> channel_files(const fs::path& path, std::size_t num_channels) {
  const std::string suffix = path.filename().string().substr(name_of(path).size());
  std::vector<fs::path> files;
  for (std::size_t c = 0; c < num_channels; ++c) {
    files.push_back(path.parent_path() / (case_of(path) + "_" + numbered(c) + suffix));
  }
  return files;
}

Case single(const fs::path& path, std::size_t num_channels) {
  require_image(path);
  if (is_channel(path, num_channels)) {
    const auto files = channel_files(path, num_channels);
    if (std::all_of(files.begin(), files.end(), [](const fs::path& file) { return fs::is_regular_file(file); })) {
      return {case_of(path), files};
    }
  }
  return {name_of(path), {path}};
}

/// Images and pictures of a folder, sorted; hidden files, as macOS leaves them in archives, are not looked at.
std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> images;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (path.filename().string()[0] != '.' && (!image_suffix(path).empty() || is_picture(path))) images.push_back(path);
  }
  std::sort(images.begin(), images.end());
  return images;
}

/// The scan of which the name of a mask speaks, CASE of CASE_seg; of another name: nothing.
std::string scan_of_mask(const std::string& name) {
  const auto last = name.rfind('_');
  if (last == std::string::npos || last == 0) return "";
  for (const char* ending : {"gt", "label", "labels", "mask", "seg", "segmentation"}) {
    if (lower(name.substr(last + 1)) == ending) return name.substr(0, last);
  }
  return "";
}

void refuse_masks(const fs::path& folder, const std::vector<fs::path>& images) {
  std::map<std::string, fs::path> by_name;
  for (const fs::path& path : images) by_name[name_of(path)] = path;
  for (const auto& [name, path] : by_name) {
    const std::string named = scan_of_mask(name);
    const auto scan = by_name.find(named.empty() ? name + "_0000" : named);
    if (scan == by_name.end()) continue;
    throw InputError(text(folder.string(), ": ", path.filename().string(), " seems to be the mask of ",
                          scan->second.filename().string(),
                          "; put masks into another folder, or name the scans one by one"));
  }
}

void require_files(const fs::path& folder, const std::vector<Case>& cases, std::size_t num_channels) {
  std::vector<std::string> missing;
  std::size_t count = 0;
  for (const Case& one : cases) {
    for (const fs::path& file : one.files) {
      ++count;
      if (!fs::is_regular_file(file)) missing.push_back(file.filename().string());
    }
  }
  if (missing.empty()) return;
  throw InputError(text(folder.string(), ": ", missing.size(), " of ", count, " files are missing: ", some_of(missing),
                        "; a case has ", num_channels, " channels, CASE_0000 to CASE_", numbered(num_channels - 1),
                        ", all of one type"));
}

std::vector<Case> grouped(const fs::path& folder, const std::vector<fs::path>& images, std::size_t num_channels) {
  std::vector<Case> cases;
  if (!std::all_of(images.begin(), images.end(),
                   [&](const fs::path& path) { return is_channel(path, num_channels); })) {
    refuse_masks(folder, images);
    for (const fs::path& path : images) cases.push_back({name_of(path), {path}});
    return cases;
  }
  std::set<std::vector<fs::path>> seen;
  for (const fs::path& path : images) {
    const auto files = channel_files(path, num_channels);
    if (seen.insert(files).second) cases.push_back({case_of(path), files});
  }
  require_files(folder, cases, num_channels);
  return cases;
}

void check_names(const fs::path& input, const std::vector<Case>& cases) {
  std::set<std::string> seen;
  for (const Case& one : cases) {
    if (!is_utf8(one.name)) throw InputError(text(input.string(), ": the name of an image is not UTF-8; rename it"));
    const bool odd = one.name.empty() || one.name[0] == '.' || one.name[0] == '-';
    if (odd || one.name.find_first_of(kBadInNames) != std::string::npos) {
      throw InputError(text(input.string(), ": case \"", one.name, "\" has a name that no file can have; rename it"));
    }
    if (!seen.insert(one.name).second) {
      throw InputError(text(input.string(), ": two images are called ", one.name, "; name each case once"));
    }
  }
}

}  // namespace

std::vector<Case> find_cases(const fs::path& input, std::size_t num_channels) {
  try {
    std::vector<Case> cases;
    if (fs::is_directory(input)) {
      const auto images = images_in(input);
      if (images.empty()) {
        throw InputError(
            text(input.string(), ": no image in this folder; one of ", joined(kImageSuffixes, ", "), " is needed"));
      }
      for (const fs::path& path : images) require_image(path);
      cases = grouped(input, images, num_channels);
    } else if (fs::exists(input)) {
      cases = {single(input, num_channels)};
    } else {
      throw InputError(text(input.string(), ": no such file or folder; name an image, or a folder of images"));
    }
    check_names(input, cases);
    return cases;
  } catch (const fs::filesystem_error& error) {
    throw InputError(text(input.string(), ": cannot be looked into (", error.code().message(), ")"));
  }
}

void check_headers(const std::vector<Case>& cases, std::size_t num_channels, const std::optional<Spacing>& spacing_mm) {
  std::vector<std::string> faults;
  for (const Case& one : cases) {
    try {
      const std::size_t found = read_scan_header(one.files, spacing_mm).channels;
      if (found != num_channels) {
        throw InputError(text(one.files.front().string(), ": ", found, " channels, and the network takes ",
                              num_channels, "; name that many"));
      }
    } catch (const InputError& error) {
      faults.emplace_back(error.what());
    }
  }
  if (faults.empty()) return;
  const std::size_t count = faults.size();
  faults.resize(std::min(count, kShown));
  const std::string all = cases.size() > 1 ? text(count, " of ", cases.size(), " cases cannot be read: ") : "";
  const std::string more = count > kShown ? text("; and ", count - kShown, " more") : "";
  throw InputError(text(all, joined(faults, "; "), more));
}

fs::path mask_path(const Case& one, const fs::path& output) {
  const fs::path here = fs::weakly_canonical(fs::absolute(output));
  for (const fs::path& file : one.files) {
    if (fs::weakly_canonical(fs::absolute(file).parent_path()) == here) {
      throw InputError(text(output.string(), ": holds the scans; name another folder, so that none is replaced"));
    }
  }
  const std::string suffix = image_suffix(one.files.front());
  return output / (one.name + (suffix == ".mhd" ? ".mha" : suffix));
}

}  // namespace mindvoxel
