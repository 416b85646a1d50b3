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
	var d dues
	d.fill(at, m)
	found := 0
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for n := sh.due(&d, 0); n < sh.used && found < len(ids); n = sh.due(&d, n+1) {
			ids[found] = m.id(sh.record(n))
			found++
		}
		sh.mu.Unlock()
	}
	return found
}
