package main

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/internal/peer"
)

// peerSettings are what [peer] in firewall.toml says.
type peerSettings struct {
	address netip.Addr // zero: syncpeer of pfsync0
	port    uint16     // zero: peer.DefaultPort
	file    string     // with the secret; empty: there is no channel
	pos     ifconfig.Pos
	secret  []byte
}

// set takes a value, or says what was expected.
func (s *peerSettings) set(v tomlValue) (expected string) {
	text, _ := v.v.(string)
	switch v.key {
	case "peer.address":
		a, err := netip.ParseAddr(text)
		if err != nil || a.IsMulticast() || a.IsUnspecified() {
			return `expected the address of the other host on the sync link, as "10.0.0.2"`
		}
		s.address = a
	case "peer.port":
		n, ok := within(v.v, 1, 65535)
		if !ok {
			return "expected a TCP port, 1 to 65535"
		}
		s.port = uint16(n)
	case "peer.secret-file":
		if text == "" {
			return `expected the name of a file, as "peer.key"`
		}
		s.file, s.pos = text, v.pos
	}
	return ""
}

// load reads the secret, the only line of its file. A name that does not begin with /
// is one in dir, and only the owner may read the file.
func (s *peerSettings) load(dir string) error {
	if s.file == "" {
		return nil
	}
	path := s.file
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	secret, err := readPassFile(path)
	if err != nil {
		return s.wrong(fmt.Sprintf("expected a file with the secret: %v", err))
	}
	if len(secret) < peer.MinSecret {
		return s.wrong(fmt.Sprintf("expected %d octets or more in %s: it has %d", peer.MinSecret, s.file, len(secret)))
	}
	s.secret = []byte(secret)
	return nil
}

// wrong is an error about the secret, or about what it is for.
func (s *peerSettings) wrong(msg string) error {
	return &ifconfig.Error{Pos: s.pos, Word: "peer.secret-file", Msg: msg}
}

// where is the address of the other host. The channel runs on the sync link of p.
func (s *peerSettings) where(p *ifconfig.PfsyncInterface) (netip.Addr, error) {
	switch {
	case p == nil || p.SyncDev == "":
		return netip.Addr{}, s.wrong("expected a syncdev in hostname.pfsync0 as well: that is the link to the other host")
	case s.address.IsValid():
		return s.address, nil
	case !p.SyncPeer.IsValid():
		return netip.Addr{}, s.wrong("expected peer.address as well, or a syncpeer in hostname.pfsync0")
	}
	return p.SyncPeer, nil
}

// preparePeer finds out whether the channel to the other host can be.
func (s *setup) preparePeer() error {
	c := s.settings.peer
	if c.file == "" {
		if c.address.IsValid() || c.port != 0 {
			s.warn("[peer] in %s has no secret-file: there is no channel to the other host", settingsFile)
		}
		return nil
	}
	_, err := c.where(s.config.Pfsync)
	return err
}
