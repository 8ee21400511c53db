// Writes what sigs.k8s.io/yaml, the reader of kubectl and client-go, makes of scalars and documents: one JSON object a
// line, {"in": text, "out": JSON} or {"in": text, "error": true}. The tests of agent/documents compare with it.
//
//	go run . scalars > ../../unit/documents/go_scalars.jsonl
//	go run . documents > ../../unit/documents/go_documents.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

type line struct {
	In    string          `json:"in"`
	Out   json.RawMessage `json:"out,omitempty"`
	Error bool            `json:"error,omitempty"`
}

var writer = bufio.NewWriter(os.Stdout)
var told = map[string]bool{}

// Of texts that are refused, only some are told when they were made at random: they are the most.
var refusals = 0

func tell(text string) {
	tellSome(text, 1)
}

func tellSome(text string, oneIn int) {
	if told[text] {
		return
	}
	told[text] = true
	out, err := yaml.YAMLToJSON([]byte(text))
	one := line{In: text, Error: err != nil}
	if err == nil {
		one.Out = out
	}
	if err != nil {
		refusals++
		if refusals%oneIn != 0 {
			return
		}
	}
	// A text that is no UTF-8 could not be told in JSON.
	encoded, err := json.Marshal(one)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(writer, string(encoded))
}

func random(r *rand.Rand, alphabet string, most int) string {
	var text strings.Builder
	for i := 1 + r.Intn(most); i > 0; i-- {
		text.WriteByte(alphabet[r.Intn(len(alphabet))])
	}
	return text.String()
}

func scalars() {
	fixed := []string{
		"7e45123", "12e4567", "-1e999", "1e999", "0a1263", "0c17", "y", "Y", "n", "N", "yes", "Yes", "YES", "yEs", "no", "on",
		"On", "ON", "off", "true", "True", "TRUE", "tRue", "false", "~", "null", "Null", "NULL", "nULL", ".nan", ".NaN", ".inf",
		"+.inf", "-.inf", ".Inf", "-.INF", "0x1F", "0X1f", "0o17", "0O17", "0b101", "0B101", "-0b101", "+0b1", "017", "018",
		"08", "080", "0777", "00", "0", "-0", "+0", "+12", "-12", "1_000", "1__0", "_1", "1_", "-_1", "0x_f", "0_x1", "1e3",
		"1E3", "1e+3", "1e-3", "1.", ".5", "-.5", "+.5", ".5e3", ".e5", ".", "..", "1.5.5", "1.5e", "e5", "1e", "1e400",
		"-1e400", "1e-400", "4.9e-324", "2.5e-324", "1.7976931348623157e308", "1.7976931348623159e308", "9223372036854775807",
		"9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809",
		"0xffffffffffffffff", "0x10000000000000000", "-0x8000000000000000", "0b", "0x", "0o", "-", "+", "--1", "+-1", "1:30",
		"190:20:30", "2024-05-01", "2024-5-1", "2024-13-01", "2024-05-01T00:00:00Z", "2024-05-01 10:00:00", "2024-05-01t1:2:3Z",
		"1,000", "1 000", "0.0", "-0.0", "0e0", "1_0.5_0", ".5_0", "0x1p-2", "0x1.8p1", "Infinity", "inf", "nan", "NaN", "+inf",
		"10.96.0.1", "fd00::1", "::1", "1::", "0123456789", "12345678901234567890", "123456789012345678901234567890",
		"1" + strings.Repeat("0", 100), strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1", "=", "<<", "1e05", "1e5_0",
		"100000", "1000000", "10000000", "123456", "1234567", "16777217", "0.1", "0.0001", "0.00001", "1e20", "1e21", "1e22", "3.4e38", "3.5e38",
	}
	for _, scalar := range fixed {
		tell("a: " + scalar + "\n")
		tell(scalar + ": a\n")
		tell("a: !!int " + scalar + "\n")
		tell("a: !!float " + scalar + "\n")
		tell("a: !!str " + scalar + "\n")
		tell("a: !!bool " + scalar + "\n")
		tell("a: \"" + scalar + "\"\n")
		tell("a: !!int \"" + scalar + "\"\n")
	}
	r := rand.New(rand.NewSource(1))
	for i := 0; i < 1500; i++ { // commit ids
		tell("a: " + random(r, "0123456789abcdef", 1) + random(r, "0123456789abcdef", 9) + "\n")
		tell("a: " + random(r, "0123456789e", 9) + "\n")
	}
	for i := 0; i < 1500; i++ {
		scalar := random(r, "0123456789+-._exXobB", 8)
		if strings.Contains(scalar, "- ") || strings.HasPrefix(scalar, "---") || scalar == "-" {
			continue
		}
		tell("a: " + scalar + "\n")
		tell(scalar + ": a\n")
	}
}

