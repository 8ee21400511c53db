// Writes what client-go makes of kubeconfigs and server addresses, and what net/http makes of the proxy's environment:
// one JSON object a line. The tests of agent/api compare with it. README.md says how it is run.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// What is asked: a kubeconfig, --master, or both. "@DIR@" is the folder, "@CA@", "@CERT@" and "@KEY@" base64 of PEM.
type verdict struct {
	Config *string `json:"config,omitempty"`
	Master string  `json:"master,omitempty"`
	Error  string  `json:"error,omitempty"` // for people: only whether there is one is compared

	URL           string   `json:"url,omitempty"`  // of a request for /x, as it goes out
	Host          string   `json:"host,omitempty"` // to be dialled
	Port          string   `json:"port,omitempty"`
	Authorization string   `json:"authorization,omitempty"`
	Authority     string   `json:"authority,omitempty"` // "data", or a file
	Certificate   string   `json:"certificate,omitempty"`
	Key           string   `json:"key,omitempty"`
	ServerName    string   `json:"server_name,omitempty"`
	Insecure      bool     `json:"insecure,omitempty"`
	Proxy         string   `json:"proxy,omitempty"`
	Here          []string `json:"here,omitempty"` // what kubenatd does not do: exec, auth-provider, impersonation
}

type seen struct{ request *http.Request }

var errSeen = errors.New("seen")

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.request = r
	return nil, errSeen
}

var folder string
var replacer *strings.Replacer

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func write(name string, text []byte) {
	path := filepath.Join(folder, name)
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, text, 0o644))
}

func prepare() {
	var err error
	folder, err = os.MkdirTemp("", "oracle")
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "oracle"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	must(err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for _, name := range []string{"kube/ca.pem", "kube/pki/ca.pem", "up.pem", "kube/cert.pem"} {
		write(name, certificate)
	}
	write("kube/key.pem", keyText)
	write("kube/token", []byte("from-file\n"))
	write("kube/empty", nil)
	b64 := base64.StdEncoding.EncodeToString
	replacer = strings.NewReplacer("@DIR@", folder, "@CA@", b64(certificate), "@CERT@", b64(certificate), "@KEY@", b64(keyText))
	must(os.Chdir("/"))
}

func source(data []byte, file string) string {
	if len(data) > 0 {
		return "data"
	}
	return strings.ReplaceAll(file, folder, "@DIR@")
}

func judge(config *string, master string) (out verdict) {
	out = verdict{Config: config, Master: master}
	fail := func(err error) verdict {
		text := strings.ReplaceAll(err.Error(), folder, "@DIR@")
		if len(text) > 120 {
			text = text[:120]
		}
		return verdict{Config: config, Master: master, Error: strings.ToValidUTF8(text, "?")}
	}
	path := ""
	if config != nil {
		path = filepath.Join(folder, "kube/config")
		must(os.WriteFile(path, []byte(replacer.Replace(*config)), 0o644))
	}
	// As cmd/kube-proxy/app/server.go does it.
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: path},
		&clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{Server: master}}).ClientConfig()
	if err != nil {
		return fail(err)
	}
	out.Authority = source(cfg.CAData, cfg.CAFile)
	out.Certificate = source(cfg.CertData, cfg.CertFile)
	out.Key = source(cfg.KeyData, cfg.KeyFile)
	out.ServerName = cfg.ServerName
	out.Insecure = cfg.Insecure
	if cfg.Proxy != nil {
		proxy, err := cfg.Proxy(nil)
		must(err)
		out.Proxy = proxy.String()
	}
	if cfg.ExecProvider != nil {
		out.Here = append(out.Here, "exec")
	}
	if cfg.AuthProvider != nil {
		out.Here = append(out.Here, "auth-provider")
	}
	if cfg.Impersonate.UserName != "" {
		out.Here = append(out.Here, "impersonation")
	}
	if out.Here != nil {
		return out
	}
	eye := &seen{}
	cfg.WrapTransport = func(http.RoundTripper) http.RoundTripper { return eye }
	version := schema.GroupVersion{Version: "v1"}
	cfg.GroupVersion = &version
	cfg.APIPath = "/api"
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	cfg.QPS = -1
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return fail(err)
	}
	err = client.Get().AbsPath("/x").MaxRetries(0).Do(context.Background()).Error()
	if eye.request == nil {
		return fail(err)
	}
	for _, value := range eye.request.Header["Authorization"] {
		for _, c := range []byte(value) {
			if c != '\t' && c < ' ' || c == 0x7f {
				return fail(errors.New("net/http: invalid header field value"))
			}
		}
	}
	u := *eye.request.URL
	u.User = nil
	out.URL = u.String()
	out.Host = u.Hostname()
	out.Port = u.Port()
	if out.Port == "" {
		out.Port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	out.Authorization = eye.request.Header.Get("Authorization")
	return out
}

