package ifconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Family returns the changes that the word of a hostname.if(5) file stands for,
// together with those that undo it, as syncpeer and -syncpeer. There is none for words
// about addresses, which come in many forms, nor for words that are none.
func Family(word string) []Op {
	w, known := words[word]
	if !known {
		return nil
	}
	for _, f := range families {
		if slices.Contains(f, w.op) {
			return f
		}
	}
	return nil
}

// families are the changes that say something about the same thing.
var families = [][]Op{
	{Up, Down}, {MTU}, {Description, ClearDescription}, {JoinGroup, LeaveGroup}, {LLAddr},
	{VHID}, {AdvBase}, {AdvSkew}, {Pass, PassFile}, {CarpDev, ClearCarpDev}, {CarpPeer, ClearCarpPeer}, {State},
	{SyncDev, ClearSyncDev}, {SyncPeer, ClearSyncPeer}, {MaxUpd}, {Defer, NoDefer}, {Version},
}

// Select returns those of changes that are of one of ops.
func Select(changes []Change, ops []Op) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !slices.Contains(ops, c.Op) })
}

// Edit returns data, the content of the hostname.if(5) file of an interface, with the
// changes own in the place of all that it says of ops, which are those of a [Family]:
// where the first of them stood, or on a line at the end. Comments and layout stay as
// they are.
func Edit(ifname, data string, ops []Op, own []Change) (string, error) {
	changes, err := ParseHostname(ifname, data)
	if err != nil {
		return "", err
	}
	text, spans := locate("hostname."+ifname, data)
	index := make(map[Pos]int)
	for i, s := range spans {
		index[s.pos] = i
	}
	var ownWords []string
	for _, c := range own {
		for _, w := range c.Words() {
			ownWords = append(ownWords, quote(w))
		}
	}
	replacement := strings.Join(ownWords, " ")

	var want []Change // what the result has to say
	var cuts [][2]int
	for _, c := range changes {
		if !slices.Contains(ops, c.Op) {
			want = append(want, c)
			continue
		}
		if cuts == nil {
			want = append(want, own...)
		}
		cuts = append(cuts, extent(spans, index[c.Pos]))
	}
	for i := len(cuts) - 1; i > 0; i-- {
		text = cut(text, cuts[i])
	}
	switch {
	case len(cuts) > 0 && replacement != "":
		text = text[:cuts[0][0]] + replacement + text[cuts[0][1]:]
	case len(cuts) > 0:
		text = cut(text, cuts[0])
	case replacement != "":
		want = append(want, own...)
		text = withLine(text, replacement)
	}
	got, err := ParseHostname(ifname, text)
	if err != nil || !slices.EqualFunc(got, want, sameWords) {
		return "", &Error{Pos{File: "hostname." + ifname}, "", "expected words that can be exchanged in place: put each on a line of its own"}
	}
	return text, nil
}

func sameWords(a, b Change) bool { return a.Op == b.Op && slices.Equal(a.Words(), b.Words()) }

// locate returns data with the line ends that positions count, and where its words are.
func locate(file, data string) (text string, spans []span) {
	l := lexer{file: file, line: 1, in: strings.ReplaceAll(data, "\r\n", "\n")}
	for l.at < len(l.in) {
		l.next()
	}
	return l.in, l.spans
}

// extent is where word i stands, with its argument.
func extent(spans []span, i int) [2]int {
	last := i
	if words[spans[i].text].set != nil {
		last++
	}
	return [2]int{spans[i].start, spans[last].end}
}

// cut takes words out of text, with the blanks before them, and with their line if
// nothing else is on it.
func cut(text string, at [2]int) string {
	before, after := text[:at[0]], text[at[1]:]
	before = strings.TrimRight(before, " \t")
	alone := before == "" || strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "\\\n")
	if alone {
		after = strings.TrimLeft(after, " \t")
		after = strings.TrimPrefix(after, "\n")
	}
	return before + after
}

// withLine is text with one more line, which does not continue the last one.
func withLine(text, line string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if strings.HasSuffix(text, "\\\n") {
		text += "\n"
	}
	return text + line + "\n"
}

// inComment finds passphrases that somebody has put aside.
var inComment = regexp.MustCompile(`(?i)pass[^\n]*`)

// Redact is data, the content of a hostname.if(5) file, with placeholders for the
// passphrases, also for what may be one in a comment. Of a file with a line that cannot
// be read nothing is left.
func Redact(ifname, data string) string {
	if _, err := ParseHostname(ifname, data); err != nil {
		return fmt.Sprintf("[not shown: hostname.%s has a mistake]\n", ifname)
	}
	text, spans := locate("hostname."+ifname, data)
	var b strings.Builder
	at, secret := 0, false
	for _, s := range spans {
		b.WriteString(inComment.ReplaceAllLiteralString(text[at:s.start], "pass "+redacted))
		word := text[s.start:s.end]
		if secret {
			word = redacted
		}
		b.WriteString(word)
		// A group or a text may be called "pass", too: then what follows is hidden in vain.
		at, secret = s.end, s.text == "pass"
	}
	b.WriteString(inComment.ReplaceAllLiteralString(text[at:], "pass "+redacted))
	return b.String()
}
