// Makes the table of flags that test/unit/config/kube_proxy_test.cpp compares with: what kube-proxy v1.36.3 says to a
// command line, and which configuration it then writes. See README.md.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	netutils "k8s.io/utils/net"
	"sigs.k8s.io/yaml"
)

// A command line and what came of it.
type row struct {
	Args []string `json:"args"`
	// The text of the file that stands for @FILE@ in the arguments.
	File string `json:"file,omitempty"`
	// It was not asked to write its configuration but to run; then only the verdict is told.
	Run     bool           `json:"run,omitempty"`
	OK      bool           `json:"ok"`
	Message string         `json:"message,omitempty"`
	Config  map[string]any `json:"config,omitempty"`
}

type kind int

const (
	number kind = iota
	float
	duration
	boolean
	list
	gates
	verbosity
	patterns
	address
	endpoint
	quantity
	mode
	localMode
	cidrs
	text
	iface
	version
	logFormat
)

var flags = []struct {
	name string
	kind kind
}{
	{"feature-gates", gates}, {"kubeconfig", text}, {"master", text}, {"kube-api-content-type", text},
	{"kube-api-burst", number}, {"kube-api-qps", float}, {"hostname-override", text}, {"bind-address", address},
	{"healthz-bind-address", endpoint}, {"metrics-bind-address", endpoint}, {"bind-address-hard-fail", boolean},
	{"profiling", boolean}, {"show-hidden-metrics-for-version", version}, {"init-only", boolean}, {"cleanup", boolean},
	{"proxy-mode", mode}, {"iptables-masquerade-bit", number}, {"masquerade-all", boolean},
	{"iptables-localhost-nodeports", boolean}, {"iptables-sync-period", duration},
	{"iptables-min-sync-period", duration}, {"ipvs-sync-period", duration}, {"ipvs-min-sync-period", duration},
	{"ipvs-scheduler", text}, {"ipvs-exclude-cidrs", list}, {"ipvs-strict-arp", boolean},
	{"ipvs-tcp-timeout", duration}, {"ipvs-tcpfin-timeout", duration}, {"ipvs-udp-timeout", duration},
	{"detect-local-mode", localMode}, {"pod-bridge-interface", iface}, {"pod-interface-name-prefix", iface},
	{"cluster-cidr", cidrs}, {"nodeport-addresses", list}, {"oom-score-adj", number},
	{"conntrack-max-per-core", number}, {"conntrack-min", number}, {"conntrack-tcp-timeout-established", duration},
	{"conntrack-tcp-timeout-close-wait", duration}, {"conntrack-tcp-be-liberal", boolean},
	{"conntrack-udp-timeout", duration}, {"conntrack-udp-timeout-stream", duration}, {"config-sync-period", duration},
	{"healthz-port", number}, {"metrics-port", number}, {"v", verbosity}, {"vmodule", patterns},
	{"logging-format", logFormat}, {"log-flush-frequency", duration}, {"log-text-split-stream", boolean},
	{"log-text-info-buffer-size", quantity}, {"log-json-split-stream", boolean},
	{"log-json-info-buffer-size", quantity}, {"boot-id-file", text}, {"machine-id-file", text},
}

