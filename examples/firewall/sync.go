package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// A syncer is pfsync0 while it is up.
type syncer struct {
	node   *pfsync.Node
	conn   *pfsyncnet.Conn
	cancel context.CancelFunc
	done   chan struct{} // closed when the node has ended
	err    error         // of its end, once it was told to end
}

// syncs reports whether p has all that it takes to run.
func syncs(p *ifconfig.PfsyncInterface) bool { return p != nil && p.Up && p.SyncDev != "" }

// openSync starts pfsync on the sync interface. Its demotions count in the groups of
// member.
func (h *host) openSync(p *ifconfig.PfsyncInterface, m machine, member *demote.Member) (*syncer, error) {
	var peers []netip.Addr
	if p.SyncPeer.IsValid() {
		peers = []netip.Addr{p.SyncPeer}
	}
	y := &syncer{done: make(chan struct{})}
	var err error
	y.conn, err = pfsyncnet.Listen(pfsyncnet.Config{Interface: p.SyncDev, Peers: peers, Logger: h.log})
	if err != nil {
		return nil, err
	}
	c := pfsync.NodeConfig{
		Session: pfsync.Config{
			Dialect: h.settings.pfsyncDialect, Format: pfsync.Format(p.Version), HostID: h.hostID,
			MaxUpd: &p.MaxUpd, Peers: h.settings.syncPeers,
		},
		Store: h.table, Transport: y.conn, Peers: peers, Links: y.conn.Links(), Demote: member, Logger: h.log,
	}
	if h.mirror != nil {
		c.Session.Flush = flushSoon
		c.Session.Bulk.Interval, c.Session.Bulk.Burst = bulkInterval, bulkBurst
	}
	if l := m.find(p.SyncDev); l != nil {
		c.Session.MTU = min(l.mtu, math.MaxUint16) // the loopback has more
	}
	if p.MTU != 0 {
		c.Session.MTU = p.MTU
	}
	if err = h.converge(&c, p); err == nil {
		if y.node, err = pfsync.NewNode(c); err != nil && c.Side != nil {
			c.Side.Close()
		}
	}
	if err != nil {
		y.conn.Close()
		return nil, err
	}
	if h.mirror != nil {
		h.mirror.tell(y.node)
		go h.adoptWhenSynced(y)
	}
	var ctx context.Context
	ctx, y.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(y.done)
		err := y.node.Run(ctx)
		if ctx.Err() == nil {
			h.fail(fmt.Errorf("firewall: %s: %w", p.Name, err))
		} else {
			y.err = err
		}
	}()
	return y, nil
}

// flushSoon is how long the news of connections wait for each other: they come together
// from the table, where they have waited for up to 50 ms. The kernels wait for a second,
// and lose the connections of the last one in a crash.
const flushSoon = 2 * time.Millisecond

// A bulk update goes out at 8000 frames a second, some 40 000 states: not more at once
// than the input queue of a BSD holds, and fast enough that a hundred thousand
// connections are there in some five seconds. OpenBSD itself sends 250 states a second.
// With pfsync.converge the peer says how fast it can.
const (
	bulkInterval = time.Millisecond
	bulkBurst    = 8
)

// close sends what is left, and ends.
func (y *syncer) close() error {
	y.cancel()
	<-y.done
	return y.err
}

// randomID is a creator id for our states, which no other host may have.
func randomID() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return max(binary.BigEndian.Uint32(b[:]), 1)
}
