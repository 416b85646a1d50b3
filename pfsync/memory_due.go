package pfsync

import "time"

// Due copies the identities of states that are due to ids, and returns how many. It
// looks at the table as Expire does, but removes nothing: it is for an embedder who
// has to ask elsewhere whether a state is still alive. Those that he neither deletes
// nor updates are due again the next time.
func (m *Memory) Due(now time.Time, ids []StateID) int {
	m.mu.Lock()
	at, started := m.since(now), m.started
	m.mu.Unlock()
	if !started {
		return 0
	}
	lives := m.lifetimes
	if m.adaptive.active(m.Len()) {
		for class := range defaultTimeouts {
			lives[class] = m.life(Timeout(class))
		}
	}
	found := 0
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for n := sh.due(at, &lives, 0); n < sh.used && found < len(ids); n = sh.due(at, &lives, n+1) {
			ids[found] = sh.record(n).id
			found++
		}
		sh.mu.Unlock()
	}
	return found
}
