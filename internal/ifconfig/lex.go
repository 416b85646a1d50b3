package ifconfig

import (
	"fmt"
	"strings"
)

// A token is a word with its quotes gone.
type token struct {
	text string
	pos  Pos
}

// A line is a line of a file, with its continuations.
type line struct {
	pos    Pos
	tokens []token
	shell  string // of a line that starts with '!': what follows
	err    error  // of the lexer; tokens are those before it
}

// lex splits data into the lines that say something.
func lex(file, data string) []line {
	l := lexer{file: file, line: 1, in: strings.ReplaceAll(data, "\r\n", "\n")}
	var lines []line
	for l.at < len(l.in) {
		if ln := l.next(); ln.tokens != nil || ln.shell != "" || ln.err != nil {
			lines = append(lines, ln)
		}
	}
	return lines
}

type lexer struct {
	file string
	in   string
	at   int // offset in in
	line int // of at, from 1

	spans []span // all words so far
}

// A span is where a word stands in the text, quotes and all.
type span struct {
	text       string
	pos        Pos
	start, end int
}

// next reads one line and its end.
func (l *lexer) next() line {
	ln := line{pos: Pos{File: l.file, Line: l.line}}
	for {
		switch c := l.peek(); {
		case c == 0 && l.at == len(l.in):
			return ln
		case c == '\n':
			l.skip(1)
			return ln
		case c == ' ' || c == '\t':
			l.skip(1)
		case l.continued():
			l.skip(2)
		case c == '#':
			l.rest()
		case c == '!' && ln.tokens == nil:
			l.skip(1)
			ln.shell = strings.TrimSpace(l.rest())
			if ln.shell == "" {
				ln.err = &Error{ln.pos, "!", "expected a command after it"}
			}
		default:
			pos, start := Pos{l.file, l.line, len(ln.tokens) + 1}, l.at
			text, wrong := l.word()
			if wrong != "" { // the word may be a passphrase: it is not shown
				ln.err = &Error{pos, "", wrong}
				l.rest()
				continue
			}
			ln.tokens = append(ln.tokens, token{text, pos})
			l.spans = append(l.spans, span{text, pos, start, l.at})
		}
	}
}

// peek is the next octet, 0 at the end.
func (l *lexer) peek() byte {
	if l.at == len(l.in) {
		return 0
	}
	return l.in[l.at]
}

// continued reports whether a backslash and the end of a line follow.
func (l *lexer) continued() bool { return strings.HasPrefix(l.in[l.at:], "\\\n") }

func (l *lexer) skip(n int) {
	l.line += strings.Count(l.in[l.at:l.at+n], "\n")
	l.at += n
}

// rest takes the rest of the line, up to its end, with its continuations.
func (l *lexer) rest() string {
	var b strings.Builder
	for l.at < len(l.in) && l.peek() != '\n' {
		if l.continued() {
			l.skip(2)
			continue
		}
		b.WriteByte(l.peek())
		l.skip(1)
	}
	return b.String()
}

const (
	// special is what a shell acts on outside of quotes.
	special = "$`;&|<>(){}"
	// expanded is what it acts on in double quotes, where a backslash only
	// quotes these, itself and the quote.
	expanded = "$`"
)

// word takes a word, which starts at an octet that is neither blank nor the end
// of a line. If it is wrong, wrong says so.
func (l *lexer) word() (text, wrong string) {
	var b strings.Builder
	quote, start := byte(0), l.at
	for {
		c := l.peek()
		switch {
		case l.at == len(l.in) || c == '\n':
			if quote != 0 {
				return "", fmt.Sprintf("expected a closing %c on the same line", quote)
			}
			return b.String(), ""
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), ""
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", fmt.Sprintf("expected no control character, found %#02x", c)
		case quote != '\'' && l.continued():
			l.skip(2)
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
			l.skip(1)
			continue
		case c == quote:
			quote = 0
			l.skip(1)
			continue
		case quote == 0 && c == '\\' || quote == '"' && c == '\\' && l.escapes():
			l.skip(1)
			if c = l.peek(); l.at == len(l.in) {
				return "", "expected a character after the backslash"
			}
			if c < ' ' && c != '\t' || c == 0x7f {
				return "", "expected no control character after the backslash"
			}
		case quote == 0 && strings.IndexByte(special, c) >= 0,
			quote == '"' && strings.IndexByte(expanded, c) >= 0,
			quote == 0 && c == '~' && l.at == start:
			return "", fmt.Sprintf("expected no %c, which a shell would act on: put the word in single quotes", c)
		}
		b.WriteByte(c)
		l.skip(1)
	}
}

// escapes reports whether the backslash at hand quotes what follows it in
// double quotes.
func (l *lexer) escapes() bool {
	return l.at+1 < len(l.in) && strings.IndexByte(expanded+`\"`, l.in[l.at+1]) >= 0
}

// quote makes a word of s that the lexer takes for s, if it has no control
// characters.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\\'\""+special) && strings.IndexByte("#!~", s[0]) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
