package simnet

// A Switch is an Ethernet switch, a node of a [Net] that carries frames. It
// learns from the source of each frame behind which port an address is, and
// sends what is for that address there; what it has not learnt, and what is for
// a group, goes to all ports but the one it came in by.
//
// Its table has no limit, and an entry stays until the address shows up behind
// another port or its port loses the link. All receivers get the same slice:
// nobody may change a frame that was sent.
type Switch struct {
	// Drop, if not nil, says which frames do not get from one port to another,
	// as a filter in a switch does. The address is learnt all the same.
	Drop func(frame []byte, in, out SegmentID) bool

	net   *Net[[]byte]
	id    NodeID
	ports []port
	table map[[6]byte]SegmentID
}

// port is where a cable ends. Each cable is a segment of its own.
type port struct {
	cable SegmentID
	host  NodeID
	up    bool
}

// ethernetLen is the length of an Ethernet header: destination, source and type.
const ethernetLen = 14

// NewSwitch adds a switch without ports to net.
func NewSwitch(net *Net[[]byte]) *Switch {
	s := &Switch{net: net, table: make(map[[6]byte]SegmentID)}
	s.id = net.AddNode(s, 0)
	return s
}

// Connect runs a cable from host to a new port. What host broadcasts on the
// cable reaches the switch.
func (s *Switch) Connect(host NodeID, f Faults) SegmentID {
	cable := s.net.AddSegment(f, s.id, host)
	s.ports = append(s.ports, port{cable: cable, host: host, up: true})
	return cable
}

// Unplug takes the link from a cable: nothing passes it, and what was learnt
// from it is forgotten. It is for the owner of the host to tell it.
func (s *Switch) Unplug(cable SegmentID) {
	p := s.port(cable)
	p.up = false
	s.net.Cut(cable, s.id, p.host)
	s.net.Cut(cable, p.host, s.id)
	for mac, c := range s.table {
		if c == cable {
			delete(s.table, mac)
		}
	}
}

// Plug undoes Unplug.
func (s *Switch) Plug(cable SegmentID) {
	p := s.port(cable)
	p.up = true
	s.net.Join(cable, s.id, p.host)
	s.net.Join(cable, p.host, s.id)
}

// port is the port of a cable of this switch.
func (s *Switch) port(cable SegmentID) *port {
	for i := range s.ports {
		if s.ports[i].cable == cable {
			return &s.ports[i]
		}
	}
	panic("simnet: no cable of this switch")
}

// Packet implements [Handler]: a frame comes in.
func (s *Switch) Packet(in SegmentID, _ NodeID, frame []byte) {
	if len(frame) < ethernetLen || !s.port(in).up { // the link may have gone while it was under way
		return
	}
	dst, src := [6]byte(frame), [6]byte(frame[6:])
	if !isGroup(src) {
		s.table[src] = in
	}
	out, known := s.table[dst]
	for i := range s.ports {
		p := &s.ports[i]
		if p.cable == in || known && p.cable != out || s.Drop != nil && s.Drop(frame, in, p.cable) {
			continue
		}
		s.net.Send(p.cable, s.id, p.host, frame)
	}
}

// Timer implements [Handler]. A switch has none.
func (s *Switch) Timer(int) {}

// isGroup reports whether a is broadcast or multicast.
func isGroup(a [6]byte) bool { return a[0]&1 != 0 }
