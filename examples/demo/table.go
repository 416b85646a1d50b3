package main

import (
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A flow is a connection as it is seen at an interface: the host on its far side,
// and the one that the firewall has behind it.
type flow struct {
	proto     uint8
	far, near netip.AddrPort
}

// A table is the states of a firewall, and what to find them by: what comes in by
// an interface looks there as in the wire key, and what is about to go out as in
// the stack key.
type table struct {
	*pfsync.Memory
	wire, stack map[flow]pfsync.StateID
	flows       map[pfsync.StateID]flows
}

// flows are the keys of a state.
type flows struct{ wire, stack flow }

func newTable() (*table, error) {
	m, err := pfsync.NewMemory(pfsync.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	return &table{
		Memory: m, wire: make(map[flow]pfsync.StateID), stack: make(map[flow]pfsync.StateID),
		flows: make(map[pfsync.StateID]flows),
	}, nil
}

// inserted and removed keep up with what is in the Memory.
func (t *table) inserted(st *pfsync.State) {
	f := flowsOf(st)
	t.wire[f.wire], t.stack[f.stack], t.flows[st.StateID] = st.StateID, st.StateID, f
}

func (t *table) removed(id pfsync.StateID) {
	f := t.flows[id]
	delete(t.wire, f.wire)
	delete(t.stack, f.stack)
	delete(t.flows, id)
}

// incoming is the state of a packet that came in by an interface, and outgoing of
// one that is about to leave by one.
func (t *table) incoming(p *packet) (pfsync.StateID, bool) {
	id, ok := t.wire[flow{p.proto, p.src, p.dst}]
	return id, ok
}

func (t *table) outgoing(p *packet) (pfsync.StateID, bool) {
	id, ok := t.stack[flow{p.proto, p.dst, p.src}]
	return id, ok
}

// key is a flow as pfsync has it.
func (f flow) key() pfsync.Key {
	k := pfsync.Key{AF: pfsync.AFInet, Proto: f.proto, Port: [2]uint16{f.far.Port(), f.near.Port()}}
	copy(k.Addr[0][:], f.far.Addr().AsSlice())
	copy(k.Addr[1][:], f.near.Addr().AsSlice())
	return k
}

func flowsOf(st *pfsync.State) flows {
	f := func(k *pfsync.Key) flow {
		host := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(k.Addr[i][:4])), k.Port[i])
		}
		return flow{st.Proto, host(0), host(1)}
	}
	return flows{f(&st.Wire), f(&st.Stack)}
}

// shared is what of a state must be the same on both firewalls once nothing
// happens any more. Age and time left are counted by each of them.
type shared struct {
	flows
	direction pfsync.Direction
	src, dst  pfsync.Peer
	timeout   pfsync.Timeout
}

func (t *table) shared(now time.Time) map[pfsync.StateID]shared {
	all := make(map[pfsync.StateID]shared)
	for st := range t.States(now) {
		all[st.StateID] = shared{flowsOf(st), st.Direction, st.Src, st.Dst, st.Timeout}
	}
	return all
}
