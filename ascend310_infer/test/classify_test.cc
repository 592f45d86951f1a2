#include "classify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "errors.h"
#include "self_test.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

TEST(Ranked, IsSoftmaxInDouble) {
  const auto found = ranked({0.0F, 1000.0F, 1000.0F, 999.0F});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].index, 1u);  // of equals the first
  EXPECT_EQ(found[1].index, 2u);
  EXPECT_EQ(found[2].index, 3u);
  EXPECT_NEAR(found[0].probability, 1 / (2 + std::exp(-1.0)), 1e-15);
  EXPECT_NEAR(found[2].probability, std::exp(-1.0) / (2 + std::exp(-1.0)), 1e-15);
  EXPECT_EQ(found[3].probability, 0.0);
}

TEST(Ranked, RefusesWhatIsNotFinite) {
  EXPECT_THROW(ranked({0.0F, std::numeric_limits<float>::quiet_NaN()}), WorkError);
  EXPECT_THROW(ranked({0.0F, -std::numeric_limits<float>::infinity()}), WorkError);
}

TEST(RowsOf, AreCsv) {
  Bundle bundle;
  bundle.label_names = {"n0", "a \"b\", c"};
  EXPECT_EQ(rows_of(bundle, "x,y/1.jpg", {{1, 0.7}, {0, 2e-7}}),
            "\"x,y/1.jpg\",1,\"a \"\"b\"\", c\",0.700000\n\"x,y/1.jpg\",2,n0,0.000000\n");
  bundle.label_names.assign(7, "n");
  const std::vector<Prediction> seven(7, Prediction{0, 1.0 / 7});
  const std::string rows = rows_of(bundle, "p", seven);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 5);
}

std::vector<std::string> names_in(const std::filesystem::path& input) {
  std::vector<std::string> names;
  for (const PhotoFile& photo : find_photos(input)) names.push_back(photo.name);
  return names;
}

TEST(FindPhotos, OfAFolderAndBelowByTheirPaths) {
  const TemporaryFolder folder;
  for (const char* name : {"b.PNG", "a/2.jpeg", "a-1/3.JPG", "a/1.jpg", ".c/4.jpg", "a/.5.jpg", "a/notes.txt"}) {
    write_text(folder.path / name, "");
  }
  EXPECT_EQ(names_in(folder.path), (std::vector<std::string>{"a/1.jpg", "a/2.jpeg", "a-1/3.JPG", "b.PNG"}));
  EXPECT_EQ(names_in(folder.path / "a" / "2.jpeg"), std::vector<std::string>{"2.jpeg"});
}

TEST(FindPhotos, RefusesNone) {
  const TemporaryFolder folder;
  EXPECT_THROW(find_photos(folder.path), InputError);
  EXPECT_THROW(find_photos(folder.path / "absent"), InputError);
}

TEST(FindPhotos, NamesWhatCannotBeReadAmongTheOthers) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path / "folder.jpg");
  std::filesystem::create_directory_symlink(folder.path / "folder.jpg", folder.path / "link.jpg");
  std::filesystem::create_symlink("absent", folder.path / "nothing.jpg");
  std::filesystem::create_symlink("round.jpg", folder.path / "round.jpg");
  write_text(folder.path / "\xff.jpg", "");
  EXPECT_EQ(names_in(folder.path), (std::vector<std::string>{"nothing.jpg", "round.jpg", "\xff.jpg"}));
}

TEST(MostApart, IsOfTheClassesThatTheBundleNames) {
  EXPECT_NEAR(most_apart({{2, 0.5}, {0, 0.3}, {1, 0.2}}, {{2, 0.4}, {1, 0.25}}), 0.1, 1e-12);
}

}  // namespace
}  // namespace mindvoxel
