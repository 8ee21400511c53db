#include <zlib.h>

#include "agent/api/gzip_reader.h"
#include "test/fuzz/fuzz.h"

/// The body of an answer in gzip, in whatever pieces it comes, and any text packed.
namespace kubenatd::fuzz {
namespace {

struct Unpacked {
  bool good = true;
  bool complete = false;
  std::string text;
};

Unpacked unpack(const std::vector<std::string_view>& pieces) {
  Unpacked all;
  agent::api::GzipReader reader;
  for (const std::string_view piece : pieces) {
    reader.feed(piece);
    for (;;) {
      const auto next = reader.next();
      all.complete = reader.complete();
      if (!next) {
        all.good = false;
        return all;
      }
      if (next->empty()) break;
      all.text += *next;
    }
  }
  return all;
}

std::string pack(std::string_view text, int level) {
  constexpr int kGzipAlone = 16;
  z_stream stream{};
  require(deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + kGzipAlone, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK,
          "zlib packs");
  // Of an empty text at level 0, deflateBound() of zlib 1.2.13 is a byte short.
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib packs all");
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t seed = take_byte(input);
  const Unpacked whole = unpack({input}), parts = unpack(in_pieces(input, seed));
  require(whole.good == parts.good && whole.complete == parts.complete, "gzip in pieces is as good");
  // What came before a fault may be given or not.
  if (whole.good) require(whole.text == parts.text, "gzip in pieces is the same text");
  require(whole.text.size() <= (input.size() + 1) * 1032, "deflate packs a thousand to one at most");

  const std::string packed = pack(input, seed % 10);
  const Unpacked again = unpack(in_pieces(packed, seed));
  require(again.good && again.complete && again.text == input, "what was packed is unpacked as it was");
  if (input.empty()) return;
  require(!unpack({std::string_view(packed).substr(0, packed.size() - 1)}).complete, "what is cut off is not complete");
  require(!unpack({packed, input}).good, "nothing may follow the end");
}

}  // namespace kubenatd::fuzz
