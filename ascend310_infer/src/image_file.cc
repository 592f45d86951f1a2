#include "image_file.h"

#include "errors.h"
#include "image_names.h"
#include "text.h"

namespace mindvoxel {

std::unique_ptr<ImageFile> open_image(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm) {
  require_image(path);
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(path, unreadable)) throw InputError(text(path.string(), ": no such file"));
  const std::string suffix = image_suffix(path);
  return suffix == ".nii" || suffix == ".nii.gz" ? open_nifti(path, spacing_mm) : open_with_itk(path, spacing_mm);
}

}  // namespace mindvoxel
