package conntrack

// smallBurst is what is kept for the next time.
const smallBurst = 1 << 10

// A burst is a map that is large at times and small mostly. Go's do not get smaller.
type burst[K comparable, V any] struct {
	m    map[K]V
	most int // since the last one was made
}

func (b *burst[K, V]) put(k K, v V) {
	if b.m == nil {
		b.m = make(map[K]V)
	}
	b.m[k] = v
	b.most = max(b.most, len(b.m))
}

// shrink gives back what a burst took that is over.
func (b *burst[K, V]) shrink() {
	if b.most <= smallBurst || len(b.m) > b.most/4 {
		return
	}
	m := make(map[K]V, len(b.m))
	for k, v := range b.m {
		m[k] = v
	}
	b.m, b.most = m, len(m)
}
