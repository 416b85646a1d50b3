package confsync

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

const (
	maxSkew = 254

	// newSkew is what OPNsense adds to the advskew of a backup. An interface that the
	// receiver does not have yet gets it, as there is none of its own.
	newSkew = 100
)

// hostname makes the receiver's hostname.if(5) file of the sender's: the words that a
// rule is about are its own, the rest is the sender's.
func (m Merge) hostname(section Section, ifname, theirs, ours string, have bool) (string, error) {
	sent, err := ifconfig.ParseHostname(ifname, theirs)
	if err != nil {
		return "", err
	}
	var own []ifconfig.Change
	if have {
		if own, err = ifconfig.ParseHostname(ifname, ours); err != nil {
			return "", fmt.Errorf("the file that is here has a mistake, so that its own words are not known: %w", err)
		}
	}
	skew := []ifconfig.Op{ifconfig.AdvSkew}
	rules := m.Rules.concern(section, "hostname."+ifname)
	asked := slices.ContainsFunc(rules, func(r Rule) bool { return r.Reason == "" && slices.Equal(ifconfig.Family(r.Item), skew) })
	add := 0
	switch {
	case section == Carp && !have:
		add = cmp.Or(m.SkewAdd, newSkew)
	case section == Carp && !asked:
		add = m.SkewAdd
	}
	text := theirs
	for _, r := range rules {
		ops := ifconfig.Family(r.Item)
		if add > 0 && slices.Equal(ops, skew) {
			continue
		}
		if text, err = ifconfig.Edit(ifname, text, ops, ifconfig.Select(own, ops)); err != nil {
			return "", err
		}
	}
	if add == 0 {
		return text, nil
	}
	n := 0
	for _, c := range ifconfig.Select(sent, skew) {
		n = c.N
	}
	if n == maxSkew {
		return "", fmt.Errorf("advskew %d at the sender leaves none for this node, which has to be slower", n)
	}
	return ifconfig.Edit(ifname, text, skew, []ifconfig.Change{{Op: ifconfig.AdvSkew, N: min(n+add, maxSkew)}})
}
