package pfsync

import "fmt"

// A Dialect says whose pfsync a node speaks and whose habits it has. All nodes of
// a sync network must speak one that the others read: OpenBSD and FreeBSD do not
// read each other, and a FreeBSD only reads the state formats it knows.
type Dialect uint8

const (
	// OpenBSD 7.4 and newer: header version 6, states of 264 octets.
	OpenBSD Dialect = iota

	// FreeBSD12 is FreeBSD 12 and 13: header version 5, states of 242 octets
	// (later called message version 1301).
	FreeBSD12

	// FreeBSD14 also knows states of 277 octets (1400), and sends those.
	FreeBSD14

	// FreeBSD15 also knows states of 360 octets (1500), and sends those.
	FreeBSD15
)

// traits are a dialect as data. The functions named are the kernels'.
type traits struct {
	name    string
	version uint8  // of the frame header
	send    Format // of states, unless configured otherwise
	formats []Format
	base    int // octets of a packet that are not messages, in the budget of a frame

	actions    []wireAction // by number
	timeouts   uint8        // classes on the wire are below this (PFTM_MAX)
	strides    bool         // the subheader says how long a message is
	eof        bool         // every frame ends with an EOF section
	fullDelete bool         // DEL with a whole state is understood
	longPrint  bool         // pfctl shows all there is to know of a state, states of SCTP among it
}

var dialects = [...]traits{
	OpenBSD: {
		name: "openbsd", version: 6, send: FormatOpenBSD, formats: []Format{FormatOpenBSD},
		base: 40, actions: openBSDActions[:], timeouts: 20, strides: true, fullDelete: true,
	},
	FreeBSD12: {
		name: "freebsd12", version: 5, send: Format1301, formats: []Format{Format1301},
		base: 44, actions: freeBSDActions[:13], timeouts: 20, eof: true, fullDelete: true,
	},
	FreeBSD14: {
		name: "freebsd14", version: 5, send: Format1400, formats: []Format{Format1301, Format1400},
		base: 64, actions: freeBSDActions[:15], timeouts: 25, eof: true, longPrint: true,
	},
	FreeBSD15: {
		name: "freebsd15", version: 5, send: Format1500, formats: []Format{Format1301, Format1400, Format1500},
		base: 64, actions: freeBSDActions[:], timeouts: 25, eof: true, longPrint: true,
	},
}

// traits is the row of d; an unknown dialect is OpenBSD.
func (d Dialect) traits() *traits {
	if int(d) >= len(dialects) {
		d = OpenBSD
	}
	return &dialects[d]
}

// String is "openbsd", "freebsd12", "freebsd14" or "freebsd15".
func (d Dialect) String() string {
	if int(d) >= len(dialects) {
		return fmt.Sprintf("Dialect(%d)", uint8(d))
	}
	return dialects[d].name
}

// ParseDialect is the opposite of String; "freebsd" is the newest.
func ParseDialect(name string) (Dialect, error) {
	if name == "freebsd" {
		return FreeBSD15, nil
	}
	for d, t := range dialects {
		if t.name == name {
			return Dialect(d), nil
		}
	}
	return 0, fmt.Errorf("pfsync: dialect %q: want openbsd, freebsd12, freebsd14 or freebsd15", name)
}

// A Format is a layout of whole states on the wire. The FreeBSD ones go by the
// number that ifconfig(8) gives them (version, pfsyncioctl).
type Format uint16

const (
	FormatOpenBSD Format = 6    // 264 octets
	Format1301    Format = 1301 // 242 octets
	Format1400    Format = 1400 // 277 octets
	Format1500    Format = 1500 // 360 octets
)

// Size is the number of octets of a state in f, 0 if there is no such format.
func (f Format) Size() int {
	switch f {
	case FormatOpenBSD:
		return lenOpenBSD
	case Format1301:
		return len1301
	case Format1400:
		return len1400
	case Format1500:
		return len1500
	}
	return 0
}
