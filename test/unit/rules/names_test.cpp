#include "rules/iptables/names.h"

#include <catch2/catch.hpp>

using namespace kubenatd::rules;
using namespace kubenatd::rules::iptables;

TEST_CASE("service port chains have kube-proxy's names") {
  struct Vector {
    std::string_view name;
    Protocol protocol;
    std::string_view hash;
  };
  // Names that kube-proxy gives on real nodes.
  const Vector vectors[] = {
      {"ns1/svc1:p80", Protocol::kTcp, "XPGD46QRK7WJZT7O"},
      {"default/kubernetes:https", Protocol::kTcp, "NPX46M4PTMTKRN6Y"},
      {"default/nginx", Protocol::kTcp, "2CMXP7HKUVJN7L6M"},
      {"kube-system/kube-dns:dns", Protocol::kUdp, "TCOU7JCQXEZGVUNU"},
      {"kube-system/kube-dns:dns-tcp", Protocol::kTcp, "ERIFXISQEP7F7OF4"},
      {"kube-system/kube-dns:metrics", Protocol::kTcp, "JD5MR3NA4I4DYORP"},
  };
  for (const Vector& vector : vectors) {
    INFO(vector.name);
    const ServicePortNames names(vector.name, vector.protocol);
    CHECK(names.cluster.view() == "KUBE-SVC-" + std::string(vector.hash));
    CHECK(names.local.view() == "KUBE-SVL-" + std::string(vector.hash));
    CHECK(names.external.view() == "KUBE-EXT-" + std::string(vector.hash));
    CHECK(names.firewall.view() == "KUBE-FW-" + std::string(vector.hash));
  }
}

TEST_CASE("names come from the view's name and protocol alone") {
  ServicePortView view;
  view.name = "kube-system/kube-dns:dns";
  view.protocol = Protocol::kUdp;
  view.port = 53;
  CHECK(ServicePortNames(view).cluster.view() == "KUBE-SVC-TCOU7JCQXEZGVUNU");
  view.protocol = Protocol::kTcp;
  CHECK(ServicePortNames(view).cluster.view() != "KUBE-SVC-TCOU7JCQXEZGVUNU");
}

TEST_CASE("endpoint chains have kube-proxy's names") {
  Endpoint endpoint;
  endpoint.address = *Address::parse("10.180.0.1");
  endpoint.port = 80;
  CHECK(endpoint_chain("ns1/svc1:p80", Protocol::kTcp, endpoint).view() == "KUBE-SEP-SXIVWICOYRO3J4NJ");
  CHECK(endpoint_chain("ns1/svc1:p80", Protocol::kTcp, "10.180.0.1:80").view() == "KUBE-SEP-SXIVWICOYRO3J4NJ");
  endpoint.address = *Address::parse("fd00:10:244:1::5");
  endpoint.port = 8080;
  CHECK(endpoint_chain("demo/dual:http", Protocol::kTcp, endpoint).view() == "KUBE-SEP-IGMU5CNLF76G6SMG");
}

TEST_CASE("a name of any length is hashed whole") {
  const std::string long_name(5000, 'x');
  const ServicePortNames one(long_name + "a", Protocol::kTcp), two(long_name + "b", Protocol::kTcp);
  CHECK(one.cluster.view().size() == 25);
  CHECK(one.cluster != two.cluster);
}
