package main

import (
	"context"
	"fmt"
	"time"
)

// A statusReport is the answer of "status -json", one object a line.
type statusReport struct {
	Time  time.Time    `json:"time"`
	Peer  peerReport   `json:"peer"`
	Nodes []nodeStatus `json:"nodes"` // this one first; the other one as of Peer.Answered
}

// report is what is known of both hosts. It does not wait for the other one: what that
// said last is a second old at most, or as old as it says.
func (h *host) report(ctx context.Context) (statusReport, error) {
	ours, err := h.status(ctx)
	if err != nil {
		return statusReport{}, err
	}
	r := statusReport{Time: time.Now(), Peer: peerReport{State: peerNone}, Nodes: []nodeStatus{ours}}
	if h.peer == nil {
		return r, nil
	}
	p := h.peer.view()
	r.Peer = p.report
	if r.Peer.Answered.IsZero() {
		return r, nil
	}
	r.Nodes = append(r.Nodes, p.answer.nodeStatus)
	if r.Peer.State != peerUp {
		return r, nil
	}
	name := r.Peer.Address.String()
	r.Peer.Conflicts = conflicts(ours, p.answer.nodeStatus, r.Peer.Answered)
	r.Peer.Differences = differences(h.answer(ours), p.answer, name)
	if p.offset.Abs() > clockTolerance {
		r.Peer.Differences = append(r.Peer.Differences, fmt.Sprintf("the clock of %s is %v off: mind that in its logs", name, p.offset.Round(time.Second/10)))
	}
	return r, nil
}
