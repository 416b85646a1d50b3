package main

import (
	"strings"
	"testing"
)

// TestConverge: with pfsync.converge both say whether their tables are the same.
func TestConverge(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for host, peer := range map[string]string{"fw1": "10.10.10.2", "fw2": "10.10.10.1"} {
		files := faqFiles(t, map[string]string{"fw1": "", "fw2": "advskew 128\n"}[host])
		files[settingsFile] = "[pfsync]\nconverge = true\npeers = [\"" + peer + "\"]\n"
		p.write(host, files)
		p.start(host)
	}
	p.settled("fw1")
	for _, host := range []string{"fw1", "fw2"} {
		p.await(host+" has compared", func() bool {
			s, err := p.status(host)
			return err == nil && s.Pfsync != nil && s.Pfsync.Tables == "identical"
		})
		if got := p.do(host, "status"); !strings.Contains(got, "identical with the peer's") {
			t.Errorf("status of %s:\n%s", host, got)
		}
	}
}
