package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

// ucarp starts Debian's ucarp for the same virtual host.
func (b *bench) ucarp(host string, args ...string) *daemon {
	b.t.Helper()
	up, down := script(b.t, `ip addr add $2/32 dev $1`), script(b.t, `ip addr del $2/32 dev $1`)
	src := map[string]string{"a": "192.0.2.11", "b": "192.0.2.12"}[host]
	return b.start(host, "ucarp", append([]string{"-i", "lan", "-s", src, "-v", "7", "-p", "secret", "-a", vip4,
		"-b", "1", "-r", "3", "-z", "-n", "-u", up, "-d", down}, args...)...)
}

// powerOff takes a host off the segment before it kills its daemon, and takes the
// address off that ucarp leaves behind.
func (b *bench) powerOff(d *daemon) {
	b.t.Helper()
	b.lab.Detach("lan", d.Host)
	d.kill()
	b.lab.NS(d.Host).Try("ip", "addr", "del", vip4+"/32", "dev", "lan")
}

// TestUcarp has carpd share an address with ucarp, by ucarp's rules and by
// OpenBSD's.
func TestUcarp(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ucarp")
	for _, dialect := range []string{"ucarp", "openbsd"} {
		each := func(name string, test func(*testing.T, *bench, []string)) {
			t.Run(dialect+"/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, newBench(t), []string{"-dialect", dialect, "-addr", vip4})
			})
		}
		each("master yields and takes over", ucarpBetter)
		each("master leaves and comes back", ucarpWorse)
		each("wrong passphrase", ucarpSecret)
		each("tie", ucarpTie)
	}
}

// ucarpBetter: a master gives way to a better ucarp, without a loss, and takes
// over when that dies.
func ucarpBetter(t *testing.T, b *bench, args []string) {
	x := b.carpd("a", append(args, "-advskew", "100")...)
	b.awaitHolders("alone", vip4, "a")
	b.echo()
	p := b.probe(vip4)
	p.answers()

	from := p.count()
	u := b.ucarp("b", "-k", "0", "-P")
	x.awaitLog(0, "heard a faster master")
	b.awaitHolders("a better ucarp", vip4, "b")
	p.answers()
	yielded := p.count()
	p.settle(yielded)

	b.powerOff(u)
	x.awaitState("the ucarp died", "MASTER")
	b.awaitHolders("the ucarp died", vip4, "a")
	p.answers()
	p.end()
	if l := p.lost(from, yielded); l.lost > 0 {
		t.Errorf("giving way: %v", l)
	}
	t.Logf("giving way: %v", p.lost(from, yielded))
	t.Logf("power-off: %v", p.lost(yielded, p.count()))
}

// ucarpWorse: a ucarp takes over when a master stops, without a loss, gives way
// when it comes back, and takes over when it is killed.
func ucarpWorse(t *testing.T, b *bench, args []string) {
	x := b.carpd("a", args...)
	b.awaitHolders("alone", vip4, "a")
	b.echo()
	p := b.probe(vip4)
	u := b.ucarp("b", "-k", "100")
	u.awaitLog(0, "BACKUP")
	p.answers()
	c := b.capture()
	b.await("two adverts", func() bool { return len(c.adverts("192.0.2.11")) >= 2 })

	from := p.count()
	x.stop()
	b.awaitHolders("stopped", vip4, "b")
	p.answers()
	stopped := p.count()
	p.settle(stopped)

	again := b.carpd("a", append(args, "-preempt")...)
	again.awaitState("back", "MASTER")
	b.awaitHolders("back", vip4, "a")
	p.answers()
	back := p.count()

	again.kill()
	u.awaitLog(u.mark(), "MASTER")
	b.awaitHolders("killed", vip4, "b")
	p.answers()
	p.end()
	if l := p.lost(from, stopped); l.lost > 0 {
		t.Errorf("planned stop: %v", l)
	}
	t.Logf("planned stop: %v", p.lost(from, stopped))
	t.Logf("taken back: %v", p.lost(stopped, back))
	t.Logf("killed: %v", p.lost(back, p.count()))
	if !slices.ContainsFunc(c.adverts("192.0.2.11"), func(a advert) bool { return a.BowOut() }) {
		t.Error("no bow-out was sent")
	}
}

// ucarpSecret: with different passphrases both are masters. What carpd refuses,
// it counts.
func ucarpSecret(t *testing.T, b *bench, args []string) {
	u := b.ucarp("b", "-k", "0", "-p", "other")
	u.awaitLog(0, "state: MASTER")
	x := b.carpd("a", args...)
	b.awaitHolders("both", vip4, "a", "b")
	x.awaitStatus("badauth is counted", func(s status) bool { return s.Counters["badauth"] > 1 })
	if s := x.status(); s.State != "MASTER" || s.Heard || s.Counters["badauth"] > s.Counters["ipackets"] {
		t.Errorf("the status is %s", s.Text)
	}
	u.awaitLog(0, "Bad digest")
}

// ucarpTie: with the same interval one of them is master after a while, and it
// stays like that.
func ucarpTie(t *testing.T, b *bench, args []string) {
	c := b.capture()
	x := b.carpd("a", args...)
	u := b.ucarp("b", "-k", "0")
	b.await("one master for six adverts", func() bool {
		all := c.adverts("")
		if len(all) < 6 {
			return false
		}
		for _, a := range all[len(all)-6:] {
			if a.Src != all[len(all)-1].Src {
				return false
			}
		}
		return true
	})
	master := "a"
	if all := c.adverts(""); all[len(all)-1].Src.String() == "192.0.2.12" {
		master = "b"
	}
	b.awaitHolders("tie", vip4, master)
	want := map[string]string{"a": "MASTER", "b": "BACKUP"}[master]
	x.awaitState("tie", want)
	// The lower address wins by ucarp's rules; by OpenBSD's whoever hears the other.
	if dialect := strings.Join(args, " "); strings.Contains(dialect, "ucarp") && master != "a" {
		t.Errorf("%s is master, want the one with the lower address", master)
	}
	t.Logf("%s is master", master)
	u.stopUcarp()
}

// stopUcarp ends a ucarp, which does not always succeed.
func (d *daemon) stopUcarp() {
	d.t.Helper()
	d.signal(sigStop)
	d.wait()
}