// A value in flow or block style, for a place at that depth.
func value(r *rand.Rand, depth int, indent string) string {
	scalars := []string{
		"1", "a", "\"b: c\"", "'d'", "~", "", "true", "y", "0x1F", "1.5", "a b", "a#b", "fd00::", "fd00::1", "::", "a:b", "*x",
		"&x 1", "&x a", "!!str 5", "!!int \"5\"", "!foo bar", "!<tag:yaml.org,2002:str> 7", "! 8", "|\n" + indent + "  text\n" + indent + "  more",
		">-\n" + indent + "  text\n" + indent + "  more", "\"a\\u0085b\"", "a\u0085b", "\"a\u0085b\"", "a\u2028b", "é", "\"\\x41\\t\"", "'it''s'", "!!binary aGk=",
		"a\n" + indent + "  b", "\"a\n" + indent + "  b\"", "-", "? a", "fd00::1/64", "a::b", "- a", "@a", "`a`", "%a", "a %", "{a: }", "[a, ]", "[, a]",
	}
	switch kind := r.Intn(10); {
	case kind < 5 || depth > 3:
		return scalars[r.Intn(len(scalars))]
	case kind == 5:
		return "{" + pair(r, depth+1) + ", " + pair(r, depth+1) + "}"
	case kind == 6:
		return "[" + value(r, 9, indent) + ", " + value(r, depth+1, indent) + "]"
	case kind == 7:
		return "\n" + block(r, depth+1, indent+"  ")
	case kind == 8:
		return "\n" + indent + "- " + value(r, depth+1, indent+"  ") + "\n" + indent + "- " + value(r, depth+1, indent+"  ")
	default:
		return "&x\n" + block(r, depth+1, indent+"  ")
	}
}

func pair(r *rand.Rand, depth int) string {
	keys := []string{"a", "b", "c", "y", "1", "0x1F", "1.5", "1e6", "\"q\"", "<<", "&k d", "*x", "~", "", "!!str 5", "? a", "[a]", "true", "a b", "ip"}
	key := keys[r.Intn(len(keys))]
	if key == "<<" {
		return "<<: " + []string{"*x", "{a: 9}", "[{a: 8}, {a: 7, b: 6}]", "[*x, {c: 5}]", "5"}[r.Intn(5)]
	}
	return key + ": " + value(r, depth, "        ")
}

func block(r *rand.Rand, depth int, indent string) string {
	var lines []string
	for i := 1 + r.Intn(4); i > 0; i-- {
		keys := []string{"a", "b", "c", "d", "y", "1", "1.5", "\"q\"", "<<", "&k e", "'f g'"}
		key := keys[r.Intn(len(keys))]
		if key == "<<" {
			lines = append(lines, indent+"<<: "+[]string{"*x", "{a: 9}", "[{a: 8}, {a: 7, b: 6}]", "[*x, {c: 5}]"}[r.Intn(4)])
			continue
		}
		lines = append(lines, indent+key+": "+value(r, depth, indent))
	}
	return strings.Join(lines, "\n")
}

