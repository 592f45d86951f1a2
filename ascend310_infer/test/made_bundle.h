// A bundle of small files that a test may damage.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bundle.h"
#include "checksum.h"
#include "errors.h"
#include "temporary.h"

namespace mindvoxel {

class MadeBundle : public testing::Test {
 protected:
  /// reference: names of its two files; words: of deploy.json, beside `files`.
  MadeBundle(const std::vector<std::string>& reference, const char* words) : deploy(nlohmann::json::parse(words)) {
    for (const std::string& name :
         {std::string("model.mindir"), std::string("model.onnx"), reference[0], reference[1]}) {
      write_text(folder.path / name, "of " + name);
      deploy["files"][name] = {{"bytes", std::filesystem::file_size(folder.path / name)},
                               {"sha256", sha256_of(folder.path / name)}};
    }
  }

  Bundle read() const {
    write_text(folder.path / "deploy.json", deploy.dump(1));
    return read_bundle(folder.path);
  }

  /// The message with which the bundle is refused.
  std::string refused() const {
    try {
      read();
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
    return "not refused";
  }

  TemporaryFolder folder;
  nlohmann::json deploy;
};

}  // namespace mindvoxel