var writer = bufio.NewWriter(os.Stdout)
var told = map[string]bool{}

func tell(line any) {
	encoded, err := json.Marshal(line)
	must(err)
	if !told[string(encoded)] {
		told[string(encoded)] = true
		fmt.Fprintln(writer, string(encoded))
	}
}

func pick(r *mathrand.Rand, of ...string) string { return of[r.Intn(len(of))] }

// ---- server addresses

var schemes = []string{"https://", "https://", "https://", "HTTPS://", "http://", "HtTp://", "", "", "//", "https:", "https:/",
	"https:///", "ftp://", "unix://", "1http://", "://", " https://", "h+t-t.p://", "https//"}
var users = []string{"", "", "", "", "", "u@", "u:p@", "u%3A:p%40@", ":p@", "@", "u:@", "a@b@", "u p@", "u%@", "ü@", "u:p:q@", "u/@", "u;=,+$!*'()&~._-@"}
var hosts = []string{"a", "api.example", "api.example.", "API.Example", "192.0.2.1", "127.1", "localhost", "[::1]", "[fd00::1]", "[FD00::A]",
	"[fe80::1%25eth0]", "[fe80::1%eth0]", "[::ffff:192.0.2.1]", "[192.0.2.1]", "[a]", "[::1", "::1", "fd00::1", "]", "a[::1]", "a b",
	"a_b", "-a", "a..b", "bücher.example", "xn--bcher-kva.example", "%C3%BC", "%41", "a%", "a<b", "a\"b", "a\\b", "a,b", "*", "", "a|b", "a^b",
	"1.2.3.4.5", "0x7f.1", "a~b", "a!b", "a$b", "[v1.a]", "[fe80::1%25et%20h]", "[fe80::1%25]"}
var ports = []string{"", "", "", ":6443", ":6443", ":443", ":80", ":", ":0", ":65535", ":65536", ":99999999999", ":1x", ":-1", ":+1", ": 1", "::1", ":00443", ":https", ":%36"}
var paths = []string{"", "", "", "/", "//", "/k8s/clusters/c-1", "/k8s/clusters/c-1/", "/a//b", "/a/../b", "/./a", "/..", "/%41", "/a%2Fb", "/a%2fb", "/a%", "/a b",
	"/ü", "/a;b", "/a,b", "/a:b", "/a@b", "/a+b", "/a&b=c$d", "/a'b", "/a(b)", "/a*b", "/a!b", "/a[b]", "/a|b", "/a\\b", "/%00", "/%zz", "/a\tb", "/a\u007f", "/\"", "/<", "/%25", "/a/.", "/a/b/.."}
var queries = []string{"", "", "", "", "", "?", "?a=b", "?a?b", "?%", "? "}
var fragments = []string{"", "", "", "", "", "", "#", "#f", "#%", "#a#b"}