// Values by kind: the good ones first, then the rest. nodeport-addresses has no "primary" beside prefixes, which later
// versions take.
var good = map[kind][]string{
	number:    {"1", "5", "14", "31", "0", "0x10", "0X1f", "0b11", "0o17", "017", "1_0", "+7", "0x_10", "0_7"},
	float:     {"5", "1.5", ".5", "5.", "1e3", "-2", "0x1p4", "0x1.8p-1", "1_0.5", "+3", "0.1", "16777217", "0", "1e-50", "3.4028235e38", "0X_1P+2"},
	duration:  {"1s", "30s", "1m", "1h30m", "1.5h", "90m", "100ms", "2h22m1s", "1µs", "1μs", "10us", "1ns", "0", "0s", "+5s", "1m1m", ".5s", "5.s"},
	boolean:   {"true", "false", "1", "0", "t", "F", "TRUE", "False"},
	list:      {"10.0.0.0/8", "10.0.0.0/8,fd00::/8", `"10.0.0.0/8","fd00::/8"`, "", "primary", "010.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "fd00::1/64", "10.0.0.0/8\nx", "\n10.0.0.0/8", "10.0.0.0/8\r\n"},
	gates:     {"", "ContextualLogging=true", "ContextualLogging=false,LoggingBetaOptions=true", " ContextualLogging = true ", ",,ContextualLogging=1,", "LoggingAlphaOptions=true"},
	verbosity: {"0", "2", "10", "007", "2147483647"},
	patterns:  {"", "a=1", "a*=2,b=3", ",a=1,"},
	address:   {"0.0.0.0", "10.1.2.3", "::", "fd00::1", "010.1.2.3", "", "::ffff:10.1.2.3"},
	endpoint:  {"127.0.0.1:10", "[::1]:10256", "0.0.0.0:080", "[10.0.0.1]:80", "010.0.0.1:80", "[fd00::1]:65535"},
	quantity:  {"0", "0Ki", "0.0", "0e3", "+0", "-0"},
	mode:      {"iptables", "nftables", ""},
	localMode: {"ClusterCIDR", "NodeCIDR", "", "BridgeInterface", "InterfaceNamePrefix"},
	cidrs:     {"10.244.0.0/16", "10.244.0.0/16,fd00::/56", "fd00::/56,10.244.7.9/16", "010.244.0.0/16"},
	text:      {"", "a", "a b", "/etc/x.conf", "=", "a=b", "NAME", " Trimmed ", "true", "-", "-x"},
	iface:     {"cni0", "veth", ""},
	version:   {"", "1.35"},
	logFormat: {"text", "json"},
}
var bad = map[kind][]string{
	number:    {"-1", "32", "-1000", "-1001", "1001", "08", "1__0", "_1", "1_", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775808", "99999999999999999999", "1e3", "1.5", "", " 1", "1 ", "٣", "abc", "0x", "0_x1", "-0x10", "--1", "+", "-", "70000", "65535"},
	float:     {"1e39", "0x1", "inf", "+Inf", "nan", "-Infinity", "1__0", "_1", "1e", "e5", "3.4028236e38", "3.5e38", "", "x", " 1", "1,5", ".", "1e1.5", "0x.p1", "+-1", "1_", "1e_5", "1e1_0"},
	duration:  {"-1s", "5", "1", "1d", "", " 1s", "1s ", "1S", "s", ".s", "1.s.", "1h-1m", "9223372036854775807ns", "9223372036854775808ns", "3000000h", "-0", "1_0s", "1e3s", "-5m", "-", "+"},
	boolean:   {"yes", "on", "tRUE", "", "2", " true", "nil"},
	list:      {",", "10.0.0.0/8,", `"`, `a"b`, `"a"b`, " 10.0.0.0/8", "10.0.0.0/8, fd00::/8", "10.0.0.0", "10.0.0.0/33", "x", `"10.0.0.0/8,fd00::/8"`, "\n", `""`, `"10.0.0.0/8`, "10.0.0.256/8", "10.0.0.0/08", "10.0.0.0/-1", "fd00::/129"},
	gates:     {"A", "=true", "NoSuchGate=true", "ContextualLogging=yes", "ContextualLogging", "ContextualLogging=", "ContextualLogging==true", "ContextualLogging=true;B=false"},
	verbosity: {"-1", "", "x", "0x2", "2147483648", "1_0", "+1", " 2", "2.0", "99999999999999999999"},
	patterns:  {"a", "a=", "=1", "a=b=1", "a=-1", "a=1,b"},
	address:   {"x", "10.1.2", "10.1.2.3:80", "[::]", "fe80::1%eth0", " 10.0.0.1", "10.0.0.256", "1.2.3.4/8"},
	endpoint:  {"", "127.0.0.1", "::1", "fd00::1", "0.0.0.0:0", "0.0.0.0:65536", "0.0.0.0:x", ":80", "localhost:80", "x", "[::1]", "::1:80", "1.2.3.4:", "1.2.3.4:+80", "[fe80::1%lo]:80", "1.2.3.4:80:90", "[[::1]]:80"},
	quantity:  {"512", "4Ki", "1M", "-1", "x", "", "1Kb", "1e3", "1.5Gi", "1 Ki", ".", "1..2", "0x10"},
	mode:      {"ipvs", "IPTables", " iptables", "userspace", "kernelspace"},
	localMode: {"clustercidr", "x", " NodeCIDR"},
	cidrs:     {"", "10.244.0.0", "10.0.0.0/8,11.0.0.0/8", "10.0.0.0/8,", ",", "10.0.0.0/8,fd00::/8,11.0.0.0/8", " 10.0.0.0/8", "10.0.0.0/8, fd00::/8", "x", "10.0.0.0/33", `"10.0.0.0/8"`},
	text:      {"--config", "--v=2"},
	iface:     {"a-name-that-is-too-long", "with blank", "a/b"},
	version:   {"1.34", "1.36", "x", "1"},
	logFormat: {"", "JSON", "xml"},
}

func all(k kind) []string { return append(append([]string{}, good[k]...), bad[k]...) }

func pick[T any](r *rand.Rand, from []T) T { return from[r.Intn(len(from))] }

// One by one: alone, with "=" and with a space, with "_", twice, before another flag.
func systematic() []row {
	rows := []row{{Args: []string{}}}
	add := func(args ...string) { rows = append(rows, row{Args: args}) }
	for _, f := range flags {
		n := "--" + f.name
		add(n)
		add(n, "--masquerade-all")
		add(n+"=", "--conntrack-min=7")
		values := all(f.kind)
		for i, v := range values {
			if i%2 == 0 {
				add(n + "=" + v)
			} else if f.kind == boolean {
				add(n, v)
			} else {
				add(n, v)
				if len(v) > 0 && i < 4 {
					add(n + "=" + v)
				}
			}
		}
		g := good[f.kind]
		add(n+"="+g[0], n+"="+g[1])
		add(n+"="+g[1], n+"="+g[0])
		add(n+"="+g[0], n+"=")
		add(n+"=", n+"="+g[1])
		add(n+"="+g[0], n)
		if strings.Contains(f.name, "-") {
			add("--" + strings.ReplaceAll(f.name, "-", "_") + "=" + g[0])
			add("--" + strings.Replace(f.name, "-", "_", 1) + "=" + g[1])
		}
		add("-" + f.name + "=" + g[0])
		add("--" + strings.ToUpper(f.name) + "=" + g[0])
		add("--"+f.name+" ", g[0])
	}
	return rows
}

// What is of the words and not of a flag.
func syntax() []row {
	var rows []row
	for _, args := range [][]string{
		{"-v", "3"}, {"-v=3"}, {"-v3"}, {"-v03"}, {"-v", "-1"}, {"-v"}, {"-vv"}, {"-v3v"}, {"-v=", "3"}, {"-v="}, {"-v", "--masquerade-all"},
		{"--v", "3"}, {"--v=3"}, {"--v"}, {"-v", ""}, {"-v", "3", "-v", "4"}, {"-x"}, {"-vx"}, {"-vh"}, {"-x3"}, {"-"}, {"--"},
		{"--", "--masquerade-all"}, {"--", ""}, {"stray"}, {""}, {"", ""}, {"--masquerade-all", "true"}, {"--masquerade-all", ""},
		{"--masquerade-all=true", "--"}, {"---masquerade-all"}, {"--=x"}, {"-=x"}, {"--masquerade-all=="}, {"--v==3"},
		{"--nope"}, {"--nope=3"}, {"--nope", "3"}, {"--masquerade"}, {"--write-config-to"}, {"--config"}, {"--config="},
		{"--config=", "--masquerade-all"}, {"--config=/no/such/file"}, {"--hostname-override=", "--v=2"},
		{"--hostname-override", "--config=/no/such/file"}, {"--hostname-override", "", "--v=2"}, {"--hostname_override=Node"},
		{"--masquerade_all"}, {"--masquerade_all=false"}, {"--_v=2"}, {"--v_=2"}, {"--hostname-override=  "},
		{"--logtostderr"}, {"--logtostderr=true"}, {"--alsologtostderr"}, {"--log-dir=/tmp"}, {"--log_dir=/tmp"}, {"--proxy-port-range=1-2"},
		{"--skip-headers"}, {"--stderrthreshold=2"}, {"--healthz-port", "0"}, {"--iptables-min-sync-period=1m"},
		{"--iptables-min-sync-period=1m", "--iptables-sync-period=1m"}, {"--vmodule=a=1", "--logging-format=json"},
		{"--detect-local-mode=NodeCIDR", "--cluster-cidr="}, {"--detect-local-mode=NodeCIDR", "--cluster-cidr=x"},
		{"--detect-local-mode=BridgeInterface"}, {"--detect-local-mode=InterfaceNamePrefix"},
		{"--detect-local-mode=BridgeInterface", "--pod-bridge-interface=a-name-that-is-too-long"},
		{"--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=a-name-too-long"},
		{"--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix="},
		{"--proxy-mode=nftables", "--iptables-masquerade-bit=3"}, {"--proxy-mode=nftables", "--iptables-masquerade-bit=40"},
		{"--proxy-mode=nftables", "--masquerade-all"}, {"--proxy-mode=nftables", "--nodeport-addresses="},
		{"--proxy-mode=nftables", "--nodeport-addresses=10.0.0.0/8"}, {"--proxy-mode=nftables", "--iptables-localhost-nodeports=false"},
		{"--proxy-mode=nftables", "--iptables-sync-period=3m", "--iptables-min-sync-period=2m"},
		{"--proxy-mode=nftables", "--proxy-mode=iptables", "--iptables-sync-period=3m"},
		{"--proxy-mode=nftables", "--iptables-min-sync-period=0"}, {"--proxy-mode=ipvs", "--ipvs-sync-period=3m"},
	} {
		rows = append(rows, row{Args: args})
	}
	return rows
}

// Some flags together.
func together(r *rand.Rand, count int) []row {
	var rows []row
	for len(rows) < count {
		var args []string
		for i := 2 + r.Intn(4); i > 0; i-- {
			f := pick(r, flags)
			v := pick(r, good[f.kind])
			if r.Intn(12) == 0 {
				v = pick(r, bad[f.kind])
			}
			n := "--" + f.name
			if r.Intn(4) == 0 {
				n = "--" + strings.ReplaceAll(f.name, "-", "_")
			}
			switch {
			case f.kind == boolean && r.Intn(2) == 0:
				args = append(args, n)
			case r.Intn(2) == 0:
				args = append(args, n+"="+v)
			default:
				args = append(args, n, v)
			}
		}
		rows = append(rows, row{Args: args})
	}
	return rows
}

var files = []string{
	"mode: iptables\niptables: {masqueradeBit: 5}\nlogging: {verbosity: 1}\nhostnameOverride: of-the-file\n",
	"mode: nftables\nclusterCIDR: 10.1.0.0/16\nnftables: {syncPeriod: 2m}\n",
	"bindAddress: '::'\nlogging: {format: json, flushFrequency: 7s}\n",
	"iptables: {masqueradeBit: 50}\n",
}

// Flags beside a file.
func beside(r *rand.Rand, count int) []row {
	const header = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
	var rows []row
	for i, file := range files {
		rows = append(rows, row{Args: []string{"--config=@FILE@"}, File: header + file})
		_ = i
	}
	for _, f := range flags {
		rows = append(rows, row{Args: []string{"--config=@FILE@", "--" + f.name + "=" + good[f.kind][0]}, File: header + files[0]})
		rows = append(rows, row{Args: []string{"--" + f.name + "=" + bad[f.kind][0], "--config", "@FILE@"}, File: header + files[0]})
	}
	for _, one := range together(r, count) {
		one.Args = append([]string{"--config=@FILE@"}, one.Args...)
		one.File = header + pick(r, files[:3])
		rows = append(rows, one)
	}
	return rows
}

// What --write-config-to leaves out: the ports of addresses without one.
func running() []row {
	var rows []row
	add := func(args ...string) { rows = append(rows, row{Args: args, Run: true}) }
	for _, server := range []string{"healthz", "metrics"} {
		port, addr := "--"+server+"-port", "--"+server+"-bind-address"
		for _, p := range []string{"0", "1", "80", "65535", "65536", "-1", "0x50", "x", ""} {
			add(port + "=" + p)
			add(port+"="+p, addr+"=10.0.0.1")
			add(port+"="+p, addr+"=10.0.0.1:80")
			add(port+"="+p, addr+"=")
		}
		for _, a := range all(endpoint) {
			add(addr + "=" + a)
		}
	}
	// Provider's command lines.
	add("--conntrack-max-per-core=0", "--metrics-bind-address=0.0.0.0:10249", "--cluster-cidr=10.244.0.0/16",
		"--detect-local-mode=ClusterCIDR", "--pod-interface-name-prefix=", "--v=3")
	add("--cluster-cidr=10.42.0.0/16", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-close-wait=0s",
		"--conntrack-tcp-timeout-established=0s", "--healthz-bind-address=127.0.0.1", "--hostname-override=node-1",
		"--proxy-mode=iptables")
	add("--hostname-override=", "--v=2")
	add("--feature-gates=", "--cluster-cidr=", "--v=2")
	return rows
}

func prefixes(from any) []any {
	out := []any{}
	texts, _ := from.([]any)
	for _, t := range texts {
		s := t.(string)
		if _, n, err := netutils.ParseCIDRSloppy(s); err == nil {
			s = n.String()
		}
		out = append(out, s)
	}
	return out
}

// The fields that kubenatd knows, of the mode in force, by "group.field"; prefixes as their masked text.
func canonical(data []byte) (map[string]any, error) {
	var c map[string]any
	if err := yaml.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	group := func(name string) map[string]any { g, _ := c[name].(map[string]any); return g }
	out := map[string]any{}
	for _, f := range []string{"bindAddress", "bindAddressHardFail", "configSyncPeriod", "detectLocalMode",
		"enableProfiling", "healthzBindAddress", "hostnameOverride", "metricsBindAddress", "mode", "oomScoreAdj",
		"showHiddenMetricsForVersion"} {
		out[f] = c[f]
	}
	for _, g := range []string{"clientConnection", "conntrack", "detectLocal"} {
		for f, v := range group(g) {
			out[g+"."+f] = v
		}
	}
	for _, f := range []string{"format", "flushFrequency", "verbosity"} {
		out["logging."+f] = group("logging")[f]
	}
	out["featureGates"] = map[string]any{}
	if gates := group("featureGates"); gates != nil {
		out["featureGates"] = gates
	}
	plane, _ := c["mode"].(string)
	for f, v := range group(plane) {
		out["dataplane."+f] = v
	}
	out["nodePortAddresses"] = prefixes(c["nodePortAddresses"])
	cidrs := []any{}
	if text := c["clusterCIDR"].(string); text != "" {
		for _, s := range strings.Split(text, ",") {
			cidrs = append(cidrs, s)
		}
	}
	out["clusterCIDR"] = prefixes(any(cidrs))
	return out, nil
}

var stamp = regexp.MustCompile(`^[EFIW]\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] `)

// The last thing that it said.
func lastLine(stderr string) string {
	if strings.Contains(stderr, "panic:") {
		return "panic"
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	line := stamp.ReplaceAllString(lines[len(lines)-1], "")
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "Error: "); ok {
			line = rest
		}
	}
	line = strings.TrimPrefix(line, `"command failed" err=`)
	if len(line) > 160 {
		line = strings.ToValidUTF8(line[:160], "")
	}
	return line
}

func ask(program, folder string, r *row) {
	written := filepath.Join(folder, "written.yaml")
	file := filepath.Join(folder, "config.yaml")
	os.Remove(written)
	var args []string
	if !r.Run {
		args = append(args, "--write-config-to="+written)
	}
	if r.File != "" {
		if err := os.WriteFile(file, []byte(r.File), 0o600); err != nil {
			panic(err)
		}
	}
	for _, a := range r.Args {
		args = append(args, strings.ReplaceAll(a, "@FILE@", file))
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = []string{"PATH=/nowhere"}
	if r.Run {
		// It ends as soon as it looks for an API server, in a network of its own.
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	err := cmd.Run()
	r.Message = strings.ReplaceAll(lastLine(stderr.String()), folder+"/", "")
	if r.Run {
		r.OK = strings.Contains(r.Message, "in-cluster configuration")
	} else {
		r.OK = err == nil
	}
	if r.OK {
		r.Message = ""
	}
	if r.OK && !r.Run {
		data, err := os.ReadFile(written)
		if err != nil {
			panic(fmt.Sprintf("%q: %v\n%s", r.Args, err, stderr.String()))
		}
		if r.Config, err = canonical(data); err != nil {
			panic(err)
		}
	}
}

func main() {
	program := flag.String("kube-proxy", "kube-proxy", "the program to ask")
	seed := flag.Int64("seed", 1, "of the random command lines")
	count := flag.Int("count", 700, "of the random command lines")
	flag.Parse()
	folder, err := os.MkdirTemp("", "flags")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	r := rand.New(rand.NewSource(*seed))
	rows := systematic()
	rows = append(rows, syntax()...)
	rows = append(rows, together(r, *count)...)
	rows = append(rows, beside(r, *count/4)...)
	rows = append(rows, running()...)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	// The first row has the whole configuration, the others what differs from it.
	var defaults map[string]any
	for i := range rows {
		ask(*program, folder, &rows[i])
		if i == 0 {
			defaults = rows[i].Config
		} else {
			for k, v := range rows[i].Config {
				a, _ := json.Marshal(v)
				b, _ := json.Marshal(defaults[k])
				if bytes.Equal(a, b) {
					delete(rows[i].Config, k)
				}
			}
		}
		if err := out.Encode(rows[i]); err != nil {
			panic(err)
		}
	}
}
