package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
)

// A carpRecord is an advert. Of a short packet only the fields that are there
// are set.
type carpRecord struct {
	envelope
	Len      int    `json:"len"` // octets of IP payload
	Version  *uint8 `json:"version,omitempty"`
	Type     *uint8 `json:"type,omitempty"`
	VHID     *uint8 `json:"vhid,omitempty"`
	AdvBase  *uint8 `json:"advbase,omitempty"`
	AdvSkew  *uint8 `json:"advskew,omitempty"`
	Demote   *uint8 `json:"demote,omitempty"`
	AuthLen  *uint8 `json:"authlen,omitempty"`
	Counter  string `json:"counter,omitempty"` // 16 hex digits
	Checksum string `json:"checksum,omitempty"`
	HMAC     string `json:"hmac"`
	Error    string `json:"error,omitempty"`
}

// decodeCARP reads the payload of f by offsets, unlike [carp.Header], which
// takes all or nothing: what is wrong must be shown, too. The digest is looked
// at even then, for it does not cover most of what can be wrong.
func (d *decoder) decodeCARP(at time.Time, f *frame) *carpRecord {
	b := f.payload
	r := &carpRecord{
		envelope: newEnvelope("carp", at, f),
		Len:      len(b),
		VHID:     octet(b, 1),
		AdvSkew:  octet(b, 2),
		AuthLen:  octet(b, 3),
		Demote:   octet(b, 4),
		AdvBase:  octet(b, 5),
		HMAC:     "unchecked",
	}
	if len(b) > 0 {
		version, kind := b[0]>>4, carp.PacketType(b)
		r.Version, r.Type = &version, &kind
	}
	if len(b) >= 16 {
		r.Counter = fmt.Sprintf("%016x", binary.BigEndian.Uint64(b[8:]))
	}
	if len(b) >= carp.HeaderLen {
		r.Checksum = "ok"
		if inet.Checksum(b[:carp.HeaderLen]) != 0 {
			r.Checksum = "bad"
		}
		r.HMAC = d.keys.verify(&carp.Header{
			VHID:    b[1],
			Counter: binary.BigEndian.Uint64(b[8:]),
			Digest:  [20]byte(b[16:]),
		})
	}
	r.Error = firstOf(f.err, checkCARP(b))
	return r
}

// checkCARP says why b is not an advert, in the kernels' order. They let the
// type pass; we do not know any other than adverts, so it is shown as an error.
func checkCARP(b []byte) error {
	if err := new(carp.Header).UnmarshalBinary(b); err != nil {
		return err
	}
	if carp.PacketType(b) != 1 {
		return carp.ErrType
	}
	return nil
}

func (r *carpRecord) reason() string { return r.Error }

// text is the line of OpenBSD's tcpdump. A wrong HMAC shows without -v: whoever
// gave a key wants to know.
func (r *carpRecord) text(verbose bool) string {
	var b strings.Builder
	b.WriteString("CARP")
	if r.Version != nil {
		name := "unknown"
		if *r.Type == 1 {
			name = "advertise"
		}
		fmt.Fprintf(&b, "v%d-%s", *r.Version, name)
	}
	fmt.Fprintf(&b, " %d:", r.Len)
	if r.TTL != nil && *r.TTL != 255 {
		fmt.Fprintf(&b, " [ttl=%d!]", *r.TTL)
	}
	number := func(name string, v *uint8) {
		if v != nil {
			fmt.Fprintf(&b, " %s=%d", name, *v)
		}
	}
	word := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, " %s=%s", name, v)
		}
	}
	number("vhid", r.VHID)
	number("advbase", r.AdvBase)
	number("advskew", r.AdvSkew)
	number("demote", r.Demote)
	if verbose {
		number("authlen", r.AuthLen)
		word("counter", r.Counter)
		word("checksum", r.Checksum)
		word("hmac", r.HMAC)
	} else if r.HMAC == "bad" {
		b.WriteString(" [bad hmac!]")
	}
	return b.String()
}
