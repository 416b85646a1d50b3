package pfsync_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/script"
	"github.com/gocarp/gocarp/pfsync"
)

// TestSessionScripts runs testdata/script: rows of the event tables, each a session
// with an empty table and what happens to it; see package script. Its lines are
//
//	new DIALECT WORDS      a session that is up and has no bulk update outstanding;
//	                       with "boot" it is not up. Other words: exact, defer, filter,
//	                       maxupd=N, mtu=N, limit=N, deadline=D, interval=D, burst=N,
//	                       slices=N, map=THEIRS:OURS, known=NAME, states=N, and
//	                       "count" to show how many states are in an UPD, not which
//	TIME EVENT WORDS       an event
//	> OUTCOME              what the session wanted, "@T" if it was a timer's doing
//
// States are written as their number, with a "p" before it if a peer has made them;
// their peers' states as "4:4". Events:
//
//	up, down, link up|down, resync, wait
//	insert N [udp|proto=P] [in] [nosync] [multicast] [ack] [S:D]   at this node
//	update N [udp] [xTIMES] [S:D], delete N, clear [IF], resend N
//	peer MESSAGE [+ MESSAGE...]                          a frame of a peer's:
//	  INS|UPD N [S:D] [seq=N] [ack] [nosync] [udp] [if=NAME], UPD_C N S:D [seq=N],
//	  INS_ACK N, UPD_REQ N|all, DEL_C N, CLR us|them [IF], BUS start|end [ENDTIME]
//	states                                               shows the table
func TestSessionScripts(t *testing.T) {
	script.Run(t, "testdata/script/session-*.txt", runScript)
}

// wantScript runs rows that stand in a test. DIALECT in it is each of dialects.
func wantScript(t *testing.T, row string, dialects ...pfsync.Dialect) {
	t.Helper()
	row = strings.TrimPrefix(row, "\n")
	if len(dialects) == 0 {
		dialects = []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD14, pfsync.FreeBSD15}
	}
	for _, d := range dialects {
		for row := range strings.SplitAfterSeq(strings.ReplaceAll(row, "DIALECT", d.String()), "\n\n") {
			if diff := cmp.Diff(row, runScript(t, row)); diff != "" {
				t.Errorf("%v: -want +got:\n%s", d, diff)
			}
		}
	}
}

const (
	scriptUs   = 1 // our hostid
	scriptThem = 2 // a peer's
)

// A scripted is the session of a row.
type scripted struct {
	t        *testing.T
	r        *replayed
	start    time.Time
	out      script.Outcome
	was      pfsync.Stats
	demotion int
	count    bool
}

func runScript(t *testing.T, row string) string {
	t.Helper()
	s := &scripted{t: t}
	return script.Row(t, row, s.begin, func(at time.Duration, words []string, out script.Outcome) {
		s.out = out
		s.until(s.start.Add(at))
		s.event(words[0], words[1:])
	})
}

// begin makes the session.
func (s *scripted) begin(words []string) {
	d, err := pfsync.ParseDialect(words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := pfsync.Config{Dialect: d, HostID: scriptUs}
	boot, states := false, 0
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "boot":
			boot = true
		case "exact":
			cfg.KernelExact = true
		case "defer":
			cfg.Defer = true
		case "limit":
			cfg.DeferLimit = n
		case "filter":
			cfg.Filter = func(st *pfsync.State) bool { return st.ID != 666 }
		case "maxupd":
			m := uint8(n)
			cfg.MaxUpd = &m
		case "mtu":
			cfg.MTU = n
		case "slices":
			cfg.Slices = n
		case "burst":
			cfg.Bulk.Burst = n
		case "deadline":
			cfg.Bulk.Deadline, _ = time.ParseDuration(v)
		case "interval":
			cfg.Bulk.Interval, _ = time.ParseDuration(v)
		case "map":
			theirs, ours, _ := strings.Cut(v, ":")
			cfg.Interfaces = map[string]string{theirs: ours}
		case "known":
			cfg.Known = func(ifname string) bool { return ifname == v }
		case "states":
			states = n
		case "count":
			s.count = true
		default:
			s.t.Fatalf("unknown word %q", w)
		}
	}
	s.r = replay(s.t, cfg, pfsync.MemoryConfig{})
	s.start = s.r.now
	for i := range states {
		s.insert(uint64(1000+i), nil)
	}
	if !boot {
		s.r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
		s.r.step(pfsync.Event{Kind: pfsync.EventUp})
		s.r.bus(pfsync.BusStart)
		s.r.bus(pfsync.BusEnd)
		s.r.step(pfsync.Event{Kind: pfsync.EventClear}) // takes a request along that waits
	}
	s.r.take()
	s.was, s.demotion = s.r.Stats(), s.r.out.Demotion
}

// until runs the timers before a time.
func (s *scripted) until(at time.Time) {
	for d := s.r.out.Deadline; !d.IsZero() && !d.After(at); d = s.r.out.Deadline {
		s.r.now = d
		s.step(pfsync.Event{Kind: pfsync.EventTimer}, fmt.Sprintf("@%.3f ", d.Sub(s.start).Seconds()))
	}
	s.r.now = at
}

