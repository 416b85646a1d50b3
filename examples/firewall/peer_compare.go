package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

const (
	// overlap is how long two masters are no conflict: the old one goes on until it
	// hears the new one.
	overlap = time.Second

	// clockTolerance is by how much the clocks may differ before logs of both hosts
	// cannot be read side by side.
	clockTolerance = 2 * time.Second
)

// passDigest tells passphrases apart, without telling what they are. Only what counts
// of a passphrase goes in.
func passDigest(secret []byte, pass ifconfig.Password) string {
	used, _ := carp.Passphrase(string(pass))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("gocarp firewall: the passphrase of a carp interface"))
	mac.Write(used[:])
	return hex.EncodeToString(mac.Sum(nil))
}

// conflicts are the virtual hosts that both have been master of for longer than a
// handover takes. at is when theirs was true.
func conflicts(ours, theirs nodeStatus, at time.Time) []string {
	var out []string
	for _, a := range ours.Interfaces {
		for _, b := range theirs.Interfaces {
			if a.Name != b.Name || a.State != carp.Master.String() || b.State != carp.Master.String() {
				continue
			}
			if since := later(a.Since, b.Since); at.Sub(since) > overlap {
				out = append(out, fmt.Sprintf("%s: BOTH HOSTS ARE MASTER of vhid %d", a.Name, a.VHID))
			}
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// differences are what should be the same on both hosts, and is not. name is that of
// the other one.
func differences(ours, theirs peerAnswer, name string) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, a := range ours.Interfaces {
		n := slices.IndexFunc(theirs.Interfaces, func(b interfaceStatus) bool { return b.Name == a.Name })
		if n < 0 {
			add("%s: %s has no such interface", a.Name, name)
			continue
		}
		b := theirs.Interfaces[n]
		if a.VHID != b.VHID {
			add("%s: the vhid is %d here, %d at %s", a.Name, a.VHID, b.VHID, name)
		}
		if a.AdvBase != b.AdvBase {
			add("%s: advbase is %d here, %d at %s", a.Name, a.AdvBase, b.AdvBase, name)
		}
		if ours.Passphrases[a.Name] != theirs.Passphrases[a.Name] {
			add("%s: the passphrase differs at %s", a.Name, name)
		}
		if x, y := addresses(a), addresses(b); x != y {
			add("%s: the addresses are %s here, %s at %s", a.Name, x, y, name)
		}
	}
	for _, b := range theirs.Interfaces {
		if !slices.ContainsFunc(ours.Interfaces, func(a interfaceStatus) bool { return a.Name == b.Name }) {
			add("%s: only %s has it", b.Name, name)
		}
	}
	if ours.Preempt != theirs.Preempt {
		add("net.inet.carp.preempt differs at %s", name)
	}
	if (ours.Pfsync == nil) != (theirs.Pfsync == nil) {
		add("only one of the hosts has pfsync0")
	}
	return append(out, wanDifferences(ours.WAN, theirs.WAN, name)...)
}

// wanDifferences are those of the WAN interface, whose name and client are the business
// of each host. With a fixed address it may have any hardware address.
func wanDifferences(a, b *wanStatus, name string) []string {
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil:
		return []string{"wan: only " + name + " has it"}
	case b == nil:
		return []string{"wan: " + name + " has none"}
	}
	var out []string
	add := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("wan: "+format, args...)+" at "+name)
	}
	if a.Follow != b.Follow {
		add("it follows %s here, %s", a.Follow, b.Follow)
	}
	switch {
	case a.Address != b.Address:
		add("the address is %s here, %s", fixed(a), fixed(b))
	case a.Address.IsValid() || a.LLAddr == "" || b.LLAddr == "":
	case a.LLAddr != b.LLAddr:
		add("lladdr is %s here, %s", a.LLAddr, b.LLAddr)
	}
	return out
}

// fixed is an address in words.
func fixed(s *wanStatus) string {
	if !s.Address.IsValid() {
		return "a client's"
	}
	return s.Address.String()
}

// addresses are those of i in words, in an order of their own: that of the files does
// not matter.
func addresses(i interfaceStatus) string {
	all := make([]string, len(i.Addresses))
	for n, a := range i.Addresses {
		all[n] = a.String()
	}
	slices.Sort(all)
	return "[" + strings.Join(all, " ") + "]"
}
