#include "inflate.h"

#include <zlib.h>

#include <fstream>
#include <vector>

#include "errors.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kPiece = 1 << 18;

std::ifstream opened(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(text(path.string(), ": cannot be opened; look at its permissions"));
  return file;
}

std::size_t next_piece(std::ifstream& file, std::vector<unsigned char>& piece, const std::filesystem::path& path) {
  file.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
  if (file.bad()) throw InputError(text(path.string(), ": cannot be read to its end; copy it again"));
  return static_cast<std::size_t>(file.gcount());
}

/// zlib's state, freed at the end.
class Unpacker {
 public:
  explicit Unpacker(const std::filesystem::path& path) : path_(path) {
    if (inflateInit2(&stream_, kGzipOrZlib) != Z_OK) throw WorkError("zlib cannot be started; is memory short?");
  }
  ~Unpacker() { inflateEnd(&stream_); }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  /// Unpack a piece of the file; false: nothing more is wanted.
  bool feed(unsigned char* bytes, std::size_t count, const TakeBytes& take) {
    stream_.next_in = bytes;
    stream_.avail_in = static_cast<uInt>(count);
    for (bool full = false; stream_.avail_in > 0 || full;) {
      if (ended_ && !another_member()) return true;
      stream_.next_out = room_.data();
      stream_.avail_out = static_cast<uInt>(room_.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_MEM_ERROR) throw WorkError("zlib ran out of memory");
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
        throw InputError(text(path_.string(), ": damaged, its compressed voxels do not unpack (",
                              stream_.msg != nullptr ? stream_.msg : "wrong data", "); copy it again"));
      }
      const std::size_t made = room_.size() - stream_.avail_out;
      total_ += made;
      ended_ = status == Z_STREAM_END;
      full = stream_.avail_out == 0 && !ended_;
      if (made > 0 && !take(room_.data(), made)) return false;
    }
    return true;
  }

  bool ended() const { return ended_; }
  std::uint64_t total() const { return total_; }

 private:
  static constexpr int kGzipOrZlib = 47;

  /// Whether the next gzip member follows, as bgzip writes them; anything else behind the end is left alone.
  bool another_member() {
    const bool follows = stream_.next_in[0] == 0x1f && (stream_.avail_in == 1 || stream_.next_in[1] == 0x8b);
    if (follows) {
      inflateReset(&stream_);
      ended_ = false;
    }
    return follows;
  }

  std::filesystem::path path_;
  z_stream stream_{};
  std::vector<unsigned char> room_ = std::vector<unsigned char>(kPiece);
  std::uint64_t total_ = 0;
  bool ended_ = false;
};

}  // namespace

std::uint64_t inflate_file(const std::filesystem::path& path, std::uint64_t start, const TakeBytes& take) {
  std::ifstream file = opened(path);
  file.seekg(static_cast<std::streamoff>(start));
  std::vector<unsigned char> piece(kPiece);
  Unpacker unpacker(path);
  while (const std::size_t count = next_piece(file, piece, path)) {
    if (!unpacker.feed(piece.data(), count, take)) return unpacker.total();
  }
  if (!unpacker.ended()) {
    throw InputError(text(path.string(), ": truncated, its compressed voxels end after ", unpacker.total(),
                          " bytes unpacked; copy it again"));
  }
  return unpacker.total();
}

std::uint64_t read_file(const std::filesystem::path& path, const TakeBytes& take) {
  std::ifstream file = opened(path);
  std::vector<unsigned char> piece(kPiece);
  std::uint64_t total = 0;
  while (const std::size_t count = next_piece(file, piece, path)) {
    total += count;
    if (!take(piece.data(), count)) break;
  }
  return total;
}

}  // namespace mindvoxel
