package simnet

import "time"

// event is one entry of the queue: a packet that reaches a node, or one of the
// node's timers.
type event struct {
	at    time.Duration
	seq   uint64 // orders what happens at the same time
	node  int32
	timer int32
	slot  int32 // of the packet, noSlot for a timer
}

const noSlot = -1

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.seq < f.seq
}

// queue is a binary heap of events, earliest first. container/heap would
// allocate for each of them.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) reset()        { q.heap, q.seq = q.heap[:0], 0 }
func (q *queue) len() int      { return len(q.heap) }
func (q *queue) first() *event { return &q.heap[0] }

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *queue) pop() event {
	top := q.heap[0]
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap = q.heap[:last]
	i := 0
	for {
		down := 2*i + 1
		if down >= last {
			break
		}
		if right := down + 1; right < last && q.heap[right].before(&q.heap[down]) {
			down = right
		}
		if !q.heap[down].before(&e) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	if last > 0 {
		q.heap[i] = e
	}
	return top
}

// flight is a packet under way.
type flight[P any] struct {
	seg    SegmentID
	from   NodeID
	packet P
}

// slots keeps the packets under way, so that the heap moves small events only.
type slots[P any] struct {
	all   []flight[P]
	spare []int32
}

func (s *slots[P]) reset() { s.all, s.spare = s.all[:0], s.spare[:0] }

func (s *slots[P]) add(f flight[P]) int32 {
	if n := len(s.spare); n > 0 {
		slot := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.all[slot] = f
		return slot
	}
	s.all = append(s.all, f)
	return int32(len(s.all) - 1)
}

func (s *slots[P]) free(slot int32) { s.spare = append(s.spare, slot) }