func documents() {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	nested := ""
	for i := 0; i < 100; i++ {
		nested += strings.Repeat(" ", i) + "a:\n"
	}
	fixed := []string{
		"", "# a\n", "a: 1\na: 2\n", "{a: 1, a: 2}\n", "x: &x {a: 1}\nb: {<<: *x, a: 2}\n", "x: &x {a: 1}\nb: {a: 2, <<: *x}\n",
		"x: &x {a: 1}\nb: {<<: *x, <<: {a: 3, b: 4}}\n", "{ip: fd00::}\n", "{ip: fd00::, b: 1}\n", "[fd00::]\n", "ip: fd00::\n", "{a: b:}\n", "{a:b}\n",
		"{a:1}\n", "{\"a\":1}\n", "{a,b}\n", "{a}\n", "[a: b]\n", "[a: b, c: d]\n", "a: b: c\n", "a: 'b\n", "\ufeffa: 1\n", "a: \ufeffb\n",
		"&a b: c\nd: *a\n", "? a\n: b\n", "? [a]\n: b\n", "? {a: b}\n: c\n", "a:\n- b\n- c\n", "a:\n  - b\n c: d\n", "\ta: b\n", "a:\tb\n", "a: b\t# c\n",
		"a: \tb\n", "- a\n-\tb\n", "%YAML 1.1\n---\na: 1\n", "%YAML 2.0\n---\na: 1\n", "%FOO bar\n---\na: 1\n", "a: 1\n...\n", "a: 1\n...\nb: 2\n",
		"--- {a: 1}\n", "--- a\n", "--- |\n text\n", "a: |2\n   b\n", "a: |+\n  b\n\n", "a: |-\n  b\n\n", "a: >\n  b\n  c\n\n  d\n", "a: \"\\q\"\n", "a: \"\\U0001F600\"\n",
		"a: @b\n", "a: `b`\n", "a: ,b\n", "a: b,c\n", "a: [b\n", "a: ]\n", "}\n", ",\n", "a: *b\n", "a: &b\n", "a: &b *b\n", "a: &b [*b]\n", "a: !!map {b: c}\n", "a: !!seq [b]\n",
		"a: !!set {b, c}\n", "a: !!omap [b: c]\n", "a: !!binary aGVsbG8=\n", "a: !!binary '@'\n", "a: !!timestamp 2024-05-01\n", "a: !!null ''\n", "a: !!null x\n", "a: !!foo b\n", "!foo {a: b}\n",
		"a: " + deep(50) + "\n", "a: " + deep(70) + "\n", "a: " + deep(150) + "\n", nested, "a: b #c\n", "a: b#c\n", "a: '#'\n", "#\n", "a: -\n", "a: - b\n", "- - a\n  - b\n", "-a\n", "- a: b\n  c: d\n",
		"a:\n\n\n  b: c\n", "a: b\r\nc: d\r\n", "a: b\rc: d\r", "a\u0085b: c\n", "a: b\u0085c: d\n", "a: b\u2028c: d\n", "a: \"b\u2029c\"\n", "a: \x01b\n", "a: \"\\0\"\n", "a: \x7fb\n",
		"'a': b\n", "\"a\": b\n", "a : b\n", "a b: c d\n", "a: 'b' c\n", "a: \"b\" c\n", "a: [b] c\n", "a: {b: c} d\n", strings.Repeat("k", 1025) + ": v\n", "\"" + strings.Repeat("k", 1025) + "\": v\n", "? " + strings.Repeat("k", 1025) + "\n: v\n",
		"null: a\n", "~: a\n", ": a\n", "y: a\ntrue: b\n", "<<: {a: 1}\n", "<<: [{a: 1}, {b: 2}]\n", "<<: a\n", "'<<': {a: 1}\n", "!!merge <<: {a: 1}\n", "a: <<\n", "a: .nan\n", "a: .inf\n", ".inf: a\n", "a: 1\nb\n", "a\nb: 1\n",
		"a: &x 1\nb: &x 2\nc: *x\n", "a: [1, 2,]\n", "a: {b: 1,}\n", "a: [,]\n", "a: {,}\n", "a: [\n]\n", "a: [\nb\n]\n", "a:\n  [b]\n", "a: {\nb: c\n}\n", "a: \"b\\\n  c\"\n", "a: b\n c\n", "a: b\nc\n",
	}
	for _, document := range fixed {
		tell(document)
	}
	r := rand.New(rand.NewSource(2))
	for i := 0; i < 6000; i++ {
		tellSome("x: &x {z: 1}\n"+block(r, 0, "")+"\n", 10)
	}
}

func main() {
	defer writer.Flush()
	switch {
	case len(os.Args) == 2 && os.Args[1] == "scalars":
		scalars()
	case len(os.Args) == 2 && os.Args[1] == "documents":
		documents()
	default:
		fmt.Fprintln(os.Stderr, "usage: go run . scalars|documents")
		os.Exit(2)
	}
}