// step steps the session and shows the outcome. A timer's that is nothing but
// another timer is left out.
func (s *scripted) step(ev pfsync.Event, when string) {
	s.r.step(ev)
	var what []string
	for _, b := range s.r.take() {
		what = append(what, s.frame(b))
	}
	ids := func(verb string, list []pfsync.StateID) {
		for _, id := range list {
			what = append(what, verb+" "+scriptID(id))
		}
	}
	ids("release", s.r.out.Release)
	ids("drop", s.r.out.Drop)
	if s.r.out.Demotion != s.demotion {
		s.demotion = s.r.out.Demotion
		what = append(what, fmt.Sprintf("demotion %d (%s)", s.demotion, s.r.out.DemotionReason))
	}
	counted := changed(s.t, s.r.Stats(), s.was)
	for _, name := range []string{"badval", "badstate", "stale", "refused", "clrdenied", "bulkheld"} {
		if n := counted[name]; n != 0 {
			what = append(what, fmt.Sprintf("%s %d", name, n))
		}
	}
	s.was = s.r.Stats()
	if len(what) == 0 && when != "" {
		return
	}
	if len(what) == 0 {
		what = append(what, "nothing")
	}
	next := "no timer"
	if d := s.r.out.Deadline; !d.IsZero() {
		next = fmt.Sprintf("next %.3f", d.Sub(s.start).Seconds())
	}
	s.out("%s%s, %s", when, strings.Join(what, ", "), next)
}

// frame is a frame in words.
func (s *scripted) frame(b []byte) string {
	f, err := pfsync.Parse(s.r.cfg.Dialect, b)
	if err != nil {
		s.t.Fatalf("%x: %v", b, err)
	}
	var secs []string
	for sec := range f.Sections() {
		var msgs []string
		for msg := range sec.Messages() {
			msgs = append(msgs, s.message(sec, msg))
		}
		if len(msgs) > 4 || s.count && sec.Action == pfsync.ActUpd {
			msgs = []string{fmt.Sprint("x", len(msgs))}
		}
		if sec.Action != pfsync.ActEOF {
			secs = append(secs, fmt.Sprint(sec.Action, " ", strings.Join(msgs, ", ")))
		}
	}
	return "[" + strings.Join(secs, "; ") + "]"
}

func (s *scripted) message(sec pfsync.Section, msg []byte) string {
	var (
		id  pfsync.StateID
		upd pfsync.UpdC
		st  pfsync.State
		clr pfsync.Clr
		bus pfsync.Bus
	)
	switch sec.Action {
	case pfsync.ActIns, pfsync.ActUpd:
		if err := st.Unmarshal(sec.Format, msg); err != nil {
			s.t.Fatal(err)
		}
		text := fmt.Sprintf("%s %d:%d", scriptID(st.StateID), st.Src.State, st.Dst.State)
		if st.Flags&pfsync.FlagAck != 0 {
			text += " ack"
		}
		return text
	case pfsync.ActUpdC:
		upd.UnmarshalBinary(msg)
		return fmt.Sprintf("%s %d:%d", scriptID(upd.StateID), upd.Src.State, upd.Dst.State)
	case pfsync.ActClr:
		clr.UnmarshalBinary(msg)
		return strings.TrimSpace(fmt.Sprintf("%d %v", clr.CreatorID, clr.IfName))
	case pfsync.ActBus:
		bus.UnmarshalBinary(msg)
		word := map[uint8]string{pfsync.BusStart: "start", pfsync.BusEnd: "end"}[bus.Status]
		if bus.EndTime != 0 {
			word += fmt.Sprint(" ", bus.EndTime)
		}
		return word
	}
	id.UnmarshalBinary(msg)
	return scriptID(id)
}

func scriptID(id pfsync.StateID) string {
	switch id.CreatorID {
	case 0:
		return "all"
	case scriptUs:
		return fmt.Sprint(id.ID)
	}
	return fmt.Sprint("p", id.ID)
}

func (s *scripted) id(w string) pfsync.StateID {
	n, theirs := strings.CutPrefix(w, "p")
	v, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		s.t.Fatalf("state %q: %v", w, err)
	}
	if theirs {
		return pfsync.StateID{ID: v, CreatorID: scriptThem}
	}
	return pfsync.StateID{ID: v, CreatorID: scriptUs}
}

// state is a state as the words want it.
func (s *scripted) state(id pfsync.StateID, words []string) pfsync.State {
	has := func(w string) bool { return slices.Contains(words, w) }
	st := testState(id)
	if has("udp") {
		st.Proto, st.Timeout = 17, pfsync.UDPMultiple
		st.Src.State, st.Dst.State = pfsync.Multiple, pfsync.Multiple
	}
	if has("in") {
		st.Direction = pfsync.In
	}
	if has("nosync") {
		st.Flags |= pfsync.FlagNoSync
	}
	if has("ack") {
		st.Flags |= pfsync.FlagAck
	}
	if has("multicast") {
		st.Wire.Addr[0] = pfsync.Addr{224, 0, 0, 9}
	}
	for _, w := range words {
		fmt.Sscanf(w, "%d:%d", &st.Src.State, &st.Dst.State)
		fmt.Sscanf(w, "seq=%d", &st.Src.SeqLo)
		fmt.Sscanf(w, "proto=%d", &st.Proto)
		if name, ok := strings.CutPrefix(w, "if="); ok {
			st.IfName, _ = pfsync.MakeName(name)
		}
	}
	return st
}

