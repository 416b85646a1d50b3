package ifconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// render writes each line as its number and its words, with a bar between them.
func render(lines []line) []string {
	var out []string
	for _, ln := range lines {
		var b strings.Builder
		for _, t := range ln.tokens {
			b.WriteString("|" + t.text)
		}
		if ln.shell != "" {
			b.WriteString("!" + ln.shell)
		}
		if ln.err != nil {
			b.WriteString(" ERR " + ln.err.Error())
		}
		out = append(out, ln.pos.String()+b.String())
	}
	return out
}

func TestLex(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\n \t\n# comment\n  # another\n", nil},
		{"up", []string{"f:1|up"}},
		{" a\tb  c \n", []string{"f:1|a|b|c"}},
		{"a # b 'c\nd", []string{"f:1|a", "f:2|d"}},
		{"a#b c\n", []string{"f:1|a#b|c"}},
		{"'#a' \"#b\" \\#c", []string{"f:1|#a|#b|#c"}},
		{"a \\\n  b\\\nc\nd", []string{"f:1|a|bc", "f:4|d"}},
		{"a \\\r\n  b\r\nc\r\n", []string{"f:1|a|b", "f:3|c"}},
		{"# a \\\nb\nc", []string{"f:3|c"}}, // as netstart: a comment can be continued
		{"a # b \\\nc\nd", []string{"f:1|a", "f:3|d"}},
		{"\\\n\\\n a", []string{"f:1|a"}},
		{`'a  b' "c  d" e\ f\  g`, []string{"f:1|a  b|c  d|e f |g"}},
		{`a'b'"c"d`, []string{"f:1|abcd"}},
		{`'' "" a''`, []string{"f:1|||a"}},
		{`"it's" 'say "x"' 'it'\''s'`, []string{`f:1|it's|say "x"|it's`}},
		{`a\\b \'x\" '\n' "\n\"\\\$"`, []string{`f:1|a\b|'x"|\n|\n"\$`}},
		{"\"a\\\nb\"", []string{"f:1|ab"}},
		{`'$;&|<>(){}` + "`" + `' "a;&|<>(){}"`, []string{"f:1|$;&|<>(){}`|a;&|<>(){}"}},
		{"a~ a!b *?[x] %^=+,", []string{"f:1|a~|a!b|*?[x]|%^=+,"}},
		{"pässwörd \xff", []string{"f:1|pässwörd|\xff"}},
		{"!route add 'x; # y\nup", []string{"f:1!route add 'x; # y", "f:2|up"}},
		{"  ! a \\\n b \nup", []string{"f:1!a  b", "f:3|up"}},
		{"a !b", []string{"f:1|a|!b"}},
		{"a 'b\nc\nd \"", []string{"f:1|a ERR f:1: word 2: expected a closing ' on the same line", "f:2|c",
			`f:3|d ERR f:3: word 2: expected a closing " on the same line`}},
		{"a $b 'c\nd", []string{"f:1|a ERR f:1: word 2: expected no $, which a shell would act on: put the word in single quotes", "f:2|d"}},
		{"a \rb", []string{"f:1|a ERR f:1: word 2: expected no control character, found 0x0d"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, render(lex("f", tt.in))); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}

// A token knows the line it is on, and its number in the line with the
// continuations.
func TestLexPositions(t *testing.T) {
	lines := lex("f", "a b \\\n c\n\nd e")
	var have []Pos
	for _, ln := range lines {
		for _, tok := range ln.tokens {
			have = append(have, tok.pos)
		}
	}
	want := []Pos{{"f", 1, 1}, {"f", 1, 2}, {"f", 2, 3}, {"f", 4, 1}, {"f", 4, 2}}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// What quote makes of a word is that word again.
func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"lanpasswd": "lanpasswd", "a#b": "a#b", "": "''", "#a": "'#a'", "!a": "'!a'", "~": "'~'",
		"a b": "'a b'", "it's": `'it'\''s'`, `a\b`: `'a\b'`, "$x": "'$x'", "a;b": "'a;b'", `"`: `'"'`,
	} {
		have := quote(in)
		if have != want {
			t.Errorf("quote(%q) = %s, want %s", in, have, want)
		}
		lines := lex("f", have)
		if len(lines) != 1 || lines[0].err != nil || len(lines[0].tokens) != 1 || lines[0].tokens[0].text != in {
			t.Errorf("quote(%q) = %s, which is %v", in, have, render(lines))
		}
	}
}
