package conntrack

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	s := opened(t, tb.ns, OpenSysctl)
	defer s.Close()
	tb.put(tcp4(1), tcp4(3))
	for _, key := range []string{"tcp_loose", "tcp_be_liberal", "acct", "timestamp"} {
		tb.ns.SetSysctl("net.netfilter.nf_conntrack_"+key, "0")
	}
	v, err := s.Settings()
	if want := (Settings{Events: 2, Max: v.Max, Count: 2}); err != nil || v != want || v.Max < 1000 {
		t.Errorf("%+v, %v, want %+v", v, err, want)
	}
	for key, on := range map[string]*bool{
		"tcp_loose": &v.TCPLoose, "tcp_be_liberal": &v.TCPLiberal, "acct": &v.Acct, "timestamp": &v.Timestamp,
	} {
		tb.ns.SetSysctl("net.netfilter.nf_conntrack_"+key, "1")
		*on = true
		if got, err := s.Settings(); err != nil || got != v {
			t.Errorf("with %s: %+v, %v, want %+v", key, got, err, v)
		}
	}
}

func TestEnable(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	const events, liberal = "net.netfilter.nf_conntrack_events", "net.netfilter.nf_conntrack_tcp_be_liberal"
	s := opened(t, tb.ns, OpenSysctl)
	defer s.Close()
	for _, row := range []struct{ key, before, meanwhile, after string }{
		{events, "2", "1", "2"},
		{events, "0", "1", "0"},
		{events, "1", "1", "1"},
		{events, "2", "0", "0"}, // somebody else knows better
		{liberal, "0", "1", "0"},
		{liberal, "1", "1", "1"},
	} {
		key, enable := row.key, s.EnableEvents
		if key == liberal {
			enable = s.EnableLiberal
		}
		tb.ns.SetSysctl(key, row.before)
		restore, err := enable()
		if err != nil {
			t.Fatal(err)
		}
		if got := tb.ns.Sysctl(key); got != "1" {
			t.Errorf("%+v: it is %s then", row, got)
		}
		tb.ns.SetSysctl(key, row.meanwhile)
		if err := restore(); err != nil {
			t.Errorf("%+v: restore: %v", row, err)
		}
		if got := tb.ns.Sysctl(key); got != row.after {
			t.Errorf("%+v: it is %s after restore", row, got)
		}
	}
}

// TestEventsOfOldFlows holds what EnableEvents is for. It is not parallel: with the
// sysctl at 2, a listener in any other namespace is enough to have the events.
func TestEventsOfOldFlows(t *testing.T) {
	tb := aTable(t)
	s := opened(t, tb.ns, OpenSysctl)
	defer s.Close()
	if _, err := s.EnableEvents(); err != nil {
		t.Fatal(err)
	}
	e := tcp4(1)
	tb.put(e)
	l := listen(t, tb, ListenConfig{})
	tb.writer.Delete(&e)
	tb.flush()
	if n := len(events(t, l)); n != 1 {
		t.Errorf("%d events about a connection older than the listener", n)
	}
}

// TestEnableAfterKill has lives that end without restoring, as by a kill, and then one
// that ends well: what it leaves behind is what the operator wants.
func TestEnableAfterKill(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	const setting, liberal = "net.netfilter.nf_conntrack_events", "net.netfilter.nf_conntrack_tcp_be_liberal"
	dir := t.TempDir()
	file := filepath.Join(dir, "fw.nf_conntrack_events")
	life := func() func() error {
		s := opened(t, tb.ns, OpenSysctl)
		t.Cleanup(func() { s.Close() })
		s.SetJournal(filepath.Join(dir, "fw"))
		events, err := s.EnableEvents()
		if err != nil {
			t.Fatal(err)
		}
		liberal, err := s.EnableLiberal()
		if err != nil {
			t.Fatal(err)
		}
		return func() error { return errors.Join(events(), liberal()) }
	}
	for _, row := range []struct {
		name    string
		before  string
		kills   int
		between func() // the kills and the last life
		after   string
	}{
		{"not killed", "2", 0, nil, "2"},
		{"killed", "2", 1, nil, "2"},
		{"killed again", "0", 3, nil, "0"},
		{"was 1", "1", 2, nil, "1"},
		{"set by hand meanwhile", "2", 1, func() { tb.ns.SetSysctl(setting, "0") }, "0"},
		{"booted meanwhile", "2", 1, func() {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, append(b[:2], "another boot\n"...), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "1"},
	} {
		tb.ns.SetSysctl(setting, row.before)
		tb.ns.SetSysctl(liberal, "0")
		for range row.kills {
			life()
		}
		if row.between != nil {
			row.between()
		}
		end := life()
		if got := tb.ns.Sysctl(setting) + tb.ns.Sysctl(liberal); got != "11" {
			t.Errorf("%s: they are %s in the last life", row.name, got)
		}
		if err := end(); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if got := tb.ns.Sysctl(setting); got != row.after {
			t.Errorf("%s: it is %s in the end, want %s", row.name, got, row.after)
		}
		if got := tb.ns.Sysctl(liberal); got != "0" {
			t.Errorf("%s: tcp_be_liberal is %s in the end", row.name, got)
		}
		os.Remove(file) // that of another boot is nobody's
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("%s: left behind: %v, %v", row.name, left, err)
		}
	}
}

// TestJournalBroken: what cannot be undone after a kill is not done.
func TestJournalBroken(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	const setting = "net.netfilter.nf_conntrack_events"
	s := opened(t, tb.ns, OpenSysctl)
	defer s.Close()
	dir := t.TempDir()
	s.SetJournal(filepath.Join(dir, "none", "fw"))
	if _, err := s.EnableEvents(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	if got := tb.ns.Sysctl(setting); got != "2" {
		t.Errorf("without a directory: it is %s", got)
	}
	s.SetJournal(filepath.Join(dir, "fw"))
	tb.ns.SetSysctl(setting, "1")
	if err := os.WriteFile(filepath.Join(dir, "fw.nf_conntrack_events"), []byte("two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnableEvents(); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("with a file of somebody else's: %v", err)
	}
}