// insert puts a state into the table.
func (s *scripted) insert(n uint64, words []string) pfsync.State {
	st := s.state(pfsync.StateID{ID: n, CreatorID: scriptUs}, words)
	if err := s.r.store.Insert(s.r.now, &st, nil); err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *scripted) event(what string, words []string) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	ev := pfsync.Event{}
	times := 1
	switch what {
	case "wait":
		return
	case "states":
		s.states()
		return
	case "up":
		ev.Kind = pfsync.EventUp
	case "down":
		ev.Kind = pfsync.EventDown
	case "link":
		ev.Kind = pfsync.EventLinkUp
		if word(0) == "down" {
			ev.Kind = pfsync.EventLinkDown
		}
	case "resync":
		ev.Kind = pfsync.EventResync
	case "insert":
		st := s.insert(s.id(word(0)).ID, words[1:])
		ev.Kind, ev.State = pfsync.EventInsert, &st
	case "update":
		id := s.id(word(0))
		st := s.state(id, words[1:])
		s.r.store.Update(s.r.now, id, func(old *pfsync.State) pfsync.Keep {
			old.Src.State, old.Dst.State = st.Src.State, st.Dst.State
			return pfsync.KeepAll
		})
		ev.Kind, ev.ID, ev.Proto = pfsync.EventUpdate, id, st.Proto
		for _, w := range words {
			fmt.Sscanf(w, "x%d", &times)
		}
	case "delete":
		st := pfsync.State{}
		ev.Kind, ev.ID = pfsync.EventDelete, s.id(word(0))
		if s.r.store.Get(s.r.now, ev.ID, &st) {
			ev.State = &st
		}
		s.r.store.Delete(ev.ID)
	case "clear":
		ev.Kind = pfsync.EventClear
		ev.IfName, _ = pfsync.MakeName(word(0))
		s.r.store.Clear(scriptUs, ev.IfName, nil)
	case "resend":
		ev.Kind, ev.ID = pfsync.EventResend, s.id(word(0))
	case "peer":
		ev.Kind, ev.Packet = pfsync.EventPacket, s.packet(words)
	default:
		s.t.Fatalf("unknown event %q", what)
	}
	for ; times > 1; times-- {
		s.r.step(ev)
	}
	s.step(ev, "")
}

// packet is a frame of a peer's.
func (s *scripted) packet(words []string) pfsync.Packet {
	w := pfsync.NewWriter(s.r.cfg.Dialect, s.r.cfg.Format, 9000)
	for len(words) > 0 {
		msg := words
		if i := slices.Index(words, "+"); i >= 0 {
			msg, words = words[:i], words[i+1:]
		} else {
			words = nil
		}
		s.write(w, msg[0], msg[1:])
	}
	return pfsync.Packet{Data: bytes.Clone(w.Bytes()), TTL: 255}
}

func (s *scripted) write(w *pfsync.Writer, action string, words []string) {
	switch action {
	case "CLR":
		m := pfsync.Clr{CreatorID: map[string]uint32{"us": scriptUs, "them": scriptThem}[words[0]]}
		if len(words) > 1 {
			m.IfName, _ = pfsync.MakeName(words[1])
		}
		w.Clr(&m)
		return
	case "BUS":
		m := pfsync.Bus{CreatorID: scriptThem, Status: map[string]uint8{"start": pfsync.BusStart, "end": pfsync.BusEnd}[words[0]]}
		if len(words) > 1 {
			fmt.Sscan(words[1], &m.EndTime)
		}
		w.Bus(&m)
		return
	}
	var id pfsync.StateID
	if words[0] != "all" {
		id = s.id(words[0])
	}
	st := s.state(id, words[1:])
	switch action {
	case "INS":
		w.Ins(&st)
	case "UPD":
		w.Upd(&st)
	case "UPD_C":
		w.UpdC(&pfsync.UpdC{StateID: id, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
	case "INS_ACK":
		w.InsAck(id)
	case "UPD_REQ":
		w.UpdReq(id)
	case "DEL_C":
		w.DelC(id)
	default:
		s.t.Fatalf("unknown message %q", action)
	}
}

// states shows the table.
func (s *scripted) states() {
	var list []string
	for st := range s.r.store.States(s.r.now) {
		text := fmt.Sprintf("%s %d:%d", scriptID(st.StateID), st.Src.State, st.Dst.State)
		if n := st.IfName.String(); n != "all" {
			text += " on " + n
		}
		list = append(list, text)
	}
	slices.Sort(list)
	if len(list) == 0 {
		list = append(list, "none")
	}
	s.out("%s", strings.Join(list, ", "))
}
