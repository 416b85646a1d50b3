//go:build linux || freebsd || openbsd || netbsd || darwin

package rawip

import (
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Listen opens a raw IP socket for a protocol, "ip4" or "ip6".
func Listen(network string, protocol int) (*net.IPConn, error) {
	address := "::"
	if network == "ip4" {
		address = "0.0.0.0"
	}
	c, err := net.ListenPacket(network+":"+strconv.Itoa(protocol), address)
	if err != nil {
		return nil, err
	}
	return c.(*net.IPConn), nil
}

// A Header is what a socket tells of a packet beside its payload.
type Header struct {
	Src, Dst netip.Addr // without zones
	TTL      uint8      // or hop limit
	IfIndex  int        // of the interface that it came by
}

// Receive is a recvmsg that does not wait.
func Receive(fd uintptr, buf, oob []byte) (n, oobn int, from unix.Sockaddr, err error) {
	for {
		n, oobn, _, from, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return n, oobn, from, err
		}
	}
}

// Parse4 takes a packet of an IPv4 socket, which delivers the IP header, apart. All
// but the interface is in there. Its length field is not the wire's on some systems,
// and not needed. It reports false for what cannot be made sense of.
func Parse4(b, oob []byte) (payload []byte, h Header, ok bool) {
	var cm ipv4.ControlMessage
	if len(b) < ipv4.HeaderLen || cm.Parse(oob) != nil {
		return nil, Header{}, false
	}
	header := int(b[0]&0xf) * 4
	if header < ipv4.HeaderLen || header > len(b) {
		return nil, Header{}, false
	}
	return b[header:], Header{
		Src:     netip.AddrFrom4([4]byte(b[12:])),
		Dst:     netip.AddrFrom4([4]byte(b[16:])),
		TTL:     b[8],
		IfIndex: cm.IfIndex,
	}, true
}

// Parse6 finds everything in the control messages, as IPv6 sockets deliver the
// payload alone. It reports false for what cannot be made sense of.
func Parse6(oob []byte, from unix.Sockaddr) (Header, bool) {
	var cm ipv6.ControlMessage
	src, ok := from.(*unix.SockaddrInet6)
	if !ok || cm.Parse(oob) != nil {
		return Header{}, false
	}
	dst, ok := netip.AddrFromSlice(cm.Dst)
	if !ok {
		return Header{}, false
	}
	return Header{Src: netip.AddrFrom16(src.Addr), Dst: dst, TTL: uint8(cm.HopLimit), IfIndex: cm.IfIndex}, true
}
