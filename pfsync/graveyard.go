package pfsync

import (
	"slices"
	"time"
)

// graveAge is for how long removed states are remembered. Whoever removes more than
// the limit in that time forgets sooner.
const graveAge = 10 * time.Minute

// A graveyard remembers which states were removed lately. What is here is not to
// come back: an id is given once.
type graveyard struct {
	graves  map[StateID]int // place in order
	buckets [][]int         // the same by bucket: a list looks at no others
	order   []grave         // ring, oldest first
	oldest  int
	n       int
	limit   int
}

type grave struct {
	id    StateID
	at    time.Time
	local bool
}

// bury remembers id, and whether it was removed by this node.
func (g *graveyard) bury(now time.Time, id StateID, local bool) {
	if g.graves == nil {
		g.graves, g.buckets = make(map[StateID]int), make([][]int, DigestBuckets)
	}
	local = local || g.ours(id)
	g.forget(id) // its place is among the newest
	g.expire(now)
	if g.n == g.limit {
		g.dig()
	}
	i := (g.oldest + g.n) % g.limit
	if i == len(g.order) {
		g.order = append(g.order, grave{})
	}
	g.order[i] = grave{id, now, local}
	g.graves[id] = i
	b := id.Bucket()
	g.buckets[b] = append(g.buckets[b], i)
	g.n++
}

// has reports whether id is in it.
func (g *graveyard) has(id StateID) bool {
	_, ok := g.graves[id]
	return ok
}

// ours reports whether id was removed by this node.
func (g *graveyard) ours(id StateID) bool {
	i, ok := g.graves[id]
	return ok && g.order[i].local
}

// forget forgets id, which is back for good reason.
func (g *graveyard) forget(id StateID) {
	i, ok := g.graves[id]
	if !ok {
		return
	}
	delete(g.graves, id)
	b := id.Bucket()
	at := slices.Index(g.buckets[b], i)
	g.buckets[b] = slices.Delete(g.buckets[b], at, at+1)
	g.order[i].id = StateID{} // no state has it: creatorid 0 is illegal
}

// expire forgets what is too old.
func (g *graveyard) expire(now time.Time) {
	for g.n > 0 && now.Sub(g.order[g.oldest].at) > graveAge {
		g.dig()
	}
}

// dig forgets the oldest.
func (g *graveyard) dig() {
	g.forget(g.order[g.oldest].id)
	g.oldest = (g.oldest + 1) % g.limit
	g.n--
}

// each reports those in a bucket, with the time since they were removed.
func (g *graveyard) each(now time.Time, bucket int, f func(id StateID, ago time.Duration)) {
	if g.graves == nil {
		return
	}
	for _, i := range g.buckets[bucket] {
		f(g.order[i].id, now.Sub(g.order[i].at))
	}
}
