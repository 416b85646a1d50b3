package main

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/internal/pcap"
)

// A record is what is printed of a packet: as JSON by its field tags, or as
// text. It is valid until the next packet is read.
type record interface {
	head() *envelope
	text(verbose bool) string    // without what the envelope says
	details(verbose bool) string // whole lines that follow, or empty
	reason() string              // why the packet is malformed, or empty
}

// An envelope is the part of a record that every packet has. Fields that a
// packet has not, or not any more, are left out of the JSON.
type envelope struct {
	Time   string   `json:"time,omitempty"`
	Proto  string   `json:"proto"`
	Src    string   `json:"src,omitempty"`
	Dst    string   `json:"dst,omitempty"`
	SrcMAC string   `json:"src_mac,omitempty"`
	DstMAC string   `json:"dst_mac,omitempty"`
	VLAN   []uint16 `json:"vlan,omitempty"`
	TTL    *uint8   `json:"ttl,omitempty"`

	time time.Time
}

func (e *envelope) head() *envelope { return e }

func (e *envelope) details(bool) string { return "" }

// timeFormat is RFC 3339 with all nine digits: columns align and sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

func newEnvelope(proto string, at time.Time, f *frame) envelope {
	e := envelope{
		Proto:  proto,
		Src:    addrText(f.src),
		Dst:    addrText(f.dst),
		SrcMAC: f.srcMAC.String(),
		DstMAC: f.dstMAC.String(),
		VLAN:   f.vlan,
		TTL:    f.ttl,
		time:   at,
	}
	if !at.IsZero() {
		e.Time = at.UTC().Format(timeFormat)
	}
	return e
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// A decoder turns frames into records.
type decoder struct {
	keys    keyring
	dialect string // of pfsync: auto, openbsd or freebsd
	log     *slog.Logger
	vrrp    int                   // packets left out
	unknown map[pcap.LinkType]int // frames left out
}

func newDecoder(keys keyring, dialect string, log *slog.Logger) *decoder {
	return &decoder{keys: keys, dialect: dialect, log: log, unknown: make(map[pcap.LinkType]int)}
}

// decode returns nil if p is neither CARP nor pfsync.
func (d *decoder) decode(p pcap.Packet) record {
	f, err := find(p)
	if err != nil {
		if d.unknown[p.LinkType]++; d.unknown[p.LinkType] == 1 {
			d.log.Warn("frames left out", "reason", err)
		}
		return nil
	}
	switch {
	case f == nil:
		return nil
	case f.proto == protoPfsync:
		return d.decodePfsync(p.Time, f)
	case isVRRP(&f.ip):
		d.vrrp++
		d.log.Debug("VRRP left out", "src", f.src, "vrid", f.payload[1])
		return nil
	}
	return d.decodeCARP(p.Time, f)
}

// summarize says what was left out that an operator may have looked for.
func (d *decoder) summarize() {
	if d.vrrp > 0 {
		d.log.Info("VRRP packets left out, which share CARP's IP protocol and virtual MACs", "packets", d.vrrp)
	}
}

// firstOf is the text of the first error there is. What a short header does to
// all that follows need not be said.
func firstOf(errs ...error) string {
	for _, err := range errs {
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// octet is the address of b[i], nil if b is shorter.
func octet(b []byte, i int) *uint8 {
	if i >= len(b) {
		return nil
	}
	return &b[i]
}
