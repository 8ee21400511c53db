// Writes what kube-proxy makes of configuration files: one JSON object a line,
// {"in": text, "out": {...}} with the fields of the resulting KubeProxyConfiguration that are not as without a file,
// "lenient": true when strict decoding failed, or {"in": text, "error": reason}. It takes the steps of kube-proxy's
// Options.Complete and Options.Validate (cmd/kube-proxy/app/options.go) with the same packages.
//
//	go run . > ../../unit/config/go_configs.jsonl
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/kube-proxy/config/v1alpha1"
	_ "k8s.io/kubernetes/pkg/features"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	proxyv1alpha1 "k8s.io/kubernetes/pkg/proxy/apis/config/v1alpha1"
	"k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

const head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

type line struct {
	In      string         `json:"in"`
	Out     map[string]any `json:"out,omitempty"`
	Lenient bool           `json:"lenient,omitempty"`
	Error   string         `json:"error,omitempty"`
}

func lenientDecoder() runtime.Decoder {
	lenient := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{proxyconfig.AddToScheme, proxyv1alpha1.AddToScheme} {
		if err := add(lenient); err != nil {
			panic(err)
		}
	}
	codecs := serializer.NewCodecFactory(lenient, serializer.DisableStrict)
	return codecs.UniversalDecoder()
}

// load gives the configuration, and whether it could only be read leniently.
func load(text string) (config *proxyconfig.KubeProxyConfiguration, lenient bool, err error) {
	object, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(text), nil, nil)
	if err != nil {
		if !runtime.IsStrictDecodingError(err) {
			return nil, false, err
		}
		lenient = true
		if object, _, err = lenientDecoder().Decode([]byte(text), nil, nil); err != nil {
			return nil, true, err
		}
	}
	config, ok := object.(*proxyconfig.KubeProxyConfiguration)
	if !ok {
		return nil, lenient, errors.New("another kind")
	}
	if config.Mode == "" {
		config.Mode = proxyconfig.ProxyModeIPTables
	}
	if config.Mode == proxyconfig.ProxyModeNFTables && len(config.NodePortAddresses) == 0 {
		config.NodePortAddresses = []string{proxyconfig.NodePortAddressesPrimary}
	}
	if config.DetectLocalMode == "" {
		config.DetectLocalMode = proxyconfig.LocalModeClusterCIDR
	}
	if err := utilfeature.DefaultFeatureGate.DeepCopy().SetFromMap(config.FeatureGates); err != nil {
		return nil, lenient, err
	}
	if errs := validation.Validate(config); len(errs) != 0 {
		return nil, lenient, errs.ToAggregate()
	}
	return config, lenient, nil
}