func address(r *mathrand.Rand) string {
	if r.Intn(4) == 0 { // near misses: a random piece of a good one, or with a random character in it
		good := []byte(pick(r, "https://api.example:6443/k8s", "http://[fd00::1]:8080", "api.example:6443", "https://u:p@192.0.2.1"))
		const odd = "/:?#[]@!$&'()*+,;=%.-_~ <>\"\\^`{|}aZ0\t"
		switch at := r.Intn(len(good)); r.Intn(3) {
		case 0:
			good[at] = odd[r.Intn(len(odd))]
		case 1:
			good = append(good[:at:at], good[at+1:]...)
		default:
			good = append(good[:at:at], append([]byte{odd[r.Intn(len(odd))]}, good[at:]...)...)
		}
		return string(good)
	}
	// Mostly usual pieces, as one odd one is enough to be refused.
	some := func(usual int, of []string) string {
		if r.Intn(3) != 0 {
			of = of[:usual]
		}
		return pick(r, of...)
	}
	return some(4, schemes) + some(7, users) + some(9, hosts) + some(7, ports) + some(8, paths) + some(7, queries) + some(7, fragments)
}

func addresses(r *mathrand.Rand) {
	one := func(text string) {
		tell(judge(nil, text))
	}
	for _, text := range []string{"https://a", "a", "a:6443", "localhost:8080", "https://a:0", "http://:8080", "*", "/", "/a", "a/b", "a/", "a:1/", "mailto:x", "https://a/b?c#d"} {
		one(text)
	}
	for _, host := range hosts {
		one("https://" + host)
		one("https://" + host + ":6443/p")
		one(host)
	}
	for _, piece := range append(append([]string{}, ports...), paths...) {
		one("https://a" + piece)
		one("a" + piece)
	}
	for _, user := range users {
		one("https://" + user + "a")
	}
	for len(told) < 2200 {
		one(address(r))
	}
}

// ---- kubeconfigs

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	must(err)
	return string(encoded)
}

type field struct {
	name   string
	oneIn  int
	good   int      // so many of the values are all right
	values []string // YAML, flow style
}

// Whether nothing odd is put into the present kubeconfig but in one place.
var usual bool

func (f field) value(r *mathrand.Rand, odd int) string {
	if usual {
		return pick(r, f.values[:f.good]...)
	}
	if r.Intn(odd) == 0 {
		return pick(r, append([]string{"null", "~", `""`}, wrong...)...)
	}
	return pick(r, f.values...)
}

var wrong = []string{"5", "true", "[]", "{}", "[a]", "1.5", "{a: b}"}

func fields(r *mathrand.Rand, all []field, odd int) string {
	var parts []string
	for _, f := range all {
		already := strings.Join(parts, ", ")
		rival := f.name == "username" && strings.Contains(already, "token") ||
			strings.HasSuffix(f.name, "-data") && strings.Contains(already, strings.TrimSuffix(f.name, "-data")+":") ||
			f.name == "insecure-skip-tls-verify" && strings.Contains(already, "certificate-authority") ||
			strings.HasPrefix(f.name, "as") && r.Intn(2) == 0
		if r.Intn(f.oneIn) != 0 || usual && rival {
			continue
		}
		if usual && r.Intn(20) == 0 { // the one place
			usual = false
			parts = append(parts, f.name+": "+f.value(r, 3))
			usual = true
			continue
		}
		parts = append(parts, f.name+": "+f.value(r, odd))
	}
	text := strings.Join(parts, ", ")
	// Pairs belong together, or nearly everything would be refused.
	if usual && strings.Contains(text, "client-certificate") && !strings.Contains(text, "client-key") {
		text += ", client-key: key.pem"
	}
	if usual && strings.Contains(text, "as-") && !strings.Contains(text, "as: ") {
		text += ", as: somebody"
	}
	return "{" + text + "}"
}

var extensions = field{"extensions", 25, 1, []string{"[{name: e, extension: {a: 1}}]", "[{name: e, extension: {a: 1}}, {name: e, extension: {}}]",
	"[{name: e}]", "[{extension: 5}]", "[]", "[{name: client.authentication.k8s.io/exec, extension: {audience: x}}]"}}

