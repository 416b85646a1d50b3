package main

import (
	"net/netip"

	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// converges are the peers with which the table is compared, and repaired where it
// differs: what pfsync alone does not do, so peers that run this program. None unless
// the settings say so.
func (s *settings) converges(p *ifconfig.PfsyncInterface) []netip.Addr {
	switch {
	case !s.converge:
		return nil
	case len(s.syncPeers) > 0:
		return s.syncPeers
	case p.SyncPeer.IsValid():
		return []netip.Addr{p.SyncPeer}
	}
	return nil
}

// converge opens the side channel for that.
func (h *host) converge(c *pfsync.NodeConfig, p *ifconfig.PfsyncInterface) error {
	peers := h.settings.converges(p)
	if len(peers) == 0 {
		return nil
	}
	side, err := pfsyncnet.ListenSide(pfsyncnet.SideConfig{Interface: p.SyncDev, Logger: h.log})
	if err != nil {
		return err
	}
	c.Side, c.Converge.Peers = side, peers
	c.Session.Bulk = pfsync.BulkConfig{Interval: -1} // as fast as the peer acknowledges
	return nil
}

// agreement is what is known of the tables of all peers together: the worst of it.
func agreement(all []pfsync.ConvergeStatus) (text string, differ int) {
	for _, c := range all {
		differ = max(differ, c.Differ)
		switch {
		case c.Agreement == pfsync.Different, text == "":
			text = c.Agreement.String()
		case c.Agreement == pfsync.AgreementUnknown && text == pfsync.Identical.String():
			text = c.Agreement.String()
		}
	}
	return text, differ
}
