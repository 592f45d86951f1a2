#include "report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "errors.h"
#include "files.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

Report two_cases() {
  Report report;
  report.engine = "a fake";
  report.bundle = "somewhere";
  report.threads = 2;
  report.load_s = 0.5;
  report.total_s = 9;
  report.peak_memory_mb = 123.4;
  report.call_s = {1, 3, 2, 0.5};
  CaseReport one;
  one.name = "one";
  one.seconds = {0.25, 0.5, 6, 0.125, 0, 1};
  one.calls = 3;
  CaseReport other;
  other.name = "another";
  other.seconds = {0.75, 0.5, 0.5, 0, 0, 0};
  other.calls = 1;
  other.fault = "no \"luck\"";
  report.cases = {one, other};
  return report;
}

TEST(Report, SumsStagesAndTellsFaults) {
  const TemporaryFolder folder;
  write_report(two_cases(), folder.path / "report.json");
  const auto found = nlohmann::json::parse(read_text(folder.path / "report.json"));
  EXPECT_EQ(found["stages"]["read_s"], 1.0);
  EXPECT_EQ(found["stages"]["network_s"], 6.5);
  EXPECT_EQ(found["windows"]["calls"], 4);
  EXPECT_DOUBLE_EQ(found["windows"]["per_s"], 4 / 6.5);
  EXPECT_EQ(found["windows"]["median_ms"], 1500.0);
  EXPECT_EQ(found["peak_memory_mb"], 123.4);
  EXPECT_EQ(found["cases"][0]["done"], true);
  EXPECT_EQ(found["cases"][0]["write_s"], 1.0);
  EXPECT_EQ(found["cases"][1]["fault"], "no \"luck\"");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1);  // nothing half-written beside it
}

TEST(Report, ATableOfOneLineACase) {
  std::ostringstream out;
  print_table(two_cases(), out);
  std::istringstream lines(out.str());
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);) found.push_back(line);
  ASSERT_EQ(found.size(), 6u) << out.str();  // engine, heading, two cases, their sum, what it took
  EXPECT_EQ(found[2].rfind("one", 0), 0u);
  EXPECT_NE(found[2].find("7.875"), std::string::npos);
  EXPECT_NE(found[3].find("failed"), std::string::npos);
  EXPECT_NE(found[5].find("0.62 windows a second, 1500.0 ms each (median); peak memory 123 MB"), std::string::npos)
      << found[5];
}

TEST(Report, OfManyCasesTheFirstAndThoseThatFailed) {
  Report report = two_cases();
  report.unit = report.call = "photo";
  report.cases.insert(report.cases.begin(), 60, report.cases[0]);
  std::ostringstream out;
  print_table(report, out);
  const std::string said = out.str();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2 + 50 + 1 + 1 + 2);  // of the 62 the last has failed
  EXPECT_NE(said.find("\nand 11 more without a fault, each in report.json\nall "), std::string::npos) << said;
  EXPECT_NE(said.find("\nphoto "), std::string::npos);
  EXPECT_NE(said.find(" photos a second"), std::string::npos);
}

TEST(Report, WithoutACallThereIsNoDivisionByZero) {
  std::ostringstream out;
  print_table(Report{}, out);
  EXPECT_NE(out.str().find("0.00 windows a second, 0.0 ms"), std::string::npos) << out.str();
}

TEST(WriteBytes, LeavesNothingWhereItFails) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path / "taken");
  EXPECT_THROW(write_bytes(folder.path / "taken", "abc", 3), WorkError);  // a folder is there
  EXPECT_THROW(write_bytes(folder.path / "absent" / "file", "abc", 3), WorkError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1);
  write_bytes(folder.path / "file", "abc", 3);
  EXPECT_EQ(read_text(folder.path / "file"), "abc");
}

TEST(MakeFolder, RefusesWhatIsNone) {
  const TemporaryFolder folder;
  make_folder(folder.path / "a" / "b");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path / "a" / "b"));
  write_text(folder.path / "file", "");
  EXPECT_THROW(make_folder(folder.path / "file"), InputError);
  EXPECT_THROW(make_folder(folder.path / "file" / "below"), InputError);
  EXPECT_THROW(make_folder("/proc/none"), InputError);
}

}  // namespace
}  // namespace mindvoxel