func clusterFields(r *mathrand.Rand) []field {
	servers := []string{`"https://api.example:6443"`, `"https://api.example:6443"`, `"https://192.0.2.1/p/"`, `"HTTPS://[fd00::1]"`, `"http://api.example:8080"`,
		`"api.example:8080"`, `"https://u:p@api.example"`, `"http://u:p@api.example"`}
	if r.Intn(5) == 0 {
		servers = []string{quoted(address(r))}
	}
	return []field{{"server", 1, len(servers), servers},
		{"certificate-authority", 4, 4, []string{"ca.pem", "pki/ca.pem", "../up.pem", `"@DIR@/kube/ca.pem"`, "missing.pem", "./pki/../ca.pem", "empty", "pki"}},
		{"certificate-authority-data", 4, 2, []string{`"@CA@"`, `"@CA@"`, "bm8gY2VydA==", "bm8gY2VydA", "'=='", "YQ==", "'Y Q=='", "\"YQ=\\n=\"", "YR==", "YQ==YQ==", "Y-_="}},
		{"tls-server-name", 6, 2, []string{"kubernetes", "192.0.2.9", "5.5", `" "`}},
		{"insecure-skip-tls-verify", 5, 3, []string{"true", "false", "yes", "n", "1", `"true"`}},
		{"proxy-url", 7, 4, []string{`"http://proxy.example:3128"`, `"http://u:p%40@proxy.example"`, `"https://proxy.example"`, `"socks5://proxy.example:1080"`,
			`"socks5h://proxy.example"`, `"proxy.example:3128"`, `"//proxy.example"`, `"HTTP://proxy.example/"`, `"http://[fd00::1]:1"`, `"http://a b"`, `"http://"`, `"http:"`}},
		{"disable-compression", 15, 2, []string{"true", "false"}},
		extensions, {"unknown", 20, 1, []string{"1"}}, {"Server", 30, 1, []string{"x"}}}
}

var userFields = []field{
	{"token", 3, 2, []string{"abc", `"a b"`, `"a\nb"`, `" abc "`, "12345", `"1"`, "0x1f", "yes", "'ü'", "\"a\\tb\""}},
	{"tokenFile", 4, 2, []string{"token", "./token", "missing", "empty", "pki", `"@DIR@/kube/token"`}},
	{"client-certificate", 5, 1, []string{"cert.pem", "missing.pem", "../up.pem"}},
	{"client-certificate-data", 6, 2, []string{`"@CERT@"`, `"@CERT@"`, "YQ==", "x"}},
	{"client-key", 5, 1, []string{"key.pem", "missing.pem", `"@DIR@/kube/key.pem"`}},
	{"client-key-data", 6, 2, []string{`"@KEY@"`, `"@KEY@"`, "YQ==", "x"}},
	{"username", 9, 2, []string{"u", `"u:v"`, "'ü'"}}, {"password", 9, 2, []string{"p", `""`, `"p:q"`}},
	{"as", 16, 1, []string{"somebody"}}, {"as-uid", 25, 1, []string{"u1"}}, {"as-groups", 25, 1, []string{"[a, b]", "[1]", "a"}},
	{"as-user-extra", 25, 1, []string{"{k: [v]}", "{k: v}", "{k: [1]}"}},
	{"auth-provider", 20, 2, []string{"{name: gcp, config: {a: b}}", "{name: oidc}", "{}", "{name: gcp, config: {a: 1}}"}},
	{"exec", 12, 2, []string{"{apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks]}",
		"{apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}", "{apiVersion: client.authentication.k8s.io/v1, command: aws}",
		"{command: aws}", "{apiVersion: client.authentication.k8s.io/v1beta1}", "{apiVersion: client.authentication.k8s.io/v1beta1, command: ./x, env: [{name: A, value: B}]}",
		"{apiVersion: client.authentication.k8s.io/v1beta1, command: x, env: [{value: B}]}", "{apiVersion: client.authentication.k8s.io/v1beta1, command: x, env: null, args: [1]}",
		"{apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Sometimes}", "{apiVersion: client.authentication.k8s.io/v1beta1, command: x, provideClusterInfo: 1}"}},
	extensions, {"unknown", 20, 1, []string{"1"}}}

