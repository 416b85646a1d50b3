package pfsync

import "time"

const (
	// graveLimit is the number of removed states that are remembered, and graveAge
	// for how long. Whoever removes faster forgets sooner.
	graveLimit = 1 << 16
	graveAge   = 10 * time.Minute
)

// A graveyard remembers which states were removed lately. What is here is not to
// come back: an id is given once.
type graveyard struct {
	graves map[StateID]int // place in order
	order  []grave         // ring, oldest first
	oldest int
	n      int
}

type grave struct {
	id    StateID
	at    time.Time
	local bool
}

// bury remembers id, and whether it was removed by this node.
func (g *graveyard) bury(now time.Time, id StateID, local bool) {
	if g.graves == nil {
		g.graves = make(map[StateID]int)
	}
	if i, ok := g.graves[id]; ok {
		g.order[i].at, g.order[i].local = now, local || g.order[i].local
		return
	}
	g.expire(now)
	if g.n == graveLimit {
		g.dig()
	}
	i := (g.oldest + g.n) % graveLimit
	if i == len(g.order) {
		g.order = append(g.order, grave{})
	}
	g.order[i] = grave{id, now, local}
	g.graves[id] = i
	g.n++
}

// ours reports whether id was removed by this node.
func (g *graveyard) ours(id StateID) bool {
	i, ok := g.graves[id]
	return ok && g.order[i].local
}

// forget forgets id, which is back for good reason.
func (g *graveyard) forget(id StateID) {
	if i, ok := g.graves[id]; ok {
		delete(g.graves, id)
		g.order[i].id = StateID{} // no state has it: creatorid 0 is illegal
	}
}

// expire forgets what is too old.
func (g *graveyard) expire(now time.Time) {
	for g.n > 0 && now.Sub(g.order[g.oldest].at) > graveAge {
		g.dig()
	}
}

// dig forgets the oldest.
func (g *graveyard) dig() {
	delete(g.graves, g.order[g.oldest].id)
	g.oldest = (g.oldest + 1) % graveLimit
	g.n--
}

// each reports those that match, with the time since they were removed.
func (g *graveyard) each(now time.Time, f func(id StateID, ago time.Duration)) {
	for id, i := range g.graves {
		f(id, now.Sub(g.order[i].at))
	}
}
