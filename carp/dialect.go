package carp

import "fmt"

// A Dialect says whose rules a virtual host follows. All of them share the wire
// format; they differ in what an interval is, how a demotion is told and what
// happens to the state when something changes. All nodes of a group should use
// the same one; what a mixed group can and cannot do is in the package comment.
type Dialect uint8

const (
	// OpenBSD 7.6 and 7.7. Demotion is a counter of its own in each advert and is
	// compared before the interval, so it fails over without preempt.
	OpenBSD Dialect = iota

	// FreeBSD, OPNsense, pfSense. Demotion raises the advertised advskew, up to
	// 240 and not below 0.
	FreeBSD

	// FreeBSD12 is [FreeBSD] without the lower limit: a negative demotion goes
	// out modulo 256, and peers take the faster node for a slower one. It is here
	// to reproduce recorded decisions.
	FreeBSD12

	// NetBSD, and FreeBSD up to 9: any demotion advertises advskew 240.
	NetBSD

	// UCarp 1.5. As NetBSD, but ties are decided by address, and a master that
	// yields sends one more advert.
	UCarp
)

// maxDemotedSkew is the advskew of a demoted node that folds its demotion in.
const maxDemotedSkew = 240

// traits are a dialect as data. The functions named are the kernels'.
type traits struct {
	name             string
	baseMin, baseMax int

	demoteOctet bool // demotion travels in octet 4 and is compared first
	suppress    bool // any demotion means advskew 240, rather than being added
	negative    bool // the sum of advskew and demotion may be below 0

	rawFirst     bool // the first interval of a master ignores the demotion (carp_setrun)
	unknownIsUp  bool // a link of unknown state counts as up
	allowStops   bool // allow=0 means INIT; else only adverts are ignored
	rearms       bool // a new interval, passphrase or address set re-arms the timers at once
	keepsRemoved bool // removing an address keeps the state
	everyDemote  bool // a master advertises at each change of the demotion, else when it grows
	perFamily    bool // an advert only reaches a virtual host with addresses of its family
	routed       bool // with unicast peers, any TTL will do
	sameMode     bool // unicast adverts only reach unicast virtual hosts and the reverse
	initRefuses  bool // in INIT adverts count as for an unknown vhid
	tieByAddress bool // an equal peer wins only if its address is lower
	lastAdvert   bool // a master that yields sends one more advert

	fault   int // demotion by a lost link or by send errors
	forgive int // adverts sent that make up for one or two send errors
	digest  Digest
	mac     [5]byte // virtual source MAC, less the vhid
}

var (
	macBSD   = [5]byte{0x00, 0x00, 0x5e, 0x00, 0x01}
	macUCarp = [5]byte{0x00, 0x00, 0x5e, 0x00, 0x00}
)

var dialects = [...]traits{
	OpenBSD: {
		name: "openbsd", baseMin: 0, baseMax: 254,
		demoteOctet: true, unknownIsUp: true, rearms: true, keepsRemoved: true,
		sameMode: true, initRefuses: true,
		fault: 1, forgive: 1, digest: DigestOpenBSD, mac: macBSD,
	},
	FreeBSD: {
		name: "freebsd", baseMin: 1, baseMax: 255,
		rawFirst: true, allowStops: true, everyDemote: true, perFamily: true, routed: true,
		fault: 240, forgive: sendLimit, digest: DigestAll, mac: macBSD,
	},
	FreeBSD12: {
		name: "freebsd12", baseMin: 1, baseMax: 255,
		negative: true,
		rawFirst: true, allowStops: true, everyDemote: true, perFamily: true,
		fault: 240, forgive: sendLimit, digest: DigestAll, mac: macBSD,
	},
	NetBSD: {
		name: "netbsd", baseMin: 1, baseMax: 254,
		suppress: true, rawFirst: true, unknownIsUp: true,
		fault: 1, forgive: 1, digest: DigestAll, mac: macBSD,
	},
	UCarp: {
		name: "ucarp", baseMin: 1, baseMax: 255,
		suppress: true, tieByAddress: true, lastAdvert: true,
		fault: 1, forgive: 1, digest: DigestAll, mac: macUCarp,
	},
}

func (d Dialect) valid() bool { return int(d) < len(dialects) }

// traits are those of OpenBSD for a dialect that is none.
func (d Dialect) traits() *traits {
	if !d.valid() {
		d = OpenBSD
	}
	return &dialects[d]
}

// String is the name in lower case, as [ParseDialect] takes it.
func (d Dialect) String() string {
	if !d.valid() {
		return fmt.Sprintf("Dialect(%d)", uint8(d))
	}
	return d.traits().name
}

// ParseDialect finds a dialect by its name.
func ParseDialect(s string) (Dialect, error) {
	for d := range dialects {
		if dialects[d].name == s {
			return Dialect(d), nil
		}
	}
	return 0, fmt.Errorf("carp: unknown dialect %q: want openbsd, freebsd, freebsd12, netbsd or ucarp", s)
}

// VirtualMAC is the Ethernet address of a virtual host, 00:00:5e:00:01:VHID;
// ucarp sends its adverts, and nothing else, from 00:00:5e:00:00:VHID.
func (d Dialect) VirtualMAC(vhid uint8) HardwareAddr {
	var a HardwareAddr
	copy(a[:], d.traits().mac[:])
	a[5] = vhid
	return a
}
