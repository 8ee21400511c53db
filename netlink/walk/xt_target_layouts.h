#pragma once

#include "netlink/walk/xt_layouts.h"

/// Structures of x_tables' targets, as those of the matches in xt_layouts.h.
namespace kubenatd::netlink::walk::layout {

struct Connmark1 {  ///< xt_connmark_tginfo1
  std::uint32_t mark, mask, packet_mask;
  std::uint8_t mode, padding[3];
};
static_assert(sizeof(Connmark1) == 16);
struct Connmark2 {  ///< xt_connmark_tginfo2
  std::uint32_t mark, mask, packet_mask;
  std::uint8_t shift_right, shift, mode, padding;
};
static_assert(sizeof(Connmark2) == 16);

struct Ct0 {  ///< xt_ct_target_info
  std::uint16_t flags, zone;
  std::uint32_t events, expectation_events;
  std::array<char, 16> helper;
  std::uint32_t padding;
  std::uint64_t kernel;
};
static_assert(sizeof(Ct0) == 40);
struct Ct1 {  ///< xt_ct_target_info_v1
  std::uint16_t flags, zone;
  std::uint32_t events, expectation_events;
  std::array<char, 16> helper;
  std::array<char, 32> timeout;
  std::uint32_t padding;
  std::uint64_t kernel;
};
static_assert(sizeof(Ct1) == 72);

struct Tproxy0 {  ///< xt_tproxy_target_info
  std::uint32_t mask, mark;
  std::array<std::uint8_t, 4> address;
  NetworkPort port;
  std::uint8_t padding[2];
};
static_assert(sizeof(Tproxy0) == 16);
struct Tproxy1 {  ///< xt_tproxy_target_info_v1
  std::uint32_t mask, mark;
  Address address;
  NetworkPort port;
  std::uint8_t padding[6];
};
static_assert(sizeof(Tproxy1) == 32);

struct Queue {  ///< xt_NFQ_info_v3, and the beginning of those before
  std::uint16_t first, total, flags, padding;
};
static_assert(sizeof(Queue) == 8);

struct Tee {  ///< xt_tee_tginfo
  Address gateway;
  Name interface;
  std::uint64_t kernel;
};
static_assert(sizeof(Tee) == 40);

struct Log {  ///< xt_log_info
  std::uint8_t level, flags;
  std::array<char, 30> prefix;
};
static_assert(sizeof(Log) == 32);

struct Nflog {  ///< xt_nflog_info
  std::uint32_t length;
  std::uint16_t group, threshold, flags, padding;
  std::array<char, 64> prefix;
  std::uint32_t padding_end;
};
static_assert(sizeof(Nflog) == 80);

struct TcpMss {  ///< xt_tcpmss_info
  std::uint16_t size, padding[3];
};
static_assert(sizeof(TcpMss) == 8);

struct Classify {  ///< xt_classify_target_info
  std::uint32_t priority, padding;
};
static_assert(sizeof(Classify) == 8);

struct Synproxy {  ///< nf_synproxy_info
  std::uint8_t options, window_scale;
  std::uint16_t segment_size;
  std::uint32_t padding;
};
static_assert(sizeof(Synproxy) == 8);

struct OptionStrip {  ///< xt_tcpoptstrip_target_info
  std::array<std::uint32_t, 8> options;
};
static_assert(sizeof(OptionStrip) == 32);

}  // namespace kubenatd::netlink::walk::layout
