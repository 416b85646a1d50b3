package ifconfig

import (
	"fmt"
	"net/netip"
	"strings"
)

// addressWords are what the words of a command say about its address. Indexes
// are of words, and -1 if there is none.
type addressWords struct {
	at        int // the address
	addr      netip.Addr
	length    int // of the prefix; -1: not given
	lengthAt  int
	family    Op // opInet, opInet6; empty: not given
	broadcast netip.Addr
	op        Op // AddAddress, DeleteAddress; empty: not given
	opAt      int
	partAt    int // a netmask, prefixlen or broadcast, which needs an address
}

var noAddress = addressWords{at: -1, length: -1, lengthAt: -1, opAt: -1, partAt: -1}

// bareAddress takes the word at i, which is not known, as an address.
func (p *parser) bareAddress(i int) error {
	a, s := &p.addr, p.tokens[i].text
	addr, length, ok := parseAddr(s, p.ifname)
	switch {
	case !ok && !looksLikeAddress(s) && p.kind == KindPfsync:
		return p.wrong(i, "expected one of "+wordsOf(p.kind))
	case !ok && !looksLikeAddress(s):
		return p.wrong(i, "expected an address or one of "+wordsOf(p.kind))
	case p.kind == KindPfsync:
		return p.wrong(i, p.ifname+" has no addresses")
	case !ok && strings.Contains(s, "%"):
		return p.wrong(i, "expected an address of "+p.ifname+", or without a zone")
	case !ok:
		return p.wrong(i, "expected "+wantAddress)
	case a.at >= 0:
		return p.wrong(i, "expected one address; others need a line or command of their own")
	}
	a.at, a.addr = i, addr
	if length >= 0 {
		return p.setLength(i, length)
	}
	return nil
}

// looksLikeAddress reports whether s was meant to be an address.
func looksLikeAddress(s string) bool {
	digits, separators := 0, 0
	addr, _, _ := strings.Cut(s, "%")
	for _, r := range addr {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'f', r >= 'A' && r <= 'F':
			digits++
		case r == '.' || r == ':':
			separators++
		case r != '/':
			return false
		}
	}
	return separators > 0 && digits > 0
}

// addressWord takes c, of the word at i, if it is about the address.
func (p *parser) addressWord(i int, c Change) (done bool, err error) {
	a := &p.addr
	switch c.Op {
	case opInet, opInet6:
		return true, p.setFamily(i, c.Op)
	case AddAddress, DeleteAddress:
		if a.op != "" && a.op != c.Op {
			return true, p.wrong(i, "expected either alias or delete, not both")
		}
		a.op, a.opAt = c.Op, i
		return true, nil
	case opNetmask:
		a.partAt = i
		if err := p.setFamily(i, opInet); err != nil {
			return true, err
		}
		return true, p.setLength(i+1, c.N)
	case opPrefixLen:
		a.partAt = i
		return true, p.setLength(i+1, c.N)
	case opBroadcast:
		a.partAt, a.broadcast = i, c.Addr
		return true, p.setFamily(i, opInet)
	}
	return false, nil
}

// setFamily takes the family that the word at i says or belongs to.
func (p *parser) setFamily(i int, family Op) error {
	if p.addr.family != "" && p.addr.family != family {
		return p.wrong(i, fmt.Sprintf("expected no word of %s after one of %s", family, p.addr.family))
	}
	p.addr.family = family
	return nil
}

// setLength takes the length of the prefix, of the word at i.
func (p *parser) setLength(i, length int) error {
	if p.addr.length >= 0 && p.addr.length != length {
		return p.wrong(i, fmt.Sprintf("expected no other mask after one of %d bits", p.addr.length))
	}
	p.addr.length, p.addr.lengthAt = length, i
	return nil
}

// address makes a change of all that was said about the address, if anything was.
func (p *parser) address() error {
	a := &p.addr
	switch {
	case a.at >= 0:
	case a.partAt >= 0:
		return p.wrong(a.partAt, "expected an address with it")
	case a.op == DeleteAddress && a.family != opInet6:
		p.changes = append(p.changes, Change{Pos: p.tokens[a.opAt].pos, Op: DeleteAddress})
		return nil
	case a.op != "":
		return p.wrong(a.opAt, "expected an address with it")
	default:
		return nil
	}

	if a.family == opInet && a.addr.Is6() || a.family == opInet6 && a.addr.Is4() {
		return p.wrong(a.at, fmt.Sprintf("expected an address of %s", a.family))
	}
	c := Change{Pos: p.tokens[a.at].pos, Op: SetAddress}
	if a.op == DeleteAddress {
		c.Op, c.Addr = a.op, a.addr
		p.changes = append(p.changes, c)
		return nil
	}
	if a.length < 0 {
		a.length = defaultBits(a.addr)
	} else if a.length > a.addr.BitLen() {
		return p.wrong(a.lengthAt, fmt.Sprintf("expected a prefix length, 1 to %d", a.addr.BitLen()))
	}
	prefix := netip.PrefixFrom(a.addr, a.length)
	if msg := unusable(prefix); msg != "" {
		return p.wrong(a.at, msg)
	}
	c.Address = Address{Prefix: prefix, Broadcast: a.broadcast, Pos: c.Pos}
	if a.addr.Is4() && a.length < 31 && !a.broadcast.IsValid() {
		c.Address.Broadcast = broadcast(prefix)
	}
	if a.op == AddAddress {
		c.Op = AddAddress
	}
	p.changes = append(p.changes, c)
	return nil
}
