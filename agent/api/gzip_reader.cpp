#include "agent/api/gzip_reader.h"

#include <zlib.h>

#include <new>

namespace kubenatd::agent::api {

void GzipReader::End::operator()(z_stream_s* stream) const {
  inflateEnd(stream);
  delete stream;
}

GzipReader::GzipReader() : stream_(new z_stream_s{}) {
  constexpr int kGzipAlone = 16;  // zlib.h: added to the size of the window
  if (inflateInit2(stream_.get(), MAX_WBITS + kGzipAlone) != Z_OK) throw std::bad_alloc();
}

GzipReader::~GzipReader() = default;

void GzipReader::feed(std::string_view packed) {
  stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // zlib does not write there
  stream_->avail_in = static_cast<uInt>(packed.size());
}

std::optional<std::string_view> GzipReader::next() {
  if (complete_) {
    if (stream_->avail_in != 0) return std::nullopt;  // one member is all that a server sends
    return std::string_view();
  }
  stream_->next_out = reinterpret_cast<Bytef*>(piece_.data());
  stream_->avail_out = static_cast<uInt>(piece_.size());
  const int result = inflate(stream_.get(), Z_NO_FLUSH);
  complete_ = result == Z_STREAM_END;
  // Z_BUF_ERROR: all that was fed is used, and there is nothing to give.
  if (result != Z_OK && result != Z_BUF_ERROR && !complete_) return std::nullopt;
  const std::string_view piece(piece_.data(), piece_.size() - stream_->avail_out);
  // Who is given nothing does not ask again.
  if (complete_ && piece.empty() && stream_->avail_in != 0) return std::nullopt;
  return piece;
}

}  // namespace kubenatd::agent::api
