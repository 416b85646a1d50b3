//go:build linux || freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/gocarp/gocarp/internal/rawip"
)

// ListenSide opens the side channel of an interface. The error matches
// [ErrNoInterface] where that is the reason.
func ListenSide(cfg SideConfig) (*SideConn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := watch(cfg.Interface, cfg.Logger)
	if err != nil {
		return nil, err
	}
	sock, err := openSide(&cfg, w.Interface().Addrs)
	if err != nil {
		w.Close()
		return nil, err
	}
	return newSide(cfg, sock, w)
}

// openSide opens the socket of the source that cfg gives, or of one of the
// interface's addresses, which it puts there.
func openSide(cfg *SideConfig, addrs []netip.Addr) (sideSocket, error) {
	if err := cfg.choose(addrs); err != nil {
		return sideSocket{}, err
	}
	sock, err := listenUDP(cfg.Source, cfg.Port)
	if err != nil {
		return sock, fmt.Errorf("pfsyncnet: opening the side channel at %v: %w", netip.AddrPortFrom(cfg.Source, cfg.Port), rawip.Errno(err))
	}
	return sock, nil
}

func listenUDP(src netip.Addr, port uint16) (sideSocket, error) {
	network, bind := "udp4", src
	switch {
	case src.IsLinkLocalUnicast() && src.Is6():
		// Binding to it is binding to the interface of now, for good.
		network, bind = "udp6", netip.IPv6Unspecified()
	case src.Is6():
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind, port)))
	if err != nil {
		return sideSocket{}, err
	}
	s := sideSocket{conn: conn}
	if src.Is4() {
		c := ipv4.NewPacketConn(conn)
		err = errors.Join(c.SetControlMessage(ipv4.FlagTTL|ipv4.FlagInterface|ipv4.FlagDst, true), c.SetTTL(rawip.TTL))
		s.parse, s.via = parseSide4, func(index int) []byte {
			return (&ipv4.ControlMessage{Src: src.AsSlice(), IfIndex: index}).Marshal()
		}
	} else {
		c := ipv6.NewPacketConn(conn)
		err = errors.Join(c.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface|ipv6.FlagDst, true), c.SetHopLimit(rawip.TTL))
		s.parse, s.via = parseSide6, func(index int) []byte {
			return (&ipv6.ControlMessage{Src: src.AsSlice(), IfIndex: index}).Marshal()
		}
	}
	if err != nil {
		conn.Close()
	}
	return s, err
}

func parseSide4(oob []byte) sideInfo {
	var cm ipv4.ControlMessage
	if cm.Parse(oob) != nil {
		return sideInfo{}
	}
	dst, _ := netip.AddrFromSlice(cm.Dst)
	return sideInfo{cm.IfIndex, dst.Unmap(), cm.TTL}
}

func parseSide6(oob []byte) sideInfo {
	var cm ipv6.ControlMessage
	if cm.Parse(oob) != nil {
		return sideInfo{}
	}
	dst, _ := netip.AddrFromSlice(cm.Dst)
	return sideInfo{cm.IfIndex, dst, cm.HopLimit}
}