func fields(config *proxyconfig.KubeProxyConfiguration) map[string]any {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	var text bytes.Buffer
	if err := scheme.Codecs.EncoderForVersion(info.Serializer, v1alpha1.SchemeGroupVersion).Encode(config, &text); err != nil {
		panic(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(text.Bytes(), &all); err != nil {
		panic(err)
	}
	return all
}

// differing gives the fields of `of` that are not as in `from`.
func differing(of, from map[string]any) map[string]any {
	result := map[string]any{}
	for key, value := range of {
		inner, isMap := value.(map[string]any)
		fromInner, fromMap := from[key].(map[string]any)
		if isMap && fromMap {
			if less := differing(inner, fromInner); len(less) > 0 {
				result[key] = less
			}
		} else if !reflect.DeepEqual(value, from[key]) {
			result[key] = value
		}
	}
	return result
}

var writer = bufio.NewWriter(os.Stdout)
var told = map[string]bool{}
var defaults map[string]any

// Of documents that are refused, only some are told when they were made at random: they are the most.
var refusals = 0

func tell(text string) {
	tellSome(text, 1)
}

func tellSome(text string, oneIn int) {
	if told[text] {
		return
	}
	told[text] = true
	one := line{In: text}
	config, lenient, err := load(text)
	one.Lenient = lenient
	if err != nil {
		one.Error = strings.ToValidUTF8(strings.SplitN(err.Error(), "\n", 2)[0], "?")
		if len(one.Error) > 120 {
			one.Error = strings.ToValidUTF8(one.Error[:120], "")
		}
	} else {
		one.Out = differing(fields(config), defaults)
	}
	if err != nil {
		refusals++
		if refusals%oneIn != 0 {
			return
		}
	}
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(one); err != nil {
		panic(err)
	}
}

// What a field of a type may be given, right and wrong. Every text is YAML.
var (
	texts     = []string{`""`, `x`, `"x y"`, `1`, `1.5`, `true`, `null`, `~`, `[]`, `{}`, `[a]`, `y`, `"\u00e9"`, `0x10`, `-`}
	numbers   = []string{`0`, `1`, `-1`, `14`, `31`, `32`, `1000`, `-1000`, `1001`, `14.0`, `1.5`, `1e2`, `1e-1`, `0x1f`, `0o17`, `017`, `2147483647`, `2147483648`, `-2147483649`, `9223372036854775807`, `9223372036854775808`, `1e400`, `"14"`, `true`, `null`, `[]`, `{}`, `.inf`, `.nan`, `1_000`, `+5`, `-0`, `""`}
	bools     = []string{`true`, `false`, `True`, `yes`, `no`, `on`, `off`, `y`, `n`, `"true"`, `"false"`, `1`, `0`, `null`, `""`, `[]`, `tRue`}
	durations = []string{`0`, `0s`, `"0"`, `1s`, `30s`, `1m30s`, `1h`, `1.5h`, `100ms`, `1us`, `"1µs"`, `1ns`, `-1s`, `30`, `"30"`, `30S`, `1d`, `""`, `null`, `2562047h47m16.854775807s`, `2562047h47m16.854775808s`, `-2562047h47m16.854775808s`, `-2562047h47m16.854775809s`, `.5s`, `1.s`, `.s`, `+1s`, `--1s`, `1s1s`, `1 s`, `true`, `[]`, `{}`, `1.5`, `1e1s`, `0.0000000001s`, `1.0000000000000000000001s`, `9223372036854775807ns`, `9223372036854775808ns`, `0.9999999999999999999h`, `15m0s`, `24h0m0s`, `-0`, `-0s`, `1h1ms1us1ns`}
	addresses = []string{`0.0.0.0`, `"::"`, `127.0.0.1`, `"::1"`, `10.1.2.3`, `010.1.2.3`, `10.1.2`, `10.1.2.3.4`, `"fe80::1%eth0"`, `"::ffff:1.2.3.4"`, `localhost`, `""`, `" 10.0.0.1"`, `"[::1]"`, `1`, `1.5`, `null`, `256.0.0.1`, `"1:2:3:4:5:6:7:8"`, `"1:2:3:4:5:6:7"`, `"FD00::A"`, `[]`}
	servers   = append([]string{`0.0.0.0:10256`, `127.0.0.1:1`, `127.0.0.1:0`, `127.0.0.1:65535`, `127.0.0.1:65536`, `"[::1]:10249"`, `"::1:10249"`, `"[::]:10249"`, `":10249"`, `10249`, `127.0.0.1:`, `127.0.0.1:http`, `127.0.0.1:+80`, `127.0.0.1:080`, `localhost:80`, `"[10.0.0.1]:80"`, `"[::1]"`, `"[::1]:"`, `"a:b:c"`, `127.0.0.1:-1`, `" 1.2.3.4:80"`}, addresses...)
	cidrs     = []string{`10.244.0.0/16`, `"fd00::/8"`, `10.0.0.0/8`, `10.1.2.3/8`, `010.0.0.0/8`, `10.0.0.0`, `10.0.0.0/33`, `10.0.0.0/08`, `10.0.0.0/+8`, `0.0.0.0/0`, `"::/0"`, `"fd00::1/129"`, `x`, `""`, `primary`, `" 10.0.0.0/8"`, `10.0.0.0/8/8`, `"::ffff:10.0.0.0/104"`, `127.0.0.0/8`, `"::1/128"`, `10.0.0.0/`, `/8`, `1`, `null`, `true`}
	gates     = []string{`{}`, `null`, `{LoggingAlphaOptions: true}`, `{LoggingAlphaOptions: false}`, `{LoggingBetaOptions: false}`, `{LoggingBetaOptions: true}`, `{AllAlpha: true}`, `{AllBeta: true}`, `{AllAlpha: "true"}`, `{AllAlpha: null}`, `[]`, `x`, `{AllAlpha: 1}`, `{ContextualLogging: false}`}
	formats   = []string{`text`, `json`, `""`, `JSON`, `yaml`, `null`, `1`}
	sizes     = []string{`0`, `"0"`, `1`, `12Ki`, `1.5M`, `x`, `""`, `null`, `-1`, `1e3`, `0.0`, `0Ki`, `0x1`, `1 Ki`, `[]`, `true`, `1k`, `1K`, `00`, `+0`, `-0`, `0e5`, `0.000`, `.0`, `0.`, `0m`}
	modules   = []string{`[]`, `null`, `[{filePattern: a, verbosity: 1}]`, `[{filePattern: "", verbosity: 1}]`, `[{filePattern: "a=b", verbosity: 1}]`, `[{filePattern: a, verbosity: -1}]`, `[{filePattern: a, verbosity: 3000000000}]`, `[{filePattern: a}]`, `[x]`, `x`, `[{filePattern: a, verbosity: 1, c: 1}]`, `[{filePattern: "a,b", verbosity: 5000000000}]`, `[{}]`, `[null]`}
	modes     = []string{`iptables`, `nftables`, `ipvs`, `""`, `Iptables`, `userspace`, `kernelspace`, `null`, `1`, `[]`}
	locals    = []string{`ClusterCIDR`, `NodeCIDR`, `BridgeInterface`, `InterfaceNamePrefix`, `""`, `clusterCIDR`, `null`, `x`}
	versions  = []string{`""`, `1.35`, `null`, `[]`} // others depend on the version that the program believes to have
	verbosity = []string{`0`, `2`, `4`, `10`, `2147483647`, `2147483648`, `4294967295`, `4294967296`, `-1`, `"2"`, `1.5`, `null`, `2.0`}
	reals     = []string{`0`, `5`, `50.5`, `-1`, `-0.0`, `1e10`, `3.5e38`, `1e39`, `"5"`, `null`, `true`, `0.1`, `16777217`, `.inf`, `.nan`, `1e-50`, `123456789`}
)

type field struct {
	path   string // "conntrack.min"
	values []string
	list   bool // a list of such values, too
}

var known = []field{
	{"featureGates", gates, false},
	{"clientConnection.kubeconfig", texts, false}, {"clientConnection.acceptContentTypes", texts, false},
	{"clientConnection.contentType", texts, false}, {"clientConnection.qps", reals, false}, {"clientConnection.burst", numbers, false},
	{"logging.format", formats, false}, {"logging.flushFrequency", durations, false}, {"logging.verbosity", verbosity, false},
	{"logging.vmodule", modules, false}, {"logging.options.text.splitStream", bools, false},
	{"logging.options.text.infoBufferSize", sizes, false}, {"logging.options.json.splitStream", bools, false},
	{"logging.options.json.infoBufferSize", sizes, false},
	{"hostnameOverride", texts, false}, {"bindAddress", addresses, false}, {"healthzBindAddress", servers, false},
	{"metricsBindAddress", servers, false}, {"bindAddressHardFail", bools, false}, {"enableProfiling", bools, false},
	{"showHiddenMetricsForVersion", versions, false}, {"mode", modes, false},
	{"iptables.masqueradeBit", numbers, false}, {"iptables.masqueradeAll", bools, false},
	{"iptables.localhostNodePorts", bools, false}, {"iptables.syncPeriod", durations, false}, {"iptables.minSyncPeriod", durations, false},
	{"ipvs.syncPeriod", durations, false}, {"ipvs.minSyncPeriod", durations, false}, {"ipvs.scheduler", texts, false},
	{"ipvs.excludeCIDRs", cidrs, true}, {"ipvs.strictARP", bools, false}, {"ipvs.tcpTimeout", durations, false},
	{"ipvs.tcpFinTimeout", durations, false}, {"ipvs.udpTimeout", durations, false},
	{"nftables.masqueradeBit", numbers, false}, {"nftables.masqueradeAll", bools, false},
	{"nftables.syncPeriod", durations, false}, {"nftables.minSyncPeriod", durations, false},
	{"winkernel.networkName", texts, false}, {"winkernel.sourceVip", texts, false}, {"winkernel.enableDSR", bools, false},
	{"winkernel.rootHnsEndpointName", texts, false}, {"winkernel.forwardHealthCheckVip", bools, false},
	{"detectLocalMode", locals, false}, {"detectLocal.bridgeInterface", texts, false}, {"detectLocal.interfaceNamePrefix", texts, false},
	{"clusterCIDR", append([]string{`"10.244.0.0/16,fd00::/48"`, `"10.0.0.0/8,10.1.0.0/16"`, `"10.0.0.0/8,fd00::/8,fd01::/16"`, `"10.0.0.0/8,"`, `",10.0.0.0/8"`, `"10.0.0.0/8, fd00::/8"`, `","`, `" "`}, cidrs...), false},
	{"nodePortAddresses", cidrs, true}, {"oomScoreAdj", numbers, false},
	{"conntrack.maxPerCore", numbers, false}, {"conntrack.min", numbers, false}, {"conntrack.tcpEstablishedTimeout", durations, false},
	{"conntrack.tcpCloseWaitTimeout", durations, false}, {"conntrack.tcpBeLiberal", bools, false},
	{"conntrack.udpTimeout", durations, false}, {"conntrack.udpStreamTimeout", durations, false},
	{"configSyncPeriod", durations, false}, {"portRange", texts, false}, {"windowsRunAsService", bools, false},
	// Not known, or spelt otherwise.
	{"unknown", texts, false}, {"conntrack.unknown", texts, false}, {"Mode", modes, false}, {"IPTables.masqueradeBit", numbers, false},
	{"logging.options.unknown", texts, false}, {"detectLocal", texts, false}, {"logging", texts, false}, {"conntrack", texts, false},
	{"iptables", texts, false}, {"clientConnection", texts, false}, {"logging.options", texts, false}, {"metadata", texts, false},
	{"clusterCidr", cidrs, false}, {"conntrack.maxpercore", numbers, false},
}

func pick(r *rand.Rand, from []string) string { return from[r.Intn(len(from))] }

func (one field) value(r *rand.Rand) string {
	if !one.list || r.Intn(12) == 0 {
		return pick(r, one.values)
	}
	var items []string
	for count := r.Intn(4); count > 0; count-- {
		items = append(items, pick(r, one.values))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// text writes a field as YAML, nested where the path is.
func (one field) text(value string) string {
	var text strings.Builder
	parts := strings.Split(one.path, ".")
	for depth, part := range parts {
		text.WriteString(strings.Repeat("  ", depth) + part + ":")
		if depth == len(parts)-1 {
			text.WriteString(" " + value)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// document writes some fields: those of a group stand together, most times.
func document(r *rand.Rand, chosen []field) string {
	groups := map[string][]string{}
	var order []string
	for _, one := range chosen {
		group, rest, nested := strings.Cut(one.path, ".")
		key := group
		if !nested || r.Intn(25) == 0 {
			order = append(order, one.text(one.value(r)))
			continue
		}
		inner := field{rest, one.values, one.list}
		if _, known := groups[key]; !known {
			order = append(order, "\x00"+key)
		}
		groups[key] = append(groups[key], inner.text(inner.value(r)))
	}
	var text strings.Builder
	for _, part := range order {
		if !strings.HasPrefix(part, "\x00") {
			text.WriteString(part)
			continue
		}
		key := part[1:]
		text.WriteString(key + ":\n")
		for _, inner := range groups[key] {
			for _, row := range strings.Split(strings.TrimSuffix(inner, "\n"), "\n") {
				text.WriteString("  " + row + "\n")
			}
		}
	}
	return text.String()
}

// Documents in which more than a field is odd.
var fixed = []string{
	"", "\n", "---\n", "null", "{}", "[]", "x", "\xef\xbb\xbf" + head, head, "---\n" + head, head + "---\n", head + "...\n",
	"# comment\n" + head, head + "---\nkind: KubenatdConfiguration\n", "---\n---\n" + head, "---\nkind: X\n---\n" + head,
	head + "mode: nftables\n---\n" + head + "mode: iptables\n", head + "---\n{[\n", head + "---\n\tx\n",
	"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: kubeProxyConfiguration\n", "kind: KubeProxyConfiguration\n",
	"apiVersion: kubeproxy.config.k8s.io/v1alpha1\n", "apiVersion: kubeproxy.config.k8s.io/v1beta1\nkind: KubeProxyConfiguration\n",
	"apiVersion: v1\nkind: KubeProxyConfiguration\n", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: ConfigMap\n",
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration"}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","mode":"nftables","mode":"iptables"}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","unknown":1}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","iptables":{"masqueradeBit":14.0}}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","iptables":{"masqueradeBit":1e1}}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","clientConnection":{"qps":1e1}}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration"} x`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration"}{}`,
	`{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration",}`,
	head + "mode: nftables\nmode: iptables\n", head + "iptables:\n  masqueradeBit: 1\n  masqueradeBit: 2\n",
	head + "iptables:\n  masqueradeBit: 1\niptables:\n  masqueradeBit: 2\n", head + "iptables:\n  masqueradeBit: 1\niptables:\n  masqueradeAll: true\n",
	head + "mode: nftables\nmode: 1\n", head + "kind: KubeProxyConfiguration\n", head + "mode: &a nftables\nhostnameOverride: *a\n",
	head + "<<: {mode: nftables}\n", head + "x: &a {masqueradeBit: 5}\niptables: *a\n", head + "iptables: {<<: {masqueradeBit: 5}}\n",
	head + "mode: !!str nftables\n", head + "iptables: {masqueradeBit: !!int 5}\n", head + "iptables: {masqueradeBit: !!str 5}\n",
	head + "mode: nftables # comment\n", head + "mode: |\n  nftables\n", head + "mode: >-\n  nftables\n", head + "\"mode\": nftables\n",
	head + "? mode\n: nftables\n", head + "1: x\n", head + "true: x\n", head + "null: x\n", head + "[a]: x\n",
	head + "mode: nftables\r\n", head + "\tmode: nftables\n", head + "mode: nftables\n mode: iptables\n", head + "mode nftables\n",
}

func main() {
	if err := logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate); err != nil {
		panic(err)
	}
	empty, _, err := load(head)
	if err != nil {
		panic(err)
	}
	defaults = fields(empty)
	encoded, _ := json.Marshal(defaults)
	fmt.Fprintf(writer, "{\"defaults\":%s}\n", encoded)
	for _, text := range fixed {
		tell(text)
	}
	r := rand.New(rand.NewSource(20261126))
	for _, one := range known {
		for _, value := range one.values {
			if one.list {
				value = "[" + value + "]"
			}
			tell(head + one.text(value))
		}
	}
	for range 4000 {
		chosen := make([]field, 1+r.Intn(4))
		for at := range chosen {
			chosen[at] = known[r.Intn(len(known))]
		}
		if r.Intn(12) == 0 {
			chosen = append(chosen, field{"detectLocalMode", []string{`NodeCIDR`, `ClusterCIDR`}, false}, field{"clusterCIDR", cidrs, false})
		}
		if r.Intn(3) == 0 {
			chosen = append(chosen, field{"mode", []string{`nftables`, `iptables`, `ipvs`}, false})
		}
		text := head + document(r, chosen)
		if r.Intn(30) == 0 {
			at := r.Intn(len(text))
			text = text[:at] + pick(r, []string{" ", "\n", ":", "\"", "{", "#", "-", "\t"}) + text[at:]
		}
		tellSome(text, 4)
	}
	if err := writer.Flush(); err != nil {
		panic(err)
	}
}
