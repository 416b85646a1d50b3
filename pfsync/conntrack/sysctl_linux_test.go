package conntrack

import "testing"

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
