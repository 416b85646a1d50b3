package main

import "github.com/gocarp/gocarp/pfsync"

// newTable makes the state table that pfsync keeps the same on all hosts. It is one
// in memory: it holds what the peers say, and gives it to those that ask.
func newTable(s *settings) (pfsync.Store, error) {
	return pfsync.NewMemory(pfsync.MemoryConfig{Dialect: s.pfsyncDialect, Limit: s.maxStates})
}
