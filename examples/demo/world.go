package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/simnet"
)

// A world is the whole network:
//
//	             +-- fw1 --+
//	client - lan |   sync  | wan - server
//	             +-- fw2 --+
//
//	LAN  10.0.0.0/24:    shared address 10.0.0.1, vhid 1; fw1 .2, fw2 .3, client .100
//	WAN  203.0.113.0/24: shared address 203.0.113.1, vhid 2; fw1 .2, fw2 .3, server .100
//	sync 172.16.0.0/24:  a cable from fw1 .2 to fw2 .3
//
// The client's gateway is the shared address of the LAN. To the server it is at the
// shared address of the WAN, which all connections are translated to.
type world struct {
	net      *simnet.Net[[]byte]
	log      *slog.Logger
	secret   carp.Secret
	lan, wan *simnet.Switch
	sync     simnet.SegmentID
	synced   bool // the sync cable is plugged in
	fw1, fw2 *firewall
	client   *client
	server   *server
	events   []event
}

// epoch is when the virtual clock starts.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// cable is what a cable with a switch behind it does: frames take a while, but
// they do not get lost and do not overtake each other.
var cable = simnet.Faults{MinDelay: 20 * time.Microsecond, MaxDelay: 400 * time.Microsecond, InOrder: true}

// newWorld builds the network. Nothing is switched on in it yet.
func newWorld(s *scenario, seed uint64, log *slog.Logger) *world {
	w := &world{net: simnet.New[[]byte](epoch, seed), log: log, synced: !s.unsynced}
	w.secret, _ = carp.Passphrase("mekmitasdigoat") // short enough
	w.lan, w.wan = simnet.NewSwitch(w.net), simnet.NewSwitch(w.net)
	w.fw1 = w.addFirewall("fw1", 2, 0, s.singleWAN)
	w.fw2 = w.addFirewall("fw2", 3, 100, s.singleWAN)
	w.sync = w.net.AddSegment(simnet.Faults{MinDelay: syncDelay, MaxDelay: syncDelay}, w.fw1.id, w.fw2.id)

	w.client = &client{host: w.newHost("client", onLAN), server: onWAN.host(100)}
	w.client.stream = stream{
		h:     &w.client.host,
		local: netip.AddrPortFrom(w.client.addr, shellFrom), remote: netip.AddrPortFrom(w.client.server, shellPort),
	}
	w.client.id = w.net.AddNode(w.client, hostTimers)
	w.client.cable = w.lan.Connect(w.client.id, cable)

	w.server = &server{host: w.newHost("server", onWAN)}
	w.server.stream = stream{h: &w.server.host, local: netip.AddrPortFrom(w.server.addr, shellPort)}
	w.server.id = w.net.AddNode(w.server, hostTimers)
	w.server.cable = w.wan.Connect(w.server.id, cable)
	return w
}

// A network is one of the two: the first three octets of its addresses.
type network [3]byte

var (
	onLAN = network{10, 0, 0}
	onWAN = network{203, 0, 113}
)

// host is the address of host number n, and mac its Ethernet address.
func (nw network) host(n byte) netip.Addr { return netip.AddrFrom4([4]byte{nw[0], nw[1], nw[2], n}) }
func (nw network) mac(n byte) mac         { return mac{0x02, 0, nw[0], nw[1], nw[2], n} }

func (w *world) addFirewall(name string, number byte, advskew uint8, singleWAN bool) *firewall {
	fw := &firewall{w: w, name: name, number: number, advskew: advskew}
	fw.id = w.net.AddNode(fw, firewallTimers)
	fw.lan = port{
		fw: fw, name: "lan", sw: w.lan, cable: w.lan.Connect(fw.id, cable),
		mac: onLAN.mac(number), addr: onLAN.host(number), shared: onLAN.host(1), vhid: 1,
	}
	fw.wan = port{
		fw: fw, name: "wan", sw: w.wan, cable: w.wan.Connect(fw.id, cable),
		mac: onWAN.mac(number), addr: onWAN.host(number), shared: onWAN.host(1), vhid: 2,
	}
	if singleWAN { // the provider knows one MAC, and gives one address to it
		fw.wan.mac, fw.wan.addr, fw.wan.vhid = onWAN.mac(1), onWAN.host(1), 0
	}
	return fw
}

// newHost is number 100 of a network, with the shared address as its gateway.
func (w *world) newHost(name string, nw network) host {
	return host{w: w, name: name, mac: nw.mac(100), addr: nw.host(100), gateway: nw.host(1)}
}

// neighbour is where the firewalls find a host. That never changes here, so
// they do not have to ask.
func (w *world) neighbour(a netip.Addr) (mac, bool) {
	switch a {
	case w.client.addr:
		return w.client.mac, true
	case w.server.addr:
		return w.server.mac, true
	}
	return mac{}, false
}

// other is the other firewall.
func (w *world) other(fw *firewall) *firewall {
	if fw == w.fw1 {
		return w.fw2
	}
	return w.fw1
}

// owner is the name of the firewall with that address on one of its ports.
func (w *world) owner(m mac) string {
	one, two := m == w.fw1.lan.mac || m == w.fw1.wan.mac, m == w.fw2.lan.mac || m == w.fw2.wan.mac
	switch {
	case one && two:
		return "fw1 and fw2"
	case one:
		return w.fw1.name
	}
	return w.fw2.name
}

// record notes that something happens now.
func (w *world) record(e event) {
	e.Time = w.net.Now()
	w.events = append(w.events, e)
}

// soon is a random time less than d after t.
func (w *world) soon(t time.Time, d time.Duration) time.Time {
	return t.Add(time.Duration(w.net.Rand().Int64N(int64(d))))
}

// The times of a run.
const (
	bootSpread = 500 * time.Millisecond // the firewalls boot within that
	probesFrom = 6 * time.Second        // and have settled by then
	stepSpread = time.Second            // each step comes up to that late
	idle       = 4 * time.Second        // how long nothing is sent any more in the end
)

// run lets a scenario happen.
func run(s *scenario, seed uint64, log *slog.Logger) (*record, error) {
	w := newWorld(s, seed, log)
	for _, fw := range w.bootOrder() {
		w.net.RunUntil(w.soon(w.net.Now(), bootSpread/2))
		if err := w.perform(step{node: fw.name, text: "power on", do: fw.powerOn}); err != nil {
			return nil, err
		}
	}
	end := epoch.Add(s.length)
	w.client.start(epoch.Add(probesFrom), end.Add(-idle))
	for _, st := range s.steps(w) {
		w.net.RunUntil(w.soon(epoch.Add(st.at), stepSpread))
		if err := w.perform(st); err != nil {
			return nil, err
		}
	}
	w.net.RunUntil(end)
	return newRecord(s, seed, w, end), nil
}

// bootOrder is the firewalls in either order.
func (w *world) bootOrder() []*firewall {
	order := []*firewall{w.fw1, w.fw2}
	if w.net.Rand().Uint64()&1 == 0 {
		slices.Reverse(order)
	}
	return order
}

// perform notes a step and takes it.
func (w *world) perform(st step) error {
	w.record(event{Kind: kindAction, Node: st.node, Text: st.text})
	return st.do()
}
