#include "inputs.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

class Inputs : public ::testing::Test {
 protected:
  void files(const std::vector<std::string>& names) {
    for (const std::string& name : names) write_text(folder_.path / name, "");
  }
  std::vector<std::string> names(const fs::path& input, std::size_t num_channels) {
    std::vector<std::string> found;
    for (const Case& one : find_cases(input, num_channels)) {
      found.push_back(one.name);
      for (const fs::path& file : one.files) found.push_back(file.filename().string());
    }
    return found;
  }
  /// Refused in one line that has `part`.
  void refused(const fs::path& input, std::size_t num_channels, const std::string& part) {
    try {
      find_cases(input, num_channels);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const InputError& error) {
      const std::string said = error.what();
      EXPECT_NE(said.find(part), std::string::npos) << said;
      EXPECT_EQ(said.find('\n'), std::string::npos);
    }
  }
  fs::path path(const std::string& name = "") { return folder_.path / name; }

 private:
  TemporaryFolder folder_;
};

using Names = std::vector<std::string>;

TEST_F(Inputs, AFolderIsACaseAFile) {
  files({"b.mhd", "b.raw", "a.nii.gz", ".c.nii.gz", "notes.txt"});
  EXPECT_EQ(names(path(), 1), (Names{"a", "a.nii.gz", "b", "b.mhd"}));
}

TEST_F(Inputs, AFolderOfChannels) {
  files({"b_0001.nii.gz", "b_0000.nii.gz", "a_0000.mha", "a_0001.mha"});
  EXPECT_EQ(names(path(), 2), (Names{"a", "a_0000.mha", "a_0001.mha", "b", "b_0000.nii.gz", "b_0001.nii.gz"}));
}

TEST_F(Inputs, NumbersAboveTheChannelsAreNames) {
  files({"scan_0007.nii.gz", "scan_0008.nii.gz"});
  EXPECT_EQ(names(path(), 1), (Names{"scan_0007", "scan_0007.nii.gz", "scan_0008", "scan_0008.nii.gz"}));
}

TEST_F(Inputs, AFileBringsItsOtherChannels) {
  files({"a_0000.mha", "a_0001.mha", "b_0001.mha"});
  EXPECT_EQ(names(path("a_0001.mha"), 2), (Names{"a", "a_0000.mha", "a_0001.mha"}));
  EXPECT_EQ(names(path("b_0001.mha"), 2), (Names{"b_0001", "b_0001.mha"}));
}

TEST_F(Inputs, InnerDotsStayInTheName) {
  files({"1.2.3.nii.gz"});
  EXPECT_EQ(names(path("1.2.3.nii.gz"), 1), (Names{"1.2.3", "1.2.3.nii.gz"}));
}

TEST_F(Inputs, WhatCannotBeUsed) {
  refused(path("absent"), 1, "no such file or folder");
  refused(path(), 1, "no image in this folder");
  files({"scan", "scan.dcm", "image.png"});
  refused(path("scan"), 1, "a name without a dot");
  refused(path("scan.dcm"), 1, "unknown image type");
  refused(path(), 1, "a picture, which only predict.py reads");
}

TEST_F(Inputs, TwoOfOneName) {
  files({"a.nii.gz", "a.mha"});
  refused(path(), 1, "two images are called a");
}

TEST_F(Inputs, AChannelLacks) {
  files({"a_0000.mha", "a_0001.mha", "b_0000.mha"});
  refused(path(), 2, "1 of 4 files are missing: b_0001.mha");
}

TEST_F(Inputs, MasksAmongScans) {
  files({"a.mha", "a_seg.mha"});
  refused(path(), 1, "a_seg.mha seems to be the mask of a.mha");
}

TEST_F(Inputs, ANameThatIsNoUtf8) {
  files({"a\xff.mha"});
  refused(path(), 1, "is not UTF-8");
}

TEST_F(Inputs, WhereLabelsGo) {
  EXPECT_EQ(mask_path({"a", {path("in/a.mhd")}}, path("out")), path("out/a.mha"));
  EXPECT_EQ(mask_path({"a", {path("in/a_0000.NII.GZ")}}, path("out")), path("out/a.nii.gz"));
  EXPECT_THROW(mask_path({"a", {path("in/a.mha")}}, path("in/../in")), InputError);
}

TEST_F(Inputs, HeadersAtFaultAreCounted) {
  files({"a.nii", "b.mha", "c.nrrd"});
  try {
    check_headers(find_cases(path(), 1), 1, std::nullopt);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("3 of 3 cases cannot be read: ", 0), 0U) << error.what();
  }
}

}  // namespace
}  // namespace mindvoxel
