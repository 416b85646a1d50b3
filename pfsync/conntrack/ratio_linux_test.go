package conntrack

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

// A contestant is what keeps two kernels the same.
type contestant struct {
	name  string
	start func(p *ratioPair, i int) *daemon
}

// A daemon is a contestant's process on one of the two.
type daemon struct {
	cmd    *exec.Cmd
	have   func() (string, error) // how many connections it has been told of
	commit func() error           // puts them into the kernel
}

// A pairing is contestants that do the same.
type pairing struct {
	name        string
	held        bool // connections wait in the node, until it is told to commit them
	contestants [2]contestant
}

var pairings = []pairing{
	{"into the kernel at once", false, [2]contestant{ours(Inject), conntrackd("On")}},
	{"held until a failover", true, [2]contestant{ours(Hold), conntrackd("Off")}},
}

// A ratioPair is two firewalls with nothing but a cable between them.
type ratioPair struct {
	t       *testing.T
	kern    [2]*table
	held    bool
	daemons [2]*daemon
	empty   [2]int // their memory, before there are connections
}

// count is the number of entries in a kernel's table.
func (p *ratioPair) count(i int) int {
	p.t.Helper()
	return p.number(p.kern[i].ns.Sysctl("net.netfilter.nf_conntrack_count"))
}

// has is the number of connections that have come over to the second one: into its
// kernel, or into the node.
func (p *ratioPair) has() int {
	p.t.Helper()
	if !p.held {
		return p.count(1)
	}
	text, err := p.daemons[1].have()
	if err != nil {
		p.t.Fatal(err)
	}
	return p.number(text)
}

// arrive waits until the second one has n, or for long, and returns how many are missing.
func (p *ratioPair) arrive(n int, has func() int) (missing int) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if missing = n - has(); missing <= 0 || time.Now().After(end) {
			return max(missing, 0)
		}
	}
}

// start runs a contestant on two empty tables, until connections come over and go.
func (p *ratioPair) start(c *contestant, l load) {
	p.t.Helper()
	for i := range p.daemons {
		p.daemons[i] = c.start(p, i)
	}
	end := time.Now().Add(30 * time.Second)
	for port := uint16(1); p.has() == 0; port++ { // who was there before it may be nobody's business
		if time.Now().After(end) {
			p.t.Fatalf("%s: not even one connection comes over", c.name)
		}
		p.kern[0].put(tcp4(port))
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(l.settle)
	p.kern[0].clear()
	for ; p.has() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%s: the first connections do not go", c.name)
		}
	}
	time.Sleep(l.settle)
	p.empty = [2]int{p.memory(0), p.memory(1)}
}

// stop ends a node, and empties its table.
func (p *ratioPair) stop(i int) {
	p.t.Helper()
	if err := p.daemons[i].cmd.Process.Signal(unix.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.daemons[i].cmd.Wait(); err != nil && p.daemons[i].cmd.ProcessState.ExitCode() > 0 {
		p.t.Errorf("%v: %v", p.daemons[i].cmd.Args, err)
	}
	p.kern[i].clear()
}

// proc returns the words behind a mark in a file that the kernel has of a node's process.
func (p *ratioPair) proc(i int, file, mark string) []string {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.daemons[i].cmd.Process.Pid, file))
	_, behind, ok := strings.Cut(string(b), mark)
	if err != nil || !ok {
		p.t.Fatalf("no %q in %q, %v", mark, b, err)
	}
	return strings.Fields(behind)
}

