package carp

import (
	"container/heap"
	"time"
)

// A timerHeap orders groups by what they are due next, so that one timer serves
// all of them. Groups that wait for nothing are not in it.
type timerHeap []*group

// set changes when g is due; zero is never.
func (h *timerHeap) set(g *group, due time.Time) {
	in := g.heapIndex >= 0
	g.due = due
	switch {
	case in && due.IsZero():
		heap.Remove(h, g.heapIndex)
	case in:
		heap.Fix(h, g.heapIndex)
	case !due.IsZero():
		heap.Push(h, g)
	}
}

// first is the group that is due first, nil if there is none.
func (h timerHeap) first() *group {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *timerHeap) Push(x any) {
	g := x.(*group)
	g.heapIndex = len(*h)
	*h = append(*h, g)
}

func (h *timerHeap) Pop() any {
	g := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	g.heapIndex = -1
	return g
}