func named(r *mathrand.Rand, member string, value func() string) string {
	var parts []string
	names := []string{"a", "b", "c"}
	for n := 1 + r.Intn(2); n > 0; n-- {
		name := names[n-1]
		if r.Intn(12) == 0 {
			name = pick(r, names...)
		}
		one := fmt.Sprintf("{name: %s, %s: %s}", name, member, value())
		odd := r.Intn(30)
		if usual {
			odd = 30
		}
		switch odd {
		case 0:
			one = fmt.Sprintf("{%s: %s}", member, value())
		case 1:
			one = fmt.Sprintf("{name: %s}", name)
		case 2:
			one = fmt.Sprintf("{name: %s, %s: null}", name, member)
		case 3:
			one = pick(r, "null", "5", "a", "[]", "{name: 5}", "{name: [a]}")
		}
		parts = append(parts, one)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func kubeconfig(r *mathrand.Rand) string {
	odd := 40
	usual = r.Intn(4) != 0
	some := func(good int, of ...string) string {
		if usual {
			of = of[:good]
		}
		return pick(r, of...)
	}
	var lines []string
	add := func(oneIn int, name, value string) {
		if r.Intn(oneIn) != 0 || usual {
			lines = append(lines, name+": "+value)
		}
	}
	add(12, "apiVersion", some(1, "v1", "v1", "v1", "v1", "v1", "v1", "v1", "v2", "1", `""`, "null", "a/b/c"))
	add(12, "kind", some(1, "Config", "Config", "Config", "Config", "Config", "Config", "Pod", `""`, "config", "null", "5"))
	add(25, "current-context", some(1, "a", "a", "a", "a", "a", "a", "b", "nowhere", `""`, "5", "[a]"))
	add(40, "clusters", named(r, "cluster", func() string { return fields(r, clusterFields(r), odd) }))
	add(40, "users", named(r, "user", func() string { return fields(r, userFields, odd) }))
	add(40, "contexts", named(r, "context", func() string {
		return fields(r, []field{{"cluster", 1, 4, []string{"a", "a", "a", "a", "b"}}, {"user", 1, 4, []string{"a", "a", "a", "a", "b", `""`}},
			{"namespace", 8, 1, []string{"default", "Not Good"}}, extensions}, odd)
	}))
	if r.Intn(12) == 0 && !usual {
		lines = append(lines, pick(r, "preferences: {}", "preferences: {colors: true}", "preferences: {colors: 1}", "preferences: []", "extensions: []", "extensions: {}",
			"other: 1", "extensions: [{name: a, extension: {}}, {name: a, extension: {}}]", "clusters: []", "users: null", "contexts: {}"))
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	text := strings.Join(lines, "\n") + "\n"
	switch r.Intn(60) {
	case 0:
		text = "---\n" + text
	case 1:
		text = text + "---\nkind: Config\n"
	case 2:
		text = "\ufeff" + text
	case 3:
		text = strings.ReplaceAll(text, ": ", ":")
	case 4:
		text = text[:r.Intn(len(text))]
	case 5:
		text = "---\n# nothing\n---\n" + text
	}
	return text
}

func kubeconfigs(r *mathrand.Rand) {
	one := func(text, master string) {
		tell(judge(&text, master))
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}", "null", "[]", "a", "5", "kind: Config", "apiVersion: v1\nkind: Config\n", "a: [", "\t",
		"current-context: x\n", `{"clusters": [{"name": "a", "cluster": {"server": "https://a"}}]}`} {
		one(text, "")
		one(text, "https://m")
		one(text, "http://m")
	}
	for lines := 0; lines < 1600; lines++ {
		master := ""
		if r.Intn(6) == 0 {
			master = pick(r, "https://m.example", "http://m.example", "m.example", "ftp://x/y", "https://u:p@m.example", "https://m.example/p?q")
		}
		one(kubeconfig(r), master)
	}
}

// ---- proxies

type proxied struct {
	HTTP  string `json:"http,omitempty"`
	HTTPS string `json:"https,omitempty"`
	No    string `json:"no,omitempty"`
	CGI   bool   `json:"cgi,omitempty"`
	URL   string `json:"url"`
	Proxy string `json:"proxy,omitempty"`
	Error bool   `json:"error,omitempty"`
}

func proxies(r *mathrand.Rand) {
	servers := []string{"https://api.example:6443", "https://api.example", "http://api.example", "http://api.example:8080", "https://sub.api.example", "https://192.0.2.1:6443",
		"https://192.0.2.1", "https://[fd00::1]:6443", "https://[fd00::1]", "https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443", "https://127.5.5.5",
		"https://10.96.0.1", "https://LOCALHOST", "https://API.example", "https://api.example.", "https://[::ffff:127.0.0.1]", "https://[::ffff:192.0.2.1]", "https://example",
		"https://[fe80::1%25eth0]:6443", "https://localhost.", "https://127.1", "http://localhost", "https://xapi.example", "https://a.b.api.example:443"}
	entries := []string{"api.example", ".api.example", "*.api.example", "example", ".example", "*.example", "*", "api.example:6443", "api.example:443", ".example:6443",
		"192.0.2.1", "192.0.2.1:6443", "192.0.2.0/24", "192.0.2.0/33", "0.0.0.0/0", "::/0", "fd00::1", "[fd00::1]", "[fd00::1]:6443", "fd00::/8", "10.96.0.0/12", "localhost",
		"", " ", " api.example ", "API.EXAMPLE", "api", "..example", "*example", ".", ":6443", "192.0.2", "192.0.2.*", "api.example.", "::ffff:192.0.2.1", "192.0.2.1/32",
		"::ffff:192.0.2.0/120", "https://api.example", "api.example/", "fe80::1", "fe80::/10", "127.0.0.1", "xample", "010.96.0.1", "192.0.2.1:", "[192.0.2.1]", "*.", "*.*", "api.example:0443"}
	given := []string{"http://proxy.example:3128", "proxy.example:3128", "proxy.example", "http://u:p%40@proxy.example", "https://proxy.example:8443", "socks5://proxy.example", "socks5h://u:p@proxy.example:1080",
		"", "192.0.2.9:3128", "[fd00::9]:3128", "http://", "http:", "a b", "ftp://proxy.example", "/x", "http://proxy.example/path?x", "HTTP://proxy.example", "%zz", "http://a:b:c", "//proxy.example", "http://proxy.example:3128/", "proxy:x"}
	one := func(p proxied) {
		target, err := url.Parse(p.URL)
		must(err)
		config := httpproxy.Config{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, NoProxy: p.No, CGI: p.CGI}
		// As rest.HTTPClientFor has it: client-go looks at NO_PROXY before net/http does.
		must(os.Setenv("NO_PROXY", p.No))
		choose := utilnet.NewProxierWithNoProxyCIDR(func(r *http.Request) (*url.URL, error) { return config.ProxyFunc()(r.URL) })
		proxy, err := choose(&http.Request{URL: target})
		p.Error = err != nil
		if proxy != nil {
			p.Proxy = proxy.String()
		}
		tell(p)
	}
	for _, server := range servers {
		for _, entry := range entries {
			one(proxied{HTTP: "http://h:1", HTTPS: "http://s:2", No: entry, URL: server})
		}
	}
	for _, text := range given {
		for _, server := range servers[:4] {
			one(proxied{HTTP: text, HTTPS: "http://s:2", URL: server})
			one(proxied{HTTP: "http://h:1", HTTPS: text, URL: server, CGI: true})
		}
	}
	for len(told) < 3000 {
		var list []string
		for n := r.Intn(5); n > 0; n-- {
			list = append(list, pick(r, entries...))
		}
		one(proxied{HTTP: pick(r, given[:9]...), HTTPS: pick(r, given[:9]...), No: strings.Join(list, pick(r, ",", ",", ", ", ",,", " ")), CGI: r.Intn(5) == 0, URL: pick(r, servers...)})
	}
}

func main() {
	os.Unsetenv("KUBERNETES_SERVICE_HOST")
	prepare()
	defer os.RemoveAll(folder)
	r := mathrand.New(mathrand.NewSource(12))
	switch os.Args[1] {
	case "addresses":
		addresses(r)
	case "kubeconfigs":
		kubeconfigs(r)
	case "proxies":
		proxies(r)
	}
	must(writer.Flush())
}