// number is a decimal one.
func (p *ratioPair) number(text string) int {
	p.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// cpu is what the process of a node has computed until now, in user and kernel mode.
func (p *ratioPair) cpu(i int) time.Duration {
	p.t.Helper()
	const tick = time.Second / 100 // USER_HZ
	f := p.proc(i, "stat", ") ")   // behind the name
	return time.Duration(p.number(f[11])+p.number(f[12])) * tick
}

// memory is the most that the process of a node has had in memory, in octets.
func (p *ratioPair) memory(i int) int {
	p.t.Helper()
	return p.number(p.proc(i, "status", "VmHWM:")[0]) << 10
}

// same wants the kernels to have the same connections.
func (p *ratioPair) same(c *contestant) {
	p.t.Helper()
	type conn struct {
		orig, reply Tuple
		state       TCPState
	}
	first := make(map[conn]bool)
	for _, e := range p.kern[0].all() {
		first[conn{e.Orig, e.Reply, e.TCP.State}] = true
	}
	both := 0
	for _, e := range p.kern[1].all() {
		if first[conn{e.Orig, e.Reply, e.TCP.State}] {
			both++
		}
	}
	if both != len(first) {
		p.t.Errorf("%s: %d of %d connections are the same at the other node", c.name, both, len(first))
	}
}

// A load is how much to measure with.
type load struct {
	n       int   // connections of the burst
	rates   []int // connections per second
	bunches []int // in which those come, per second
	seconds int   // of each rate
	settle  time.Duration
	idle    time.Duration
}

// A figure is a line of the result; those of the same name are compared.
type figure struct {
	name, unit string
	value      float64
}

// measure has a contestant do all, and returns the figures: the lower the better, but for
// the last one.
func (p *ratioPair) measure(c *contestant, l load) (all []figure) {
	p.t.Helper()
	add := func(name, unit string, value float64) { all = append(all, figure{name, unit, value}) }
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	// each adds a figure of both nodes, and their sum, per connection.
	each := func(name, unit string, n int, one, two float64) {
		add(name+" of the first", unit+"/conn", one/float64(n))
		add(name+" of the second", unit+"/conn", two/float64(n))
		add(name+" of both", unit+"/conn", (one+two)/float64(n))
	}
	var used [2]time.Duration
	mark := func() { used = [2]time.Duration{p.cpu(0), p.cpu(1)} }
	spent := func(name string, n int) {
		time.Sleep(l.settle)
		each(name+": CPU", "us", n, 1e3*ms(p.cpu(0)-used[0]), 1e3*ms(p.cpu(1)-used[1]))
	}

	entries := many(l.n, true)
	p.start(c, l)
	mark()
	began := time.Now()
	p.kern[0].put(entries...)
	written := time.Now()
	missing := p.arrive(l.n, p.has)
	add("burst: until all are there", "ms", ms(time.Since(began)))
	add("burst: behind the writer", "ms", ms(time.Since(written)))
	add("burst: missing", "conn", float64(missing))
	spent("burst", l.n)
	add("empty: memory of both", "KB", float64(p.empty[0]+p.empty[1])/1024)
	more := func() (one, two float64) { return float64(p.memory(0) - p.empty[0]), float64(p.memory(1) - p.empty[1]) }
	one, two := more()
	each("burst: memory more than empty", "octets", l.n, one, two)
	if l.idle > 0 && !p.held {
		time.Sleep((wholeRounds + 1) * DefaultRefresh) // in which a table looks closer than it does later on
		mark()
		time.Sleep(l.idle)
		add("idle: CPU of both", "ms/s", ms(p.cpu(0)+p.cpu(1)-used[0]-used[1])/l.idle.Seconds())
	}

	p.stop(1)
	used = [2]time.Duration{p.cpu(0), 0}
	began = time.Now()
	p.daemons[1] = c.start(p, 1)
	missing += p.arrive(l.n, p.has)
	add("fresh node: until it has all", "ms", ms(time.Since(began)))
	spent("fresh node", l.n)
	one, two = more()
	each("fresh node: memory more than empty", "octets", l.n, one, two)
	if p.held {
		if early := p.count(1); early > 0 {
			p.t.Errorf("%s: %d connections are in the kernel before they are committed", c.name, early)
		}
		mark()
		began = time.Now()
		committed := make(chan error, 1)
		go func() { committed <- p.daemons[1].commit() }()
		missing += p.arrive(l.n, func() int { return p.count(1) })
		add("commit: until the kernel has all", "ms", ms(time.Since(began)))
		if err := <-committed; err != nil {
			p.t.Errorf("%s: %v", c.name, err)
		}
		spent("commit", l.n)
	}
	p.same(c)
	p.stop(0)
	p.stop(1)

	best := 0
	for _, rate := range l.rates {
		kept := true
		for _, bunches := range l.bunches {
			n := rate * l.seconds
			entries, name := many(n, true), fmt.Sprintf("%d/s in %d", rate, bunches)
			p.start(c, l)
			mark()
			began := time.Now()
			for i := range l.seconds * bunches {
				time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(bunches))))
				p.kern[0].put(entries[i*rate/bunches : (i+1)*rate/bunches]...)
			}
			ended := time.Now()
			lost := p.arrive(n, p.has)
			behind := time.Since(ended)
			spent(name, n)
			add(name+": behind the writer", "ms", ms(behind))
			add(name+": missing", "conn", float64(lost))
			kept = kept && lost == 0 && behind <= 2*time.Second
			missing += lost
			p.stop(0)
			p.stop(1)
		}
		if kept {
			best = rate
		}
	}
	add("keeps up with", "conn/s", float64(best))
	if missing > 0 {
		p.t.Errorf("%s: %d connections never came over", c.name, missing)
	}
	return all
}

// TestRatio is no test but a measurement of what mirroring costs us and conntrackd(8),
// in the same two namespaces: with a few connections, or as many times as GOCARP_MEASURE
// says, from 2, with many. Have the machine to yourself then, and leave -race out. It
// fails if connections get lost, not because of a ratio.
func TestRatio(t *testing.T) {
	runs, _ := strconv.Atoi(os.Getenv("GOCARP_MEASURE"))
	if runs <= 0 {
		t.Skip("a measurement, as many times as GOCARP_MEASURE says")
	}
	netns.Require(t, "conntrackd")
	l := load{n: 5000, rates: []int{2000}, bunches: []int{1000}, seconds: 1, settle: 200 * time.Millisecond}
	if runs > 1 {
		l = load{n: 100_000, rates: []int{2000, 5000, 10_000, 20_000}, bunches: []int{100, 1000}, seconds: 5, settle: time.Second, idle: wholeEvery * DefaultRefresh}
	}
	lab := netns.New(t, "fw1", "fw2")
	kern := [2]*table{newTable(t, lab.NS("fw1")), newTable(t, lab.NS("fw2"))}
	lab.NS("fw1").Veth("sync", lab.NS("fw2"), "sync")
	lab.NS("fw1").Addr("sync", "10.9.9.1/24")
	lab.NS("fw2").Addr("sync", "10.9.9.2/24")
	for run := range runs {
		for _, pair := range pairings {
			p := &ratioPair{t: t, kern: kern, held: pair.held}
			var all [2][]figure
			for i := range all {
				all[i] = p.measure(&pair.contestants[i], l)
			}
			t.Logf("run %d, %d connections, %s\n%s", run+1, l.n, pair.name, pair.compare(all))
		}
	}
}

// compare is a table of the figures and their ratio.
func (pair *pairing) compare(all [2][]figure) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\t%s\t%s\tratio\t\n", pair.contestants[0].name, pair.contestants[1].name)
	for i, x := range all[0] {
		y, ratio := all[1][i], "-"
		if y.value != 0 {
			ratio = fmt.Sprintf("%.2f", x.value/y.value)
		}
		fmt.Fprintf(w, "%s, %s\t%.1f\t%.1f\t%s\t\n", x.name, x.unit, x.value, y.value, ratio)
	}
	w.Flush()
	return text.String()
}
