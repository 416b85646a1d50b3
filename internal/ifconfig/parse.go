package ifconfig

import (
	"fmt"
	"strings"
)

// A parser reads the words of one command for one interface.
type parser struct {
	ifname  string
	kind    Kind
	tokens  []token
	changes []Change
	addr    addressWords
}

// parse reads the words that follow the name of an interface. What they say about
// an address is the last of the changes, as ifconfig does it last.
func parse(ifname string, tokens []token) ([]Change, error) {
	p := parser{ifname: ifname, kind: KindOf(ifname), tokens: tokens, addr: noAddress}
	for i := 0; i < len(tokens); {
		n, err := p.word(i)
		if err != nil {
			return nil, err
		}
		i += n
	}
	if err := p.address(); err != nil {
		return nil, err
	}
	return p.changes, nil
}

// word takes the word at i and its argument, and returns how many these are.
func (p *parser) word(i int) (int, error) {
	t := p.tokens[i]
	w, known := words[t.text]
	switch {
	case !known:
		return 1, p.bareAddress(i)
	case w.on&p.kind == 0:
		return 0, p.misplaced(i, w)
	case w.op == Create && i > 0:
		return 0, p.wrong(i, "expected it before all other words")
	case w.op == Destroy && len(p.tokens) > 1:
		return 0, p.wrong(i, "expected no other word with it")
	}
	c, n := Change{Pos: t.pos, Op: w.op}, 1
	if w.set != nil {
		if n++; i+1 == len(p.tokens) {
			return 0, p.wrong(i, "expected "+w.arg+", after it")
		}
		arg := p.tokens[i+1].text
		if isWord(arg) && (w.op == CarpDev || w.op == SyncDev || w.op == PassFile) { // what belongs here was forgotten
			return 0, p.wrong(i, "expected "+w.arg+", after it")
		}
		if !w.set(&c, arg) {
			return 0, p.wrong(i+1, "expected "+w.arg)
		}
	}
	if done, err := p.addressWord(i, c); done || err != nil {
		return n, err
	}
	p.changes = append(p.changes, c)
	return n, nil
}

// wrong is an error at the word at i. The word is not shown if it is the
// passphrase, or follows it, when somebody may have forgotten the quotes, or has
// blanks, when somebody may have misplaced them.
func (p *parser) wrong(i int, msg string) error {
	t := p.tokens[i]
	isPass := func(i int) bool { return i >= 0 && p.tokens[i].text == "pass" }
	switch {
	case isPass(i - 2):
		msg += " (a passphrase with blanks needs quotes)"
		t.text = ""
	case isPass(i-1) || strings.ContainsAny(t.text, " \t"):
		t.text = ""
	}
	return &Error{t.pos, t.text, msg}
}

// misplaced is the error of a word that is for other interfaces.
func (p *parser) misplaced(i int, w word) error {
	switch {
	case p.kind == KindPfsync && w.on == addressed:
		return p.wrong(i, p.ifname+" has no addresses")
	case w.on == KindPfsync:
		return p.wrong(i, "expected only with pfsync0")
	case p.kind == KindOther:
		return p.wrong(i, fmt.Sprintf(`expected only with a carp interface, as in "ifconfig carp1 vhid 1 carpdev %s"`, p.ifname))
	}
	return p.wrong(i, "expected only with a carp interface")
}
