package pfsync

import (
	"context"
	"time"
)

// A Status is what a node is doing.
type Status struct {
	HostID   uint32
	Link     Link // of the sync interface
	SyncOK   bool // no bulk update is outstanding: FreeBSD's syncok
	Demotion int  // what the node adds to the demotion counter
	States   int
	Stats    Stats
	BadSide  uint64           // datagrams of the side channel that were dropped
	Converge []ConvergeStatus // nil without a side channel
	At       time.Time
}

// Status asks the node what it is doing. It waits for Run to begin, and fails with
// [ErrStopped] after its end.
func (n *Node) Status(ctx context.Context) (Status, error) {
	var s Status
	err := n.do(ctx, func() {
		s = Status{
			HostID: n.cfg.Session.HostID, Link: n.link, SyncOK: n.session.Synced(), Demotion: n.demotion,
			States: n.cfg.Store.Len(), Stats: n.session.Stats(), BadSide: n.badSide, At: time.Now(),
		}
		s.Stats.OutPackets6 = n.out6
		s.Stats.OutErrors = n.outErrors
		if n.converger != nil {
			s.Converge = n.converger.Status()
		}
	})
	return s, err
}
