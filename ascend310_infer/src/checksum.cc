#include "checksum.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <memory>
#include <vector>

#include "errors.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

void check(int status) {
  if (status != 1) throw WorkError("OpenSSL could not compute a SHA-256; is its installation whole?");
}

}  // namespace

std::string sha256_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(path.string() + " cannot be read; may you read it?");
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!context) throw std::bad_alloc();
  check(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr));
  std::vector<char> block(kBlockBytes);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    check(EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(file.gcount())));
  }
  if (!file.eof()) throw InputError(path.string() + " cannot be read to its end; is the disk sound?");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  check(EVP_DigestFinal_ex(context.get(), digest.data(), &size));
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

}  // namespace mindvoxel
