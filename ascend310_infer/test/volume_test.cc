#include "volume.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "scan_header.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

Labels labels_of(std::int16_t highest) {
  Labels labels{{}, {2, 3, 4}, {}, highest >= 0};
  for (std::int16_t i = 0; i < 24; ++i) labels.voxels.push_back(i);
  labels.voxels.back() = highest;
  labels.geometry.spacing_mm = {3, 0.5, 0.75};
  labels.geometry.origin_mm = {10, -20.5, 30.25};
  labels.geometry.direction = {0, 1, 0, 1, 0, 0, 0, 0, -1};
  return labels;
}

TEST(Volume, LabelsComeBackOnTheirGrid) {
  const TemporaryFolder folder;
  for (const char* name : {"a.mha", "a.nii.gz", "a.nii", "a.nrrd"}) {
    for (const std::int16_t highest : {std::int16_t{255}, std::int16_t{-300}}) {
      const Labels labels = labels_of(highest);
      write_labels(folder.path / name, labels);
      const Scan scan = read_scan({folder.path / name}, std::nullopt);
      EXPECT_EQ(scan.image.shape, labels.shape);
      EXPECT_EQ(std::vector<std::int16_t>(scan.image.voxels.begin(), scan.image.voxels.end()), labels.voxels);
      EXPECT_EQ(scan.geometry.spacing_mm, labels.geometry.spacing_mm);
      EXPECT_EQ(scan.geometry.origin_mm, labels.geometry.origin_mm);
      EXPECT_EQ(scan.geometry.direction, labels.geometry.direction);
    }
  }
}

TEST(Volume, LabelsThatFitUint8AreWrittenSoAndOthersAreNot) {
  const TemporaryFolder folder;
  Labels labels = labels_of(1);
  write_labels(folder.path / "a.mha", labels);
  EXPECT_NE(read_text(folder.path / "a.mha").find("MET_UCHAR"), std::string::npos);
  labels.fit_uint8 = false;  // the data set has another value, which this scan has not
  write_labels(folder.path / "b.mha", labels);
  EXPECT_NE(read_text(folder.path / "b.mha").find("MET_SHORT"), std::string::npos);
}

TEST(Volume, ChannelFilesLieOneBehindTheOther) {
  const TemporaryFolder folder;
  write_labels(folder.path / "a.mha", labels_of(1));
  write_labels(folder.path / "b.nii.gz", labels_of(-7));
  const std::vector<std::filesystem::path> files{folder.path / "a.mha", folder.path / "b.nii.gz"};
  const Scan scan = read_scan(files, std::nullopt);
  EXPECT_EQ(scan.image.channels, 2U);
  EXPECT_EQ(scan.image.channel(0)[23], 1);
  EXPECT_EQ(scan.image.channel(1)[23], -7);
  const ScanHeader header = read_scan_header(files, std::nullopt);
  EXPECT_EQ(header.channels, 2U);
  EXPECT_EQ(header.shape, scan.image.shape);
}

TEST(Volume, AGivenSpacingServesAFileThatKnowsNone) {
  const TemporaryFolder folder;
  const std::string head = "NDims = 3\nDimSize = 2 1 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n";
  write_text(folder.path / "a.mha", head + "\x03\x04");
  EXPECT_THROW(read_scan({folder.path / "a.mha"}, std::nullopt), InputError);
  const Scan scan = read_scan({folder.path / "a.mha"}, Spacing{5, 2, 1});
  EXPECT_EQ(scan.geometry.spacing_mm, (Spacing{5, 2, 1}));
  EXPECT_EQ(scan.image.voxels, (std::vector<float>{3, 4}));
}

TEST(Volume, NothingHalfWrittenStays) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_labels(folder.path / "absent" / "a.mha", labels_of(1)), WorkError);
  EXPECT_THROW(write_labels(folder.path / "a.mhd", labels_of(1)), WorkError);
  std::filesystem::create_directory(folder.path / "a.mha");
  EXPECT_THROW(write_labels(folder.path / "a.mha", labels_of(1)), WorkError);
  std::size_t left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path)) left += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(left, 0U);
}

}  // namespace
}  // namespace mindvoxel
